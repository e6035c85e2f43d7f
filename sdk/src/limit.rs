//! Rate limits that the host keeps, exactly, for the instances of all workers together.
//!
//! Tidegate has them (`tidegate.limit`, docs/foreign-functions.md); other hosts do not, and in tests
//! that run natively nobody does. A filter that must run everywhere counts in the shared data there,
//! as the filter `rate-limit` does:
//!
//! ```no_run
//! use std::time::Duration;
//! use tidegate_sdk::limit::{Ask, Mode, Rate, ask};
//! # fn counted_by_ourselves() -> bool { true }
//!
//! fn may_pass(user: &[u8]) -> tidegate_sdk::error::Result<bool> {
//!     let rate = Rate { requests: 100, window: Duration::from_secs(1), burst: 20 };
//!     let answers = ask(Mode::Take, [Ask { rate, cost: 1, key: user }])?;
//!     Ok(answers.map_or_else(counted_by_ourselves, |it| it.iter().all(|it| it.admitted)))
//! }
//! ```

use std::time::Duration;

use tidegate_sdk_sys::{Host as _, Status, host};

use crate::error::{Error, Result};

/// The version of the arguments.
const VERSION: u8 = 1;

/// Most limits that can be asked at once.
pub const MOST_ASKS: usize = 16;

/// The longest key, in bytes.
pub const MOST_KEY_BYTES: usize = 4096;

/// A limit: in any span of time T, at most `burst + requests × T / window` are admitted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Rate {
    /// How many are admitted in a window: at least 1.
    pub requests: u64,
    /// How long a window is: more than nothing.
    pub window: Duration,
    /// How many are admitted at once: at least 1.
    pub burst: u64,
}

/// How limits are taken from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u8)]
pub enum Mode {
    /// From all if all admit it, else from none.
    Take = 0,
    /// It only looks.
    Peek = 1,
    /// Also beyond what is admitted, for what has been used already: two bursts can be owed.
    Charge = 2,
    /// What was taken is given back.
    Refund = 3,
}

/// One limit that is asked, for one key.
#[derive(Debug, Clone, Copy)]
pub struct Ask<'k> {
    /// The limit.
    pub rate: Rate,
    /// How much is asked for.
    pub cost: u64,
    /// Whose limit it is, in this plugin: up to [`MOST_KEY_BYTES`]. Keys of one call differ.
    pub key: &'k [u8],
}

/// What a limit answers.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Taken {
    /// Whether this limit admits what was asked for. Nothing is taken unless all do.
    pub admitted: bool,
    /// How many more it would admit at once.
    pub remaining: u64,
    /// How long until it would admit it; `None` if it never will.
    pub wait: Option<Duration>,
    /// How long until it is full again, if nobody asks.
    pub full: Duration,
}

/// What several limits answer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Answers(Vec<u8>);

impl Answers {
    /// The answers, in the order of the asks.
    pub fn iter(&self) -> impl ExactSizeIterator<Item = Taken> + '_ {
        self.0.as_chunks().0.iter().map(taken)
    }
}

/// Asks limits; the answers are in the order of the asks. `None` if this host keeps no limits.
///
/// Limits belong to the plugin, or to those that share its `vmId`, and outlive its reloads.
///
/// # Errors
/// If the host refuses: more than [`MOST_ASKS`], two equal keys, a rate of nothing.
pub fn ask<'k, A>(mode: Mode, asks: A) -> Result<Option<Answers>>
where
    A: IntoIterator<Item = Ask<'k>, IntoIter: ExactSizeIterator>,
{
    let asks = asks.into_iter();
    let count = asks.len();
    let argument = argument(mode, asks);
    let result = match host().call_foreign_function(b"tidegate.limit", &argument) {
        Ok(result) => result,
        // Hosts that have no foreign functions at all say the other two.
        Err(Status::NOT_FOUND | Status::UNIMPLEMENTED | Status::INTERNAL_FAILURE) => {
            return Ok(None);
        }
        Err(status) => return Err(Error::host("ask a rate limit", status)),
    };
    let answers = Answers(result);
    if answers.iter().len() != count {
        return Err(Error::new(
            "the host's answer about a rate limit is too short",
        ));
    }
    Ok(Some(answers))
}

fn argument<'k>(mode: Mode, asks: impl ExactSizeIterator<Item = Ask<'k>>) -> Vec<u8> {
    let count = u16::try_from(asks.len()).unwrap_or(u16::MAX).to_le_bytes();
    // Enough for most keys.
    let mut argument = Vec::with_capacity(4 + asks.len() * 100);
    argument.extend_from_slice(&[VERSION, mode as u8]);
    argument.extend_from_slice(&count);
    for Ask { rate, cost, key } in asks {
        let numbers = [rate.requests, nanos(rate.window), rate.burst, cost];
        for number in numbers {
            argument.extend_from_slice(&number.to_le_bytes());
        }
        let len = u32::try_from(key.len()).unwrap_or(u32::MAX);
        argument.extend_from_slice(&len.to_le_bytes());
        argument.extend_from_slice(key);
    }
    argument
}

fn taken(answer: &[u8; 32]) -> Taken {
    let number = |at: usize| {
        let bytes = answer.get(at..).and_then(<[u8]>::first_chunk);
        bytes.map_or(0, |it| u64::from_le_bytes(*it))
    };
    let wait = number(16);
    Taken {
        admitted: number(0) == 1,
        remaining: number(8),
        wait: (wait != u64::MAX).then_some(Duration::from_nanos(wait)),
        full: Duration::from_nanos(number(24)),
    }
}

fn nanos(duration: Duration) -> u64 {
    u64::try_from(duration.as_nanos()).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_argument_is_as_the_page_of_foreign_functions_has_it() {
        let rate = Rate {
            requests: 2,
            window: Duration::from_nanos(3),
            burst: 4,
        };
        let asks = [(5, &b"ab"[..]), (6, b"")].map(|(cost, key)| Ask { rate, cost, key });
        let mut expected = b"\x01\x02\x02\x00".to_vec();
        for (cost, key) in [(5_u64, &b"\x02\0\0\0ab"[..]), (6, b"\0\0\0\0")] {
            for number in [2, 3, 4, cost] {
                expected.extend_from_slice(&number.to_le_bytes());
            }
            expected.extend_from_slice(key);
        }
        assert_eq!(argument(Mode::Charge, asks.into_iter()), expected);
    }

    #[test]
    fn an_answer_has_four_numbers_and_a_wait_of_all_bits_is_for_ever() {
        let answer = |numbers: [u64; 4]| {
            let bytes: Vec<u8> = numbers.iter().flat_map(|it| it.to_le_bytes()).collect();
            taken(bytes.as_chunks().0.first().unwrap())
        };
        let second = Duration::from_secs(1);
        let expected = Taken {
            admitted: true,
            remaining: 7,
            wait: Some(Duration::ZERO),
            full: second,
        };
        assert_eq!(answer([1, 7, 0, 1_000_000_000]), expected);
        let never = answer([0, 7, u64::MAX, 1_000_000_000]);
        assert_eq!((never.admitted, never.wait), (false, None));
    }
}
