//! Numbers in decimal, without the formatting of the standard library, which costs each request more than
//! asking its limits.

/// A number in decimal.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Digits {
    /// The digits are at the end.
    bytes: [u8; 20],
    first: usize,
}

impl Digits {
    pub(crate) fn of(number: u64) -> Self {
        let mut bytes = [b'0'; 20];
        let mut first = bytes.len();
        let mut rest = number;
        for (at, byte) in bytes.iter_mut().enumerate().rev() {
            *byte += (rest % 10).to_le_bytes()[0];
            rest /= 10;
            first = at;
            if rest == 0 {
                break;
            }
        }
        Self { bytes, first }
    }

    pub(crate) fn as_bytes(&self) -> &[u8] {
        self.bytes.get(self.first..).unwrap_or_default()
    }

    pub(crate) fn as_str(&self) -> &str {
        std::str::from_utf8(self.as_bytes()).unwrap_or_default()
    }
}

#[cfg(test)]
mod tests {
    use super::Digits;

    #[test]
    fn numbers_are_written_as_the_standard_library_writes_them() {
        for number in [0, 7, 10, 99, 100, 65_535, 999_999_999_999_999, u64::MAX] {
            assert_eq!(Digits::of(number).as_str(), number.to_string());
        }
    }
}
