//! When something that failed is worth another try.
//!
//! Owns the pauses: growing, with a random part, and never shorter than a server asked for. Whoever
//! pulls keeps a [`Backoff`] and waits; nothing here does.

use std::time::Duration;
use std::time::SystemTime;

use http::HeaderMap;
use http::header::RETRY_AFTER;

/// Longest pause that a server can ask for.
const LONGEST_ASKED: Duration = Duration::from_secs(600);

/// What a failure says about another try.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Again {
    /// It may go better in a moment.
    Soon,
    /// The server asked for this pause.
    After(Duration),
    /// Somebody has to change something first: tries are far apart.
    Late,
}

/// The pauses between tries.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Backoff {
    /// The pause after the first failure.
    pub first: Duration,
    /// No pause that grew is longer.
    pub longest: Duration,
    failures: u32,
}

impl Default for Backoff {
    fn default() -> Self {
        Self::new(Duration::from_secs(1), Duration::from_secs(300))
    }
}

impl Backoff {
    /// Pauses from `first`, doubled after each failure, up to `longest`.
    #[must_use]
    pub const fn new(first: Duration, longest: Duration) -> Self {
        Self {
            first,
            longest,
            failures: 0,
        }
    }

    /// The pause after a failure; `random` makes the second half of it random, so that many
    /// gateways that lost one registry do not come back in one moment.
    pub fn failed(&mut self, again: Again, random: u64) -> Duration {
        let grown = self.first.saturating_mul(1 << self.failures.min(20));
        let grown = grown.min(self.longest);
        self.failures = self.failures.saturating_add(1);
        let pause = match again {
            Again::Soon => grown,
            Again::After(asked) => grown.max(asked.min(LONGEST_ASKED)),
            Again::Late => self.longest,
        };
        let jitter = jitter(pause / 2, random);
        match again {
            // Never earlier than the server asked for.
            Again::After(asked) => (pause / 2 + jitter).max(asked.min(LONGEST_ASKED)) + jitter / 4,
            Again::Soon | Again::Late => pause / 2 + jitter,
        }
    }

    /// Begins anew: it worked.
    pub const fn worked(&mut self) {
        self.failures = 0;
    }
}

/// A share of `most`, by 32 random bits.
fn jitter(most: Duration, random: u64) -> Duration {
    let share = u32::try_from(random & u64::from(u32::MAX)).unwrap_or(0);
    most.mul_f64(f64::from(share) / f64::from(u32::MAX))
}

/// The pause that an answer asks for: seconds or a date (RFC 9110 §10.2.3).
pub(crate) fn retry_after(headers: &HeaderMap, now: SystemTime) -> Option<Duration> {
    let text = headers.get(RETRY_AFTER)?.to_str().ok()?.trim();
    let asked = if text.bytes().all(|byte| byte.is_ascii_digit()) && !text.is_empty() {
        // More digits than a number has are more than we wait.
        Duration::from_secs(text.parse().unwrap_or(u64::MAX))
    } else {
        let date = httpdate::parse_http_date(text).ok()?;
        date.duration_since(now).unwrap_or_default()
    };
    Some(asked.min(LONGEST_ASKED))
}

#[cfg(test)]
mod tests {
    use std::time::Duration;
    use std::time::SystemTime;

    use http::HeaderMap;

    use super::Again;
    use super::Backoff;
    use super::LONGEST_ASKED;

    const SECOND: Duration = Duration::from_secs(1);

    #[test]
    fn pauses_grow_with_a_random_half_and_end_growing() {
        let mut backoff = Backoff::new(SECOND, 10 * SECOND);
        let twice = |random| {
            let mut backoff = backoff;
            backoff.failed(Again::Soon, random)
        };
        assert_eq!((twice(0), twice(u64::MAX)), (SECOND / 2, SECOND));
        for _ in 0..100 {
            assert!(backoff.failed(Again::Soon, u64::MAX) <= 10 * SECOND);
        }
        assert_eq!(backoff.failed(Again::Soon, u64::MAX), 10 * SECOND);
        backoff.worked();
        assert_eq!(backoff.failed(Again::Soon, u64::MAX), SECOND);
        assert_eq!(
            Backoff::new(SECOND, 10 * SECOND).failed(Again::Late, u64::MAX),
            10 * SECOND
        );
    }

    #[test]
    fn a_server_is_never_asked_earlier_than_it_said_within_reason() {
        for random in [0, 1 << 31, u64::MAX] {
            let mut backoff = Backoff::default();
            let pause = backoff.failed(Again::After(30 * SECOND), random);
            assert!((30 * SECOND..40 * SECOND).contains(&pause), "{pause:?}");
            let pause = backoff.failed(Again::After(Duration::MAX), random);
            assert!(
                (LONGEST_ASKED..2 * LONGEST_ASKED).contains(&pause),
                "{pause:?}"
            );
        }
    }

    #[test]
    fn both_forms_of_retry_after_are_read_and_bounded() {
        let now = SystemTime::UNIX_EPOCH + 1_000_000_000 * SECOND;
        let read = |text: &str| {
            let mut headers = HeaderMap::new();
            headers.insert("retry-after", text.parse().expect("a value"));
            super::retry_after(&headers, now)
        };
        assert_eq!(read("7"), Some(7 * SECOND));
        assert_eq!(
            read(&httpdate::fmt_http_date(now + 9 * SECOND)),
            Some(9 * SECOND)
        );
        assert_eq!(
            read(&httpdate::fmt_http_date(now - 9 * SECOND)),
            Some(Duration::ZERO)
        );
        assert_eq!(read("99999999999999999999999"), Some(LONGEST_ASKED));
        assert_eq!(read("soon"), None);
        assert_eq!(read("-1"), None);
    }
}
