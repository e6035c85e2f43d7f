//! Asking peers of HTTP/2 whether they are still there (PING, RFC 9113 §6.7).
//!
//! Owns the numbers, and what comes next when one of them has passed. Frames and time are the
//! proxy's.

use std::time::Duration;

/// How long a peer has to answer if nothing else is said.
pub const WITHIN: Duration = Duration::from_secs(20);

/// When a peer is asked, and how long it has to answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Pings {
    /// It is asked once it was silent for so long while it has streams.
    pub after: Duration,
    /// It is given up if it is silent for so long after that.
    pub within: Duration,
}

/// What comes next on a connection whose limit has passed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Next {
    /// It was not silent: the limit begins anew.
    Wait,
    /// It is asked.
    Ask,
    /// It is given up.
    GiveUp,
}

impl Pings {
    /// The limit that holds while an answer is waited for, or while it is not.
    pub fn limit(self, asked: bool) -> Duration {
        if asked { self.within } else { self.after }
    }

    /// What comes next when that limit has passed; `heard` is whether anything came meanwhile: a
    /// peer that has much to send may answer late.
    pub fn on_limit(self, asked: bool, heard: bool) -> Next {
        match (heard, asked) {
            (true, _) => Next::Wait,
            (false, false) => Next::Ask,
            (false, true) => Next::GiveUp,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_silent_peer_is_asked_once_and_then_given_up() {
        let pings = Pings {
            after: Duration::from_secs(60),
            within: WITHIN,
        };
        assert_eq!(pings.limit(false), Duration::from_secs(60));
        assert_eq!(pings.on_limit(false, false), Next::Ask);
        assert_eq!(pings.limit(true), WITHIN);
        assert_eq!(pings.on_limit(true, false), Next::GiveUp);
    }

    #[test]
    fn a_peer_that_sends_anything_is_there() {
        let pings = Pings {
            after: Duration::from_secs(60),
            within: WITHIN,
        };
        for asked in [false, true] {
            assert_eq!(pings.on_limit(asked, true), Next::Wait);
        }
    }
}
