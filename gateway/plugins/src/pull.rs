//! From a reference to the code of a plugin: all of it.
//!
//! Owns the order: what the cache has, else each place in turn, else what the cache had before. A
//! pull ends within its limit; whether and when it is tried again is the caller's to decide
//! ([`PullError::again`], [`crate::again::Backoff`]). Nothing here blocks another pull.

mod download;
mod error;
mod layers;
mod loaded;
mod outcome;
mod place;
mod resolve;
mod signed;

use std::sync::Arc;
use std::time::Duration;
use std::time::SystemTime;

use crate::cache::Cache;
use crate::cache::ImageRecord;
use crate::credentials::Credentials;
use crate::credentials::Given;
use crate::digest::Digest;
use crate::http::Client;
use crate::memory::Memory;
use crate::progress::Progress;
use crate::progress::Silent;
use crate::reference::Reference;
use crate::registry::Hosts;
use crate::registry::Mirrors;
use crate::registry::Tokens;
use crate::signatures::SharedPolicy;
use crate::signatures::Verdict;

pub use download::Download;
pub use error::PlaceFailure;
pub use error::PullError;
pub use outcome::Pulled;
pub use outcome::Source;
pub use outcome::Warning;

/// What a pull may take and how much.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PullLimits {
    /// Bytes of the layers of one image together.
    pub layer_bytes: u64,
    /// Bytes of a module, and of all that comes out of a layer.
    pub module_bytes: u64,
    /// For all of a pull.
    pub total: Duration,
}

impl Default for PullLimits {
    fn default() -> Self {
        Self {
            layer_bytes: 64 << 20,
            module_bytes: crate::MAX_MODULE_BYTES,
            total: Duration::from_secs(600),
        }
    }
}

/// Where plugins are pulled from, by what rules, and where they are kept.
#[derive(Debug)]
pub struct Store {
    /// What asks.
    pub client: Arc<Client>,
    /// The tokens that registries' servers gave.
    pub tokens: Arc<Tokens>,
    /// Where what was pulled is kept.
    pub cache: Arc<Cache>,
    /// Where credentials are looked for.
    pub credentials: Credentials,
    /// What is special about registries.
    pub hosts: Hosts,
    /// Other places of the same images.
    pub mirrors: Mirrors,
    /// Which images need a signature, and whose.
    pub signatures: Arc<SharedPolicy>,
    /// How much a pull may take.
    pub limits: PullLimits,
    /// How much all pulls may have in memory together.
    pub memory: Memory,
}

/// Whether a registry is asked about a tag that is known. Digests are never asked about.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum PullPolicy {
    /// What the cache has for the tag is used.
    #[default]
    IfNotPresent,
    /// The tag is looked up; what the cache has is used if it is still that, or if nobody answers.
    Always,
}

/// An image that is wanted.
#[derive(Debug, Clone, Copy)]
pub struct Wanted<'a> {
    /// The image.
    pub image: &'a Reference,
    /// Credentials for it alone.
    pub given: Option<&'a Given>,
    /// Whether to ask.
    pub policy: PullPolicy,
}

impl Store {
    /// Pulls an image, or takes it out of the cache.
    ///
    /// # Errors
    ///
    /// [`PullError`], if neither a registry nor the cache has it.
    pub async fn pull(
        &self,
        wanted: Wanted<'_>,
        progress: &dyn Progress,
    ) -> Result<Pulled, PullError> {
        let needs_no_question =
            wanted.image.digest().is_some() || wanted.policy == PullPolicy::IfNotPresent;
        if needs_no_question {
            match self.cached_with(wanted.image, progress).await {
                // Somebody may have signed it since.
                Ok(Some(pulled)) if !matches!(pulled.signature, Verdict::Missing(_)) => {
                    return Ok(pulled);
                }
                Ok(_) | Err(PullError::Unsigned(_)) => {}
                Err(err) => return Err(err),
            }
        }
        let limit = self.limits.total;
        let outcome = tokio::time::timeout(limit, self.ask_places(wanted, progress)).await;
        let failure = match outcome {
            Ok(Ok(pulled)) => return Ok(pulled),
            Ok(Err(failure)) => failure,
            Err(_) => PullError::Slow {
                image: wanted.image.to_string(),
                limit,
            },
        };
        match self.cached_with(wanted.image, progress).await {
            Ok(Some(pulled)) => Ok(Pulled {
                source: Source::CacheAfter(Box::new(failure)),
                ..pulled
            }),
            Ok(None) => Err(failure),
            Err(PullError::Unsigned(_)) if matches!(failure, PullError::Unsigned(_)) => {
                Err(failure)
            }
            Err(PullError::Unsigned(cached)) => Err(PullError::CacheUnsigned {
                cached,
                source: Box::new(failure),
            }),
            Err(err) => Err(err),
        }
    }

    /// The digest that a tag has now, without pulling the image.
    ///
    /// # Errors
    ///
    /// [`PullError`].
    pub async fn resolve(&self, wanted: Wanted<'_>) -> Result<Digest, PullError> {
        if let Some(digest) = wanted.image.digest() {
            return Ok(digest);
        }
        let limit = self.limits.total;
        let asked = tokio::time::timeout(limit, self.digest_at_places(wanted));
        asked.await.unwrap_or_else(|_| {
            Err(PullError::Slow {
                image: wanted.image.to_string(),
                limit,
            })
        })
    }

    /// What the cache has of an image, without asking anybody: for a start, which must not wait for
    /// a registry.
    ///
    /// # Errors
    ///
    /// [`PullError`] if the cache cannot be read, or what it has is not signed as it must be.
    pub async fn cached(&self, image: &Reference) -> Result<Option<Pulled>, PullError> {
        self.cached_with(image, &Silent).await
    }

    async fn cached_with(
        &self,
        image: &Reference,
        progress: &dyn Progress,
    ) -> Result<Option<Pulled>, PullError> {
        let Some(record) = self.known(image) else {
            return Ok(None);
        };
        let loaded = self.load(image, record, progress).await?;
        Ok(loaded.map(|it| it.pulled(image, Source::Cache)))
    }

    /// The digest that an image is known under in the cache.
    fn known(&self, image: &Reference) -> Option<ImageRecord> {
        let digest = image
            .digest()
            .or_else(|| self.cache.tag(image).map(|it| it.digest))?;
        self.cache.image(digest)
    }
}

/// Runs what reads, unpacks or hashes much where it holds nobody up.
async fn blocking<T: Send + 'static>(
    work: impl FnOnce() -> T + Send + 'static,
) -> Result<T, PullError> {
    let ended = tokio::task::spawn_blocking(work).await;
    ended.map_err(|source| PullError::Ended { source })
}

/// Seconds of Unix time, for records.
fn now() -> u64 {
    let since = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH);
    since.map_or(0, |it| it.as_secs())
}
