//! Connections: the callbacks of network filters and what they see of the bytes.

use tidegate_host_abi::{ConnectionAction, FaultKind, PeerType, PluginSpec};

use super::support::{FakeStream, Run, body, filter, spec};

/// A guest that says the arguments of every callback of a connection, and answers with `action`.
fn talkative(action: u32) -> Vec<u8> {
    filter(&format!(
        r#"(func (export "proxy_on_new_connection") (param i32) (result i32)
            (call $say @"new") (call $num (local.get 0)) (i32.const {action}))
        (func (export "proxy_on_downstream_data") (param i32 i32 i32) (result i32)
            (call $say @"from the client") (call $num (local.get 1)) (call $num (local.get 2))
            (i32.const {action}))
        (func (export "proxy_on_upstream_data") (param i32 i32 i32) (result i32)
            (call $say @"from the origin") (call $num (local.get 1)) (call $num (local.get 2))
            (i32.const {action}))
        (func (export "proxy_on_downstream_connection_close") (param i32 i32)
            (call $say @"client closed") (call $num (local.get 1)))
        (func (export "proxy_on_upstream_connection_close") (param i32 i32)
            (call $say @"origin closed") (call $num (local.get 1)))
        (func (export "proxy_on_done") (param i32) (result i32)
            (call $say @"done") (i32.const 1))
        (func (export "proxy_on_log") (param i32) (call $say @"log"))
        (func (export "proxy_on_delete") (param i32) (call $say @"delete"))"#
    ))
}

#[test]
fn a_connection_is_told_from_its_beginning_to_its_end() {
    let mut run = Run::new(&talkative(0));
    let context = run.stream();
    let Run {
        instance, streams, ..
    } = &mut run;
    let go_on = ConnectionAction::Continue;
    assert_eq!(instance.on_new_connection(streams, context).unwrap(), go_on);
    let client = instance.on_downstream_data(streams, context, 5, false);
    assert_eq!(client.unwrap(), go_on);
    let origin = instance.on_upstream_data(streams, context, 0, true);
    assert_eq!(origin.unwrap(), go_on);
    let closed = instance.on_upstream_close(streams, context, PeerType::Unknown);
    closed.unwrap();
    let closed = instance.on_downstream_close(streams, context, PeerType::Remote);
    closed.unwrap();
    instance.finish_stream(streams, context).unwrap();
    let number = context.get().to_string();
    let expected = [
        "new",
        &number,
        "from the client",
        "5",
        "0",
        "from the origin",
        "0",
        "1",
        "origin closed",
        "0",
        "client closed",
        "2",
        "done",
        "log",
        "delete",
    ];
    assert_eq!(run.said(), expected);
}

#[test]
fn every_answer_but_0_holds_the_bytes() {
    for (number, expected) in [
        (0, ConnectionAction::Continue),
        (1, ConnectionAction::Pause),
        (7, ConnectionAction::Pause),
    ] {
        let mut run = Run::new(&talkative(number));
        let context = run.stream();
        let Run {
            instance, streams, ..
        } = &mut run;
        let began = instance.on_new_connection(streams, context);
        assert_eq!(began.unwrap(), expected);
        let data = instance.on_downstream_data(streams, context, 1, false);
        assert_eq!(data.unwrap(), expected);
        let data = instance.on_upstream_data(streams, context, 1, false);
        assert_eq!(data.unwrap(), expected);
    }
}

#[test]
fn a_guest_without_these_callbacks_lets_everything_pass() {
    let mut run = Run::new(&filter(""));
    let context = run.stream();
    let Run {
        instance, streams, ..
    } = &mut run;
    let go_on = ConnectionAction::Continue;
    assert_eq!(instance.on_new_connection(streams, context).unwrap(), go_on);
    let data = instance.on_downstream_data(streams, context, 1, false);
    assert_eq!(data.unwrap(), go_on);
    let closed = instance.on_downstream_close(streams, context, PeerType::Local);
    closed.unwrap();
}

/// Does `calls` in the callback for data of the client.
fn at_data(calls: &str) -> Vec<u8> {
    filter(&format!(
        r#"(func (export "proxy_on_downstream_data") (param i32 i32 i32) (result i32)
            {calls} (i32.const 0))"#
    ))
}

/// Runs that callback on a connection with data in both directions.
fn run_at_data(calls: &str) -> (Vec<String>, FakeStream) {
    let mut run = Run::new(&at_data(calls));
    let context = run.stream();
    let stream = run.streams.get(context);
    stream.downstream_data = body(&["hel", "lo"]);
    stream.upstream_data = body(&["world"]);
    let Run {
        instance, streams, ..
    } = &mut run;
    let entered = instance.on_downstream_data(streams, context, 5, false);
    entered.unwrap();
    let stream = run.streams.0.remove(&context).unwrap();
    (run.said(), stream)
}

fn text(buffer: Option<&tidegate_host_abi::BodyBuffer>) -> String {
    let mut text = Vec::new();
    buffer
        .unwrap()
        .copy_range(0, usize::MAX, &mut |part| text.extend_from_slice(part));
    String::from_utf8(text).unwrap()
}

#[test]
fn data_of_both_directions_can_be_read_and_edited_in_any_part() {
    let (said, stream) = run_at_data(
        r#"(call $num (call $proxy_get_buffer_bytes (i32.const 2) (i32.const 1) (i32.const 3) @out))
           (call $got)
           (call $num (call $proxy_get_buffer_bytes (i32.const 3) (i32.const 0) (i32.const -1) @out))
           (call $got)
           (call $num (call $proxy_get_buffer_status (i32.const 2) @out))
           (call $num (i32.load (i32.const 3000)))
           (call $num (call $proxy_set_buffer_bytes (i32.const 2) (i32.const 0) (i32.const 1) @"J"))
           (call $num (call $proxy_set_buffer_bytes (i32.const 3) (i32.const -1) (i32.const 0) @"!"))"#,
    );
    assert_eq!(said, ["0", "ell", "0", "world", "0", "5", "0", "0"]);
    assert_eq!(text(stream.downstream_data.as_ref()), "Jello");
    assert_eq!(text(stream.upstream_data.as_ref()), "world!");
}

#[test]
fn a_connection_has_no_bodies_and_no_headers() {
    let (said, _) = run_at_data(
        r#"(call $num (call $proxy_get_buffer_bytes (i32.const 0) (i32.const 0) (i32.const 9) @out))
           (call $got)
           (call $num (call $proxy_set_buffer_bytes (i32.const 0) (i32.const 0) (i32.const 0) @"x"))
           (call $num (call $proxy_get_header_map_size (i32.const 0) (i32.const 3000)))
           (call $num (i32.load (i32.const 3000)))"#,
    );
    assert_eq!(said, ["0", "", "0", "0", "0"]);
}

#[test]
fn a_connection_is_continued_and_closed_by_either_side() {
    let (said, stream) = run_at_data(
        "(call $num (call $proxy_continue_stream (i32.const 2)))
         (call $num (call $proxy_close_stream (i32.const 2)))
         (call $num (call $proxy_close_stream (i32.const 3)))",
    );
    assert_eq!(said, ["0"; 3]);
    assert_eq!(
        stream.done,
        ["continue Downstream", "close Downstream", "close Upstream"]
    );
}

#[test]
fn data_may_not_grow_over_the_limit() {
    let limits = tidegate_host_abi::Limits {
        buffered_bytes: 6,
        ..Default::default()
    };
    let bytes = at_data(
        r#"(call $num (call $proxy_set_buffer_bytes (i32.const 2) (i32.const -1) (i32.const 0) @"!"))
           (call $num (call $proxy_set_buffer_bytes (i32.const 2) (i32.const -1) (i32.const 0) @"!"))"#,
    );
    let mut run = Run::with(&bytes, PluginSpec { limits, ..spec() });
    let context = run.stream();
    run.streams.get(context).downstream_data = body(&["hello"]);
    let Run {
        instance, streams, ..
    } = &mut run;
    let entered = instance.on_downstream_data(streams, context, 5, false);
    entered.unwrap();
    assert_eq!(run.said(), ["0", "10"]);
}

#[test]
fn a_trap_in_a_connection_ends_the_guest_and_names_the_callback() {
    let mut run = Run::new(&at_data("(unreachable)"));
    let context = run.stream();
    let Run {
        instance, streams, ..
    } = &mut run;
    let fault = instance
        .on_downstream_data(streams, context, 1, false)
        .unwrap_err();
    assert_eq!(
        (fault.kind, fault.callback),
        (FaultKind::Trap, "proxy_on_downstream_data")
    );
    assert!(instance.is_faulted());
}
