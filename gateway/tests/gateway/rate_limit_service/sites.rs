//! The rate limit service that both filters ask, and an Envoy that asks it.

use std::net::SocketAddr;

use tidegate_testkit::EnvoyConfig;
use tidegate_testkit::GrpcAnswer;
use tidegate_testkit::GrpcService;

/// A service that answers by a word in what it is asked: well, or badly.
pub(crate) fn limiter() -> GrpcService {
    GrpcService::start(|path, message| {
        assert_eq!(
            path,
            "/envoy.service.ratelimit.v3.RateLimitService/ShouldRateLimit"
        );
        let has = |word: &str| message.windows(word.len()).any(|it| it == word.as_bytes());
        let word = [
            "over-bare",
            "over",
            "said",
            "limits",
            "fails",
            "stalls",
            "resets",
            "garbage",
        ];
        let word = word.into_iter().find(|it| has(it)).unwrap_or_default();
        match word {
            "over-bare" => GrpcAnswer::Message(number(1, 2)),
            "over" => GrpcAnswer::Message(over()),
            "said" => GrpcAnswer::Message(said()),
            "limits" => GrpcAnswer::Message([number(1, 1), statuses()].concat()),
            "fails" => GrpcAnswer::Status(12),
            "stalls" => GrpcAnswer::Never,
            "resets" => GrpcAnswer::Reset,
            "garbage" => GrpcAnswer::Message(b"\x0b\xff".to_vec()),
            _ => GrpcAnswer::Message(number(1, 1)),
        }
    })
}

/// OVER_LIMIT, with all that can be said about it.
fn over() -> Vec<u8> {
    let said = [
        header(3, "x-plan", "free"),
        header(3, "content-type", "application/json"),
        header(4, "x-tier", "free"),
        field(5, b"{}"),
    ];
    [number(1, 2), statuses(), said.concat()].concat()
}

/// OK, with headers both ways.
fn said() -> Vec<u8> {
    let said = [
        header(3, "x-plan", "paid"),
        header(3, "x-plan", "yearly"),
        header(4, "x-tier", "gold"),
        field(5, b"nobody sees this"),
    ];
    [number(1, 1), said.concat()].concat()
}

/// The statuses of two descriptors: 100 a second of which 99 are left, 5 a minute of which none are.
fn statuses() -> Vec<u8> {
    let limit = |requests, unit, name: &str| {
        let limit = [
            number(1, requests),
            number(2, unit),
            field(3, name.as_bytes()),
        ];
        field(2, &limit.concat())
    };
    let reset = |seconds| field(4, &number(1, seconds));
    let first = [
        number(1, 1),
        limit(100, 1, "quick"),
        number(3, 99),
        reset(1),
    ];
    let second = [number(1, 2), limit(5, 2, "slow"), reset(42)];
    [field(2, &first.concat()), field(2, &second.concat())].concat()
}

/// A `HeaderValue`.
fn header(number: u8, name: &str, value: &str) -> Vec<u8> {
    field(
        number,
        &[field(1, name.as_bytes()), field(2, value.as_bytes())].concat(),
    )
}

/// A field of a length below 128.
fn field(number: u8, bytes: &[u8]) -> Vec<u8> {
    let length = u8::try_from(bytes.len()).expect("a short field");
    [&[number << 3 | 2, length], bytes].concat()
}

fn number(field: u8, number: u8) -> Vec<u8> {
    vec![field << 3, number]
}

/// The configuration of an Envoy with its own filter and these limits of its route.
pub(crate) fn envoy(
    filter: &str,
    limits: &str,
    limiter: SocketAddr,
    origin: SocketAddr,
) -> EnvoyConfig {
    let common = "
        domain: edge
        timeout: 0.5s
        rate_limited_as_resource_exhausted: true
        enable_x_ratelimit_headers: DRAFT_VERSION_03
        rate_limit_service:
          transport_api_version: V3
          grpc_service: { envoy_grpc: { cluster_name: limiter } }";
    EnvoyConfig::new()
        .route("match: { prefix: /ready }\ndirect_response: { status: 200 }")
        .route(&format!(
            "match: {{ prefix: / }}\nroute:\n  cluster: origin\n  rate_limits:{limits}"
        ))
        .filter("ratelimit.v3.RateLimit", &[common, filter])
        .cluster("origin", origin)
        .http2_cluster("limiter", limiter)
}
