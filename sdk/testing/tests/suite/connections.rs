//! Connections through network filters.

use testing_gate::gate;
use tidegate_sdk_testing::{Builder, Harness, Mode, Reply, json, ms, not_in};

fn pings() -> Builder {
    Harness::network(gate).config(json!({"word": "PING"}))
}

/// All that the server got.
fn got(h: &Harness) -> Vec<u8> {
    h.connections().concat()
}

/// A server that answers each line.
fn by_line(bytes: &[u8]) -> Option<Vec<u8>> {
    let line = bytes.strip_suffix(b"\n")?;
    Some([b"got ", line, b"\n"].concat())
}

#[test]
fn what_was_looked_at_goes_on_and_both_directions_are_rewritten() {
    let mut h = pings().server(by_line).start();
    let mut wire = h.connect();
    wire.send("PING One\n");
    assert_eq!(wire.wait_for(13), b"GOT PING ONE\n");
    wire.send("Two\n");
    assert_eq!(wire.wait_for(21), b"GOT PING ONE\nGOT TWO\n");
    wire.end();
    assert_eq!(wire.finish(), b"GOT PING ONE\nGOT TWO\n");
    assert_eq!(h.connections(), [b"ping one\ntwo\n"]);
    assert_eq!(h.metric("dropped"), 0);
}

#[test]
fn bytes_that_come_one_by_one_are_decided_on_alike() {
    let mut h = pings().server(by_line).split_every_byte().start();
    let mut wire = h.connect();
    wire.send("PIN");
    assert!(got(&h).is_empty());
    wire.send("G One\n");
    assert_eq!(wire.wait_for(13), b"GOT PING ONE\n");
    wire.end();
    assert_eq!(wire.finish(), b"GOT PING ONE\n");
    assert_eq!(h.connections(), [b"ping one\n"]);
}

#[test]
fn what_is_refused_is_closed_and_the_server_hears_nothing_of_it() {
    let mut h = pings().start();
    let mut wire = h.connect();
    wire.send("EVIL");
    assert_eq!(wire.finish(), b"");
    assert!(got(&h).is_empty());
    assert_eq!(h.metric("refused"), 1);
}

#[test]
fn a_client_that_ends_before_its_word_is_refused() {
    let mut h = pings().start();
    let mut wire = h.connect();
    wire.send("PI");
    wire.end();
    assert_eq!(wire.finish(), b"");
    assert!(got(&h).is_empty());
}

#[test]
fn a_client_that_says_nothing_is_closed_in_time() {
    let mut h = pings().start();
    let wire = h.connect();
    h.advance(ms(1_900));
    assert!(!wire.is_closed());
    h.advance(ms(200));
    assert_eq!(wire.finish(), b"");
    assert!(got(&h).is_empty());
}

#[test]
fn a_client_that_leaves_meanwhile_drops_what_the_filter_holds() {
    let mut h = pings().start();
    let mut wire = h.connect();
    wire.send("PI");
    wire.disconnect();
    h.wait_for("the drop", |h| h.metric("dropped") == 1);
    assert!(got(&h).is_empty());
}

#[test]
fn a_server_may_speak_first() {
    let mut h = Harness::network(gate).greeting("ready\n").start();
    let mut wire = h.connect();
    assert_eq!(wire.wait_for(6), b"READY\n");
    wire.send("Hello");
    assert_eq!(wire.wait_for(11), b"READY\nHELLO");
    assert_eq!(h.connections(), [b"hello"]);
}

#[test]
fn what_the_server_says_first_waits_for_the_decision() {
    if not_in(
        Mode::Envoy,
        "it cannot be told to go on with what a server said",
    ) {
        return;
    }
    let mut h = pings().greeting("ready\n").start();
    let mut wire = h.connect();
    h.wait_for("the server", |h| h.connections().len() == 1);
    assert_eq!(wire.received(), b"");
    wire.send("PING");
    let mut all = wire.wait_for(10);
    all.sort_unstable();
    assert_eq!(all, b"\nADEGINPRY", "the greeting and the echo");
}

#[test]
fn a_backend_decides_before_the_server_is_connected_to() {
    for (status, passes) in [(200, true), (403, false)] {
        let mut h = Harness::network(gate)
            .config(json!({"ask": "who"}))
            .backend("who", move |_| Reply::status(status))
            .start();
        let mut wire = h.connect();
        wire.send("Hi");
        if passes {
            assert_eq!(wire.wait_for(2), b"HI");
        } else {
            assert_eq!(wire.finish(), b"");
        }
        assert_eq!(h.calls("who").len(), 1);
        assert_eq!(h.connections().len(), usize::from(passes));
    }
}

#[test]
fn a_rewriter_that_fails_closes_the_connection() {
    let mut h = Harness::network(gate).start();
    let mut wire = h.connect();
    wire.send("hi");
    assert_eq!(wire.wait_for(2), b"HI");
    wire.send("HI!");
    assert_eq!(wire.finish(), b"HI");
    assert_eq!(h.connections(), [b"hi"]);
    assert!(h.logged("nobody shouts here"), "{:?}", h.logs());
}

#[test]
fn a_panic_ends_the_connection_and_the_next_one_meets_a_new_instance() {
    let mut h = pings().server(by_line).start();
    let mut wire = h.connect();
    wire.send("panic");
    assert_eq!(wire.finish(), b"");
    h.wait_for("its message", |h| h.logged("a wrong turn after"));
    if not_in(Mode::Envoy, "there is no new instance") {
        return;
    }
    let mut wire = h.connect();
    wire.send("PING\n");
    assert_eq!(wire.wait_for(9), b"GOT PING\n");
    assert_eq!(got(&h), b"ping\n");
}
