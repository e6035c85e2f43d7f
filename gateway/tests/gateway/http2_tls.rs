//! HTTP/2 by ALPN, to clients and to origins, and filters that see it.

use bytes::Bytes;
use tidegate_core::tls::BundleId;
use tidegate_core::tls::Origination;
use tidegate_core::tls::TlsVersion;
use tidegate_core::tls::Trust;
use tidegate_testkit::Authority;
use tidegate_testkit::Gateway;
use tidegate_testkit::Http2Origin;
use tidegate_testkit::Https;
use tidegate_testkit::Leaf;
use tidegate_testkit::Origin;
use tidegate_testkit::TlsClient;
use tidegate_testkit::Wasm;
use tidegate_testkit::http2;
use tidegate_testkit::http2::exchange;
use tidegate_testkit::http2::get;
use tidegate_testkit::tls::TlsFront;

#[test]
fn a_client_of_tls_that_can_speaks_http2() {
    let origin = Origin::echoes();
    let authority = Authority::root("root");
    let certificate = authority.server("shop.test").certificate();
    let gateway = Gateway::to(origin.address())
        .certificate(Some(&certificate))
        .https(Https::at("", 0))
        .start();
    let tls = TlsClient::new(&authority.pem, None);
    http2::client_of_tls(gateway.address(), &tls, async |mut client| {
        for size in [1, 100_000, 1_000_000] {
            let body = Bytes::from(vec![7; size]);
            let mut request = http2::request("POST", "/");
            *request.uri_mut() = "https://shop.test/".parse().unwrap();
            let answer = exchange(&mut client, request, Some(body.clone())).await;
            assert!(answer.expect("an answer").body == body, "{size}");
        }
    });
    let seen = origin.requests();
    assert_eq!(seen[0].field("x-forwarded-proto"), Some("https"));
    assert_eq!(gateway.metrics().connections, 1);
}

#[test]
fn an_origin_of_tls_that_chooses_http2_is_spoken_to_with_it_on_one_connection() {
    let authority = Authority::root("root");
    let origin = Http2Origin::echoes();
    let front = TlsFront::new(
        origin.address(),
        &authority.server("origin.test"),
        &["h2"],
        None,
    );
    let gateway = Gateway::to(front.address())
        .bundle(Some(&authority.bundle()))
        .origin_tls(Origination {
            hostname: "origin.test".into(),
            trust: Trust::Bundles(vec![BundleId(0)]),
            subject_alt_names: Vec::new(),
            client_certificate: None,
            min_version: TlsVersion::Tls12,
        })
        .start();
    for _ in 0..3 {
        assert_eq!(gateway.client().post("/", b"hello").text(), "hello");
    }
    let seen = front.seen();
    assert_eq!(seen.len(), 1, "{seen:?}");
    assert_eq!(seen[0].protocol.as_deref(), Some("h2"));
}

#[test]
fn filters_see_a_request_of_http2_as_any_other() {
    let origin = Origin::answers(200, "x");
    let filter = Wasm::wat(
        "tells",
        r#"(import "env" "proxy_get_property"
            (func $get (param i32 i32 i32 i32) (result i32)))
        (import "env" "proxy_get_header_map_value"
            (func $field (param i32 i32 i32 i32 i32) (result i32)))
        (import "env" "proxy_add_header_map_value"
            (func $add (param i32 i32 i32 i32 i32) (result i32)))"#,
        r#"(data (i32.const 16) "request\00protocol") (data (i32.const 48) "x-protocol")
        (data (i32.const 64) ":authority") (data (i32.const 80) "x-authority")
        (func (export "proxy_on_request_headers") (param i32 i32 i32) (result i32)
            (drop (call $get (i32.const 16) (i32.const 16) (i32.const 0) (i32.const 4)))
            (drop (call $add (i32.const 0) (i32.const 48) (i32.const 10)
                (i32.load (i32.const 0)) (i32.load (i32.const 4))))
            (drop (call $field (i32.const 0) (i32.const 64) (i32.const 10) (i32.const 0) (i32.const 4)))
            (drop (call $add (i32.const 0) (i32.const 80) (i32.const 11)
                (i32.load (i32.const 0)) (i32.load (i32.const 4))))
            (i32.const 0))"#,
    );
    let gateway = Gateway::to(origin.address()).plugin(&filter).start();
    http2::client(gateway.address(), async |mut client| {
        get(&mut client, "/").await.expect("an answer");
    });
    let seen = origin.only_request();
    assert_eq!(seen.field("x-protocol"), Some("HTTP/2"));
    assert_eq!(seen.field("x-authority"), Some("a.test"));
}

#[test]
fn a_stream_for_another_listeners_host_is_misdirected_and_its_connection_stays() {
    let origin = Origin::answers(200, "hello");
    let authority = Authority::root("root");
    let pair = authority.sign(&Leaf::named("shop.test").and_name("other.test"));
    let gateway = Gateway::to(origin.address())
        .certificate(Some(&pair.certificate()))
        .https(Https::at("shop.test", 0))
        .https(Https::at("other.test", 0))
        .start();
    let tls = TlsClient::new(&authority.pem, None);
    http2::client_of_tls(gateway.address(), &tls, async |mut client| {
        for (host, status) in [("shop.test", 200), ("other.test", 421), ("shop.test", 200)] {
            let mut request = http2::request("GET", "/");
            *request.uri_mut() = format!("https://{host}/").parse().unwrap();
            let answer = exchange(&mut client, request, None).await;
            assert_eq!(answer.expect("an answer").status, status, "{host}");
        }
    });
    let lines = gateway.log_lines(3);
    assert!(lines[1].contains(" 421 misdirected "), "{lines:?}");
    assert_eq!(origin.requests().len(), 2);
}
