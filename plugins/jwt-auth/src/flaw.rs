//! Why a token is refused: a closed list, with what the client is told.
//!
//! The words are in metrics and in the access log, so they stay what they are. What a client reads says
//! what is wrong with its token, and nothing of keys or of what would have been accepted.

use std::borrow::Cow;

/// What is wrong with a request or its token.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Reason {
    /// There is no token.
    MissingToken,
    /// There are several, and it is not for us to choose.
    SeveralTokens,
    /// It is longer than the limit.
    TokenTooLarge,
    /// It is not three parts of base64url.
    MalformedToken,
    /// It is encrypted (JWE).
    EncryptedToken,
    /// Its header is not what RFC 7515 wants.
    MalformedHeader,
    /// Its payload is not what RFC 7519 wants.
    MalformedPayload,
    /// It has extensions that must be understood.
    CriticalHeader,
    /// Its algorithm is `none`, or one that is not known here.
    UnsupportedAlgorithm,
    /// Its algorithm is not among those that its issuer may use.
    AlgorithmNotAllowed,
    /// It is of another type than is wanted.
    WrongType,
    /// It names no issuer, or none that is trusted where it was found.
    UnknownIssuer,
    /// It is for others.
    WrongAudience,
    /// It is no longer good.
    Expired,
    /// It never expires.
    MissingExpiration,
    /// It is not good yet.
    NotYetValid,
    /// It was issued in the future.
    IssuedInFuture,
    /// It is good for longer than is allowed, or does not say for how long.
    LifetimeTooLong,
    /// A claim has the wrong type.
    BadClaim,
    /// Its issuer has no such key.
    UnknownKey,
    /// Its key is not for its algorithm.
    WrongKey,
    /// Its signature is wrong.
    BadSignature,
    /// A claim cannot be a header.
    UnusableClaim,
    /// There are no keys of its issuer yet.
    JwksUnavailable,
}

impl Reason {
    /// The word for metrics and logs.
    #[must_use]
    pub const fn word(self) -> &'static str {
        match self {
            Self::MissingToken => "missing_token",
            Self::SeveralTokens => "several_tokens",
            Self::TokenTooLarge => "token_too_large",
            Self::MalformedToken => "malformed_token",
            Self::EncryptedToken => "encrypted_token",
            Self::MalformedHeader => "malformed_header",
            Self::MalformedPayload => "malformed_payload",
            Self::CriticalHeader => "critical_header",
            Self::UnsupportedAlgorithm => "unsupported_algorithm",
            Self::AlgorithmNotAllowed => "algorithm_not_allowed",
            Self::WrongType => "wrong_type",
            Self::UnknownIssuer => "unknown_issuer",
            Self::WrongAudience => "wrong_audience",
            Self::Expired => "expired",
            Self::MissingExpiration => "missing_expiration",
            Self::NotYetValid => "not_yet_valid",
            Self::IssuedInFuture => "issued_in_future",
            Self::LifetimeTooLong => "lifetime_too_long",
            Self::BadClaim => "bad_claim",
            Self::UnknownKey => "unknown_key",
            Self::WrongKey => "wrong_key",
            Self::BadSignature => "bad_signature",
            Self::UnusableClaim => "unusable_claim",
            Self::JwksUnavailable => "jwks_unavailable",
        }
    }

    /// What the client is told: characters that `error_description` may have (RFC 6750, 3).
    #[must_use]
    pub const fn description(self) -> &'static str {
        match self {
            Self::MissingToken => "a token is required",
            Self::SeveralTokens => "the request has more than one token",
            Self::TokenTooLarge => "the token is too large",
            Self::MalformedToken => "the token is malformed",
            Self::EncryptedToken => "encrypted tokens are not accepted",
            Self::MalformedHeader => "the header of the token is malformed",
            Self::MalformedPayload => "the payload of the token is malformed",
            Self::CriticalHeader => "the token has critical extensions",
            Self::UnsupportedAlgorithm | Self::AlgorithmNotAllowed => {
                "the algorithm of the token is not accepted"
            }
            Self::WrongType => "the type of the token is not accepted",
            Self::UnknownIssuer => "the issuer of the token is not accepted",
            Self::WrongAudience => "the token is for another audience",
            Self::Expired => "the token has expired",
            Self::MissingExpiration => "the token does not expire",
            Self::NotYetValid => "the token is not valid yet",
            Self::IssuedInFuture => "the token was issued in the future",
            Self::LifetimeTooLong => "the lifetime of the token is too long",
            Self::BadClaim => "a claim of the token is malformed",
            Self::UnknownKey | Self::WrongKey => "the key of the token is not accepted",
            Self::BadSignature => "the signature of the token is wrong",
            Self::UnusableClaim => "a claim of the token cannot be passed on",
            Self::JwksUnavailable => "tokens cannot be verified at the moment",
        }
    }
}

/// A reason, and what the filter's own log says beside it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Flaw {
    /// Why.
    pub reason: Reason,
    /// Specifics; nothing of the token but names.
    pub specifics: Cow<'static, str>,
}

impl Flaw {
    /// A reason with specifics.
    pub fn new(reason: Reason, specifics: impl Into<Cow<'static, str>>) -> Self {
        Self {
            reason,
            specifics: specifics.into(),
        }
    }
}

impl From<Reason> for Flaw {
    fn from(reason: Reason) -> Self {
        Self::new(reason, "")
    }
}

/// The beginning of what a token says, for the log.
#[must_use]
pub fn shown(text: &str) -> String {
    const MOST: usize = 64;
    text.chars().take(MOST).collect()
}
