//! Higress's own functions and properties.

use tidegate_host_abi::{HostHealth, UpstreamHost, pairs};

use super::support::{Run, at_headers, filter, on_headers, on_tick, said_at_headers};

const HOSTS: &str = "(call $num (call $proxy_get_upstream_hosts @out)) (call $got)";

#[test]
fn the_endpoints_of_the_backend_are_pairs_of_address_and_json() {
    let host = |address: &str, health| UpstreamHost {
        address: address.to_owned(),
        health,
    };
    let said = said_at_headers(HOSTS, |stream| {
        stream.hosts = Some(vec![
            host("10.0.0.1:80", HostHealth::Healthy),
            host("[::1]:80", HostHealth::Unhealthy),
        ]);
    });
    let wire = pairs::encode_list(&[
        ("10.0.0.1:80", r#"{"health_status":"Healthy"}"#),
        ("[::1]:80", r#"{"health_status":"Unhealthy"}"#),
    ]);
    assert_eq!(said, ["0", &String::from_utf8_lossy(&wire)]);
}

#[test]
fn a_stream_without_a_backend_and_a_root_context_have_no_endpoints() {
    let guest = filter(&format!("{} {}", on_headers(HOSTS), on_tick(HOSTS)));
    let mut run = Run::new(&guest);
    let context = run.stream();
    run.headers(context).unwrap();
    run.tick().unwrap();
    assert_eq!(run.said(), ["1", "", "1", ""]);
}

#[test]
fn an_endpoint_is_chosen_by_its_address() {
    let choose =
        |host: &str| format!(r#"(call $num (call $proxy_set_upstream_override_host @"{host}"))"#);
    let mut run = Run::new(&filter(&format!(
        "{} {}",
        on_headers(&format!(
            "{} {} (call $num (call $proxy_set_upstream_override_host (i32.const -1) (i32.const 4)))",
            choose("10.0.0.1:80"),
            choose("nowhere")
        )),
        on_tick(&choose("10.0.0.1:80"))
    )));
    let context = run.stream();
    run.headers(context).unwrap();
    run.tick().unwrap();
    assert_eq!(run.said(), ["0", "2", "6", "1"]);
    assert_eq!(run.streams.get(context).done, ["override 10.0.0.1:80"]);
}

#[test]
fn data_is_injected_into_the_response_by_both_names() {
    let inject = r#"(call $num (call $proxy_inject_encoded_data_to_filter_chain @"one" (i32.const 0)))
        (call $num (call $proxy_call_foreign_function
            @"inject_encoded_data_to_filter_chain_on_header" @"\0a\03two\10\01" @out))"#;
    let mut run = Run::new(&filter(&format!(
        "{} {}",
        on_headers(inject),
        on_tick(inject)
    )));
    let context = run.stream();
    run.headers(context).unwrap();
    run.tick().unwrap();
    assert_eq!(run.said(), ["0", "0", "2", "2"]);
    assert_eq!(
        run.streams.get(context).done,
        ["inject one false", "inject two true"]
    );
}

#[test]
fn a_guest_reads_how_much_memory_it_has() {
    let said = said_at_headers(
        r#"(call $num (call $proxy_get_property @"plugin_vm_memory" @out))
           (call $num (i32.load (i32.const 3004)))
           (call $num (i32.load (i32.load (i32.const 3000))))
           (drop (memory.grow (i32.const 1)))
           (call $num (call $proxy_get_property @"plugin_vm_memory" @out))
           (call $num (i32.load (i32.load (i32.const 3000))))"#,
        |_| (),
    );
    assert_eq!(said, ["0", "8", "262144", "0", "327680"]);
}

#[test]
fn a_guest_asks_to_be_replaced() {
    let mut run = Run::new(&at_headers(
        r#"(call $num (call $proxy_set_property @"wasm_need_rebuild" @"true"))"#,
    ));
    assert!(!run.instance.take_rebuild_wish());
    let context = run.stream();
    run.headers(context).unwrap();
    assert!(run.instance.take_rebuild_wish());
    assert!(!run.instance.take_rebuild_wish());
}
