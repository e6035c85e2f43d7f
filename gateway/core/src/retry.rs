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
}

/// Whether a request that died on a kept connection may be sent again on a fresh one.
///
/// The origin may have acted on it before it closed, so only methods that may be repeated
/// qualify (RFC 9110 §9.2.2), and only while the body is still ours.
pub fn may_resend(method: &Method, attempt: Attempt) -> bool {
    attempt.reused && !attempt.answered && !attempt.body_started && method.is_idempotent()
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
    };

    #[test]
    fn only_repeatable_requests_on_kept_connections_are_sent_again() {
        assert!(may_resend(&Method::GET, STALE));
        assert!(may_resend(&Method::PUT, STALE));
        assert!(!may_resend(&Method::POST, STALE));
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
