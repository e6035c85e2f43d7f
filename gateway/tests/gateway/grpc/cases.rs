//! What a filter hears of calls and streams that go well, badly and wrong.

use std::net::SocketAddr;

use tidegate_testkit::Envoy;
use tidegate_testkit::Gateway;
use tidegate_testkit::GrpcOrigin;
use tidegate_testkit::Origin;

use super::envoy;
use super::probe;
use super::probe::Probe;

/// `envoy_grpc { cluster_name: "grpc" }` as a serialized `GrpcService`.
const DESCRIBED: &[u8] = b"\x0a\x06\x0a\x04grpc";
/// One that names no backend.
const DESCRIBED_LOST: &[u8] = b"\x0a\x06\x0a\x04lost";

/// A call or stream to a backend, and what its filter hears. A `*` at the end of a line is any text.
struct Case {
    backend: &'static [u8],
    method: &'static str,
    heard: &'static [&'static str],
}

const fn case(
    backend: &'static [u8],
    method: &'static str,
    heard: &'static [&'static str],
) -> Case {
    Case {
        backend,
        method,
        heard,
    }
}

const CALLS: &[Case] = &[
    case(b"grpc", "Unary", &["receive 7 re:ping"]),
    case(DESCRIBED, "Unary", &["receive 7 re:ping"]),
    case(b"grpc", "Echo", &["receive 4 ping"]),
    case(b"grpc", "Split", &["receive 10 bit by bit"]),
    case(b"grpc", "Three", &["receive 5 three"]),
    case(b"grpc", "Denied", &["close 7 no%20entry"]),
    case(b"grpc", "Fails", &["close 9 not now"]),
    case(b"grpc", "FailsLate", &["close 9 not now"]),
    case(b"grpc", "Empty", &["close 13 *"]),
    case(b"grpc", "NoTrailers", &["close 2 *"]),
    case(b"grpc", "NoStatus", &["close 2 *"]),
    case(b"grpc", "Cut", &["close 2 *"]),
    case(b"grpc", "Odd", &["close 4294967295 *"]),
    case(b"grpc", "Compressed", &["close 13 *"]),
    case(b"grpc", "Http200", &["close 13 *"]),
    case(b"grpc", "Http302", &["close 2 *"]),
    case(b"grpc", "Http400", &["close 13 *"]),
    case(b"grpc", "Http401", &["close 16 *"]),
    case(b"grpc", "Http403", &["close 7 *"]),
    case(b"grpc", "Http404", &["close 12 *"]),
    case(b"grpc", "Http429", &["close 14 *"]),
    case(b"grpc", "Http503", &["close 14 *"]),
    case(b"grpc", "Nonsense", &["close 12 no such method"]),
    case(b"grpc", "Never", &["close 14 upstream request timeout"]),
    case(b"grpc", "Half", &["close 13 *"]),
    case(
        b"grpc",
        "Resets",
        &[
            "close 14 upstream connect error or disconnect/reset before headers. reset reason: remote reset",
        ],
    ),
    case(
        b"grpc",
        "Refuses",
        &[
            "close 14 upstream connect error or disconnect/reset before headers. reset reason: remote refused stream reset",
        ],
    ),
    case(b"grpc", "ResetsLate", &["close 13 *"]),
    case(
        b"grpc",
        "Hangup",
        &[
            "close 14 upstream connect error or disconnect/reset before headers. reset reason: connection termination",
        ],
    ),
    case(
        b"nowhere",
        "Unary",
        &[
            "close 14 upstream connect error or disconnect/reset before headers. reset reason: remote connection failure",
        ],
    ),
    case(b"silent", "Unary", &["close 14 upstream request timeout"]),
    case(
        b"http1",
        "Unary",
        &[
            "close 14 upstream connect error or disconnect/reset before headers. reset reason: protocol error",
        ],
    ),
];

const INITIAL: &str = "initial :status=200 content-type=application/grpc x-initial=hello";

const STREAMS: &[Case] = &[
    case(
        b"grpc",
        "Echo",
        &[
            INITIAL,
            "receive 2 hi",
            "trailing grpc-status=0",
            "close 0 *",
        ],
    ),
    case(
        DESCRIBED,
        "Echo",
        &[
            INITIAL,
            "receive 2 hi",
            "trailing grpc-status=0",
            "close 0 *",
        ],
    ),
    case(
        b"grpc",
        "Three",
        &[
            INITIAL,
            "receive 3 one",
            "receive 0 ",
            "receive 5 three",
            "trailing grpc-status=0",
            "close 0 *",
        ],
    ),
    case(
        b"grpc",
        "Split",
        &[
            INITIAL,
            "receive 10 bit by bit",
            "trailing grpc-status=0",
            "close 0 *",
        ],
    ),
    case(
        b"grpc",
        "Empty",
        &[INITIAL, "trailing grpc-status=0", "close 0 *"],
    ),
    case(
        b"grpc",
        "Denied",
        &[
            "initial",
            "trailing :status=200 content-type=application/grpc x-initial=hello grpc-status=7 grpc-message=no%20entry",
            "close 7 no%20entry",
        ],
    ),
    case(
        b"grpc",
        "Fails",
        &[
            INITIAL,
            "trailing grpc-status=9 grpc-message=not now",
            "close 9 not now",
        ],
    ),
    case(
        b"grpc",
        "FailsLate",
        &[
            INITIAL,
            "receive 5 first",
            "trailing grpc-status=9 grpc-message=not now",
            "close 9 not now",
        ],
    ),
    case(
        b"grpc",
        "NoTrailers",
        &[INITIAL, "receive 5 whole", "trailing", "close 2 *"],
    ),
    case(
        b"grpc",
        "NoStatus",
        &[
            INITIAL,
            "receive 5 whole",
            "trailing x-last=yes",
            "close 2 *",
        ],
    ),
    case(b"grpc", "Cut", &[INITIAL, "trailing", "close 2 *"]),
    case(
        b"grpc",
        "Odd",
        &[
            INITIAL,
            "receive 5 whole",
            "trailing grpc-status=many",
            "close 4294967295 *",
        ],
    ),
    case(b"grpc", "Compressed", &[INITIAL, "trailing", "close 13 *"]),
    case(
        b"grpc",
        "ResetsLate",
        &[INITIAL, "receive 5 first", "trailing", "close 13 *"],
    ),
    case(b"grpc", "Half", &[INITIAL]),
    case(b"grpc", "Never", &[]),
    case(
        b"grpc",
        "Http200",
        &[
            "initial :status=200 content-type=text/plain",
            "trailing",
            "close 13 *",
        ],
    ),
    case(b"grpc", "Http404", &["initial", "trailing", "close 12 *"]),
    case(b"grpc", "Http503", &["initial", "trailing", "close 14 *"]),
    case(
        b"grpc",
        "Resets",
        &[
            "initial",
            "trailing :status=200 content-type=application/grpc grpc-status=14 grpc-message=upstream connect error or disconnect/reset before headers. reset reason: remote reset",
            "close 14 upstream connect error or disconnect/reset before headers. reset reason: remote reset",
        ],
    ),
    case(
        b"grpc",
        "Hangup",
        &[
            "initial",
            "trailing :status=200 content-type=application/grpc grpc-status=14 grpc-message=upstream connect error or disconnect/reset before headers. reset reason: connection termination",
            "close 14 upstream connect error or disconnect/reset before headers. reset reason: connection termination",
        ],
    ),
    case(
        b"nowhere",
        "Echo",
        &[
            "initial",
            "trailing :status=200 content-type=application/grpc grpc-status=14 grpc-message=upstream connect error or disconnect/reset before headers. reset reason: remote connection failure",
            "close 14 upstream connect error or disconnect/reset before headers. reset reason: remote connection failure",
        ],
    ),
    case(b"silent", "Echo", &[]),
];

/// The backends of all cases.
struct Backends {
    grpc: GrpcOrigin,
    silent: Origin,
    http1: Origin,
    nowhere: SocketAddr,
}

impl Backends {
    fn start() -> Self {
        Self {
            grpc: GrpcOrigin::start(),
            silent: Origin::script(|connection| connection.wait_for_close()),
            http1: Origin::replies("HTTP/1.1 400 Bad Request\r\ncontent-length: 0\r\n\r\n"),
            nowhere: Origin::nowhere(),
        }
    }

    fn named(&self) -> [(&'static str, SocketAddr); 4] {
        [
            ("grpc", self.grpc.address()),
            ("silent", self.silent.address()),
            ("http1", self.http1.address()),
            ("nowhere", self.nowhere),
        ]
    }

    fn gateway(&self) -> Gateway {
        let gateway = Gateway::to(self.nowhere).plugin(&probe::filter());
        let all = self.named().into_iter();
        all.fold(gateway, |gateway, (name, address)| {
            gateway.backend(name, address)
        })
        .start()
    }
}

#[track_caller]
fn hears(who: &str, probe: &mut Probe, token: u32, case: &Case) {
    let mut heard = probe.hears(token, case.heard.len());
    // What would come too much has come when a later call has its answer.
    let (status, fence) = probe.call(b"grpc", "Unary", 10_000);
    assert_eq!(status, 0);
    probe.hears(fence, 1);
    heard.clear();
    heard.extend(probe.heard(token));
    let matches = |heard: &String, expected: &&str| match expected.strip_suffix('*') {
        Some(begin) => heard.starts_with(begin),
        None => heard == expected,
    };
    let all = heard.len() == case.heard.len()
        && heard
            .iter()
            .zip(case.heard)
            .all(|(heard, expected)| matches(heard, expected));
    let (backend, method) = (case.backend.escape_ascii(), case.method);
    assert!(
        all,
        "{who}: {method} of {backend}: heard {heard:#?}, expected {:#?}",
        case.heard
    );
}

/// Runs every case through the proxy at `address`.
#[track_caller]
fn behaves(who: &str, address: SocketAddr) {
    let mut probe = Probe::at(address);
    for case in CALLS {
        let (status, token) = probe.call(case.backend, case.method, 300);
        assert_eq!((status, token & 3), (0, 1), "{who}: {}", case.method);
        hears(who, &mut probe, token, case);
    }
    for case in STREAMS {
        let (status, token) = probe.stream(case.backend, case.method);
        assert_eq!((status, token & 3), (0, 2), "{who}: {}", case.method);
        // It may be over already.
        probe.send_last(token, b"hi");
        hears(who, &mut probe, token, case);
        probe.cancel(token);
    }
    // An unknown backend is said at once, and nothing is heard of it.
    for (named, refusal) in [(&b"lost"[..], 4), (DESCRIBED_LOST, 10)] {
        assert_eq!(probe.call(named, "Unary", 300), (refusal, 0), "{who}");
        assert_eq!(probe.stream(named, "Unary"), (refusal, 0), "{who}");
    }
    conversation(who, &mut probe);
    cancelled(who, &mut probe);
    strange_tokens(who, &mut probe);
}

/// Messages go both ways while a stream is open, and closing it ends only this side.
#[track_caller]
fn conversation(who: &str, probe: &mut Probe) {
    let (_, token) = probe.stream(b"grpc", "Echo");
    assert_eq!(probe.send(token, b"one"), 0, "{who}");
    assert_eq!(probe.hears(token, 2), [INITIAL, "receive 3 one"], "{who}");
    assert_eq!(probe.send(token, b""), 0, "{who}");
    let heard = probe.hears(token, 3);
    assert_eq!(
        heard.last().map(String::as_str),
        Some("receive 0 "),
        "{who}"
    );
    assert_eq!(probe.close(token), 0, "{who}");
    let end = probe.hears(token, 5).split_off(3).join(", ");
    assert!(
        end.starts_with("trailing grpc-status=0, close 0"),
        "{who}: {end}"
    );
    assert_eq!(probe.send(token, b"late"), 1, "{who}");
    assert_eq!(probe.close(token), 1, "{who}");
    assert_eq!(probe.cancel(token), 1, "{who}");
}

/// Nothing is heard of what was cancelled.
#[track_caller]
fn cancelled(who: &str, probe: &mut Probe) {
    let nothing = case(b"grpc", "Never", &[]);
    let (_, call) = probe.call(b"grpc", "Never", 0);
    assert_eq!((probe.cancel(call), probe.cancel(call)), (0, 1), "{who}");
    hears(who, probe, call, &nothing);
    let (_, call) = probe.call(b"grpc", "Never", 0);
    assert_eq!((probe.close(call), probe.close(call)), (0, 1), "{who}");
    hears(who, probe, call, &nothing);
    let (_, stream) = probe.stream(b"grpc", "Never");
    assert_eq!(
        (probe.cancel(stream), probe.send(stream, b"x")),
        (0, 1),
        "{who}"
    );
    hears(who, probe, stream, &nothing);
}

#[track_caller]
fn strange_tokens(who: &str, probe: &mut Probe) {
    for (token, sent, ended) in [
        (0, 2, 2),
        (1, 2, 1),
        (2, 1, 1),
        (3, 2, 2),
        (40_000, 2, 2),
        (40_001, 2, 1),
        (40_002, 1, 1),
        (40_003, 2, 2),
    ] {
        let did = (
            probe.send(token, b"x"),
            probe.cancel(token),
            probe.close(token),
        );
        assert_eq!(did, (sent, ended, ended), "{who}: {token}");
    }
}

#[test]
fn grpc_calls_and_streams_behave_on_tidegate_as_expected() {
    let backends = Backends::start();
    let gateway = backends.gateway();
    behaves("tidegate", gateway.address());
}

#[test]
fn grpc_calls_and_streams_behave_on_envoy_as_on_tidegate() {
    if !Envoy::wanted() {
        return;
    }
    let backends = Backends::start();
    let (envoy, _module) = envoy::start(&probe::filter(), &backends.named());
    behaves("envoy", envoy.address());
}
