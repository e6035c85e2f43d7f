//! TLS towards origins: who is believed, what is shown, what a failure is called.

use std::sync::Arc;

use tidegate_core::tls::BundleId;
use tidegate_core::tls::CertificateId;
use tidegate_core::tls::Origination;
use tidegate_core::tls::SubjectAltName;
use tidegate_core::tls::TlsVersion;
use tidegate_core::tls::Trust;
use tidegate_testkit::Authority;
use tidegate_testkit::Gateway;
use tidegate_testkit::Leaf;
use tidegate_testkit::Origin;
use tidegate_testkit::Pair;
use tidegate_testkit::TlsFront;

/// TLS that believes the first bundle.
pub(crate) fn believing(host: &str) -> Origination {
    Origination {
        hostname: host.into(),
        trust: Trust::Bundles(vec![BundleId(0)]),
        subject_alt_names: Vec::new(),
        client_certificate: None,
        min_version: TlsVersion::Tls12,
    }
}

fn front(origin: &Origin, pair: &Pair) -> TlsFront {
    TlsFront::new(origin.address(), pair, &["http/1.1"], None)
}

#[test]
fn requests_go_to_the_origin_over_tls_and_connections_are_kept() {
    let authority = Authority::root("root");
    let origin = Origin::answers(200, "hello");
    let front = front(
        &origin,
        &authority.intermediate("below").server("origin.test"),
    );
    let gateway = Gateway::to(front.address())
        .bundle(Some(&authority.bundle()))
        .origin_tls(believing("origin.test"))
        .start();
    let mut client = gateway.client();
    for _ in 0..3 {
        assert_eq!(client.get("/").text(), "hello");
    }
    let seen = front.seen();
    assert_eq!(seen.len(), 1, "{seen:?}");
    assert_eq!(seen[0].server_name.as_deref(), Some("origin.test"));
    assert_eq!(seen[0].protocol.as_deref(), Some("http/1.1"));
}

#[test]
fn sessions_with_origins_are_resumed() {
    let authority = Authority::root("root");
    let origin = Origin::replies_then_closes(
        "HTTP/1.1 200 OK\r\ncontent-length: 0\r\nconnection: close\r\n\r\n",
    );
    let front = front(&origin, &authority.server("origin.test"));
    let gateway = Gateway::to(front.address())
        .bundle(Some(&authority.bundle()))
        .origin_tls(believing("origin.test"))
        .start();
    for _ in 0..3 {
        assert_eq!(gateway.get("/").status(), 200);
    }
    let resumed: Vec<bool> = front.seen().iter().map(|one| one.resumed).collect();
    assert_eq!(resumed, [false, true, true]);
}

#[test]
fn an_origin_whose_certificate_is_revoked_is_not_believed_whatever_its_names() {
    let authority = Authority::root("root");
    let origin = Origin::answers(200, "hello");
    let leaf = Leaf::named("origin.test")
        .uri("spiffe://td/origin")
        .serial(7);
    let front = front(&origin, &authority.sign(&leaf));
    let by_name = Origination {
        subject_alt_names: vec![SubjectAltName::Uri("spiffe://td/origin".into())],
        ..believing("other.test")
    };
    for settings in [believing("origin.test"), by_name] {
        let builder = |serials: &[u64]| {
            Gateway::to(front.address())
                .bundle(Some(
                    &authority.bundle_with(&authority.revoked(serials, 4000)),
                ))
                .origin_tls(settings.clone())
        };
        let mut gateway = builder(&[8]).start();
        assert_eq!(gateway.get("/").status(), 200);
        gateway.change(builder(&[7, 8]));
        assert_eq!(
            gateway.get("/").status(),
            502,
            "also where a connection was kept"
        );
        let log = gateway.stop_for_log().join("\n");
        assert!(log.contains("upstream_tls_certificate"), "{log}");
    }
}

#[track_caller]
fn check_refused(leaf: &Leaf, settings: Origination, signed_by: Option<&Authority>, flag: &str) {
    let authority = Authority::root("root");
    let origin = Origin::answers(200, "hello");
    let pair = signed_by.unwrap_or(&authority).sign(leaf);
    let front = front(&origin, &pair);
    let gateway = Gateway::to(front.address())
        .bundle(Some(&authority.bundle()))
        .origin_tls(settings)
        .start();
    assert_eq!(gateway.get("/").status(), 502);
    let log = gateway.stop_for_log().join("\n");
    assert!(log.contains(flag), "{log:?} without {flag}");
    assert!(origin.requests().is_empty());
}

#[test]
fn a_certificate_that_is_not_to_be_believed_ends_with_a_reason() {
    let good = Leaf::named("origin.test");
    check_refused(
        &good.clone().years(2001, 2002),
        believing("origin.test"),
        None,
        "upstream_tls_expired",
    );
    check_refused(&good, believing("other.test"), None, "upstream_tls_name");
    check_refused(
        &good,
        believing("origin.test"),
        Some(&Authority::root("stranger")),
        "upstream_tls_untrusted",
    );
    check_refused(
        &good.for_clients(),
        believing("origin.test"),
        None,
        "upstream_tls_certificate",
    );
    // Without the one between, nobody known has signed it.
    let authority = Authority::root("root");
    let below = authority.intermediate("below");
    let origin = Origin::answers(200, "hello");
    let front = front(&origin, &below.server("origin.test").bare());
    let gateway = Gateway::to(front.address())
        .bundle(Some(&authority.bundle()))
        .origin_tls(believing("origin.test"))
        .start();
    assert_eq!(gateway.get("/").status(), 502);
    assert!(gateway.stop_for_log()[0].contains("upstream_tls_untrusted"));
}

#[test]
fn listed_names_are_expected_instead_of_the_host_name() {
    let leaf = Leaf::named("inner.test").uri("spiffe://td/origin");
    let listed = |names: &[SubjectAltName]| Origination {
        subject_alt_names: names.to_vec(),
        ..believing("outer.test")
    };
    for names in [
        [SubjectAltName::Uri("spiffe://td/origin".into())],
        [SubjectAltName::Dns("inner.test".into())],
        [SubjectAltName::Dns("*.test".into())],
    ] {
        let authority = Authority::root("root");
        let origin = Origin::answers(200, "hello");
        let front = front(&origin, &authority.sign(&leaf));
        let gateway = Gateway::to(front.address())
            .bundle(Some(&authority.bundle()))
            .origin_tls(listed(&names))
            .start();
        assert_eq!(gateway.get("/").status(), 200, "{names:?}");
        assert_eq!(front.seen()[0].server_name.as_deref(), Some("outer.test"));
    }
    let wrong = listed(&[
        SubjectAltName::Uri("spiffe://td/other".into()),
        SubjectAltName::Dns("outer.test".into()),
    ]);
    check_refused(&leaf, wrong, None, "upstream_tls_name");
}

#[test]
fn an_origin_that_speaks_no_tls_ends_with_a_reason() {
    let origin = Origin::script(|connection| {
        connection.send("HTTP/1.1 400 Bad Request\r\ncontent-length: 0\r\n\r\n")?;
        connection.wait_for_close()
    });
    let authority = Authority::root("root");
    let gateway = Gateway::to(origin.address())
        .bundle(Some(&authority.bundle()))
        .origin_tls(believing("origin.test"))
        .start();
    assert_eq!(gateway.get("/").status(), 502);
    let log = gateway.stop_for_log().join("\n");
    assert!(log.contains("upstream_tls_handshake"), "{log}");
    assert!(
        log.contains("corrupt message"),
        "the log has the library's words: {log}"
    );
}

#[test]
fn an_origin_that_never_ends_its_handshake_is_given_up() {
    let origin = Origin::script(|connection| connection.wait_for_close());
    let authority = Authority::root("root");
    let gateway = Gateway::to(origin.address())
        .bundle(Some(&authority.bundle()))
        .origin_tls(believing("origin.test"))
        .timeouts(|timeouts| timeouts.connect = std::time::Duration::from_millis(200))
        .start();
    assert_eq!(gateway.get("/").status(), 504);
    assert!(gateway.stop_for_log()[0].contains("connect_timeout"));
}

#[test]
fn an_origin_that_asks_is_shown_the_client_certificate() {
    let authority = Authority::root("root");
    let origin = Origin::answers(200, "hello");
    let pair = authority.server("origin.test");
    let front = TlsFront::new(origin.address(), &pair, &["http/1.1"], Some(&authority.pem));
    let shown = authority.sign(&Leaf::named("gateway.test").for_clients());
    let build = |certificate: Option<&Arc<_>>| {
        Gateway::to(front.address())
            .bundle(Some(&authority.bundle()))
            .certificate(certificate)
    };
    let with = Origination {
        client_certificate: Some(CertificateId(0)),
        ..believing("origin.test")
    };
    let certificate = shown.certificate();
    let mut gateway = build(Some(&certificate)).origin_tls(with.clone()).start();
    assert_eq!(gateway.get("/").status(), 200);
    assert!(front.seen()[0].certificate);
    // Without one, the origin refuses; one that cannot be used is not quietly left out.
    gateway.change(build(Some(&certificate)).origin_tls(believing("origin.test")));
    assert_eq!(gateway.get("/").status(), 502);
    gateway.change(build(None).origin_tls(with));
    assert_eq!(gateway.get("/").status(), 502);
    assert_eq!(origin.requests().len(), 1);
}

#[test]
fn connections_of_before_a_change_of_trust_are_not_used_after_it() {
    let authority = Authority::root("root");
    let origin = Origin::answers(200, "hello");
    let front = front(&origin, &authority.server("origin.test"));
    let bundle = authority.bundle();
    let build = |bundle| {
        Gateway::to(front.address())
            .bundle(Some(bundle))
            .origin_tls(believing("origin.test"))
    };
    let mut gateway = build(&bundle).start();
    assert_eq!(gateway.get("/").status(), 200);
    gateway.change(build(&bundle));
    assert_eq!(gateway.get("/").status(), 200);
    assert_eq!(
        front.seen().len(),
        1,
        "nothing has changed: the connection is kept"
    );
    let another = Authority::root("another").bundle();
    gateway.change(build(&another));
    assert_eq!(
        gateway.get("/").status(),
        502,
        "nobody believes the origin any more"
    );
    let again = authority.bundle();
    gateway.change(build(&again));
    assert_eq!(gateway.get("/").status(), 200);
    assert_eq!(front.seen().len(), 2);
    assert!(
        !front.seen()[1].resumed,
        "nor is a session of before resumed"
    );
}

#[test]
fn a_body_that_ends_without_the_word_of_tls_is_cut_for_the_client_too() {
    let authority = Authority::root("root");
    // The front passes the end on with TLS' word for it: then the body is complete.
    let origin = Origin::replies_then_closes("HTTP/1.1 200 OK\r\n\r\nuntil the end");
    let front = front(&origin, &authority.server("origin.test"));
    let gateway = Gateway::to(front.address())
        .bundle(Some(&authority.bundle()))
        .origin_tls(believing("origin.test"))
        .start();
    assert_eq!(gateway.get("/").text(), "until the end");
    // Without it, nobody knows whether more was to come.
    let front = TlsFront::that_cuts(origin.address(), &authority.server("origin.test"));
    let gateway = Gateway::to(front.address())
        .bundle(Some(&authority.bundle()))
        .origin_tls(believing("origin.test"))
        .start();
    let mut client = gateway.client();
    client.send("GET / HTTP/1.1\r\nHost: a\r\n\r\n");
    client.try_response().expect_err("the answer is cut");
    assert!(gateway.log_lines(1).join("").contains("upstream_body_cut"));
}
