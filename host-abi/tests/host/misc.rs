//! Log, clock, properties, foreign functions, metrics, permissions.

use std::sync::atomic::Ordering;

use tidegate_host_abi::{
    Callback, GuestMetrics, LogLevel, MetricSnapshot, MetricValue, PluginSpec, PropertyValue,
    Services,
};

use super::support::{
    Run, at_headers, filter, on_headers, on_tick, said_at_headers, said_at_tick, spec,
};

#[test]
fn lines_come_with_their_level_and_the_plugins_names() {
    let mut run = Run::with(
        &at_headers(
            r#"(drop (call $proxy_log (i32.const 0) @"finest"))
               (drop (call $proxy_log (i32.const 5) @"worst\0a"))"#,
        ),
        PluginSpec {
            root_id: "r".into(),
            ..spec()
        },
    );
    let context = run.stream();
    run.headers(context).unwrap();
    assert_eq!(
        run.services.levels(),
        [
            (LogLevel::Trace, "finest".to_owned()),
            (LogLevel::Critical, "worst\n".to_owned())
        ]
    );
    assert_eq!(
        run.services.seen.lock().unwrap()[0],
        ("test".to_owned(), "r".to_owned())
    );
}

#[test]
fn a_line_below_the_level_is_not_handed_on() {
    let mut run = Run::new(&at_headers(
        r#"(drop (call $proxy_log (i32.const 2) @"quiet"))
           (drop (call $proxy_log (i32.const 3) @"loud"))
           (drop (call $proxy_get_log_level (i32.const 3000)))
           (drop (call $proxy_log (i32.const 4) (i32.const 3000) (i32.const 1)))"#,
    ));
    let context = run.stream();
    run.services.least_level.store(3, Ordering::Relaxed);
    run.headers(context).unwrap();
    assert_eq!(run.said(), ["loud", "\u{3}"]);
}

#[test]
fn a_line_of_a_megabyte_is_cut() {
    let mut run = Run::new(&at_headers(
        r#"(drop (memory.grow (i32.const 32)))
           (call $num (call $proxy_log (i32.const 2) (i32.const 0) (i32.const 2000000)))"#,
    ));
    let context = run.stream();
    run.headers(context).unwrap();
    let said = run.said();
    assert_eq!((said[0].len(), said[1].as_str()), (1 << 20, "0"));
}

#[test]
fn a_level_or_address_that_does_not_exist_is_refused() {
    let said = said_at_headers(
        r#"(call $num (call $proxy_log (i32.const 6) @"x"))
           (call $num (call $proxy_log (i32.const 6) (i32.const -1) (i32.const 1)))
           (call $num (call $proxy_get_log_level (i32.const -1)))
           (call $num (call $proxy_get_current_time_nanoseconds (i32.const 262140)))"#,
        |_| (),
    );
    assert_eq!(said, ["2", "6", "6", "6"]);
}

/// Asks for a property and says status and value.
fn get(path: &str) -> String {
    format!(r#"(call $num (call $proxy_get_property @"{path}" @out)) (call $got)"#)
}

#[test]
fn the_plugin_knows_its_own_names_from_its_first_callback_on() {
    let all = ["plugin_name", "plugin_root_id", "plugin_vm_id"]
        .map(get)
        .concat();
    let guest = filter(&format!(
        r#"(func (export "proxy_on_context_create") (param i32 i32) {all}) {}"#,
        on_headers(&all)
    ));
    let spec = PluginSpec {
        root_id: "r".into(),
        vm_id: "v".into(),
        ..spec()
    };
    let mut run = Run::with(&guest, spec);
    let answers = ["0", "test", "0", "r", "0", "v"];
    assert_eq!(run.said(), answers);
    let context = run.stream();
    assert_eq!(run.said(), answers);
    run.headers(context).unwrap();
    assert_eq!(run.said(), answers);
}

#[test]
fn an_empty_root_id_is_ok_because_the_c_plus_plus_sdk_ends_without_it() {
    assert_eq!(said_at_tick(&get("plugin_root_id")), ["0", ""]);
}

#[test]
fn properties_of_the_stream_come_encoded_from_the_embedder() {
    let said = said_at_headers(
        &[
            "request\\00path",
            "request\\00headers\\00x-a",
            "response\\00code",
            "mine\\00too",
        ]
        .map(get)
        .concat(),
        |stream| {
            let text = |text: &'static str| PropertyValue::Bytes(text.as_bytes().into());
            stream.properties.insert("RequestPath".into(), text("/a"));
            stream
                .properties
                .insert("ResponseCode".into(), PropertyValue::Int(200));
            stream.properties.insert("mine\0too".into(), text(""));
        },
    );
    assert_eq!(said[..4], ["0", "/a", "0", "X-A"]);
    assert_eq!(said[4..], ["0", "\u{fffd}\0\0\0\0\0\0\0", "0", ""]);
}

#[test]
fn a_missing_property_is_not_found() {
    assert_eq!(said_at_headers(&get("cluster_name"), |_| ()), ["1", ""]);
    assert_eq!(said_at_headers(&get("request\\00none"), |_| ()), ["1", ""]);
    assert_eq!(said_at_tick(&get("request\\00path")), ["1", ""]);
}

#[test]
fn a_group_of_properties_has_no_bytes() {
    for group in ["", "request", "xds", "filter_state"] {
        assert_eq!(said_at_headers(&get(group), |_| ()), ["3", ""], "{group}");
        assert_eq!(said_at_tick(&get(group)), ["1", ""], "{group}");
    }
}

#[test]
fn a_property_that_was_set_can_be_read() {
    let body = format!(
        r#"(call $num (call $proxy_set_property @"mine" @"value")) {}"#,
        get("mine")
    );
    assert_eq!(said_at_headers(&body, |_| ()), ["0", "0", "value"]);
    assert_eq!(said_at_tick(&body), ["0", "1", ""], "no stream to keep it");
}

#[test]
fn a_property_that_the_stream_has_no_room_for_is_an_error_and_the_old_one_stays() {
    let body = format!(
        r#"(call $num (call $proxy_set_property @"mine" @"value"))
           (call $num (call $proxy_set_property @"mine" @"too large")) {}"#,
        get("mine")
    );
    assert_eq!(said_at_headers(&body, |_| ()), ["0", "10", "0", "value"]);
}

#[test]
fn bad_addresses_of_properties_are_refused() {
    let said = said_at_headers(
        r#"(call $num (call $proxy_get_property (i32.const -1) (i32.const 1) @out))
           (call $num (call $proxy_get_property @"x" (i32.const 0) (i32.const -1)))
           (call $num (call $proxy_set_property @"x" (i32.const -1) (i32.const 1)))"#,
        |_| (),
    );
    assert_eq!(said, ["6"; 3]);
}

/// Calls a foreign function without arguments and says status and result.
fn foreign(name: &str) -> String {
    format!(r#"(call $num (call $proxy_call_foreign_function @"{name}" @"" @out)) (call $got)"#)
}

#[test]
fn an_unknown_foreign_function_is_not_found() {
    assert_eq!(said_at_headers(&foreign("resolve_lua"), |_| ()), ["1", ""]);
}

#[test]
fn the_log_level_is_a_foreign_function_for_guests_of_older_abis() {
    assert_eq!(said_at_tick(&foreign("get_log_level")), ["0", "\0\0\0\0"]);
}

#[test]
fn clearing_the_route_cache_reaches_the_stream() {
    let mut run = Run::new(&filter(&format!(
        "{} {}",
        on_headers(&foreign("clear_route_cache")),
        on_tick(&foreign("clear_route_cache"))
    )));
    let context = run.stream();
    run.headers(context).unwrap();
    run.tick().unwrap();
    assert_eq!(run.said(), ["0", "", "0", ""]);
    assert_eq!(run.streams.get(context).done, ["reroute"]);
}

#[test]
fn a_foreign_result_may_be_discarded() {
    let said = said_at_headers(
        r#"(call $num (call $proxy_call_foreign_function @"get_log_level" @"" (i32.const 0) (i32.const 0)))
           (call $num (call $proxy_call_foreign_function @"get_log_level" @"" (i32.const 0) (i32.const -1)))
           (call $num (call $proxy_call_foreign_function (i32.const -1) (i32.const 1) @"" @out))"#,
        |_| (),
    );
    assert_eq!(said, ["0", "6", "6"]);
}

/// Defines a metric and says its number.
fn define(kind: u32, name: &str) -> String {
    format!(
        r#"(call $num (call $proxy_define_metric (i32.const {kind}) @"{name}" (i32.const 3000)))
           (call $num (i32.load (i32.const 3000)))"#
    )
}

#[test]
fn metrics_have_numbers_with_their_kind_and_values_for_the_process() {
    let body = [
        define(0, "c"),
        define(1, "g"),
        define(2, "h"),
        define(0, "c"),
        r#"(call $num (call $proxy_increment_metric (i32.const 4) (i64.const 2)))
           (call $num (call $proxy_record_metric (i32.const 4) (i64.const 3)))
           (call $num (call $proxy_record_metric (i32.const 9) (i64.const 9)))
           (call $num (call $proxy_increment_metric (i32.const 9) (i64.const -4)))
           (call $num (call $proxy_record_metric (i32.const 14) (i64.const 7)))
           (call $num (call $proxy_get_metric (i32.const 4) (i32.const 3000)))
           (call $num (i32.load (i32.const 3000)))
           (call $num (call $proxy_get_metric (i32.const 9) (i32.const 3000)))
           (call $num (i32.load (i32.const 3000)))"#
            .to_owned(),
    ]
    .concat();
    let mut run = Run::new(&at_headers(&body));
    let context = run.stream();
    run.headers(context).unwrap();
    let defined = ["0", "4", "0", "9", "0", "14", "0", "4"];
    let used = ["0", "0", "0", "0", "0", "0", "5", "0", "5"];
    assert_eq!(run.said(), [&defined[..], &used[..]].concat());
    let metrics: &GuestMetrics = run.services.metrics();
    assert_eq!(
        metrics.snapshot()[0],
        MetricSnapshot {
            plugin: "test".into(),
            name: b"c".into(),
            value: MetricValue::Counter(5)
        }
    );
}

#[test]
fn a_guest_that_is_ended_leaves_nothing_in_gauges_that_it_would_have_taken_off() {
    let body = [
        define(0, "counted"),
        define(1, "under way"),
        define(1, "set"),
        r#"(call $num (call $proxy_increment_metric (i32.const 4) (i64.const 2)))
           (call $num (call $proxy_increment_metric (i32.const 9) (i64.const 3)))
           (call $num (call $proxy_increment_metric (i32.const 9) (i64.const -1)))
           (call $num (call $proxy_increment_metric (i32.const 13) (i64.const 3)))
           (call $num (call $proxy_record_metric (i32.const 13) (i64.const 7)))
           (call $num (call $proxy_get_metric (i32.const 9) (i32.const 3000)))
           (call $num (i32.load (i32.const 3000)))
           (unreachable)"#
            .to_owned(),
    ]
    .concat();
    let mut run = Run::new(&at_headers(&body));
    let context = run.stream();
    run.headers(context).unwrap_err();
    assert_eq!(run.said()[11..], ["0", "2"]);
    let metrics: &GuestMetrics = run.services.metrics();
    let values: Vec<_> = metrics.snapshot().into_iter().map(|it| it.value).collect();
    let [counted, set, under_way] = &values[..] else {
        panic!("{values:?}");
    };
    assert_eq!(*counted, MetricValue::Counter(2));
    assert_eq!(*set, MetricValue::Gauge(7));
    assert_eq!(*under_way, MetricValue::Gauge(0));
}

#[test]
fn a_metric_refuses_what_its_kind_cannot_do() {
    let body = [
        define(0, "c"),
        define(2, "h"),
        r#"(call $num (call $proxy_increment_metric (i32.const 4) (i64.const -1)))
           (call $num (call $proxy_increment_metric (i32.const 4) (i64.const 0)))
           (call $num (call $proxy_increment_metric (i32.const 10) (i64.const 1)))
           (call $num (call $proxy_get_metric (i32.const 10) (i32.const 3000)))"#
            .to_owned(),
    ]
    .concat();
    assert_eq!(said_at_tick(&body)[4..], ["2", "0", "2", "2"]);
}

#[test]
fn a_number_that_is_no_metric_is_not_found() {
    let body = format!(
        r#"{}
           (call $num (call $proxy_increment_metric (i32.const 0) (i64.const 1)))
           (call $num (call $proxy_record_metric (i32.const 5) (i64.const 1)))
           (call $num (call $proxy_get_metric (i32.const 8) (i32.const 3000)))
           (call $num (call $proxy_define_metric (i32.const 3) @"x" (i32.const 3000)))
           (call $num (call $proxy_define_metric (i32.const 0) (i32.const -1) (i32.const 2) (i32.const 0)))
           (call $num (call $proxy_get_metric (i32.const 4) (i32.const 262140)))"#,
        define(0, "c")
    );
    assert_eq!(said_at_tick(&body)[2..], ["1", "1", "1", "2", "6", "6"]);
}

#[test]
fn what_is_not_allowed_is_refused_and_its_callbacks_are_never_called() {
    let guest = filter(&format!(
        "{} {}",
        on_headers(
            r#"(call $num (call $proxy_get_property @"plugin_name" @out))
               (call $num (call $random_get (i32.const 3000) (i32.const 1)))"#
        ),
        on_tick(r#"(call $say @"never")"#)
    ));
    let allowed = ["proxy_on_request_headers", "proxy_log"]
        .map(str::to_owned)
        .to_vec();
    let mut run = Run::with(
        &guest,
        PluginSpec {
            allowed: Some(allowed),
            ..spec()
        },
    );
    let context = run.stream();
    run.headers(context).unwrap();
    run.tick().unwrap();
    assert_eq!(run.said(), ["10", "76"]);
    assert_eq!(
        run.notes(),
        [
            "proxy_get_property is not allowed for this plugin",
            "random_get is not allowed for this plugin",
        ]
    );
    let callbacks = run.instance.callbacks();
    assert!(callbacks.has(Callback::RequestHeaders) && !callbacks.has(Callback::Tick));
}
