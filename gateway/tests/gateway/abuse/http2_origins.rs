//! HTTP/2 origins that never come to the point, frame by frame.

use std::io::Read as _;
use std::io::Write as _;

use tidegate_testkit::Client;
use tidegate_testkit::LIMIT;
use tidegate_testkit::Origin;
use tidegate_testkit::frames::ACK;
use tidegate_testkit::frames::CONTINUATION;
use tidegate_testkit::frames::DATA;
use tidegate_testkit::frames::END_HEADERS;
use tidegate_testkit::frames::END_STREAM;
use tidegate_testkit::frames::HEADERS;
use tidegate_testkit::frames::OK;
use tidegate_testkit::frames::PING;
use tidegate_testkit::frames::PREFACE;
use tidegate_testkit::frames::SETTINGS;
use tidegate_testkit::frames::block;
use tidegate_testkit::frames::frame;
use tidegate_testkit::frames::read;

use super::victim::Victim;

/// An origin of HTTP/2 that answers the first request of a connection with `begin` and then with `piece`
/// again and again.
fn floods(begin: fn(u32) -> Vec<u8>, piece: fn(u32) -> Vec<u8>) -> Origin {
    Origin::script(move |connection| {
        let socket = connection.stream();
        socket.read_exact(&mut [0; PREFACE.len()])?;
        socket.write_all(&frame(SETTINGS, 0, 0, &[]))?;
        let stream = loop {
            let next = read(socket)?;
            match next.kind {
                SETTINGS if !next.has(ACK) => socket.write_all(&frame(SETTINGS, ACK, 0, &[]))?,
                HEADERS => break next.stream,
                _ => {}
            }
        };
        socket.write_all(&begin(stream))?;
        let pieces = piece(stream).repeat(100);
        loop {
            socket.write_all(&pieces)?;
        }
    })
}

fn head(stream: u32) -> Vec<u8> {
    frame(HEADERS, END_HEADERS, stream, OK)
}

/// Asks for the flood.
fn ask(victim: &Victim) -> Client {
    let mut client = victim.client();
    client.send("GET /flood HTTP/1.1\r\nHost: a\r\nTE: trailers\r\nConnection: te\r\n\r\n");
    client
}

/// The status of the final answer; none if it ends too early.
fn outcome(client: &mut Client) -> Option<u16> {
    loop {
        match client.try_response() {
            Ok(answer) if answer.status() < 200 => {}
            Ok(answer) => return Some(answer.status()),
            Err(_) => return None,
        }
    }
}

#[test]
fn interim_responses_without_end_are_502() {
    let origin = Origin::answers(200, "fine");
    let bad = floods(
        |_| Vec::new(),
        |stream| {
            frame(
                HEADERS,
                END_HEADERS,
                stream,
                &block(&[(":status", "103"), ("link", "</a>")]),
            )
        },
    );
    let victim = Victim::start_beside(&origin, bad.address());
    let mut clients: Vec<_> = (0..8).map(|_| ask(&victim)).collect();
    for client in &mut clients {
        assert_eq!(outcome(client), Some(502));
    }
    // Nor if the client is slow, and they have to wait.
    let mut silent = ask(&victim);
    victim.counts(&["upstream_protocol_error", "upstream_reset"], 9);
    victim.stays_well(16);
    while matches!(silent.try_read(LIMIT), Some(bytes) if !bytes.is_empty()) {}
}

#[test]
fn a_head_and_trailers_without_end_end_the_answer() {
    let field = |stream| frame(CONTINUATION, 0, stream, &b"\x00\x01x\x01y".repeat(100));
    let origin = Origin::answers(200, "fine");
    let bad = floods(|stream| frame(HEADERS, 0, stream, OK), field);
    let victim = Victim::start_beside(&origin, bad.address());
    assert_eq!(outcome(&mut ask(&victim)), Some(502));
    victim.stays_well(16);

    let bad = floods(
        |stream| {
            let trailers = frame(HEADERS, END_STREAM, stream, &[]);
            [head(stream), frame(DATA, 0, stream, b"abc"), trailers].concat()
        },
        field,
    );
    let victim = Victim::start_beside(&origin, bad.address());
    let status = outcome(&mut ask(&victim));
    assert!(matches!(status, None | Some(502)), "{status:?}");
    victim.stays_well(16);
}

#[test]
fn frames_without_data_do_not_keep_an_answer_open() {
    let origin = Origin::answers(200, "fine");
    let bad = floods(head, |stream| frame(DATA, 0, stream, &[]));
    let victim = Victim::start_beside(&origin, bad.address());
    let status = outcome(&mut ask(&victim));
    assert!(matches!(status, None | Some(502)), "{status:?}");
    victim.stays_well(24);
}

#[test]
fn pings_and_settings_without_end_are_no_answer() {
    let origin = Origin::answers(200, "fine");
    let pieces: [fn(u32) -> Vec<u8>; 2] = [
        |_| frame(PING, 0, 0, &[0; 8]),
        |_| frame(SETTINGS, 0, 0, &[]),
    ];
    for piece in pieces {
        let bad = floods(|_| Vec::new(), piece);
        let victim = Victim::start_beside(&origin, bad.address());
        let status = outcome(&mut ask(&victim));
        assert!(matches!(status, Some(502 | 504)), "{status:?}");
        victim.stays_well(16);
    }
}
