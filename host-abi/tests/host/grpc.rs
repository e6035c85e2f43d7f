//! gRPC calls and streams.

use bytes::Bytes;
use tidegate_host_abi::{
    CalloutToken, GrpcCommand, GrpcEvent, GrpcKind, GrpcStart, Limits, PluginSpec, pairs,
};

use super::support::{Run, at_headers, filter, on_headers, on_tick, plugin, said_at_headers, spec};

/// The bytes of one pair of metadata, as WAT.
fn metadata() -> String {
    let wire = pairs::encode_list(&[("x-user", "ada")]);
    wire.iter().map(|byte| format!("\\{byte:02x}")).collect()
}

/// A unary call, as WAT; says its status and token.
fn call(upstream: &str) -> String {
    let metadata = metadata();
    format!(
        r#"(call $num (call $proxy_grpc_call @"{upstream}" @"a.B" @"C" @"{metadata}" @"ping"
               (i32.const 250) (i32.const 3000)))
           (call $num (i32.load (i32.const 3000)))"#
    )
}

/// A stream, as WAT; says its status and token.
fn stream(upstream: &str) -> String {
    let metadata = metadata();
    format!(
        r#"(call $num (call $proxy_grpc_stream @"{upstream}" @"a.B" @"C" @"{metadata}"
               (i32.const 3000)))
           (call $num (i32.load (i32.const 3000)))"#
    )
}

fn send(token: u32, message: &str, end: u32) -> String {
    format!(
        r#"(call $num (call $proxy_grpc_send (i32.const {token}) @"{message}" (i32.const {end})))"#
    )
}

fn ends(function: &str, token: u32) -> String {
    format!("(call $num (call $proxy_grpc_{function} (i32.const {token})))")
}

/// Says everything that each callback can see.
const ON_EVENTS: &str = r#"
    (func $see
        (call $num (call $proxy_get_header_map_value (i32.const 4) @"K" @out)) (call $got)
        (call $num (call $proxy_get_header_map_value (i32.const 5) @"k" @out)) (call $got)
        (call $num (call $proxy_get_buffer_bytes (i32.const 5) (i32.const 1) (i32.const 99) @out))
        (call $got)
        (call $num (call $proxy_get_status (i32.const 4000) @out))
        (call $num (i32.load (i32.const 4000))) (call $got))
    (func $event (param i32 i32 i32)
        (call $num (local.get 0)) (call $num (local.get 1)) (call $num (local.get 2)) (call $see))
    (func (export "proxy_on_grpc_receive_initial_metadata") (param i32 i32 i32)
        (call $say @"initial") (call $event (local.get 0) (local.get 1) (local.get 2)))
    (func (export "proxy_on_grpc_receive") (param i32 i32 i32)
        (call $say @"receive") (call $event (local.get 0) (local.get 1) (local.get 2)))
    (func (export "proxy_on_grpc_receive_trailing_metadata") (param i32 i32 i32)
        (call $say @"trailing") (call $event (local.get 0) (local.get 1) (local.get 2)))
    (func (export "proxy_on_grpc_close") (param i32 i32 i32)
        (call $say @"close") (call $event (local.get 0) (local.get 1) (local.get 2)))
"#;

fn one_pair() -> Vec<(Bytes, Bytes)> {
    vec![(Bytes::from("k"), Bytes::from("v"))]
}

fn close(status: u32) -> GrpcEvent {
    GrpcEvent::Close {
        status,
        message: Bytes::from("why"),
    }
}

impl Run {
    /// Lets the guest do `body` at the headers of a stream; returns what it said.
    fn does(body: &str) -> (Self, Vec<String>) {
        let mut run = Self::new(&filter(&format!("{ON_EVENTS} {}", on_headers(body))));
        let context = run.stream();
        run.headers(context).unwrap();
        let said = run.said();
        (run, said)
    }

    fn event(&mut self, token: u32, event: GrpcEvent) -> Vec<String> {
        let Self {
            instance, streams, ..
        } = self;
        let token = CalloutToken(token);
        instance.on_grpc_event(streams, token, event).unwrap();
        self.said()
    }
}

#[test]
fn a_call_is_queued_with_all_its_parts() {
    let (mut run, said) = Run::does(&call("web").repeat(2));
    assert_eq!(said, ["0", "5", "0", "9"]);
    let commands = run.instance.take_grpc_commands();
    let expected = GrpcStart {
        token: CalloutToken(5),
        backend: "web".to_owned(),
        authority: None,
        service: Bytes::from("a.B"),
        method: Bytes::from("C"),
        metadata: vec![(Bytes::from("x-user"), Bytes::from("ada"))],
        kind: GrpcKind::Call {
            message: Bytes::from("ping"),
            timeout_ms: 250,
        },
    };
    assert_eq!(commands[0], GrpcCommand::Start(expected));
    assert_eq!(commands.len(), 2);
    assert_eq!(run.instance.take_grpc_commands(), []);
}

#[test]
fn each_kind_of_call_counts_its_tokens_by_itself() {
    let http: String =
        pairs::encode_list(&[(":method", "GET"), (":path", "/"), (":authority", "a")])
            .iter()
            .map(|byte| format!("\\{byte:02x}"))
            .collect();
    let http = format!(
        r#"(call $num (call $proxy_http_call @"web" @"{http}" @"" @"" (i32.const 0) (i32.const 3000)))
           (call $num (i32.load (i32.const 3000)))"#
    );
    let both = format!("{} {} {http}", call("web"), stream("web"));
    let (_, said) = Run::does(&both.repeat(2));
    let tokens: Vec<_> = said.iter().skip(1).step_by(2).collect();
    assert_eq!(tokens, ["5", "6", "4", "9", "10", "8"]);
}

#[test]
fn messages_and_the_end_of_a_stream_are_queued_in_order() {
    let body = [
        stream("web"),
        send(6, "one", 0),
        send(6, "", 0),
        send(6, "two", 1),
    ]
    .concat();
    let (mut run, said) = Run::does(&body);
    assert_eq!(said, ["0", "6", "0", "0", "0"]);
    let token = CalloutToken(6);
    let message = |text: &'static str| GrpcCommand::Send {
        token,
        message: Bytes::from_static(text.as_bytes()),
    };
    let commands = run.instance.take_grpc_commands();
    assert!(matches!(
        &commands[0],
        GrpcCommand::Start(GrpcStart {
            kind: GrpcKind::Stream,
            ..
        })
    ));
    assert_eq!(
        commands[1..],
        [
            message("one"),
            message(""),
            message("two"),
            GrpcCommand::HalfClose { token }
        ]
    );
}

#[test]
fn a_service_may_be_described_by_a_protobuf_message() {
    // envoy_grpc { cluster_name: "web" authority: "host" } initial_metadata { key: "k" value: "v" }
    let described = "\\0a\\0b\\0a\\03web\\12\\04host\\2a\\06\\0a\\01k\\12\\01v";
    let (mut run, said) = Run::does(&call(described));
    assert_eq!(said, ["0", "5"]);
    let commands = run.instance.take_grpc_commands();
    let [GrpcCommand::Start(start)] = commands.as_slice() else {
        panic!("{commands:?}");
    };
    assert_eq!(start.backend, "web");
    assert_eq!(start.authority, Some(Bytes::from("host")));
    let names: Vec<_> = start
        .metadata
        .iter()
        .map(|(name, _)| name.clone())
        .collect();
    assert_eq!(names, ["k", "x-user"]);
}

#[test]
fn an_unknown_backend_is_a_parse_failure_and_a_described_one_an_internal_failure() {
    let lost = "\\0a\\06\\0a\\04lost";
    let (mut run, said) = Run::does(&format!(
        "{} {} {} {} {}",
        call("lost"),
        stream("lost"),
        call(""),
        call(lost),
        stream(lost)
    ));
    let statuses: Vec<_> = said.iter().step_by(2).collect();
    assert_eq!(statuses, ["4", "4", "4", "10", "10"]);
    assert_eq!(
        run.notes(),
        [
            "grpc_call: there is no backend \"lost\" for this plugin",
            "grpc_stream: there is no backend \"lost\" for this plugin",
            "grpc_call: there is no backend \"\" for this plugin",
            "grpc_call: there is no backend \"lost\" for this plugin",
            "grpc_stream: there is no backend \"lost\" for this plugin",
        ]
    );
    assert_eq!(run.instance.take_grpc_commands(), []);
}

#[test]
fn a_message_ends_a_call_and_is_readable_in_its_callback_only() {
    let (mut run, _) = Run::does(&call("web"));
    let got = run.event(5, GrpcEvent::Message(Bytes::from("hello")));
    assert_eq!(
        got,
        [
            "receive", "1", "5", "5", "1", "", "1", "", "0", "ello", "0", "0", ""
        ]
    );
    for event in [GrpcEvent::Message(Bytes::from("again")), close(0)] {
        assert_eq!(run.event(5, event), [""; 0]);
    }
}

#[test]
fn a_failed_call_hears_its_close_with_status_and_text() {
    let (mut run, _) = Run::does(&call("web"));
    let got = run.event(5, close(14));
    assert_eq!(
        got,
        [
            "close", "1", "5", "14", "1", "", "1", "", "0", "", "0", "14", "why"
        ]
    );
    assert_eq!(run.event(5, close(14)), [""; 0]);
}

#[test]
fn a_stream_hears_metadata_messages_metadata_and_its_close() {
    let (mut run, _) = Run::does(&stream("web"));
    let got = run.event(6, GrpcEvent::InitialMetadata(one_pair()));
    assert_eq!(got[..6], ["initial", "1", "6", "1", "0", "v"]);
    let got = run.event(6, GrpcEvent::Message(Bytes::from("one")));
    assert_eq!(got[..4], ["receive", "1", "6", "3"]);
    assert_eq!(run.event(6, GrpcEvent::Message(Bytes::new()))[3], "0");
    let got = run.event(6, GrpcEvent::TrailingMetadata(one_pair()));
    assert_eq!(got[..8], ["trailing", "1", "6", "1", "1", "", "0", "v"]);
    assert_eq!(run.event(6, close(0))[..4], ["close", "1", "6", "0"]);
    assert_eq!(run.event(6, close(0)), [""; 0]);
}

#[test]
fn nothing_is_heard_of_a_token_that_was_cancelled_or_never_given() {
    let body = [
        call("web"),
        stream("web"),
        ends("cancel", 5),
        ends("cancel", 6),
    ]
    .concat();
    let (mut run, said) = Run::does(&body);
    assert_eq!(said[4..], ["0", "0"]);
    for token in [5, 6, 9, 4, 7] {
        assert_eq!(run.event(token, close(1)), [""; 0], "{token}");
    }
    let commands = run.instance.take_grpc_commands();
    let cancel = |token| GrpcCommand::Cancel {
        token: CalloutToken(token),
    };
    assert_eq!(commands[2..], [cancel(5), cancel(6)]);
}

#[test]
fn closing_a_call_cancels_it_and_closing_a_stream_ends_only_this_side() {
    let body = [
        call("web"),
        stream("web"),
        ends("close", 5),
        ends("close", 6),
    ]
    .concat();
    let (mut run, said) = Run::does(&body);
    assert_eq!(said[4..], ["0", "0"]);
    let commands = run.instance.take_grpc_commands();
    let (call, stream) = (CalloutToken(5), CalloutToken(6));
    assert_eq!(
        commands[2..],
        [
            GrpcCommand::Cancel { token: call },
            GrpcCommand::HalfClose { token: stream }
        ]
    );
    assert_eq!(run.event(5, close(0)), [""; 0]);
    assert_eq!(run.event(6, close(0))[0], "close");
}

#[test]
fn what_is_sent_after_the_end_is_refused() {
    let body = [
        stream("web"),
        send(6, "last", 1),
        send(6, "late", 0),
        ends("close", 6),
    ]
    .concat();
    let (mut run, said) = Run::does(&body);
    assert_eq!(said[2..], ["0", "2", "0"]);
    assert_eq!(run.instance.take_grpc_commands().len(), 3);
    assert_eq!(
        run.notes(),
        ["grpc_send: stream 6 was closed by this plugin"]
    );
}

#[test]
fn a_token_of_another_kind_is_a_bad_argument_and_an_unknown_one_not_found() {
    let mut body = call("web");
    for token in [0, 1, 2, 3, 5, 8, 11] {
        body += &send(token, "x", 0);
        if token != 5 {
            body += &ends("cancel", token);
            body += &ends("close", token);
        }
    }
    let (_, said) = Run::does(&body);
    assert_eq!(
        said[2..],
        [
            "2", "2", "2", "2", "1", "1", "1", "1", "1", "2", "2", "2", "2", "2", "2", "2", "2",
            "2", "2"
        ]
    );
}

#[test]
fn calls_of_every_kind_count_against_one_limit() {
    let limits = Limits {
        open_calls: 2,
        ..Limits::default()
    };
    let body = [call("web"), stream("web"), call("web")].concat();
    let mut run = Run::with(&at_headers(&body), PluginSpec { limits, ..spec() });
    let context = run.stream();
    run.headers(context).unwrap();
    assert_eq!(run.said(), ["0", "5", "0", "6", "10", "6"]);
    assert_eq!(run.notes(), ["grpc_call: 2 calls are open"]);
}

#[test]
fn messages_that_nobody_takes_do_not_fill_the_host() {
    let limits = Limits {
        buffered_bytes: 2000,
        ..Limits::default()
    };
    let body = [stream("web"), send(6, "", 0).repeat(50)].concat();
    let mut run = Run::with(&at_headers(&body), PluginSpec { limits, ..spec() });
    let context = run.stream();
    run.headers(context).unwrap();
    let said = run.said();
    let sent = said[2..].iter().filter(|status| *status == "0").count();
    assert!(sent > 1 && sent < 50, "{sent}");
    assert_eq!(said.last().unwrap(), "2");
    assert_eq!(run.instance.take_grpc_commands().len(), 1 + sent);
    // Once they are taken there is room again.
    run.headers(context).unwrap();
    assert_eq!(run.said()[..4], ["0", "10", "0", "0"]);
}

#[test]
fn bad_addresses_are_refused_before_anything_is_done() {
    let said = said_at_headers(
        r#"(call $num (call $proxy_grpc_call (i32.const -1) (i32.const 3) @"s" @"m" @"" @"" (i32.const 0) (i32.const 3000)))
           (call $num (call $proxy_grpc_call @"web" (i32.const -1) (i32.const 3) @"m" @"" @"" (i32.const 0) (i32.const 3000)))
           (call $num (call $proxy_grpc_call @"web" @"s" (i32.const -1) (i32.const 3) @"" @"" (i32.const 0) (i32.const 3000)))
           (call $num (call $proxy_grpc_call @"web" @"s" @"m" (i32.const -1) (i32.const 3) @"" (i32.const 0) (i32.const 3000)))
           (call $num (call $proxy_grpc_call @"web" @"s" @"m" @"" (i32.const -1) (i32.const 3) (i32.const 0) (i32.const 3000)))
           (call $num (call $proxy_grpc_call @"web" @"s" @"m" @"" @"" (i32.const 0) (i32.const -1)))
           (call $num (call $proxy_grpc_stream (i32.const -1) (i32.const 3) @"s" @"m" @"" (i32.const 3000)))
           (call $num (call $proxy_grpc_stream @"web" @"s" @"m" @"" (i32.const -2)))
           (call $num (call $proxy_grpc_send (i32.const 6) (i32.const -1) (i32.const 9) (i32.const 1)))"#,
        |_| (),
    );
    assert_eq!(said, ["6"; 9]);
}

#[test]
fn plugins_that_share_an_instance_do_not_share_calls() {
    let guest = filter(&format!(
        "{} {}",
        on_headers(&stream("web")),
        on_tick(&ends("cancel", 6))
    ));
    let first = plugin(&guest, spec());
    let second = plugin(
        &guest,
        PluginSpec {
            root_id: "other".into(),
            ..spec()
        },
    );
    let mut run = Run::start(&[first, second], std::sync::Arc::default()).unwrap();
    let context = run.stream();
    run.headers(context).unwrap();
    let other = run.instance.root(1).unwrap();
    run.instance.on_tick(&mut run.streams, other).unwrap();
    run.tick().unwrap();
    assert_eq!(run.said(), ["0", "6", "1", "0"]);
}

#[test]
fn calls_of_a_root_context_that_ends_are_cancelled() {
    let (mut run, _) = Run::does(&[call("web"), stream("web")].concat());
    drop(run.instance.take_grpc_commands());
    run.instance.shutdown(&mut run.streams);
    let mut tokens: Vec<_> = run
        .instance
        .take_grpc_commands()
        .iter()
        .map(|command| match command {
            GrpcCommand::Cancel { token } => token.0,
            other => panic!("{other:?}"),
        })
        .collect();
    tokens.sort_unstable();
    assert_eq!(tokens, [5, 6]);
    assert_eq!(run.event(5, close(0)), [""; 0]);
}

#[test]
fn a_callback_may_begin_the_next_call() {
    let guest = filter(&format!(
        r#"(func (export "proxy_on_grpc_close") (param i32 i32 i32) {}) {}"#,
        call("web"),
        on_headers(&call("web"))
    ));
    let mut run = Run::new(&guest);
    let context = run.stream();
    run.headers(context).unwrap();
    drop(run.instance.take_grpc_commands());
    assert_eq!(run.event(5, close(14))[..], ["0", "5", "0", "9"]);
    // Nothing came back before the host call had returned: the embedder has yet to make it.
    assert_eq!(run.instance.take_grpc_commands().len(), 1);
}
