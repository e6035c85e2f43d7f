//! Messages in frames: one byte of flags, four of length, the message.
//!
//! Owns taking messages out of the pieces that a connection delivers. A message is held until it
//! is whole; one that is longer than the limit is refused when its length is read, not when its
//! bytes have come.

use bytes::Buf as _;
use bytes::Bytes;
use bytes::BytesMut;

/// Bytes before each message.
pub const HEAD_BYTES: usize = 5;

/// The bytes before a message; `None` if it is too long for the format.
pub fn frame_head(message: &[u8]) -> Option<[u8; HEAD_BYTES]> {
    let [a, b, c, d] = u32::try_from(message.len()).ok()?.to_be_bytes();
    Some([0, a, b, c, d])
}

/// Why there is no message.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum FrameError {
    /// It is compressed, which nobody offered, or has flags that do not exist.
    Flags,
    /// It is longer than the limit.
    TooLong,
}

/// What has come of the next message.
#[derive(Debug)]
pub struct Frames {
    limit: usize,
    head: [u8; HEAD_BYTES],
    head_len: usize,
    message: BytesMut,
}

impl Frames {
    /// Takes messages of at most `limit` bytes.
    pub fn new(limit: usize) -> Self {
        Self {
            limit,
            head: [0; HEAD_BYTES],
            head_len: 0,
            message: BytesMut::new(),
        }
    }

    /// Whether a message has begun and is not whole.
    pub fn is_inside(&self) -> bool {
        self.head_len > 0
    }

    /// Takes bytes from `data` until a message is whole. Without one all of `data` has been taken.
    ///
    /// # Errors
    ///
    /// [`FrameError`]; nothing useful follows.
    pub fn next(&mut self, data: &mut Bytes) -> Result<Option<Bytes>, FrameError> {
        let missing = HEAD_BYTES - self.head_len;
        let came = data.split_to(missing.min(data.len()));
        if let Some(place) = self.head.get_mut(self.head_len..self.head_len + came.len()) {
            place.copy_from_slice(&came);
        }
        self.head_len += came.len();
        if self.head_len < HEAD_BYTES {
            return Ok(None);
        }
        let [flags, a, b, c, d] = self.head;
        let length = u32::from_be_bytes([a, b, c, d]) as usize;
        // An empty message is the same compressed or not.
        if flags > 1 || (flags == 1 && length > 0) {
            return Err(FrameError::Flags);
        }
        if length > self.limit {
            return Err(FrameError::TooLong);
        }
        let missing = length - self.message.len();
        if data.len() < missing {
            self.message.extend_from_slice(data);
            data.advance(data.len());
            return Ok(None);
        }
        let rest = data.split_to(missing);
        self.head_len = 0;
        if self.message.is_empty() {
            return Ok(Some(rest)); // Whole in one piece: nothing is copied.
        }
        self.message.extend_from_slice(&rest);
        Ok(Some(std::mem::take(&mut self.message).freeze()))
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn wire(messages: &[Vec<u8>]) -> Bytes {
        let mut wire = BytesMut::new();
        for message in messages {
            wire.extend_from_slice(&frame_head(message).unwrap());
            wire.extend_from_slice(message);
        }
        wire.freeze()
    }

    fn all(frames: &mut Frames, mut data: Bytes) -> Result<Vec<Bytes>, FrameError> {
        let mut messages = Vec::new();
        while let Some(message) = frames.next(&mut data)? {
            messages.push(message);
        }
        assert!(data.is_empty());
        Ok(messages)
    }

    proptest! {
        #[test]
        fn messages_come_out_however_they_are_cut(
            messages: Vec<Vec<u8>>,
            cut in 1..20_usize,
        ) {
            let wire = wire(&messages);
            let mut frames = Frames::new(1 << 20);
            let mut got = Vec::new();
            for piece in wire.chunks(cut) {
                got.extend(all(&mut frames, Bytes::copy_from_slice(piece)).unwrap());
            }
            prop_assert_eq!(got, messages);
            prop_assert!(!frames.is_inside());
        }
    }

    #[test]
    fn a_message_over_the_limit_is_refused_before_it_comes() {
        let mut frames = Frames::new(4);
        let claim = Bytes::from_static(b"\0\0\0\0\x05");
        assert_eq!(all(&mut frames, claim), Err(FrameError::TooLong));
        let mut frames = Frames::new(4);
        let claim = Bytes::from_static(b"\0\xff\xff\xff\xff");
        assert_eq!(all(&mut frames, claim), Err(FrameError::TooLong));
    }

    #[test]
    fn a_compressed_message_is_refused_unless_it_is_empty() {
        let compressed = Bytes::from_static(b"\x01\0\0\0\x01x");
        assert_eq!(all(&mut Frames::new(9), compressed), Err(FrameError::Flags));
        let empty = Bytes::from_static(b"\x01\0\0\0\0");
        assert_eq!(all(&mut Frames::new(9), empty), Ok(vec![Bytes::new()]));
        let unknown = Bytes::from_static(b"\x02\0\0\0\0");
        assert_eq!(all(&mut Frames::new(9), unknown), Err(FrameError::Flags));
    }

    #[test]
    fn a_message_that_is_cut_is_noticed() {
        let mut frames = Frames::new(9);
        assert!(!frames.is_inside());
        assert_eq!(all(&mut frames, Bytes::from_static(b"\0\0")), Ok(vec![]));
        assert!(frames.is_inside());
    }
}
