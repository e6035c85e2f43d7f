//! JSON Web Signatures (RFC 7518, RFC 8037), checked by the host.
//!
//! Tidegate does it by its own cryptography, many times faster than a module can; other hosts do
//! not, and in tests that run natively nobody does. A filter that must run everywhere brings a
//! library for that case:
//!
//! ```no_run
//! use tidegate_sdk::verify::{Algorithm, Key, verify};
//! # fn slowly(_: &[u8], _: &[u8]) -> bool { false }
//!
//! fn good(secret: &[u8], signature: &[u8], text: &[u8]) -> bool {
//!     let key = Key::secret(secret);
//!     let known = verify(Algorithm::Hs256, &key, signature, text);
//!     known.unwrap_or_else(|| slowly(signature, text))
//! }
//! ```

use tidegate_sdk_sys::{Host as _, Status, host};

/// The version of the arguments (docs/foreign-functions.md).
const VERSION: u8 = 1;

macro_rules! algorithms {
    ($($(#[$doc:meta])* $variant:ident = $number:literal $name:literal $kind:ident,)*) => {
        /// A signature algorithm, by its `alg`.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
        #[repr(u8)]
        pub enum Algorithm { $($(#[$doc])* $variant = $number,)* }

        impl Algorithm {
            /// The algorithm of that name. `none` is none; names are as RFC 7518 writes them.
            #[must_use]
            pub fn named(name: &str) -> Option<Self> {
                match name { $($name => Some(Self::$variant),)* _ => None }
            }

            /// Its name.
            #[must_use]
            pub const fn name(self) -> &'static str {
                match self { $(Self::$variant => $name,)* }
            }

            const fn kind(self) -> Kind {
                match self { $(Self::$variant => Kind::$kind,)* }
            }
        }
    };
}

algorithms! {
    /// RSA, PKCS#1 v1.5, SHA-256.
    Rs256 = 1 "RS256" Rsa,
    /// RSA, PKCS#1 v1.5, SHA-384.
    Rs384 = 2 "RS384" Rsa,
    /// RSA, PKCS#1 v1.5, SHA-512.
    Rs512 = 3 "RS512" Rsa,
    /// RSA, PSS, SHA-256.
    Ps256 = 4 "PS256" Rsa,
    /// RSA, PSS, SHA-384.
    Ps384 = 5 "PS384" Rsa,
    /// RSA, PSS, SHA-512.
    Ps512 = 6 "PS512" Rsa,
    /// ECDSA, P-256, SHA-256.
    Es256 = 7 "ES256" Ec,
    /// ECDSA, P-384, SHA-384.
    Es384 = 8 "ES384" Ec,
    /// ECDSA, P-521, SHA-512.
    Es512 = 9 "ES512" Ec,
    /// Ed25519.
    EdDsa = 10 "EdDSA" Ed25519,
    /// HMAC, SHA-256.
    Hs256 = 11 "HS256" Secret,
    /// HMAC, SHA-384.
    Hs384 = 12 "HS384" Secret,
    /// HMAC, SHA-512.
    Hs512 = 13 "HS512" Secret,
}

/// What a key is for.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Kind {
    Rsa,
    Ec,
    Ed25519,
    Secret,
}

/// A key that checks signatures. It is never used for an algorithm of another kind.
#[derive(Clone, PartialEq, Eq)]
pub struct Key {
    kind: Kind,
    bytes: Box<[u8]>,
}

impl Key {
    /// A public RSA key: modulus and exponent, big-endian (`n` and `e` of a JWK). Tidegate takes
    /// 2048 to 8192 bits.
    #[must_use]
    pub fn rsa(modulus: &[u8], exponent: &[u8]) -> Self {
        let len = len(modulus).to_le_bytes();
        Self::of(Kind::Rsa, &[&len, modulus, exponent])
    }

    /// A public key of P-256, P-384 or P-521: both coordinates, each as long as the curve has it
    /// (`x` and `y` of a JWK). Which curve it is follows from the algorithm.
    #[must_use]
    pub fn ec(x: &[u8], y: &[u8]) -> Self {
        // An x that is too long beside a y that is too short would be another point.
        match x.len() == y.len() {
            true => Self::of(Kind::Ec, &[&[4], x, y]),
            false => Self::of(Kind::Ec, &[]),
        }
    }

    /// A public Ed25519 key: its 32 bytes (`x` of a JWK).
    #[must_use]
    pub fn ed25519(key: &[u8]) -> Self {
        Self::of(Kind::Ed25519, &[key])
    }

    /// The secret of an HMAC (`k` of a JWK).
    #[must_use]
    pub fn secret(secret: &[u8]) -> Self {
        Self::of(Kind::Secret, &[secret])
    }

    fn of(kind: Kind, parts: &[&[u8]]) -> Self {
        Self {
            kind,
            bytes: parts.concat().into(),
        }
    }
}

impl std::fmt::Debug for Key {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self.kind {
            Kind::Rsa => "Key(RSA)",
            Kind::Ec => "Key(EC)",
            Kind::Ed25519 => "Key(Ed25519)",
            Kind::Secret => "Key(secret)",
        })
    }
}

/// Whether `signature` is that of `text` by `key`; `None` if this host does not check signatures.
///
/// A signature has the form of RFC 7518 (ECDSA: r and s, each as long as a coordinate). A key that
/// is none of the algorithm's, or that the host refuses, makes no signature good. It counts as the
/// filter's CPU time.
#[must_use]
pub fn verify(algorithm: Algorithm, key: &Key, signature: &[u8], text: &[u8]) -> Option<bool> {
    if key.kind != algorithm.kind() {
        return Some(false);
    }
    let argument = argument(algorithm, key, signature, text);
    match host().call_foreign_function(b"tidegate.verify", &argument) {
        Ok(result) => match result[..] {
            [0] => Some(false),
            [1] => Some(true),
            _ => None,
        },
        Err(Status::BAD_ARGUMENT) => Some(false),
        Err(_) => None,
    }
}

fn argument(algorithm: Algorithm, key: &Key, signature: &[u8], text: &[u8]) -> Vec<u8> {
    let parts = [&key.bytes, signature, text];
    let size = parts.iter().map(|part| 4 + part.len()).sum::<usize>() + 4;
    let mut argument = Vec::with_capacity(size);
    argument.extend_from_slice(&[VERSION, algorithm as u8, 0, 0]);
    for part in parts {
        argument.extend_from_slice(&len(part).to_le_bytes());
    }
    for part in parts {
        argument.extend_from_slice(part);
    }
    argument
}

/// A length; one that is no `u32` cannot be in a module, and is refused by the host.
fn len(bytes: &[u8]) -> u32 {
    u32::try_from(bytes.len()).unwrap_or(u32::MAX)
}

#[cfg(test)]
mod tests {
    use super::{Algorithm, Key, argument, verify};

    #[test]
    fn the_argument_is_as_the_page_of_foreign_functions_has_it() {
        let key = Key::rsa(b"nn", b"e");
        let expected = b"\x01\x04\0\0\x07\0\0\0\x03\0\0\0\x04\0\0\0\x02\0\0\0nnesigtext";
        assert_eq!(argument(Algorithm::Ps256, &key, b"sig", b"text"), expected);
        let key = Key::ec(b"x", b"y");
        let expected = b"\x01\x07\0\0\x03\0\0\0\0\0\0\0\0\0\0\0\x04xy";
        assert_eq!(argument(Algorithm::Es256, &key, b"", b""), expected);
    }

    #[test]
    fn names_are_those_of_the_rfcs_and_none_is_none() {
        for number in 1..=13 {
            let name = [
                "RS256", "RS384", "RS512", "PS256", "PS384", "PS512", "ES256", "ES384", "ES512",
                "EdDSA", "HS256", "HS384", "HS512",
            ][number - 1];
            let found = Algorithm::named(name).unwrap();
            assert_eq!((found as usize, found.name()), (number, name));
        }
        for other in ["none", "None", "hs256", "ES256K", ""] {
            assert_eq!(Algorithm::named(other), None, "{other}");
        }
    }

    #[test]
    fn a_key_of_another_kind_makes_no_signature_good() {
        // A public key is no secret: whoever knows it could sign with it.
        let keys = [
            Key::rsa(b"n", b"e"),
            Key::ec(b"x", b"y"),
            Key::ed25519(b"x"),
        ];
        for key in keys {
            assert_eq!(verify(Algorithm::Hs256, &key, b"", b""), Some(false));
        }
        let secret = Key::secret(b"k");
        assert_eq!(verify(Algorithm::Rs256, &secret, b"", b""), Some(false));
        assert_eq!(format!("{secret:?}"), "Key(secret)");
    }

    #[test]
    fn coordinates_of_two_lengths_are_no_point() {
        assert_eq!(Key::ec(b"x", b"y").bytes.len(), 3);
        for key in [Key::ec(b"xx", b""), Key::ec(b"", b"yy")] {
            assert!(key.bytes.is_empty(), "the host refuses that");
        }
    }
}
