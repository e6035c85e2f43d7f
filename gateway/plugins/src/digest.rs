//! SHA-256 digests: what content is known by.
//!
//! Owns their text (`sha256:` and 64 hexadecimal digits, as in the OCI specification) and the
//! hashing of what comes in pieces.

use std::fmt;
use std::str::FromStr;

use sha2::Digest as _;
use sha2::Sha256;

/// The only algorithm that is used; registries know no other in practice.
const ALGORITHM: &str = "sha256";

/// The SHA-256 of some content.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Digest([u8; 32]);

/// Why a text is no digest.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum DigestError {
    /// It is of another algorithm.
    #[error("digest {text:?} is not of sha256, the only algorithm that is supported")]
    Algorithm {
        /// The text.
        text: String,
    },
    /// It is not 64 lower-case hexadecimal digits.
    #[error("digest {text:?} must be `sha256:` and 64 lower-case hexadecimal digits")]
    Form {
        /// The text.
        text: String,
    },
}

impl Digest {
    /// The digest of these bytes.
    #[must_use]
    pub fn of(bytes: &[u8]) -> Self {
        Self(Sha256::digest(bytes).into())
    }

    /// A digest as bytes.
    #[must_use]
    pub const fn from_bytes(bytes: [u8; 32]) -> Self {
        Self(bytes)
    }

    /// Its bytes.
    #[must_use]
    pub const fn as_bytes(&self) -> &[u8; 32] {
        &self.0
    }

    /// Its 64 hexadecimal digits.
    #[must_use]
    pub fn to_hex(&self) -> String {
        use fmt::Write as _;
        let mut text = String::with_capacity(64);
        for byte in self.0 {
            // Writing to a string does not fail.
            write!(text, "{byte:02x}").ok();
        }
        text
    }

    /// A digest of 64 hexadecimal digits, without the algorithm.
    #[must_use]
    pub fn from_hex(text: &str) -> Option<Self> {
        if text.len() != 64 {
            return None;
        }
        let mut bytes = [0; 32];
        for (byte, pair) in bytes.iter_mut().zip(text.as_bytes().chunks_exact(2)) {
            let [high, low] = *pair else { return None };
            *byte = nibble(high)? << 4 | nibble(low)?;
        }
        Some(Self(bytes))
    }
}

const fn nibble(digit: u8) -> Option<u8> {
    match digit {
        b'0'..=b'9' => Some(digit - b'0'),
        b'a'..=b'f' => Some(digit - b'a' + 10),
        _ => None,
    }
}

impl FromStr for Digest {
    type Err = DigestError;

    fn from_str(text: &str) -> Result<Self, DigestError> {
        let quoted = || crate::quote::short(text);
        let Some((algorithm, hex)) = text.split_once(':') else {
            return Err(DigestError::Form { text: quoted() });
        };
        if algorithm != ALGORITHM {
            return Err(DigestError::Algorithm { text: quoted() });
        }
        Self::from_hex(hex).ok_or_else(|| DigestError::Form { text: quoted() })
    }
}

impl fmt::Display for Digest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{ALGORITHM}:{}", self.to_hex())
    }
}

impl fmt::Debug for Digest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl serde::Serialize for Digest {
    fn serialize<S: serde::Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
        to.collect_str(self)
    }
}

impl<'de> serde::Deserialize<'de> for Digest {
    fn deserialize<D: serde::Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        let text = <std::borrow::Cow<'_, str>>::deserialize(from)?;
        text.parse().map_err(serde::de::Error::custom)
    }
}

/// The digest of what has come so far.
#[derive(Debug, Clone, Default)]
pub(crate) struct Hasher {
    hash: Sha256,
    bytes: u64,
}

impl Hasher {
    /// Takes the next piece.
    pub(crate) fn update(&mut self, piece: &[u8]) {
        self.hash.update(piece);
        self.bytes += piece.len() as u64;
    }

    /// How much has come.
    pub(crate) const fn bytes(&self) -> u64 {
        self.bytes
    }

    /// The digest of all of it.
    pub(crate) fn finish(self) -> Digest {
        Digest(self.hash.finalize().into())
    }
}

#[cfg(test)]
mod tests {
    use super::Digest;
    use super::DigestError;

    const EMPTY: &str = "sha256:e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855";

    #[test]
    fn a_digest_reads_as_it_is_written() {
        assert_eq!(Digest::of(b"").to_string(), EMPTY);
        assert_eq!(EMPTY.parse(), Ok(Digest::of(b"")));
    }

    #[test]
    fn what_is_no_digest_is_quoted() {
        let upper = EMPTY.to_uppercase().replace("SHA256", "sha256");
        for wrong in ["", "sha256:", "sha256:00", "e3b0", &upper] {
            let err = wrong.parse::<Digest>().expect_err(wrong);
            assert!(matches!(err, DigestError::Form { .. }), "{wrong}: {err}");
        }
        let other = "sha512:00"
            .parse::<Digest>()
            .expect_err("another algorithm");
        assert!(other.to_string().contains("\"sha512:00\""), "{other}");
    }
}
