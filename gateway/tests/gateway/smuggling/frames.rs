//! A client of HTTP/2 that sends what no library would: fields byte for byte, on one stream.

use std::io;
use std::io::Read as _;
use std::io::Write as _;
use std::net::SocketAddr;
use std::net::TcpStream;

use tidegate_testkit::LIMIT;

use super::corpus::Field;
use super::corpus::Stream;

const DATA: u8 = 0;
const HEADERS: u8 = 1;
const RST_STREAM: u8 = 3;
const SETTINGS: u8 = 4;
const GOAWAY: u8 = 7;
const END_STREAM: u8 = 1;
const END_HEADERS: u8 = 4;
/// The only stream.
const STREAM: u32 = 1;

/// What became of a stream.
#[derive(Debug, Default)]
pub(super) struct Outcome {
    /// Heads of answers, trailers included.
    pub(super) heads: usize,
    /// The data of the answer.
    pub(super) body: String,
    /// Whether the answer ended in good order.
    pub(super) ended: bool,
    /// Whether the gateway ended the stream or the connection before.
    pub(super) refused: bool,
}

/// Sends a request on a connection of its own, and reads what comes of it.
pub(super) fn send(to: SocketAddr, request: &Stream) -> io::Result<Outcome> {
    let mut stream = TcpStream::connect(to)?;
    stream.set_read_timeout(Some(LIMIT))?;
    let has_data = !request.body.is_empty() || !request.trailers.is_empty();
    let mut bytes = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n".to_vec();
    frame(&mut bytes, SETTINGS, 0, 0, &[]);
    let end = |last: bool| if last { END_STREAM } else { 0 };
    let head = block(&request.fields);
    frame(
        &mut bytes,
        HEADERS,
        END_HEADERS | end(!has_data),
        STREAM,
        &head,
    );
    if has_data {
        let last = request.trailers.is_empty();
        frame(&mut bytes, DATA, end(last), STREAM, &request.body);
    }
    if !request.trailers.is_empty() {
        let trailers = block(&request.trailers);
        frame(
            &mut bytes,
            HEADERS,
            END_HEADERS | END_STREAM,
            STREAM,
            &trailers,
        );
    }
    // A gateway that refuses may close before it has everything.
    stream.write_all(&bytes).ok();
    Ok(outcome(&mut stream))
}

/// Reads until the stream or the connection ends.
fn outcome(stream: &mut TcpStream) -> Outcome {
    let mut outcome = Outcome::default();
    while let Ok((kind, flags, number, payload)) = read_frame(stream) {
        match (kind, number) {
            (GOAWAY, _) | (RST_STREAM, STREAM) => {
                outcome.refused = true;
                break;
            }
            (HEADERS, STREAM) => outcome.heads += 1,
            (DATA, STREAM) => outcome.body.push_str(&String::from_utf8_lossy(&payload)),
            _ => continue,
        }
        if flags & END_STREAM != 0 {
            outcome.ended = true;
            return outcome;
        }
    }
    outcome.refused = true;
    outcome
}

/// The next frame: type, flags, stream, payload.
fn read_frame(stream: &mut TcpStream) -> io::Result<(u8, u8, u32, Vec<u8>)> {
    let mut head = [0; 9];
    stream.read_exact(&mut head)?;
    let [a, b, c, kind, flags, s1, s2, s3, s4] = head;
    let mut payload = vec![0; u32::from_be_bytes([0, a, b, c]) as usize];
    stream.read_exact(&mut payload)?;
    let number = u32::from_be_bytes([s1, s2, s3, s4]);
    Ok((kind, flags, number, payload))
}

fn frame(bytes: &mut Vec<u8>, kind: u8, flags: u8, stream: u32, payload: &[u8]) {
    let length = u32::try_from(payload.len())
        .expect("a small frame")
        .to_be_bytes();
    bytes.extend(length.iter().skip(1));
    bytes.extend([kind, flags]);
    bytes.extend(stream.to_be_bytes());
    bytes.extend(payload);
}

/// Fields as literals without a table and without Huffman's code (RFC 7541 §6.2.2).
fn block(fields: &[Field]) -> Vec<u8> {
    let mut block = Vec::new();
    for (name, value) in fields {
        block.push(0);
        for text in [name, value] {
            // What is longer than 126 bytes would need a longer length.
            let length = u8::try_from(text.len()).ok().filter(|length| *length < 127);
            block.push(length.expect("a short text"));
            block.extend(text);
        }
    }
    block
}
