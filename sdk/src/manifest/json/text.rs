//! JSON letter by letter: texts, numbers, brackets and commas.

use super::Writer;

impl<const N: usize> Writer<N> {
    pub(super) const fn integer(&mut self, value: i128) {
        if value < 0 {
            self.push(b'-');
        }
        self.digits(value.unsigned_abs());
    }

    pub(super) const fn digits(&mut self, value: u128) {
        if value >= 10 {
            self.digits(value / 10);
        }
        self.push(b'0' + (value % 10) as u8);
    }

    pub(super) const fn open(&mut self, bracket: u8) {
        self.push(bracket);
        self.comma = false;
    }

    pub(super) const fn close(&mut self, bracket: u8) {
        self.push(bracket);
        self.comma = true;
    }

    /// Begins an item of a list.
    pub(super) const fn item(&mut self) {
        if self.comma {
            self.push(b',');
        }
        self.comma = true;
    }

    /// Begins a member of a mapping.
    pub(super) const fn key(&mut self, name: &str) {
        self.item();
        self.text(name);
        self.push(b':');
    }

    pub(super) const fn raw(&mut self, text: &str) {
        let mut rest = text.as_bytes();
        while let [byte, after @ ..] = rest {
            self.push(*byte);
            rest = after;
        }
    }

    pub(super) const fn text(&mut self, text: &str) {
        self.push(b'"');
        let mut rest = text.as_bytes();
        while let [byte, after @ ..] = rest {
            match *byte {
                b'"' => self.raw("\\\""),
                b'\\' => self.raw("\\\\"),
                b'\n' => self.raw("\\n"),
                b'\t' => self.raw("\\t"),
                control @ 0..0x20 => {
                    self.raw("\\u00");
                    self.hex(control >> 4);
                    self.hex(control & 0xf);
                }
                byte => self.push(byte),
            }
            rest = after;
        }
        self.push(b'"');
    }

    pub(super) const fn hex(&mut self, digit: u8) {
        self.push(if digit < 10 {
            b'0' + digit
        } else {
            b'a' - 10 + digit
        });
    }

    #[expect(clippy::indexing_slicing, reason = "just compared")]
    pub(super) const fn push(&mut self, byte: u8) {
        if self.length < N {
            self.bytes[self.length] = byte;
        }
        self.length += 1;
    }
}
