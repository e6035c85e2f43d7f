//! The rules of TrafficPolicy and Telemetry, and of targets in general.

use std::time::Duration;

use tidegate_core::upgrade::is_forbidden;

use super::Findings;
use super::repeated;
use crate::duration;
use crate::kinds::GATEWAY_GROUP;
use crate::kinds::policy::ForwardClientCert;
use crate::kinds::policy::ForwardClientCertMode;
use crate::kinds::policy::Http2Pings;
use crate::kinds::policy::PolicyTarget;
use crate::kinds::policy::Telemetry;
use crate::kinds::policy::TrafficPolicy;
use crate::kinds::policy::TrafficPolicySpec;
use crate::kinds::text::DurationText;
use crate::kinds::text::SizeText;
use crate::place::At;
use crate::place::Span;
use crate::size;
use crate::suggest::nearest;

const GATEWAY: (&str, &str) = (GATEWAY_GROUP, "Gateway");
/// Everything that a TrafficPolicy may be for.
const TRAFFIC: [(&str, &str); 5] = [
    GATEWAY,
    (GATEWAY_GROUP, "HTTPRoute"),
    (GATEWAY_GROUP, "GRPCRoute"),
    (GATEWAY_GROUP, "TCPRoute"),
    (GATEWAY_GROUP, "TLSRoute"),
];
/// Kinds that some fields are for.
const GATEWAYS: &[&str] = &["Gateway"];
const HTTP_ROUTE: &[&str] = &["HTTPRoute"];
const HTTP_ROUTES: &[&str] = &["HTTPRoute", "GRPCRoute"];
const HTTP: &[&str] = &["Gateway", "HTTPRoute", "GRPCRoute"];
const L4: &[&str] = &["Gateway", "TCPRoute", "TLSRoute"];

/// Targets must be of kinds that can be targets, each named once.
pub(super) fn check_targets(
    targets: &[PolicyTarget],
    kinds: &[(&str, &str)],
    findings: &mut Findings,
) {
    for target in targets {
        let given = (target.group.as_str(), target.kind.as_str());
        if kinds.contains(&given) {
            continue;
        }
        let names = kinds.iter().map(|(_, kind)| *kind);
        if let Some((group, kind)) = kinds.iter().find(|(_, kind)| *kind == given.1) {
            let message = format!("{kind} is not of the group {:?}", given.0);
            findings.with_hint(
                target.group.span,
                message,
                format!("write `group: {group:?}`"),
            );
        } else {
            let all: Vec<&str> = names.clone().collect();
            let hint = match nearest(given.1, names) {
                Some(near) => format!("did you mean `{near}`?"),
                None => format!("one of: {}", all.join(", ")),
            };
            let message = format!("a {} cannot be a target", given.1);
            findings.with_hint(target.kind.span, message, hint);
        }
    }
    let key = |target: &PolicyTarget| {
        let section = target.section_name.as_ref().map(|name| name.to_string());
        (target.kind.to_string(), target.name.to_string(), section)
    };
    repeated(targets.iter().map(|one| (key(one), one)), |one| {
        findings.error(
            one.name.span,
            format!("the target `{}` is named twice", *one.name),
        );
    });
}

pub(super) fn check(policy: &TrafficPolicy, findings: &mut Findings) {
    let spec = &policy.spec;
    check_targets(&spec.target_refs, &TRAFFIC, findings);
    for target in &spec.target_refs {
        if let Some(section) = &target.section_name
            && target.kind.as_str() == "Gateway"
        {
            findings.with_hint(
                section.span,
                "a single listener cannot be the target: its port shares the limits",
                "remove `sectionName`",
            );
        }
    }
    for (field, span, kinds) in restricted(spec) {
        let mut targets = spec.target_refs.iter();
        let is_for_one = targets.any(|target| kinds.contains(&target.kind.as_str()));
        if let (Some(span), false) = (span, is_for_one) {
            let kinds: Vec<String> = kinds.iter().map(|kind| format!("{kind}s")).collect();
            let message = format!("`{field}` is for {}, and no target is one", listed(&kinds));
            findings.error(span, message);
        }
    }
    if let Some(timeouts) = &spec.timeouts {
        for (name, value) in [
            ("headerRead", &timeouts.header_read),
            ("keepAlive", &timeouts.keep_alive),
            ("streamIdle", &timeouts.stream_idle),
            ("writeStall", &timeouts.write_stall),
            ("tcpIdle", &timeouts.tcp_idle),
        ] {
            let (least, most) = (Duration::from_millis(1), Duration::from_secs(86_400));
            check_duration(name, value.as_ref(), least, most, findings);
        }
    }
    check_pings(spec.http2_pings.as_ref(), findings);
    for protocol in spec.upgrades.iter().flat_map(|list| &list.value) {
        check_protocol(protocol, findings);
    }
    if let Some(given) = &spec.forward_client_cert {
        check_client_cert(given, findings);
    }
    if let Some(limits) = &spec.limits {
        check_size(
            "headers",
            limits.headers.as_ref(),
            1 << 10,
            1 << 20,
            findings,
        );
        check_size(
            "bufferedBody",
            limits.buffered_body.as_ref(),
            0,
            1 << 30,
            findings,
        );
    }
}

/// The limits of PINGs.
pub(super) fn check_pings(given: Option<&At<Http2Pings>>, findings: &mut Findings) {
    let Some(given) = given else {
        return;
    };
    let second = Duration::from_secs(1);
    for (name, value, most) in [
        ("after", Some(&given.after), 86_400),
        ("within", given.within.as_ref(), 3600),
    ] {
        check_duration(name, value, second, Duration::from_secs(most), findings);
    }
}

/// Details are for what we tell ourselves, each once.
fn check_client_cert(given: &ForwardClientCert, findings: &mut Findings) {
    let Some(details) = &given.details else {
        return;
    };
    let tells = matches!(
        given.mode.value,
        ForwardClientCertMode::AppendForward | ForwardClientCertMode::SanitizeSet
    );
    if !tells {
        let message = "nothing is told of the client's own certificate in this mode";
        let hint = "leave `details` out, or use `SanitizeSet` or `AppendForward`";
        findings.with_hint(details.span, message, hint);
    }
    repeated(details.iter().map(|one| (one.value, one)), |one| {
        findings.error(one.span, format!("`{:?}` is listed twice", one.value));
    });
}

/// A protocol that clients may change to: a name, or a name with a version (RFC 9110 §7.8).
fn check_protocol(protocol: &At<String>, findings: &mut Findings) {
    let token = |part: &str| {
        let fits = |byte: u8| byte.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&byte);
        !part.is_empty() && part.bytes().all(fits)
    };
    if protocol.len() > 64 || !protocol.splitn(2, '/').all(token) {
        let message = format!("{:?} is not a protocol", protocol.value);
        findings.with_hint(protocol.span, message, "such as `websocket` or `SPDY/3.1`");
    } else if is_forbidden(protocol.as_bytes()) {
        let message = format!("{} is never passed on", protocol.value);
        findings.with_hint(
            protocol.span,
            message,
            "remove it: it would carry requests past the gateway",
        );
    }
}

/// `A`, `A and B`, `A, B and C`.
fn listed(words: &[String]) -> String {
    match words {
        [] => String::new(),
        [only] => only.clone(),
        [first @ .., last] => format!("{} and {last}", first.join(", ")),
    }
}

/// A field, where it stands, and the kinds of targets that it means something for.
type Restricted = (&'static str, Option<Span>, &'static [&'static str]);

/// Fields that mean something for some kinds of targets only.
fn restricted(spec: &TrafficPolicySpec) -> Vec<Restricted> {
    fn span<T>(value: Option<&At<T>>) -> Option<Span> {
        value.map(|value| value.span)
    }
    let mut fields = vec![
        ("trustedHops", span(spec.trusted_hops.as_ref()), GATEWAYS),
        (
            "forwardClientCert",
            span(spec.forward_client_cert.as_ref()),
            GATEWAYS,
        ),
        ("upgrades", span(spec.upgrades.as_ref()), HTTP_ROUTE),
        (
            "proxyProtocol",
            span(spec.proxy_protocol.as_ref()),
            GATEWAYS,
        ),
        ("http2Pings", span(spec.http2_pings.as_ref()), GATEWAYS),
    ];
    if let Some(one) = &spec.timeouts {
        fields.extend([
            ("headerRead", span(one.header_read.as_ref()), GATEWAYS),
            ("keepAlive", span(one.keep_alive.as_ref()), GATEWAYS),
            ("writeStall", span(one.write_stall.as_ref()), GATEWAYS),
            ("streamIdle", span(one.stream_idle.as_ref()), HTTP),
            ("tcpIdle", span(one.tcp_idle.as_ref()), L4),
            ("request", span(one.request.as_ref()), HTTP_ROUTES),
            (
                "backendRequest",
                span(one.backend_request.as_ref()),
                HTTP_ROUTES,
            ),
        ]);
    }
    if let Some(limits) = &spec.limits {
        fields.extend([
            ("headers", span(limits.headers.as_ref()), GATEWAYS),
            ("headerCount", span(limits.header_count.as_ref()), GATEWAYS),
            ("bufferedBody", span(limits.buffered_body.as_ref()), HTTP),
        ]);
    }
    fields
}

pub(super) fn check_telemetry(telemetry: &Telemetry, findings: &mut Findings) {
    check_targets(&telemetry.spec.target_refs, &[GATEWAY], findings);
    for target in &telemetry.spec.target_refs {
        if let Some(section) = &target.section_name {
            let message = "a single listener cannot be the target";
            findings.with_hint(section.span, message, "remove `sectionName`");
        }
    }
}

/// A duration within bounds.
pub(super) fn check_duration(
    name: &str,
    given: Option<&At<DurationText>>,
    least: Duration,
    most: Duration,
    findings: &mut Findings,
) {
    let Some(given) = given else {
        return;
    };
    match duration::parse(given) {
        Err(err) => findings.error(given.span, err.to_string()),
        Ok(value) if value < least || value > most => {
            let (least, most) = (shown(least), shown(most));
            let message = format!("`{name}` must be from {least} to {most}, got {}", **given);
            findings.error(given.span, message);
        }
        Ok(_) => {}
    }
}

/// A bound as people write it.
fn shown(bound: Duration) -> String {
    let seconds = bound.as_secs();
    match (seconds, bound.subsec_nanos()) {
        (0, 0) => "0s".to_owned(),
        (_, 0) if seconds.is_multiple_of(3600) => format!("{}h", seconds / 3600),
        _ => format!("{bound:?}"),
    }
}

/// A size within bounds.
pub(super) fn check_size(
    name: &str,
    given: Option<&At<SizeText>>,
    least: usize,
    most: usize,
    findings: &mut Findings,
) {
    let Some(given) = given else {
        return;
    };
    match size::parse(given) {
        Err(err) => findings.error(given.span, err.to_string()),
        Ok(value) if value < least || value > most => {
            let message = format!(
                "`{name}` must be from {least} to {most} bytes, got {}",
                **given
            );
            findings.error(given.span, message);
        }
        Ok(_) => {}
    }
}
