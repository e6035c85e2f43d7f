//! Plugins that share an instance and are strangers all the same, and what each of them uses.

use std::sync::Arc;

use tidegate_host_abi::{Isolation, PluginKind, PluginSpec, Shadow};

use super::support::*;

/// A tick that makes each context effective in turn and answers the request of whatever it reaches.
const REACH: &str = r#"(func (export "proxy_on_tick") (param i32)
    (local $id i32)
    (local.set $id (i32.const 1))
    (loop $next
        (call $num (call $proxy_set_effective_context (local.get $id)))
        (drop (call $proxy_continue_stream (i32.const 0)))
        (local.set $id (i32.add (local.get $id) (i32.const 1)))
        (br_if $next (i32.le_u (local.get $id) (i32.const 4)))))"#;

fn named(guest: &[u8], name: &str) -> Arc<tidegate_host_abi::Plugin> {
    plugin(
        guest,
        PluginSpec {
            name: name.into(),
            ..spec()
        },
    )
}

#[test]
fn a_plugin_cannot_make_a_context_of_another_one_effective() {
    let guest = filter(REACH);
    let plugins = [named(&guest, "a"), named(&guest, "b")];
    let mut run = Run::start(&plugins, Arc::default()).unwrap();
    let (a, b) = (run.instance.root(0).unwrap(), run.instance.root(1).unwrap());
    let streams = [a, b].map(|root| {
        let context = run.instance.create_stream(&mut run.streams, root).unwrap();
        run.streams.0.insert(context, FakeStream::default());
        context
    });
    // Contexts: 1 is a, 2 is b, 3 is a's stream, 4 is b's.
    run.tick().unwrap();
    assert_eq!(run.said(), ["0", "2", "0", "2"]);
    let mut notes = run.notes();
    notes.retain(|note| note.contains("another plugin's"));
    assert_eq!(notes.len(), 2, "each attempt is said");
    let done = |run: &mut Run, at: usize| run.streams.get(streams[at]).done.clone();
    // After the refused attempt, the context that was effective before is still.
    assert_eq!(done(&mut run, 0), ["continue Request", "continue Request"]);
    assert_eq!(done(&mut run, 1), [""; 0]);
}

#[test]
fn plugins_with_instances_of_their_own_share_them_with_nobody() {
    let guest = filter("");
    let spec = |name: &str, isolation, kind| PluginSpec {
        name: name.into(),
        isolation,
        kind,
        ..spec()
    };
    let key = |name, isolation, kind| plugin(&guest, spec(name, isolation, kind)).vm_key();
    let (worker, stream) = (Isolation::Worker, Isolation::Stream);
    let (http, service) = (PluginKind::Http, PluginKind::Service);
    assert_eq!(key("a", worker, http), key("b", worker, http));
    assert_ne!(key("a", stream, http), key("b", stream, http));
    assert_ne!(key("a", worker, service), key("b", worker, service));
    assert_ne!(key("a", worker, http), key("a", stream, http));
    let network = PluginKind::Network;
    assert_eq!(key("a", worker, network), key("b", worker, network));
    assert_ne!(key("a", stream, network), key("b", stream, network));
    assert_ne!(key("a", worker, http), key("a", worker, network));
}

#[test]
fn a_plugin_that_only_looks_on_shares_nothing_with_one_that_acts() {
    let guest = filter("");
    let of = |looks_on: bool, vm_id: &str| {
        let shadow = Shadow {
            of: "a".into(),
            percent: 100,
            cpu_percent: 5,
            concurrent: 1,
            memory_bytes: 1 << 16,
            backends: Vec::new(),
        };
        plugin(
            &guest,
            PluginSpec {
                name: "a".into(),
                vm_id: vm_id.into(),
                shadow: looks_on.then_some(shadow),
                ..spec()
            },
        )
    };
    for vm_id in ["", "together"] {
        let (acts, looks) = (of(false, vm_id), of(true, vm_id));
        assert_ne!(acts.vm_key(), looks.vm_key(), "{vm_id:?}");
        assert_ne!(acts.shared_space(), looks.shared_space(), "{vm_id:?}");
        // As often as it is asked.
        assert_eq!(looks.vm_key(), of(true, vm_id).vm_key());
        assert_eq!(looks.shared_space(), of(true, vm_id).shared_space());
    }
}

#[test]
fn calls_and_time_are_counted_by_plugin_and_callback() {
    let guest = filter(
        r#"(func (export "proxy_on_tick") (param i32)
            (local $n i32)
            (loop $more
                (local.set $n (i32.add (local.get $n) (i32.const 1)))
                (br_if $more (i32.lt_u (local.get $n) (i32.const 20000)))))
        (func (export "proxy_on_request_headers") (param i32 i32 i32) (result i32) (i32.const 0))"#,
    );
    let plugins = [named(&guest, "a"), named(&guest, "b")];
    let mut run = Run::start(&plugins, Arc::default()).unwrap();
    let context = run.stream();
    run.headers(context).unwrap();
    for _ in 0..3 {
        run.tick().unwrap();
    }
    let usage = run.instance.take_usage(0);
    let calls: Vec<_> = usage
        .by_callback()
        .map(|one| (one.callback, one.calls))
        .collect();
    assert_eq!(
        calls,
        [("proxy_on_tick", 3), ("proxy_on_request_headers", 1)]
    );
    let tick = usage.by_callback().next().unwrap();
    assert!(tick.nanos > 3_000, "{tick:?}");
    assert!(run.instance.take_usage(0).is_empty(), "taken");
    assert!(run.instance.take_usage(1).is_empty(), "the other one's");
}

#[test]
fn a_fault_is_the_plugins_whose_callback_was_entered() {
    let guest = filter(&on_tick("(unreachable)"));
    let plugins = [named(&guest, "a"), named(&guest, "b")];
    let mut run = Run::start(&plugins, Arc::default()).unwrap();
    let b = run.instance.root(1).unwrap();
    run.instance.on_tick(&mut run.streams, b).unwrap_err();
    assert_eq!(run.instance.last_plugin(), 1);
}

#[test]
fn a_module_declares_by_an_export_that_it_looks_ahead() {
    let plain = plugin(&filter(""), spec());
    let declared = plugin(
        &filter(r#"(func (export "tidegate_needs_stop_iteration"))"#),
        spec(),
    );
    assert!(!plain.stop_iteration() && declared.stop_iteration());
    let set = PluginSpec {
        stop_iteration: Some(true),
        ..spec()
    };
    assert!(plugin(&filter(""), set).stop_iteration());
}
