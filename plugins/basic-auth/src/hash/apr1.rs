//! `$apr1$`, the MD5-based hash of Apache's programs, and what `htpasswd` makes if it is not told better.
//!
//! A thousand rounds of MD5: well under a millisecond, so in one go.

use std::str::FromStr;

use md5::Digest as _;
use md5::Md5;
use subtle::ConstantTimeEq;

const ROUNDS: usize = 1000;
/// The digits of its base64, the lowest bits first.
const DIGITS: &[u8; 64] = b"./0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz";

/// A hash.
pub(crate) struct Apr1 {
    salt: Vec<u8>,
    hash: [u8; 22],
}

impl Apr1 {
    pub(super) fn is_of(&self, password: &[u8]) -> bool {
        self.computed(password).ct_eq(&self.hash).into()
    }

    fn computed(&self, password: &[u8]) -> [u8; 22] {
        let salt = &self.salt;
        let mut digest = md5(&[password, salt, password]);
        let mut first = Md5::new();
        for part in [password, b"$apr1$", salt] {
            first.update(part);
        }
        for part in password.chunks(16) {
            first.update(digest.get(..part.len()).unwrap_or_default());
        }
        let mut length = password.len();
        while length > 0 {
            first.update(match length & 1 {
                1 => &[0],
                _ => password.get(..1).unwrap_or_default(),
            });
            length >>= 1;
        }
        digest = first.finalize().into();
        for round in 0..ROUNDS {
            let (begin, end) = match round % 2 {
                1 => (password, &digest[..]),
                _ => (&digest[..], password),
            };
            let salt = if round % 3 == 0 { &[][..] } else { salt };
            let again = if round % 7 == 0 { &[][..] } else { password };
            digest = md5(&[begin, salt, again, end]);
        }
        encode(&digest)
    }
}

fn md5(parts: &[&[u8]]) -> [u8; 16] {
    let mut hasher = Md5::new();
    for part in parts {
        hasher.update(part);
    }
    hasher.finalize().into()
}

/// The bytes in an order of its own, three of them as four digits.
fn encode(digest: &[u8; 16]) -> [u8; 22] {
    let [a, b, c, d, e, f, g, h, i, j, k, l, m, n, o, p] = *digest;
    let groups = [
        [a, g, m],
        [b, h, n],
        [c, i, o],
        [d, j, p],
        [e, k, f],
        [0, 0, l],
    ];
    let mut digits = groups.iter().flat_map(|[high, middle, low]| {
        let number = u32::from_be_bytes([0, *high, *middle, *low]);
        [0, 6, 12, 18].map(|shift| (number >> shift) & 63)
    });
    [(); 22].map(|()| {
        let digit = digits.next().and_then(|it| usize::try_from(it).ok());
        digit
            .and_then(|it| DIGITS.get(it))
            .copied()
            .unwrap_or_default()
    })
}

impl FromStr for Apr1 {
    type Err = String;

    /// What follows `$apr1$`: a salt of at most 8 characters, `$` and 22 digits.
    fn from_str(text: &str) -> Result<Self, String> {
        let malformed = || "expected a salt, $ and 22 characters after $apr1$".to_owned();
        let (salt, hash) = text.split_once('$').ok_or_else(malformed)?;
        let hash: [u8; 22] = hash.as_bytes().try_into().map_err(|_| malformed())?;
        let known = hash.iter().all(|it| DIGITS.contains(it));
        if salt.len() > 8 || !known {
            return Err(malformed());
        }
        Ok(Self {
            salt: salt.as_bytes().to_vec(),
            hash,
        })
    }
}
