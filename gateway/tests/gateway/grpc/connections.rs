//! HTTP/2 connections below gRPC calls: how many, when new ones, and when they go.

use tidegate_testkit::Authority;
use tidegate_testkit::Gateway;
use tidegate_testkit::GrpcOrigin;
use tidegate_testkit::Origin;
use tidegate_testkit::TlsFront;
use tidegate_testkit::eventually;

use super::super::tls_origins::believing;
use super::probe;
use super::probe::Probe;

fn gateway(grpc: &GrpcOrigin) -> Gateway {
    Gateway::to(Origin::nowhere())
        .plugin(&probe::filter())
        .backend("grpc", grpc.address())
        .start()
}

#[test]
fn calls_share_one_connection() {
    let grpc = GrpcOrigin::start();
    let gateway = gateway(&grpc);
    let mut probe = Probe::at(gateway.address());
    let tokens: Vec<u32> = (0..50).map(|_| probe.stream(b"grpc", "Echo").1).collect();
    eventually("all streams", || (grpc.open() == 50).then_some(()));
    for token in tokens {
        probe.send_last(token, b"x");
        assert_eq!(probe.hears(token, 4)[1], "receive 1 x");
    }
    assert_eq!(grpc.connections(), 1);
}

#[test]
fn an_origin_that_takes_few_streams_gets_more_connections_but_not_without_end() {
    let grpc = GrpcOrigin::with(|builder| {
        builder.max_concurrent_streams(1);
    });
    let gateway = gateway(&grpc);
    let mut probe = Probe::at(gateway.address());
    // The first connection has to hear of the limit before it is kept.
    let (_, first) = probe.call(b"grpc", "Unary", 10_000);
    probe.hears(first, 1);
    let tokens: Vec<u32> = (0..40).map(|_| probe.stream(b"grpc", "Echo").1).collect();
    eventually("streams", || (grpc.open() == 8).then_some(()));
    for token in tokens {
        probe.send_last(token, b"x");
        assert_eq!(probe.hears(token, 4)[1], "receive 1 x");
    }
    assert_eq!((grpc.connections(), grpc.most_open()), (8, 8));
}

#[test]
fn a_connection_that_goes_away_gets_no_new_streams_and_keeps_those_it_has() {
    let grpc = GrpcOrigin::start();
    let gateway = gateway(&grpc);
    let mut probe = Probe::at(gateway.address());
    let (_, stream) = probe.stream(b"grpc", "Echo");
    probe.hears(stream, 1);
    let (_, last) = probe.call(b"grpc", "Goaway", 10_000);
    assert_eq!(probe.hears(last, 1), ["receive 7 re:ping"]);
    for _ in 0..20 {
        let (_, next) = probe.call(b"grpc", "Unary", 10_000);
        assert_eq!(probe.hears(next, 1), ["receive 7 re:ping"]);
    }
    assert_eq!(grpc.connections(), 2);
    probe.send_last(stream, b"still here");
    assert_eq!(probe.hears(stream, 4)[1], "receive 10 still here");
}

#[test]
fn a_cancelled_stream_is_reset() {
    let grpc = GrpcOrigin::start();
    let gateway = gateway(&grpc);
    let mut probe = Probe::at(gateway.address());
    let (_, stream) = probe.stream(b"grpc", "Never");
    eventually("the stream", || (grpc.open() == 1).then_some(()));
    probe.cancel(stream);
    let resets = eventually("a reset", || {
        Some(grpc.resets()).filter(|all| !all.is_empty())
    });
    assert_eq!(resets, ["CANCEL"]);
}

#[test]
fn a_call_that_takes_too_long_is_reset() {
    let grpc = GrpcOrigin::start();
    let gateway = gateway(&grpc);
    let mut probe = Probe::at(gateway.address());
    probe.call(b"grpc", "Never", 20);
    let resets = eventually("a reset", || {
        Some(grpc.resets()).filter(|all| !all.is_empty())
    });
    assert_eq!(resets, ["CANCEL"]);
}

#[test]
fn streams_end_with_the_plugin_that_opened_them() {
    let grpc = GrpcOrigin::start();
    let mut gateway = gateway(&grpc);
    let mut probe = Probe::at(gateway.address());
    probe.stream(b"grpc", "Never");
    eventually("the stream", || (grpc.open() == 1).then_some(()));
    drop(probe);
    gateway.change(Gateway::to(Origin::nowhere()).backend("grpc", grpc.address()));
    eventually("the end of the stream", || (grpc.open() == 0).then_some(()));
}

#[test]
fn the_next_endpoint_is_tried_when_one_does_not_answer() {
    let grpc = GrpcOrigin::start();
    let gateway = Gateway::to(Origin::nowhere())
        .plugin(&probe::filter())
        .endpoints(&[Origin::nowhere(), grpc.address()])
        .start();
    let mut probe = Probe::at(gateway.address());
    for _ in 0..4 {
        let (_, call) = probe.call(b"origin", "Unary", 10_000);
        assert_eq!(probe.hears(call, 1), ["receive 7 re:ping"]);
    }
}

#[test]
fn a_request_says_what_grpc_asks_for() {
    let grpc = GrpcOrigin::start();
    let gateway = gateway(&grpc);
    let mut probe = Probe::at(gateway.address());
    let (_, call) = probe.call(b"grpc", "Reports", 4_000);
    let heard = probe.hears(call, 1).remove(0);
    let (_, report) = heard.split_once(" POST ").expect("a report");
    assert_eq!(
        report.trim_end(),
        "http://origin.test/test.Echo/Reports\nte: trailers\ngrpc-timeout: 4000m\n\
         content-type: application/grpc\nx-probe: yes"
    );
    // A call without a limit says none: `0m` would be over at once.
    let (_, call) = probe.call(b"grpc", "Reports", 0);
    assert!(!probe.hears(call, 1)[0].contains("grpc-timeout"));
}

#[test]
fn calls_go_over_tls_to_backends_that_have_it_and_speak_http_2() {
    let authority = Authority::root("root");
    let pair = authority.server("grpc.test");
    let grpc = GrpcOrigin::start();
    for (protocols, heard) in [(["h2"], "receive 7 re:ping"), (["http/1.1"], "close 14 ")] {
        let front = TlsFront::new(grpc.address(), &pair, &protocols, None);
        let gateway = Gateway::to(Origin::nowhere())
            .plugin(&probe::filter())
            .backend("grpc", front.address())
            .backend_tls("grpc", believing("grpc.test"))
            .bundle(Some(&authority.bundle()))
            .start();
        let mut probe = Probe::at(gateway.address());
        let (_, token) = probe.call(b"grpc", "Unary", 10_000);
        let said = probe.hears(token, 1).join(" ");
        assert!(said.starts_with(heard), "{protocols:?}: {said}");
    }
}
