//! What requests must be, as the route table wants it.

use foldhash::HashSet;

use http::HeaderName;
use http::Method;
use tidegate_core::path;
use tidegate_core::route::PathMatch;
use tidegate_core::route::RequestMatch;
use tidegate_core::route::ValueMatch;

use super::Patterns;
use crate::kinds::grpc_route::GrpcMatch;
use crate::kinds::grpc_route::GrpcMethodMatch;
use crate::kinds::grpc_route::GrpcRule;
use crate::kinds::http_route::FieldMatch;
use crate::kinds::http_route::HttpMatch;
use crate::kinds::http_route::HttpMethod;
use crate::kinds::http_route::HttpPathMatch;
use crate::kinds::http_route::HttpRule;
use crate::kinds::http_route::PathMatchKind;
use crate::kinds::http_route::ValueMatchKind;
use crate::place::At;

/// The matches of a rule; a rule without any matches all requests (the API's default). Those that
/// cannot be compiled, which a rule has reported, are left out.
pub(super) fn matches(rule: &HttpRule, patterns: &mut Patterns) -> Vec<RequestMatch> {
    if rule.matches.is_empty() {
        return one(&HttpMatch::default(), patterns).into_iter().collect();
    }
    let matches = rule.matches.iter();
    matches.filter_map(|given| one(given, patterns)).collect()
}

/// The matches of a GRPCRoute's rule: a call is a request for `/service/method` (gRPC over HTTP2,
/// "Requests").
pub(super) fn calls(rule: &GrpcRule, patterns: &mut Patterns) -> Vec<RequestMatch> {
    if rule.matches.is_empty() {
        return call(&GrpcMatch::default(), patterns).into_iter().collect();
    }
    let matches = rule.matches.iter();
    matches.filter_map(|given| call(given, patterns)).collect()
}

fn call(given: &GrpcMatch, patterns: &mut Patterns) -> Option<RequestMatch> {
    let path = match &given.method {
        Some(method) => method_match(method, patterns)?,
        None => PathMatch::Prefix("/".into()),
    };
    let fields = HttpMatch {
        headers: given.headers.clone(),
        ..HttpMatch::default()
    };
    Some(RequestMatch {
        path,
        ..one(&fields, patterns)?
    })
}

fn method_match(given: &GrpcMethodMatch, patterns: &mut Patterns) -> Option<PathMatch> {
    if let Some(pattern) = crate::rules::call_pattern(given) {
        return patterns.compile(&pattern).map(PathMatch::Regex);
    }
    let part = |part: &Option<At<String>>| {
        let part = part.as_ref().map(|part| part.value.clone());
        part.filter(|part| !part.is_empty())
    };
    Some(match (part(&given.service), part(&given.method)) {
        (Some(service), Some(method)) => PathMatch::Exact(format!("/{service}/{method}").into()),
        (Some(service), None) => PathMatch::Prefix(format!("/{service}").into()),
        (None, _) => PathMatch::Prefix("/".into()),
    })
}

fn one(given: &HttpMatch, patterns: &mut Patterns) -> Option<RequestMatch> {
    let mut seen = HashSet::default();
    let mut headers = Vec::new();
    for field in &given.headers {
        let name = HeaderName::try_from(field.name.as_str()).ok()?;
        // Of several with one name the first counts.
        if seen.insert(name.clone()) {
            headers.push((name, value(field, patterns)?));
        }
    }
    let mut seen = HashSet::default();
    let mut query = Vec::new();
    for field in &given.query_params {
        if seen.insert(field.name.as_str()) {
            query.push((field.name.as_str().into(), value(field, patterns)?));
        }
    }
    Some(RequestMatch {
        path: path_match(given.path.as_ref(), patterns)?,
        method: given.method.as_ref().map(|given| method(given.value)),
        headers,
        query,
    })
}

fn value(field: &FieldMatch, patterns: &mut Patterns) -> Option<ValueMatch> {
    match field.kind.as_ref().map(|kind| kind.value) {
        Some(ValueMatchKind::RegularExpression) => {
            patterns.compile(&field.value).map(ValueMatch::Regex)
        }
        Some(ValueMatchKind::Exact) | None => Some(ValueMatch::Exact(field.value.as_str().into())),
    }
}

fn path_match(given: Option<&HttpPathMatch>, patterns: &mut Patterns) -> Option<PathMatch> {
    let Some(given) = given else {
        return Some(PathMatch::Prefix("/".into()));
    };
    let value = given.value.as_ref().map_or("/", |value| value.as_str());
    match crate::rules::path_kind(given) {
        PathMatchKind::Exact => normal(value).map(PathMatch::Exact),
        PathMatchKind::PathPrefix => normal(value).map(PathMatch::Prefix),
        PathMatchKind::RegularExpression => patterns.compile(value).map(PathMatch::Regex),
    }
}

/// The form that paths of requests are compared in.
fn normal(value: &str) -> Option<Box<str>> {
    let normal = path::normalise(value.as_bytes()).ok()?;
    Some(std::str::from_utf8(&normal).ok()?.into())
}

const fn method(given: HttpMethod) -> Method {
    match given {
        HttpMethod::Get => Method::GET,
        HttpMethod::Head => Method::HEAD,
        HttpMethod::Post => Method::POST,
        HttpMethod::Put => Method::PUT,
        HttpMethod::Delete => Method::DELETE,
        HttpMethod::Connect => Method::CONNECT,
        HttpMethod::Options => Method::OPTIONS,
        HttpMethod::Trace => Method::TRACE,
        HttpMethod::Patch => Method::PATCH,
    }
}
