//! As much of the protobuf wire format as foreign functions need: flat messages, in and out.
//!
//! Owns reading fields in the order they come and writing them. It knows no message types; callers
//! name field numbers. Reading allocates nothing and refuses what protobuf's own parser refuses.

/// One field of a message.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Value<'a> {
    /// A number, a truth value or a member of an enumeration.
    Varint(u64),
    /// Bytes, text or a nested message.
    Bytes(&'a [u8]),
    /// A fixed-width number, which none of our messages has.
    Fixed,
}

impl<'a> Value<'a> {
    /// The bytes of a bytes field.
    pub(crate) fn bytes(self) -> Option<&'a [u8]> {
        match self {
            Self::Bytes(bytes) => Some(bytes),
            Self::Varint(_) | Self::Fixed => None,
        }
    }

    /// The text of a string field, which must be UTF-8.
    pub(crate) fn text(self) -> Option<&'a str> {
        std::str::from_utf8(self.bytes()?).ok()
    }

    /// The number of a varint field.
    pub(crate) const fn number(self) -> Option<u64> {
        match self {
            Self::Varint(number) => Some(number),
            Self::Bytes(_) | Self::Fixed => None,
        }
    }
}

/// The message is not protobuf.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Malformed;

/// The fields of a message, in order. After an error it ends.
#[derive(Debug, Clone)]
pub(crate) struct Fields<'a> {
    rest: &'a [u8],
}

impl<'a> Fields<'a> {
    pub(crate) const fn of(message: &'a [u8]) -> Self {
        Self { rest: message }
    }

    fn varint(&mut self) -> Result<u64, Malformed> {
        const MAX_BYTES: usize = 10;

        let mut number = 0_u64;
        for at in 0..MAX_BYTES {
            let (&byte, rest) = self.rest.split_first().ok_or(Malformed)?;
            self.rest = rest;
            // Bits beyond the 64th are lost, as in every implementation.
            number |= u64::from(byte & 0x7f) << (7 * at);
            if byte & 0x80 == 0 {
                return Ok(number);
            }
        }
        Err(Malformed)
    }

    fn take(&mut self, bytes: u64) -> Result<&'a [u8], Malformed> {
        let bytes = usize::try_from(bytes).map_err(|_| Malformed)?;
        let (taken, rest) = self.rest.split_at_checked(bytes).ok_or(Malformed)?;
        self.rest = rest;
        Ok(taken)
    }

    fn field(&mut self) -> Result<(u64, Value<'a>), Malformed> {
        let key = self.varint()?;
        if key > u64::from(u32::MAX) || key >> 3 == 0 {
            return Err(Malformed);
        }
        let value = match key & 7 {
            0 => Value::Varint(self.varint()?),
            1 => self.take(8).map(|_| Value::Fixed)?,
            2 => {
                let len = self.varint()?;
                Value::Bytes(self.take(len)?)
            }
            5 => self.take(4).map(|_| Value::Fixed)?,
            // Groups, which proto3 does not have.
            _ => return Err(Malformed),
        };
        Ok((key >> 3, value))
    }
}

impl<'a> Iterator for Fields<'a> {
    /// A field's number and value.
    type Item = Result<(u64, Value<'a>), Malformed>;

    fn next(&mut self) -> Option<Self::Item> {
        if self.rest.is_empty() {
            return None;
        }
        let field = self.field();
        if field.is_err() {
            self.rest = &[];
        }
        Some(field)
    }
}

/// Appends a bytes or text field; an empty one is left out, as proto3 does.
pub(crate) fn put_bytes(out: &mut Vec<u8>, number: u8, bytes: &[u8]) {
    if bytes.is_empty() {
        return;
    }
    out.push(number << 3 | 2);
    let mut len = bytes.len() as u64;
    while len >= 0x80 {
        out.push(len.to_le_bytes()[0] | 0x80);
        len >>= 7;
    }
    out.push(len.to_le_bytes()[0]);
    out.extend_from_slice(bytes);
}

/// Appends a truth value; false is left out, as proto3 does.
pub(crate) fn put_bool(out: &mut Vec<u8>, number: u8, truth: bool) {
    if truth {
        out.extend_from_slice(&[number << 3, 1]);
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn fields(message: &[u8]) -> Result<Vec<(u64, Value<'_>)>, Malformed> {
        Fields::of(message).collect()
    }

    #[test]
    fn fields_are_read_in_order() {
        let message = b"\x0a\x02ab\x10\x96\x01\x18\x01";
        assert_eq!(
            fields(message),
            Ok(vec![
                (1, Value::Bytes(b"ab")),
                (2, Value::Varint(150)),
                (3, Value::Varint(1)),
            ])
        );
        assert_eq!(fields(b""), Ok(vec![]));
    }

    #[test]
    fn what_is_cut_or_no_field_is_refused() {
        for bad in [
            &b"\x0a\x03ab"[..],
            b"\x0a",
            b"\x10\x80",
            b"\x00\x01",
            b"\x0b",
            b"\x10\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\x01",
            b"\x0a\xff\xff\xff\xff\xff\xff\xff\xff\x7f",
        ] {
            assert_eq!(fields(bad), Err(Malformed), "{bad:?}");
        }
    }

    #[test]
    fn fields_of_other_types_are_skipped_and_known_to_be_other() {
        let message = b"\x0d1234\x0912345678\x12\x01x";
        let read = fields(message).unwrap();
        assert_eq!(read[2], (2, Value::Bytes(b"x")));
        assert_eq!(read[0].1.bytes(), None);
        assert_eq!(read[1].1.number(), None);
    }

    #[test]
    fn empty_values_are_left_out() {
        let mut out = Vec::new();
        put_bool(&mut out, 1, false);
        put_bytes(&mut out, 2, b"");
        assert_eq!(out, b"");
        put_bool(&mut out, 1, true);
        put_bytes(&mut out, 2, &[7; 300]);
        let read = fields(&out).unwrap();
        assert_eq!(read, [(1, Value::Varint(1)), (2, Value::Bytes(&[7; 300]))]);
    }

    proptest! {
        #[test]
        fn any_bytes_end(message in proptest::collection::vec(any::<u8>(), 0..64)) {
            prop_assert!(Fields::of(&message).count() <= message.len());
        }
    }
}
