//! Where frames begin in bytes as they come (RFC 9113 §4.1).

/// The bytes before a frame: length, type, flags, stream.
const HEAD_BYTES: usize = 9;

/// A frame of data.
pub(crate) const DATA: u8 = 0;
/// A frame that begins a head.
pub(crate) const HEADERS: u8 = 1;
/// A frame that goes on with one.
pub(crate) const CONTINUATION: u8 = 9;

/// Where in the frames the bytes are that come next.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Scan {
    /// Bytes before the next head.
    skip: usize,
    head: [u8; HEAD_BYTES],
    head_len: usize,
}

impl Scan {
    /// The first frame comes after so many bytes.
    pub(super) fn after(skip: usize) -> Self {
        Self {
            skip,
            ..Self::default()
        }
    }

    /// Calls back with the type and the length of each frame whose head is complete with these bytes.
    pub(crate) fn read(&mut self, mut bytes: &[u8], mut frame: impl FnMut(u8, usize)) {
        while !bytes.is_empty() {
            if self.skip > 0 {
                let skip = self.skip.min(bytes.len());
                self.skip -= skip;
                bytes = bytes.get(skip..).unwrap_or_default();
                continue;
            }
            let (now, rest) = bytes.split_at(bytes.len().min(HEAD_BYTES - self.head_len));
            if let Some(place) = self.head.get_mut(self.head_len..self.head_len + now.len()) {
                place.copy_from_slice(now);
            }
            self.head_len += now.len();
            bytes = rest;
            if self.head_len == HEAD_BYTES {
                let [a, b, c, kind, ..] = self.head;
                self.skip = u32::from_be_bytes([0, a, b, c]) as usize;
                self.head_len = 0;
                frame(kind, self.skip);
            }
        }
    }
}
