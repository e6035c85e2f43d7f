//! Network filters in the path of connections, and what becomes of connections by them.

use std::net::SocketAddr;
use std::time::Duration;

use tidegate_host_abi::FailurePolicy;
use tidegate_host_abi::Isolation;
use tidegate_host_abi::PluginKind;
use tidegate_testkit::Gateway;
use tidegate_testkit::Port;
use tidegate_testkit::Wasm;
use tidegate_testkit::Wire;
use tidegate_testkit::eventually;

use super::talker;

/// Both ends of a connection through a proxy.
fn connected(proxy: SocketAddr, origin: &Port) -> (Wire, Wire) {
    let client = Wire::connect(proxy);
    (client, origin.accept())
}

/// What the filter has noted up to the end of a connection's context.
fn notes(proxy: SocketAddr, origin: &Port) -> String {
    let mut all = String::new();
    eventually("the filter to note the end", || {
        let (mut client, mut server) = connected(proxy, origin);
        client.send("?");
        client.end();
        let said = server.rest().expect("an end");
        drop(server);
        client.rest().ok();
        all.push_str(&String::from_utf8_lossy(&said));
        // Of the connection that asks there is the beginning.
        all = all.trim_end().trim_end_matches("c n").to_owned();
        all.contains('x').then_some(())
    });
    all.trim().to_owned()
}

/// A conversation, and what the filter hears of it.
type Case = (&'static str, fn(Wire, Wire), &'static str);

/// What Envoy 1.40 does too.
const CASES: &[Case] = &[
    (
        "the client ends first",
        |mut client, mut server| {
            client.send("ab");
            server.expect("ab");
            server.send("xyz");
            client.expect("xyz");
            client.end();
            server.expect_end();
            server.end();
            client.expect_end();
        },
        "c n d20 u30 d01 u01 U0 D1 o l x",
    ),
    (
        "the origin ends first",
        |mut client, mut server| {
            server.send("xyz");
            client.expect("xyz");
            server.end();
            client.expect_end();
            client.send("ab");
            server.expect("ab");
            client.end();
            server.expect_end();
        },
        "c n u30 u01 U0 d20 d01 D2 o l x",
    ),
    (
        "the filter edits",
        |mut client, mut server| {
            client.send("!a");
            server.expect("!a!");
            client.end();
            server.expect_end();
            server.end();
            client.expect_end();
        },
        "c n d20 d01 u01 U0 D1 o l x",
    ),
    (
        "the filter holds what the client sends and lets it go when there is more",
        |mut client, mut server| {
            client.send("p1");
            server.send("a");
            client.expect("a");
            client.send("p2");
            server.expect("p1p2");
            client.end();
            server.expect_end();
            server.end();
            client.expect_end();
        },
        "c n d20 u10 d40 d01 u01 U0 D1 o l x",
    ),
    (
        "the filter holds what the client sends until a tick",
        |mut client, mut server| {
            client.send("q1");
            server.expect("q1");
            client.end();
            server.expect_end();
            server.end();
            client.expect_end();
        },
        "c n d20 d01 u01 U0 D1 o l x",
    ),
    (
        "the filter closes",
        |mut client, mut server| {
            client.send("c");
            client.expect_end();
            server.expect_end();
        },
        "c n d10 D1 o l x",
    ),
    (
        "the filter closes as the origin's",
        |mut client, mut server| {
            client.send("k");
            client.expect_end();
            server.expect_end();
        },
        "c n d10 D1 o l x",
    ),
    (
        "the client breaks the connection",
        |mut client, mut server| {
            client.send("ab");
            server.expect("ab");
            client.reset();
            server.rest().ok();
        },
        "c n d20 D2 o l x",
    ),
    (
        "the origin breaks the connection",
        |mut client, mut server| {
            server.send("ab");
            client.expect("ab");
            server.reset();
            client.rest().ok();
        },
        "c n u20 D1 o l x",
    ),
];

/// Has all conversations through a proxy, and says where the filter did not hear what it should.
fn differences(proxy: SocketAddr, origin: &Port) -> Vec<String> {
    let mut found = Vec::new();
    for (name, talk, expected) in CASES {
        let (client, server) = connected(proxy, origin);
        talk(client, server);
        let heard = notes(proxy, origin);
        if heard != *expected {
            found.push(format!(
                "{name}:\n  expected {expected}\n  heard    {heard}"
            ));
        }
    }
    found
}

#[test]
fn a_filter_hears_of_connections_what_it_hears_on_envoy() {
    let origin = Port::new();
    let gateway = Gateway::to(origin.address())
        .tcp()
        .plugin(&talker::filter("talker"))
        .start();
    let found = differences(gateway.address(), &origin);
    assert!(found.is_empty(), "{}", found.join("\n"));
}

#[test]
fn envoy_tells_a_filter_of_connections_what_is_written_down() {
    if !tidegate_testkit::Envoy::wanted() {
        return;
    }
    let origin = Port::new();
    let folder = tempfile::tempdir().expect("a folder");
    let module = folder.path().join("talker.wasm");
    std::fs::write(&module, talker::filter("talker").module()).expect("writable");
    let address = origin.address();
    let config = format!(
        r#"admin: {{ address: {{ socket_address: {{ address: 127.0.0.1, port_value: 0 }} }} }}
static_resources:
  listeners:
  - name: web
    address: {{ socket_address: {{ address: 127.0.0.1, port_value: 0 }} }}
    filter_chains:
    - filters:
      - name: talker
        typed_config:
          "@type": type.googleapis.com/envoy.extensions.filters.network.wasm.v3.Wasm
          config:
            name: talker
            vm_config:
              runtime: envoy.wasm.runtime.v8
              code: {{ local: {{ filename: "{module}" }} }}
      - name: tcp
        typed_config:
          "@type": type.googleapis.com/envoy.extensions.filters.network.tcp_proxy.v3.TcpProxy
          stat_prefix: tcp
          cluster: origin
  clusters:
  - name: origin
    type: STATIC
    connect_timeout: 2s
    load_assignment:
      cluster_name: origin
      endpoints: [{{ lb_endpoints: [{{ endpoint: {{ address: {{ socket_address: {{ address: {ip}, port_value: {port} }} }} }} }}] }}]
"#,
        module = module.display(),
        ip = address.ip(),
        port = address.port(),
    );
    let envoy = tidegate_testkit::Envoy::start(&config);
    let found = differences(envoy.address(), &origin);
    assert!(found.is_empty(), "{}\n{}", found.join("\n"), envoy.log());
}

#[test]
fn data_passes_filters_in_order_and_answers_in_reverse() {
    let mark = |name: &str, byte: char| {
        let edit = format!(
            r#"(data (i32.const 16) "{byte}")
            (func (export "proxy_on_downstream_data") (param i32 i32 i32) (result i32)
                (drop (call $set (i32.const 2) (i32.const -1) (i32.const 0) (i32.const 16) (i32.const 1)))
                (i32.const 0))
            (func (export "proxy_on_upstream_data") (param i32 i32 i32) (result i32)
                (drop (call $set (i32.const 3) (i32.const -1) (i32.const 0) (i32.const 16) (i32.const 1)))
                (i32.const 0))"#
        );
        let imports = r#"(import "env" "proxy_set_buffer_bytes"
            (func $set (param i32 i32 i32 i32 i32) (result i32)))"#;
        Wasm::wat(name, imports, &edit).with(|spec| spec.kind = PluginKind::Network)
    };
    let origin = Port::new();
    let gateway = Gateway::to(origin.address())
        .tcp()
        .plugin(&mark("first", '1'))
        .plugin(&mark("second", '2'))
        .start();
    let (mut client, mut server) = connected(gateway.address(), &origin);
    client.send("up");
    server.expect("up12");
    server.send("down");
    client.expect("down21");
    client.end();
    // A filter may add to the end, too.
    server.expect("12");
    server.expect_end();
}

#[test]
fn a_filter_reads_who_the_client_is_also_behind_a_proxy() {
    let origin = Port::new();
    let gateway = Gateway::to(origin.address())
        .tcp()
        .proxied()
        .plugin(&talker::filter("talker"))
        .start();
    let mut client = Wire::connect(gateway.address());
    client.send("PROXY TCP4 192.0.2.7 198.51.100.1 4097 443\r\n@");
    origin.accept().expect("192.0.2.7:4097");
}

#[test]
fn a_new_connection_that_a_filter_holds_leads_nowhere_until_it_resumes() {
    let origin = Port::new();
    let gateway = Gateway::to(origin.address())
        .tcp()
        .plugin(&talker::filter_that_waits("waits"))
        .start();
    let (mut client, mut server) = connected(gateway.address(), &origin);
    server.send("220 ready");
    client.expect("220 ready");
    client.send("ab");
    server.expect("ab");
}

#[test]
fn a_connection_that_a_filter_closes_at_once_never_reaches_an_origin() {
    let origin = Port::new();
    let gateway = Gateway::to(origin.address())
        .tcp()
        .plugin(&talker::filter_that_closes("closes"))
        .start();
    let mut client = Wire::connect(gateway.address());
    client.expect_end();
    let line = gateway.log_lines(1).concat();
    assert!(line.contains(" 0 plugin_closed_stream "), "{line}");
    assert!(line.contains(" endpoint=- attempts=0 "), "{line}");
    assert!(origin.try_accept().is_none());
}

#[test]
fn a_filter_that_holds_for_too_long_is_named_in_the_log() {
    let origin = Port::new();
    let limit = |filter: &Wasm| {
        Gateway::to(origin.address())
            .tcp()
            .plugin(filter)
            .timeouts(|timeouts| timeouts.filter_pause = Duration::from_millis(200))
            .start()
    };
    let gateway = limit(&talker::filter_that_holds("holds"));
    let mut client = Wire::connect(gateway.address());
    client.expect_end();
    let line = gateway.log_lines(1).concat();
    assert!(line.contains(" 0 plugin_pause_timeout "), "{line}");
    assert!(
        line.contains("details=\"plugin holds paused the new connection\""),
        "{line}"
    );
    let gateway = limit(&talker::filter("talker"));
    for (from_client, what) in [(true, "data of the client"), (false, "data of the origin")] {
        let (mut client, mut server) = connected(gateway.address(), &origin);
        let sender = if from_client {
            &mut client
        } else {
            &mut server
        };
        sender.send(if from_client { "h" } else { "H" });
        client.expect_reset();
        server.expect_reset();
        let line = eventually("the line", || {
            let lines = gateway.log_lines(1);
            lines.into_iter().find(|line| line.contains(what))
        });
        assert!(line.contains(" 0 plugin_pause_timeout "), "{line}");
    }
    let plugins = gateway.metrics().plugins;
    let numbers = plugins.get("talker").expect("it was counted");
    assert_eq!(numbers.pause_timeouts, 2);
}

#[test]
fn what_filters_hold_is_bounded_and_the_sender_waits() {
    let origin = Port::new();
    let gateway = Gateway::to(origin.address())
        .tcp()
        .plugin(&talker::filter("talker"))
        .sizes(|sizes| sizes.buffered_body_bytes = 64 * 1024)
        // While it is held so, the end of a client is not seen.
        .timeouts(|timeouts| timeouts.drain = Duration::from_millis(100))
        .start();
    let (mut client, _server) = connected(gateway.address(), &origin);
    client.send("h");
    client.fill(64 * 1024 * 1024);
    let metrics = gateway.metrics();
    let received = metrics.tcp.get("web").expect("the listener's").received;
    assert!(received <= 3 * 64 * 1024, "{received} bytes are held");
}

#[test]
fn a_trap_closes_the_connection_of_a_filter_that_fails_closed_and_no_later_one() {
    let origin = Port::new();
    let gateway = Gateway::to(origin.address())
        .tcp()
        .plugin(&talker::filter("talker"))
        .start();
    let (mut client, mut server) = connected(gateway.address(), &origin);
    client.send("t");
    client.expect_reset();
    server.expect_reset();
    let line = gateway.log_lines(1).concat();
    assert!(line.contains(" 0 plugin_fault "), "{line}");
    assert!(line.contains("details=\"plugin talker\""), "{line}");
    let (mut client, mut server) = connected(gateway.address(), &origin);
    client.send("ab");
    server.expect("ab");
}

#[test]
fn a_trap_lets_connections_pass_if_the_filter_fails_open() {
    let origin = Port::new();
    let gateway = Gateway::to(origin.address())
        .tcp()
        .plugin(&talker::filter("talker").fail_open())
        .start();
    let (mut held, mut waits) = connected(gateway.address(), &origin);
    held.send("h1");
    let (mut client, mut server) = connected(gateway.address(), &origin);
    client.send("t");
    server.expect("t");
    client.send("and more");
    server.expect("and more");
    // What it held in other connections passes too.
    waits.expect("h1");
    let line = {
        client.end();
        server.expect_end();
        server.end();
        client.expect_end();
        gateway.log_lines(1).concat()
    };
    assert!(line.contains(" 0 - "), "{line}");
}

#[test]
fn a_refused_filter_closes_connections_or_lets_them_pass_as_its_policy_says() {
    let origin = Port::new();
    let talker = talker::filter("talker");
    let gateway = |policy| {
        Gateway::to(origin.address())
            .tcp()
            .plugin(&talker)
            .refused(&talker, policy)
            .start()
    };
    let closed = gateway(FailurePolicy::FailClosed);
    Wire::connect(closed.address()).expect_end();
    let line = closed.log_lines(1).concat();
    assert!(line.contains(" 0 plugin_unavailable "), "{line}");
    let open = gateway(FailurePolicy::FailOpen);
    let (mut client, mut server) = connected(open.address(), &origin);
    client.send("t");
    server.expect("t");
}

#[test]
fn a_filter_of_requests_is_refused_on_connections_and_the_other_way_round() {
    let origin = Port::new();
    let http = talker::filter("talker").with(|spec| spec.kind = PluginKind::Http);
    let gateway = Gateway::to(origin.address()).tcp().plugin(&http).start();
    Wire::connect(gateway.address()).expect_end();
    assert!(gateway.log_lines(1).concat().contains("plugin_unavailable"));
    let network = talker::filter("talker");
    let gateway = Gateway::to(origin.address()).plugin(&network).start();
    assert_eq!(gateway.get("/").status(), 503);
}

#[test]
fn a_connection_may_have_an_instance_of_its_own() {
    let origin = Port::new();
    let own = talker::filter("talker").with(|spec| spec.isolation = Isolation::Stream);
    let gateway = Gateway::to(origin.address()).tcp().plugin(&own).start();
    let (mut first, mut first_server) = connected(gateway.address(), &origin);
    first.send("ab");
    first_server.expect("ab");
    let (mut second, mut second_server) = connected(gateway.address(), &origin);
    second.send("?");
    second_server.expect("c n ");
    second.send("t");
    second_server.expect_reset();
    // The other one's is not affected.
    first.send("cd");
    first.expect_end();
}

#[test]
fn connections_keep_their_filter_through_reloads() {
    let origin = Port::new();
    let mut gateway = Gateway::to(origin.address())
        .tcp()
        .plugin(&talker::filter("talker"))
        .start();
    let (mut client, mut server) = connected(gateway.address(), &origin);
    gateway.change(Gateway::to(origin.address()).tcp());
    client.send("!a");
    server.expect("!a!");
    let (mut newer, mut newer_server) = connected(gateway.address(), &origin);
    newer.send("!a");
    newer.end();
    assert_eq!(newer_server.rest().expect("an end"), b"!a");
    client.end();
    server.expect_end();
}

#[test]
fn a_drain_ends_the_contexts_of_connections_that_it_cuts() {
    let origin = Port::new();
    let gateway = Gateway::to(origin.address())
        .tcp()
        .plugin(&talker::filter("talker"))
        .timeouts(|timeouts| timeouts.drain = Duration::from_millis(200))
        .start();
    let (mut client, mut server) = connected(gateway.address(), &origin);
    client.send("ab");
    server.expect("ab");
    gateway.drain();
    client.expect_reset();
    let metrics = eventually("the last collection", || {
        let metrics = gateway.metrics();
        let usage = &metrics.plugins.get("talker")?.usage;
        let deleted = usage
            .by_callback()
            .find(|one| one.callback == "proxy_on_delete")?;
        Some(deleted.calls)
    });
    // The connection's context and the root's, of the instance and of its spare.
    assert!(metrics >= 2, "{metrics}");
    let log = gateway.stop_for_log().concat();
    assert!(log.contains(" 0 drain_deadline "), "{log}");
}

/// A filter that asks the backend `side` about each new connection, and closes those for which the answer
/// is not 200.
fn asks() -> Wasm {
    let imports = r#"
        (import "env" "proxy_http_call"
            (func $call (param i32 i32 i32 i32 i32 i32 i32 i32 i32 i32) (result i32)))
        (import "env" "proxy_continue_stream" (func $continue (param i32) (result i32)))
        (import "env" "proxy_close_stream" (func $close (param i32) (result i32)))
        (import "env" "proxy_set_effective_context" (func $effective (param i32) (result i32)))
        (import "env" "proxy_get_header_map_value"
            (func $get (param i32 i32 i32 i32 i32) (result i32)))"#;
    let body = r#"
        (data (i32.const 100) "side")
        ;; Pairs: :method GET, :path /, :authority a
        (data (i32.const 200) "\03\00\00\00\07\00\00\00\03\00\00\00\05\00\00\00\01\00\00\00\0a\00\00\00\01\00\00\00:method\00GET\00:path\00/\00:authority\00a\00")
        (data (i32.const 400) ":status")
        (global $connection (mut i32) (i32.const 0))
        (func (export "proxy_on_new_connection") (param $id i32) (result i32)
            (global.set $connection (local.get $id))
            (if (call $call (i32.const 100) (i32.const 4) (i32.const 200) (i32.const 61)
                    (i32.const 0) (i32.const 0) (i32.const 0) (i32.const 0)
                    (i32.const 5000) (i32.const 16))
                (then (unreachable)))
            (i32.const 1))
        (func (export "proxy_on_http_call_response") (param i32 i32 i32 i32 i32)
            (drop (call $get (i32.const 6) (i32.const 400) (i32.const 7)
                (i32.const 16) (i32.const 20)))
            (drop (call $effective (global.get $connection)))
            ;; "200" begins with a 2.
            (if (i32.eq (i32.load8_u (i32.load (i32.const 16))) (i32.const 50))
                (then (drop (call $continue (i32.const 2))))
                (else (drop (call $close (i32.const 2))))))"#;
    Wasm::wat("asks", imports, body).with(|spec| spec.kind = PluginKind::Network)
}

#[test]
fn a_filter_asks_a_backend_before_a_connection_leads_anywhere() {
    let origin = Port::new();
    let answers = |status| tidegate_testkit::Origin::answers(status, "");
    let (good, bad) = (answers(200), answers(403));
    let http2 = tidegate_testkit::Http2Origin::echoes();
    let gateway = |side: SocketAddr| {
        let gateway = Gateway::to(origin.address()).tcp().plugin(&asks());
        gateway.backend("side", side).start()
    };
    let allows = gateway(good.address());
    let (mut client, mut server) = connected(allows.address(), &origin);
    client.send("hello");
    server.expect("hello");
    assert_eq!(good.requests().len(), 1);

    let refuses = gateway(bad.address());
    let mut client = Wire::connect(refuses.address());
    client.expect_end();
    assert!(origin.try_accept().is_none());
    assert!(refuses.log_lines(1)[0].contains("plugin_closed_stream"));

    let over_http2 = Gateway::to(origin.address())
        .tcp()
        .plugin(&asks())
        .http2_backend("side", http2.address())
        .start();
    let (mut client, mut server) = connected(over_http2.address(), &origin);
    server.send("hello");
    client.expect("hello");
    assert_eq!(http2.requests().len(), 1);

    // Nobody is there: the call fails, and that is no 200.
    let alone = gateway(tidegate_testkit::Origin::nowhere());
    Wire::connect(alone.address()).rest().ok();
    assert!(origin.try_accept().is_none());
}

#[test]
fn a_tls_client_that_reads_nothing_is_given_up_when_a_filter_closes() {
    let authority = tidegate_testkit::Authority::root("root");
    let origin = Port::new();
    let gateway = Gateway::to(origin.address())
        .certificate(Some(&authority.server("shop.test").certificate()))
        .tcp_over_tls("shop.test", 0, "origin")
        .timeouts(|timeouts| timeouts.write_stall = Duration::from_secs(2))
        .plugin(&talker::filter("talker"))
        .start();
    let tls = tidegate_testkit::TlsClient::new(&authority.pem, None);
    let mut client = tls.connect(gateway.address(), "shop.test").expect("TLS");
    let mut server = origin.accept();
    // More than all buffers on the way hold.
    server.fill(64 << 20);
    client.send("c").expect("it takes bytes");
    let line = gateway.log_lines(1).remove(0);
    assert!(
        line.contains("plugin_closed_stream") || line.contains("client_stalled"),
        "{line}"
    );
    server.rest().ok();
}
