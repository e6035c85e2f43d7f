//! Origins that never come to the point.

use std::sync::Arc;
use std::sync::atomic::AtomicUsize;
use std::sync::atomic::Ordering;

use tidegate_testkit::Client;
use tidegate_testkit::Origin;
use tidegate_testkit::origin::OriginConnection;

use super::victim::Victim;

/// An origin that is fine, but floods whoever asks for `/flood` with this, for as long as it is taken.
/// Returns it with how many pieces it could send.
fn floods(begin: &'static str, piece: &'static str) -> (Origin, Arc<AtomicUsize>) {
    let sent: Arc<AtomicUsize> = Arc::default();
    let counter = Arc::clone(&sent);
    let flood = move |connection: &mut OriginConnection| {
        connection.send(begin)?;
        loop {
            connection.send(piece)?;
            counter.fetch_add(1, Ordering::SeqCst);
        }
    };
    let origin = Origin::script(move |connection| {
        loop {
            let request = connection.request()?;
            if request.start.contains("/flood") {
                return flood(connection);
            }
            connection.send("HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n")?;
        }
    });
    (origin, sent)
}

/// The final answer, and how many interim ones came before.
fn final_answer(client: &mut Client) -> (u16, usize) {
    let mut interim = 0;
    loop {
        let answer = client.response();
        if answer.status() >= 200 {
            return (answer.status(), interim);
        }
        interim += 1;
    }
}

/// The answer must not look whole: it ends early, or was seen to be wrong before it began.
#[track_caller]
fn is_cut(client: &mut Client) {
    if let Ok(answer) = client.try_response() {
        assert_eq!(answer.status(), 502, "{}", answer.start);
    }
}

#[test]
fn a_flood_of_interim_responses_is_502() {
    for (piece, most) in [
        ("HTTP/1.1 103 Early Hints\r\nlink: </a.css>\r\n\r\n", 1000),
        ("HTTP/1.1 102 Processing\r\n\r\n", 1000),
        // Those are for us alone.
        ("HTTP/1.1 100 Continue\r\n\r\n", 0),
    ] {
        let (origin, _) = floods("", piece);
        let victim = Victim::start(&origin);
        let mut client = victim.client();
        client.send("GET /flood HTTP/1.1\r\nHost: a\r\n\r\n");
        let (status, interim) = final_answer(&mut client);
        assert_eq!((status, interim), (502, most), "{piece:?}");
        victim.counts(&["upstream_protocol_error"], 1);
        victim.stays_well(16);
    }
}

#[test]
fn a_head_that_never_ends_is_502() {
    let (origin, _) = floods("HTTP/1.1 200 OK\r\n", "x-a: b\r\n");
    let victim = Victim::start(&origin);
    let mut client = victim.client();
    client.send("GET /flood HTTP/1.1\r\nHost: a\r\n\r\n");
    assert_eq!(client.response().status(), 502);
    victim.counts(&["upstream_headers_too_large"], 1);
    victim.stays_well(16);
}

#[test]
fn trailers_that_never_end_cut_the_answer() {
    let (origin, _) = floods(
        "HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n3\r\nabc\r\n0\r\n",
        "x-a: b\r\n",
    );
    let victim = Victim::start(&origin);
    let mut client = victim.client();
    client.send("GET /flood HTTP/1.1\r\nHost: a\r\nTE: trailers\r\n\r\n");
    is_cut(&mut client);
    victim.stays_well(16);
}

#[test]
fn chunk_extensions_that_never_end_cut_the_answer() {
    let (origin, sent) = floods(
        "HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n3;",
        "aaaaaaaaaaaaaaaa",
    );
    let victim = Victim::start(&origin);
    let mut client = victim.client();
    client.send("GET /flood HTTP/1.1\r\nHost: a\r\n\r\n");
    is_cut(&mut client);
    // Sixteen bytes each; what is in sockets counts too.
    assert!(sent.load(Ordering::SeqCst) < 4 << 20);
    victim.stays_well(16);
}
