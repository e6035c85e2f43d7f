//! gRPC through the gateway: all kinds of calls, limits, and answers that the gateway makes.

use std::time::Duration;

use bytes::Bytes;
use h2::client::SendRequest;
use http::HeaderMap;
use http::HeaderValue;
use http::Request;
use tidegate_testkit::Gateway;
use tidegate_testkit::GrpcOrigin;
use tidegate_testkit::Origin;
use tidegate_testkit::Rule;
use tidegate_testkit::http2;
use tidegate_testkit::http2::Answer;
use tidegate_testkit::http2::exchange;

fn call(method: &str) -> Request<()> {
    let mut request = http2::request("POST", &format!("/a.B/{method}"));
    let headers = request.headers_mut();
    headers.insert("content-type", HeaderValue::from_static("application/grpc"));
    headers.insert("te", HeaderValue::from_static("trailers"));
    request
}

fn framed(message: &str) -> Bytes {
    let length = u32::try_from(message.len())
        .expect("a small message")
        .to_be_bytes();
    Bytes::from([&[0][..], &length, message.as_bytes()].concat())
}

async fn unary(client: &mut SendRequest<Bytes>, method: &str) -> Answer {
    let answer = exchange(client, call(method), Some(framed("hello"))).await;
    answer.expect("an answer")
}

/// Two gateways in a row in front of the origin.
fn two_hops(origin: &GrpcOrigin) -> (Gateway, Gateway) {
    let inner = Gateway::to(origin.address()).http2_origin().start();
    let outer = Gateway::to(inner.address()).http2_origin().start();
    (outer, inner)
}

#[test]
fn calls_of_every_kind_pass_two_hops() {
    let origin = GrpcOrigin::start();
    let (outer, _inner) = two_hops(&origin);
    http2::client(outer.address(), async |mut client| {
        let answer = unary(&mut client, "Unary").await;
        assert_eq!(answer.body, framed("re:hello"));
        assert_eq!(answer.field("x-initial"), Some("hello"));
        assert_eq!(answer.trailer("grpc-status"), Some("0"));
        let answer = unary(&mut client, "Three").await;
        let three = [framed("one"), framed(""), framed("three")].concat();
        assert_eq!(
            (answer.body, answer.trailers.map(|it| it.len())),
            (three, Some(1))
        );
        let answer = unary(&mut client, "Fails").await;
        assert_eq!(
            (answer.trailer("grpc-status"), answer.body.len()),
            (Some("9"), 0)
        );
        let answer = unary(&mut client, "Denied").await;
        assert_eq!(
            answer.field("grpc-status"),
            Some("7"),
            "a head alone stays one"
        );
        assert!(answer.trailers.is_none());

        // The client streams, and is answered at its end.
        client = client.ready().await.unwrap();
        let (response, mut body) = client.send_request(call("Joins"), false).unwrap();
        for word in ["one", "", "three"] {
            body.send_data(framed(word), false).unwrap();
            tokio::task::yield_now().await;
        }
        body.send_data(Bytes::new(), true).unwrap();
        let answer = http2::read(response).await.expect("an answer");
        assert_eq!(answer.body, framed("one  three"));
        assert_eq!(answer.trailer("grpc-status"), Some("0"));

        // Both sides stream, each waiting for the other.
        client = client.ready().await.unwrap();
        let (response, mut body) = client.send_request(call("Echo"), false).unwrap();
        let mut answer = response.await.expect("a head").into_body();
        for number in 0..20 {
            let message = framed(&format!("number {number}"));
            body.send_data(message.clone(), false).unwrap();
            let data = answer.data().await.expect("data").expect("data");
            answer.flow_control().release_capacity(data.len()).unwrap();
            assert_eq!(data, message);
        }
        body.send_data(Bytes::new(), true).unwrap();
        assert!(answer.data().await.is_none());
        let trailers = answer.trailers().await.unwrap().expect("a status");
        assert_eq!(trailers["grpc-status"], "0");
    });
}

#[test]
fn a_call_has_the_time_that_its_client_gives_it() {
    let origin = GrpcOrigin::start();
    let gateway = Gateway::to(origin.address()).http2_origin().start();
    let answer = http2::client(gateway.address(), async |mut client| {
        let mut call = call("Never");
        call.headers_mut()
            .insert("grpc-timeout", HeaderValue::from_static("100m"));
        exchange(&mut client, call, Some(framed("x")))
            .await
            .expect("an answer")
    });
    assert_eq!(
        (answer.status, answer.field("grpc-status")),
        (200, Some("4"))
    );
    assert_eq!(answer.body.len(), 0);
    http2::run(http2::until(|| origin.open() == 0));
    let lines = gateway.stop_for_log();
    assert!(lines[0].contains("request_timeout"), "{lines:?}");
}

#[test]
fn the_shorter_limit_of_route_and_client_counts() {
    let origin = GrpcOrigin::start();
    let rule = Rule::at("/")
        .to("origin", 1)
        .request_timeout(Duration::from_millis(100));
    let gateway = Gateway::to(origin.address())
        .http2_origin()
        .rule(rule)
        .start();
    let answer = http2::client(gateway.address(), async |mut client| {
        let mut call = call("Never");
        call.headers_mut()
            .insert("grpc-timeout", HeaderValue::from_static("1H"));
        exchange(&mut client, call, Some(framed("x")))
            .await
            .expect("an answer")
    });
    assert_eq!(answer.field("grpc-status"), Some("4"));
}

#[test]
fn failures_are_heads_with_a_status_for_grpc_clients() {
    let gateway = Gateway::to(Origin::nowhere()).http2_origin().start();
    let answer = http2::client(gateway.address(), async |mut client| {
        unary(&mut client, "Unary").await
    });
    assert_eq!(
        (answer.status, answer.field("grpc-status")),
        (200, Some("14"))
    );
    assert_eq!(answer.field("content-type"), Some("application/grpc"));
    assert_eq!(
        answer.field("grpc-message"),
        Some("503 Service Unavailable")
    );
    assert!(answer.body.is_empty() && answer.trailers.is_none());
    let lines = gateway.stop_for_log();
    assert!(lines[0].contains("connect_failed"), "{lines:?}");
}

#[test]
fn a_stream_survives_changes_of_the_configuration() {
    let origin = GrpcOrigin::start();
    let mut gateway = Gateway::to(origin.address()).http2_origin().start();
    let (address, other) = (gateway.address(), origin.address());
    http2::client(address, async |client| {
        let mut client = client.ready().await.unwrap();
        let (response, mut body) = client.send_request(call("Echo"), false).unwrap();
        let mut answer = response.await.expect("a head").into_body();
        for number in 0..100 {
            gateway.change(Gateway::to(other).http2_origin());
            let message = framed(&number.to_string());
            body.send_data(message.clone(), false).unwrap();
            let data = answer.data().await.expect("data").expect("data");
            answer.flow_control().release_capacity(data.len()).unwrap();
            assert_eq!(data, message);
        }
        let mut trailers = HeaderMap::new();
        trailers.insert("x-end", HeaderValue::from_static("1"));
        body.send_trailers(trailers).unwrap();
        while answer.data().await.is_some() {}
        assert!(answer.trailers().await.unwrap().is_some());
    });
    assert_eq!(gateway.metrics().connections, 1);
}

#[test]
fn one_side_may_be_silent_for_as_long_as_the_other_talks() {
    let origin = GrpcOrigin::start();
    let idle = |timeouts: &mut tidegate_core::defaults::Timeouts| {
        timeouts.stream_idle = Duration::from_millis(300);
    };
    let gateway = Gateway::to(origin.address())
        .http2_origin()
        .timeouts(idle)
        .start();
    http2::client(gateway.address(), async |client| {
        let mut client = client.ready().await.unwrap();
        let (response, mut body) = client.send_request(call("Unary"), false).unwrap();
        // A message that comes byte by byte for three times as long as silence may last.
        for byte in framed(&"x".repeat(90)) {
            body.send_data(Bytes::copy_from_slice(&[byte]), false)
                .unwrap();
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
        let answer = http2::read(response).await.expect("an answer");
        assert_eq!(answer.trailer("grpc-status"), Some("0"));

        let mut client = client.ready().await.unwrap();
        let (response, body) = client.send_request(call("Echo"), false).unwrap();
        let mut answer = response.await.expect("a head").into_body();
        let ended = answer.data().await.expect("not the end");
        ended.expect_err("both are silent");
        drop(body);
    });
}
