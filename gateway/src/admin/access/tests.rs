//! Who is let in, and who is not.

use std::net::IpAddr;
use std::net::Ipv4Addr;

use http::Request;

use super::Access;
use super::Refusal;
use super::Token;

fn request(line: &str, fields: &[(&str, &str)]) -> Request<()> {
    let (method, uri) = line.split_once(' ').expect("a method and a target");
    let mut builder = Request::builder().method(method).uri(uri);
    for (name, value) in fields {
        builder = builder.header(*name, *value);
    }
    builder.body(()).expect("a request")
}

fn loopback() -> Access {
    Access::tcp(IpAddr::V4(Ipv4Addr::LOCALHOST), None)
}

#[test]
fn only_loopback_names_and_the_bound_address_are_this_server() {
    let at = |bound: &str, host: &str| {
        let access = Access::tcp(bound.parse().expect("an address"), None);
        access.check(&request("GET /", &[("host", host)]))
    };
    for host in [
        "localhost",
        "LOCALHOST:15000",
        "127.0.0.1",
        "127.8.8.8:1",
        "[::1]:15000",
        "[::ffff:127.0.0.1]",
    ] {
        assert_eq!(at("127.0.0.1", host), Ok(()), "{host}");
    }
    for host in [
        "evil.test",
        "127.0.0.1.evil.test",
        "localhost.evil.test",
        "10.0.0.1",
        "evil@localhost",
        "",
        "[::1",
    ] {
        assert_eq!(at("127.0.0.1", host), Err(Refusal::WrongHost), "{host}");
    }
    assert_eq!(at("10.0.0.1", "10.0.0.1:9"), Ok(()));
    assert_eq!(at("0.0.0.0", "10.0.0.1"), Ok(()));
    assert_eq!(at("0.0.0.0", "evil.test"), Err(Refusal::WrongHost));
    let without = loopback().check(&request("GET /", &[]));
    assert_eq!(without, Err(Refusal::WrongHost));
    let two = [("host", "localhost"), ("host", "localhost")];
    assert_eq!(
        loopback().check(&request("GET /", &two)),
        Err(Refusal::WrongHost)
    );
    let absolute = request("GET http://evil.test/", &[("host", "localhost")]);
    assert_eq!(loopback().check(&absolute), Err(Refusal::WrongHost));
    let unix = Access::unix(None);
    assert_eq!(unix.check(&request("GET /", &[("host", "x")])), Ok(()));
}

#[test]
fn pages_of_other_origins_are_refused() {
    let check = |field: (&str, &str)| {
        let fields = [("host", "localhost:15000"), field];
        loopback().check(&request("POST /reload", &fields))
    };
    for field in [
        ("origin", "http://evil.test"),
        ("origin", "null"),
        ("origin", "http://localhost:3000"),
        ("sec-fetch-site", "cross-site"),
        ("sec-fetch-site", "same-site"),
    ] {
        assert_eq!(check(field), Err(Refusal::CrossOrigin), "{field:?}");
    }
    for field in [
        ("origin", "http://localhost:15000"),
        ("sec-fetch-site", "same-origin"),
        ("sec-fetch-site", "none"),
        ("user-agent", "curl"),
    ] {
        assert_eq!(check(field), Ok(()), "{field:?}");
    }
}

#[test]
fn with_a_token_only_probes_go_without() {
    let folder = tempfile::tempdir().expect("a folder");
    let file = folder.path().join("token");
    std::fs::write(&file, "0123456789abcdef\n").expect("written");
    let token = Token::load(&file).expect("a token");
    let access = Access::tcp(IpAddr::V4(Ipv4Addr::UNSPECIFIED), Some(token));
    let check = |line: &str, value: &str| {
        let fields = [("host", "10.0.0.1"), ("authorization", value)];
        access.check(&request(line, &fields))
    };
    assert_eq!(check("GET /metrics", "Bearer 0123456789abcdef"), Ok(()));
    assert_eq!(check("GET /metrics", "bearer  0123456789abcdef"), Ok(()));
    assert_eq!(check("GET /ready", ""), Ok(()));
    for value in [
        "",
        "Bearer",
        "Bearer 0123456789abcde",
        "Bearer 0123456789abcdeff",
        "Bearer 0123456789abcdeg",
        "Basic 0123456789abcdef",
    ] {
        let refused = Err(Refusal::NoToken);
        assert_eq!(check("GET /metrics", value), refused, "{value:?}");
        assert_eq!(check("POST /ready", value), refused, "{value:?}");
    }
    for bad in ["", "short", "two words in one line"] {
        std::fs::write(&file, bad).expect("written");
        assert!(Token::load(&file).is_err(), "{bad:?}");
    }
}
