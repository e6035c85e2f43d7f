//! RESP, the protocol of Redis, as far as a middleman must know it.
//!
//! Owns where one value ends, in versions 2 and 3, and whether a query is exactly one command. It
//! does not look at what values mean. The reader goes on where it stopped, so that a large reply
//! in many pieces is looked at once.
//!
//! Invariant: any bytes at all are a value, an unfinished value or a fault; nothing is allocated
//! by a number that a peer sends, and nesting is bounded.

/// Levels of arrays in arrays.
const MAX_DEPTH: usize = 32;

/// Bytes of one line: a type, a number or a simple text.
const MAX_LINE: usize = 64 * 1024;

/// Not RESP, or more than is allowed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct NotResp;

/// Finds the end of one value in bytes that come piece by piece.
#[derive(Debug, Default)]
pub struct ValueEnd {
    /// How far the bytes have been looked at.
    at: usize,
    /// Values that are still to come, one number a level. Empty before the first.
    open: Vec<u64>,
    begun: bool,
}

impl ValueEnd {
    /// The length of the value at the beginning of `bytes`, once it is whole. `bytes` are those of
    /// the last call with more behind them.
    ///
    /// # Errors
    ///
    /// [`NotResp`]; nothing useful follows.
    pub fn find(&mut self, bytes: &[u8]) -> Result<Option<usize>, NotResp> {
        if !self.begun {
            self.begun = true;
            self.open.push(1);
        }
        while let Some(missing) = self.open.last_mut() {
            if *missing == 0 {
                self.open.pop();
                continue;
            }
            let Some(step) = step(bytes.get(self.at..).unwrap_or_default())? else {
                return Ok(None);
            };
            if step.counts {
                *missing -= 1;
            }
            self.at += step.length;
            if step.inside > 0 {
                if self.open.len() >= MAX_DEPTH {
                    return Err(NotResp);
                }
                self.open.push(step.inside);
            }
        }
        Ok(Some(self.at))
    }
}

/// One value without what is inside it.
struct Step {
    length: usize,
    /// How many values are inside it.
    inside: u64,
    /// Whether it is a value of its own, and not an attribute of the next one.
    counts: bool,
}

fn step(bytes: &[u8]) -> Result<Option<Step>, NotResp> {
    let window = bytes.get(..MAX_LINE).unwrap_or(bytes);
    let Some(end) = window.windows(2).position(|pair| pair == b"\r\n") else {
        // Of some bytes no more make a reply.
        let hopeless =
            window.len() == MAX_LINE || window.first().is_some_and(|kind| !KINDS.contains(kind));
        return if hopeless { Err(NotResp) } else { Ok(None) };
    };
    let (kind, rest) = window
        .get(..end)
        .and_then(<[u8]>::split_first)
        .ok_or(NotResp)?;
    let line = end + 2;
    let plain = Step {
        length: line,
        inside: 0,
        counts: true,
    };
    Ok(match kind {
        b'+' | b'-' | b':' | b'_' | b',' | b'#' | b'(' => Some(plain),
        b'$' | b'=' | b'!' => match number(rest)? {
            None => Some(plain),
            Some(length) => {
                let length = usize::try_from(length).map_err(|_| NotResp)?;
                let whole = line.checked_add(length).and_then(|end| end.checked_add(2));
                let whole = whole.ok_or(NotResp)?;
                (bytes.len() >= whole).then_some(Step {
                    length: whole,
                    ..plain
                })
            }
        },
        b'*' | b'~' | b'>' => Some(Step {
            inside: number(rest)?.unwrap_or(0),
            ..plain
        }),
        b'%' | b'|' => Some(Step {
            inside: number(rest)?.unwrap_or(0).checked_mul(2).ok_or(NotResp)?,
            counts: *kind == b'%',
            ..plain
        }),
        _ => return Err(NotResp),
    })
}

/// The first bytes of values.
const KINDS: &[u8] = b"+-:_,#($=!*~>%|";

/// A length; `None` is the null of RESP 2.
fn number(digits: &[u8]) -> Result<Option<u64>, NotResp> {
    if digits == b"-1" {
        return Ok(None);
    }
    let is_number = !digits.is_empty() && digits.iter().all(u8::is_ascii_digit);
    let text = std::str::from_utf8(digits).ok().filter(|_| is_number);
    text.and_then(|text| text.parse().ok())
        .map(Some)
        .ok_or(NotResp)
}

/// Whether `query` is exactly one command, as clients send it: a not empty array of bulk strings.
/// Anything else could shift replies between those who share a connection.
pub fn is_one_command(query: &[u8]) -> bool {
    let head = match step(query) {
        Ok(Some(head)) if query.starts_with(b"*") && head.inside > 0 => head,
        _ => return false,
    };
    let mut rest = query.get(head.length..).unwrap_or_default();
    for _ in 0..head.inside {
        let is_bulk = rest.starts_with(b"$") && !rest.starts_with(b"$-");
        match step(rest) {
            Ok(Some(value)) if is_bulk => rest = rest.get(value.length..).unwrap_or_default(),
            _ => return false,
        }
    }
    rest.is_empty()
}

/// The name of a command in upper case, if it is one command.
pub fn command_name(query: &[u8]) -> Option<Vec<u8>> {
    let head = step(query).ok()??;
    let rest = query.get(head.length..)?;
    let value = step(rest).ok()??;
    let text = rest.get(..value.length)?.strip_suffix(b"\r\n")?;
    let begin = text.iter().position(|byte| *byte == b'\n')? + 1;
    Some(text.get(begin..)?.to_ascii_uppercase())
}

/// Commands that change what a connection is or hold it up: with others on it, these cannot be run.
const UNSHAREABLE: &[&[u8]] = &[
    b"AUTH",
    b"BLMOVE",
    b"BLMPOP",
    b"BLPOP",
    b"BRPOP",
    b"BRPOPLPUSH",
    b"BZMPOP",
    b"BZPOPMAX",
    b"BZPOPMIN",
    b"CLIENT",
    b"DISCARD",
    b"EXEC",
    b"HELLO",
    b"MONITOR",
    b"MULTI",
    b"PSUBSCRIBE",
    b"PSYNC",
    b"PUNSUBSCRIBE",
    b"QUIT",
    b"READONLY",
    b"READWRITE",
    b"REPLCONF",
    b"RESET",
    b"SELECT",
    b"SSUBSCRIBE",
    b"SUBSCRIBE",
    b"SUNSUBSCRIBE",
    b"SYNC",
    b"UNSUBSCRIBE",
    b"UNWATCH",
    b"WAIT",
    b"WAITAOF",
    b"WATCH",
];

/// Whether a query may be sent on a connection that others use too: one command, and none that
/// changes what the connection is or makes it wait.
pub fn is_shareable(query: &[u8]) -> bool {
    is_one_command(query)
        && command_name(query).is_some_and(|name| match name.as_slice() {
            b"XREAD" | b"XREADGROUP" => !has_word(query, b"$5\r\nBLOCK\r\n"),
            name => !UNSHAREABLE.contains(&name),
        })
}

fn has_word(query: &[u8], word: &[u8]) -> bool {
    let mut places = query.windows(word.len());
    places.any(|place| place.eq_ignore_ascii_case(word))
}

/// Appends a command.
pub fn encode(out: &mut Vec<u8>, words: &[&[u8]]) {
    out.extend_from_slice(format!("*{}\r\n", words.len()).as_bytes());
    for word in words {
        out.extend_from_slice(format!("${}\r\n", word.len()).as_bytes());
        out.extend_from_slice(word);
        out.extend_from_slice(b"\r\n");
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const VALUES: &[&[u8]] = &[
        b"+OK\r\n",
        b"-ERR no\r\n",
        b":1\r\n",
        b"$-1\r\n",
        b"*-1\r\n",
        b"$0\r\n\r\n",
        b"$4\r\na\r\nb\r\n",
        b"*0\r\n",
        b"*2\r\n$1\r\na\r\n*1\r\n:1\r\n",
        b"%1\r\n+k\r\n,1.5\r\n",
        b"|1\r\n+ttl\r\n:3600\r\n+value\r\n",
        b"~1\r\n#t\r\n",
        b"_\r\n",
        b"=5\r\ntxt:x\r\n",
    ];

    #[test]
    fn a_value_ends_where_it_ends_however_it_comes() {
        for value in VALUES {
            let mut more = value.to_vec();
            more.extend_from_slice(b"+next\r\n");
            assert_eq!(
                ValueEnd::default().find(&more),
                Ok(Some(value.len())),
                "{value:?}"
            );
            let mut end = ValueEnd::default();
            for cut in 0..value.len() {
                assert_eq!(end.find(&value[..cut]), Ok(None), "{value:?} {cut}");
            }
            assert_eq!(end.find(value), Ok(Some(value.len())));
        }
    }

    #[test]
    fn what_is_no_resp_is_refused_at_once() {
        for bytes in [
            &b"HTTP/1.1"[..],
            b"\r\n",
            b"$x\r\n",
            b"$-2\r\n",
            b"*+1\r\n",
            b"%\r\n",
        ] {
            assert_eq!(ValueEnd::default().find(bytes), Err(NotResp), "{bytes:?}");
        }
        let deep = b"*1\r\n".repeat(MAX_DEPTH + 1);
        assert_eq!(ValueEnd::default().find(&deep), Err(NotResp));
        let long = [b"+".as_slice(), &[b'x'; MAX_LINE]].concat();
        assert_eq!(ValueEnd::default().find(&long), Err(NotResp));
    }

    #[test]
    fn numbers_of_peers_allocate_nothing_and_do_not_overflow() {
        for bytes in [
            &b"*18446744073709551615\r\n"[..],
            b"$9223372036854775807\r\n",
        ] {
            assert_eq!(ValueEnd::default().find(bytes), Ok(None), "{bytes:?}");
        }
        for bytes in [
            &b"%18446744073709551615\r\n"[..],
            b"$18446744073709551615\r\n",
        ] {
            assert_eq!(ValueEnd::default().find(bytes), Err(NotResp), "{bytes:?}");
        }
    }

    #[test]
    fn a_query_is_exactly_one_command() {
        let mut ping = Vec::new();
        encode(&mut ping, &[b"ping", b""]);
        assert!(is_one_command(&ping));
        assert_eq!(command_name(&ping), Some(b"PING".to_vec()));
        let two = ping.repeat(2);
        for query in [
            &b""[..],
            b"PING\r\n",
            b"*0\r\n",
            b"*-1\r\n",
            b"*1\r\n:1\r\n",
            b"*1\r\n$-1\r\n",
            b"*1\r\n*1\r\n$1\r\nx\r\n",
            b"$4\r\nPING\r\n",
            &two,
            &ping[..ping.len() - 1],
        ] {
            assert!(!is_one_command(query), "{query:?}");
        }
    }

    #[test]
    fn commands_that_change_a_connection_are_not_shareable() {
        for (words, expected) in [
            (&[&b"get"[..], b"k"][..], true),
            (&[b"select", b"1"], false),
            (&[b"SubScribe", b"c"], false),
            (&[b"blpop", b"k", b"0"], false),
            (&[b"xread", b"STREAMS", b"s", b"0"], true),
            (&[b"xread", b"block", b"0", b"STREAMS", b"s", b"$"], false),
        ] {
            let mut query = Vec::new();
            encode(&mut query, words);
            assert_eq!(is_shareable(&query), expected, "{words:?}");
        }
    }

    proptest! {
        #[test]
        fn any_bytes_are_a_value_or_none(bytes: Vec<u8>) {
            if let Ok(Some(end)) = ValueEnd::default().find(&bytes) {
                prop_assert!(end <= bytes.len());
            }
            is_one_command(&bytes);
            command_name(&bytes);
        }
    }
}
