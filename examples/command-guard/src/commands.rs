//! The commands in what a Redis client sends (RESP: arrays of bulk strings, and lines).
//!
//! Owns where a command ends and what it is called. Nothing is kept: whoever asks brings all bytes
//! since the last whole command.

/// The longest line of a length, and the longest command in one line.
const LONGEST_LINE: usize = 64 * 1024;

/// What is at the beginning of some bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Command<'a> {
    /// Not all of a command yet.
    Incomplete,
    /// A command.
    Whole {
        /// Its name as it was sent; empty for an empty line.
        name: &'a [u8],
        /// How many bytes it has.
        length: usize,
    },
    /// Nothing that Redis understands.
    Malformed,
}

/// The first command in `bytes`.
#[must_use]
pub fn first(bytes: &[u8]) -> Command<'_> {
    match bytes.first() {
        None => Command::Incomplete,
        Some(b'*') => array(bytes),
        Some(_) => inline(bytes),
    }
}

/// Whether any of the names in `denied` is that of the command, without regard to case.
#[must_use]
pub fn is_denied(name: &[u8], denied: &[String]) -> bool {
    denied
        .iter()
        .any(|one| one.as_bytes().eq_ignore_ascii_case(name))
}

fn inline(bytes: &[u8]) -> Command<'_> {
    match line(bytes) {
        Ok(Some((text, length))) => {
            let mut words = text.split(u8::is_ascii_whitespace);
            let name = words.find(|word| !word.is_empty()).unwrap_or_default();
            Command::Whole { name, length }
        }
        Ok(None) => Command::Incomplete,
        Err(()) => Command::Malformed,
    }
}

fn array(bytes: &[u8]) -> Command<'_> {
    let mut at = 0;
    let mut name = None;
    let Ok(counted) = number(bytes, b'*', &mut at) else {
        return Command::Malformed;
    };
    let Some(count) = counted else {
        return Command::Incomplete;
    };
    for _ in 0..count {
        let rest = bytes.get(at..).unwrap_or_default();
        let mut behind = 0;
        let Ok(sized) = number(rest, b'$', &mut behind) else {
            return Command::Malformed;
        };
        let Some(size) = sized else {
            return Command::Incomplete;
        };
        let Some(end) = behind.checked_add(size) else {
            return Command::Malformed;
        };
        let Some(value) = rest.get(behind..end) else {
            return Command::Incomplete;
        };
        match rest.get(end..end + 2) {
            None => return Command::Incomplete,
            Some(b"\r\n") => {}
            Some(_) => return Command::Malformed,
        }
        name.get_or_insert(value);
        at += end + 2;
    }
    Command::Whole {
        name: name.unwrap_or_default(),
        length: at,
    }
}

/// The number behind `kind` in the first line; `at` is moved behind the line.
fn number(bytes: &[u8], kind: u8, at: &mut usize) -> Result<Option<usize>, ()> {
    let Some((text, length)) = line(bytes)? else {
        // What there is of it must be right already.
        return match bytes.first() {
            Some(first) if *first != kind => Err(()),
            _ => Ok(None),
        };
    };
    let digits = text.strip_prefix(&[kind]).ok_or(())?;
    let digits = str::from_utf8(digits).map_err(|_| ())?;
    *at += length;
    digits.parse().map(Some).map_err(|_| ())
}

/// The first line without its end, and its length with it.
fn line(bytes: &[u8]) -> Result<Option<(&[u8], usize)>, ()> {
    let Some(at) = bytes.iter().position(|byte| *byte == b'\n') else {
        return match bytes.len() {
            0..=LONGEST_LINE => Ok(None),
            _ => Err(()),
        };
    };
    let text = bytes.get(..at).unwrap_or_default();
    Ok(Some((text.strip_suffix(b"\r").unwrap_or(text), at + 1)))
}

#[cfg(test)]
mod tests {
    use super::{Command, first, is_denied};

    #[test]
    fn a_command_is_known_by_its_first_word_in_both_forms() {
        let whole = |name: &'static str, length| Command::Whole {
            name: name.as_bytes(),
            length,
        };
        let array = b"*2\r\n$3\r\nGET\r\n$1\r\na\r\n*1\r\n";
        assert_eq!(first(array), whole("GET", 20));
        assert_eq!(first(b"  set a 1\r\nget"), whole("set", 11));
        assert_eq!(first(b"PING\n"), whole("PING", 5));
        assert_eq!(first(b"\r\n"), whole("", 2));
        assert_eq!(first(b"*0\r\n"), whole("", 4));
    }

    #[test]
    fn a_command_that_is_cut_anywhere_is_waited_for() {
        let array = b"*2\r\n$3\r\nGET\r\n$1\r\na\r\n";
        for end in 0..array.len() {
            let part = array.get(..end).unwrap_or_default();
            assert_eq!(first(part), Command::Incomplete, "{end} bytes");
        }
    }

    #[test]
    fn what_redis_does_not_understand_is_malformed() {
        for bytes in [
            &b"*x\r\n"[..],
            b"*1\r\n:1\r\n",
            b"*1\r\n$-1\r\n",
            b"*1\r\n$1\r\nabc\r\n",
            b"*1\r\n$99999999999999999999\r\n",
            &[b'a'; 70_000],
        ] {
            assert_eq!(first(bytes), Command::Malformed, "{}", bytes.escape_ascii());
        }
    }

    #[test]
    fn names_are_compared_without_regard_to_case() {
        let denied = ["FLUSHALL".to_owned()];
        assert!(is_denied(b"FlushAll", &denied));
        assert!(!is_denied(b"FLUSH", &denied));
    }
}
