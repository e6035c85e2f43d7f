//! How tunnels on streams end, and what they live through.

use std::io::Read as _;
use std::net::Shutdown;
use std::time::Duration;

use bytes::Bytes;
use h2::Reason;
use tidegate_testkit::Gateway;
use tidegate_testkit::Latch;
use tidegate_testkit::Origin;
use tidegate_testkit::Port;
use tidegate_testkit::Rule;
use tidegate_testkit::Wasm;
use tidegate_testkit::eventually;
use tidegate_testkit::http2;
use tidegate_testkit::http2::get;
use tidegate_testkit::http2::tunnel;
use tidegate_testkit::http2::tunnel::Tunnel;
use tidegate_testkit::http2::tunnel::echo;
use tidegate_testkit::http2::tunnel::opening;
use tidegate_testkit::websocket;

use super::switch;
use super::switches;

/// Opens a tunnel.
async fn open(client: &h2::client::SendRequest<Bytes>) -> Tunnel {
    let opened = tunnel::try_open(client.clone(), opening("websocket", "/")).await;
    opened.expect("it opens")
}

#[test]
fn each_side_may_end_first_and_the_other_goes_on() {
    let origin = Origin::script(|connection| {
        let asked = connection.request()?;
        connection.send(switches(&asked))?;
        let mut said = Vec::new();
        connection.stream().read_to_end(&mut said)?;
        connection.send(said.len().to_string())
    });
    let gateway = Gateway::to(origin.address()).start();
    http2::client(gateway.address(), async |client| {
        let mut tunnel = open(&client).await;
        let data = Bytes::from(vec![b'x'; 100_000]);
        http2::send(&mut tunnel.sending, data, true)
            .await
            .expect("sent");
        let all = http2::read_body(&mut tunnel.receiving).await;
        assert_eq!(all.expect("a clean end"), b"100000");
    });
    // The other way round.
    let (heard, hears) = std::sync::mpsc::channel();
    let heard = std::sync::Mutex::new(heard);
    let origin = Origin::script(move |connection| {
        let asked = connection.request()?;
        connection.send([&switches(&asked), "that is all"].concat())?;
        connection.stream().shutdown(Shutdown::Write)?;
        let mut said = Vec::new();
        connection.stream().read_to_end(&mut said)?;
        heard.lock().expect("no panic").send(said).expect("heard");
        Ok(())
    });
    let gateway = Gateway::to(origin.address()).start();
    http2::client(gateway.address(), async |client| {
        let mut tunnel = open(&client).await;
        let all = http2::read_body(&mut tunnel.receiving).await;
        assert_eq!(all.expect("a clean end"), b"that is all");
        tunnel
            .sending
            .send_data("but I go on".into(), true)
            .expect("sent");
        let wait = tokio::task::spawn_blocking(move || hears.recv_timeout(tidegate_testkit::LIMIT));
        let said = wait.await.expect("no panic").expect("the origin hears it");
        assert_eq!(said, b"but I go on");
    });
    let line = gateway.log_lines(1).remove(0);
    assert!(line.contains(" 101 - "), "{line}");
}

#[test]
fn a_reset_of_the_stream_ends_the_origins_connection_though_the_client_had_ended() {
    for ends in [false, true] {
        let origin = Origin::script(|connection| {
            let asked = connection.request()?;
            connection.send(switches(&asked))?;
            let mut said = Vec::new();
            connection.stream().read_to_end(&mut said)?;
            connection.wait_for_close()
        });
        let gateway = Gateway::to(origin.address()).start();
        http2::client(gateway.address(), async |mut client| {
            let mut tunnel = open(&client).await;
            tunnel.sending.send_data("x".into(), ends).expect("sent");
            tunnel.sending.send_reset(Reason::CANCEL);
            let idle = || origin.connections() == 1 && gateway.metrics().open_tunnels == 0;
            http2::until(idle).await;
            let status = get(&mut client, "/none").await.map(|answer| answer.status);
            drop(status);
        });
        let line = gateway.log_lines(1).remove(0);
        assert!(line.contains(" 101 client_closed "), "{line}");
    }
}

#[test]
fn a_client_that_goes_away_ends_all_its_tunnels() {
    let origin = websocket::echoes();
    let gateway = Gateway::to(origin.address()).start();
    http2::client(gateway.address(), async |client| {
        for _ in 0..5 {
            let mut socket = tunnel::socket(client.clone(), "/").await;
            echo(&mut socket, "hello").await;
            // Kept open to the end of the connection.
            std::mem::forget(socket);
        }
    });
    eventually("the origin's end", || origin.is_idle().then_some(()));
    let lines = gateway.log_lines(5);
    assert!(
        lines
            .iter()
            .all(|line| line.contains(" 101 client_closed ")),
        "{lines:?}"
    );
}

#[test]
fn an_origin_that_breaks_resets_the_stream() {
    let port = Port::new();
    let gateway = Gateway::to(port.address()).start();
    let breaks = std::thread::spawn(move || {
        let mut origin = port.accept();
        let mut head = Vec::new();
        while !head.ends_with(b"\r\n\r\n") {
            head.extend(origin.take(1));
        }
        let head = String::from_utf8(head).expect("text");
        let key = head.split("sec-websocket-key: ").nth(1).expect("a key");
        origin.send(switch(key.lines().next().expect("a line")));
        origin.expect("x");
        origin.reset();
    });
    http2::client(gateway.address(), async |client| {
        let mut tunnel = open(&client).await;
        tunnel.sending.send_data("x".into(), false).expect("sent");
        let err = http2::read_body(&mut tunnel.receiving).await;
        assert_eq!(err.expect_err("a reset").reason(), Some(Reason::CANCEL));
    });
    breaks.join().expect("no panic");
    let line = gateway.log_lines(1).remove(0);
    assert!(line.contains(" 101 upstream_reset "), "{line}");
}

#[test]
fn an_origin_that_does_not_read_holds_its_client_up_and_nobody_else() {
    let (given_up, stands_still) = (Latch::default(), Latch::default());
    let waits = given_up.clone();
    let origin = Origin::script(move |connection| {
        let asked = connection.request()?;
        connection.send(switches(&asked))?;
        waits.wait();
        Ok(())
    });
    let other = websocket::echoes();
    let gateway = Gateway::to(origin.address())
        .backend("other", other.address())
        .rule(Rule::at("/other").to("other", 1))
        .rule(Rule::at("/").to("origin", 1))
        .start();
    http2::client(gateway.address(), async |client| {
        let mut stuck = open(&client).await;
        let piece = Bytes::from(vec![0; 64 * 1024]);
        let mut sent = 0_usize;
        loop {
            let sending = http2::send(&mut stuck.sending, piece.clone(), false);
            let sending = tokio::time::timeout(Duration::from_millis(500), sending);
            match sending.await {
                Ok(ok) => ok.expect("sent"),
                Err(_) => break,
            }
            sent += piece.len();
            assert!(sent < 64 << 20, "somebody takes it all");
        }
        stands_still.open();
        let mut socket = tunnel::socket(client.clone(), "/other").await;
        for _ in 0..100 {
            echo(&mut socket, &"x".repeat(10_000)).await;
        }
        given_up.open();
    });
}

#[test]
fn a_client_that_does_not_read_holds_its_origin_up() {
    let (full, given_up) = (Latch::default(), Latch::default());
    let (is_full, waits) = (full.clone(), given_up.clone());
    let origin = Origin::script(move |connection| {
        let asked = connection.request()?;
        connection.send(switches(&asked))?;
        let stream = connection.stream();
        stream.set_write_timeout(Some(Duration::from_millis(500)))?;
        let (piece, mut sent) = (vec![0; 64 * 1024], 0);
        while std::io::Write::write_all(&mut &*stream, &piece).is_ok() {
            sent += piece.len();
            assert!(sent < 64 << 20, "somebody takes it all");
        }
        is_full.open();
        waits.wait();
        Ok(())
    });
    let gateway = Gateway::to(origin.address()).start();
    http2::client(gateway.address(), async |client| {
        let tunnel = open(&client).await;
        let wait = tokio::task::spawn_blocking(move || full.wait());
        wait.await.expect("it stops");
        given_up.open();
        drop(tunnel);
    });
}

#[test]
fn a_socket_lives_through_a_hundred_changes_of_what_serves() {
    let origin = websocket::echoes();
    let (both, other) = (tunnel::echoes(), Origin::answers(200, "other"));
    let filter = Wasm::wat("filter", "", "");
    let mut gateway = Gateway::to(origin.address())
        .http2_backend("both", both.address())
        .rule(Rule::at("/both").to("both", 1))
        .rule(Rule::at("/").to("origin", 1))
        .plugin(&filter)
        .start();
    let address = gateway.address();
    http2::client(address, async |mut client| {
        let mut one = tunnel::socket(client.clone(), "/").await;
        let mut two = tunnel::socket(client.clone(), "/both").await;
        for round in 0..100 {
            let changed = Wasm::wat("filter", "", "").config(&round.to_string());
            gateway.change(Gateway::to(other.address()).plugin(&changed));
            echo(&mut one, "still here").await;
            echo(&mut two, "still here").await;
        }
        let answer = get(&mut client, "/").await.expect("an answer");
        assert_eq!(answer.text(), "other");
        tunnel::close(one).await;
        tunnel::close(two).await;
    });
}

#[test]
fn sockets_have_until_the_deadline_of_a_drain() {
    let origin = websocket::echoes();
    let gateway = Gateway::to(origin.address()).start();
    http2::client(gateway.address(), async |client| {
        let mut socket = tunnel::socket(client, "/").await;
        gateway.drain();
        echo(&mut socket, "still here").await;
        tunnel::close(socket).await;
    });
    assert_eq!(gateway.stop().cut, 0);
    let gateway = Gateway::to(origin.address())
        .timeouts(|timeouts| timeouts.drain = Duration::from_millis(200))
        .start();
    let log = http2::client(gateway.address(), async |client| {
        let mut socket = tunnel::socket(client, "/").await;
        echo(&mut socket, "hello").await;
        let stopping = tokio::task::spawn_blocking(move || gateway.stop_for_log());
        while tunnel::next(&mut socket).await.is_some() {}
        stopping.await.expect("it stops")
    });
    assert!(log[0].contains(" 101 drain_deadline "), "{log:?}");
    assert!(
        !log[0].contains(" in=0 ") && !log[0].contains(" out=0 "),
        "{log:?}"
    );
}

#[test]
fn a_silent_socket_is_closed() {
    let origin = websocket::echoes();
    let gateway = Gateway::to(origin.address())
        .timeouts(|timeouts| timeouts.stream_idle = Duration::from_millis(300))
        .start();
    http2::client(gateway.address(), async |client| {
        let mut tunnel = open(&client).await;
        let all = http2::read_body(&mut tunnel.receiving).await;
        assert_eq!(all.expect("a clean end"), b"");
    });
    let line = gateway.log_lines(1).remove(0);
    assert!(line.contains(" 101 tunnel_idle "), "{line}");
    eventually("the origin's end", || origin.is_idle().then_some(()));
}
