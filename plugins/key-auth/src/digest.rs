//! Hashes of keys, as operators write them.

use std::fmt;

use sha2::Digest as _;
use sha2::Sha256;
use subtle::Choice;
use subtle::ConstantTimeEq;
use tidegate_sdk::config::FilterConfig;
use tidegate_sdk::config::Problem;
use tidegate_sdk::config::Schema;

/// The SHA-256 hash of a key: 64 hexadecimal digits, with or without `sha256:` before them.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Digest([u8; 32]);

impl Digest {
    /// That of a key.
    pub(crate) fn of(key: &[u8]) -> Self {
        Self(Sha256::digest(key).into())
    }

    /// Its first 64 bits.
    pub(crate) fn number(&self) -> u64 {
        let [a, b, c, d, e, f, g, h, ..] = self.0;
        u64::from_le_bytes([a, b, c, d, e, f, g, h])
    }

    /// Whether they are the same, in a time that does not tell where they differ: eight bytes at once, because
    /// the comparison of bytes hides each of them from the compiler.
    pub(crate) fn same(&self, other: &Self) -> Choice {
        let (ours, theirs) = (self.0.as_chunks().0, other.0.as_chunks().0);
        let both = ours.iter().zip(theirs);
        let differing = both.fold(0, |so_far, (one, other)| {
            so_far | (u64::from_le_bytes(*one) ^ u64::from_le_bytes(*other))
        });
        differing.ct_eq(&0)
    }
}

impl FilterConfig for Digest {
    /// Secret: somebody may have written the key itself here.
    const SCHEMA: &'static Schema = &Schema::text().secret();

    fn read(value: &serde_json::Value) -> Result<Self, Problem> {
        let text = value.as_str().unwrap_or_default();
        let digits = text.strip_prefix("sha256:").unwrap_or(text);
        let Some(digest) = hexadecimal(digits) else {
            let length = digits.chars().count();
            return Err(Problem::new(format!(
                "expected a SHA-256 hash of 64 hexadecimal digits (printf %s \"$KEY\" | sha256sum), \
                 found text of {length} characters"
            )));
        };
        if digest == Self::of(b"") {
            return Err(Problem::new(
                "this is the hash of nothing: the command that made it had no key to read",
            ));
        }
        Ok(digest)
    }
}

fn hexadecimal(digits: &str) -> Option<Digest> {
    let (pairs, rest) = digits.as_bytes().as_chunks::<2>();
    if pairs.len() != 32 || !rest.is_empty() {
        return None;
    }
    let digit = |it: u8| {
        char::from(it)
            .to_digit(16)
            .and_then(|it| u8::try_from(it).ok())
    };
    let mut bytes = [0; 32];
    for (byte, [high, low]) in bytes.iter_mut().zip(pairs) {
        *byte = digit(*high)? << 4 | digit(*low)?;
    }
    Some(Digest(bytes))
}

/// Nothing of it is shown: hashes of guessable keys can be guessed.
impl fmt::Debug for Digest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Digest(..)")
    }
}

#[cfg(test)]
mod tests {
    use super::Digest;

    #[test]
    fn digests_are_the_same_if_every_bit_is() {
        let digest = Digest::of(b"key");
        assert!(bool::from(digest.same(&digest.clone())));
        for at in 0..32 {
            for bit in 0..8 {
                let mut other = digest;
                other.0[at] ^= 1 << bit;
                assert!(!bool::from(digest.same(&other)), "{at} {bit}");
            }
        }
    }
}
