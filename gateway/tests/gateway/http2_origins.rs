//! Origins that speak HTTP/2 with prior knowledge, behind clients of both versions.

use bytes::Bytes;
use http::HeaderMap;
use http::HeaderValue;
use http::Response;
use tidegate_testkit::Gateway;
use tidegate_testkit::GrpcOrigin;
use tidegate_testkit::Http2Origin;
use tidegate_testkit::http2;
use tidegate_testkit::http2::exchange;
use tidegate_testkit::http2::request;

#[test]
fn a_request_of_http1_becomes_one_of_http2_and_its_answer_one_of_http1() {
    let origin = Http2Origin::echoes();
    let gateway = Gateway::to(origin.address()).http2_origin().start();
    let mut client = gateway.client();
    client.send("POST /x?y HTTP/1.1\r\nhost: A.test\r\ntransfer-encoding: chunked\r\nte: trailers\r\nconnection: te\r\n\r\n");
    client.send("5\r\nhello\r\n0\r\nx-sum: 1\r\n\r\n");
    let answer = client.response();
    assert_eq!(answer.field("transfer-encoding"), Some("chunked"));
    assert_eq!(answer.text(), "hello");
    assert_eq!(answer.trailers, [("x-sum".to_owned(), "1".to_owned())]);
    let seen = origin.requests();
    assert_eq!(seen[0].uri(), "http://a.test/x?y");
    assert_eq!(seen[0].headers()["te"], "trailers");
    assert!(!seen[0].headers().contains_key("host"));
    assert_eq!(client.get("/").status(), 200);
    assert_eq!(origin.connections(), 1);
}

#[test]
fn bodies_of_any_size_pass_both_hops() {
    let origin = Http2Origin::echoes();
    let gateway = Gateway::to(origin.address()).http2_origin().start();
    let body: Vec<u8> = (0..1_000_000u32).flat_map(u32::to_le_bytes).collect();
    http2::client(gateway.address(), async |mut client| {
        for size in [0, 1, 16_384, 70_000, 4_000_000] {
            let sent = Bytes::copy_from_slice(&body[..size]);
            let answer = exchange(&mut client, request("POST", "/"), Some(sent)).await;
            assert!(answer.expect("an answer").body == body[..size], "{size}");
        }
    });
    let response = gateway.client().post("/", &body);
    assert!(response.body == body, "the body came back changed");
}

#[test]
fn both_directions_flow_at_the_same_time() {
    let origin = Http2Origin::echoes();
    let gateway = Gateway::to(origin.address()).http2_origin().start();
    http2::client(gateway.address(), async |client| {
        let mut client = client.ready().await.unwrap();
        let (response, mut body) = client.send_request(request("POST", "/"), false).unwrap();
        body.send_data("0".into(), false).unwrap();
        let (_, mut answer) = response.await.expect("a head before the end").into_parts();
        for number in 1..100 {
            let data = answer.data().await.expect("data").expect("data");
            answer.flow_control().release_capacity(data.len()).unwrap();
            assert_eq!(data, (number - 1).to_string());
            body.send_data(number.to_string().into(), false).unwrap();
        }
        let mut trailers = HeaderMap::new();
        trailers.insert("x-end", HeaderValue::from_static("1"));
        body.send_trailers(trailers).unwrap();
        http2::read_body(&mut answer).await.unwrap();
        let trailers = answer.trailers().await.unwrap().expect("trailers");
        assert_eq!(trailers["x-end"], "1");
    });
}

#[test]
fn interim_responses_of_an_origin_of_http2_pass() {
    let origin = Http2Origin::script(|_, mut respond| async move {
        let mut hints = Response::new(());
        *hints.status_mut() = http::StatusCode::EARLY_HINTS;
        hints
            .headers_mut()
            .insert("link", HeaderValue::from_static("</a>"));
        respond.send_informational(hints)?;
        let mut body = respond.send_response(Response::new(()), false)?;
        body.send_data("x".into(), true)
    });
    let gateway = Gateway::to(origin.address()).http2_origin().start();
    let mut client = gateway.client();
    client.send("GET / HTTP/1.1\r\nhost: a\r\n\r\n");
    let hints = client.response();
    assert_eq!((hints.status(), hints.field("link")), (103, Some("</a>")));
    assert_eq!(client.response().text(), "x");
}

#[test]
fn a_stream_that_its_origin_refuses_is_sent_once_more() {
    static SEEN: std::sync::atomic::AtomicUsize = std::sync::atomic::AtomicUsize::new(0);
    let origin = Http2Origin::script(|_, mut respond| async move {
        if SEEN.fetch_add(1, std::sync::atomic::Ordering::SeqCst) == 0 {
            respond.send_reset(h2::Reason::REFUSED_STREAM);
            return Ok(());
        }
        respond.send_response(Response::new(()), true).map(|_| ())
    });
    let gateway = Gateway::to(origin.address()).http2_origin().start();
    // Nobody has looked at it: so it may be any method.
    let answer = gateway.client().post("/", b"");
    assert_eq!((answer.status(), origin.requests().len()), (200, 2));
}

#[test]
fn how_an_origin_fails_on_a_stream_has_a_name() {
    let origin = GrpcOrigin::start();
    let gateway = Gateway::to(origin.address()).http2_origin().start();
    assert_eq!(gateway.get("/a.B/Resets").status(), 502);
    let lines = gateway.log_lines(1);
    assert!(lines[0].contains("upstream_reset"), "{lines:?}");
    let mut client = gateway.client();
    client.send("GET /a.B/ResetsLate HTTP/1.1\r\nhost: a\r\n\r\n");
    client.read_to_end().ok();
    let lines = gateway.log_lines(2);
    assert!(lines[1].contains("upstream_body_cut"), "{lines:?}");
}

#[test]
fn an_origin_that_goes_away_finishes_what_has_begun_and_gets_nothing_new() {
    let origin = GrpcOrigin::start();
    let gateway = Gateway::to(origin.address()).http2_origin().start();
    http2::client(gateway.address(), async |mut client| {
        client = client.ready().await.unwrap();
        let (response, mut body) = client
            .send_request(request("POST", "/a.B/Echo"), false)
            .unwrap();
        let mut echo = response.await.expect("a head").into_body();
        let message = Bytes::from_static(b"\0\0\0\0\x01x");
        let goes = exchange(
            &mut client,
            request("POST", "/a.B/Goaway"),
            Some(message.clone()),
        );
        assert_eq!(goes.await.expect("an answer").status, 200);
        for _ in 0..5 {
            let next = exchange(
                &mut client,
                request("POST", "/a.B/Unary"),
                Some(message.clone()),
            );
            assert_eq!(next.await.expect("an answer").status, 200);
            body.send_data(message.clone(), false).unwrap();
            let data = echo.data().await.expect("data").expect("data");
            echo.flow_control().release_capacity(data.len()).unwrap();
        }
    });
    assert_eq!(origin.connections(), 2);
}

#[test]
fn clients_that_read_slowly_do_not_hold_up_others_on_the_same_connection() {
    let origin = Http2Origin::script(|request, mut respond| async move {
        let mut body = respond.send_response(Response::new(()), false)?;
        let size = if request.uri().path() == "/large" {
            8 << 20
        } else {
            1
        };
        http2::send(&mut body, vec![0; size].into(), true).await
    });
    let gateway = Gateway::to(origin.address()).http2_origin().start();
    let mut slow: Vec<_> = (0..60).map(|_| gateway.client()).collect();
    for client in &mut slow {
        client.send("GET /large HTTP/1.1\r\nhost: a\r\n\r\n");
        assert_eq!(client.response_head().status(), 200);
    }
    assert_eq!(gateway.get("/small").status(), 200);
    assert_eq!(origin.connections(), 1);
}

#[test]
fn an_origin_of_http1_where_http2_was_expected_is_a_protocol_error() {
    let origin = tidegate_testkit::Origin::answers(200, "x");
    let gateway = Gateway::to(origin.address()).http2_origin().start();
    assert_eq!(gateway.get("/").status(), 502);
    let lines = gateway.log_lines(1);
    assert!(lines[0].contains("upstream_protocol_error"), "{lines:?}");
}
