//! Name resolution.

use tidegate_host_abi::{DnsAddress, DnsLookup, DnsToken, Limits, PluginSpec};

use super::support::{Run, at_headers, filter, on_headers, on_tick, spec};

/// Asks for a name and says status and token.
fn resolve(name: &str) -> String {
    format!(
        r#"(call $num (call $envoy_resolve_dns @"{name}" (i32.const 4000)))
           (call $num (i32.load (i32.const 4000)))"#
    )
}

const ON_ANSWER: &str = r#"
    (func (export "envoy_on_resolve_dns") (param i32 i32 i32)
        (call $num (local.get 1)) (call $num (local.get 2))
        (call $num (call $proxy_get_buffer_bytes (i32.const 8) (i32.const 0) (i32.const -1) @out))
        (call $got))"#;

#[test]
fn a_name_is_looked_up_after_the_callback_and_answered_in_envoys_bytes() {
    let mut run = Run::new(&filter(&format!(
        "{ON_ANSWER} {}",
        on_headers(&resolve("a.test"))
    )));
    let context = run.stream();
    run.headers(context).unwrap();
    assert_eq!(run.said(), ["0", "2"]);
    let root = run.root();
    assert_eq!(
        run.instance.take_dns_lookups(),
        [DnsLookup {
            token: DnsToken(2),
            root,
            name: "a.test".to_owned()
        }]
    );
    let address = |ttl, address: &str| DnsAddress {
        ttl,
        address: address.parse().unwrap(),
    };
    let addresses = [address(60, "192.0.2.1:0"), address(5, "[::1]:0")];
    let answered = |run: &mut Run, addresses: Option<&[DnsAddress]>| {
        run.instance
            .on_resolve_dns(&mut run.streams, root, DnsToken(2), addresses)
            .unwrap();
        run.said()
    };
    let wire = "\u{2}\0\0\0\u{3c}\0\0\0\u{5}\0\0\u{0}192.0.2.1:0\0[::1]:0\0";
    assert_eq!(answered(&mut run, Some(&addresses)), ["2", "32", "0", wire]);
    assert!(
        answered(&mut run, None).is_empty(),
        "it was answered before"
    );
}

#[test]
fn a_name_that_cannot_be_resolved_is_an_answer_of_no_bytes() {
    let mut run = Run::new(&filter(&format!(
        "{ON_ANSWER} {}",
        on_tick(&resolve("nowhere"))
    )));
    run.tick().unwrap();
    run.said();
    let root = run.root();
    run.instance
        .on_resolve_dns(&mut run.streams, root, DnsToken(2), None)
        .unwrap();
    assert_eq!(run.said(), ["2", "0", "0", ""]);
}

#[test]
fn names_that_are_none_and_bad_addresses_are_refused() {
    let long = "a".repeat(255);
    let mut run = Run::new(&at_headers(&format!(
        r#"{}
           (call $num (call $envoy_resolve_dns @"\ff" (i32.const 4000)))
           (call $num (call $envoy_resolve_dns @"a" (i32.const -2)))
           (call $num (call $envoy_resolve_dns (i32.const -1) (i32.const 9) (i32.const 4000)))"#,
        resolve(&long)
    )));
    let context = run.stream();
    run.headers(context).unwrap();
    assert_eq!(run.said(), ["2", "0", "2", "6", "6"]);
    assert!(run.instance.take_dns_lookups().is_empty());
}

#[test]
fn open_lookups_are_bounded() {
    let limits = Limits {
        open_calls: 2,
        ..Limits::default()
    };
    let body = format!("{0} {0} {0}", resolve("a"));
    let mut run = Run::with(&at_headers(&body), PluginSpec { limits, ..spec() });
    let context = run.stream();
    run.headers(context).unwrap();
    assert_eq!(run.said(), ["0", "2", "0", "3", "10", "3"]);
}
