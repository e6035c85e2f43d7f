//! Files, read and written in pieces.
//!
//! Owns how large these are. A kernel that does not interrupt itself (`PREEMPT_NONE`, as servers have it) holds a
//! core up for as long as one call copies, whatever the priority of the thread: 5 ms were seen for 2 MiB.

use std::io;
use std::io::Read;
use std::io::Write;

/// Bytes of a piece.
const PIECE: usize = 64 << 10;

/// Writes all of it, 64 KiB at a time.
///
/// # Errors
///
/// Those of the writer; what was written before stays written.
pub fn write(to: &mut impl Write, bytes: &[u8]) -> io::Result<()> {
    bytes
        .chunks(PIECE)
        .try_for_each(|piece| to.write_all(piece))
}

/// Reads up to the end, 64 KiB at a time, and appends it to `to`. There is no other limit than the reader's.
///
/// # Errors
///
/// Those of the reader; what was read before is in `to`.
pub fn read(mut from: impl Read, to: &mut Vec<u8>) -> io::Result<()> {
    while from.by_ref().take(PIECE as u64).read_to_end(to)? == PIECE {}
    Ok(())
}

#[cfg(test)]
mod tests {
    use std::io;
    use std::io::Cursor;
    use std::io::Read;
    use std::io::Write;

    use super::PIECE;
    use super::read;
    use super::write;

    /// What is behind it, and the most that was moved at once.
    struct Watched<T>(T, usize);

    impl<T: Read> Read for Watched<T> {
        fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
            self.1 = self.1.max(buffer.len());
            self.0.read(buffer)
        }
    }

    impl<T: Write> Write for Watched<T> {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            self.1 = self.1.max(bytes.len());
            self.0.write(bytes)
        }

        fn flush(&mut self) -> io::Result<()> {
            self.0.flush()
        }
    }

    #[test]
    fn all_of_it_is_moved_and_never_more_than_a_piece_at_once() {
        for length in [0, 1, PIECE - 1, PIECE, PIECE + 1, 5 * PIECE, 5 * PIECE + 7] {
            let bytes: Vec<u8> = (0..=250).cycle().take(length).collect();
            let mut to = Watched(Vec::new(), 0);
            write(&mut to, &bytes).expect("written");
            assert!(to.0 == bytes, "{length} bytes written");
            assert!(to.1 <= PIECE);
            let mut from = Watched(Cursor::new(&bytes), 0);
            let mut back = Vec::with_capacity(length);
            read(&mut from, &mut back).expect("read");
            assert!(back == bytes, "{length} bytes read");
            assert!(from.1 <= PIECE);
        }
    }
}
