//! Framing rules as tables.

use http::HeaderMap;
use http::HeaderValue;
use http::Method;
use http::StatusCode;
use http::header::CONTENT_LENGTH;
use http::header::HeaderName;

use super::BodyLength;
use super::Framing;
use super::request_framing;
use super::response_framing;
use crate::failure::Failure;
use crate::message::Version;

fn headers(fields: &[(&'static str, &'static str)]) -> HeaderMap {
    let mut map = HeaderMap::new();
    for (name, value) in fields {
        map.append(
            HeaderName::from_static(name),
            HeaderValue::from_static(value),
        );
    }
    map
}

#[track_caller]
fn request(fields: &[(&'static str, &'static str)], expected: Result<Framing, Failure>) {
    let got = request_framing(&mut headers(fields), Version::Http11);
    assert_eq!(got, expected, "{fields:?}");
}

fn open(length: BodyLength) -> Result<Framing, Failure> {
    Ok(Framing {
        length,
        must_close: false,
    })
}

#[test]
fn a_request_without_length_has_no_body() {
    request(&[], open(BodyLength::Empty));
    request(&[("content-length", "0")], open(BodyLength::Empty));
}

#[test]
fn equal_lengths_are_one_and_differing_ones_are_refused() {
    request(
        &[("content-length", "5"), ("content-length", "5")],
        open(BodyLength::Exactly(5)),
    );
    request(&[("content-length", "5, 5")], open(BodyLength::Exactly(5)));
    for bad in [
        "5, 6",
        "+5",
        "-1",
        "5 5",
        "0x5",
        "",
        "18446744073709551616",
        "1e3",
        "5,",
    ] {
        request(&[("content-length", bad)], Err(Failure::BadContentLength));
    }
    request(
        &[("content-length", "5"), ("content-length", "6")],
        Err(Failure::BadContentLength),
    );
}

#[test]
fn only_chunked_alone_is_a_transfer_coding_we_know() {
    request(
        &[("transfer-encoding", "chunked")],
        open(BodyLength::Chunked),
    );
    request(
        &[("transfer-encoding", "Chunked")],
        open(BodyLength::Chunked),
    );
    for unknown in [
        "gzip",
        "gzip, chunked",
        "chunked, gzip",
        "identity",
        "chunkedx",
    ] {
        request(
            &[("transfer-encoding", unknown)],
            Err(Failure::UnsupportedTransferCoding),
        );
    }
    for bad in ["", "chunked, chunked", "chunked,", "\u{b}chunked"] {
        let mut map = HeaderMap::new();
        if let Ok(value) = HeaderValue::from_bytes(bad.as_bytes()) {
            map.append("transfer-encoding", value);
            let got = request_framing(&mut map, Version::Http11);
            assert_eq!(got, Err(Failure::BadTransferEncoding), "{bad:?}");
        }
    }
}

#[test]
fn a_length_beside_a_coding_is_dropped_and_the_connection_closes() {
    let mut map = headers(&[("content-length", "5"), ("transfer-encoding", "chunked")]);
    let got = request_framing(&mut map, Version::Http11);
    assert_eq!(
        got,
        Ok(Framing {
            length: BodyLength::Chunked,
            must_close: true
        })
    );
    assert!(map.is_empty());
}

#[test]
fn an_http_10_request_has_no_transfer_codings() {
    let mut map = headers(&[("transfer-encoding", "chunked")]);
    let got = request_framing(&mut map, Version::Http10);
    assert_eq!(got, Err(Failure::BadTransferEncoding));
}

#[test]
fn a_head_or_304_answer_keeps_its_length_as_information() {
    for (method, status) in [
        (Method::HEAD, StatusCode::OK),
        (Method::GET, StatusCode::NOT_MODIFIED),
    ] {
        let mut map = headers(&[("content-length", "10")]);
        let got = response_framing(&mut map, Version::Http11, &method, status);
        assert_eq!(got, open(BodyLength::Empty));
        assert_eq!(
            map.get(CONTENT_LENGTH).map(HeaderValue::as_bytes),
            Some(&b"10"[..])
        );
    }
}

#[test]
fn a_204_answer_has_neither_body_nor_length() {
    let mut map = headers(&[("content-length", "10")]);
    let status = StatusCode::NO_CONTENT;
    let got = response_framing(&mut map, Version::Http11, &Method::GET, status);
    assert_eq!(got, open(BodyLength::Empty));
    assert!(map.is_empty());
}

#[test]
fn an_answer_without_length_ends_with_its_connection() {
    let got = response_framing(
        &mut headers(&[]),
        Version::Http11,
        &Method::GET,
        StatusCode::OK,
    );
    assert_eq!(
        got,
        Ok(Framing {
            length: BodyLength::UntilClose,
            must_close: true
        })
    );
}

#[test]
fn an_ambiguous_answer_is_refused() {
    for fields in [
        &[("content-length", "5"), ("content-length", "6")][..],
        &[("transfer-encoding", "gzip")],
        &[("transfer-encoding", "chunked, chunked")],
    ] {
        let got = response_framing(
            &mut headers(fields),
            Version::Http11,
            &Method::GET,
            StatusCode::OK,
        );
        assert_eq!(got, Err(Failure::UpstreamProtocol), "{fields:?}");
    }
}
