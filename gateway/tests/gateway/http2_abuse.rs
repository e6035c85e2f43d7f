//! HTTP/2 clients that cost more than they should, frame by frame. What each of them gets is
//! asserted, and that another client is served meanwhile.

use std::time::Duration;
use std::time::Instant;

use bytes::Bytes;
use h2::Reason;
use tidegate_testkit::Client;
use tidegate_testkit::Gateway;
use tidegate_testkit::Latch;
use tidegate_testkit::Origin;
use tidegate_testkit::http2;
use tidegate_testkit::http2::get;
use tidegate_testkit::http2::request;

const PREFACE: &[u8] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";
const DATA: u8 = 0;
const HEADERS: u8 = 1;
const RST_STREAM: u8 = 3;
const SETTINGS: u8 = 4;
const PING: u8 = 6;
const GOAWAY: u8 = 7;
const CONTINUATION: u8 = 9;
const ENHANCE_YOUR_CALM: u32 = 11;
/// `:method: GET`, `:scheme: http`, `:path: /`, `:authority: a`, by the tables of HPACK.
const GET: &[u8] = b"\x82\x86\x84\x41\x01a";

fn frame(kind: u8, flags: u8, stream: u32, payload: &[u8]) -> Vec<u8> {
    let length = u32::try_from(payload.len())
        .expect("a small frame")
        .to_be_bytes();
    let mut frame = vec![length[1], length[2], length[3], kind, flags];
    frame.extend_from_slice(&stream.to_be_bytes());
    frame.extend_from_slice(payload);
    frame
}

/// A connection with its settings exchanged.
fn raw(gateway: &Gateway) -> Client {
    let mut client = gateway.client();
    client.send(
        [
            PREFACE,
            &frame(SETTINGS, 0, 0, &[])[..],
            &frame(SETTINGS, 1, 0, &[]),
        ]
        .concat(),
    );
    client
}

/// Sends a flood until the gateway has had enough, and returns the reason of its GOAWAY, if it got
/// out one.
fn flood(client: &mut Client, piece: &[u8]) -> Option<u32> {
    let mut reader = client.stream().try_clone().expect("a socket");
    let reading = std::thread::spawn(move || {
        let mut bytes = Vec::new();
        std::io::Read::read_to_end(&mut reader, &mut bytes).ok();
        bytes
    });
    let started = Instant::now();
    while client.try_send(piece).is_ok() {
        assert!(
            started.elapsed() < tidegate_testkit::LIMIT,
            "nothing ends the flood"
        );
    }
    goaway(&reading.join().expect("it reads"))
}

/// The whole frames among bytes: type, flags, payload.
fn frames(mut bytes: &[u8]) -> Vec<(u8, u8, &[u8])> {
    let mut frames = Vec::new();
    while let [a, b, c, kind, flags, _, _, _, _, rest @ ..] = bytes {
        let length = u32::from_be_bytes([0, *a, *b, *c]) as usize;
        let Some((payload, next)) = rest.split_at_checked(length) else {
            break;
        };
        frames.push((*kind, *flags, payload));
        bytes = next;
    }
    frames
}

/// The reason of the last GOAWAY among frames.
fn goaway(bytes: &[u8]) -> Option<u32> {
    let frames = frames(bytes).into_iter().rev();
    let (.., payload) = frames.into_iter().find(|(kind, ..)| *kind == GOAWAY)?;
    let [_, _, _, _, reason @ ..] = payload.first_chunk::<8>()?;
    Some(u32::from_be_bytes(*reason))
}

/// Resident memory of this process, in bytes: the gateway runs in it, and so do other tests.
fn resident() -> u64 {
    let statm = std::fs::read_to_string("/proc/self/statm").expect("Linux");
    let pages = statm.split(' ').nth(1).and_then(|pages| pages.parse().ok());
    pages.map_or(0, |pages: u64| pages * 4096)
}

#[track_caller]
fn survives(gateway: &Gateway) {
    assert_eq!(gateway.get("/").status(), 200);
    http2::client(gateway.address(), async |mut client| {
        assert_eq!(get(&mut client, "/").await.expect("an answer").status, 200);
    });
}

#[test]
fn floods_of_frames_that_ask_for_nothing_end_their_connection() {
    let origin = Origin::answers(200, "x");
    let gateway = Gateway::to(origin.address()).start();
    let before = resident();
    for (name, piece) in [
        ("PING", frame(PING, 0, 0, &[0; 8])),
        ("SETTINGS", frame(SETTINGS, 0, 0, &[])),
        ("PRIORITY", frame(2, 0, 1, &[0; 5])),
        ("unknown", frame(200, 0, 0, &[])),
        ("RST_STREAM", {
            let mut begun = frame(HEADERS, 5, 1, GET);
            begun.extend(frame(RST_STREAM, 0, 1, &[0; 4]));
            begun
        }),
    ] {
        let mut client = raw(&gateway);
        if name == "RST_STREAM" {
            client.send(&piece);
            let again = frame(RST_STREAM, 0, 1, &[0; 4]);
            flood(&mut client, &again.repeat(100));
            continue;
        }
        let reason = flood(&mut client, &piece.repeat(100));
        assert!(
            matches!(reason, None | Some(ENHANCE_YOUR_CALM)),
            "{name}: {reason:?}"
        );
        survives(&gateway);
    }
    let grown = resident().saturating_sub(before);
    assert!(grown < 64 << 20, "{grown} bytes more");
}

#[test]
fn streams_that_are_reset_as_soon_as_they_begin_end_their_connection() {
    let origin = Origin::answers(200, "x");
    let gateway = Gateway::to(origin.address()).start();
    let mut client = raw(&gateway);
    let mut reader = client.stream().try_clone().expect("a socket");
    let reading = std::thread::spawn(move || {
        let mut bytes = Vec::new();
        std::io::Read::read_to_end(&mut reader, &mut bytes).ok();
        bytes
    });
    let mut asked = 0;
    for stream in (1..200_000).step_by(2) {
        let begun = frame(HEADERS, 5, stream, GET);
        let reset = frame(RST_STREAM, 0, stream, &8u32.to_be_bytes());
        if client.try_send([begun, reset].concat()).is_err() {
            break;
        }
        asked += 1;
    }
    let reason = goaway(&reading.join().expect("it reads"));
    assert!(
        matches!(reason, None | Some(ENHANCE_YOUR_CALM)),
        "{reason:?}"
    );
    assert!(asked < 50_000, "{asked} were taken");
    survives(&gateway);
    assert!(
        origin.requests().len() < 2000,
        "{}",
        origin.requests().len()
    );
}

#[test]
fn a_head_without_end_is_refused_before_it_fills_the_memory() {
    let origin = Origin::answers(200, "x");
    let gateway = Gateway::to(origin.address()).start();
    let before = resident();
    let mut client = raw(&gateway);
    client.send(frame(HEADERS, 1, 1, GET));
    // A literal field without indexing, again and again.
    let field = b"\x00\x01x\x01y".repeat(1000);
    let reason = flood(&mut client, &frame(CONTINUATION, 0, 1, &field));
    assert!(reason.is_none() || reason > Some(0), "{reason:?}");
    survives(&gateway);
    let grown = resident().saturating_sub(before);
    assert!(grown < 64 << 20, "{grown} bytes more");
}

#[test]
fn a_small_head_that_unpacks_to_a_large_one_is_refused() {
    let origin = Origin::answers(200, "x");
    let gateway = Gateway::to(origin.address()).start();
    let before = resident();
    let mut client = raw(&gateway);
    // One field of 4000 bytes into the table, then a reference to it 4000 times.
    let mut bomb = [GET, b"\x40\x01x\x7f\xa1\x1e"].concat();
    bomb.extend(vec![b'y'; 127 + 0x21 + (0x1e << 7)]);
    bomb.extend(vec![0xbe; 4000]);
    client.send(frame(HEADERS, 5, 1, &bomb));
    client.half_close();
    let seen = client.read_to_end().unwrap_or_default();
    let told = |kind: u8| frames(&seen).iter().any(|(seen, ..)| *seen == kind);
    assert!(told(HEADERS) || told(GOAWAY), "{seen:02x?}");
    survives(&gateway);
    assert_eq!(origin.requests().len(), 2, "only those of who came after");
    let grown = resident().saturating_sub(before);
    assert!(grown < 64 << 20, "{grown} bytes more");
}

#[test]
fn a_client_that_makes_no_room_loses_its_stream_and_costs_little() {
    let origin = Origin::script(|connection| {
        while connection.request().is_ok() {
            connection.send("HTTP/1.1 200 OK\r\ncontent-length: 4000000\r\n\r\n")?;
            for _ in 0..400 {
                connection.send([0; 10_000])?;
            }
        }
        Ok(())
    });
    let impatient = |timeouts: &mut tidegate_core::defaults::Timeouts| {
        timeouts.write_stall = Duration::from_millis(200);
    };
    let gateway = Gateway::to(origin.address()).timeouts(impatient).start();
    let before = resident();
    let mut small = h2::client::Builder::new();
    small.initial_window_size(1);
    http2::client_with(gateway.address(), &mut small, async |client| {
        let mut open = Vec::new();
        for _ in 0..50 {
            let mut client = client.clone().ready().await.expect("room");
            open.push(
                client
                    .send_request(request("GET", "/"), true)
                    .expect("sent")
                    .0,
            );
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
    let grown = resident().saturating_sub(before);
    assert!(grown < 64 << 20, "{grown} bytes more");
    let lines = gateway.stop_for_log();
    let stalled = lines.iter().filter(|line| line.contains("client_stalled"));
    assert_eq!(stalled.count(), 50, "{lines:?}");
}

#[test]
fn a_client_that_reads_nothing_loses_its_connection() {
    let origin = Origin::answers(200, "x");
    let impatient = |timeouts: &mut tidegate_core::defaults::Timeouts| {
        timeouts.write_stall = Duration::from_millis(200);
    };
    let gateway = Gateway::to(origin.address()).timeouts(impatient).start();
    let before = resident();
    let mut client = raw(&gateway);
    let started = Instant::now();
    // Every one of them asks for an answer of the same size.
    let pings = frame(PING, 0, 0, &[0; 8]).repeat(1000);
    while client.try_send(&pings).is_ok() {
        assert!(
            started.elapsed() < tidegate_testkit::LIMIT,
            "it is never closed"
        );
    }
    let grown = resident().saturating_sub(before);
    assert!(grown < 64 << 20, "{grown} bytes more");
    survives(&gateway);
}

#[test]
fn an_upload_to_a_slow_origin_is_bounded_by_its_windows() {
    let measured = Latch::default();
    let until = measured.clone();
    let origin = Origin::script(move |connection| {
        connection.request_head()?;
        // Reads no byte of the body.
        until.wait();
        Ok(())
    });
    let gateway = Gateway::to(origin.address()).start();
    http2::client(gateway.address(), async |mut client| {
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
                () = tokio::time::sleep(Duration::from_millis(20)) => None,
            } {
                if room == 0 {
                    break;
                }
                body.send_data(Bytes::from(vec![0; room]), false).unwrap();
                body.reserve_capacity(1 << 20);
                sent += room;
            }
        }
        // What kernels buffer towards the origins comes to it.
        assert!(sent < 128 << 20, "{sent}");
        measured.open();
        for (response, _) in open {
            let answer = http2::read(response).await;
            assert!(answer.is_err() || answer.is_ok_and(|it| it.status == 502));
        }
    });
}

#[test]
fn what_is_no_frame_of_http2_ends_its_connection_and_no_other() {
    let origin = Origin::answers(200, "x");
    let gateway = Gateway::to(origin.address()).start();
    let corpus = include_str!("http2_abuse/frames.txt");
    let cases: Vec<_> = corpus
        .lines()
        .filter(|line| !line.starts_with('#'))
        .collect();
    assert!(cases.len() > 25, "{}", cases.len());
    for case in cases {
        let (name, hex) = case.split_once(": ").expect("a name and bytes");
        let digits: Vec<u8> = hex.bytes().filter(u8::is_ascii_hexdigit).collect();
        let bytes = digits.chunks(2).map(|two| {
            let two = std::str::from_utf8(two).unwrap();
            u8::from_str_radix(two, 16).unwrap()
        });
        let mut client = gateway.client();
        let settings = frame(SETTINGS, 0, 0, &[]);
        client.send([PREFACE, &settings, &bytes.collect::<Vec<_>>()].concat());
        let mut seen = Vec::new();
        loop {
            let more = client.read_some();
            seen.extend_from_slice(&more);
            let told = |kind: u8| frames(&seen).iter().any(|(seen, ..)| *seen == kind);
            if more.is_empty() || told(RST_STREAM) || told(GOAWAY) {
                break;
            }
        }
        let frames = frames(&seen);
        let reset = frames.iter().any(|(kind, ..)| *kind == RST_STREAM);
        let stops = goaway(&seen).is_some_and(|reason| reason > 0);
        let answered = frames
            .iter()
            .any(|(kind, ..)| matches!(*kind, DATA | HEADERS));
        assert!((stops || reset) && !answered, "{name}: {seen:02x?}");
    }
    survives(&gateway);
    assert_eq!(origin.requests().len(), 2, "none of it is a request");
}
