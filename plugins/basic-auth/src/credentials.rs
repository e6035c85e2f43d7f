//! Reads names and passwords from requests (RFC 7617, 2).

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use tidegate_policy::Values;
use tidegate_sdk::prelude::*;

use crate::State;
use crate::config::Config;

/// Longer names are nobody's.
const LONGEST_NAME: usize = 255;
/// Longer passwords are nobody's: `htpasswd` makes none.
const LONGEST_PASSWORD: usize = 255;
/// What both, and the colon, are at most in base64.
const LONGEST: usize = (LONGEST_NAME + 1 + LONGEST_PASSWORD).div_ceil(3) * 4;

/// What a request says who it is from.
pub(crate) enum Given {
    /// Nothing, or nothing in this scheme.
    None,
    These(Credentials),
    /// More than one header: it is not for us to choose.
    Several,
    /// Something that nobody's name and password are.
    Malformed(&'static str),
}

/// A name and a password.
pub(crate) struct Credentials {
    pub(crate) user: String,
    pub(crate) password: Password,
}

/// A password, which nothing shows.
pub(crate) struct Password(Vec<u8>);

impl Password {
    pub(crate) fn bytes(&self) -> &[u8] {
        &self.0
    }
}

/// What a request says.
pub(crate) fn given(req: &Request, cx: &Cx<Config, State>) -> Given {
    match Values::of("authorization", req, cx) {
        Values::None => Given::None,
        Values::One(value) => read(&value),
        Values::Several => Given::Several,
    }
}

fn read(value: &[u8]) -> Given {
    let end = value.iter().position(|it| *it == b' ');
    let (scheme, rest) = value.split_at(end.unwrap_or(value.len()));
    if !scheme.eq_ignore_ascii_case(b"basic") {
        return Given::None;
    }
    let blanks = rest.iter().take_while(|it| **it == b' ').count();
    let encoded = rest.get(blanks..).unwrap_or_default();
    // Envoy makes one line of several before anybody sees them.
    if encoded.contains(&b',') {
        return Given::Several;
    }
    if encoded.len() > LONGEST {
        return Given::Malformed("they are too long");
    }
    // Strict: one way to write each (RFC 4648, 3.5).
    match STANDARD.decode(encoded) {
        Ok(decoded) => split(decoded),
        Err(_) => Given::Malformed("they are not base64"),
    }
}

fn split(decoded: Vec<u8>) -> Given {
    let Ok(mut user) = String::from_utf8(decoded) else {
        return Given::Malformed("they are not UTF-8");
    };
    // Not all control characters of Unicode: those that RFC 7617 forbids.
    if user.bytes().any(|it| it.is_ascii_control()) {
        return Given::Malformed("they have control characters");
    }
    let Some(colon) = user.find(':') else {
        return Given::Malformed("they have no colon");
    };
    let password = user.split_off(colon + 1).into_bytes();
    user.truncate(colon);
    if user.len() > LONGEST_NAME || password.len() > LONGEST_PASSWORD {
        return Given::Malformed("they are too long");
    }
    Given::These(Credentials {
        user,
        password: Password(password),
    })
}
