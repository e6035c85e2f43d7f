//! What a gRPC peer or a filter cannot make the gateway hold.

use tidegate_testkit::Gateway;
use tidegate_testkit::GrpcOrigin;
use tidegate_testkit::Origin;
use tidegate_testkit::eventually;

use super::probe;
use super::probe::Probe;

fn small(grpc: &GrpcOrigin) -> Gateway {
    Gateway::to(Origin::nowhere())
        .plugin(&probe::filter())
        .backend("grpc", grpc.address())
        .sizes(|sizes| sizes.callout_body_bytes = 16 * 1024)
        .start()
}

#[test]
fn a_message_over_the_limit_ends_its_call_when_its_length_is_known() {
    let grpc = GrpcOrigin::start();
    let gateway = small(&grpc);
    let mut probe = Probe::at(gateway.address());
    for method in ["Huge", "Claims"] {
        let (_, call) = probe.call(b"grpc", method, 10_000);
        let heard = probe.hears(call, 1);
        assert_eq!(heard, ["close 8 a message is longer than 16384 bytes"]);
        let (_, stream) = probe.stream(b"grpc", method);
        let heard = probe.hears(stream, 3);
        assert_eq!(
            heard[1..],
            ["trailing", "close 8 a message is longer than 16384 bytes"]
        );
    }
    eventually("the resets", || (grpc.resets().len() == 4).then_some(()));
}

#[test]
fn a_filter_that_sends_faster_than_its_backend_takes_loses_the_stream() {
    let grpc = GrpcOrigin::start();
    let gateway = small(&grpc);
    let mut probe = Probe::at(gateway.address());
    // This one never reads.
    let (_, stream) = probe.stream(b"grpc", "Half");
    probe.hears(stream, 1);
    let message = [b'x'; 8 * 1024];
    let refused = (0..1000).find(|_| probe.send(stream, &message) != 0);
    assert!(refused.is_some(), "it sends without end");
    let heard = probe.hears(stream, 3);
    assert_eq!(heard[2], "close 8 more messages wait than are allowed");
}

#[test]
fn open_calls_of_a_plugin_are_bounded() {
    let grpc = GrpcOrigin::start();
    let filter = probe::filter().with(|spec| spec.limits.open_calls = 3);
    let gateway = Gateway::to(Origin::nowhere())
        .plugin(&filter)
        .backend("grpc", grpc.address())
        .start();
    let mut probe = Probe::at(gateway.address());
    let opened: Vec<_> = (0..4).map(|_| probe.stream(b"grpc", "Never")).collect();
    assert_eq!(opened[..3], [(0, 6), (0, 10), (0, 14)]);
    assert_eq!(opened[3], (10, 0));
    probe.cancel(6);
    assert_eq!(probe.stream(b"grpc", "Never"), (0, 18));
}

#[test]
fn a_filter_calls_only_the_backends_it_may() {
    let grpc = GrpcOrigin::start();
    let gateway = Gateway::to(Origin::nowhere())
        .plugin(&probe::filter())
        .backend("grpc", grpc.address())
        .backend("secret", grpc.address())
        .may_call(&["grpc"])
        .start();
    let mut probe = Probe::at(gateway.address());
    let described = b"\x0a\x08\x0a\x06secret";
    assert_eq!(probe.call(b"secret", "Unary", 1_000), (4, 0));
    assert_eq!(probe.stream(b"secret", "Unary"), (4, 0));
    assert_eq!(probe.call(described, "Unary", 1_000), (10, 0));
    let (_, call) = probe.call(b"grpc", "Unary", 10_000);
    assert_eq!(probe.hears(call, 1), ["receive 7 re:ping"]);
    assert_eq!(grpc.requests(), ["/test.Echo/Unary"]);
}
