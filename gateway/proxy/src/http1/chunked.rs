//! The chunked transfer coding (RFC 9112 §7.1), decoded strictly.
//!
//! Owns the state between chunks. Sizes are hexadecimal digits and nothing else; line ends are
//! CR LF; chunk extensions are skipped and bounded. Data is handed out as it arrives, without
//! copying.

use bytes::Buf as _;
use bytes::Bytes;
use bytes::BytesMut;
use http::HeaderMap;
use tidegate_core::defaults::SizeLimits;

use crate::http1::head::HeadScan;
use crate::http1::head::Scanned;
use crate::http1::head::parse_trailers;

/// A chunk-size line, extensions included, is at most this long.
const MAX_SIZE_LINE: usize = 256;
/// More digits than a `u64` has would overflow.
const MAX_SIZE_DIGITS: usize = 16;
/// The end of the last data chunk and of the body, without trailers.
const FINAL: &[u8] = b"\r\n0\r\n\r\n";

/// Where in the body the decoder stands.
#[derive(Debug)]
pub(crate) struct ChunkDecoder {
    state: State,
    limits: SizeLimits,
}

#[derive(Debug)]
enum State {
    Size,
    Data(u64),
    DataEnd,
    Trailers(HeadScan),
    Done,
}

/// What came out of the buffer.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Chunk {
    /// Data; `last` if the body is known to end here, without trailers.
    Data { bytes: Bytes, last: bool },
    /// The body ended, with these trailers.
    End(HeaderMap),
    /// More bytes are needed.
    Partial,
}

/// The bytes are not chunks.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct BadChunk;

impl ChunkDecoder {
    pub(crate) fn new(limits: &SizeLimits) -> Self {
        Self {
            state: State::Size,
            limits: *limits,
        }
    }

    /// Takes the next piece off the buffer.
    pub(crate) fn decode(&mut self, buf: &mut BytesMut) -> Result<Chunk, BadChunk> {
        loop {
            match &mut self.state {
                State::Size => match take_size(buf)? {
                    None => return Ok(Chunk::Partial),
                    Some(0) => self.state = State::Trailers(HeadScan::default()),
                    Some(size) => self.state = State::Data(size),
                },
                State::Data(left) => {
                    if buf.is_empty() {
                        return Ok(Chunk::Partial);
                    }
                    let take = usize::try_from(*left).unwrap_or(usize::MAX).min(buf.len());
                    let bytes = buf.split_to(take).freeze();
                    *left -= take as u64;
                    if *left > 0 {
                        return Ok(Chunk::Data { bytes, last: false });
                    }
                    let last = buf.starts_with(FINAL);
                    if last {
                        buf.advance(FINAL.len());
                    }
                    self.state = if last { State::Done } else { State::DataEnd };
                    return Ok(Chunk::Data { bytes, last });
                }
                State::DataEnd => {
                    match (buf.first(), buf.get(1)) {
                        (Some(b'\r'), Some(b'\n')) => buf.advance(2),
                        (None, _) | (Some(b'\r'), None) => return Ok(Chunk::Partial),
                        _ => return Err(BadChunk),
                    }
                    self.state = State::Size;
                }
                State::Trailers(scan) => {
                    let size = match scan.advance(buf) {
                        Scanned::Complete(size) if size <= self.limits.head_bytes => size,
                        Scanned::Partial if buf.len() < self.limits.head_bytes => {
                            return Ok(Chunk::Partial);
                        }
                        _ => return Err(BadChunk),
                    };
                    let section = buf.split_to(size).freeze();
                    self.state = State::Done;
                    return parse_trailers(&section, &self.limits)
                        .map(Chunk::End)
                        .ok_or(BadChunk);
                }
                State::Done => return Ok(Chunk::End(HeaderMap::new())),
            }
        }
    }
}

/// Takes a chunk-size line.
fn take_size(buf: &mut BytesMut) -> Result<Option<u64>, BadChunk> {
    let Some(line_feed) = memchr::memchr(b'\n', buf) else {
        return if buf.len() > MAX_SIZE_LINE {
            Err(BadChunk)
        } else {
            Ok(None)
        };
    };
    let line = buf
        .get(..line_feed)
        .and_then(|line| line.strip_suffix(b"\r"))
        .ok_or(BadChunk)?;
    if line.len() > MAX_SIZE_LINE {
        return Err(BadChunk);
    }
    let end = line
        .iter()
        .position(|byte| *byte == b';')
        .unwrap_or(line.len());
    let (digits, extension) = line.split_at(end);
    let is_text = |byte: &u8| *byte == b'\t' || (*byte >= b' ' && *byte != 0x7f);
    if digits.is_empty() || digits.len() > MAX_SIZE_DIGITS || !extension.iter().all(is_text) {
        return Err(BadChunk);
    }
    let mut size = 0u64;
    for digit in digits {
        let value = char::from(*digit).to_digit(16).ok_or(BadChunk)?;
        size = size << 4 | u64::from(value);
    }
    buf.advance(line_feed + 1);
    Ok(Some(size))
}

#[cfg(test)]
mod tests {
    use bytes::BytesMut;
    use proptest::prelude::any;
    use proptest::prelude::proptest;
    use tidegate_core::defaults::SizeLimits;

    use super::BadChunk;
    use super::Chunk;
    use super::ChunkDecoder;

    /// All data and whether the body ended, from pieces of the given size.
    fn decode(wire: &[u8], piece: usize) -> Result<(Vec<u8>, bool), BadChunk> {
        let mut decoder = ChunkDecoder::new(&SizeLimits::default());
        let mut buf = BytesMut::new();
        let mut data = Vec::new();
        for part in wire.chunks(piece) {
            buf.extend_from_slice(part);
            loop {
                match decoder.decode(&mut buf)? {
                    Chunk::Data { bytes, last } => {
                        data.extend_from_slice(&bytes);
                        if last {
                            return Ok((data, true));
                        }
                    }
                    Chunk::End(_) => return Ok((data, true)),
                    Chunk::Partial => break,
                }
            }
        }
        Ok((data, false))
    }

    #[test]
    fn chunks_are_joined_whatever_pieces_they_come_in() {
        let wire = b"3\r\nabc\r\n5;ext=\"1\"\r\ndefgh\r\n0\r\nx-t: 1\r\n\r\n";
        for piece in 1..wire.len() {
            assert_eq!(
                decode(wire, piece),
                Ok((b"abcdefgh".to_vec(), true)),
                "{piece}"
            );
        }
    }

    #[test]
    fn the_last_chunk_knows_that_it_is_the_last() {
        let mut buf = BytesMut::from(&b"3\r\nabc\r\n0\r\n\r\nGET"[..]);
        let got = ChunkDecoder::new(&SizeLimits::default()).decode(&mut buf);
        assert_eq!(
            got,
            Ok(Chunk::Data {
                bytes: "abc".into(),
                last: true
            })
        );
        assert_eq!(&buf[..], b"GET");
    }

    #[test]
    fn bad_chunk_sizes_are_refused() {
        for bad in [
            "g\r\n",
            "0x3\r\nabc\r\n",
            "+3\r\nabc\r\n",
            "-1\r\n",
            " 3\r\nabc\r\n",
            "3 \r\nabc\r\n",
            "\r\n",
            ";x\r\n",
            "3\nabc\r\n",
            "11111111111111111\r\n",
            "3\r\nabcd\r\n",
            "3\r\nabc\n0\r\n",
            "3;\0\r\nabc\r\n",
            "0\r\nbad\r\n\r\n",
            "0\r\nx: y\n\r\n",
        ] {
            assert_eq!(decode(bad.as_bytes(), 100), Err(BadChunk), "{bad:?}");
        }
        let long = format!("3;{}", "x".repeat(300));
        assert_eq!(decode(long.as_bytes(), 400), Err(BadChunk));
    }

    proptest! {
        #[test]
        fn no_bytes_make_it_panic_or_give_more_than_they_hold(
            wire in proptest::collection::vec(any::<u8>(), 0..200), piece in 1usize..50,
        ) {
            if let Ok((data, _)) = decode(&wire, piece) {
                assert!(data.len() <= wire.len());
            }
        }
    }
}
