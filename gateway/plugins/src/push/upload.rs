//! Sending an image to a registry.

use std::sync::Arc;

use crate::credentials::Given;
use crate::digest::Digest;
use crate::progress::Progress;
use crate::progress::Step;
use crate::pull::PullError;
use crate::pull::PullPolicy;
use crate::pull::Store;
use crate::pull::Wanted;
use crate::push::Image;
use crate::reference::Reference;
use crate::registry::Purpose;
use crate::registry::RegistryError;

/// Why an image is not in the registry.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum PushError {
    /// The registry cannot be asked at all.
    #[error("cannot push to {image}")]
    Registry {
        /// The image.
        image: String,
        /// The reason.
        source: RegistryError,
    },
    /// There are no credentials to be had.
    #[error(transparent)]
    Prepare(#[from] PullError),
    /// A digest was named, and the image has another.
    #[error("{image} names a digest, and what is pushed has {actual}: push to a tag")]
    Digest {
        /// The reference.
        image: String,
        /// The digest of what would be pushed.
        actual: Digest,
    },
}

/// What a registry has now.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Pushed {
    /// The image, by its digest.
    pub pinned: Reference,
    /// Its digest.
    pub digest: Digest,
    /// Blobs that the registry had already.
    pub present: usize,
}

impl Store {
    /// Pushes an image. No mirror is asked: it goes where the reference says.
    ///
    /// # Errors
    ///
    /// [`PushError`]. The tag is moved last, once everything else is there.
    pub async fn push(
        &self,
        to: &Reference,
        given: Option<&Given>,
        image: &Image,
        progress: &Arc<dyn Progress>,
    ) -> Result<Pushed, PushError> {
        let failed = |source| PushError::Registry {
            image: to.to_string(),
            source,
        };
        if to.digest().is_some_and(|digest| digest != image.digest) {
            return Err(PushError::Digest {
                image: to.to_string(),
                actual: image.digest,
            });
        }
        let wanted = Wanted {
            image: to,
            given,
            policy: PullPolicy::Always,
        };
        let registry = self.registry(wanted, to, Purpose::Push).await?;
        let mut present = 0;
        for blob in &image.blobs {
            let digest = Digest::of(blob);
            if registry.has_blob(digest).await.map_err(failed)? {
                present += 1;
                progress.on(Step::Present { digest });
                continue;
            }
            let of = blob.len() as u64;
            let progress = Arc::clone(progress);
            let on_piece = Arc::new(move |bytes| progress.on(Step::Sending { digest, bytes, of }));
            let pushed = registry.push_blob(blob.clone(), Some(on_piece)).await;
            pushed.map_err(failed)?;
        }
        let manifest = image.manifest.clone();
        let pushed = registry.push_manifest(to.tag(), image.media_type, manifest);
        let digest = pushed.await.map_err(failed)?;
        Ok(Pushed {
            pinned: to.with_digest(digest),
            digest,
            present,
        })
    }
}
