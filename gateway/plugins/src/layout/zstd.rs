//! What is compressed with zstd, in any number of frames.
//!
//! Owns the loop around the decoder, which knows one frame: images of containers' tools have one for
//! each file, and others that are to be skipped.

use std::io;
use std::io::BufRead as _;
use std::io::BufReader;
use std::io::Read;

use ruzstd::decoding::BlockDecodingStrategy;
use ruzstd::decoding::FrameDecoder;
use ruzstd::decoding::errors::FrameDecoderError;
use ruzstd::decoding::errors::ReadFrameHeaderError;

/// Most bytes of memory that a frame may want; the highest usual level takes 8 MiB.
const MAX_WINDOW: u64 = 32 << 20;
/// Most frames: enough for one a file of a large image.
const MOST_FRAMES: usize = 1 << 18;

/// A reader of what was compressed.
pub(super) struct Zstd<R> {
    from: BufReader<R>,
    decoder: FrameDecoder,
    is_inside: bool,
    frames: usize,
}

impl<R: Read> Zstd<R> {
    pub(super) fn new(from: R) -> Self {
        let mut decoder = FrameDecoder::new();
        decoder.set_max_window_size(MAX_WINDOW);
        Self {
            from: BufReader::new(from),
            decoder,
            is_inside: false,
            frames: 0,
        }
    }

    /// Goes to the content of the next frame, if there is one.
    fn begin(&mut self) -> io::Result<()> {
        while !self.from.fill_buf()?.is_empty() {
            self.frames += 1;
            if self.frames > MOST_FRAMES {
                return Err(io::Error::other("it has too many frames"));
            }
            match self.decoder.reset(&mut self.from) {
                Ok(()) => {
                    self.is_inside = true;
                    return Ok(());
                }
                Err(FrameDecoderError::ReadFrameHeaderError(ReadFrameHeaderError::SkipFrame {
                    length,
                    ..
                })) => {
                    let length = u64::from(length);
                    let skipped = io::copy(&mut (&mut self.from).take(length), &mut io::sink())?;
                    if skipped < length {
                        return Err(io::ErrorKind::UnexpectedEof.into());
                    }
                }
                Err(err) => return Err(io::Error::other(err)),
            }
        }
        Ok(())
    }
}

impl<R: Read> Read for Zstd<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        loop {
            if self.is_inside {
                while self.decoder.can_collect() == 0 && !self.decoder.is_finished() {
                    // One block at a time: what it holds stays near the window's size.
                    self.decoder
                        .decode_blocks(&mut self.from, BlockDecodingStrategy::UptoBlocks(1))
                        .map_err(io::Error::other)?;
                }
                if self.decoder.can_collect() > 0 {
                    return self.decoder.read(buffer);
                }
                self.is_inside = false;
            }
            self.begin()?;
            if !self.is_inside {
                return Ok(0);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use std::io::Read as _;

    use super::Zstd;

    // `printf 'hello ' | zstd` and `printf 'world' | zstd --no-check`, made by zstd 1.5.
    const HELLO: &[u8] = &[
        0x28, 0xb5, 0x2f, 0xfd, 0x20, 0x06, 0x31, 0x00, 0x00, b'h', b'e', b'l', b'l', b'o', b' ',
    ];
    const WORLD: &[u8] = &[
        0x28, 0xb5, 0x2f, 0xfd, 0x20, 0x05, 0x29, 0x00, 0x00, b'w', b'o', b'r', b'l', b'd',
    ];
    const SKIPPED: &[u8] = &[0x5e, 0x2a, 0x4d, 0x18, 3, 0, 0, 0, 1, 2, 3];

    fn read(parts: &[&[u8]]) -> std::io::Result<String> {
        let mut text = String::new();
        Zstd::new(parts.concat().as_slice()).read_to_string(&mut text)?;
        Ok(text)
    }

    #[test]
    fn frames_are_joined_and_those_to_be_skipped_are() {
        assert_eq!(read(&[]).unwrap(), "");
        assert_eq!(read(&[HELLO]).unwrap(), "hello ");
        let all = read(&[SKIPPED, HELLO, SKIPPED, WORLD, SKIPPED]);
        assert_eq!(all.unwrap(), "hello world");
    }

    #[test]
    fn what_is_cut_or_wants_too_much_memory_is_an_error() {
        for cut in 1..HELLO.len() {
            assert!(read(&[&HELLO[..cut]]).is_err(), "{cut}");
        }
        assert!(read(&[&SKIPPED[..9]]).is_err());
        // A window of 1 GiB: no single segment, window descriptor 20 << 3.
        assert!(read(&[&[0x28, 0xb5, 0x2f, 0xfd, 0x00, 20 << 3, 0x01, 0, 0]]).is_err());
    }
}
