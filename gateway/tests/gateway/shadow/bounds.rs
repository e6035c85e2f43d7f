//! What shadows may use: beyond it streams have none, which is counted, and go on all the same.

use tidegate_core::rollout::shadow::Dropped;
use tidegate_host_abi::Shadow;
use tidegate_proxy::ShadowCounts;
use tidegate_testkit::Gateway;
use tidegate_testkit::Origin;
use tidegate_testkit::Wasm;
use tidegate_testkit::eventually;

use super::agreed;
use super::answer;
use super::bounded;
use super::counts;
use super::on_body;
use super::on_head;
use super::passing;
use super::settled;
use super::shadow;
use crate::filters::ANSWER;

/// A filter that pauses at the head and never resumes.
fn hanging() -> Wasm {
    Wasm::wat("hangs", "", &on_head("request", "(i32.const 1)"))
}

/// How many were dropped for a reason.
fn dropped(counts: &ShadowCounts, why: Dropped) -> u64 {
    let all = Dropped::ALL.into_iter().zip(counts.dropped);
    all.filter(|(one, _)| *one == why)
        .map(|(_, count)| count)
        .sum()
}

#[test]
fn a_shadow_that_never_resumes_costs_its_exchange_nothing_and_is_unknown() {
    let origin = Origin::answers(200, "fine");
    let gateway = Gateway::to(origin.address())
        .plugin(&shadow(hanging()))
        .timeouts(|timeouts| timeouts.filter_pause = std::time::Duration::from_millis(300))
        .start();
    let mut client = gateway.client();
    for _ in 0..3 {
        assert_eq!(client.get("/").text(), "fine");
    }
    assert_eq!(counts(&gateway, "hangs"), ShadowCounts::default());
    let expected = ShadowCounts {
        unknown: 3,
        ..ShadowCounts::default()
    };
    assert_eq!(settled(&gateway, "hangs", 3), expected);
}

#[test]
fn a_shadow_has_five_seconds_more_than_its_exchange() {
    let origin = Origin::answers(200, "fine");
    let gateway = Gateway::to(origin.address())
        .plugin(&shadow(hanging()))
        .start();
    let begun = std::time::Instant::now();
    assert_eq!(gateway.get("/").text(), "fine");
    assert_eq!(settled(&gateway, "hangs", 1).unknown, 1);
    assert!(
        begun.elapsed() < std::time::Duration::from_secs(25),
        "not the limit of pauses"
    );
}

#[test]
fn a_body_that_a_waiting_shadow_cannot_hold_is_given_up_and_passes() {
    let origin = Origin::echoes();
    let holds_all = Wasm::wat("holds", "", &on_body("request", "(i32.const 1)"));
    let gateway = Gateway::to(origin.address())
        .plugin(&shadow(hanging()))
        .plugin(&shadow(holds_all))
        .plugin(&shadow(passing("passes")))
        .sizes(|sizes| sizes.buffered_body_bytes = 300_000)
        .start();
    // `hanging` has no callback for bodies, so that nothing of them is copied for it.
    let large = vec![b'x'; 3_000_000];
    let mut client = gateway.client();
    assert_eq!(client.post("/", &large).body, large);
    let counts = settled(&gateway, "holds", 1);
    assert_eq!(dropped(&counts, Dropped::Buffer), 1);
    assert_eq!(settled(&gateway, "passes", 1), agreed(1));
}

#[test]
fn what_comes_while_a_shadow_waits_at_the_head_is_bounded() {
    let origin = Origin::echoes();
    let body = on_head("request", "(i32.const 1)") + &on_body("request", "(i32.const 0)");
    let gateway = Gateway::to(origin.address())
        .plugin(&shadow(Wasm::wat("waits", "", &body)))
        .sizes(|sizes| sizes.buffered_body_bytes = 100_000)
        .start();
    let large = vec![b'x'; 1_000_000];
    let mut client = gateway.client();
    assert_eq!(client.post("/", &large).body, large);
    let counts = settled(&gateway, "waits", 1);
    assert_eq!(dropped(&counts, Dropped::Buffer), 1);
}

#[test]
fn all_copies_of_a_plugin_have_one_room() {
    let origin = Origin::echoes();
    let body = on_head("request", "(i32.const 1)") + &on_body("request", "(i32.const 0)");
    let filter = bounded(Wasm::wat("waits", "", &body), |shadow| {
        shadow.memory_bytes = 64 << 10;
    });
    let gateway = Gateway::to(origin.address())
        .plugin(&filter)
        .workers(1)
        .start();
    let piece = vec![b'x'; 30_000];
    let mut client = gateway.client();
    for _ in 0..4 {
        assert_eq!(client.post("/", &piece).body, piece);
    }
    // Two fit, and wait.
    eventually("the drops", || {
        (dropped(&counts(&gateway, "waits"), Dropped::Buffer) == 2).then_some(())
    });
}

#[test]
fn no_more_than_so_many_are_under_way() {
    let origin = Origin::answers(200, "fine");
    let filter = bounded(hanging(), |shadow| shadow.concurrent = 3);
    let gateway = Gateway::to(origin.address())
        .plugin(&filter)
        .workers(1)
        .start();
    let mut client = gateway.client();
    for _ in 0..10 {
        assert_eq!(client.get("/").text(), "fine");
    }
    let counts = counts(&gateway, "hangs");
    assert_eq!(dropped(&counts, Dropped::Concurrency), 7);
    assert_eq!(settled(&gateway, "hangs", 10).unknown, 3);
}

#[test]
fn what_takes_more_than_its_share_of_the_time_is_not_shown_more() {
    let origin = Origin::answers(200, "fine");
    // Each call takes a few milliseconds, of which there are ten in a second.
    let busy = on_head(
        "request",
        "(local $left i32) (local.set $left (i32.const 5000000))
        (loop $again
            (local.set $left (i32.sub (local.get $left) (i32.const 1)))
            (br_if $again (local.get $left)))
        (i32.const 0)",
    );
    let filter = Wasm::wat("busy", "", &busy).with(|spec| {
        spec.limits.call_timeout = std::time::Duration::from_secs(1);
    });
    let filter = bounded(filter, |shadow| shadow.cpu_percent = 1);
    let gateway = Gateway::to(origin.address())
        .plugin(&filter)
        .workers(1)
        .start();
    let mut client = gateway.client();
    for _ in 0..200 {
        assert_eq!(client.get("/").text(), "fine");
    }
    let counts = settled(&gateway, "busy", 200);
    let over = dropped(&counts, Dropped::Budget);
    assert!(over > 0 && counts.agreed > 0, "{counts:?}");
    assert_eq!(over + counts.agreed, 200);
}

#[test]
fn only_a_share_of_the_streams_is_shown() {
    let origin = Origin::answers(200, "fine");
    let filter = bounded(passing("passes"), |shadow| shadow.percent = 50);
    let gateway = Gateway::to(origin.address())
        .plugin(&filter)
        .workers(1)
        .start();
    let mut client = gateway.client();
    for _ in 0..400 {
        assert_eq!(client.get("/").text(), "fine");
    }
    // 200 expected, 10 standard deviation: chance alone does not leave these bounds.
    let shown = eventually("shadows", || {
        let now = counts(&gateway, "passes").agreed;
        (now > 130).then_some(now)
    });
    assert!(shown < 270, "{shown}");
}

#[test]
fn a_long_upload_is_not_shown_to_its_end_if_that_takes_too_much_time() {
    let origin = Origin::echoes();
    // Each piece takes more than what may be used at once.
    let busy = on_body(
        "request",
        "(local $left i32) (local.set $left (i32.const 30000000))
        (loop $again
            (local.set $left (i32.sub (local.get $left) (i32.const 1)))
            (br_if $again (local.get $left)))
        (i32.const 0)",
    );
    let filter = Wasm::wat("busy", "", &busy).with(|spec| {
        spec.limits.call_timeout = std::time::Duration::from_secs(10);
    });
    let filter = bounded(filter, |shadow| shadow.cpu_percent = 1);
    let gateway = Gateway::to(origin.address())
        .plugin(&filter)
        .workers(1)
        .start();
    let large = vec![b'x'; 3_000_000];
    let mut client = gateway.client();
    assert_eq!(client.post("/", &large).body, large);
    let counts = settled(&gateway, "busy", 1);
    assert_eq!(dropped(&counts, Dropped::Budget), 1, "{counts:?}");
}

/// A filter that answers as soon as it has so much of the body, and waits until then.
fn denying_after(bytes: u32) -> Wasm {
    let wait = format!(
        "(if (i32.lt_u (local.get $size) (i32.const {bytes})) (then (return (i32.const 1))))"
    );
    let body = on_body("request", &(wait + &answer(403)));
    Wasm::wat("denies", ANSWER, &body)
}

#[test]
fn a_shadow_that_has_decided_takes_neither_a_place_nor_room() {
    let silent = || {
        Origin::script(|connection| {
            connection.request()?;
            connection.wait_for_close()
        })
    };
    let only_one: fn(&mut Shadow) = |shadow| shadow.concurrent = 1;
    let only_two: fn(&mut Shadow) = |shadow| shadow.memory_bytes = 64 << 10;
    for bound in [only_one, only_two] {
        let origin = silent();
        let gateway = Gateway::to(origin.address())
            .plugin(&bounded(denying_after(30_000), bound))
            .workers(1)
            .start();
        let piece = "x".repeat(30_000);
        let mut clients = Vec::new();
        // None of them ends before the others have come.
        for count in 1..=4 {
            let mut client = gateway.client();
            client.send(format!(
                "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 30000\r\n\r\n{piece}"
            ));
            clients.push(client);
            eventually("the request", || {
                (origin.requests().len() == count).then_some(())
            });
        }
        drop(clients);
        let counts = settled(&gateway, "denies", 4);
        assert_eq!((counts.differed, counts.kinds[0]), (4, 4), "{counts:?}");
    }
}

#[test]
fn a_body_in_tiny_pieces_takes_the_room_that_they_take() {
    let origin = Origin::echoes();
    let holds_all = Wasm::wat(
        "holds",
        "",
        &on_body(
            "request",
            "(if (i32.eqz (local.get $end)) (then (return (i32.const 1)))) (i32.const 0)",
        ),
    );
    let gateway = Gateway::to(origin.address())
        .plugin(&shadow(holds_all))
        .sizes(|sizes| sizes.buffered_body_bytes = 300_000)
        .start();
    let mut client = gateway.client();
    let chunks = "1\r\nx\r\n".repeat(10_000);
    client.send(format!(
        "POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n{chunks}0\r\n\r\n"
    ));
    assert_eq!(client.response().body.len(), 10_000);
    let counts = settled(&gateway, "holds", 1);
    assert_eq!(dropped(&counts, Dropped::Buffer), 1, "{counts:?}");
}
