//! Stopping without losing anything.

use std::sync::atomic::AtomicBool;
use std::sync::atomic::AtomicUsize;
use std::sync::atomic::Ordering;
use std::sync::mpsc;
use std::time::Duration;

use tidegate_testkit::Client;
use tidegate_testkit::Gateway;
use tidegate_testkit::Origin;
use tidegate_testkit::eventually;

#[test]
fn a_drain_lets_running_exchanges_finish_and_closes_idle_connections() {
    let (release, wait) = mpsc::channel::<()>();
    let wait = std::sync::Mutex::new(wait);
    let origin = Origin::script(move |connection| {
        while let Ok(request) = connection.request() {
            if request.start.contains("/slow") {
                let wait = wait.lock().expect("not poisoned");
                wait.recv_timeout(tidegate_testkit::LIMIT).ok();
            }
            connection.send("HTTP/1.1 200 OK\r\ncontent-length: 4\r\n\r\ndone")?;
        }
        Ok(())
    });
    let gateway = Gateway::to(origin.address()).start();
    let mut idle = gateway.client();
    idle.get("/");
    let mut running = gateway.client();
    running.send("GET /slow HTTP/1.1\r\nHost: a\r\n\r\n");
    eventually("the slow request", || {
        (origin.requests().len() == 2).then_some(())
    });
    gateway.drain();
    assert_eq!(idle.read_to_end().expect("a clean close"), b"");
    eventually("the listener to close", || {
        Client::try_connect(gateway.address()).err()
    });
    release.send(()).expect("the origin waits");
    let response = running.response();
    assert_eq!(
        (response.text().as_str(), response.field("connection")),
        ("done", Some("close"))
    );
    assert_eq!(gateway.stop().cut, 0);
}

#[test]
fn what_does_not_finish_is_cut_at_the_drain_time_out() {
    let origin = Origin::script(|connection| {
        connection.request()?;
        connection.wait_for_close()
    });
    let gateway = Gateway::to(origin.address())
        .timeouts(|timeouts| timeouts.drain = Duration::from_millis(200))
        .start();
    let mut client = gateway.client();
    client.send("GET / HTTP/1.1\r\nHost: a\r\n\r\n");
    eventually("the request", || {
        (!origin.requests().is_empty()).then_some(())
    });
    let log = gateway.stop_for_log();
    assert!(client.try_response().is_err());
    assert_eq!(log.len(), 1, "{log:#?}");
    assert!(log[0].contains(" 503 drain_deadline "), "{}", log[0]);
}

#[test]
fn drains_under_new_connection_load_reset_nobody() {
    const DRAINS: usize = 100;
    let origin = Origin::answers(200, "fine");
    let answered = AtomicUsize::new(0);
    for _ in 0..DRAINS {
        let gateway = Gateway::to(origin.address()).workers(2).start();
        let address = gateway.address();
        let stopped = AtomicBool::new(false);
        std::thread::scope(|scope| {
            for _ in 0..2 {
                scope.spawn(|| {
                    while !stopped.load(Ordering::SeqCst) {
                        // A connection that is refused, or whose first packet was dropped and
                        // would be sent again in a second, was never made. One that is made is
                        // served.
                        let patience = Duration::from_millis(100);
                        let connected = Client::connect_within(address, patience);
                        let Ok(mut client) = connected else { break };
                        client.send("GET / HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n");
                        let response = client.try_response();
                        let response = response.expect("no reset");
                        assert_eq!(response.status(), 200);
                        answered.fetch_add(1, Ordering::SeqCst);
                    }
                });
            }
            let before = answered.load(Ordering::SeqCst);
            eventually("load", || {
                (answered.load(Ordering::SeqCst) > before + 4).then_some(())
            });
            assert_eq!(gateway.stop().cut, 0);
            stopped.store(true, Ordering::SeqCst);
        });
    }
}
