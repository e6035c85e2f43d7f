//! Bodies that come in drops, hide more than they carry, or never end.

use tidegate_testkit::Client;
use tidegate_testkit::Origin;
use tidegate_testkit::eventually;

use super::victim::Crowd;
use super::victim::Victim;

const CHUNKED: &str = "POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n";

#[test]
fn bodies_in_drops_cost_little_and_silence_ends_them() {
    // It takes no notice of what comes.
    let origin = Origin::script(|connection| {
        loop {
            let request = connection.request_head()?;
            if request.start.contains("/slow") {
                return connection.wait_for_close();
            }
            connection.send("HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n")?;
        }
    });
    let victim = Victim::start(&origin);
    let head = b"POST /slow HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n";
    let mut crowd = Crowd::gather(victim.address(), 200, head);
    for _ in 0..200 {
        crowd.send(b"1\r\na\r\n");
        assert_eq!(crowd.listen(), 200, "who sends is not cut");
    }
    eventually("all of them to be closed", || {
        (crowd.listen() == 0).then_some(())
    });
    assert_eq!(
        crowd.heard("HTTP/1.1 408 ") + crowd.heard("HTTP/1.1 504 "),
        200
    );
    victim.stays_well(24);
}

/// Sends a beginning and then the same piece for as long as it is taken, at most 64 MiB (after its answer the gateway reads on for a moment); returns the answer's
/// status if it could still be read.
#[track_caller]
fn pour(client: &mut Client, begin: &str, piece: &[u8]) -> Option<u16> {
    client.send(begin);
    let piece = piece.repeat(64 * 1024 / piece.len());
    (0..1024)
        .take_while(|_| client.try_send(&piece).is_ok())
        .count();
    client.try_response().ok().map(|answer| answer.status())
}

#[test]
fn endless_chunk_extensions_sizes_and_trailers_are_refused() {
    let origin = Origin::answers(200, "fine");
    let victim = Victim::start(&origin);
    for (begin, piece) in [
        ("3;", &b"a"[..]),
        ("3;a=\"", b"\\\""),
        ("", b"0"),
        ("3\r\nabc\r\n0\r\n", b"x-a: b\r\n"),
        ("0\r\nx: ", b"a"),
        ("0\r\nx", b"a"),
    ] {
        let mut client = victim.client();
        let status = pour(&mut client, &format!("{CHUNKED}{begin}"), piece);
        assert!(
            matches!(status, None | Some(400 | 431)),
            "{begin:?}: {status:?}"
        );
    }
    victim.counts(&["bad_chunk", "request_headers_too_large"], 6);
    victim.stays_well(16);
}

#[test]
fn a_long_body_in_chunks_of_one_byte_arrives_whole() {
    let origin = Origin::echoes();
    let victim = Victim::start(&origin);
    let mut client = victim.client();
    client.send("POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n");
    let piece = b"1\r\na\r\n".repeat(10_000);
    for _ in 0..10 {
        client.send(&piece);
    }
    client.send("0\r\n\r\n");
    let answer = client.response();
    assert_eq!((answer.status(), answer.body.len()), (200, 100_000));
    victim.stays_well(16);
}

#[test]
fn clients_that_read_nothing_are_cut_and_little_is_held_for_them() {
    let origin = Origin::script(|connection| {
        loop {
            let request = connection.request()?;
            if !request.start.contains("/large") {
                connection.send("HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n")?;
                continue;
            }
            connection.send("HTTP/1.1 200 OK\r\ncontent-length: 100000000000\r\n\r\n")?;
            let piece = vec![b'.'; 64 * 1024];
            while connection.send(&piece).is_ok() {}
            return Ok(());
        }
    });
    let victim = Victim::start(&origin);
    let crowd = Crowd::gather(
        victim.address(),
        100,
        b"GET /large HTTP/1.1\r\nHost: a\r\n\r\n",
    );
    victim.counts(&["client_stalled"], 100);
    drop(crowd);
    victim.stays_well(48);
}
