//! What the gateway asks HTTP/2 backends beside the request itself: calls of filters, copies; and how many
//! connections first requests make.

use std::sync::Arc;
use std::sync::Barrier;
use std::time::Duration;

use http::HeaderValue;
use http::Response;
use tidegate_testkit::Authority;
use tidegate_testkit::Gateway;
use tidegate_testkit::Http2Origin;
use tidegate_testkit::Origin;
use tidegate_testkit::Port;
use tidegate_testkit::Rule;
use tidegate_testkit::eventually;
use tidegate_testkit::http2;
use tidegate_testkit::http2::exchange;
use tidegate_testkit::http2::request;
use tidegate_testkit::tls::TlsFront;

use super::tls_filters::caller;
use super::tls_origins::believing;

#[test]
fn calls_of_filters_and_mirrors_go_over_http2_too() {
    let origin = Origin::answers(200, "hello");
    let side = Http2Origin::script(|request, mut respond| async move {
        let mut body = request.into_body();
        let length = http2::read_body(&mut body).await?.len();
        let mut answer = Response::new(());
        *answer.status_mut() = http::StatusCode::ACCEPTED;
        let length = HeaderValue::from_str(&length.to_string()).expect("a number");
        answer.headers_mut().insert("x-length", length);
        respond.send_response(answer, true).map(drop)
    });
    let gateway = Gateway::to(origin.address())
        .http2_backend("side", side.address())
        .plugin(&caller())
        .rule(Rule::at("/").to("origin", 1).mirror("side"))
        .start();
    assert_eq!(gateway.get("/one").status(), 200);
    assert_eq!(origin.only_request().field("x-side"), Some("202"));
    http2::client(gateway.address(), async |mut client| {
        let answer = exchange(&mut client, request("POST", "/two"), Some("body".into())).await;
        assert_eq!(answer.expect("an answer").status, 200);
    });
    let mut paths: Vec<String> = eventually("two calls and two copies", || {
        let seen = side.requests();
        let paths = seen.iter().map(|it| it.uri().path().to_owned());
        (seen.len() == 4).then(|| paths.collect())
    });
    paths.sort();
    assert_eq!(paths, ["/", "/", "/one", "/two"]);
    assert_eq!(side.connections(), 1, "all of them share one");
}

/// Sends so many requests at once, and returns the statuses.
fn at_once(gateway: &Gateway, count: usize) -> Vec<u16> {
    let mut clients: Vec<_> = (0..count).map(|_| gateway.client()).collect();
    for client in &mut clients {
        client.send("GET / HTTP/1.1\r\nHost: a\r\n\r\n");
    }
    let answers = clients.iter_mut().map(|client| client.response().status());
    answers.collect()
}

#[test]
fn first_requests_to_an_origin_of_tls_that_chooses_http2_share_one_connection() {
    let authority = Authority::root("root");
    let origin = Http2Origin::echoes();
    let pair = authority.server("origin.test");
    let front = TlsFront::new(origin.address(), &pair, &["h2", "http/1.1"], None);
    let gateway = Gateway::to(front.address())
        .bundle(Some(&authority.bundle()))
        .origin_tls(believing("origin.test"))
        .start();
    assert_eq!(at_once(&gateway, 30), [200; 30]);
    assert_eq!(front.seen().len(), 1);
}

#[test]
fn first_requests_to_an_origin_of_tls_that_chooses_http1_have_a_connection_each() {
    let authority = Authority::root("root");
    let all = Arc::new(Barrier::new(10));
    // Nobody is answered before everybody has asked.
    let origin = Origin::script(move |connection| {
        while connection.request().is_ok() {
            all.wait();
            connection.send("HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n")?;
        }
        Ok(())
    });
    let pair = authority.server("origin.test");
    let front = TlsFront::new(origin.address(), &pair, &["http/1.1"], None);
    let gateway = Gateway::to(front.address())
        .bundle(Some(&authority.bundle()))
        .origin_tls(believing("origin.test"))
        .start();
    for _ in 0..2 {
        assert_eq!(at_once(&gateway, 10), [200; 10]);
    }
    assert_eq!(origin.connections(), 10, "they are kept");
}

#[test]
fn all_that_wait_for_a_first_connection_hear_how_it_failed() {
    let authority = Authority::root("root");
    let origin = Origin::answers(200, "hello");
    let pair = Authority::root("stranger").server("origin.test");
    let front = TlsFront::new(origin.address(), &pair, &["h2"], None);
    let gateway = Gateway::to(front.address())
        .bundle(Some(&authority.bundle()))
        .origin_tls(believing("origin.test"))
        .start();
    assert_eq!(at_once(&gateway, 10), [502; 10]);
    let lines = gateway.stop_for_log();
    let told = lines
        .iter()
        .filter(|it| it.contains("upstream_tls_untrusted"));
    assert_eq!(told.count(), 10, "{lines:?}");
}

#[test]
fn who_waits_for_a_first_connection_makes_another_one_if_its_client_goes_away() {
    let authority = Authority::root("root");
    let origin = Port::new();
    let gateway = Gateway::to(origin.address())
        .bundle(Some(&authority.bundle()))
        .origin_tls(believing("origin.test"))
        .timeouts(|timeouts| timeouts.connect = Duration::from_secs(600))
        .start();
    let mut first = gateway.client();
    first.send("GET / HTTP/1.1\r\nHost: a\r\n\r\n");
    // Its handshake never ends.
    let _silent = origin.accept();
    let mut second = gateway.client();
    second.send("GET / HTTP/1.1\r\nHost: a\r\n\r\n");
    drop(first);
    let dialled = origin.accept();
    // It makes no TLS either.
    drop(dialled);
    assert_eq!(second.response().status(), 502);
}
