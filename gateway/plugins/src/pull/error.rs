//! Why a pull gave no code.

use std::time::Duration;

use crate::again::Again;
use crate::cache::CacheError;
use crate::credentials::CredentialError;
use crate::digest::Digest;
use crate::http::HttpError;
use crate::http::TrustError;
use crate::layout::ChoiceError;
use crate::layout::Kind;
use crate::layout::NoModule;
use crate::reference::ReferenceError;
use crate::registry::RegistryError;
use crate::signatures::Unsigned;
use crate::signatures::WebRefused;

/// Why there is no code.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum PullError {
    /// Credentials that should be there cannot be used.
    #[error("credentials for {image} cannot be read")]
    Credentials {
        /// The image.
        image: String,
        /// The reason.
        source: CredentialError,
    },
    /// The registry did not give it.
    #[error("cannot pull {image}")]
    Registry {
        /// The image.
        image: String,
        /// The reason.
        source: Box<RegistryError>,
    },
    /// None of several places has it.
    #[error("cannot pull {image} from any place: {}", list(failures))]
    Places {
        /// The image.
        image: String,
        /// What became of each.
        failures: Vec<PlaceFailure>,
    },
    /// The mirror's name of it is none.
    #[error("{image} has no name at its mirror")]
    Mirror {
        /// The image.
        image: String,
        /// What is wrong with it.
        source: ReferenceError,
    },
    /// Nothing can be chosen from its index.
    #[error("cannot choose from {image}")]
    Choice {
        /// The image.
        image: String,
        /// The reason.
        source: ChoiceError,
    },
    /// Its index leads to an index, and so on.
    #[error("{image} is a list of lists of images, more deeply than makes sense")]
    Nested {
        /// The image.
        image: String,
    },
    /// It has no module.
    #[error(transparent)]
    NoModule(#[from] NoModule),
    /// The policy wants a signature that it does not have.
    #[error(transparent)]
    Unsigned(Box<Unsigned>),
    /// It did not come, and what the cache has is not signed as the policy wants it.
    #[error("what the cache has is not used: {cached}; and nothing else came")]
    CacheUnsigned {
        /// What is wrong with what the cache has.
        cached: Box<Unsigned>,
        /// Why nothing else came.
        source: Box<Self>,
    },
    /// It cannot be kept.
    #[error("cannot keep what is pulled")]
    Cache(#[from] CacheError),
    /// It took too long.
    #[error("{image} was not there after {} s", limit.as_secs_f32())]
    Slow {
        /// What was pulled.
        image: String,
        /// The limit.
        limit: Duration,
    },
    /// The cache no longer has what it just had.
    #[error("{image} is gone from the cache, or damaged there: it has to be pulled again")]
    NotKept {
        /// The image.
        image: String,
    },
    /// The signature policy does not let it in.
    #[error(transparent)]
    Web(#[from] WebRefused),
    /// A web server did not give it.
    #[error("cannot fetch {url}")]
    Http {
        /// The address, without its query.
        url: String,
        /// The reason.
        source: HttpError,
    },
    /// The authorities for a web server cannot be read.
    #[error("cannot fetch {url}")]
    Trust {
        /// The address, without its query.
        url: String,
        /// The reason.
        source: TrustError,
    },
    /// A web server answered something else.
    #[error("{url} answered {status}")]
    Status {
        /// The address, without its query.
        url: String,
        /// The status.
        status: http::StatusCode,
        /// The pause that it asked for.
        after: Option<Duration>,
    },
    /// What a web server sent is too large.
    #[error("{url} has more than {limit} bytes")]
    TooLarge {
        /// The address, without its query.
        url: String,
        /// The limit.
        limit: u64,
    },
    /// What a web server sent is other content.
    #[error(
        "{url} has the digest {actual}, and {expected} is expected: if it is meant to be new, \
         change `sha256`"
    )]
    Digest {
        /// The address, without its query.
        url: String,
        /// What was written.
        expected: Digest,
        /// What came.
        actual: Digest,
    },
    /// What a web server sent is what it should be, and no module.
    #[error("{url} is {kind}: expected a WebAssembly module")]
    NotAModule {
        /// The address, without its query.
        url: String,
        /// What it is.
        kind: Kind,
    },
    /// The process is ending.
    #[error("the pull was ended")]
    Ended {
        /// By what.
        source: tokio::task::JoinError,
    },
}

/// What became of one place.
#[derive(Debug)]
pub struct PlaceFailure {
    /// The image's name there.
    pub place: String,
    /// The reason.
    pub error: PullError,
}

impl PullError {
    /// Whether a signature is missing, here or at one of the places.
    #[must_use]
    pub fn is_unsigned(&self) -> bool {
        match self {
            Self::Unsigned(_) | Self::CacheUnsigned { .. } | Self::Web(_) => true,
            Self::Places { failures, .. } => failures.iter().any(|it| it.error.is_unsigned()),
            _ => false,
        }
    }

    /// Whether, and when, another try is worth it.
    #[must_use]
    pub fn again(&self) -> Again {
        match self {
            Self::Registry { source, .. } => source.again(),
            Self::Places { failures, .. } => soonest(failures),
            Self::CacheUnsigned { source, .. } => source.again(),
            Self::Status {
                after: Some(after), ..
            } => Again::After(*after),
            Self::Status { status, .. } if status.is_server_error() || status.as_u16() == 429 => {
                Again::Soon
            }
            Self::Http { source, .. } if source.is_passing() => Again::Soon,
            Self::Credentials {
                source: CredentialError::HelperSlow { .. },
                ..
            }
            | Self::Slow { .. }
            | Self::NotKept { .. }
            | Self::Cache(CacheError::Full { .. }) => Again::Soon,
            Self::Credentials { .. }
            | Self::Mirror { .. }
            | Self::Choice { .. }
            | Self::Nested { .. }
            | Self::NoModule(_)
            | Self::Unsigned(_)
            | Self::Web(_)
            | Self::Cache(_)
            | Self::Http { .. }
            | Self::Trust { .. }
            | Self::Status { .. }
            | Self::TooLarge { .. }
            | Self::Digest { .. }
            | Self::NotAModule { .. }
            | Self::Ended { .. } => Again::Late,
        }
    }
}

fn soonest(failures: &[PlaceFailure]) -> Again {
    let all = failures.iter().map(|it| it.error.again());
    let soonest = all.min_by_key(|again| match again {
        Again::Soon => Duration::ZERO,
        Again::After(pause) => *pause,
        Again::Late => Duration::MAX,
    });
    soonest.unwrap_or(Again::Late)
}

fn list(failures: &[PlaceFailure]) -> String {
    let all = failures.iter().map(|it| {
        // The place says already which image it is about.
        let cause = std::error::Error::source(&it.error);
        let reason = cause.map_or_else(|| it.error.to_string(), crate::chain);
        format!("{}: {reason}", it.place)
    });
    all.collect::<Vec<_>>().join("; ")
}
