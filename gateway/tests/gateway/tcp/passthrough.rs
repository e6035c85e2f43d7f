//! TLS that goes on as it is, by the name that is asked for, and TLS that ends here around bytes.

use tidegate_core::tls::BundleId;
use tidegate_core::tls::Origination;
use tidegate_core::tls::TlsVersion;
use tidegate_core::tls::Trust;
use tidegate_testkit::Authority;
use tidegate_testkit::Gateway;
use tidegate_testkit::Https;
use tidegate_testkit::Origin;
use tidegate_testkit::Port;
use tidegate_testkit::TlsClient;
use tidegate_testkit::TlsFront;
use tidegate_testkit::Wire;

use super::talker;

/// An origin with TLS, whose certificate is for this name.
fn secured(origin: &Origin, authority: &Authority, name: &str) -> TlsFront {
    let pair = authority.server(name);
    TlsFront::new(origin.address(), &pair, &["http/1.1"], None)
}

#[test]
fn each_name_leads_to_its_origin_and_tls_ends_there() {
    let authority = Authority::root("root");
    let (exact, wild) = (Origin::answers(200, "exact"), Origin::answers(200, "wild"));
    let here = secured(&exact, &authority, "a.test");
    let there = secured(&wild, &authority, "*.shop.test");
    let gateway = Gateway::to(exact.address())
        .backend("exact", here.address())
        .backend("wild", there.address())
        .passthrough("a.test", "exact")
        .passthrough("*.shop.test", "wild")
        .start();
    let client = TlsClient::new(&authority.pem, None);
    for (name, expected) in [
        ("a.test", "exact"),
        ("b.shop.test", "wild"),
        ("A.Test", "exact"),
    ] {
        let answer = client.get(gateway.address(), name, "/");
        assert_eq!(answer.expect("an answer").text(), expected, "{name}");
    }
    let names: Vec<_> = here.seen().into_iter().map(|one| one.server_name).collect();
    assert_eq!(names.len(), 2, "{names:?}");
    let lines = gateway.log_lines(3);
    assert!(
        lines.iter().any(|line| {
            line.contains(" a.test 127.0.0.1 \"- - TCP\" 0 ") && line.contains("host=\"a.test\"")
        }),
        "{lines:?}"
    );
}

#[test]
fn a_name_that_nobody_claims_is_refused_with_an_alert() {
    let origin = Port::new();
    let gateway = Gateway::to(origin.address())
        .passthrough("a.test", "origin")
        .start();
    let authority = Authority::root("root");
    let client = TlsClient::new(&authority.pem, None);
    let refused = client.connect(gateway.address(), "b.test");
    let err = refused.expect_err("nobody is there");
    assert!(err.to_string().contains("UnrecognisedName"), "{err}");
    let nameless = client.without_name().connect(gateway.address(), "a.test");
    nameless.expect_err("it asks for no name");
    assert!(origin.try_accept().is_none());
}

#[test]
fn a_greeting_arrives_whole_however_it_is_cut() {
    let origin = Port::new();
    let gateway = Gateway::to(origin.address())
        .passthrough("", "origin")
        .start();
    let authority = Authority::root("root");
    let hello = TlsClient::new(&authority.pem, None).greeting("a.test");
    let mut client = Wire::connect(gateway.address());
    for byte in &hello {
        client.send([*byte]);
    }
    client.send("and what follows");
    let mut server = origin.accept();
    assert_eq!(server.take(hello.len()), hello);
    server.expect("and what follows");
    server.send("an answer");
    client.expect("an answer");
    client.end();
    server.expect_end();
}

#[test]
fn http_and_bytes_share_an_address_by_name() {
    let authority = Authority::root("root");
    let (web, other) = (Origin::answers(200, "web"), Origin::answers(200, "passed"));
    let front = secured(&other, &authority, "raw.test");
    let certificate = authority.server("web.test").certificate();
    let gateway = Gateway::to(web.address())
        .backend("raw", front.address())
        .certificate(Some(&certificate))
        .https(Https::at("web.test", 0))
        .passthrough("raw.test", "raw")
        .start();
    let client = TlsClient::new(&authority.pem, None);
    for (name, expected) in [("web.test", "web"), ("raw.test", "passed")] {
        let answer = client.get(gateway.address(), name, "/");
        assert_eq!(answer.expect("an answer").text(), expected, "{name}");
    }
}

#[test]
fn the_filter_of_a_connection_whose_tls_ends_here_sees_what_is_inside() {
    let authority = Authority::root("root");
    let certificate = authority.server("a.test").certificate();
    let origin = Port::new();
    let gateway = Gateway::to(origin.address())
        .certificate(Some(&certificate))
        .tcp_over_tls("a.test", 0, "origin")
        .plugin(&talker::filter("talker"))
        .start();
    let client = TlsClient::new(&authority.pem, None);
    let mut client = client.connect(gateway.address(), "a.test").expect("TLS");
    client.send("!in the clear").expect("sent");
    let mut server = origin.accept();
    server.expect("!in the clear!");
}

#[test]
fn bytes_go_to_an_origin_over_tls_if_it_wants_that() {
    let authority = Authority::root("root");
    let origin = Origin::answers(200, "hello");
    let front = secured(&origin, &authority, "origin.test");
    let gateway = Gateway::to(front.address())
        .bundle(Some(&authority.bundle()))
        .origin_tls(Origination {
            hostname: "origin.test".into(),
            trust: Trust::Bundles(vec![BundleId(0)]),
            subject_alt_names: Vec::new(),
            client_certificate: None,
            min_version: TlsVersion::Tls12,
        })
        .tcp()
        .start();
    let mut client = gateway.client();
    assert_eq!(client.get("/").text(), "hello");
    let seen = front.seen();
    assert_eq!(
        (seen[0].server_name.as_deref(), seen[0].protocol.as_deref()),
        (Some("origin.test"), None)
    );
    let broken = Gateway::to(front.address())
        .bundle(Some(&Authority::root("another").bundle()))
        .origin_tls(Origination {
            hostname: "origin.test".into(),
            trust: Trust::Bundles(vec![BundleId(0)]),
            subject_alt_names: Vec::new(),
            client_certificate: None,
            min_version: TlsVersion::Tls12,
        })
        .tcp()
        .start();
    Wire::connect(broken.address()).expect_end();
    let line = broken.log_lines(1).concat();
    assert!(line.contains(" 0 upstream_tls_untrusted "), "{line}");
}

#[test]
fn what_is_passed_through_gets_no_second_tls_around_it() {
    let authority = Authority::root("root");
    let origin = Origin::answers(200, "hello");
    let front = secured(&origin, &authority, "a.test");
    // The backend is reached over TLS where requests are ours to send.
    let gateway = Gateway::to(front.address())
        .bundle(Some(&authority.bundle()))
        .origin_tls(Origination {
            hostname: "a.test".into(),
            trust: Trust::Bundles(vec![BundleId(0)]),
            subject_alt_names: Vec::new(),
            client_certificate: None,
            min_version: TlsVersion::Tls12,
        })
        .passthrough("", "origin")
        .start();
    let client = TlsClient::new(&authority.pem, None);
    let answer = client.get(gateway.address(), "a.test", "/");
    assert_eq!(answer.expect("an answer").text(), "hello");
    // Nor if the client asks for no name.
    let nameless = client.without_name().get(gateway.address(), "a.test", "/");
    assert_eq!(nameless.expect("an answer").text(), "hello");
}
