//! HTTP/2 clients without TLS: heads, bodies, trailers, and how streams and connections end.

use std::sync::atomic::AtomicBool;
use std::sync::atomic::Ordering;
use std::time::Duration;

use bytes::Bytes;
use h2::Reason;
use http::HeaderMap;
use http::HeaderValue;
use http::Request;
use tidegate_testkit::Gateway;
use tidegate_testkit::Http2Origin;
use tidegate_testkit::Latch;
use tidegate_testkit::Origin;
use tidegate_testkit::Rule;
use tidegate_testkit::frames::DATA;
use tidegate_testkit::frames::END_HEADERS;
use tidegate_testkit::frames::END_STREAM;
use tidegate_testkit::frames::HEADERS;
use tidegate_testkit::frames::PING;
use tidegate_testkit::frames::RST_STREAM;
use tidegate_testkit::frames::block;
use tidegate_testkit::frames::frame;
use tidegate_testkit::frames::opening;
use tidegate_testkit::frames::read;
use tidegate_testkit::http2;
use tidegate_testkit::http2::exchange;
use tidegate_testkit::http2::get;
use tidegate_testkit::http2::request;

#[test]
fn a_client_that_begins_with_http2_is_served_with_it() {
    let origin = Origin::answers(200, "hello");
    let gateway = Gateway::to(origin.address()).start();
    let answer = http2::client(gateway.address(), async |mut client| {
        get(&mut client, "/x?y=1").await.expect("an answer")
    });
    assert_eq!((answer.status, answer.text().as_str()), (200, "hello"));
    assert_eq!(answer.field("content-length"), Some("5"));
    let seen = origin.only_request();
    assert_eq!(seen.start, "GET /x?y=1 HTTP/1.1");
    assert_eq!(seen.field("host"), Some("a.test"));
    assert_eq!(seen.field("x-forwarded-proto"), Some("http"));
    let lines = gateway.stop_for_log();
    assert!(lines[0].contains("HTTP/2.0"), "{lines:?}");
}

#[test]
fn the_preface_may_come_byte_by_byte_and_http1_is_not_mistaken_for_it() {
    let origin = Origin::answers(200, "x");
    let gateway = Gateway::to(origin.address()).start();
    let mut client = gateway.client();
    for byte in b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\0\0\0\x04\0\0\0\0\0" {
        client.send([*byte]);
    }
    let mut settings = Vec::new();
    while settings.len() < 9 {
        settings.extend(client.read_some());
    }
    assert_eq!(settings[3], 4, "a SETTINGS frame comes first");
    let mut client = gateway.client();
    for byte in b"PUT / HTTP/1.1\r\nhost: a\r\ncontent-length: 0\r\n\r\n" {
        client.send([*byte]);
    }
    assert_eq!(client.response().status(), 200);
    let mut client = gateway.client();
    client.send("PRI * HTTP/2.0\r\n\r\nXX");
    assert_eq!(client.response().status(), 505);
}

#[test]
fn streams_of_one_connection_are_served_at_the_same_time() {
    let origin = Origin::echoes();
    let gateway = Gateway::to(origin.address()).start();
    http2::client(gateway.address(), async |mut client| {
        let mut open = Vec::new();
        for _ in 0..50 {
            client = client.ready().await.expect("room");
            open.push(
                client
                    .send_request(request("POST", "/"), false)
                    .expect("sent"),
            );
        }
        // The last one that began ends first.
        while let Some((response, mut body)) = open.pop() {
            let text = Bytes::from(format!("number {}", open.len()));
            body.send_data(text.clone(), true).expect("sent");
            let answer = http2::read(response).await.expect("an answer");
            assert_eq!(answer.body, text);
        }
    });
    assert_eq!(gateway.log_lines(50).len(), 50);
    assert_eq!(gateway.metrics().connections, 1);
}

#[test]
fn bodies_of_any_size_pass_both_ways() {
    let origin = Origin::echoes();
    let gateway = Gateway::to(origin.address()).start();
    let body: Vec<u8> = (0..1_000_000u32).flat_map(u32::to_le_bytes).collect();
    http2::client(gateway.address(), async |mut client| {
        for size in [0, 1, 16_384, 16_385, 70_000, 4_000_000] {
            let sent = Bytes::copy_from_slice(&body[..size]);
            let answer = exchange(&mut client, request("POST", "/"), Some(sent)).await;
            assert!(answer.expect("an answer").body == body[..size], "{size}");
        }
    });
    let lengths: Vec<_> = origin.requests().iter().map(|it| it.body.len()).collect();
    assert_eq!(lengths, [0, 1, 16_384, 16_385, 70_000, 4_000_000]);
}

#[test]
fn long_answers_keep_no_room_that_uploads_of_their_connection_need() {
    let origin = Origin::script(|connection| {
        let request = connection.request()?;
        if request.start.contains("/upload") {
            return connection.send("HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n");
        }
        connection.send("HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n1\r\nx\r\n")?;
        connection.wait_for_close()
    });
    let gateway = Gateway::to(origin.address()).start();
    http2::client(gateway.address(), async |mut client| {
        // Together their last frames are more than the connection's window.
        let mut long = Vec::new();
        for _ in 0..70 {
            client = client.ready().await.expect("room");
            let sent = client.send_request(request("POST", "/long"), false);
            let (response, mut body) = sent.expect("sent");
            body.send_data(Bytes::from(vec![b'a'; 16_384]), true)
                .expect("sent");
            long.push((response.await.expect("a head"), body));
        }
        let upload = Some(Bytes::from(vec![b'b'; 100_000]));
        let answer = exchange(&mut client, request("POST", "/upload"), upload).await;
        assert_eq!(answer.expect("an answer").status, 200);
    });
}

#[test]
fn trailers_and_interim_responses_pass_between_the_versions() {
    let origin = Origin::script(|connection| {
        let request = connection.request()?;
        assert_eq!(request.text(), "hello");
        assert_eq!(request.trailers, [("x-sum".to_owned(), "1".to_owned())]);
        connection.send("HTTP/1.1 103 Early Hints\r\nlink: </a>\r\n\r\n")?;
        connection.send("HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n")?;
        connection.send("2\r\nhi\r\n0\r\nx-last: yes\r\n\r\n")
    });
    let gateway = Gateway::to(origin.address()).start();
    let answer = http2::client(gateway.address(), async |client| {
        let mut client = client.ready().await.expect("room");
        let (response, mut body) = client.send_request(request("POST", "/"), false).unwrap();
        body.send_data("hello".into(), false).unwrap();
        let mut trailers = HeaderMap::new();
        trailers.insert("x-sum", HeaderValue::from_static("1"));
        body.send_trailers(trailers).unwrap();
        http2::read(response).await.expect("an answer")
    });
    assert_eq!(
        (answer.interim.clone(), answer.text()),
        (vec![103], "hi".to_owned())
    );
    assert_eq!(answer.trailer("x-last"), Some("yes"));
}

#[test]
fn an_answer_to_head_has_a_length_and_no_body() {
    let origin = Origin::replies("HTTP/1.1 200 OK\r\ncontent-length: 7\r\n\r\n");
    let gateway = Gateway::to(origin.address()).start();
    let answer = http2::client(gateway.address(), async |mut client| {
        exchange(&mut client, request("HEAD", "/"), None)
            .await
            .expect("an answer")
    });
    assert_eq!(answer.field("content-length"), Some("7"));
    assert_eq!((answer.status, answer.body.len()), (200, 0));
}

#[test]
fn cookies_are_one_field_and_what_belongs_to_a_connection_is_not_passed_on() {
    let origin = Origin::replies(
        "HTTP/1.1 200 OK\r\ncontent-length: 0\r\nconnection: x-own\r\nx-own: 1\r\nkeep-alive: 5\r\n\r\n",
    );
    let gateway = Gateway::to(origin.address()).start();
    let answer = http2::client(gateway.address(), async |mut client| {
        let mut request = request("GET", "/");
        for cookie in ["a=1", "b=2"] {
            let cookie = HeaderValue::from_static(cookie);
            request.headers_mut().append("cookie", cookie);
        }
        request
            .headers_mut()
            .insert("te", HeaderValue::from_static("trailers"));
        exchange(&mut client, request, None)
            .await
            .expect("an answer")
    });
    let names: Vec<_> = answer
        .headers
        .keys()
        .map(http::HeaderName::as_str)
        .collect();
    assert!(
        !names.contains(&"x-own") && !names.contains(&"keep-alive"),
        "{names:?}"
    );
    let seen = origin.only_request();
    assert_eq!(seen.values("cookie"), ["a=1; b=2"]);
    assert_eq!(seen.field("te"), Some("trailers"));
}

#[test]
fn what_is_refused_is_refused_as_on_http1() {
    let origin = Origin::answers(200, "x");
    let gateway = Gateway::to(origin.address()).start();
    http2::client(gateway.address(), async |mut client| {
        let other_host = Request::builder()
            .uri("http://a.test/")
            .header("host", "b.test");
        let connect = Request::builder().method("CONNECT").uri("a.test:443");
        let fields = (0..101).fold(Request::builder().uri("http://a.test/"), |it, _| {
            it.header("x", "y")
        });
        let large = "y".repeat(70_000);
        let large = Request::builder().uri("http://a.test/").header("x", large);
        let expects = Request::builder()
            .uri("http://a.test/")
            .header("expect", "more");
        let path = Request::builder().uri("http://a.test/a%00b");
        for (refused, status) in [
            (other_host, 400),
            (path, 400),
            (connect, 501),
            (fields, 431),
            (large, 431),
            (expects, 417),
        ] {
            let refused = refused.body(()).unwrap();
            let answer = exchange(&mut client, refused, None)
                .await
                .expect("an answer");
            assert_eq!(answer.status, status);
        }
        let fine = get(&mut client, "/").await.expect("the connection stays");
        assert_eq!(fine.status, 200);
    });
    let lines = gateway.stop_for_log();
    for flag in [
        "bad_host",
        "bad_path",
        "unsupported_upgrade",
        "request_headers_too_large",
        "unsupported_expectation",
    ] {
        assert!(
            lines.iter().any(|line| line.contains(flag)),
            "{flag}: {lines:?}"
        );
    }
    assert_eq!(origin.requests().len(), 1);
}

#[test]
fn a_body_that_is_not_as_long_as_its_length_breaks_its_stream_alone() {
    let origin = Origin::echoes();
    let gateway = Gateway::to(origin.address()).start();
    http2::client(gateway.address(), async |mut client| {
        for length in ["3", "7"] {
            let mut odd = request("POST", "/");
            odd.headers_mut()
                .insert("content-length", HeaderValue::from_static(length));
            let answer = exchange(&mut client, odd, Some("hello".into())).await;
            let err = answer.expect_err("it is reset");
            assert_eq!(err.reason(), Some(Reason::PROTOCOL_ERROR));
        }
        let fine = exchange(&mut client, request("POST", "/"), Some("hello".into())).await;
        assert_eq!(fine.expect("the connection stays").text(), "hello");
    });
    let lines = gateway.stop_for_log();
    let refused = lines
        .iter()
        .filter(|line| line.contains("bad_content_length"));
    assert_eq!(refused.count(), 2, "{lines:?}");
    assert_eq!(
        origin.requests().len(),
        1,
        "no half of a request is a request"
    );
}

#[test]
fn a_client_that_resets_its_stream_ends_the_exchange() {
    let origin = Origin::script(|connection| {
        connection.request()?;
        // Waits until the gateway has closed.
        connection.request().map(|_| ())
    });
    let gateway = Gateway::to(origin.address()).start();
    http2::client(gateway.address(), async |mut client| {
        let (response, mut body) = client.send_request(request("POST", "/"), false).unwrap();
        body.send_data("x".into(), true).unwrap();
        http2::until(|| !origin.requests().is_empty()).await;
        body.send_reset(Reason::CANCEL);
        drop(response);
        http2::until(|| origin.is_idle()).await;
    });
    let lines = gateway.stop_for_log();
    assert!(
        lines[0].contains("client_closed") && lines[0].contains("499"),
        "{lines:?}"
    );
}

#[test]
fn an_answer_that_is_cut_is_reset_and_not_ended() {
    let origin = Origin::replies_then_closes("HTTP/1.1 200 OK\r\ncontent-length: 9\r\n\r\nhalf");
    let gateway = Gateway::to(origin.address()).start();
    http2::client(gateway.address(), async |mut client| {
        let err = get(&mut client, "/").await.expect_err("it is reset");
        assert_eq!(err.reason(), Some(Reason::INTERNAL_ERROR));
    });
    let lines = gateway.stop_for_log();
    assert!(lines[0].contains("upstream_body_cut"), "{lines:?}");
}

#[test]
fn a_drain_tells_clients_to_go_away_and_finishes_what_has_begun() {
    let origin = Origin::echoes();
    let gateway = Gateway::to(origin.address()).start();
    http2::client(gateway.address(), async |client| {
        let mut client = client.ready().await.unwrap();
        let (response, mut body) = client.send_request(request("POST", "/"), false).unwrap();
        body.send_data("begun ".into(), false).unwrap();
        get(&mut client, "/").await.expect("it is served before");
        gateway.drain();
        // The connection takes nothing new once it was told.
        while let Ok(ready) = client.clone().ready().await {
            let mut ready = ready;
            let Ok((late, _)) = ready.send_request(request("GET", "/"), true) else {
                break;
            };
            http2::read(late).await.ok();
        }
        body.send_data("ended".into(), true).unwrap();
        let answer = http2::read(response).await.expect("an answer");
        assert_eq!(answer.text(), "begun ended");
    });
    let ended = gateway.stop();
    assert_eq!(ended.cut, 0);
}

#[test]
fn a_connection_without_streams_ends_after_the_time_it_may_be_kept() {
    let origin = Origin::answers(200, "x");
    let keep = |timeouts: &mut tidegate_core::defaults::Timeouts| {
        timeouts.keep_alive = Duration::from_millis(50);
    };
    let gateway = Gateway::to(origin.address()).timeouts(keep).start();
    http2::client(gateway.address(), async |mut client| {
        get(&mut client, "/").await.expect("an answer");
        http2::until(|| gateway.metrics().open_connections == 0).await;
        client.ready().await.expect_err("it was told to go away");
    });
}

#[test]
fn a_small_body_that_nobody_reads_costs_its_client_no_reset() {
    let gateway = Gateway::to(Origin::nowhere()).rule(Rule::at("/a")).start();
    let head = block(&[
        (":method", "POST"),
        (":scheme", "http"),
        (":authority", "a"),
        (":path", "/none"),
    ]);
    let mut client = gateway.client();
    client.send(opening());
    for stream in (1..100).step_by(2) {
        client.send(frame(HEADERS, END_HEADERS, stream, &head));
        let mut next = || {
            let frames = std::iter::from_fn(|| read(client.stream()).ok());
            let mut of_stream = frames.filter(|frame| frame.stream == stream);
            of_stream.next().expect("a frame")
        };
        assert_eq!(next().kind, HEADERS);
        assert!(next().has(END_STREAM));
        client.send(frame(DATA, END_STREAM, stream, b"late"));
    }
    // All that came since then must be answers to this.
    client.send(frame(PING, 0, 0, b"the last"));
    let rest = std::iter::from_fn(|| read(client.stream()).ok());
    let mut rest = rest.take_while(|frame| frame.kind != PING);
    assert!(rest.all(|frame| frame.kind != RST_STREAM));
}

#[test]
fn who_goes_on_sending_after_an_answer_is_reset_without_an_error() {
    let gateway = Gateway::to(Origin::nowhere())
        .rule(Rule::at("/a"))
        .timeouts(|timeouts| timeouts.linger = Duration::from_millis(100))
        .start();
    http2::client(gateway.address(), async |client| {
        let mut client = client.ready().await.unwrap();
        let (response, mut body) = client
            .send_request(request("POST", "/none"), false)
            .unwrap();
        assert_eq!(http2::read(response).await.expect("an answer").status, 404);
        let reason = std::future::poll_fn(|cx| body.poll_reset(cx)).await;
        assert_eq!(reason.expect("a reset"), Reason::NO_ERROR);
    });
}

#[test]
fn a_client_that_resets_its_stream_after_its_upload_ends_the_answer() {
    let origin = Origin::script(|connection| {
        let mut request = connection.request_head()?;
        // The answer begins before the upload has ended.
        connection.send("HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n1\r\nx\r\n")?;
        connection.request_body(&mut request)?;
        connection.wait_for_close()
    });
    let gateway = Gateway::to(origin.address()).start();
    http2::client(gateway.address(), async |mut client| {
        let (response, mut body) = client.send_request(request("POST", "/"), false).unwrap();
        body.send_data("x".into(), false).unwrap();
        let mut answer = response.await.expect("an answer").into_body();
        let first = answer.data().await.expect("a piece").expect("a piece");
        assert_eq!(first, "x");
        body.send_data("y".into(), true).unwrap();
        body.send_reset(Reason::CANCEL);
        http2::until(|| origin.is_idle()).await;
    });
    let line = gateway.log_lines(1).remove(0);
    assert!(line.contains(" 200 client_closed "), "{line}");
}

#[test]
fn uploads_that_stand_still_hold_up_no_other() {
    let given_up = Latch::default();
    let until = given_up.clone();
    let origin = Origin::script(move |connection| {
        while let Ok(mut request) = connection.request_head() {
            if request.start.contains("/stuck") {
                // Reads no byte of the body.
                until.wait();
                return Ok(());
            }
            connection.request_body(&mut request)?;
            connection.send("HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n")?;
        }
        Ok(())
    });
    let gateway = Gateway::to(origin.address()).start();
    http2::client(gateway.address(), async |mut client| {
        let mut stuck = Vec::new();
        for _ in 0..12 {
            client = client.ready().await.expect("room");
            let sent = client.send_request(request("POST", "/stuck"), false);
            let (response, mut body) = sent.expect("sent");
            let piece = Bytes::from(vec![0; 64 * 1024]);
            loop {
                let sending = http2::send(&mut body, piece.clone(), false);
                match tokio::time::timeout(Duration::from_millis(200), sending).await {
                    Ok(sent) => sent.expect("sent"),
                    Err(_) => break,
                }
            }
            stuck.push((response, body));
        }
        for _ in 0..3 {
            let upload = Some(Bytes::from(vec![b'b'; 2_000_000]));
            let answer = exchange(&mut client, request("POST", "/upload"), upload).await;
            assert_eq!(answer.expect("an answer").status, 200);
        }
        given_up.open();
    });
}

#[test]
fn a_body_may_come_in_single_bytes_though_its_origin_waits() {
    static SENT: AtomicBool = AtomicBool::new(false);
    // The origin's window is full before it reads, so that frames wait in the gateway.
    let mut builder = h2::server::Builder::new();
    builder.data_frame_budget(64 << 20);
    let origin = Http2Origin::with(builder, |request, mut respond| async move {
        let mut body = request.into_body();
        http2::until(|| SENT.load(Ordering::SeqCst)).await;
        let read = http2::read_body(&mut body).await?;
        let mut answer = respond.send_response(http::Response::new(()), false)?;
        answer.send_data(read.len().to_string().into(), true)
    });
    let gateway = Gateway::to(origin.address()).http2_origin().start();
    http2::client(gateway.address(), async |mut client| {
        let (response, mut body) = client.send_request(request("POST", "/"), false).unwrap();
        let full = Bytes::from(vec![b'x'; 70_000]);
        http2::send(&mut body, full, false).await.expect("sent");
        for _ in 0..20_000 {
            http2::send(&mut body, "x".into(), false)
                .await
                .expect("sent");
        }
        body.send_data("y".into(), true).unwrap();
        SENT.store(true, Ordering::SeqCst);
        let answer = http2::read(response).await.expect("an answer");
        assert_eq!(answer.text(), "90001");
    });
}
