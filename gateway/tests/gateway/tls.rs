//! TLS towards clients: names, certificates, versions, sessions, misdirected requests.

use std::io::Read as _;
use std::io::Write as _;
use std::sync::Arc;

use tidegate_testkit::Authority;
use tidegate_testkit::Client;
use tidegate_testkit::Gateway;
use tidegate_testkit::Https;
use tidegate_testkit::Leaf;
use tidegate_testkit::Origin;
use tidegate_testkit::TlsClient;
use tidegate_testkit::eventually;
use tidegate_testkit::gateway::Builder;

fn shop(origin: &Origin, authority: &Authority) -> Builder {
    let certificate = authority.server("shop.test").certificate();
    Gateway::to(origin.address())
        .certificate(Some(&certificate))
        .https(Https::at("", 0))
}

/// Waits until the gateway has counted a handshake that ended so.
#[track_caller]
pub(crate) fn counted(gateway: &Gateway, result: &str) {
    eventually(&format!("a handshake counted as {result}"), || {
        let handshakes = gateway.metrics().handshakes;
        handshakes
            .keys()
            .any(|(_, known)| *known == result)
            .then_some(())
    });
}

#[test]
fn a_request_over_tls_reaches_the_origin_as_https() {
    let origin = Origin::answers(200, "hello");
    let authority = Authority::root("root");
    let gateway = shop(&origin, &authority).start();
    let client = TlsClient::new(&authority.pem, None);
    let answer = client
        .get(gateway.address(), "shop.test", "/a")
        .expect("an answer");
    assert_eq!((answer.status(), answer.text().as_str()), (200, "hello"));
    let request = origin.only_request();
    assert_eq!(request.field("x-forwarded-proto"), Some("https"));
    assert_eq!(request.field("x-forwarded-host"), Some("shop.test"));
    counted(&gateway, "completed");
}

#[test]
fn one_tls_connection_carries_many_requests_and_large_bodies_both_ways() {
    let origin = Origin::echoes();
    let authority = Authority::root("root");
    let gateway = shop(&origin, &authority).start();
    let client = TlsClient::new(&authority.pem, None);
    let mut connection = client.connect(gateway.address(), "shop.test").expect("TLS");
    for size in [0, 1, 100_000, 1_000_000] {
        let body: Vec<u8> = (0..=250).cycle().take(size).collect();
        connection
            .send(format!(
                "POST / HTTP/1.1\r\nHost: shop.test\r\nContent-Length: {size}\r\n\r\n"
            ))
            .expect("sent");
        connection.send(&body).expect("sent");
        let answer = connection.response().expect("an answer");
        assert_eq!(answer.status(), 200);
        assert!(
            answer.body == body,
            "a body of {size} bytes comes back as it was"
        );
    }
    assert_eq!(origin.connections(), 1);
}

#[test]
fn the_name_that_is_asked_for_chooses_listener_and_certificate() {
    let origin = Origin::answers(200, "hello");
    let authority = Authority::root("root");
    let exact = authority.server("a.shop.test").certificate();
    let wildcard = authority.server("*.shop.test").certificate();
    let other = authority.server("other.test").certificate();
    let gateway = Gateway::to(origin.address())
        .certificate(Some(&exact))
        .certificate(Some(&wildcard))
        .certificate(Some(&other))
        .https(Https::at("a.shop.test", 0))
        .https(Https::at("*.shop.test", 1))
        .https(Https::at("other.test", 2).and(1))
        .start();
    let client = TlsClient::new(&authority.pem, None);
    for (name, expected) in [
        ("a.shop.test", &exact),
        ("A.Shop.Test", &exact),
        ("b.shop.test", &wildcard),
        ("other.test", &other),
    ] {
        let mut connection = client.connect(gateway.address(), name).expect(name);
        let digest = |der: &[u8]| {
            let digest = tidegate_testkit::certs::sha256(der);
            digest == expected.sha256()
        };
        assert!(
            digest(&connection.shown()),
            "{name} is shown its certificate"
        );
        assert_eq!(
            connection.get(name, "/").expect("an answer").status(),
            200,
            "{name}"
        );
    }
}

#[test]
fn a_name_that_nobody_claims_is_told_so() {
    let origin = Origin::answers(200, "hello");
    let authority = Authority::root("root");
    let certificate = authority.server("shop.test").certificate();
    let gateway = Gateway::to(origin.address())
        .certificate(Some(&certificate))
        .https(Https::at("shop.test", 0))
        .start();
    let client = TlsClient::new(&authority.pem, None);
    let err = client
        .connect(gateway.address(), "other.test")
        .expect_err("refused");
    assert!(err.to_string().contains("UnrecognisedName"), "{err}");
    counted(&gateway, "unknown_name");
    // Nor is anybody without a name let in where only names are served.
    let nameless = client.without_name();
    let err = nameless
        .connect(gateway.address(), "shop.test")
        .expect_err("refused");
    assert!(err.to_string().contains("UnrecognisedName"), "{err}");
}

#[test]
fn a_client_without_a_name_meets_the_listener_of_every_host() {
    let origin = Origin::answers(200, "hello");
    let authority = Authority::root("root");
    let gateway = shop(&origin, &authority).start();
    let client = TlsClient::new(&authority.pem, None).without_name();
    let answer = client
        .get(gateway.address(), "shop.test", "/")
        .expect("an answer");
    assert_eq!(answer.status(), 200);
}

#[test]
fn a_request_for_another_listeners_host_is_misdirected() {
    let origin = Origin::answers(200, "hello");
    let authority = Authority::root("root");
    let one = authority.sign(&Leaf::named("a.test").and_name("b.test"));
    let certificate = one.certificate();
    let gateway = Gateway::to(origin.address())
        .certificate(Some(&certificate))
        .https(Https::at("a.test", 0))
        .https(Https::at("b.test", 0))
        .start();
    let client = TlsClient::new(&authority.pem, None);
    let mut connection = client.connect(gateway.address(), "a.test").expect("TLS");
    assert_eq!(
        connection.get("a.test", "/").expect("an answer").status(),
        200
    );
    assert_eq!(
        connection.get("b.test", "/").expect("an answer").status(),
        421
    );
    let mut connection = client.connect(gateway.address(), "a.test").expect("TLS");
    assert_eq!(
        connection.get("c.test", "/").expect("an answer").status(),
        404
    );
    assert_eq!(origin.requests().len(), 1);
    let log = gateway.stop_for_log();
    assert!(
        log.iter().any(|line| line.contains("misdirected")),
        "{log:?}"
    );
}

#[test]
fn sessions_are_resumed_on_every_worker_and_through_reloads() {
    let origin = Origin::answers(200, "hello");
    let authority = Authority::root("root");
    let certificate = authority.server("shop.test").certificate();
    let build = |certificate| {
        Gateway::to(origin.address())
            .workers(3)
            .certificate(Some(certificate))
            .https(Https::at("shop.test", 0))
    };
    let mut gateway = build(&certificate).start();
    let client = TlsClient::new(&authority.pem, None);
    let resumed = |gateway: &Gateway| {
        let mut connection = client.connect(gateway.address(), "shop.test").expect("TLS");
        // Tickets come with the first bytes.
        assert_eq!(
            connection
                .get("shop.test", "/")
                .expect("an answer")
                .status(),
            200
        );
        connection.is_resumed()
    };
    assert!(!resumed(&gateway), "the first one cannot be");
    for _ in 0..12 {
        assert!(resumed(&gateway));
    }
    gateway.change(build(&certificate));
    assert!(resumed(&gateway), "after a reload without a change");
    gateway.change(build(&authority.server("shop.test").certificate()));
    assert!(resumed(&gateway), "after another certificate");
    counted(&gateway, "resumed");
}

#[test]
fn the_lowest_version_and_the_protocols_of_a_listener_are_kept_to() {
    let origin = Origin::answers(200, "hello");
    let authority = Authority::root("root");
    let gateway = shop(&origin, &authority).start();
    let client = TlsClient::new(&authority.pem, None);
    let offering = client.clone().offering(&["http/1.1"]);
    let mut connection = offering
        .connect(gateway.address(), "shop.test")
        .expect("TLS");
    assert_eq!(connection.protocol().as_deref(), Some("http/1.1"));
    let mut connection = client.connect(gateway.address(), "shop.test").expect("TLS");
    assert_eq!(
        connection.protocol(),
        None,
        "who offers nothing is not asked"
    );
    let offering = client.offering(&["spdy/3"]);
    let err = offering
        .connect(gateway.address(), "shop.test")
        .expect_err("refused");
    assert!(err.to_string().contains("NoApplicationProtocol"), "{err}");
    counted(&gateway, "no_common_protocol");
}

#[test]
fn a_listener_of_tls_1_3_refuses_clients_of_1_2() {
    let origin = Origin::answers(200, "hello");
    let authority = Authority::root("root");
    let certificate = authority.server("shop.test").certificate();
    let gateway = Gateway::to(origin.address())
        .certificate(Some(&certificate))
        .https(Https::at("shop.test", 0).only_13())
        .start();
    let old = TlsClient::only_12(&authority.pem);
    old.connect(gateway.address(), "shop.test")
        .expect_err("refused");
    counted(&gateway, "incompatible");
    let new = TlsClient::new(&authority.pem, None);
    let answer = new.get(gateway.address(), "shop.test", "/");
    assert_eq!(answer.expect("an answer").status(), 200);
}

#[test]
fn who_speaks_no_tls_is_told_so() {
    let origin = Origin::answers(200, "hello");
    let gateway = shop(&origin, &Authority::root("root")).start();
    let answer = gateway.get("/");
    assert_eq!(answer.status(), 400);
    assert!(answer.text().contains("https://"), "{}", answer.text());
    counted(&gateway, "plain_http");
    let mut client = gateway.client();
    client.send(b"\x00\x01garbage");
    assert_eq!(client.read_to_end().expect("it closes"), b"");
    counted(&gateway, "not_tls");
    let mut client = gateway.client();
    // A record of a handshake whose message is none.
    client.send(b"\x16\x03\x01\x00\x05\x63\x00\x00\x01\x00");
    let alert = client.read_to_end().expect("it closes");
    assert_eq!(alert.first(), Some(&21), "an alert: {alert:?}");
    counted(&gateway, "malformed");
    assert!(origin.requests().is_empty());
}

#[test]
fn a_handshake_that_does_not_end_in_time_is_ended() {
    let origin = Origin::answers(200, "hello");
    let gateway = shop(&origin, &Authority::root("root"))
        .timeouts(|timeouts| timeouts.header_read = std::time::Duration::from_millis(200))
        .start();
    let mut silent = gateway.client();
    assert_eq!(silent.read_to_end().expect("it closes"), b"");
    let mut slow = gateway.client();
    slow.send(b"\x16\x03\x01\x02\x00");
    assert_eq!(slow.read_to_end().expect("it closes"), b"");
    counted(&gateway, "timeout");
}

#[test]
fn a_listener_without_a_usable_certificate_refuses_and_others_serve() {
    let origin = Origin::answers(200, "hello");
    let authority = Authority::root("root");
    let good = authority.server("good.test").certificate();
    let gateway = Gateway::to(origin.address())
        .certificate(None)
        .certificate(Some(&good))
        .https(Https::at("bad.test", 0))
        .https(Https::at("good.test", 1))
        .start();
    let client = TlsClient::new(&authority.pem, None);
    let err = client
        .connect(gateway.address(), "bad.test")
        .expect_err("refused");
    assert!(err.to_string().contains("HandshakeFailure"), "{err}");
    counted(&gateway, "no_certificate");
    let answer = client
        .get(gateway.address(), "good.test", "/")
        .expect("an answer");
    assert_eq!(answer.status(), 200);
}

#[test]
fn a_body_that_ends_without_the_word_of_tls_is_not_complete() {
    let origin = Origin::answers(200, "hello");
    let authority = Authority::root("root");
    let gateway = shop(&origin, &authority).start();
    let client = TlsClient::new(&authority.pem, None);
    let mut connection = client.connect(gateway.address(), "shop.test").expect("TLS");
    let head = "POST / HTTP/1.1\r\nHost: shop.test\r\nTransfer-Encoding: chunked\r\n\r\n";
    connection
        .send(format!("{head}3\r\nabc\r\n"))
        .expect("sent");
    connection
        .tcp()
        .shutdown(std::net::Shutdown::Both)
        .expect("open");
    let log = gateway.log_lines(1);
    assert!(log[0].contains("client_closed"), "{log:?}");
    assert!(
        origin.requests().is_empty(),
        "no request is taken for complete"
    );
}

#[test]
fn the_end_of_an_answer_comes_with_the_word_of_tls() {
    let origin = Origin::replies_then_closes("HTTP/1.1 200 OK\r\n\r\nuntil the end");
    let authority = Authority::root("root");
    let gateway = shop(&origin, &authority).start();
    let client = TlsClient::new(&authority.pem, None);
    let mut connection = client.connect(gateway.address(), "shop.test").expect("TLS");
    connection
        .send("GET / HTTP/1.1\r\nHost: shop.test\r\nConnection: close\r\n\r\n")
        .expect("sent");
    let answer = connection.read_to_end().expect("the end is announced");
    assert!(answer.windows(13).any(|bytes| bytes == b"until the end"));
}

#[test]
fn a_connection_of_before_tls_was_asked_for_is_misdirected() {
    let origin = Origin::answers(200, "hello");
    let authority = Authority::root("root");
    let mut gateway = Gateway::to(origin.address()).start();
    let mut plain = gateway.client();
    assert_eq!(plain.get("/").status(), 200);
    gateway.change(shop(&origin, &authority));
    assert_eq!(plain.get("/").status(), 421);
}

#[test]
fn certificates_change_under_load_without_a_failed_request() {
    let origin = Origin::answers(200, "hello");
    let authority = Authority::root("root");
    let mut gateway = shop(&origin, &authority).workers(2).start();
    let address = gateway.address();
    let stop = Arc::new(std::sync::atomic::AtomicBool::new(false));
    let load = |keeps: bool| {
        let (stop, pem) = (Arc::clone(&stop), authority.pem.clone());
        std::thread::spawn(move || {
            let client = TlsClient::new(&pem, None);
            let mut kept = client.connect(address, "shop.test").expect("TLS");
            let mut served = 0;
            while !stop.load(std::sync::atomic::Ordering::SeqCst) {
                if !keeps {
                    kept = client.connect(address, "shop.test").expect("TLS");
                }
                let answer = kept.get("shop.test", "/").expect("an answer");
                assert_eq!(answer.status(), 200);
                served += 1;
            }
            served
        })
    };
    let loads = [load(true), load(false)];
    for _ in 0..20 {
        let certificate = authority.server("shop.test").certificate();
        let next = Gateway::to(origin.address())
            .workers(2)
            .certificate(Some(&certificate))
            .https(Https::at("", 0));
        gateway.change(next);
        let client = TlsClient::new(&authority.pem, None);
        let mut connection = client.connect(address, "shop.test").expect("TLS");
        let shown = tidegate_testkit::certs::sha256(&connection.shown());
        assert_eq!(
            shown,
            certificate.sha256(),
            "new connections see the new one at once"
        );
    }
    stop.store(true, std::sync::atomic::Ordering::SeqCst);
    for load in loads {
        assert!(load.join().expect("no request failed") > 0);
    }
}

#[test]
fn many_silent_handshakes_do_not_keep_others_out() {
    let origin = Origin::answers(200, "hello");
    let authority = Authority::root("root");
    let gateway = shop(&origin, &authority).start();
    let mut crowd: Vec<Client> = Vec::new();
    for _ in 0..1030 {
        let mut client = gateway.client();
        client.send(b"\x16");
        crowd.push(client);
    }
    let client = TlsClient::new(&authority.pem, None);
    let answer = client
        .get(gateway.address(), "shop.test", "/")
        .expect("an answer");
    assert_eq!(answer.status(), 200);
    counted(&gateway, "crowded_out");
    // The first of the crowd was let go, the last still has time.
    let mut byte = [0];
    assert_eq!(crowd[0].stream().read(&mut byte).expect("it closes"), 0);
    let last = crowd.last_mut().expect("there is a crowd");
    last.stream().write_all(b"\x03").expect("still open");
}

#[test]
fn who_sends_on_and_on_after_a_refused_greeting_is_cut() {
    let origin = Origin::answers(200, "hello");
    let authority = Authority::root("root");
    let gateway = shop(&origin, &authority).start();
    let client = TlsClient::new(&authority.pem, None);
    let mut flood = gateway.client();
    flood.send(client.greeting("nobody.test"));
    let started = std::time::Instant::now();
    let piece = [0; 64 * 1024];
    while flood.try_send(piece).is_ok() {
        assert!(
            started.elapsed() < tidegate_testkit::LIMIT,
            "it is read for ever"
        );
    }
    let answer = client.get(gateway.address(), "shop.test", "/");
    assert_eq!(answer.expect("an answer").status(), 200);
}
