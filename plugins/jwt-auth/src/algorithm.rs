//! Algorithms of signatures (RFC 7518, 3.1; RFC 8037, 3.1).

use tidegate_sdk::config::FilterConfig;

/// An algorithm that tokens can be signed with. `none` is not among them.
#[derive(FilterConfig, Debug, Clone, Copy, PartialEq, Eq)]
pub enum Algorithm {
    /// RSA with PKCS #1 v1.5 and SHA-256.
    #[config(rename = "RS256")]
    Rs256,
    /// RSA with PKCS #1 v1.5 and SHA-384.
    #[config(rename = "RS384")]
    Rs384,
    /// RSA with PKCS #1 v1.5 and SHA-512.
    #[config(rename = "RS512")]
    Rs512,
    /// RSA with PSS and SHA-256.
    #[config(rename = "PS256")]
    Ps256,
    /// RSA with PSS and SHA-384.
    #[config(rename = "PS384")]
    Ps384,
    /// RSA with PSS and SHA-512.
    #[config(rename = "PS512")]
    Ps512,
    /// ECDSA on P-256 with SHA-256.
    #[config(rename = "ES256")]
    Es256,
    /// ECDSA on P-384 with SHA-384.
    #[config(rename = "ES384")]
    Es384,
    /// Ed25519.
    #[config(rename = "EdDSA")]
    EdDsa,
    /// HMAC with SHA-256.
    #[config(rename = "HS256")]
    Hs256,
    /// HMAC with SHA-384.
    #[config(rename = "HS384")]
    Hs384,
    /// HMAC with SHA-512.
    #[config(rename = "HS512")]
    Hs512,
}

/// A sort of key.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Family {
    /// RSA.
    Rsa,
    /// A point on P-256.
    P256,
    /// A point on P-384.
    P384,
    /// A point on Edwards 25519.
    Ed25519,
    /// A secret that both sides have.
    Secret,
}

impl Algorithm {
    /// All of them.
    pub const ALL: [Self; 12] = [
        Self::Rs256,
        Self::Rs384,
        Self::Rs512,
        Self::Ps256,
        Self::Ps384,
        Self::Ps512,
        Self::Es256,
        Self::Es384,
        Self::EdDsa,
        Self::Hs256,
        Self::Hs384,
        Self::Hs512,
    ];

    /// Its name in headers and keys.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Rs256 => "RS256",
            Self::Rs384 => "RS384",
            Self::Rs512 => "RS512",
            Self::Ps256 => "PS256",
            Self::Ps384 => "PS384",
            Self::Ps512 => "PS512",
            Self::Es256 => "ES256",
            Self::Es384 => "ES384",
            Self::EdDsa => "EdDSA",
            Self::Hs256 => "HS256",
            Self::Hs384 => "HS384",
            Self::Hs512 => "HS512",
        }
    }

    /// The algorithm of a name; `Ed25519` is the newer name of `EdDSA` with that curve (RFC 9864).
    #[must_use]
    pub fn of(name: &str) -> Option<Self> {
        if name == "Ed25519" {
            return Some(Self::EdDsa);
        }
        Self::ALL.into_iter().find(|it| it.name() == name)
    }

    /// The sort of key that it is for.
    #[must_use]
    pub const fn family(self) -> Family {
        match self {
            Self::Rs256 | Self::Rs384 | Self::Rs512 | Self::Ps256 | Self::Ps384 | Self::Ps512 => {
                Family::Rsa
            }
            Self::Es256 => Family::P256,
            Self::Es384 => Family::P384,
            Self::EdDsa => Family::Ed25519,
            Self::Hs256 | Self::Hs384 | Self::Hs512 => Family::Secret,
        }
    }

    /// The shortest secret that is allowed: as long as the hash (RFC 7518, 3.2).
    #[must_use]
    pub const fn shortest_secret(self) -> usize {
        match self {
            Self::Hs384 => 48,
            Self::Hs512 => 64,
            Self::Hs256
            | Self::Rs256
            | Self::Rs384
            | Self::Rs512
            | Self::Ps256
            | Self::Ps384
            | Self::Ps512
            | Self::Es256
            | Self::Es384
            | Self::EdDsa => 32,
        }
    }
}
