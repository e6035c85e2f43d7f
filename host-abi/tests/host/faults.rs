//! How guests end.

use tidegate_host_abi::{Fault, FaultKind, Limits, MapKind, PluginSpec};

use super::support::{Run, at_headers, filter, on_headers, on_tick, raw, spec};

#[track_caller]
fn fault_of(body: &str) -> Fault {
    let mut run = Run::new(&at_headers(body));
    let context = run.stream();
    run.headers(context).unwrap_err()
}

#[test]
fn a_trap_names_its_callback_and_shows_the_stack() {
    let mut run = Run::new(&filter(
        r#"(func $deep (unreachable))
           (func (export "proxy_on_request_headers") (param i32 i32 i32) (result i32)
               (call $deep) (i32.const 0))"#,
    ));
    let context = run.stream();
    let fault = run.headers(context).unwrap_err();
    assert_eq!(fault.kind, FaultKind::Trap);
    assert_eq!(
        fault.to_string(),
        "trap in proxy_on_request_headers: wasm trap: wasm `unreachable` instruction executed"
    );
    assert!(fault.backtrace.contains("deep"), "{}", fault.backtrace);
}

#[test]
fn a_bad_access_and_a_deep_recursion_are_traps() {
    assert_eq!(
        fault_of("(drop (i32.load (i32.const -1)))").kind,
        FaultKind::Trap
    );
    let mut run = Run::new(&filter(
        r#"(func $f (result i32) (i32.add (call $f) (i32.const 1)))
           (func (export "proxy_on_request_headers") (param i32 i32 i32) (result i32) (call $f))"#,
    ));
    let context = run.stream();
    let fault = run.headers(context).unwrap_err();
    assert_eq!(fault.kind, FaultKind::Trap);
    assert!(fault.message.contains("call stack exhausted"), "{fault}");
}

#[test]
fn after_a_fault_the_guest_is_never_entered_again() {
    let guest = filter(&format!(
        r#"{} {} (func (export "proxy_on_done") (param i32) (result i32)
               (call $say @"never") (i32.const 1))"#,
        on_headers("(unreachable)"),
        on_tick(r#"(call $say @"never")"#),
    ));
    let mut run = Run::new(&guest);
    let (context, other) = (run.stream(), run.stream());
    let fault = run.headers(context).unwrap_err();
    assert_eq!(run.tick(), Err(fault.clone()));
    assert_eq!(run.headers(other), Err(fault.clone()));
    assert_eq!(run.instance.fault(), Some(&fault));
    let root = run.root();
    let Run {
        instance, streams, ..
    } = &mut run;
    assert_eq!(instance.create_stream(streams, root), Err(fault.clone()));
    assert_eq!(instance.finish_stream(streams, context), Err(fault));
    assert_eq!(instance.stream_count(), 1, "the finished one is forgotten");
    instance.shutdown(streams);
    assert_eq!(run.said(), Vec::<String>::new());
}

#[test]
fn a_fault_leaves_other_instances_alone() {
    let guest = at_headers(
        r#"(if (i32.eqz (call $proxy_get_header_map_value (i32.const 0) @"bad" @out))
               (then (unreachable)))"#,
    );
    let (mut one, mut two) = (Run::new(&guest), Run::new(&guest));
    let (a, b) = (one.stream(), two.stream());
    one.streams
        .get(a)
        .map(MapKind::RequestHeaders, &[("bad", "1")]);
    assert!(one.headers(a).is_err());
    assert_eq!(two.headers(b), Ok(0));
    assert!(!two.instance.is_faulted());
}

#[test]
fn memory_over_the_limit_is_refused_and_a_guest_that_gives_up_is_out_of_memory() {
    let limits = Limits {
        memory_bytes: 512 << 10,
        ..Limits::default()
    };
    let bomb = r#"(loop $more
        (br_if $more (i32.ne (memory.grow (i32.const 1)) (i32.const -1))))
        (unreachable)"#;
    let mut run = Run::with(&at_headers(bomb), PluginSpec { limits, ..spec() });
    let context = run.stream();
    let fault = run.headers(context).unwrap_err();
    assert_eq!(fault.kind, FaultKind::OutOfMemory);
    assert!(
        fault
            .message
            .ends_with("after it was refused more than 524288 bytes"),
        "{fault}"
    );
    assert_eq!(run.instance.memory_bytes(), 512 << 10);
}

#[test]
fn a_refused_growth_is_no_fault_by_itself() {
    let limits = Limits {
        memory_bytes: 256 << 10,
        ..Limits::default()
    };
    let grow = "(call $num (memory.grow (i32.const 1)))";
    let mut run = Run::with(&at_headers(grow), PluginSpec { limits, ..spec() });
    let context = run.stream();
    assert_eq!(run.headers(context), Ok(0));
    assert_eq!(run.said(), ["-1"]);
}

#[test]
fn an_exit_is_a_fault() {
    let fault = fault_of("(call $proc_exit (i32.const 3))");
    assert_eq!(
        fault.to_string(),
        "exit in proxy_on_request_headers: exit with code 3"
    );
    assert_eq!(fault.kind, FaultKind::Exit);
}

#[test]
fn a_trap_in_the_allocator_is_a_fault_of_the_callback() {
    let mut run = Run::new(&raw(r#"(func (export "proxy_abi_version_0_2_1"))
           (func $deep (export "malloc") (param i32) (result i32) (unreachable))
           (func (export "proxy_on_request_headers") (param i32 i32 i32) (result i32)
               (drop (call $proxy_get_property @"plugin_name" @out)) (i32.const 0))"#));
    let context = run.stream();
    let fault = run.headers(context).unwrap_err();
    assert_eq!(
        (fault.kind, fault.callback),
        (FaultKind::Trap, "proxy_on_request_headers")
    );
    assert!(fault.backtrace.contains("deep"), "{}", fault.backtrace);
}

#[test]
fn a_host_that_panicked_in_a_callback_enters_the_guest_no_more() {
    use std::panic::{AssertUnwindSafe, catch_unwind};

    let mut run = Run::new(&at_headers(
        r#"(drop (call $proxy_get_property @"panic" @out))"#,
    ));
    let context = run.stream();
    let panicked = catch_unwind(AssertUnwindSafe(|| run.headers(context)));
    assert!(panicked.is_err());
    assert!(run.instance.is_faulted());
    let fault = run.headers(context).unwrap_err();
    assert_eq!(
        fault.to_string(),
        "host in proxy_on_request_headers: the host panicked in this callback"
    );
    assert_eq!(run.instance.fault(), Some(&fault));
}

#[test]
fn a_context_that_is_not_alive_is_the_embedders_fault_and_not_the_guests() {
    let mut run = Run::new(&at_headers(""));
    let context = run.stream();
    let root = run.root();
    let Run {
        instance, streams, ..
    } = &mut run;
    instance.finish_stream(streams, context).unwrap();
    for wrong in [context, root] {
        let fault = instance
            .on_request_headers(streams, wrong, 0, true)
            .unwrap_err();
        assert_eq!(fault.kind, FaultKind::Host);
        assert_eq!(
            fault.to_string(),
            format!("host in proxy_on_request_headers: context {wrong} is not alive")
        );
    }
    assert!(instance.create_stream(streams, context).is_err());
    assert!(!instance.is_faulted());
}
