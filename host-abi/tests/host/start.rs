//! Starts and their failures.

use std::error::Error;
use std::sync::Arc;

use tidegate_host_abi::{FaultKind, Limits, PluginSpec, StartError, StartStep};

use super::support::{Run, filter, on_tick, plugin, spec};

#[track_caller]
fn refused(guest: &[u8]) -> StartError {
    Run::start(&[plugin(guest, spec())], Arc::default())
        .err()
        .expect("it does not start")
}

/// A callback of two parameters that ends in `body`.
fn two(name: &str, body: &str) -> Vec<u8> {
    filter(&format!(
        r#"(func (export "{name}") (param i32 i32) (result i32) {body})"#
    ))
}

#[test]
fn initialisation_comes_before_main_and_instead_of_start() {
    let run = Run::new(&filter(
        r#"(func (export "_initialize") (call $say @"initialize"))
           (func (export "_start") (call $say @"never"))
           (func (export "main") (param i32 i32) (result i32) (call $say @"main") (i32.const 7))"#,
    ));
    assert_eq!(run.said(), ["initialize", "main"]);
}

#[test]
fn main_without_arguments_is_called_too_and_never_without_initialisation() {
    let main = r#"(func (export "__main_void") (result i32) (call $say @"main") (i32.const 0))"#;
    let run = Run::new(&filter(&format!(r#"(func (export "_initialize")) {main}"#)));
    assert_eq!(run.said(), ["main"]);
    assert_eq!(Run::new(&filter(main)).said(), Vec::<String>::new());
}

#[test]
fn a_command_may_exit_with_success() {
    let run = Run::new(&filter(
        r#"(func (export "_start") (call $say @"start") (call $proc_exit (i32.const 0)))"#,
    ));
    assert_eq!(run.said(), ["start"]);
}

#[test]
fn a_command_that_exits_with_a_failure_does_not_start() {
    let error = refused(&filter(
        r#"(func (export "_start") (call $proc_exit (i32.const 2)))"#,
    ));
    assert_eq!(error.step, StartStep::Initialise);
    assert_eq!(error.fault.unwrap().kind, FaultKind::Exit);
}

#[test]
fn while_initialising_a_guest_reaches_no_stream_but_everything_inert() {
    let run = Run::new(&filter(
        r#"(func (export "_initialize")
               (call $num (call $proxy_continue_stream (i32.const 0)))
               (call $num (call $proxy_get_header_map_pairs (i32.const 0) @out))
               (call $num (call $proxy_set_tick_period_milliseconds (i32.const 1)))
               (call $num (call $proxy_get_property @"plugin_name" @out))
               (call $num (call $proxy_define_metric (i32.const 0) @"m" (i32.const 3000)))
               (call $num (call $random_get (i32.const 3000) (i32.const 4))))"#,
    ));
    assert_eq!(run.said(), ["10", "10", "10", "0", "0", "0"]);
    assert_eq!(run.notes()[0], "proxy_continue_stream cannot be called now");
}

#[test]
fn a_refusal_is_told_from_a_fault_and_carries_the_last_lines() {
    let error = refused(&two(
        "proxy_on_configure",
        r#"(drop (call $proxy_log (i32.const 2) @"chatter"))
           (drop (call $proxy_log (i32.const 4) @"no such key\0a")) (i32.const 0)"#,
    ));
    assert_eq!(error.step, StartStep::Configure);
    assert_eq!(error.log, ["no such key\n"]);
    assert_eq!(
        error.to_string(),
        "plugin \"test\" refused to be configured; it logged: no such key"
    );
    assert!(error.source().is_none());
}

#[test]
fn a_panic_at_the_start_is_explained_by_its_log() {
    let error = refused(&two(
        "proxy_on_vm_start",
        r#"(drop (call $proxy_log (i32.const 5) @"panicked at src/lib.rs:1")) (unreachable)"#,
    ));
    assert_eq!(error.step, StartStep::VmStart);
    assert_eq!(
        error.to_string(),
        "plugin \"test\" could not start; it logged: panicked at src/lib.rs:1"
    );
    let source = error.source().unwrap().to_string();
    assert!(
        source.starts_with("trap in proxy_on_vm_start: "),
        "{source}"
    );
}

#[test]
fn each_step_is_named() {
    let unreachable = |name: &str| filter(&format!(r#"(func (export "{name}") (unreachable))"#));
    let step = |guest: &[u8]| refused(guest).step;
    assert_eq!(
        step(&filter("(func $s (unreachable)) (start $s)")),
        StartStep::Instantiate
    );
    assert_eq!(step(&unreachable("_initialize")), StartStep::Initialise);
    assert_eq!(step(&unreachable("_start")), StartStep::Initialise);
    let create = r#"(func (export "proxy_on_context_create") (param i32 i32) (unreachable))"#;
    assert_eq!(step(&filter(create)), StartStep::ContextCreate);
    assert_eq!(
        step(&two("proxy_on_vm_start", "(i32.const 0)")),
        StartStep::VmStart
    );
}

#[test]
fn only_the_last_lines_are_kept() {
    let lines = (0..20).fold(String::new(), |all, number| {
        all + &format!(r#"(drop (call $proxy_log (i32.const 3) @"line {number}"))"#)
    });
    let error = refused(&two("proxy_on_vm_start", &format!("{lines} (i32.const 0)")));
    assert_eq!(error.log.len(), 8);
    assert_eq!(error.log.last().unwrap(), "line 19");
}

#[test]
fn a_module_that_needs_more_memory_than_allowed_is_not_instantiated() {
    let limits = Limits {
        memory_bytes: 128 << 10,
        ..Limits::default()
    };
    let plugin = plugin(&filter(""), PluginSpec { limits, ..spec() });
    let error = Run::start(&[plugin], Arc::default()).err().unwrap();
    assert_eq!(error.step, StartStep::Instantiate);
    assert_eq!(error.fault.unwrap().kind, FaultKind::OutOfMemory);
}

#[test]
fn a_table_larger_than_allowed_is_not_instantiated() {
    let limits = Limits {
        table_elements: 10,
        ..Limits::default()
    };
    let plugin = plugin(
        &filter("(table 11 funcref)"),
        PluginSpec { limits, ..spec() },
    );
    let error = Run::start(&[plugin], Arc::default()).err().unwrap();
    assert_eq!(error.step, StartStep::Instantiate);
}

#[test]
fn plugins_of_different_kinds_do_not_start_together() {
    let guest = filter(&on_tick(""));
    let other = PluginSpec {
        name: "other".into(),
        vm_id: "v".into(),
        ..spec()
    };
    let plugins = [plugin(&guest, spec()), plugin(&guest, other)];
    let error = Run::start(&plugins, Arc::default()).err().unwrap();
    assert_eq!(
        (error.step, error.plugin.as_str()),
        (StartStep::Plan, "other")
    );
    assert!(Run::start(&[], Arc::default()).is_err());
}

#[test]
fn one_plugin_that_refuses_keeps_the_instance_from_starting() {
    let guest = two("proxy_on_configure", "(i32.eqz (local.get 1))");
    let fine = plugin(&guest, spec());
    let bad = plugin(
        &guest,
        PluginSpec {
            name: "bad".into(),
            config: "x".into(),
            ..spec()
        },
    );
    let error = Run::start(&[fine, bad], Arc::default()).err().unwrap();
    assert_eq!(error.plugin, "bad");
}
