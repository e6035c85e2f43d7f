//! What the values in HTTPRoute's filters may be: header fields, shares of mirrors, origins.

use http::HeaderName;
use http::HeaderValue;

use super::Findings;
use super::route::check_port;
use crate::kinds::http_filter::CorsFilter;
use crate::kinds::http_filter::HeaderModifier;
use crate::kinds::http_filter::RequestMirror;
use crate::place::Span;

/// Fields that belong to the connection or the framing: the gateway writes them itself.
const NOT_EDITABLE: [&str; 10] = [
    "connection",
    "content-length",
    "keep-alive",
    "proxy-connection",
    "te",
    "trailer",
    "transfer-encoding",
    "upgrade",
    "host",
    "expect",
];

pub(super) fn check_headers(edits: &HeaderModifier, findings: &mut Findings) {
    for list in [&edits.set, &edits.add] {
        let names = list
            .iter()
            .map(|field| (field.name.to_ascii_lowercase(), field));
        super::repeated(names, |field| {
            let message = format!("the field `{}` comes twice in one list", *field.name);
            findings.error(field.name.span, message);
        });
        for field in list {
            check_name(&field.name, field.name.span, findings);
            if HeaderValue::from_str(&field.value).is_err() {
                let message = format!("{:?} cannot be the value of a field", field.value.value);
                findings.error(field.value.span, message);
            }
        }
    }
    for name in &edits.remove {
        check_name(name, name.span, findings);
    }
}

fn check_name(name: &str, span: Span, findings: &mut Findings) {
    if HeaderName::try_from(name).is_err() {
        return findings.error(span, format!("{name:?} is not the name of a field"));
    }
    let lower = name.to_ascii_lowercase();
    if lower == "host" {
        findings.with_hint(
            span,
            "the field `host` cannot be edited",
            "use URLRewrite with `hostname`",
        );
    } else if NOT_EDITABLE.contains(&lower.as_str()) {
        let message = format!("the field `{lower}` cannot be edited: the gateway writes it");
        findings.error(span, message);
    }
}

pub(super) fn check_mirror(mirror: &RequestMirror, findings: &mut Findings) {
    if let (Some(_), Some(fraction)) = (&mirror.percent, &mirror.fraction) {
        findings.error(fraction.span, "either `percent` or `fraction`, not both");
    }
    if let Some(fraction) = &mirror.fraction {
        let denominator = fraction.denominator.as_ref().map_or(100, |one| one.value);
        if fraction.numerator.value > denominator {
            let message = "the numerator is larger than the denominator";
            findings.error(fraction.numerator.span, message);
        }
    }
    let backend = &mirror.backend_ref;
    let (group, kind) = (backend.group.as_deref(), backend.kind.as_deref());
    check_port((group, kind, &backend.name), backend.port, findings);
}

pub(super) fn check_cors(cors: &CorsFilter, findings: &mut Findings) {
    for origin in &cors.allow_origins {
        if !is_origin(origin) {
            let message = format!("{:?} is not an origin", origin.value);
            let hint = "such as `https://shop.test`, `https://*.shop.test`, or `*` for all";
            findings.with_hint(origin.span, message, hint);
        }
    }
    star_alone(
        cors.allow_origins
            .iter()
            .map(|one| (one.as_str(), one.span)),
        "allowOrigins",
        findings,
    );
    star_alone(
        cors.allow_methods
            .iter()
            .map(|one| (one.as_str(), one.span)),
        "allowMethods",
        findings,
    );
    star_alone(
        cors.allow_headers
            .iter()
            .map(|one| (one.as_str(), one.span)),
        "allowHeaders",
        findings,
    );
    star_alone(
        cors.expose_headers
            .iter()
            .map(|one| (one.as_str(), one.span)),
        "exposeHeaders",
        findings,
    );
    for method in &cors.allow_methods {
        let is_known = matches!(
            method.as_str(),
            "GET" | "HEAD" | "POST" | "PUT" | "DELETE" | "CONNECT" | "OPTIONS" | "TRACE" | "PATCH"
        );
        if !is_known && **method != "*" {
            let message = format!("{:?} is not a method", method.value);
            findings.with_hint(
                method.span,
                message,
                "methods are upper case, such as `GET`",
            );
        }
    }
}

fn star_alone<'a>(
    list: impl Iterator<Item = (&'a str, Span)>,
    field: &str,
    findings: &mut Findings,
) {
    let list: Vec<(&str, Span)> = list.collect();
    if let Some((_, span)) = list.iter().find(|(text, _)| *text == "*")
        && list.len() > 1
    {
        let message = format!("`*` stands alone in `{field}`: it means all");
        findings.error(*span, message);
    }
}

/// Whether this is `*`, or scheme and host (its first label may be `*`) with an optional port.
fn is_origin(text: &str) -> bool {
    if text == "*" {
        return true;
    }
    let Some((scheme, rest)) = text.split_once("://") else {
        return false;
    };
    let is_scheme = scheme.starts_with(|first: char| first.is_ascii_alphabetic())
        && scheme
            .bytes()
            .all(|byte| byte.is_ascii_alphanumeric() || b"+-.".contains(&byte));
    let (host, port) = match rest.rsplit_once(':') {
        Some((host, port)) => (host, Some(port)),
        None => (rest, None),
    };
    let bare = host.strip_prefix("*.").unwrap_or(host);
    let is_host = !bare.is_empty()
        && bare
            .bytes()
            .all(|byte| byte.is_ascii_alphanumeric() || b"-._".contains(&byte));
    is_scheme && is_host && port.is_none_or(|port| port.parse::<u16>().is_ok())
}
