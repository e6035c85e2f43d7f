//! RESP 2, the protocol of Redis: a reply from its bytes, a command to bytes.
//!
//! Invariant: any bytes are a value or none; memory is bounded by their number, depth by [`DEPTH`].

use tidegate_sdk_sys::text::decimal;

use crate::error::{Error, Result};

/// Lists in lists.
const DEPTH: usize = 16;

/// What Redis answers.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Value {
    /// There is none.
    Nil,
    /// A number.
    Integer(i64),
    /// A short text, such as `OK`.
    Text(String),
    /// Bytes (a bulk string).
    Bytes(Vec<u8>),
    /// Values, in their order.
    List(Vec<Self>),
    /// The server refuses the command: one word in capitals, such as `NOSCRIPT`, and why.
    Error(String),
}

impl Value {
    /// The value, if it is no error.
    ///
    /// # Errors
    /// With the server's words, if it is one.
    pub fn ok(self) -> Result<Self> {
        match self {
            Self::Error(why) => Err(Error::new(["Redis refuses the command: ", &why].concat())),
            value => Ok(value),
        }
    }

    /// What the server refuses the command with, if it does.
    #[must_use]
    pub fn error(&self) -> Option<&str> {
        match self {
            Self::Error(why) => Some(why),
            _ => None,
        }
    }

    /// The number, if it is one.
    #[must_use]
    pub const fn integer(&self) -> Option<i64> {
        match self {
            Self::Integer(number) => Some(*number),
            _ => None,
        }
    }

    /// The bytes, if it has some.
    #[must_use]
    pub fn bytes(&self) -> Option<&[u8]> {
        match self {
            Self::Bytes(bytes) => Some(bytes),
            Self::Text(text) => Some(text.as_bytes()),
            _ => None,
        }
    }

    /// The values, if it is a list.
    #[must_use]
    pub fn list(&self) -> Option<&[Self]> {
        match self {
            Self::List(values) => Some(values),
            _ => None,
        }
    }

    /// The one value that these bytes are; `None` if they are something else.
    #[must_use]
    pub fn read(bytes: &[u8]) -> Option<Self> {
        let mut reader = Reader(bytes);
        let value = reader.value(DEPTH)?;
        reader.0.is_empty().then_some(value)
    }
}

/// The bytes that are left.
struct Reader<'a>(&'a [u8]);

impl<'a> Reader<'a> {
    fn value(&mut self, depth: usize) -> Option<Value> {
        let (kind, line) = self.line()?.split_first()?;
        match kind {
            b'+' => Some(Value::Text(text(line))),
            b'-' => Some(Value::Error(text(line))),
            b':' => Some(Value::Integer(number(line)?)),
            b'$' => self.bulk(number(line)?),
            b'*' => self.list(number(line)?, depth),
            _ => None,
        }
    }

    fn bulk(&mut self, length: i64) -> Option<Value> {
        if length == -1 {
            return Some(Value::Nil);
        }
        let (bytes, rest) = self.0.split_at_checked(usize::try_from(length).ok()?)?;
        self.0 = rest.strip_prefix(b"\r\n")?;
        Some(Value::Bytes(bytes.to_vec()))
    }

    fn list(&mut self, length: i64, depth: usize) -> Option<Value> {
        if length == -1 {
            return Some(Value::Nil);
        }
        let length = usize::try_from(length).ok()?;
        let depth = depth.checked_sub(1)?;
        // The shortest value has four bytes: a length that lies allocates nothing.
        if length > self.0.len() / 4 {
            return None;
        }
        let mut values = Vec::with_capacity(length);
        for _ in 0..length {
            values.push(self.value(depth)?);
        }
        Some(Value::List(values))
    }

    /// A line without its end.
    fn line(&mut self) -> Option<&'a [u8]> {
        let end = self.0.iter().position(|byte| *byte == b'\r')?;
        let (line, rest) = self.0.split_at_checked(end)?;
        self.0 = rest.strip_prefix(b"\r\n")?;
        Some(line)
    }
}

fn text(line: &[u8]) -> String {
    String::from_utf8_lossy(line).into_owned()
}

fn number(digits: &[u8]) -> Option<i64> {
    std::str::from_utf8(digits).ok()?.parse().ok()
}

/// Appends a command.
pub(super) fn encode(out: &mut Vec<u8>, words: &[&[u8]]) {
    let count = |kind: u8, number: usize, out: &mut Vec<u8>| {
        out.push(kind);
        out.extend_from_slice(decimal(number as u64).as_bytes());
        out.extend_from_slice(b"\r\n");
    };
    count(b'*', words.len(), out);
    for word in words {
        count(b'$', word.len(), out);
        out.extend_from_slice(word);
        out.extend_from_slice(b"\r\n");
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_kind_of_reply_is_read() {
        let bytes = |text: &str| Value::Bytes(text.into());
        for (reply, expected) in [
            ("+OK\r\n", Value::Text("OK".into())),
            ("-NOSCRIPT no\r\n", Value::Error("NOSCRIPT no".into())),
            (":-12\r\n", Value::Integer(-12)),
            ("$-1\r\n", Value::Nil),
            ("*-1\r\n", Value::Nil),
            ("$0\r\n\r\n", bytes("")),
            ("$4\r\na\r\nb\r\n", bytes("a\r\nb")),
            ("*0\r\n", Value::List(Vec::new())),
            (
                "*2\r\n:1\r\n*1\r\n$1\r\nx\r\n",
                Value::List(vec![Value::Integer(1), Value::List(vec![bytes("x")])]),
            ),
        ] {
            assert_eq!(Value::read(reply.as_bytes()), Some(expected), "{reply:?}");
            for end in 0..reply.len() {
                assert_eq!(Value::read(&reply.as_bytes()[..end]), None, "{reply:?}");
            }
            let more = [reply, "+OK\r\n"].concat();
            assert_eq!(Value::read(more.as_bytes()), None, "{more:?}");
        }
    }

    #[test]
    fn what_is_no_reply_or_too_deep_or_lies_about_its_length_is_none() {
        for reply in [
            "",
            "HTTP/1.1\r\n",
            "$-2\r\n",
            "$x\r\n",
            ":\r\n",
            "*9223372036854775807\r\n",
            "$9223372036854775807\r\n",
            "*1000000000\r\n:1\r\n",
            "%1\r\n",
            "$1\r\nxy\r\n",
        ] {
            assert_eq!(Value::read(reply.as_bytes()), None, "{reply:?}");
        }
        let nested = |depth: usize| ["*1\r\n".repeat(depth), ":1\r\n".to_owned()].concat();
        assert!(Value::read(nested(DEPTH).as_bytes()).is_some());
        assert_eq!(Value::read(nested(DEPTH + 1).as_bytes()), None);
    }

    #[test]
    fn a_command_is_an_array_of_bulk_strings() {
        let mut out = Vec::new();
        encode(&mut out, &[b"SET", b"a\r\nb", b""]);
        assert_eq!(out, b"*3\r\n$3\r\nSET\r\n$4\r\na\r\nb\r\n$0\r\n\r\n");
    }

    #[test]
    fn an_error_of_the_server_is_an_error_when_it_is_asked_for() {
        let refused = Value::Error("OOM no".into());
        assert_eq!(refused.error(), Some("OOM no"));
        let said = refused.ok().unwrap_err().to_string();
        assert!(said.contains("OOM no"), "{said}");
        assert_eq!(Value::Integer(1).ok().unwrap().integer(), Some(1));
    }
}
