//! Changes of protocol byte by byte: what passes, what is ignored, and what origins do wrong.

use std::io::Read as _;
use std::io::Write as _;
use std::net::Shutdown;
use std::sync::Arc;
use std::sync::Mutex;
use std::time::Duration;

use tidegate_testkit::Client;
use tidegate_testkit::Gateway;
use tidegate_testkit::Latch;
use tidegate_testkit::Message;
use tidegate_testkit::Origin;
use tidegate_testkit::Rule;
use tidegate_testkit::eventually;

const ASKS: &str =
    "GET /a HTTP/1.1\r\nHost: a.test\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n";
const SWITCHES: &str = "HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: websocket\r\nX-Own: 1\r\n\r\n";

/// Reads so many bytes that follow a head.
#[track_caller]
fn bytes(client: &mut Client, count: usize) -> Vec<u8> {
    let mut got = Vec::new();
    while got.len() < count {
        got.extend(client.read_some());
    }
    got
}

/// The answer of an origin that says this to the usual wish, and the line in the log.
#[track_caller]
fn answer(says: &'static str) -> (Message, String) {
    let origin = Origin::replies_then_closes(says);
    let gateway = Gateway::to(origin.address()).start();
    let mut client = gateway.client();
    client.send(ASKS);
    (client.response(), gateway.log_lines(1).remove(0))
}

#[test]
fn both_heads_name_the_protocol_and_nothing_that_was_read_with_them_is_lost() {
    let origin = Origin::script(|connection| {
        connection.request()?;
        // Its first words come with the head.
        connection.send([SWITCHES, "from the origin"].concat())?;
        let early = connection.exactly(15)?;
        connection.send(early)
    });
    let gateway = Gateway::to(origin.address()).start();
    let mut client = gateway.client();
    client.send([ASKS, "from the client"].concat());
    let head = client.response_head();
    assert_eq!(head.status(), 101);
    assert_eq!(head.values("connection"), ["upgrade"]);
    assert_eq!(head.values("upgrade"), ["websocket"]);
    assert_eq!(head.field("x-own"), Some("1"));
    assert_eq!(head.field("content-length"), None);
    let said = bytes(&mut client, 30);
    assert_eq!(
        String::from_utf8_lossy(&said),
        "from the originfrom the client"
    );
    let asked = origin.only_request();
    assert_eq!(asked.values("connection"), ["upgrade"]);
    assert_eq!(asked.values("upgrade"), ["websocket"]);
}

#[test]
fn each_side_may_end_first_and_the_other_goes_on() {
    let origin = Origin::script(|connection| {
        connection.request()?;
        connection.send(SWITCHES)?;
        let mut said = Vec::new();
        connection.stream().read_to_end(&mut said)?;
        connection.send(said.len().to_string())
    });
    let gateway = Gateway::to(origin.address()).start();
    let mut client = gateway.client();
    client.send(ASKS);
    assert_eq!(client.response_head().status(), 101);
    client.send(vec![b'x'; 100_000]);
    client.half_close();
    assert_eq!(client.read_to_end().expect("a clean end"), b"100000");
    // The other way round.
    let heard = Arc::<Mutex<Vec<u8>>>::default();
    let hears = Arc::clone(&heard);
    let origin = Origin::script(move |connection| {
        connection.request()?;
        connection.send([SWITCHES, "that is all"].concat())?;
        connection.stream().shutdown(Shutdown::Write)?;
        let mut said = Vec::new();
        connection.stream().read_to_end(&mut said)?;
        hears.lock().expect("no panic").extend(said);
        Ok(())
    });
    let gateway = Gateway::to(origin.address()).start();
    let mut client = gateway.client();
    client.send(ASKS);
    assert_eq!(client.response_head().status(), 101);
    assert_eq!(client.read_to_end().expect("a clean end"), b"that is all");
    client.send("but I go on");
    client.half_close();
    eventually("what the client said", || {
        (*heard.lock().expect("no panic") == b"but I go on").then_some(())
    });
    let line = gateway.log_lines(1).remove(0);
    assert!(line.contains(" 101 - "), "{line}");
}

#[test]
fn an_answer_other_than_101_is_an_ordinary_one() {
    let origin = Origin::replies("HTTP/1.1 426 Upgrade Required\r\nContent-Length: 2\r\n\r\nno");
    let gateway = Gateway::to(origin.address()).start();
    for _ in 0..3 {
        let mut client = gateway.client();
        // What comes behind is no request: it may be the other protocol's, sent too soon.
        client.send([ASKS, "GET /smuggled HTTP/1.1\r\nHost: a\r\n\r\n"].concat());
        let answer = client.response();
        assert_eq!((answer.status(), answer.text().as_str()), (426, "no"));
        assert_eq!(client.read_to_end().expect("a clean end"), b"");
        assert_eq!(
            (answer.field("upgrade"), answer.field("connection")),
            (None, Some("close"))
        );
    }
    assert_eq!(origin.requests().len(), 3);
    assert_eq!(origin.connections(), 1, "the origin's connection is kept");
}

#[test]
fn a_101_that_does_not_fit_is_502() {
    for bad in [
        "HTTP/1.1 101 Switching Protocols\r\n\r\n",
        "HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\n\r\n",
        "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\n\r\n",
        "HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: irc\r\n\r\n",
        "HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: websocket, irc\r\n\r\n",
        "HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: h2c\r\n\r\n",
    ] {
        let (answer, line) = answer(bad);
        assert_eq!(answer.status(), 502, "{bad}");
        assert!(line.contains(" 502 upstream_protocol_error "), "{line}");
    }
}

#[test]
fn a_101_that_nobody_asked_for_is_502() {
    let origin = Origin::replies_then_closes(SWITCHES);
    let gateway = Gateway::to(origin.address()).start();
    assert_eq!(gateway.get("/").status(), 502);
}

#[test]
fn what_is_not_allowed_is_ignored_and_never_forwarded() {
    for ignored in [
        "GET / HTTP/1.1\r\nHost: a\r\nConnection: Upgrade\r\nUpgrade: irc/6.9\r\n\r\n",
        "GET / HTTP/1.1\r\nHost: a\r\nConnection: Upgrade\r\nUpgrade: h2c\r\n\r\n",
        "GET / HTTP/1.1\r\nHost: a\r\nConnection: Upgrade\r\nUpgrade: TLS/1.0\r\n\r\n",
        "GET / HTTP/1.1\r\nHost: a\r\nUpgrade: websocket\r\n\r\n",
        "GET / HTTP/1.0\r\nHost: a\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n",
        "HEAD / HTTP/1.1\r\nHost: a\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n",
    ] {
        let origin = Origin::answers(200, "");
        let gateway = Gateway::to(origin.address()).start();
        let mut client = gateway.client();
        client.send(ignored);
        assert_eq!(client.response_head().status(), 200, "{ignored}");
        let asked = origin.only_request();
        assert_eq!(
            (asked.field("upgrade"), asked.field("connection")),
            (None, None),
            "{ignored}"
        );
    }
}

/// As Docker's `exec` asks: what to run is in the body.
const ASKS_WITH_BODY: &str = "POST /exec HTTP/1.1\r\nHost: a\r\nConnection: Upgrade\r\n\
     Upgrade: tcp\r\nContent-Length: 4\r\n\r\nbody";
const SWITCHES_TO_TCP: &str =
    "HTTP/1.1 101 UPGRADED\r\nConnection: Upgrade\r\nUpgrade: tcp\r\n\r\n";

fn to_tcp(origin: &Origin) -> Gateway {
    let rule = Rule::at("/").to("origin", 1).upgrades(&["tcp"]);
    Gateway::to(origin.address()).rule(rule).start()
}

#[test]
fn the_body_of_a_request_comes_before_the_other_protocol() {
    let origin = Origin::script(|connection| {
        let asked = connection.request()?;
        assert_eq!(asked.text(), "body");
        connection.send(SWITCHES_TO_TCP)?;
        let word = connection.exactly(4)?;
        connection.send(word)
    });
    let gateway = to_tcp(&origin);
    for asks in [
        ASKS_WITH_BODY,
        "POST /exec HTTP/1.1\r\nHost: a\r\nConnection: Upgrade\r\nUpgrade: tcp\r\n\
         Transfer-Encoding: chunked\r\n\r\n4\r\nbody\r\n0\r\n\r\n",
    ] {
        let mut client = gateway.client();
        client.send([asks, "wo"].concat());
        let head = client.response_head();
        assert_eq!((head.status(), head.field("upgrade")), (101, Some("tcp")));
        client.send("rd");
        assert_eq!(client.read_to_end().expect("a clean end"), b"word");
    }
    let line = gateway.log_lines(2).remove(0);
    assert!(
        line.contains(" 101 - ") && line.contains(" in=8 "),
        "{line}"
    );
}

#[test]
fn an_origin_may_change_its_protocol_before_it_has_all_of_the_body() {
    let origin = Origin::script(|connection| {
        let mut asked = connection.request_head()?;
        connection.send([SWITCHES_TO_TCP, "early"].concat())?;
        connection.request_body(&mut asked)?;
        assert_eq!(asked.text(), "body");
        let word = connection.exactly(4)?;
        connection.send(word)
    });
    let gateway = to_tcp(&origin);
    let mut client = gateway.client();
    let (begin, end) = ASKS_WITH_BODY.split_at(ASKS_WITH_BODY.len() - 2);
    client.send(begin);
    eventually("the origin's answer", || {
        (origin.connections() == 1).then_some(())
    });
    client.send([end, "word"].concat());
    assert_eq!(client.response_head().status(), 101);
    assert_eq!(client.read_to_end().expect("a clean end"), b"earlyword");
}

#[test]
fn an_ordinary_answer_to_a_wish_with_a_body_keeps_no_connection() {
    // An origin that takes the body for the other protocol's would take it for a request now.
    let origin = Origin::answers(200, "");
    let gateway = to_tcp(&origin);
    for _ in 0..2 {
        let mut client = gateway.client();
        client.send(ASKS_WITH_BODY);
        let answer = client.response();
        assert_eq!(
            (answer.status(), answer.field("connection")),
            (200, Some("close"))
        );
    }
    assert_eq!(origin.connections(), 2);
}

#[test]
fn what_an_origin_said_before_it_went_away_reaches_the_client() {
    let origin = Origin::script(|connection| {
        connection.request()?;
        connection.send([SWITCHES, &"good-bye".repeat(10_000)].concat())
        // It closes without reading: what is written to it is answered with a reset.
    });
    let gateway = Gateway::to(origin.address()).start();
    for _ in 0..20 {
        let mut client = gateway.client();
        client.send(ASKS);
        assert_eq!(client.response_head().status(), 101);
        eventually("the origin's end", || origin.is_idle().then_some(()));
        for _ in 0..10 {
            // Whether it is still taken does not matter.
            client.try_send("more").ok();
        }
        let said = bytes(&mut client, 80_000);
        assert!(said == b"good-bye".repeat(10_000), "something else");
    }
}

#[test]
fn a_rule_can_allow_other_protocols_by_name() {
    let origin = Origin::script(|connection| {
        connection.request()?;
        connection.send(
            "HTTP/1.1 101 Switching Protocols\r\nconnection: upgrade\r\nupgrade: SPDY/3.1\r\n\r\n",
        )?;
        let word = connection.exactly(4)?;
        connection.send(word)
    });
    let gateway = Gateway::to(origin.address())
        .rule(
            Rule::at("/")
                .to("origin", 1)
                .upgrades(&["spdy", "websocket"]),
        )
        .start();
    let mut client = gateway.client();
    client.send(
        "POST /exec HTTP/1.1\r\nHost: a\r\nConnection: Upgrade\r\nUpgrade: irc, SPDY/3.1\r\n\
         Content-Length: 0\r\n\r\n",
    );
    let head = client.response_head();
    assert_eq!(
        (head.status(), head.field("upgrade")),
        (101, Some("SPDY/3.1"))
    );
    client.send("word");
    assert_eq!(bytes(&mut client, 4), b"word");
    assert_eq!(origin.only_request().values("upgrade"), ["SPDY/3.1"]);
}

#[test]
fn a_copy_for_a_mirror_asks_for_no_other_protocol() {
    let origin = Origin::replies_then_closes(SWITCHES);
    let mirror = Origin::answers(200, "");
    let gateway = Gateway::to(origin.address())
        .backend("mirror", mirror.address())
        .rule(Rule::at("/").to("origin", 1).mirror("mirror"))
        .start();
    let mut client = gateway.client();
    client.send(ASKS);
    assert_eq!(client.response_head().status(), 101);
    eventually("the copy", || (mirror.requests().len() == 1).then_some(()));
    let copy = mirror.only_request();
    assert_eq!(
        (copy.field("upgrade"), copy.field("connection")),
        (None, None)
    );
}

#[test]
fn an_origin_that_breaks_ends_the_tunnel_and_the_log_says_so() {
    let origin = Origin::replies_then_closes(SWITCHES);
    let gateway = Gateway::to(origin.address()).start();
    let mut client = gateway.client();
    client.send(ASKS);
    assert_eq!(client.response_head().status(), 101);
    // It has closed both ways: what goes on is answered with a reset.
    eventually("an error", || client.try_send("more").err());
    let line = gateway.log_lines(1).remove(0);
    assert!(line.contains(" 101 upstream_reset "), "{line}");
}

#[test]
fn an_origin_that_does_not_read_holds_the_client_up_and_costs_no_memory() {
    let given_up = Latch::default();
    let stands_still = given_up.clone();
    let origin = Origin::script(move |connection| {
        connection.request()?;
        connection.send(SWITCHES)?;
        stands_still.wait();
        Ok(())
    });
    let gateway = Gateway::to(origin.address()).start();
    let mut client = gateway.client();
    client.send(ASKS);
    assert_eq!(client.response_head().status(), 101);
    let stream = client.stream();
    stream
        .set_write_timeout(Some(Duration::from_millis(500)))
        .expect("a limit");
    let piece = vec![0; 64 * 1024];
    let mut sent = 0_usize;
    while stream.write_all(&piece).is_ok() {
        sent += piece.len();
        assert!(sent < 64 << 20, "somebody takes it all");
    }
    given_up.open();
}

#[test]
fn a_client_that_is_gone_ends_the_origins_connection() {
    let origin = Origin::script(|connection| {
        connection.request()?;
        connection.send(SWITCHES)?;
        connection.wait_for_close()
    });
    let gateway = Gateway::to(origin.address()).start();
    let mut client = gateway.client();
    client.send(ASKS);
    assert_eq!(client.response_head().status(), 101);
    drop(client);
    eventually("the origin's end", || origin.is_idle().then_some(()));
    let line = gateway.log_lines(1).remove(0);
    assert!(line.contains(" 101 "), "{line}");
}
