//! Heads that never end, or are too large, or never begin.

use tidegate_testkit::Origin;
use tidegate_testkit::eventually;

use super::victim::Crowd;
use super::victim::Victim;

#[test]
fn five_hundred_heads_that_come_byte_by_byte_are_cut_in_time() {
    let origin = Origin::answers(200, "fine");
    let victim = Victim::start(&origin);
    let mut crowd = Crowd::gather(
        victim.address(),
        500,
        b"GET /slow HTTP/1.1\r\nHost: a\r\nX-A: ",
    );
    crowd.drip_until_closed(b"a");
    // A reset may overtake the answer to somebody who goes on sending.
    assert!(crowd.heard("HTTP/1.1 408 ") > 0);
    victim.counts(&["request_header_timeout"], 500);
    assert!(
        origin
            .requests()
            .iter()
            .all(|it| it.start.contains("/fine"))
    );
    victim.stays_well(24);
}

#[test]
fn a_thousand_connections_without_a_byte_cost_little_and_are_closed() {
    let origin = Origin::answers(200, "fine");
    let victim = Victim::start(&origin);
    let mut crowd = Crowd::gather(victim.address(), 1000, b"");
    eventually("all of them to be closed", || {
        (crowd.listen() == 0).then_some(())
    });
    assert_eq!(crowd.heard("HTTP"), 0);
    victim.stays_well(24);
}

#[test]
fn heads_of_the_largest_size_that_never_end_cost_a_few_times_their_size() {
    let origin = Origin::answers(200, "fine");
    let victim = Victim::start(&origin);
    let mut head = b"GET / HTTP/1.1\r\nHost: a\r\nX-A: ".to_vec();
    head.resize(60_000, b'a');
    let mut crowd = Crowd::gather(victim.address(), 300, &head);
    crowd.drip_until_closed(b"");
    assert_eq!(crowd.heard("HTTP/1.1 408 "), crowd.size());
    // 17 MiB are on their way; buffers grow by doubling.
    victim.stays_well(80);
}

#[test]
fn heads_over_the_limit_are_refused_and_what_follows_is_not_held() {
    let origin = Origin::answers(200, "fine");
    let victim = Victim::start(&origin);
    for field in [&b"x"[..], b"x: y\r\n"] {
        let mut client = victim.client();
        client.send("GET / HTTP/1.1\r\nHost: a\r\n");
        let piece = field.repeat(64 * 1024 / field.len());
        // 64 MiB, if they are taken: for a moment after an answer they are read and thrown away.
        (0..1024)
            .take_while(|_| client.try_send(&piece).is_ok())
            .count();
        if let Ok(answer) = client.try_response() {
            assert_eq!(answer.status(), 431);
        }
    }
    victim.counts(&["request_headers_too_large"], 2);
    victim.stays_well(16);
}

#[test]
fn connections_that_are_reset_at_once_leave_nothing() {
    let origin = Origin::answers(200, "fine");
    let victim = Victim::start(&origin);
    for _ in 0..20 {
        let crowd = Crowd::gather(
            victim.address(),
            100,
            b"GET /fine HTTP/1.1\r\nHost: a\r\n\r\n",
        );
        // The answers are not read: closing resets.
        drop(crowd);
    }
    eventually("the origin to be asked no more", || {
        (victim.open_connections() <= 2.0).then_some(())
    });
    victim.stays_well(24);
}
