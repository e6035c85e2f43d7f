//! HTTP/2 clients that cost more than they should, frame by frame.

use std::time::Instant;

use bytes::Bytes;
use h2::Reason;
use tidegate_testkit::Client;
use tidegate_testkit::LIMIT;
use tidegate_testkit::Latch;
use tidegate_testkit::Origin;
use tidegate_testkit::frames::CONTINUATION;
use tidegate_testkit::frames::DATA;
use tidegate_testkit::frames::END_HEADERS;
use tidegate_testkit::frames::END_STREAM;
use tidegate_testkit::frames::ENHANCE_YOUR_CALM;
use tidegate_testkit::frames::GET;
use tidegate_testkit::frames::GOAWAY;
use tidegate_testkit::frames::HEADERS;
use tidegate_testkit::frames::OK;
use tidegate_testkit::frames::PING;
use tidegate_testkit::frames::PRIORITY;
use tidegate_testkit::frames::RST_STREAM;
use tidegate_testkit::frames::SETTINGS;
use tidegate_testkit::frames::WINDOW_UPDATE;
use tidegate_testkit::frames::block;
use tidegate_testkit::frames::frame;
use tidegate_testkit::frames::frames;
use tidegate_testkit::frames::goaway;
use tidegate_testkit::frames::opening;
use tidegate_testkit::frames::read;
use tidegate_testkit::http2;
use tidegate_testkit::http2::request;

use super::victim::Victim;

/// A connection with its settings exchanged.
fn open(victim: &Victim) -> Client {
    let mut client = victim.client();
    client.send(opening());
    client
}

/// Sends a flood until the gateway has had enough, and returns the reason of its GOAWAY, if it got
/// out one.
#[track_caller]
fn flood(client: &mut Client, mut next: impl FnMut() -> Vec<u8>) -> Option<u32> {
    let mut reader = client.stream().try_clone().expect("a socket");
    let reading = std::thread::spawn(move || {
        let mut bytes = Vec::new();
        std::io::Read::read_to_end(&mut reader, &mut bytes).ok();
        bytes
    });
    let started = Instant::now();
    while client.try_send(next()).is_ok() {
        assert!(started.elapsed() < LIMIT, "nothing ends the flood");
    }
    goaway(&frames(&reading.join().expect("it reads")))
}

#[test]
fn floods_of_frames_that_ask_for_nothing_end_their_connection() {
    let origin = Origin::answers(200, "fine");
    let victim = Victim::start(&origin);
    let begun = frame(HEADERS, END_HEADERS, 1, &post());
    let reset = frame(RST_STREAM, 0, 1, &[0; 4]);
    for (name, first, piece) in [
        ("PING", vec![], frame(PING, 0, 0, &[0; 8])),
        ("SETTINGS", vec![], frame(SETTINGS, 0, 0, &[])),
        ("PRIORITY", vec![], frame(PRIORITY, 0, 1, &[0; 5])),
        ("unknown", vec![], frame(200, 0, 0, &[])),
        ("empty DATA", begun.clone(), frame(DATA, 0, 1, &[])),
        (
            "padded DATA",
            begun.clone(),
            frame(DATA, 8, 1, &[3, 0, 0, 0]),
        ),
        (
            "WINDOW_UPDATE",
            begun.clone(),
            frame(WINDOW_UPDATE, 0, 1, &[0, 0, 0, 1]),
        ),
        ("RST_STREAM", [begun, reset.clone()].concat(), reset),
    ] {
        let mut client = open(&victim);
        client.send(first);
        let piece = piece.repeat(100);
        let reason = flood(&mut client, || piece.clone());
        assert!(reason.is_none_or(|it| it > 0), "{name}: {reason:?}");
    }
    victim.stays_well(16);
}

/// The head of a request with a body.
fn post() -> Vec<u8> {
    block(&[
        (":method", "POST"),
        (":scheme", "http"),
        (":authority", "a"),
        (":path", "/"),
    ])
}

#[test]
fn streams_that_are_reset_as_soon_as_they_begin_end_their_connection() {
    let origin = Origin::answers(200, "fine");
    let victim = Victim::start(&origin);
    let mut client = open(&victim);
    let mut streams = (1..).step_by(2);
    let mut asked = 0;
    let reason = flood(&mut client, || {
        let stream = streams.next().expect("they do not end");
        asked += 1;
        let begun = frame(HEADERS, END_HEADERS | END_STREAM, stream, GET);
        let reset = frame(RST_STREAM, 0, stream, &8u32.to_be_bytes());
        [begun, reset].concat()
    });
    assert!(
        matches!(reason, None | Some(ENHANCE_YOUR_CALM)),
        "{reason:?}"
    );
    assert!(asked < 50_000, "{asked} were taken");
    let seen = origin.requests();
    let seen = seen.iter().filter(|it| it.start.starts_with("GET / "));
    assert!(seen.count() < 1000);
    victim.stays_well(16);
}

#[test]
fn heads_and_trailers_without_end_are_refused_before_they_fill_the_memory() {
    let origin = Origin::answers(200, "fine");
    let victim = Victim::start(&origin);
    let data = frame(DATA, 0, 1, b"abc");
    // A literal field without indexing, again and again.
    let field = b"\x00\x01x\x01y".repeat(1000);
    for (name, first) in [
        ("head", frame(HEADERS, END_STREAM, 1, GET)),
        (
            "trailers",
            [
                frame(HEADERS, END_HEADERS, 1, &post()),
                data,
                frame(HEADERS, END_STREAM, 1, &[]),
            ]
            .concat(),
        ),
    ] {
        let mut client = open(&victim);
        client.send(first);
        let piece = frame(CONTINUATION, 0, 1, &field);
        let reason = flood(&mut client, || piece.clone());
        assert!(reason.is_none_or(|it| it > 0), "{name}: {reason:?}");
    }
    victim.stays_well(16);
}

#[test]
fn trailers_that_are_too_large_are_refused() {
    let origin = Origin::answers(200, "fine");
    let victim = Victim::start(&origin);
    let mut client = open(&victim);
    client.send(frame(HEADERS, END_HEADERS, 1, &post()));
    client.send(frame(DATA, 0, 1, b"abc"));
    client.send(frame(HEADERS, END_STREAM, 1, &[]));
    let field = b"\x00\x01x\x01y".repeat(2000);
    // Two of these are within what the frame layer takes, and over our own limit.
    client.send(frame(CONTINUATION, 0, 1, &field));
    client.send(frame(CONTINUATION, END_HEADERS, 1, &[]));
    let refused = std::iter::from_fn(|| read(client.stream()).ok())
        .find(|frame| matches!(frame.kind, RST_STREAM | GOAWAY | HEADERS))
        .expect("it is refused");
    assert_ne!(refused.payload, OK, "{refused:02x?}");
    let posts = origin.requests();
    assert!(posts.iter().all(|it| !it.start.starts_with("POST")));
    victim.stays_well(16);
}

#[test]
fn a_small_head_that_unpacks_to_a_large_one_is_refused() {
    let origin = Origin::answers(200, "fine");
    let victim = Victim::start(&origin);
    for _ in 0..20 {
        let mut client = open(&victim);
        // One field of 4000 bytes into the table, then a reference to it 4000 times.
        let mut bomb = [GET, b"\x40\x01x\x7f\xa1\x1e"].concat();
        bomb.extend(vec![b'y'; 127 + 0x21 + (0x1e << 7)]);
        bomb.extend(vec![0xbe; 4000]);
        client.send(frame(HEADERS, END_HEADERS | END_STREAM, 1, &bomb));
        client.half_close();
        let seen = frames(&client.read_to_end().unwrap_or_default());
        let told = |kind| seen.iter().any(|frame| frame.kind == kind);
        assert!(told(HEADERS) || told(GOAWAY), "{seen:02x?}");
    }
    let seen = origin.requests();
    assert!(seen.iter().all(|it| it.start.contains("/fine")));
    victim.stays_well(16);
}

#[test]
fn clients_that_make_no_room_lose_their_streams_and_cost_little() {
    let origin = Origin::script(|connection| {
        while let Ok(request) = connection.request() {
            if request.start.contains("/fine") {
                connection.send("HTTP/1.1 200 OK\r\ncontent-length: 4\r\n\r\nfine")?;
                continue;
            }
            connection.send("HTTP/1.1 200 OK\r\ncontent-length: 4000000\r\n\r\n")?;
            for _ in 0..400 {
                connection.send([0; 10_000])?;
            }
        }
        Ok(())
    });
    let victim = Victim::start(&origin);
    let mut small = h2::client::Builder::new();
    small.initial_window_size(1);
    http2::client_with(victim.address(), &mut small, async |client| {
        let mut open = Vec::new();
        for _ in 0..50 {
            let mut client = client.clone().ready().await.expect("room");
            let sent = client.send_request(request("GET", "/"), true);
            open.push(sent.expect("sent").0);
        }
        for response in open {
            let mut body = response.await.expect("a head").into_body();
            // Whoever takes a byte at a time is taken for one who takes none.
            let err = loop {
                match body.data().await {
                    Some(Ok(_)) => {}
                    Some(Err(err)) => break err,
                    None => panic!("it is not complete"),
                }
            };
            assert_eq!(err.reason(), Some(Reason::INTERNAL_ERROR));
        }
    });
    victim.counts(&["client_stalled"], 50);
    victim.stays_well(24);
}

#[test]
fn a_client_that_reads_nothing_loses_its_connection() {
    let origin = Origin::answers(200, "fine");
    let victim = Victim::start(&origin);
    let mut client = open(&victim);
    let started = Instant::now();
    // Every one of them asks for an answer of the same size.
    let pings = frame(PING, 0, 0, &[0; 8]).repeat(1000);
    while client.try_send(&pings).is_ok() {
        assert!(started.elapsed() < LIMIT, "it is never closed");
    }
    victim.stays_well(16);
}

#[test]
fn uploads_to_an_origin_that_reads_nothing_are_bounded_by_their_windows() {
    let measured = Latch::default();
    let until = measured.clone();
    let origin = Origin::script(move |connection| {
        loop {
            let head = connection.request_head()?;
            if !head.start.contains("/fine") {
                // Reads no byte of the body.
                until.wait();
                return Ok(());
            }
            connection.send("HTTP/1.1 200 OK\r\ncontent-length: 4\r\n\r\nfine")?;
        }
    });
    let victim = Victim::start(&origin);
    let sent = http2::client(victim.address(), async |mut client| {
        let mut open = Vec::new();
        for _ in 0..20 {
            client = client.ready().await.expect("room");
            let (response, mut body) = client.send_request(request("POST", "/"), false).unwrap();
            body.reserve_capacity(1 << 20);
            open.push((response, body));
        }
        let mut sent = 0;
        for (_, body) in &mut open {
            while let Some(Ok(room)) = tokio::select! {
                biased;
                room = std::future::poll_fn(|cx| body.poll_capacity(cx)) => room,
                () = tokio::time::sleep(std::time::Duration::from_millis(20)) => None,
            } {
                if room == 0 {
                    break;
                }
                body.send_data(Bytes::from(vec![0; room]), false).unwrap();
                body.reserve_capacity(1 << 20);
                sent += room;
            }
        }
        measured.open();
        for (response, _) in open {
            let answer = http2::read(response).await;
            assert!(answer.is_err() || answer.is_ok_and(|it| it.status >= 500));
        }
        sent
    });
    // What kernels buffer towards the origins comes to it.
    assert!(sent < 128 << 20, "{sent}");
    victim.stays_well(16);
}
