//! The life of contexts and the callbacks of roots.

use std::sync::Arc;
use std::time::Duration;

use tidegate_host_abi::{
    Callback, HeadersAction, Instance, PluginSpec, RootStatus, TrailersAction,
};

use super::support::{
    Run, at_headers, filter, old_filter, on_headers, on_tick, plugin, said_at_headers,
    said_at_tick, spec,
};

/// Says the name and arguments of the life-cycle callbacks.
const LIFE: &str = r#"
    (func (export "proxy_on_context_create") (param i32 i32)
        (call $say @"create") (call $num (local.get 0)) (call $num (local.get 1)))
    (func (export "proxy_on_vm_start") (param i32 i32) (result i32)
        (call $say @"start") (call $num (local.get 0)) (i32.const 1))
    (func (export "proxy_on_configure") (param i32 i32) (result i32)
        (call $say @"configure") (call $num (local.get 0)) (i32.const 1))
    (func (export "proxy_on_done") (param i32) (result i32)
        (call $say @"done") (call $num (local.get 0)) (i32.const 1))
    (func (export "proxy_on_log") (param i32) (call $say @"log") (call $num (local.get 0)))
    (func (export "proxy_on_delete") (param i32) (call $say @"delete") (call $num (local.get 0)))
"#;

#[test]
fn an_instance_can_move_to_another_thread() {
    fn is_send<T: Send>() {}
    is_send::<Instance>();

    let mut run = Run::new(&at_headers(r#"(call $say @"here")"#));
    let context = run.stream();
    let run = std::thread::spawn(move || {
        run.headers(context).unwrap();
        run
    });
    assert_eq!(run.join().unwrap().said(), ["here"]);
}

#[test]
fn a_root_is_created_started_and_configured_and_a_stream_done_logged_and_deleted() {
    let mut run = Run::new(&filter(LIFE));
    assert_eq!(
        run.said(),
        ["create", "1", "0", "start", "1", "configure", "1"]
    );
    let context = run.stream();
    assert_eq!(run.said(), ["create", "2", "1"]);
    let root = run.root();
    let Run {
        instance, streams, ..
    } = &mut run;
    instance.finish_stream(streams, context).unwrap();
    assert!(
        instance.finish_stream(streams, context).is_err(),
        "exactly once"
    );
    assert_eq!(
        instance.finish_root(streams, root),
        Ok(RootStatus::Finished)
    );
    assert_eq!(
        run.said(),
        [
            "done", "2", "log", "2", "delete", "2", "done", "1", "log", "1", "delete", "1"
        ]
    );
}

#[test]
fn plugins_of_one_vm_are_roots_of_one_instance() {
    let guest = filter(LIFE);
    let named = |name: &str| {
        plugin(
            &guest,
            PluginSpec {
                name: name.into(),
                ..spec()
            },
        )
    };
    let mut run = Run::start(&[named("a"), named("b")], Arc::default()).unwrap();
    assert_eq!(
        run.said(),
        [
            "create",
            "1",
            "0",
            "start",
            "1",
            "configure",
            "1", //
            "create",
            "2",
            "0",
            "start",
            "2",
            "configure",
            "2",
        ]
    );
    let (a, b) = (run.instance.root(0).unwrap(), run.instance.root(1).unwrap());
    assert_eq!((a.get(), b.get()), (1, 2));
    assert_eq!(run.instance.root(2), None);
    let names: Vec<_> = run
        .instance
        .plugins()
        .map(|plugin| plugin.name().to_owned())
        .collect();
    assert_eq!(names, ["a", "b"]);
    let Run {
        instance, streams, ..
    } = &mut run;
    instance.create_stream(streams, b).unwrap();
    assert_eq!(run.said(), ["create", "3", "2"]);
}

#[test]
fn a_shutdown_ends_streams_before_their_roots() {
    let mut run = Run::new(&filter(LIFE));
    run.stream();
    run.said();
    let Run {
        instance, streams, ..
    } = &mut run;
    instance.shutdown(streams);
    instance.shutdown(streams);
    assert_eq!(
        run.said(),
        [
            "done", "2", "log", "2", "delete", "2", "done", "1", "log", "1", "delete", "1"
        ]
    );
}

#[test]
fn a_root_that_is_not_done_is_deleted_after_proxy_done() {
    let guest = filter(&format!(
        r#"(func (export "proxy_on_done") (param i32) (result i32)
               (call $num (local.get 0)) (i32.const 0))
           (func (export "proxy_on_delete") (param i32) (call $say @"deleted"))
           {}"#,
        on_tick("(call $num (call $proxy_done))")
    ));
    let mut run = Run::new(&guest);
    run.tick().unwrap();
    assert_eq!(run.said(), ["1"], "nobody asked yet: NOT_FOUND");
    let root = run.root();
    let Run {
        instance, streams, ..
    } = &mut run;
    assert_eq!(instance.finish_root(streams, root), Ok(RootStatus::Pending));
    run.tick().unwrap();
    assert_eq!(run.said(), ["1", "0", "deleted"]);
    assert!(run.tick().is_err(), "it is gone");
}

#[test]
fn a_pending_root_can_be_ended_without_asking_again() {
    let guest = filter(
        r#"(func (export "proxy_on_done") (param i32) (result i32) (call $say @"asked") (i32.const 0))
           (func (export "proxy_on_delete") (param i32) (call $say @"deleted"))"#,
    );
    let mut run = Run::new(&guest);
    let root = run.root();
    let Run {
        instance, streams, ..
    } = &mut run;
    assert_eq!(instance.finish_root(streams, root), Ok(RootStatus::Pending));
    assert_eq!(
        instance.finish_root(streams, root),
        Ok(RootStatus::Finished)
    );
    assert_eq!(run.said(), ["asked", "deleted"]);
}

#[test]
fn a_stream_that_is_not_done_is_deleted_all_the_same() {
    let guest = filter(
        r#"(func (export "proxy_on_done") (param i32) (result i32) (i32.const 0))
           (func (export "proxy_on_delete") (param i32) (call $say @"deleted"))"#,
    );
    let mut run = Run::new(&guest);
    let context = run.stream();
    let Run {
        instance, streams, ..
    } = &mut run;
    instance.finish_stream(streams, context).unwrap();
    assert_eq!(run.said(), ["deleted"]);
    assert_eq!(run.instance.stream_count(), 0);
}

#[test]
fn ids_are_never_given_again_while_others_are_free() {
    let mut run = Run::new(&filter(""));
    let first = run.stream();
    let Run {
        instance, streams, ..
    } = &mut run;
    instance.finish_stream(streams, first).unwrap();
    assert_eq!((first.get(), run.stream().get()), (2, 3));
}

#[test]
fn absent_callbacks_answer_without_entering_the_guest() {
    let mut run = Run::new(&filter(""));
    let context = run.stream();
    let root = run.root();
    let Run {
        instance, streams, ..
    } = &mut run;
    let headers = instance.on_response_headers(streams, context, 1, false);
    assert_eq!(headers, Ok(HeadersAction::Continue));
    let trailers = instance.on_request_trailers(streams, context, 1);
    assert_eq!(trailers, Ok(TrailersAction::Continue));
    assert_eq!(instance.on_queue_ready(streams, root, 1), Ok(()));
    assert_eq!(instance.on_tick(streams, root), Ok(()));
    assert!(!instance.callbacks().has(Callback::ResponseHeaders));
}

#[test]
fn header_and_trailer_callbacks_get_their_arguments_and_decide() {
    let guest = filter(
        r#"(func (export "proxy_on_request_headers") (param i32 i32 i32) (result i32)
               (call $num (local.get 0)) (call $num (local.get 1)) (call $num (local.get 2))
               (i32.const 1))
           (func (export "proxy_on_response_headers") (param i32 i32 i32) (result i32)
               (call $num (local.get 2)) (i32.const 9))
           (func (export "proxy_on_request_trailers") (param i32 i32) (result i32)
               (call $num (local.get 1)) (i32.const 1))
           (func (export "proxy_on_response_trailers") (param i32 i32) (result i32)
               (i32.const 0))"#,
    );
    let mut run = Run::new(&guest);
    let context = run.stream();
    let Run {
        instance, streams, ..
    } = &mut run;
    let headers = instance.on_request_headers(streams, context, 7, true);
    assert_eq!(headers, Ok(HeadersAction::Pause));
    let headers = instance.on_response_headers(streams, context, 7, false);
    assert_eq!(
        headers,
        Ok(HeadersAction::StopAllWatermark),
        "unknown numbers are the strictest"
    );
    assert_eq!(
        instance.on_request_trailers(streams, context, 4),
        Ok(TrailersAction::Pause)
    );
    assert_eq!(
        instance.on_response_trailers(streams, context, 4),
        Ok(TrailersAction::Continue)
    );
    assert_eq!(run.said(), ["2", "7", "1", "0", "4"]);
}

#[test]
fn header_callbacks_of_abi_0_1_0_have_two_arguments() {
    let mut run = Run::new(&old_filter(
        r#"(func (export "proxy_on_request_headers") (param i32 i32) (result i32)
               (call $num (local.get 1)) (i32.const 1))
           (func (export "proxy_on_response_headers") (param i32 i32) (result i32)
               (call $num (local.get 1)) (i32.const 2))"#,
    ));
    let context = run.stream();
    assert_eq!(run.headers(context), Ok(1));
    let Run {
        instance, streams, ..
    } = &mut run;
    let action = instance.on_response_headers(streams, context, 5, true);
    assert_eq!(action, Ok(HeadersAction::Continue));
    assert_eq!(run.said(), ["3", "5"]);
}

#[test]
fn the_effective_context_decides_whose_stream_is_meant() {
    let guest = filter(&format!(
        "{} {}",
        on_tick(
            r#"(call $num (call $proxy_set_effective_context (i32.const 2)))
               (call $num (call $proxy_continue_stream (i32.const 0)))"#
        ),
        on_headers("(call $num (call $proxy_continue_stream (i32.const 1)))")
    ));
    let mut run = Run::new(&guest);
    let (first, second) = (run.stream(), run.stream());
    run.tick().unwrap();
    run.headers(second).unwrap();
    assert_eq!(run.said(), ["0", "0", "0"]);
    assert_eq!(run.streams.get(first).done, ["continue Request"]);
    assert_eq!(
        run.streams.get(second).done,
        ["continue Response"],
        "reset at each callback"
    );
}

#[test]
fn an_unknown_context_is_a_bad_argument() {
    let body = r#"(call $num (call $proxy_set_effective_context (i32.const 99)))
        (call $num (call $proxy_set_effective_context (i32.const 0)))
        (call $num (call $proxy_set_effective_context (i32.const 1)))"#;
    assert_eq!(said_at_tick(body), ["2", "2", "0"]);
}

#[test]
fn done_is_not_found_for_streams() {
    assert_eq!(
        said_at_headers("(call $num (call $proxy_done))", |_| ()),
        ["1"]
    );
}

#[test]
fn a_timer_is_the_roots_even_if_a_stream_sets_it() {
    let guest =
        at_headers("(call $num (call $proxy_set_tick_period_milliseconds (i32.const 250)))");
    let mut run = Run::new(&guest);
    let context = run.stream();
    let root = run.root();
    assert!(!run.instance.tick_periods_changed());
    assert_eq!(run.instance.tick_period(root), None);
    run.headers(context).unwrap();
    assert!(run.instance.tick_periods_changed());
    assert!(!run.instance.tick_periods_changed(), "asked twice");
    assert_eq!(
        run.instance.tick_period(root),
        Some(Duration::from_millis(250))
    );
    run.headers(context).unwrap();
    assert!(
        !run.instance.tick_periods_changed(),
        "the same period again"
    );
    assert_eq!(run.said(), ["0", "0"]);
}

#[test]
fn period_zero_stops_the_timer() {
    let guest = filter(&format!(
        r#"(func (export "proxy_on_configure") (param i32 i32) (result i32)
               (drop (call $proxy_set_tick_period_milliseconds (i32.const 5))) (i32.const 1))
           {}"#,
        on_tick("(drop (call $proxy_set_tick_period_milliseconds (i32.const 0)))")
    ));
    let mut run = Run::new(&guest);
    let root = run.root();
    assert_eq!(
        run.instance.tick_period(root),
        Some(Duration::from_millis(5))
    );
    assert!(run.instance.tick_periods_changed());
    run.tick().unwrap();
    assert_eq!(run.instance.tick_period(root), None);
    assert!(run.instance.tick_periods_changed());
}
