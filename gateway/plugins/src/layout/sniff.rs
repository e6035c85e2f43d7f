//! What bytes are, by their beginning.

use std::fmt;

/// What every WebAssembly binary begins with.
const WASM_MAGIC: &[u8; 4] = b"\0asm";
/// The version of core modules.
const CORE: [u8; 4] = [1, 0, 0, 0];
/// Bytes that are needed to tell: those of the head of a tar archive.
pub(super) const ENOUGH: usize = 512;
/// Where `ustar` stands in it.
const USTAR: usize = 257;

/// What some bytes are.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum Kind {
    /// A WebAssembly module.
    Module,
    /// A component of the component model.
    Component,
    /// WebAssembly of a version that nobody knows.
    UnknownWasm(u32),
    /// WebAssembly as text.
    Text,
    /// Compressed with gzip.
    Gzip,
    /// Compressed with zstd.
    Zstd,
    /// A tar archive.
    Tar,
    /// A program for a machine.
    Program,
    /// Compressed or archived in a way that no layer is.
    OtherArchive(&'static str),
    /// A web page.
    Page,
    /// JSON.
    Json,
    /// Nothing at all.
    Empty,
    /// Something else.
    Unknown,
}

impl Kind {
    /// What begins like this.
    pub(crate) fn of(head: &[u8]) -> Self {
        if let Some(version) = head.strip_prefix(WASM_MAGIC) {
            let version = version.first_chunk::<4>().copied().unwrap_or_default();
            let [_, _, layer, _] = version;
            return match version {
                CORE => Self::Module,
                _ if layer == 1 => Self::Component,
                _ => Self::UnknownWasm(u32::from_le_bytes(version)),
            };
        }
        if head.starts_with(&[0x1f, 0x8b]) {
            return Self::Gzip;
        }
        if is_zstd(head) {
            return Self::Zstd;
        }
        if super::tar::is_head(head) || head.get(USTAR..USTAR + 5) == Some(b"ustar") {
            return Self::Tar;
        }
        Self::of_other(head)
    }

    fn of_other(head: &[u8]) -> Self {
        let programs: [&[u8]; 3] = [b"\x7fELF", b"MZ", b"\xcf\xfa\xed\xfe"];
        if programs.iter().any(|magic| head.starts_with(magic)) {
            return Self::Program;
        }
        let archives: [(&[u8], &str); 5] = [
            (b"PK\x03\x04", "a zip archive"),
            (b"BZh", "compressed with bzip2"),
            (b"\xfd7zXZ", "compressed with xz"),
            (b"7z\xbc\xaf", "a 7z archive"),
            (b"!<arch>", "an ar archive"),
        ];
        if let Some((_, name)) = archives.iter().find(|(magic, _)| head.starts_with(magic)) {
            return Self::OtherArchive(name);
        }
        match head.trim_ascii_start() {
            [] if head.is_empty() => Self::Empty,
            [b'<', ..] => Self::Page,
            [b'{' | b'[', ..] => Self::Json,
            [b'(', rest @ ..] if rest.trim_ascii_start().starts_with(b"module") => Self::Text,
            [b'(', rest @ ..] if rest.trim_ascii_start().starts_with(b"component") => Self::Text,
            _ => Self::Unknown,
        }
    }
}

/// A frame, or one that is skipped, which may come first.
fn is_zstd(head: &[u8]) -> bool {
    matches!(
        head,
        [0x28, 0xb5, 0x2f, 0xfd, ..] | [0x50..=0x5f, 0x2a, 0x4d, 0x18, ..]
    )
}

impl fmt::Display for Kind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Module => "a WebAssembly module",
            Self::Component => "a WebAssembly component",
            Self::UnknownWasm(version) => {
                return write!(f, "WebAssembly of version {version}");
            }
            Self::Text => "WebAssembly as text",
            Self::Gzip => "compressed with gzip",
            Self::Zstd => "compressed with zstd",
            Self::Tar => "a tar archive",
            Self::Program => "a program for a machine",
            Self::OtherArchive(name) => name,
            Self::Page => "a web page",
            Self::Json => "JSON",
            Self::Empty => "empty",
            Self::Unknown => "not WebAssembly",
        })
    }
}

#[cfg(test)]
mod tests {
    use super::Kind;

    #[test]
    fn content_is_known_by_its_beginning() {
        let check = |head: &[u8], expected: Kind| assert_eq!(Kind::of(head), expected, "{head:?}");
        check(b"\0asm\x01\0\0\0rest", Kind::Module);
        check(b"\0asm\x0d\0\x01\0", Kind::Component);
        check(b"\0asm\x02\0\0\0", Kind::UnknownWasm(2));
        check(b"\0asm", Kind::UnknownWasm(0));
        check(b"(module)", Kind::Text);
        check(b"\x1f\x8b\x08", Kind::Gzip);
        check(b"\x28\xb5\x2f\xfd", Kind::Zstd);
        check(b"\x50\x2a\x4d\x18", Kind::Zstd);
        check(b"\x7fELF", Kind::Program);
        check(b"PK\x03\x04", Kind::OtherArchive("a zip archive"));
        check(b"  <!DOCTYPE html>", Kind::Page);
        check(b"{}", Kind::Json);
        check(b"", Kind::Empty);
        check(b"x", Kind::Unknown);
    }
}
