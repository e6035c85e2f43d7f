//! Connections: kept ones, stale ones, pipelines.

use std::time::Duration;

use tidegate_testkit::Gateway;
use tidegate_testkit::Origin;
use tidegate_testkit::eventually;

#[test]
fn a_connection_serves_one_request_after_the_other() {
    let origin = Origin::answers(200, "fine");
    let gateway = Gateway::to(origin.address()).start();
    let mut client = gateway.client();
    for _ in 0..50 {
        assert_eq!(client.get("/").text(), "fine");
    }
    assert_eq!((origin.requests().len(), origin.connections()), (50, 1));
}

#[test]
fn pipelined_requests_are_answered_in_order() {
    let origin = Origin::echoes();
    let gateway = Gateway::to(origin.address()).start();
    let mut client = gateway.client();
    let request = |body: &str| {
        format!(
            "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: {}\r\n\r\n{body}",
            body.len()
        )
    };
    client.send(format!(
        "\r\n{}{}{}",
        request("one"),
        request("two"),
        request("three")
    ));
    for expected in ["one", "two", "three"] {
        assert_eq!(client.response().text(), expected);
    }
}

#[test]
fn connection_close_is_honoured() {
    let origin = Origin::answers(200, "fine");
    let gateway = Gateway::to(origin.address()).start();
    let mut client = gateway.client();
    client.send("GET / HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n");
    assert_eq!(client.response().field("connection"), Some("close"));
    assert_eq!(client.read_to_end().expect("a clean close"), b"");
}

#[test]
fn a_kept_connection_that_the_origin_closed_is_not_used() {
    let origin = Origin::script(|connection| {
        connection.request()?;
        connection.send("HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n")
    });
    let gateway = Gateway::to(origin.address()).start();
    let mut client = gateway.client();
    for n in 1..=5 {
        assert_eq!(client.post("/", b"not to be sent twice").status(), 200);
        eventually("the origin's close", || {
            (origin.connections() == n && origin.is_idle()).then_some(())
        });
        // The close is on its way to the gateway; a POST may not be sent twice, so wait for it.
        let mut probe = gateway.client();
        probe.send("GET /\\ HTTP/1.1\r\nHost: a\r\n\r\n");
        probe.response();
    }
    assert_eq!(origin.requests().len(), 5);
}

#[test]
fn a_request_that_dies_on_a_kept_connection_is_sent_once_more_if_it_may_be() {
    // The second request on each connection is met by a close without an answer.
    let origin = Origin::script(|connection| {
        connection.request()?;
        connection.send("HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n")?;
        connection.request().map(|_| ())
    });
    let gateway = Gateway::to(origin.address()).start();
    let mut client = gateway.client();
    assert_eq!(client.get("/first").status(), 200);
    assert_eq!(client.get("/second").status(), 200);
    assert_eq!(origin.connections(), 2);
    assert!(
        gateway
            .log_lines(2)
            .iter()
            .any(|line| line.contains("attempts=2"))
    );
    // A POST may have had an effect: it is not repeated.
    assert_eq!(client.post("/third", b"x").status(), 502);
    assert!(
        gateway
            .log_lines(3)
            .iter()
            .any(|line| line.contains(" 502 upstream_reset "))
    );
}

#[test]
fn an_idle_client_connection_is_closed_after_its_limit() {
    let origin = Origin::answers(200, "fine");
    let gateway = Gateway::to(origin.address())
        .timeouts(|timeouts| timeouts.keep_alive = Duration::from_millis(100))
        .start();
    let mut client = gateway.client();
    client.get("/");
    assert_eq!(client.read_to_end().expect("a clean close"), b"");
}

#[test]
fn an_idle_origin_connection_is_closed_after_its_limit() {
    let origin = Origin::answers(200, "fine");
    let gateway = Gateway::to(origin.address())
        .timeouts(|timeouts| timeouts.upstream_idle = Duration::from_millis(1))
        .start();
    let mut client = gateway.client();
    client.get("/");
    eventually("a new connection", || {
        client.get("/");
        (origin.connections() > 1).then_some(())
    });
}

#[test]
fn many_clients_are_spread_over_workers_and_share_nothing() {
    let origin = Origin::echoes();
    let gateway = Gateway::to(origin.address()).workers(3).start();
    std::thread::scope(|scope| {
        for client_number in 0..12 {
            let gateway = &gateway;
            scope.spawn(move || {
                let mut client = gateway.client();
                for n in 0..20 {
                    let body = format!("{client_number}-{n}");
                    assert_eq!(client.post("/", body.as_bytes()).text(), body);
                }
            });
        }
    });
    assert_eq!(origin.requests().len(), 240);
}

#[test]
fn a_request_that_did_not_leave_completely_does_not_lend_its_connection() {
    // The origin reads the head only, lets the gateway's writes stall, and answers all the same.
    let origin = Origin::script(|connection| {
        let request = connection.request_head()?;
        if request.start.starts_with("POST") {
            std::thread::park_timeout(Duration::from_millis(800));
        }
        connection.send("HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok")?;
        connection.wait_for_close()
    });
    let gateway = Gateway::to(origin.address())
        .timeouts(|timeouts| timeouts.write_stall = Duration::from_millis(200))
        .start();
    let mut client = gateway.client();
    let body = vec![b'x'; 16 << 20];
    client.send(format!(
        "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: {}\r\n\r\n",
        body.len()
    ));
    // The gateway stops reading too: what cannot be sent is not what this is about.
    client.try_send(&body).ok();
    assert_eq!(client.response().text(), "ok");
    assert_eq!(gateway.get("/victim").text(), "ok");
    assert_eq!(
        origin.connections(),
        2,
        "the next request went into the first one's body"
    );
}

#[test]
fn a_request_is_not_sent_again_after_an_interim_answer() {
    let origin = Origin::script(|connection| {
        connection.request()?;
        connection.send("HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n")?;
        connection.request()?;
        connection.send("HTTP/1.1 103 Early Hints\r\nlink: </a>\r\n\r\n")
    });
    let gateway = Gateway::to(origin.address()).start();
    let mut client = gateway.client();
    assert_eq!(client.get("/first").status(), 200);
    assert_eq!(client.get("/second").status(), 103);
    assert_eq!(client.response().status(), 502);
    assert_eq!(origin.requests().len(), 2);
}
