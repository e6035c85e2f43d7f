//! The layer of an image: a tar archive with one file, compressed with gzip.
//!
//! Owns its bytes: no time, no user, no machine is in them.

use std::io;
use std::io::Write as _;

use flate2::Compression;
use flate2::GzBuilder;

use crate::layout::MODULE_NAME;

/// Bytes of a block.
const BLOCK: usize = 512;
/// The system that gzip says it was made on: none in particular (RFC 1952).
const UNKNOWN_SYSTEM: u8 = 255;

/// An archive with `plugin.wasm` (POSIX.1-1988, ustar).
pub(super) fn tar(module: &[u8]) -> io::Result<Vec<u8>> {
    let mut head = [0_u8; BLOCK];
    let size = format!("{:011o}\0", module.len());
    let fields: [(usize, &[u8]); 9] = [
        (0, MODULE_NAME.as_bytes()),
        (100, b"0000644\0"),
        (108, b"0000000\0"),
        (116, b"0000000\0"),
        (124, size.as_bytes()),
        (136, b"00000000000\0"),
        (148, b"        "),
        (156, b"0"),
        (257, b"ustar\x0000"),
    ];
    for (at, value) in fields {
        write(&mut head, at, value)?;
    }
    let sum: u32 = head.iter().map(|byte| u32::from(*byte)).sum();
    write(&mut head, 148, format!("{sum:06o}\0 ").as_bytes())?;
    let padding = module.len().wrapping_neg() % BLOCK;
    let mut tar = Vec::with_capacity(BLOCK + module.len() + padding + 2 * BLOCK);
    tar.extend_from_slice(&head);
    tar.extend_from_slice(module);
    tar.resize(tar.len() + padding + 2 * BLOCK, 0);
    Ok(tar)
}

/// These bytes, compressed. The same bytes give the same.
pub(super) fn gzip(bytes: &[u8]) -> io::Result<Vec<u8>> {
    let builder = GzBuilder::new().mtime(0).operating_system(UNKNOWN_SYSTEM);
    let mut encoder = builder.write(Vec::new(), Compression::new(6));
    encoder.write_all(bytes)?;
    encoder.finish()
}

fn write(head: &mut [u8; BLOCK], at: usize, value: &[u8]) -> io::Result<()> {
    let field = head.get_mut(at..at + value.len());
    let field = field.ok_or_else(|| io::Error::other("the head of a member is too short"))?;
    field.copy_from_slice(value);
    Ok(())
}
