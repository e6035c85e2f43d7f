//! What a host call answered: a number, of which the ABI names some.
//!
//! Hosts may answer numbers that no specification has: a [`Status`] holds any of them.

use core::fmt;

use crate::text::{concat, decimal};

/// The status of a host call (specification v0.2.1, `proxy_status_t`).
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct Status(pub u32);

/// What a host call gives: a value, or the status that is not OK.
pub type Result<T> = core::result::Result<T, Status>;

impl Status {
    /// The call did what it says.
    pub const OK: Self = Self(0);
    /// There is no such header, property, key, function or call.
    pub const NOT_FOUND: Self = Self(1);
    /// An argument is wrong, or not legal in this callback.
    pub const BAD_ARGUMENT: Self = Self(2);
    /// What the call gives cannot be written as bytes.
    pub const SERIALIZATION_FAILURE: Self = Self(3);
    /// An argument cannot be read.
    pub const PARSE_FAILURE: Self = Self(4);
    /// A pointer of an argument is outside of our memory.
    pub const INVALID_MEMORY_ACCESS: Self = Self(6);
    /// The queue has nothing.
    pub const EMPTY: Self = Self(7);
    /// The value was changed by somebody else in between.
    pub const CAS_MISMATCH: Self = Self(8);
    /// The host failed, or the capability is denied.
    pub const INTERNAL_FAILURE: Self = Self(10);
    /// The host has no such function.
    pub const UNIMPLEMENTED: Self = Self(12);

    /// `Ok` for [`Status::OK`], the status as an error otherwise.
    ///
    /// # Errors
    /// The status itself, if it is not OK.
    #[inline(always)]
    pub fn ok(self) -> Result<()> {
        if self == Self::OK { Ok(()) } else { Err(self) }
    }

    /// Its name in the specification, or `None` for a number that has none there.
    #[must_use]
    pub fn name(self) -> Option<&'static str> {
        Some(match self {
            Self::OK => "OK",
            Self::NOT_FOUND => "NOT_FOUND",
            Self::BAD_ARGUMENT => "BAD_ARGUMENT",
            Self::SERIALIZATION_FAILURE => "SERIALIZATION_FAILURE",
            Self::PARSE_FAILURE => "PARSE_FAILURE",
            Self::INVALID_MEMORY_ACCESS => "INVALID_MEMORY_ACCESS",
            Self::EMPTY => "EMPTY",
            Self::CAS_MISMATCH => "CAS_MISMATCH",
            Self::INTERNAL_FAILURE => "INTERNAL_FAILURE",
            Self::UNIMPLEMENTED => "UNIMPLEMENTED",
            _ => return None,
        })
    }

    /// Its name, or its number.
    #[must_use]
    pub fn text(self) -> String {
        match self.name() {
            Some(name) => String::from(name),
            None => concat(&["status ", &decimal(self.0.into())]),
        }
    }
}

impl fmt::Display for Status {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text())
    }
}

impl fmt::Debug for Status {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}
