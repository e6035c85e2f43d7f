//! The same tests run natively, on Tidegate and on Envoy.
//!
//! The client of a test is on loopback in every mode; other addresses come in a header.

use ip_filter::ip_filter;
use serde_json::Value;
use tidegate_sdk_testing::{Harness, get, json};

fn start(config: &Value) -> Harness {
    Harness::new(ip_filter).config(config).start()
}

/// A filter that believes the last address of `x-ip`.
fn of_header(lists: &Value) -> Harness {
    let mut config = json!({"from": {"header": {"name": "X-IP"}}});
    let fields = config.as_object_mut().expect("an object");
    fields.extend(lists.as_object().expect("an object").clone());
    start(&config)
}

#[test]
fn deny_wins_over_allow_and_without_allow_all_may_pass_that_are_not_denied() {
    let lists = [
        json!({"deny": []}),
        json!({"allow": ["10.0.0.0/8", "2001:db8::/32"]}),
        json!({"deny": ["10.1.0.0/16", "2001:db8:1::/48"]}),
        json!({"allow": ["10.0.0.0/8"], "deny": ["10.1.0.0/16", "10.2.0.1"]}),
        json!({"allow": ["10.1.0.0/16"], "deny": ["10.0.0.0/8"]}),
        json!({"deny": ["0.0.0.0/0"]}),
    ];
    let mut filters: Vec<Harness> = lists.iter().map(of_header).collect();
    for (address, expected) in [
        ("10.0.0.1", [200, 200, 200, 200, 403, 403]),
        ("10.1.0.1", [200, 200, 403, 403, 403, 403]),
        ("10.2.0.0", [200, 200, 200, 200, 403, 403]),
        ("10.2.0.1", [200, 200, 200, 403, 403, 403]),
        ("10.2.0.2", [200, 200, 200, 200, 403, 403]),
        ("10.2.0.1:4711", [200, 200, 200, 403, 403, 403]),
        ("11.0.0.1", [200, 403, 200, 403, 403, 403]),
        ("::ffff:10.1.0.1", [200, 200, 403, 403, 403, 403]),
        ("[::ffff:a02:1]:80", [200, 200, 200, 403, 403, 403]),
        ("2001:db8::1", [200, 200, 200, 403, 403, 200]),
        ("2001:DB8:1::1", [200, 200, 403, 403, 403, 200]),
        ("::1", [200, 403, 200, 403, 403, 200]),
    ] {
        for ((h, expected), lists) in filters.iter_mut().zip(expected).zip(&lists) {
            let res = h.send(get("/").header("x-ip", address));
            assert_eq!(res.status(), expected, "{address} of {lists}");
        }
    }
}

#[test]
fn a_refusal_says_nothing_to_the_client_and_its_reason_to_the_operator() {
    let mut h = of_header(&json!({"allow": ["10.0.0.0/8"], "deny": ["10.1.0.0/16"]}));
    for address in ["10.0.0.1", "10.1.0.1", "192.0.2.7", "nonsense"] {
        let res = h.send(get("/").header("x-ip", address));
        if res.status() == 403 {
            assert!(!res.text().contains("10."), "{}", res.text());
        }
    }
    assert_eq!(h.app().requests().len(), 1);
    assert_eq!(h.metric("ip_filter_allowed"), 1);
    assert_eq!(h.metric("ip_filter_denied"), 3);
    assert_eq!(h.metric("ip_filter_denied_ip_denied"), 1);
    assert_eq!(h.metric("ip_filter_denied_ip_not_allowed"), 1);
    assert_eq!(h.metric("ip_filter_denied_ip_unknown"), 1);
    assert!(h.logged("ip_not_allowed"));
    assert!(h.logged("192.0.2.7"));
}

#[test]
fn the_address_of_the_client_counts_unless_the_configuration_says_otherwise() {
    assert_eq!(
        start(&json!({"allow": ["127.0.0.0/8"]}))
            .send(get("/"))
            .status(),
        200
    );
    assert_eq!(
        start(&json!({"deny": ["127.0.0.0/8"]}))
            .send(get("/"))
            .status(),
        403
    );
    // What a client says of itself in some header changes nothing.
    let mut h = start(&json!({"allow": ["10.0.0.0/8"], "from": "clientAddress"}));
    for name in ["x-real-ip", "x-client-ip", "forwarded", "true-client-ip"] {
        let res = h.send(get("/").header(name, "10.0.0.1"));
        assert_eq!(res.status(), 403, "{name}");
    }
}

#[test]
fn the_peer_is_the_other_end_of_the_connection_whatever_headers_say() {
    for (lists, expected) in [
        (json!({"allow": ["127.0.0.1"], "from": "peerAddress"}), 200),
        (json!({"deny": ["127.0.0.1"], "from": "peerAddress"}), 403),
    ] {
        let mut h = start(&lists);
        for name in ["x-forwarded-for", "tidegate.peer_address", "x-real-ip"] {
            let res = h.send(get("/").header(name, "10.0.0.1"));
            assert_eq!(res.status(), expected, "{name} {lists}");
        }
    }
}

#[test]
fn positions_of_a_header_count_from_the_right_over_all_its_lines() {
    let at = |position: u8| {
        let header = json!({"name": "x-ip", "position": position});
        start(&json!({"allow": ["10.0.0.0/8"], "from": {"header": header}}))
    };
    let mut filters = [at(1), at(2), at(3), at(100)];
    for (position, lines, expected) in [
        (1, &["10.0.0.1"][..], 200),
        (1, &["192.0.2.1, 10.0.0.1"], 200),
        (1, &["10.0.0.1, 192.0.2.1"], 403),
        (2, &["10.0.0.1, 192.0.2.1"], 200),
        (2, &["10.0.0.1,192.0.2.1"], 200),
        (2, &["192.0.2.9, 10.0.0.1, 192.0.2.1"], 200),
        (2, &["10.0.0.1, 192.0.2.9, 192.0.2.1"], 403),
        (2, &["10.0.0.1", "192.0.2.1"], 200),
        (1, &["10.0.0.1", "192.0.2.1"], 403),
        (3, &["10.0.0.1, 192.0.2.8", "192.0.2.1"], 200),
        // Too few, none, or not an address: nobody may pass.
        (2, &["10.0.0.1"], 403),
        (100, &["10.0.0.1, 10.0.0.1"], 403),
        (1, &[], 403),
        (1, &["10.0.0.1,"], 403),
        (1, &["10.0.0.1, unknown"], 403),
        (1, &["10.0.0.1 10.0.0.1"], 403),
        (1, &["10.0.0.01"], 403),
        (1, &["167772161"], 403),
    ] {
        let h = &mut filters[usize::min(position, 4) - 1];
        let request = lines
            .iter()
            .fold(get("/"), |request, line| request.header("x-ip", line));
        assert_eq!(
            h.send(request).status(),
            expected,
            "{position} of {lines:?}"
        );
    }
}

#[test]
fn an_address_that_is_not_known_is_refused_although_nothing_is_listed() {
    let mut h = of_header(&json!({"deny": ["10.0.0.0/8"]}));
    assert_eq!(h.send(get("/")).status(), 403);
    assert_eq!(h.metric("ip_filter_denied_ip_unknown"), 1);
}

#[test]
fn a_dry_run_decides_and_lets_pass() {
    let mut h = start(&json!({"deny": ["127.0.0.0/8"], "dryRun": true}));
    assert_eq!(h.send(get("/")).status(), 200);
    assert_eq!(h.metric("ip_filter_dry_run_denied"), 1);
    assert_eq!(h.metric("ip_filter_denied"), 0);
    assert_eq!(h.metric("ip_filter_allowed"), 0);
    assert!(h.logged("ip_denied"));
    assert_eq!(h.app().requests().len(), 1);
}

#[test]
fn ten_thousand_blocks_are_searched_as_one() {
    let blocks: Vec<String> = (0..10_000)
        .map(|it| format!("10.{}.{}.0/25", it / 256, it % 256))
        .collect();
    let mut h = of_header(&json!({"allow": blocks}));
    for (address, expected) in [
        ("10.0.0.0", 200),
        ("10.0.0.128", 403),
        ("10.19.136.127", 200),
        ("10.39.15.127", 200),
        ("10.39.16.0", 403),
    ] {
        let res = h.send(get("/").header("x-ip", address));
        assert_eq!(res.status(), expected, "{address}");
    }
}

#[test]
fn mistakes_in_a_configuration_name_their_place() {
    for (config, path, why) in [
        (
            json!({"deny": ["10.0.0.0/8", "10.0.0.1/8"]}),
            "deny[1]",
            "bits set after the first 8",
        ),
        (
            json!({"allow": ["10.0.0.0/33"]}),
            "allow[0]",
            "such as 10.0.0.0/8",
        ),
        (json!({"allow": "10.0.0.0/8"}), "allow", "a sequence"),
        (json!({"allow": ["x"], "deny": []}), "allow[0]", "such as"),
        (
            json!({"deny": [], "from": "somewhere"}),
            "from",
            "`peerAddress`",
        ),
        (
            json!({"from": {"header": {"name": "x ip"}}}),
            "from.header.name",
            "such as x-user",
        ),
        (
            json!({"from": {"header": {"name": "x-ip", "position": 0}}}),
            "from.header.position",
            "from 1 to 100",
        ),
        (json!({"deny": [], "alow": []}), "alow", "allow"),
        (json!({"dryRun": true}), "", "expected allow, deny or both"),
        (json!({}), "", "expected allow, deny or both"),
        // Lists that come out of a file which somebody has emptied.
        (json!({"allow": []}), "allow", "at least 1"),
        (json!({"allow": [], "deny": ["::1"]}), "allow", "at least 1"),
        (
            json!({"allow": null, "deny": ["::1"]}),
            "allow",
            "a sequence",
        ),
        (
            json!({"allow": ["::1"], "deny": null}),
            "deny",
            "a sequence",
        ),
    ] {
        let refused = Harness::new(ip_filter).config(&config).try_start();
        let refused = refused
            .err()
            .unwrap_or_else(|| panic!("it starts with {config}"));
        assert!(refused.contains(path), "{config}: {refused}");
        assert!(refused.contains(why), "{config}: {refused}");
    }
}
