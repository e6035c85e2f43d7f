//! Bodies in both directions, and what stands in their place.

use tidegate_testkit::Gateway;
use tidegate_testkit::Origin;
use tidegate_testkit::eventually;

#[test]
fn bodies_with_a_length_pass_both_ways() {
    let origin = Origin::echoes();
    let gateway = Gateway::to(origin.address()).start();
    let body: Vec<u8> = (0..1_000_000u32).flat_map(u32::to_le_bytes).collect();
    let response = gateway.client().post("/", &body);
    assert_eq!(response.field("content-length"), Some("4000000"));
    assert!(response.body == body, "the body came back changed");
    assert_eq!(
        origin.only_request().field("content-length"),
        Some("4000000")
    );
}

#[test]
fn chunked_bodies_pass_both_ways() {
    let origin = Origin::script(|connection| {
        let request = connection.request()?;
        let text = request.text();
        let (first, rest) = text.split_at(3);
        let wire = format!(
            "HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n3\r\n{first}\r\n{:x}\r\n{rest}\r\n0\r\n\r\n",
            rest.len()
        );
        connection.send(wire)
    });
    let gateway = Gateway::to(origin.address()).start();
    let mut client = gateway.client();
    client.send("POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n");
    client.send("5\r\nhello\r\n");
    client.send("6\r\n world\r\n0\r\n\r\n");
    let response = client.response();
    assert_eq!(response.field("transfer-encoding"), Some("chunked"));
    assert_eq!(response.text(), "hello world");
    assert_eq!(origin.only_request().text(), "hello world");
}

#[test]
fn each_piece_is_passed_on_before_the_next_one_comes() {
    let origin = Origin::script(|connection| {
        let mut request = connection.request_head()?;
        connection.send("HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n1\r\na\r\n")?;
        // The rest of the answer waits for the rest of the request.
        connection.request_body(&mut request)?;
        connection.send("1\r\nb\r\n0\r\n\r\n")
    });
    let gateway = Gateway::to(origin.address()).start();
    let mut client = gateway.client();
    client.send("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 2\r\n\r\nx");
    let mut seen = Vec::new();
    while !seen.ends_with(b"1\r\na\r\n") {
        seen.extend(client.read_some());
    }
    client.send("y");
    while !seen.ends_with(b"1\r\nb\r\n0\r\n\r\n") {
        seen.extend(client.read_some());
    }
    assert_eq!(origin.only_request().text(), "xy");
}

#[test]
fn an_answer_without_length_is_chunked_and_keeps_the_clients_connection() {
    let origin = Origin::script(|connection| {
        connection.request()?;
        connection.send("HTTP/1.1 200 OK\r\n\r\nuntil the end")
    });
    let gateway = Gateway::to(origin.address()).start();
    let mut client = gateway.client();
    for _ in 0..2 {
        let response = client.get("/");
        assert_eq!(response.field("transfer-encoding"), Some("chunked"));
        assert_eq!(response.text(), "until the end");
    }
    assert_eq!(origin.connections(), 2);
}

#[test]
fn expect_100_continue_is_answered_before_the_body() {
    let origin = Origin::echoes();
    let gateway = Gateway::to(origin.address()).start();
    let mut client = gateway.client();
    client.send("POST / HTTP/1.1\r\nHost: a\r\nExpect: 100-continue\r\nContent-Length: 3\r\n\r\n");
    assert_eq!(client.response().status(), 100);
    client.send("abc");
    assert_eq!(client.response().text(), "abc");
    assert_eq!(origin.only_request().field("expect"), None);
    let mut client = gateway.client();
    client.send("POST / HTTP/1.1\r\nHost: a\r\nExpect: tea\r\nContent-Length: 3\r\n\r\n");
    assert_eq!(client.response().status(), 417);
}

#[test]
fn head_204_and_304_have_no_body_and_keep_the_connection() {
    let origin = Origin::script(|connection| {
        while let Ok(request) = connection.request() {
            let answer = match request.start.split(' ').nth(1) {
                Some("/204") => "HTTP/1.1 204 No Content\r\ncontent-length: 5\r\n\r\n",
                Some("/304") => "HTTP/1.1 304 Not Modified\r\ncontent-length: 5\r\netag: x\r\n\r\n",
                _ => "HTTP/1.1 200 OK\r\ncontent-length: 5\r\n\r\n",
            };
            connection.send(answer)?;
        }
        Ok(())
    });
    let gateway = Gateway::to(origin.address()).start();
    let mut client = gateway.client();
    client.send("HEAD / HTTP/1.1\r\nHost: a\r\n\r\n");
    let head = client.response_head();
    assert_eq!(
        (head.status(), head.field("content-length")),
        (200, Some("5"))
    );
    let no_content = client.get("/204");
    assert_eq!(
        (no_content.status(), no_content.field("content-length")),
        (204, None)
    );
    let not_modified = client.get("/304");
    assert_eq!(
        (not_modified.status(), not_modified.field("content-length")),
        (304, Some("5"))
    );
    assert_eq!(origin.connections(), 1);
}

#[test]
fn trailers_reach_only_a_client_that_sent_te_trailers() {
    let origin = Origin::replies(
        "HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n2\r\nok\r\n0\r\nx-sum: 7\r\n\
         content-length: 9\r\n\r\n",
    );
    let gateway = Gateway::to(origin.address()).start();
    let mut client = gateway.client();
    client.send("GET / HTTP/1.1\r\nHost: a\r\nTE: trailers\r\nConnection: TE\r\n\r\n");
    let with = client.response();
    assert_eq!(with.trailers, [("x-sum".to_owned(), "7".to_owned())]);
    let without = client.get("/");
    assert_eq!((without.trailers.len(), without.text().as_str()), (0, "ok"));
}

#[test]
fn request_trailers_reach_the_origin() {
    let origin = Origin::answers(200, "fine");
    let gateway = Gateway::to(origin.address()).start();
    let mut client = gateway.client();
    client.send("POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n");
    client.send("2\r\nok\r\n0\r\nX-Sum: 7\r\nHost: evil\r\n\r\n");
    assert_eq!(client.response().status(), 200);
    assert_eq!(
        origin.only_request().trailers,
        [("x-sum".to_owned(), "7".to_owned())]
    );
}

#[test]
fn interim_responses_are_passed_on() {
    let origin = Origin::script(|connection| {
        connection.request()?;
        connection.send("HTTP/1.1 103 Early Hints\r\nlink: </a.css>\r\n\r\n")?;
        connection.send("HTTP/1.1 100 Continue\r\n\r\n")?;
        connection.send("HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok")
    });
    let gateway = Gateway::to(origin.address()).start();
    let mut client = gateway.client();
    let hints = client.get("/");
    assert_eq!(
        (hints.status(), hints.field("link")),
        (103, Some("</a.css>"))
    );
    assert_eq!(client.response().text(), "ok");
    // An HTTP/1.0 client does not know them.
    let mut old = gateway.client();
    old.send("GET / HTTP/1.0\r\n\r\n");
    assert_eq!(old.response().status(), 200);
}

#[test]
fn an_early_answer_is_not_lost_while_the_client_still_sends() {
    let origin = Origin::script(|connection| {
        connection.request_head()?;
        connection.send("HTTP/1.1 413 Content Too Large\r\ncontent-length: 3\r\n\r\nbig")?;
        connection.wait_for_close()
    });
    let gateway = Gateway::to(origin.address()).start();
    let mut client = gateway.client();
    client.send("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 100000000\r\n\r\n");
    let piece = vec![0; 64 * 1024];
    // The gateway may close while we send: what counts is that the answer arrives.
    for _ in 0..16 {
        if client.try_send(&piece).is_err() {
            break;
        }
    }
    let response = client.response();
    assert_eq!((response.status(), response.text().as_str()), (413, "big"));
}

#[test]
fn an_empty_post_says_so() {
    let origin = Origin::answers(200, "fine");
    let gateway = Gateway::to(origin.address()).start();
    gateway.client().post("/", b"");
    assert_eq!(origin.only_request().field("content-length"), Some("0"));
}

#[test]
fn a_client_that_goes_away_after_its_upload_ends_the_answer() {
    let origin = Origin::script(|connection| {
        let mut request = connection.request_head()?;
        // The answer begins before the upload has ended.
        connection.send("HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n1\r\nx\r\n")?;
        connection.request_body(&mut request)?;
        connection.wait_for_close()
    });
    let gateway = Gateway::to(origin.address()).start();
    let mut client = gateway.client();
    client.send("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 2\r\n\r\nx");
    assert_eq!(client.response_head().status(), 200);
    client.send("y");
    drop(client);
    eventually("the origin's end", || origin.is_idle().then_some(()));
    let line = gateway.log_lines(1).remove(0);
    assert!(line.contains(" 200 client_closed "), "{line}");
}
