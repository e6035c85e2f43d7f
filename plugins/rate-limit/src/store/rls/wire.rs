//! As much of the protobuf wire format as the rate limit service needs.
//!
//! Owns reading fields in the order they come, and writing them; it knows no messages. Any bytes at all
//! are fields or malformed, and nothing is read beyond them.

/// The value of a field.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Value<'a> {
    /// A number, or a member of an enumeration.
    Number(u64),
    /// Bytes, text or a message.
    Bytes(&'a [u8]),
    /// A number of fixed width, which none of the messages has.
    Fixed,
}

/// The message is not protobuf.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Malformed;

/// The fields of a message, in order. After an error it ends.
#[derive(Debug, Clone)]
pub(super) struct Fields<'a>(&'a [u8]);

impl<'a> Fields<'a> {
    /// The fields of a message.
    pub(super) const fn of(message: &'a [u8]) -> Self {
        Self(message)
    }

    fn field(&mut self) -> Result<(u64, Value<'a>), Malformed> {
        let key = self.number()?;
        let value = match key & 7 {
            0 => Value::Number(self.number()?),
            1 => self.take(8).map(|_| Value::Fixed)?,
            2 => {
                let len = self.number()?;
                Value::Bytes(self.take(len)?)
            }
            5 => self.take(4).map(|_| Value::Fixed)?,
            _ => return Err(Malformed),
        };
        Ok((key >> 3, value))
    }

    fn number(&mut self) -> Result<u64, Malformed> {
        let mut number = 0;
        for at in 0..10 {
            let (byte, rest) = self.0.split_first().ok_or(Malformed)?;
            self.0 = rest;
            number |= u64::from(byte & 0x7f) << (7 * at);
            if byte & 0x80 == 0 {
                return Ok(number);
            }
        }
        Err(Malformed)
    }

    fn take(&mut self, len: u64) -> Result<&'a [u8], Malformed> {
        let len = usize::try_from(len).map_err(|_| Malformed)?;
        let (taken, rest) = self.0.split_at_checked(len).ok_or(Malformed)?;
        self.0 = rest;
        Ok(taken)
    }
}

impl<'a> Iterator for Fields<'a> {
    type Item = Result<(u64, Value<'a>), Malformed>;

    fn next(&mut self) -> Option<Self::Item> {
        if self.0.is_empty() {
            return None;
        }
        let field = self.field();
        if field.is_err() {
            self.0 = &[];
        }
        Some(field)
    }
}

/// Writes a field of bytes or text; an empty one is left out, as everybody does in proto3.
pub(super) fn put_bytes(out: &mut Vec<u8>, field: u8, bytes: &[u8]) {
    if !bytes.is_empty() {
        put_message(out, field, bytes);
    }
}

/// Writes a field that is a message, also if it is empty: it is there.
pub(super) fn put_message(out: &mut Vec<u8>, field: u8, bytes: &[u8]) {
    out.push(field << 3 | 2);
    push(out, bytes.len() as u64);
    out.extend_from_slice(bytes);
}

/// Writes a field that is a number; 0 is left out.
pub(super) fn put_number(out: &mut Vec<u8>, field: u8, number: u64) {
    if number > 0 {
        out.push(field << 3);
        push(out, number);
    }
}

fn push(out: &mut Vec<u8>, mut number: u64) {
    loop {
        let [low, ..] = number.to_le_bytes();
        number >>= 7;
        if number == 0 {
            return out.push(low & 0x7f);
        }
        out.push(low | 0x80);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_written_is_read() {
        for number in [1, 127, 128, 300, u64::from(u32::MAX), u64::MAX] {
            let mut message = Vec::new();
            put_number(&mut message, 3, number);
            put_bytes(&mut message, 15, &[7; 200]);
            put_message(&mut message, 1, b"");
            put_bytes(&mut message, 1, b"");
            put_number(&mut message, 1, 0);
            let fields: Result<Vec<_>, _> = Fields::of(&message).collect();
            let expected = vec![
                (3, Value::Number(number)),
                (15, Value::Bytes(&[7; 200])),
                (1, Value::Bytes(b"")),
            ];
            assert_eq!(fields, Ok(expected));
            for end in 1..message.len() {
                // Cut between two fields, it is another message; nothing panics anywhere.
                let _cut: Result<Vec<_>, _> = Fields::of(&message[..end]).collect();
            }
        }
    }

    #[test]
    fn what_is_no_message_is_malformed() {
        let long = [
            0x08, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 1,
        ];
        for message in [
            &b"\x0a\x05abc"[..],
            b"\x08",
            b"\x0b",
            b"\x09abc",
            b"\x0d",
            &long,
        ] {
            assert_eq!(
                Fields::of(message).last(),
                Some(Err(Malformed)),
                "{message:?}"
            );
        }
        let huge = b"\x0a\xff\xff\xff\xff\xff\xff\xff\xff\xff\x01";
        assert_eq!(Fields::of(huge).last(), Some(Err(Malformed)));
    }
}
