//! Filters that see bodies of HTTP/2: lengths, limits and ends that come by themselves.

use bytes::Bytes;
use http::HeaderValue;
use http::Response;
use tidegate_testkit::Gateway;
use tidegate_testkit::Http2Origin;
use tidegate_testkit::Origin;
use tidegate_testkit::Wasm;
use tidegate_testkit::http2;
use tidegate_testkit::http2::exchange;
use tidegate_testkit::http2::request;

/// A filter that may change bodies; it keeps those of a direction, if one is named.
fn editor(keeps: &str) -> Wasm {
    let callback = |side: &str| {
        let action = u32::from(side == keeps);
        format!(
            r#"(func (export "proxy_on_{side}_body") (param i32 i32 i32) (result i32)
                (i32.const {action}))"#
        )
    };
    let imports = r#"(import "env" "proxy_set_buffer_bytes"
        (func $set (param i32 i32 i32 i32 i32) (result i32)))"#;
    let body = callback("request") + &callback("response");
    Wasm::wat("editor", imports, &body)
}

#[test]
fn a_length_is_kept_though_the_end_of_the_body_comes_by_itself() {
    let origin = Http2Origin::script(|request, mut respond| async move {
        http2::read_body(&mut request.into_body()).await?;
        let mut answer = Response::new(());
        let length = HeaderValue::from_static("5");
        answer.headers_mut().insert("content-length", length);
        let mut body = respond.send_response(answer, false)?;
        body.send_data("hello".into(), false)?;
        for _ in 0..10 {
            tokio::task::yield_now().await;
        }
        body.send_data(Bytes::new(), true)
    });
    let gateway = Gateway::to(origin.address())
        .http2_origin()
        .plugin(&editor(""))
        .start();
    http2::client(gateway.address(), async |client| {
        let mut client = client.ready().await.unwrap();
        let mut request = request("POST", "/");
        let length = HeaderValue::from_static("3");
        request.headers_mut().insert("content-length", length);
        let (response, mut body) = client.send_request(request, false).unwrap();
        body.send_data("abc".into(), false).unwrap();
        for _ in 0..10 {
            tokio::task::yield_now().await;
        }
        body.send_data(Bytes::new(), true).unwrap();
        let answer = http2::read(response).await.expect("an answer");
        assert_eq!(answer.field("content-length"), Some("5"));
        assert_eq!(answer.text(), "hello");
    });
    let seen = origin.requests();
    assert_eq!(seen[0].headers()["content-length"], "3");
}

#[test]
fn what_is_too_large_to_be_held_is_refused_to_clients_of_http2_too() {
    let origin = Origin::script(|connection| {
        while let Ok(request) = connection.request() {
            let size = if request.start.contains("/large") {
                9000
            } else {
                1
            };
            let body = "x".repeat(size);
            let head = format!("HTTP/1.1 200 OK\r\ncontent-length: {size}\r\n\r\n");
            connection.send(head + &body)?;
        }
        Ok(())
    });
    for (keeps, status) in [("request", 413), ("response", 500)] {
        let gateway = Gateway::to(origin.address())
            .plugin(&editor(keeps))
            .sizes(|sizes| sizes.buffered_body_bytes = 5000)
            .start();
        http2::client(gateway.address(), async |mut client| {
            let large = Bytes::from(vec![b'x'; 9000]);
            let answer = exchange(&mut client, request("POST", "/large"), Some(large)).await;
            assert_eq!(answer.expect("an answer").status, status);
        });
    }
}
