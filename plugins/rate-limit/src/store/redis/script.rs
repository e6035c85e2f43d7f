//! The script that runs in Redis: its arguments, its answer, and the name it is known by there.

use tidegate_sdk::limit::Rate;
use tidegate_sdk::redis::Value;

/// The script. It is one atomic step of the server: all limits of a request, by the server's own clock.
pub(super) const SCRIPT: &str = include_str!("limit.lua");

/// Its SHA-1 in hexadecimal: what `EVALSHA` calls it by.
pub(super) const SHA1: &str = "f22146e83e93efeb92431f2169d99ba43d297c86";

/// What the script does.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Mode {
    /// Takes from all keys if all admit it, else from none.
    Take,
    /// Takes from each key as much as it admits, if that is enough.
    Lease,
    /// Takes also beyond what is admitted.
    Charge,
    /// Gives back.
    Refund,
}

impl Mode {
    const fn name(self) -> &'static [u8] {
        match self {
            Self::Take => b"take",
            Self::Lease => b"lease",
            Self::Charge => b"charge",
            Self::Refund => b"refund",
        }
    }
}

/// What is wanted of one key.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Wanted {
    /// The key in Redis.
    pub(super) key: Vec<u8>,
    /// Which of the servers' parts has it: only keys of one part can be asked at once.
    pub(super) part: u32,
    pub(super) rate: Rate,
    /// How many.
    pub(super) want: u64,
    /// How few are enough.
    pub(super) least: u64,
}

/// What the server says of one key.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Granted {
    /// Whether it admits the least that was wanted.
    pub(super) admitted: bool,
    /// How many were taken.
    pub(super) taken: u64,
    /// How many more it would admit.
    pub(super) remaining: u64,
    /// Microseconds until it admits the least; `None` if it never will.
    pub(super) wait: Option<u64>,
    /// Microseconds until it is full again.
    pub(super) full: u64,
}

/// The command that runs the script, by its name or, where the server has forgotten it, by its text.
pub(super) fn command(by: By, mode: Mode, wanted: &[Wanted]) -> Vec<Vec<u8>> {
    let (verb, script) = match by {
        By::Name => ("EVALSHA", SHA1),
        By::Text => ("EVAL", SCRIPT),
    };
    let mut words = Vec::with_capacity(4 + wanted.len() * 6);
    words.push(verb.into());
    words.push(script.into());
    words.push(wanted.len().to_string().into_bytes());
    words.extend(wanted.iter().map(|it| it.key.clone()));
    words.push(mode.name().to_vec());
    for wanted in wanted {
        let Rate {
            requests,
            window,
            burst,
        } = wanted.rate;
        let window = u64::try_from(window.as_micros()).unwrap_or(u64::MAX);
        for number in [requests, window, burst, wanted.want, wanted.least] {
            words.push(number.to_string().into_bytes());
        }
    }
    words
}

/// How a script is called.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum By {
    Name,
    Text,
}

/// What the script answered about so many keys; `None` if it did not.
pub(super) fn answer(value: &Value, count: usize) -> Option<Vec<Granted>> {
    let all: Option<Vec<Granted>> = value.list()?.iter().map(granted).collect();
    all.filter(|all| all.len() == count)
}

fn granted(value: &Value) -> Option<Granted> {
    let mut numbers = value.list()?.iter().map(Value::integer);
    let mut number = || numbers.next().flatten();
    let (admitted, taken, remaining, wait, full) =
        (number()?, number()?, number()?, number()?, number()?);
    Some(Granted {
        admitted: admitted == 1,
        taken: u64::try_from(taken).ok()?,
        remaining: u64::try_from(remaining).ok()?,
        wait: u64::try_from(wait).ok(),
        full: u64::try_from(full).ok()?,
    })
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use sha1::Digest as _;

    use super::*;

    #[test]
    fn the_script_is_known_by_its_hash() {
        let hash = sha1::Sha1::digest(SCRIPT);
        let hex: String = hash.iter().map(|byte| format!("{byte:02x}")).collect();
        assert_eq!(hex, SHA1);
    }

    #[test]
    fn a_command_names_the_keys_and_then_says_what_is_wanted_of_each() {
        let wanted = Wanted {
            key: b"k".into(),
            part: 0,
            rate: Rate {
                requests: 5,
                window: Duration::from_millis(2),
                burst: 7,
            },
            want: 3,
            least: 1,
        };
        let words = command(By::Name, Mode::Lease, &[wanted.clone(), wanted]);
        let words: Vec<&str> = words
            .iter()
            .map(|it| std::str::from_utf8(it).unwrap())
            .collect();
        assert_eq!(words[..2], ["EVALSHA", SHA1]);
        assert_eq!(words[2..6], ["2", "k", "k", "lease"]);
        assert_eq!(words[6..], ["5", "2000", "7", "3", "1"].repeat(2));
    }

    #[test]
    fn an_answer_that_is_not_as_it_must_be_is_none() {
        let list =
            |numbers: &[i64]| Value::List(numbers.iter().map(|it| Value::Integer(*it)).collect());
        let good = Value::List(vec![list(&[1, 2, 3, -1, 5])]);
        let granted = answer(&good, 1).unwrap()[0];
        assert_eq!((granted.taken, granted.wait, granted.full), (2, None, 5));
        assert_eq!(answer(&good, 2), None);
        for wrong in [
            list(&[1]),
            Value::Nil,
            list(&[1, -2, 3, 4, 5]),
            Value::Integer(1),
        ] {
            assert_eq!(answer(&Value::List(vec![wrong]), 1), None);
        }
        assert_eq!(answer(&Value::Nil, 0), None);
    }
}
