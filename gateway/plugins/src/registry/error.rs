//! What can go wrong between us and a registry.

use std::time::Duration;

use http::StatusCode;

use crate::again::Again;
use crate::digest::Digest;
use crate::http::HttpError;
use crate::http::TrustError;

/// Why a registry did not give, or take, what was asked.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum RegistryError {
    /// It cannot be asked.
    #[error("cannot ask {registry}")]
    Http {
        /// Its host.
        registry: String,
        /// The reason.
        source: HttpError,
    },
    /// The authorities of its certificate cannot be read.
    #[error("the authorities of {registry} cannot be used")]
    Trust {
        /// Its host.
        registry: String,
        /// The reason.
        source: TrustError,
    },
    /// Something else answers there.
    #[error("{host} answered {found} where a registry answers JSON: it is no OCI registry")]
    NotARegistry {
        /// Who answered.
        host: String,
        /// What it answered.
        found: String,
    },
    /// There is no such repository, tag or digest.
    #[error(
        "{registry} has no {what}{detail}: compare name and tag with what was pushed, such as the line \
         that `tidegate plugin push` printed"
    )]
    NotFound {
        /// Its host.
        registry: String,
        /// What was asked for, without the host.
        what: String,
        /// What the registry says, with a separator before it.
        detail: String,
    },
    /// It wants credentials, or others.
    #[error("{registry} refuses access to {repository} ({status}){detail}; {advice}")]
    Refused {
        /// Its host.
        registry: String,
        /// The repository.
        repository: String,
        /// 401 or 403.
        status: StatusCode,
        /// What it says, with a separator before it.
        detail: String,
        /// Which credentials were used, and what to do.
        advice: String,
    },
    /// It asks for credentials in a way that cannot be followed.
    #[error("{registry} asks for credentials in a way that is not supported: {reason}")]
    Challenge {
        /// Its host.
        registry: String,
        /// What is wrong with it.
        reason: String,
    },
    /// The token server gave no token.
    #[error("{realm} gave no token for {scope}: {reason}")]
    Token {
        /// The token server, without its query.
        realm: String,
        /// What the token was for.
        scope: String,
        /// What it answered.
        reason: String,
        /// The pause that it asked for.
        again: Again,
    },
    /// It answered something that is neither success nor one of the failures above.
    #[error("{host} answered {status} to {what}{detail}")]
    Status {
        /// Who answered: the registry, or a store it sent us to.
        host: String,
        /// What was asked for.
        what: String,
        /// The status.
        status: StatusCode,
        /// What it says, with a separator before it.
        detail: String,
        /// The pause that it asked for.
        after: Option<Duration>,
    },
    /// The manifest is larger than manifests are.
    #[error("the manifest of {image} has more than {limit} bytes")]
    ManifestTooLarge {
        /// What was asked for.
        image: String,
        /// The limit.
        limit: usize,
    },
    /// The manifest is not what was asked for, or not what the registry says it is.
    #[error("the manifest of {image} has the digest {actual}, and {claim} {expected}")]
    ManifestDigest {
        /// What was asked for.
        image: String,
        /// Whose digest it is: the reference's or the registry's.
        claim: &'static str,
        /// The digest it should have.
        expected: Digest,
        /// The digest it has.
        actual: Digest,
    },
    /// The manifest cannot be understood.
    #[error("the manifest of {image} cannot be used: {reason}")]
    ManifestForm {
        /// What was asked for.
        image: String,
        /// What is wrong with it.
        reason: String,
    },
    /// A blob is larger than blobs may be.
    #[error("{digest} of {image} has {bytes} bytes, more than the limit of {limit}")]
    BlobTooLarge {
        /// The image.
        image: String,
        /// The blob.
        digest: Digest,
        /// How large it is said to be.
        bytes: u64,
        /// The limit.
        limit: u64,
    },
    /// A blob has another length than its manifest says.
    #[error("{digest} of {image} should have {expected} bytes and {what}")]
    BlobLength {
        /// The image.
        image: String,
        /// The blob.
        digest: Digest,
        /// The length in the manifest.
        expected: u64,
        /// What came.
        what: String,
    },
    /// A blob is not what its manifest says.
    #[error("{expected} of {image} was sent with other content, whose digest is {actual}")]
    BlobDigest {
        /// The image.
        image: String,
        /// The digest in the manifest.
        expected: Digest,
        /// The digest of what came.
        actual: Digest,
    },
    /// It took what was pushed for something else.
    #[error("{registry} says that it keeps {what} as {actual}, and it is {expected}")]
    Kept {
        /// Its host.
        registry: String,
        /// What was pushed.
        what: &'static str,
        /// The digest of what was pushed.
        expected: Digest,
        /// What it says.
        actual: String,
    },
}

impl RegistryError {
    /// Whether, and when, another try is worth it.
    #[must_use]
    pub fn again(&self) -> Again {
        match self {
            Self::Http { source, .. } => {
                if source.is_passing() {
                    Again::Soon
                } else {
                    Again::Late
                }
            }
            Self::Status {
                after: Some(after), ..
            } => Again::After(*after),
            Self::Status { status, .. } => {
                if status.is_server_error() || status.as_u16() == 429 || status.as_u16() == 408 {
                    Again::Soon
                } else {
                    Again::Late
                }
            }
            Self::Token { again, .. } => *again,
            // Cut or garbled on the way, or a push in this moment.
            Self::BlobLength { .. } | Self::BlobDigest { .. } | Self::ManifestDigest { .. } => {
                Again::Soon
            }
            Self::Trust { .. }
            | Self::NotARegistry { .. }
            | Self::NotFound { .. }
            | Self::Refused { .. }
            | Self::Challenge { .. }
            | Self::ManifestTooLarge { .. }
            | Self::ManifestForm { .. }
            | Self::BlobTooLarge { .. }
            | Self::Kept { .. } => Again::Late,
        }
    }
}
