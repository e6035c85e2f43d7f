//! A gigabyte through the example filter that rewrites bodies as they come.

use std::io::Read;
use std::io::Write;
use std::net::TcpStream;

use tidegate_testkit::Origin;
use tidegate_testkit::Wasm;

use crate::process::Folder;
use crate::process::GATEWAY;
use crate::process::Running;
use crate::process::backend;
use crate::process::memory;
use crate::process::reset_peak;
use crate::process::route;

/// What the origin repeats: the word is cut by the ends of its writes wherever they are.
const LINE: &str = "nothing to see, but one secret for each line of this text.\n";
const SAFE: &str = "nothing to see, but one *** for each line of this text.\n";
/// A gigabyte of it.
const LINES: usize = (1 << 30) / LINE.len();

const PLUGIN: &str = "apiVersion: tidegate.dev/v1alpha1
kind: Plugin
metadata: { name: redact }
spec:
  source: { file: redact.wasm }
  config: { words: [secret] }
  targetRefs: [{ group: gateway.networking.k8s.io, kind: Gateway, name: edge }]
";

#[test]
fn a_gigabyte_is_redacted_right_while_memory_stays_where_it_was() {
    let origin = Origin::script(|connection| {
        connection.request()?;
        connection
            .send("HTTP/1.1 200 OK\r\ncontent-type: text/plain\r\nconnection: close\r\n\r\n")?;
        // No multiple of the line: each write ends at another of its bytes.
        let text = LINE.repeat(1111);
        let mut left = LINES * LINE.len();
        let mut at = 0;
        while left > 0 {
            let piece = 50_021.min(left);
            let (from, to) = (at % LINE.len(), at % LINE.len() + piece);
            connection.send(text.get(from..to).expect("it is long enough"))?;
            (at, left) = (at + piece, left - piece);
        }
        Ok(())
    });
    let files = Folder::of(&[
        ("gateway.yaml", GATEWAY),
        ("route.yaml", &route("texts")),
        ("backend.yaml", &backend("texts", origin.address())),
        ("plugin.yaml", PLUGIN),
    ]);
    files.write("redact.wasm", Wasm::built("redact").module());
    let gateway = Running::start(&files, &[]);
    let address = gateway.address().expect("it listens");
    reset_peak(gateway.id());
    let before = memory(gateway.id(), "VmRSS:");

    let mut client = TcpStream::connect(address).expect("it accepts");
    let request = b"GET / HTTP/1.0\r\nhost: localhost\r\n\r\n";
    client.write_all(request).expect("it reads");
    let received = checked(client);

    assert_eq!(received, LINES * SAFE.len());
    let peak = memory(gateway.id(), "VmHWM:");
    let grown = peak.saturating_sub(before) >> 10;
    assert!(grown <= 32, "grown by {grown} MiB");
}

/// Reads a response to its end and compares each byte of the body; returns how many there were.
fn checked(mut client: TcpStream) -> usize {
    let mut head = Vec::new();
    let mut byte = [0];
    while !head.ends_with(b"\r\n\r\n") {
        client.read_exact(&mut byte).expect("a head");
        head.push(byte[0]);
    }
    assert!(head.starts_with(b"HTTP/1.1 200") || head.starts_with(b"HTTP/1.0 200"));
    let expected = SAFE.repeat(4000);
    let mut buffer = vec![0; 64 * 1024];
    let mut received = 0;
    loop {
        let count = client.read(&mut buffer).expect("it is not cut");
        if count == 0 {
            return received;
        }
        let from = received % SAFE.len();
        let right = expected.as_bytes().get(from..from + count);
        assert!(right == buffer.get(..count), "wrong after {received} bytes");
        received += count;
    }
}
