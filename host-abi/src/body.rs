//! The bytes of a body as a guest sees and edits them.
//!
//! Owns a rope of chunks and its edits. It never copies a chunk that stays whole, and knows no
//! limits: those are the embedder's.
//!
//! Invariant: no chunk is empty, and `len` is the sum of the chunks.

use std::collections::VecDeque;

use bytes::Bytes;

/// A body, or the part of it that a filter may see now.
#[derive(Debug, Default, Clone, PartialEq, Eq)]
pub struct BodyBuffer {
    chunks: VecDeque<Bytes>,
    len: usize,
}

impl BodyBuffer {
    /// An empty buffer.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// How many bytes it holds.
    #[must_use]
    pub const fn len(&self) -> usize {
        self.len
    }

    /// In how many chunks they are.
    #[must_use]
    pub fn pieces(&self) -> usize {
        self.chunks.len()
    }

    /// Whether it holds nothing.
    #[must_use]
    pub const fn is_empty(&self) -> bool {
        self.len == 0
    }

    /// Appends a chunk.
    pub fn push(&mut self, chunk: Bytes) {
        if chunk.is_empty() {
            return;
        }
        self.len += chunk.len();
        self.chunks.push_back(chunk);
    }

    /// Appends chunks. An empty buffer takes the queue over as it is.
    pub fn append(&mut self, chunks: VecDeque<Bytes>) {
        if self.chunks.is_empty() && chunks.iter().all(|chunk| !chunk.is_empty()) {
            self.len = chunks.iter().map(Bytes::len).sum();
            self.chunks = chunks;
            return;
        }
        for chunk in chunks {
            self.push(chunk);
        }
    }

    /// Takes all chunks out and leaves the buffer empty.
    #[must_use]
    pub fn take(&mut self) -> VecDeque<Bytes> {
        self.len = 0;
        std::mem::take(&mut self.chunks)
    }

    /// Drops all bytes.
    pub fn clear(&mut self) {
        self.len = 0;
        self.chunks.clear();
    }

    /// Calls `visit` with the bytes from `start`, at most `len` of them, in order. What is outside
    /// the buffer is left out.
    pub fn copy_range(&self, start: usize, len: usize, visit: &mut impl FnMut(&[u8])) {
        let mut skip = start;
        let mut left = len;
        for chunk in &self.chunks {
            if left == 0 {
                return;
            }
            if skip >= chunk.len() {
                skip -= chunk.len();
                continue;
            }
            let tail = chunk.get(skip..).unwrap_or_default();
            let part = tail.get(..left).unwrap_or(tail);
            visit(part);
            left -= part.len();
            skip = 0;
        }
    }

    /// Puts `bytes` in place of the `len` bytes from `start`.
    ///
    /// What is outside the buffer is cut off, which gives every form of the ABI: (0, 0) prepends,
    /// a start at or behind the end appends, (0, all) replaces everything, and no bytes delete.
    pub fn set(&mut self, start: usize, len: usize, bytes: &[u8]) {
        let mut rest = std::mem::take(&mut self.chunks);
        self.len = 0;
        let mut head = rest_before(&mut rest, start);
        let _dropped = rest_before(&mut rest, len);
        while let Some(chunk) = head.pop_front() {
            self.push(chunk);
        }
        self.push(Bytes::copy_from_slice(bytes));
        while let Some(chunk) = rest.pop_front() {
            self.push(chunk);
        }
    }
}

/// Takes the first `count` bytes out of `chunks`.
fn rest_before(chunks: &mut VecDeque<Bytes>, count: usize) -> VecDeque<Bytes> {
    let mut taken = VecDeque::new();
    let mut left = count;
    while left > 0 {
        let Some(mut chunk) = chunks.pop_front() else {
            return taken;
        };
        if chunk.len() > left {
            let tail = chunk.split_off(left);
            chunks.push_front(tail);
        }
        left -= chunk.len();
        taken.push_back(chunk);
    }
    taken
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn buffer(chunks: &[&str]) -> BodyBuffer {
        let mut buffer = BodyBuffer::new();
        for chunk in chunks {
            buffer.push(Bytes::copy_from_slice(chunk.as_bytes()));
        }
        buffer
    }

    fn text(buffer: &BodyBuffer, start: usize, len: usize) -> String {
        let mut out = Vec::new();
        buffer.copy_range(start, len, &mut |part| out.extend_from_slice(part));
        String::from_utf8(out).unwrap()
    }

    #[track_caller]
    fn check(start: usize, len: usize, bytes: &str, expected: &str) {
        let mut body = buffer(&["hel", "lo"]);
        body.set(start, len, bytes.as_bytes());
        assert_eq!(text(&body, 0, usize::MAX), expected);
        assert_eq!(body.len(), expected.len());
    }

    #[test]
    fn each_range_of_the_abi_edits_as_specified() {
        check(0, 0, "<", "<hello");
        check(5, 0, ">", "hello>");
        check(usize::MAX, usize::MAX, ">", "hello>");
        check(0, 5, "new", "new");
        check(0, usize::MAX, "new", "new");
        check(0, 2, "HE", "HEllo");
        check(1, 3, "ipp", "hippo");
        check(1, 0, "--", "h--ello");
        check(2, usize::MAX, "", "he");
        check(0, usize::MAX, "", "");
    }

    #[test]
    fn an_empty_buffer_takes_any_range() {
        let mut body = BodyBuffer::new();
        body.set(7, 7, b"x");
        assert_eq!(text(&body, 0, 9), "x");
        body.clear();
        assert!(body.is_empty());
    }

    #[test]
    fn ranges_across_chunks_come_in_order() {
        let body = buffer(&["ab", "cd", "ef"]);
        assert_eq!(text(&body, 1, 4), "bcde");
        assert_eq!(text(&body, 6, 4), "");
        assert_eq!(text(&body, 9, 4), "");
    }

    #[test]
    fn taking_leaves_nothing_behind() {
        let mut body = buffer(&["ab", "", "cd"]);
        assert_eq!(body.take(), ["ab", "cd"]);
        assert_eq!(body, BodyBuffer::new());
    }

    proptest! {
        #[test]
        fn an_edit_is_the_same_as_on_one_flat_vector(
            chunks in proptest::collection::vec("[a-z]{0,5}", 0..6),
            start in 0_usize..40,
            len in 0_usize..40,
            new in "[A-Z]{0,5}",
        ) {
            let mut flat = chunks.concat();
            let refs: Vec<&str> = chunks.iter().map(String::as_str).collect();
            let mut body = buffer(&refs);
            body.set(start, len, new.as_bytes());

            let from = start.min(flat.len());
            let to = (start + len).min(flat.len()).max(from);
            flat.replace_range(from..to, &new);
            prop_assert_eq!(text(&body, 0, usize::MAX), flat.clone());
            prop_assert_eq!(body.len(), flat.len());
        }
    }
}
