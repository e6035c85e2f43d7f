//! How large a module is, and how much of it are names.

/// The magic number and the version.
const HEADER: &[u8] = b"\0asm\x01\0\0\0";

/// The size of a module.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Sizes {
    /// All its bytes.
    pub total: usize,
    /// The bytes of the `name` section, which backtraces read and nothing runs.
    pub names: usize,
}

impl Sizes {
    /// Measures a module; `None` if the bytes are none (WebAssembly core, "Modules").
    #[must_use]
    pub fn of(module: &[u8]) -> Option<Self> {
        let mut rest = module.strip_prefix(HEADER)?;
        let mut names = 0;
        while let Some((id, tail)) = rest.split_first() {
            let (length, body) = leb128(tail)?;
            let section = body.get(..length)?;
            let end = rest.len() - body.len() + length;
            if *id == 0 && name(section) == Some(b"name") {
                names += end;
            }
            rest = rest.get(end..)?;
        }
        Some(Self {
            total: module.len(),
            names,
        })
    }

    /// The bytes without the names.
    #[must_use]
    pub const fn bare(self) -> usize {
        self.total - self.names
    }
}

/// Kibibytes with one digit, as tables have them.
#[must_use]
pub fn kib(bytes: usize) -> String {
    let tenths = (bytes * 10).div_ceil(1024);
    format!("{}.{}", tenths / 10, tenths % 10)
}

/// The name of a custom section.
fn name(section: &[u8]) -> Option<&[u8]> {
    let (length, rest) = leb128(section)?;
    rest.get(..length)
}

/// An unsigned number of at most 32 bits, and what follows it.
fn leb128(bytes: &[u8]) -> Option<(usize, &[u8])> {
    let mut value = 0_u64;
    for (at, byte) in bytes.iter().take(5).enumerate() {
        value |= u64::from(byte & 0x7f) << (7 * at);
        if byte & 0x80 == 0 {
            return Some((usize::try_from(value).ok()?, bytes.get(at + 1..)?));
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    fn section(id: u8, body: &[u8]) -> Vec<u8> {
        let length = u8::try_from(body.len()).expect("short");
        [&[id, length], body].concat()
    }

    #[test]
    fn names_are_counted_with_the_head_of_their_section() {
        let named = section(0, b"\x04namex");
        let other = section(0, b"\x05names");
        let module = [HEADER, &section(1, b"abc"), &named, &other].concat();
        let sizes = Sizes::of(&module).expect("a module");
        assert_eq!(sizes.names, named.len());
        assert_eq!(sizes.bare(), module.len() - named.len());
    }

    #[test]
    fn what_is_cut_or_no_module_has_no_size() {
        assert_eq!(Sizes::of(b"\x7fELF"), None);
        assert_eq!(Sizes::of(&[HEADER, &[1, 9, 0]].concat()), None);
        assert_eq!(
            Sizes::of(&[HEADER, &[1, 0xff, 0xff, 0xff, 0xff, 0xff]].concat()),
            None
        );
    }

    #[test]
    fn kibibytes_are_rounded_up_to_a_tenth() {
        assert_eq!(kib(0), "0.0");
        assert_eq!(kib(1), "0.1");
        assert_eq!(kib(1536), "1.5");
    }
}
