//! Preparation of requests.

use std::net::IpAddr;

use http::HeaderMap;
use http::HeaderValue;
use http::Method;
use http::header::HeaderName;

use super::Arrival;
use super::Prepared;
use super::Received;
use super::is_normal;
use super::prepare;
use super::renormalise;
use crate::client_certificate::Mode;
use crate::failure::Failure;
use crate::message::Version;

fn receive(
    target: &str,
    version: Version,
    fields: &[(&'static str, &'static str)],
) -> Result<Prepared, Failure> {
    let mut headers = HeaderMap::new();
    for (name, value) in fields {
        headers.append(
            HeaderName::from_static(name),
            HeaderValue::from_static(value),
        );
    }
    prepare(
        Received {
            method: Method::GET,
            target: target.as_bytes(),
            version,
            headers,
        },
        &Arrival {
            peer: IpAddr::from([127, 0, 0, 1]),
            peer_text: &HeaderValue::from_static("127.0.0.1"),
            trusted_hops: 0,
            secure: false,
            client_certificate: None,
            forward_client_cert: Mode::ByTrust,
            random: 7,
        },
    )
}

#[test]
fn a_head_is_normal_if_there_is_nothing_to_change_about_it() {
    for (path, authority, normal) in [
        ("/", "a.test", true),
        ("/a/b?c=../d", "a.test:8080", true),
        ("*", "", true),
        ("/a/../b", "a.test", false),
        ("/%61", "a.test", false),
        ("/a", "A.test", false),
        ("/a", "a b", false),
        ("a", "a.test", false),
        ("", "a.test", false),
    ] {
        let mut head = receive("/", Version::Http11, &[("host", "a.test")]);
        let head = &mut head.as_mut().expect("fine").head;
        head.path = HeaderValue::from_static(path);
        head.authority = HeaderValue::from_static(authority);
        assert_eq!(is_normal(head), normal, "{path} {authority}");
        let before = head.clone();
        let is_kept = renormalise(head).is_ok()
            && (&head.path, &head.authority) == (&before.path, &before.authority);
        assert_eq!(is_kept, normal, "{path} {authority}");
    }
}

#[test]
fn an_absolute_target_outranks_the_host() {
    let got = receive("http://B.test/x", Version::Http11, &[("host", "a.test")]).expect("fine");
    assert_eq!(
        (got.head.authority, got.head.path),
        ("b.test".parse().unwrap(), "/x".parse().unwrap())
    );
}

#[test]
fn a_missing_doubled_or_broken_host_is_refused() {
    for fields in [
        &[][..],
        &[("host", "a"), ("host", "a")],
        &[("host", "a b")],
        &[("host", "")],
    ] {
        let got = receive("/", Version::Http11, fields).map(|_| ());
        assert_eq!(got, Err(Failure::BadHost), "{fields:?}");
    }
    assert!(receive("/", Version::Http10, &[]).is_ok());
}

#[test]
fn what_clients_claim_about_themselves_is_replaced() {
    let got = receive(
        "/",
        Version::Http11,
        &[
            ("host", "a"),
            ("x-request-id", "mine"),
            ("x-forwarded-for", "1.1.1.1"),
        ],
    )
    .expect("fine");
    assert_ne!(got.head.headers["x-request-id"], "mine");
    assert_eq!(got.head.headers["x-forwarded-for"], "127.0.0.1");
}

#[test]
fn connection_cannot_name_what_the_gateway_adds() {
    let got = receive(
        "/",
        Version::Http11,
        &[
            ("host", "a"),
            ("connection", "x-forwarded-for, x-request-id, te"),
            ("te", "trailers"),
        ],
    )
    .expect("fine");
    assert_eq!(got.head.headers["x-forwarded-for"], "127.0.0.1");
    assert!(got.head.headers.contains_key("x-request-id"));
    assert!(got.options.trailers);
}

#[test]
fn only_100_continue_is_an_expectation() {
    let fine = receive(
        "/",
        Version::Http11,
        &[("host", "a"), ("expect", "100-Continue")],
    );
    assert!(fine.expect("fine").expects_continue);
    let bad = receive("/", Version::Http11, &[("host", "a"), ("expect", "tea")]).map(|_| ());
    assert_eq!(bad, Err(Failure::UnsupportedExpectation));
}

#[test]
fn a_wish_to_change_the_protocol_is_taken_off_the_head_and_kept() {
    let wish = |protocol| {
        [
            ("host", "a"),
            ("connection", "upgrade"),
            ("upgrade", protocol),
        ]
    };
    let fields = wish("websocket");
    let got = receive("/", Version::Http11, &fields).expect("a request");
    assert_eq!(got.upgrade, Some(HeaderValue::from_static("websocket")));
    assert!(got.head.headers.get("upgrade").is_none());
    assert!(got.head.headers.get("connection").is_none());
    let got = receive("/", Version::Http10, &fields).expect("a request");
    assert_eq!(got.upgrade, None, "RFC 9110 §7.8");
    let got = receive("/", Version::Http11, &wish("h2c")).expect("a request");
    assert!(got.head.headers.get("upgrade").is_none());
}
