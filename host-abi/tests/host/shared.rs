//! Shared data and queues.

use std::sync::Arc;

use tidegate_host_abi::{PluginSpec, QueueEvent, Services};

use super::support::{FakeServices, Run, filter, on_tick, plugin, said_at_tick, spec};

/// Reads `key` and says status, value and version.
const GET: &str = r#"(call $num (call $proxy_get_shared_data @"key" @out (i32.const 4000)))
    (call $got) (call $num (i32.load (i32.const 4000)))"#;

#[test]
fn a_value_can_be_set_compared_and_read() {
    let said = said_at_tick(&format!(
        r#"{GET}
           (call $num (call $proxy_set_shared_data @"key" @"1" (i32.const -1)))
           (call $num (call $proxy_set_shared_data @"key" @"2" (i32.const -1)))
           {GET}
           (call $num (call $proxy_set_shared_data @"key" @"2" (i32.load (i32.const 4000))))
           (call $num (call $proxy_set_shared_data @"key" @"3" (i32.const 0)))
           {GET}"#
    ));
    assert_eq!(
        said,
        [
            "1", "", "0", "0", "8", "0", "1", "1", "0", "0", "0", "3", "3"
        ]
    );
}

#[test]
fn an_empty_value_is_a_value() {
    let said = said_at_tick(&format!(
        r#"(call $num (call $proxy_set_shared_data @"key" @"" (i32.const 0))) {GET}"#
    ));
    assert_eq!(said, ["0", "0", "", "1"]);
}

#[test]
fn bad_addresses_of_shared_data_are_refused() {
    let said = said_at_tick(
        r#"(call $num (call $proxy_get_shared_data (i32.const -1) (i32.const 2) @out (i32.const 4000)))
           (call $num (call $proxy_get_shared_data @"key" @out (i32.const -1)))
           (call $num (call $proxy_set_shared_data @"key" (i32.const -1) (i32.const 2) (i32.const 0)))"#,
    );
    assert_eq!(said, ["6"; 3]);
}

/// Two plugins that do `body` in turn over the same services.
fn both(body: &str, one: PluginSpec, two: PluginSpec) -> Vec<String> {
    let guest = filter(&on_tick(body));
    let services = Arc::new(FakeServices::default());
    for spec in [one, two] {
        let mut run = Run::start(&[plugin(&guest, spec)], Arc::clone(&services)).unwrap();
        run.tick().unwrap();
    }
    services.said()
}

fn named(name: &str, namespace: &str, vm_id: &str) -> PluginSpec {
    PluginSpec {
        name: name.into(),
        namespace: namespace.into(),
        vm_id: vm_id.into(),
        ..spec()
    }
}

#[test]
fn data_belong_to_the_vm_id_of_a_tenant_or_to_the_plugin_alone() {
    let body = r#"(call $num (call $proxy_get_shared_data @"key" @out (i32.const 4000)))
        (call $num (call $proxy_set_shared_data @"key" @"v" (i32.const 0)))"#;
    let second = |one, two| both(body, one, two)[2].clone();
    assert_eq!(
        second(named("a", "n", "v"), named("b", "n", "v")),
        "0",
        "the same vm id"
    );
    assert_eq!(second(named("a", "n", "v"), named("b", "n", "w")), "1");
    assert_eq!(
        second(named("a", "n", "v"), named("b", "m", "v")),
        "1",
        "another tenant"
    );
    assert_eq!(
        second(named("a", "n", ""), named("b", "n", "")),
        "1",
        "no vm id"
    );
    assert_eq!(
        second(named("a", "n", ""), named("a", "n", "")),
        "0",
        "the same plugin"
    );
    assert_eq!(
        second(named("a", "n", ""), named("b", "n", "a")),
        "1",
        "a name is no vm id"
    );
}

#[test]
fn data_outlive_the_instance() {
    let set = r#"(call $num (call $proxy_set_shared_data @"key" @"v" (i32.const 0)))"#;
    let said = both(&format!("{GET} {set}"), spec(), spec());
    assert_eq!(said[4..7], ["0", "v", "1"]);
}

const REGISTER: &str = r#"(call $num (call $proxy_register_shared_queue @"q" (i32.const 3000)))
       (call $num (i32.load (i32.const 3000)))"#;

#[test]
fn items_come_out_of_a_queue_in_order() {
    let said = said_at_tick(&format!(
        r#"{REGISTER} {REGISTER}
           (call $num (call $proxy_enqueue_shared_queue (i32.const 1) @"one"))
           (call $num (call $proxy_enqueue_shared_queue (i32.const 1) @""))
           (call $num (call $proxy_dequeue_shared_queue (i32.const 1) @out)) (call $got)
           (call $num (call $proxy_dequeue_shared_queue (i32.const 1) @out)) (call $got)
           (call $num (call $proxy_dequeue_shared_queue (i32.const 1) @out))"#
    ));
    assert_eq!(
        said,
        ["0", "1", "0", "1", "0", "0", "0", "one", "0", "", "7"]
    );
}

#[test]
fn the_owner_is_told_of_each_item_and_a_spare_is_not_until_it_serves() {
    let guest = filter(&format!(
        r#"(func (export "proxy_on_configure") (param i32 i32) (result i32)
               (drop (call $proxy_register_shared_queue @"q" (i32.const 3000))) (i32.const 1))
           (func (export "proxy_on_queue_ready") (param i32 i32)
               (call $num (local.get 0)) (call $num (local.get 1))
               (call $num (call $proxy_dequeue_shared_queue (local.get 1) @out)) (call $got))
           {}"#,
        on_tick(r#"(call $num (call $proxy_enqueue_shared_queue (i32.const 1) @"item"))"#)
    ));
    let services = Arc::new(FakeServices::default());
    let start = || Run::start(&[plugin(&guest, spec())], Arc::clone(&services)).unwrap();
    let (mut one, mut two) = (start(), start());
    one.tick().unwrap();
    let owners = one.instance.take_queue_events();
    assert_eq!(owners[0].instance, one.instance.id(), "it was there first");
    two.instance.claim_queues();
    one.tick().unwrap();
    let events = one.instance.take_queue_events();
    let event = QueueEvent {
        instance: two.instance.id(),
        root: two.root(),
        queue: 1,
    };
    assert_eq!(events, [event], "the last that began to serve is its owner");
    assert_eq!(one.instance.take_queue_events(), []);
    two.instance
        .on_queue_ready(&mut two.streams, event.root, event.queue)
        .unwrap();
    assert_eq!(services.said(), ["0", "0", "1", "1", "0", "item"]);
}

#[test]
fn a_queue_is_found_by_vm_id_and_name() {
    let resolve = |vm_id: &str, name: &str| {
        format!(
            r#"(call $num (call $proxy_resolve_shared_queue @"{vm_id}" @"{name}" (i32.const 3000)))"#
        )
    };
    let body = [
        REGISTER.to_owned(),
        resolve("", "q"),
        resolve("v", "q"),
        resolve("v", "other"),
        resolve("w", "q"),
        resolve("\\ff", "q"),
    ]
    .concat();
    let mut run = Run::with(&filter(&on_tick(&body)), named("test", "n", "v"));
    run.tick().unwrap();
    assert_eq!(run.said(), ["0", "1", "0", "0", "1", "1", "1"]);
}

#[test]
fn a_queue_of_another_tenant_is_not_found_even_by_its_number() {
    let use_it = r#"(call $num (call $proxy_enqueue_shared_queue (i32.const 1) @"x"))
        (call $num (call $proxy_dequeue_shared_queue (i32.const 1) @out))"#;
    let guest = filter(&on_tick(use_it));
    let owner = filter(&on_tick(REGISTER));
    let services = Arc::new(FakeServices::default());
    let mut one = Run::start(
        &[plugin(&owner, named("a", "n", ""))],
        Arc::clone(&services),
    )
    .unwrap();
    one.tick().unwrap();
    let mut two = Run::start(
        &[plugin(&guest, named("b", "m", ""))],
        Arc::clone(&services),
    )
    .unwrap();
    two.tick().unwrap();
    assert_eq!(services.said(), ["0", "1", "1", "1"]);
}

#[test]
fn bad_addresses_of_queues_are_refused() {
    let said = said_at_tick(
        r#"(call $num (call $proxy_register_shared_queue (i32.const -1) (i32.const 2) (i32.const 3000)))
           (call $num (call $proxy_register_shared_queue @"q" (i32.const -1)))
           (call $num (call $proxy_resolve_shared_queue @"" (i32.const -1) (i32.const 2) (i32.const 3000)))
           (call $num (call $proxy_enqueue_shared_queue (i32.const 1) (i32.const -1) (i32.const 2)))
           (call $num (call $proxy_dequeue_shared_queue (i32.const 1) (i32.const 0) (i32.const -1)))"#,
    );
    assert_eq!(said, ["6"; 5]);
}

#[test]
fn a_removed_space_is_empty() {
    let services = FakeServices::default();
    let space: Arc<str> = "s".into();
    services.shared().set(&space, b"k", b"v", 0).unwrap();
    services.shared().remove_space("s");
    assert_eq!(services.shared().get("s", b"k"), None);
}
