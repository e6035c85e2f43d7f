//! Bad origins: down, resetting, stalling, closing in the middle, answering garbage.

use std::time::Duration;

use tidegate_testkit::Gateway;
use tidegate_testkit::Origin;

/// The answer to a GET, and its line in the access log.
#[track_caller]
fn answer(gateway: &Gateway) -> (u16, String) {
    let status = gateway.get("/").status();
    (status, gateway.log_lines(1).remove(0))
}

#[track_caller]
fn assert_flag(line: &str, status: u16, flag: &str) {
    assert!(line.contains(&format!(" {status} {flag} ")), "{line}");
}

#[test]
fn an_origin_that_is_down_is_503() {
    let gateway = Gateway::to(Origin::nowhere()).start();
    let (status, line) = answer(&gateway);
    assert_eq!(status, 503);
    assert_flag(&line, 503, "connect_failed");
}

#[test]
fn an_endpoint_that_is_down_is_passed_over() {
    let origin = Origin::answers(200, "alive");
    let gateway = Gateway::to(origin.address())
        .endpoints(&[Origin::nowhere(), origin.address()])
        .start();
    for _ in 0..4 {
        assert_eq!(gateway.get("/").text(), "alive");
    }
}

#[test]
fn a_backend_without_endpoints_is_503() {
    let gateway = Gateway::to(Origin::nowhere()).endpoints(&[]).start();
    let (status, line) = answer(&gateway);
    assert_eq!(status, 503);
    assert_flag(&line, 503, "no_endpoint");
}

#[test]
fn an_origin_that_resets_is_502() {
    let origin = Origin::script(|connection| connection.request().map(|_| ()));
    let gateway = Gateway::to(origin.address()).start();
    let (status, line) = answer(&gateway);
    assert_eq!(status, 502);
    assert_flag(&line, 502, "upstream_reset");
}

#[test]
fn an_origin_that_closes_within_its_head_is_502() {
    let origin = Origin::script(|connection| {
        connection.request()?;
        connection.send("HTTP/1.1 200 OK\r\ncontent-")
    });
    let gateway = Gateway::to(origin.address()).start();
    let (status, line) = answer(&gateway);
    assert_eq!(status, 502);
    assert_flag(&line, 502, "upstream_reset");
}

#[test]
fn an_origin_that_stalls_is_504() {
    let origin = Origin::script(|connection| {
        connection.request()?;
        connection.wait_for_close()
    });
    let gateway = Gateway::to(origin.address())
        .timeouts(|timeouts| timeouts.stream_idle = Duration::from_millis(100))
        .start();
    let (status, line) = answer(&gateway);
    assert_eq!(status, 504);
    assert_flag(&line, 504, "upstream_timeout");
}

#[test]
fn an_origin_that_closes_in_its_body_leaves_the_answer_visibly_incomplete() {
    let origin = Origin::replies_then_closes("HTTP/1.1 200 OK\r\ncontent-length: 10\r\n\r\nabc");
    let gateway = Gateway::to(origin.address()).start();
    let mut client = gateway.client();
    client.send("GET / HTTP/1.1\r\nHost: a\r\n\r\n");
    assert!(
        client.try_response().is_err(),
        "10 bytes were announced and 3 sent"
    );
    assert_flag(&gateway.log_lines(1)[0], 200, "upstream_body_cut");

    let chunks = "HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n3\r\nabc\r\n";
    let origin = Origin::replies_then_closes(chunks);
    let gateway = Gateway::to(origin.address()).start();
    let mut client = gateway.client();
    client.send("GET / HTTP/1.1\r\nHost: a\r\n\r\n");
    assert!(client.try_response().is_err(), "the last chunk is missing");
    // An HTTP/1.0 client reads until the close: it must see a reset.
    let mut client = gateway.client();
    client.send("GET / HTTP/1.0\r\n\r\n");
    assert!(
        client.read_to_end().is_err(),
        "the close looked like the end"
    );
}

#[test]
fn an_origin_that_stalls_in_its_body_is_cut() {
    let origin = Origin::script(|connection| {
        connection.request()?;
        connection.send("HTTP/1.1 200 OK\r\ncontent-length: 10\r\n\r\nabc")?;
        connection.wait_for_close()
    });
    let gateway = Gateway::to(origin.address())
        .timeouts(|timeouts| timeouts.stream_idle = Duration::from_millis(100))
        .start();
    let mut client = gateway.client();
    client.send("GET / HTTP/1.1\r\nHost: a\r\n\r\n");
    assert!(client.try_response().is_err());
    assert_flag(&gateway.log_lines(1)[0], 200, "upstream_body_timeout");
}

#[test]
fn an_origin_that_answers_garbage_is_502() {
    for garbage in [
        &b"SSH-2.0-OpenSSH_9.2\r\n"[..],
        b"\x15\x03\x01\x00\x02\x02\x46",
        b"HTTP/1.1 two hundred\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nno colon here\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nx: a\r\n folded\r\n\r\n",
        b"HTTP/1.1 200 OK\nx: a\n\n",
        b"HTTP/1.1 101 Switching Protocols\r\nupgrade: x\r\n\r\n",
    ] {
        let origin = Origin::replies_then_closes(garbage);
        let gateway = Gateway::to(origin.address()).start();
        let (status, line) = answer(&gateway);
        assert_eq!(status, 502, "{}", garbage.escape_ascii());
        assert_flag(&line, 502, "upstream_protocol_error");
    }
}

#[test]
fn an_origin_with_an_endless_head_is_502() {
    let origin = Origin::script(|connection| {
        connection.request()?;
        connection.send("HTTP/1.1 200 OK\r\n")?;
        loop {
            connection.send("x: aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa\r\n")?;
        }
    });
    let gateway = Gateway::to(origin.address()).start();
    let (status, line) = answer(&gateway);
    assert_eq!(status, 502);
    assert_flag(&line, 502, "upstream_headers_too_large");
}

#[test]
fn bytes_after_an_answer_do_not_reach_the_next_client() {
    let origin = Origin::script(|connection| {
        connection.request()?;
        connection.send(
            "HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nokHTTP/1.1 200 OK\r\n\
             content-length: 6\r\n\r\npoison",
        )?;
        connection.wait_for_close()
    });
    let gateway = Gateway::to(origin.address()).start();
    for _ in 0..3 {
        assert_eq!(gateway.get("/").text(), "ok");
    }
    assert_eq!(origin.connections(), 3);
}

#[test]
fn an_answer_whose_body_is_garbage_from_the_start_is_502() {
    let origin = Origin::replies_then_closes(
        "HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n5\r\nhello\r\nZZZ\r\n",
    );
    let gateway = Gateway::to(origin.address()).start();
    let (status, line) = answer(&gateway);
    assert_eq!(status, 502);
    assert_flag(&line, 502, "upstream_protocol_error");
}
