//! HTTP/2 byte by byte (RFC 9113 §4): for peers that send what no library would.

use std::io;
use std::io::Read;

/// What a client says first.
pub const PREFACE: &[u8] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";

/// Types of frames (RFC 9113 §6).
pub const DATA: u8 = 0;
/// A head, or trailers.
pub const HEADERS: u8 = 1;
/// Means nothing any more.
pub const PRIORITY: u8 = 2;
/// Ends a stream at once.
pub const RST_STREAM: u8 = 3;
/// Settings, or with [`ACK`] that they were taken.
pub const SETTINGS: u8 = 4;
/// Asks for an answer.
pub const PING: u8 = 6;
/// Ends a connection in good order.
pub const GOAWAY: u8 = 7;
/// Makes room for data.
pub const WINDOW_UPDATE: u8 = 8;
/// More of a head.
pub const CONTINUATION: u8 = 9;

/// Flag: settings or a ping are answered.
pub const ACK: u8 = 1;
/// Flag: nothing follows on the stream.
pub const END_STREAM: u8 = 1;
/// Flag: the head is complete.
pub const END_HEADERS: u8 = 4;

/// Reason: the peer costs too much.
pub const ENHANCE_YOUR_CALM: u32 = 11;

/// `:method: GET`, `:scheme: http`, `:path: /`, `:authority: a`, by the tables of HPACK.
pub const GET: &[u8] = b"\x82\x86\x84\x41\x01a";
/// `:status: 200`, by the tables of HPACK.
pub const OK: &[u8] = b"\x88";

/// A frame as it came.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Frame {
    /// Its type.
    pub kind: u8,
    /// Its flags.
    pub flags: u8,
    /// Its stream; 0 is the connection.
    pub stream: u32,
    /// What is in it.
    pub payload: Vec<u8>,
}

impl Frame {
    /// Whether it has a flag.
    pub fn has(&self, flag: u8) -> bool {
        self.flags & flag != 0
    }
}

/// The bytes of a frame.
///
/// # Panics
///
/// If it is too large to have a length.
pub fn frame(kind: u8, flags: u8, stream: u32, payload: &[u8]) -> Vec<u8> {
    let length = u32::try_from(payload.len()).expect("a small frame");
    let [high, length @ ..] = length.to_be_bytes();
    assert_eq!(high, 0, "a frame of at most 16 MiB");
    let mut frame = length.to_vec();
    frame.extend([kind, flags]);
    frame.extend(stream.to_be_bytes());
    frame.extend(payload);
    frame
}

/// What a client says before its first request: the preface, its settings, and that it has taken the
/// other's.
pub fn opening() -> Vec<u8> {
    let settings = frame(SETTINGS, 0, 0, &[]);
    [PREFACE, &settings, &frame(SETTINGS, ACK, 0, &[])].concat()
}

/// Fields as literals without a table and without Huffman's code (RFC 7541 §6.2.2).
///
/// # Panics
///
/// If one has more than 126 bytes: it would need a longer length.
pub fn block<N: AsRef<[u8]>, V: AsRef<[u8]>>(fields: &[(N, V)]) -> Vec<u8> {
    let mut block = Vec::new();
    for (name, value) in fields {
        block.push(0);
        for text in [name.as_ref(), value.as_ref()] {
            let length = u8::try_from(text.len()).ok().filter(|length| *length < 127);
            block.push(length.expect("a short text"));
            block.extend(text);
        }
    }
    block
}

/// The next frame.
///
/// # Errors
///
/// The stream's; an end within a frame is `UnexpectedEof`.
pub fn read(from: &mut impl Read) -> io::Result<Frame> {
    let mut head = [0; 9];
    from.read_exact(&mut head)?;
    let [a, b, c, kind, flags, s1, s2, s3, s4] = head;
    let mut payload = vec![0; u32::from_be_bytes([0, a, b, c]) as usize];
    from.read_exact(&mut payload)?;
    Ok(Frame {
        kind,
        flags,
        stream: u32::from_be_bytes([s1, s2, s3, s4]),
        payload,
    })
}

/// The whole frames at the beginning of these bytes.
pub fn frames(mut bytes: &[u8]) -> Vec<Frame> {
    std::iter::from_fn(|| read(&mut bytes).ok()).collect()
}

/// The reason of the last GOAWAY among frames.
pub fn goaway(frames: &[Frame]) -> Option<u32> {
    let last = frames.iter().rev().find(|frame| frame.kind == GOAWAY)?;
    let reason = last.payload.get(4..)?.first_chunk()?;
    Some(u32::from_be_bytes(*reason))
}
