//! Tar archives, read from front to back and never extracted.
//!
//! Owns the forms that layers come in: ustar, and the long names of GNU and pax. A member is its
//! path, what it is and its bytes; every length is bounded.

use std::io;
use std::io::Read;

/// Bytes of a block.
const BLOCK: usize = 512;
/// Most bytes of a long name, or of the attributes of a member.
const MAX_EXTRA: u64 = 1 << 20;
/// Most bytes of a path that are kept.
const MAX_PATH: usize = 4096;

/// An archive that is being read.
#[derive(Debug)]
pub(super) struct Archive<R> {
    from: R,
    /// What is left of the member.
    left: u64,
    /// What fills its last block.
    padding: u64,
}

/// A member; its bytes are read from the archive.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Member {
    pub(super) path: String,
    pub(super) is: What,
    pub(super) bytes: u64,
}

/// What a member is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum What {
    File,
    Link,
    /// A file with holes, in a form of GNU's.
    Sparse,
    /// A folder, a device, a pipe.
    Other,
}

/// What the members before say about the next one.
#[derive(Debug, Default)]
struct Extra {
    path: Option<String>,
    bytes: Option<u64>,
    is_sparse: bool,
}

impl<R: Read> Archive<R> {
    pub(super) fn new(from: R) -> Self {
        Self {
            from,
            left: 0,
            padding: 0,
        }
    }

    /// The next member, after what was not read of the one before.
    pub(super) fn next(&mut self) -> io::Result<Option<Member>> {
        let mut extra = Extra::default();
        loop {
            self.skip()?;
            let Some(head) = self.head()? else {
                return Ok(None);
            };
            if !is_head(&head) {
                return Err(damaged("the head of a member has a wrong checksum"));
            }
            let bytes = number(field(&head, 124, 12))?;
            let kind = head.get(156).copied().unwrap_or(0);
            self.member_of(extra.bytes.filter(|_| !is_extra(kind)).unwrap_or(bytes));
            match kind {
                b'L' => extra.path = Some(text(&self.extra()?)),
                // The target of a long link; links are not followed.
                b'K' | b'g' => {}
                b'x' | b'X' => {
                    let attributes = self.extra()?;
                    read_pax(&attributes, &mut extra);
                }
                _ => {
                    return Ok(Some(Member {
                        path: extra.path.unwrap_or_else(|| path(&head)),
                        is: what(kind, extra.is_sparse),
                        bytes: self.left,
                    }));
                }
            }
        }
    }

    fn member_of(&mut self, bytes: u64) {
        self.left = bytes;
        self.padding = bytes.wrapping_neg() % BLOCK as u64;
    }

    /// The next head; `None` at the end, which is a block of zeros or the end of the file.
    fn head(&mut self) -> io::Result<Option<[u8; BLOCK]>> {
        let mut head = [0; BLOCK];
        let mut have = 0;
        while let Some(rest) = head.get_mut(have..).filter(|rest| !rest.is_empty()) {
            match self.from.read(rest) {
                Ok(0) if have == 0 => return Ok(None),
                Ok(0) => return Err(damaged("it ends inside of a member's head")),
                Ok(read) => have += read,
                Err(err) if err.kind() == io::ErrorKind::Interrupted => {}
                Err(err) => return Err(err),
            }
        }
        Ok(head.iter().any(|byte| *byte != 0).then_some(head))
    }

    fn extra(&mut self) -> io::Result<Vec<u8>> {
        if self.left > MAX_EXTRA {
            return Err(damaged(
                "a member has a name or attributes of more than 1 MiB",
            ));
        }
        let mut bytes = Vec::new();
        self.read_to_end(&mut bytes)?;
        Ok(bytes)
    }

    fn skip(&mut self) -> io::Result<()> {
        let all = self.left.saturating_add(self.padding);
        let mut rest = (&mut self.from).take(all);
        let skipped = io::copy(&mut rest, &mut io::sink())?;
        self.left = 0;
        self.padding = 0;
        // The padding of the last member may be missing, its content not; what follows will tell.
        if skipped < all {
            return Err(damaged("it ends inside of a member"));
        }
        Ok(())
    }
}

/// The bytes of the member.
impl<R: Read> Read for Archive<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        if self.left == 0 || buffer.is_empty() {
            return Ok(0);
        }
        let most = usize::try_from(self.left).unwrap_or(usize::MAX);
        let most = most.min(buffer.len());
        let read = self.from.read(buffer.get_mut(..most).unwrap_or_default())?;
        if read == 0 {
            return Err(damaged("it ends inside of a member"));
        }
        self.left -= read as u64;
        Ok(read)
    }
}

/// Whether a block is the head of a member: its bytes add up to what it says.
pub(super) fn is_head(block: &[u8]) -> bool {
    let Some(block) = block.get(..BLOCK) else {
        return false;
    };
    let Ok(said) = number(field(block, 148, 8)) else {
        return false;
    };
    let sum = |bytes: &[u8]| -> u64 { bytes.iter().map(|byte| u64::from(*byte)).sum() };
    let before = sum(field(block, 0, 148));
    let after = sum(field(block, 156, BLOCK - 156));
    // The sum itself counts as eight spaces.
    said == before + after + 8 * 32 && said > 8 * 32
}

fn is_extra(kind: u8) -> bool {
    matches!(kind, b'L' | b'K' | b'g' | b'x' | b'X')
}

fn what(kind: u8, is_sparse: bool) -> What {
    match kind {
        0 | b'0' | b'7' if is_sparse => What::Sparse,
        0 | b'0' | b'7' => What::File,
        b'1' | b'2' => What::Link,
        b'S' => What::Sparse,
        _ => What::Other,
    }
}

fn field(block: &[u8], at: usize, length: usize) -> &[u8] {
    block.get(at..at + length).unwrap_or_default()
}

/// Octal digits, or GNU's binary form for what does not fit.
fn number(field: &[u8]) -> io::Result<u64> {
    let wrong = || damaged("a number in a member's head is none");
    if let Some((first @ 0x80..=0xff, rest)) = field.split_first() {
        if *first != 0x80 {
            return Err(wrong());
        }
        return rest
            .iter()
            .try_fold(0_u64, |sum, byte| {
                sum.checked_mul(256)?.checked_add(u64::from(*byte))
            })
            .ok_or_else(wrong);
    }
    let is_end = |byte: &u8| matches!(byte, 0 | b' ');
    let digits = field.trim_ascii_start();
    let digits = digits.split(is_end).next().unwrap_or_default();
    digits
        .iter()
        .try_fold(0_u64, |sum, digit| match digit {
            b'0'..=b'7' => Some(sum.checked_mul(8)? + u64::from(digit - b'0')),
            _ => None,
        })
        .ok_or_else(wrong)
}

fn path(head: &[u8]) -> String {
    let name = text(field(head, 0, 100));
    // What stands there in the older form of GNU is something else.
    let is_ustar = field(head, 257, 6) == b"ustar\0";
    let prefix = text(field(head, 345, 155));
    if is_ustar && !prefix.is_empty() {
        format!("{prefix}/{name}")
    } else {
        name
    }
}

fn text(bytes: &[u8]) -> String {
    let end = bytes.iter().position(|byte| *byte == 0);
    let bytes = bytes.get(..end.unwrap_or(bytes.len())).unwrap_or_default();
    let bytes = bytes.get(..bytes.len().min(MAX_PATH)).unwrap_or_default();
    String::from_utf8_lossy(bytes).into_owned()
}

/// `LENGTH KEY=VALUE\n`, again and again.
fn read_pax(mut rest: &[u8], extra: &mut Extra) {
    while !rest.is_empty() {
        let Some(space) = rest.iter().position(|byte| *byte == b' ') else {
            return;
        };
        let length = rest
            .get(..space)
            .and_then(|it| std::str::from_utf8(it).ok());
        let Some(length) = length.and_then(|it| it.parse::<usize>().ok()) else {
            return;
        };
        let Some(record) = rest.get(space + 1..length) else {
            return;
        };
        let record = record.strip_suffix(b"\n").unwrap_or(record);
        let equals = record.iter().position(|byte| *byte == b'=');
        if let Some((key, value)) = equals.and_then(|at| record.split_at_checked(at)) {
            let value = value.get(1..).unwrap_or_default();
            match key {
                b"path" => extra.path = Some(text(value)),
                b"size" => {
                    let digits = std::str::from_utf8(value).ok();
                    extra.bytes = digits.and_then(|it| it.parse().ok());
                }
                _ if key.starts_with(b"GNU.sparse.") => extra.is_sparse = true,
                _ => {}
            }
        }
        rest = rest.get(length..).unwrap_or_default();
    }
}

fn damaged(reason: &'static str) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, reason)
}

#[cfg(test)]
mod tests;
