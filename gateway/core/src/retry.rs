//! Whether a request may be sent a second time.
//!
//! Owns the one retry that needs no configuration: a kept connection that turns out to be dead. A
//! configured retry policy comes on top of it.

use http::Method;

/// What is known about a failed attempt.
#[derive(Debug, Clone, Copy)]
pub struct Attempt {
    /// The connection had served another request before.
    pub reused: bool,
    /// Any byte of a response was seen.
    pub answered: bool,
    /// Any byte of the request body has left the gateway.
    pub body_started: bool,
    /// The origin has said that it did not act on the request (RFC 9113 §8.7).
    pub unprocessed: bool,
}

/// Whether a request that died on a kept connection, or that its origin has not looked at, may be
/// sent again on a fresh one.
///
/// An origin that closes may have acted on it before, so only methods that may be repeated
/// qualify (RFC 9110 §9.2.2); in both cases only while the body is still ours.
pub fn may_resend(method: &Method, attempt: Attempt) -> bool {
    let is_safe = attempt.unprocessed || (attempt.reused && method.is_idempotent());
    is_safe && !attempt.answered && !attempt.body_started
}

#[cfg(test)]
mod tests {
    use http::Method;

    use super::Attempt;
    use super::may_resend;

    const STALE: Attempt = Attempt {
        reused: true,
        answered: false,
        body_started: false,
        unprocessed: false,
    };

    #[test]
    fn only_repeatable_requests_on_kept_connections_are_sent_again() {
        assert!(may_resend(&Method::GET, STALE));
        assert!(may_resend(&Method::PUT, STALE));
        assert!(!may_resend(&Method::POST, STALE));
        let unprocessed = Attempt {
            reused: false,
            unprocessed: true,
            ..STALE
        };
        assert!(may_resend(&Method::POST, unprocessed));
        assert!(!may_resend(
            &Method::POST,
            Attempt {
                body_started: true,
                ..unprocessed
            }
        ));
        assert!(!may_resend(
            &Method::GET,
            Attempt {
                reused: false,
                ..STALE
            }
        ));
        assert!(!may_resend(
            &Method::GET,
            Attempt {
                answered: true,
                ..STALE
            }
        ));
        assert!(!may_resend(
            &Method::PUT,
            Attempt {
                body_started: true,
                ..STALE
            }
        ));
    }
}
