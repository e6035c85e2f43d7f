//! A client of HTTP/2 that sends what no library would: fields byte for byte, on one stream.

use std::io;
use std::io::Write as _;
use std::net::SocketAddr;
use std::net::TcpStream;

use tidegate_testkit::LIMIT;
use tidegate_testkit::frames::DATA;
use tidegate_testkit::frames::END_HEADERS;
use tidegate_testkit::frames::END_STREAM;
use tidegate_testkit::frames::Frame;
use tidegate_testkit::frames::GOAWAY;
use tidegate_testkit::frames::HEADERS;
use tidegate_testkit::frames::PREFACE;
use tidegate_testkit::frames::RST_STREAM;
use tidegate_testkit::frames::SETTINGS;
use tidegate_testkit::frames::block;
use tidegate_testkit::frames::frame;
use tidegate_testkit::frames::read;

use super::corpus::Stream;

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
    let mut bytes = [PREFACE, &frame(SETTINGS, 0, 0, &[])].concat();
    let end = |last: bool| if last { END_STREAM } else { 0 };
    let flags = END_HEADERS | end(!has_data);
    bytes.extend(frame(HEADERS, flags, STREAM, &block(&request.fields)));
    if has_data {
        let last = request.trailers.is_empty();
        bytes.extend(frame(DATA, end(last), STREAM, &request.body));
    }
    if !request.trailers.is_empty() {
        let trailers = block(&request.trailers);
        bytes.extend(frame(HEADERS, END_HEADERS | END_STREAM, STREAM, &trailers));
    }
    // A gateway that refuses may close before it has everything.
    stream.write_all(&bytes).ok();
    Ok(outcome(&mut stream))
}

/// Reads until the stream or the connection ends.
fn outcome(stream: &mut TcpStream) -> Outcome {
    let mut outcome = Outcome::default();
    while let Ok(frame) = read(stream) {
        let Frame {
            kind,
            stream: number,
            payload,
            ..
        } = &frame;
        match (*kind, *number) {
            (GOAWAY, _) | (RST_STREAM, STREAM) => {
                outcome.refused = true;
                break;
            }
            (HEADERS, STREAM) => outcome.heads += 1,
            (DATA, STREAM) => outcome.body.push_str(&String::from_utf8_lossy(payload)),
            _ => continue,
        }
        if frame.has(END_STREAM) {
            outcome.ended = true;
            return outcome;
        }
    }
    outcome.refused = true;
    outcome
}
