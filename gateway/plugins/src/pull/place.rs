//! Asking the places of an image, one after the other.
//!
//! Owns which credentials go where: what was given for an image goes to the registry that its
//! reference names, and never to a mirror.

use std::sync::Arc;

use tokio::task::JoinSet;

use crate::cache::CacheError;
use crate::cache::ImageRecord;
use crate::cache::Pin;
use crate::cache::Placed;
use crate::cache::TagRecord;
use crate::credentials::Given;
use crate::digest::Digest;
use crate::progress::Progress;
use crate::progress::Step;
use crate::pull::PlaceFailure;
use crate::pull::PullError;
use crate::pull::Pulled;
use crate::pull::Source;
use crate::pull::Store;
use crate::pull::Wanted;
use crate::pull::Warning;
use crate::pull::blocking;
use crate::pull::loaded::Loaded;
use crate::pull::now;
use crate::pull::resolve::Resolved;
use crate::pull::resolve::resolve;
use crate::reference::Reference;
use crate::registry::Purpose;
use crate::registry::Registry;
use crate::registry::RegistryError;
use crate::signatures::Verdict;

impl Store {
    /// Pulls from the first place that has it.
    pub(super) async fn ask_places(
        &self,
        wanted: Wanted<'_>,
        progress: &dyn Progress,
    ) -> Result<Pulled, PullError> {
        let mut failures = Vec::new();
        for place in self.places(wanted.image)? {
            progress.on(Step::Asking {
                place: place.to_string(),
            });
            match self.pull_at(wanted, &place, progress).await {
                Ok(pulled) => return Ok(pulled),
                Err(error) => {
                    // What an image is made of is the same everywhere.
                    let is_final = !matches!(
                        error,
                        PullError::Registry { .. }
                            | PullError::Credentials { .. }
                            // The signatures may be somewhere else.
                            | PullError::Unsigned(_)
                    );
                    failures.push(PlaceFailure {
                        place: place.to_string(),
                        error,
                    });
                    if is_final {
                        break;
                    }
                }
            }
        }
        Err(joined(wanted.image, failures))
    }

    /// The digest of a tag, from the first place that says it.
    pub(super) async fn digest_at_places(&self, wanted: Wanted<'_>) -> Result<Digest, PullError> {
        let mut failures = Vec::new();
        for place in self.places(wanted.image)? {
            match self.digest_at(wanted, &place).await {
                Ok(digest) => return Ok(digest),
                Err(error) => failures.push(PlaceFailure {
                    place: place.to_string(),
                    error,
                }),
            }
        }
        Err(joined(wanted.image, failures))
    }

    /// A session with the registry that an image's reference names, to ask what refers to it.
    ///
    /// # Errors
    ///
    /// [`PullError`] if there are no credentials to be had, or the registry's address is none.
    pub async fn session(&self, wanted: Wanted<'_>) -> Result<Registry, PullError> {
        self.registry(wanted, wanted.image, Purpose::Pull).await
    }

    async fn digest_at(&self, wanted: Wanted<'_>, place: &Reference) -> Result<Digest, PullError> {
        let registry = self.registry(wanted, place, Purpose::Pull).await?;
        let failed = |source| registry_error(place, source);
        let tag = place.manifest();
        if let Some(digest) = registry.digest_of(&tag).await.map_err(failed)? {
            return Ok(digest);
        }
        Ok(registry.manifest(&tag).await.map_err(failed)?.digest)
    }

    fn places(&self, image: &Reference) -> Result<Vec<Reference>, PullError> {
        let places = self.mirrors.places(image);
        places.map_err(|source| PullError::Mirror {
            image: image.to_string(),
            source,
        })
    }

    /// The registry of a place, with the credentials for it.
    pub(crate) async fn registry(
        &self,
        wanted: Wanted<'_>,
        place: &Reference,
        purpose: Purpose,
    ) -> Result<Registry, PullError> {
        let is_own = place.registry() == wanted.image.registry();
        let given = wanted.given.filter(|given| match given {
            // It says itself which registry it is for.
            Given::DockerConfigJson(_) | Given::DockerConfig { .. } => true,
            Given::Password { .. }
            | Given::PasswordFiles { .. }
            | Given::Basic { .. }
            | Given::TokenFile(_) => is_own,
        });
        let credential = self.credentials.find(place, given).await;
        let credential = credential.map_err(|source| PullError::Credentials {
            image: place.to_string(),
            source,
        })?;
        let right = (purpose, credential);
        Registry::new(&self.client, &self.tokens, &self.hosts, place, right)
            .map_err(|source| registry_error(place, source))
    }

    async fn pull_at(
        &self,
        wanted: Wanted<'_>,
        place: &Reference,
        progress: &dyn Progress,
    ) -> Result<Pulled, PullError> {
        let registry = self.registry(wanted, place, Purpose::Pull).await?;
        if let Some(pulled) = self.unchanged(wanted, place, &registry, progress).await? {
            return Ok(pulled);
        }
        let resolved = resolve(&registry, place).await?;
        // Before anything of it is fetched, let alone looked into.
        let (signature, evidence) = self
            .judge_at(wanted.image, place, &registry, &resolved)
            .await?;
        // Whoever else pulls this image from there finds it in the cache, once it is remembered. From
        // there alone: a place that dawdles must not hold up another one.
        let image = place.with_digest(resolved.top.digest);
        let _turn = self.cache.turn(image.to_string()).await;
        let mut loaded = self
            .module_of((wanted.image, place), &registry, &resolved, progress)
            .await?;
        for (pin, placed) in self.place_manifests(&resolved).await? {
            loaded.pins.push(pin);
            loaded.placed.push(placed);
        }
        loaded.signature = signature;
        // A disk that hangs must not stop other pulls as well.
        loaded.memory = None;
        settle(loaded.placed.drain(..).chain(evidence).collect()).await?;
        // Only now: a loss of power must not leave a tag that leads to nothing where it led to something.
        settle(self.remember(wanted.image, loaded.record.clone()).await?).await?;
        let source = Source::Registry {
            place: place.to_string(),
        };
        let mut pulled = loaded.pulled(wanted.image, source);
        if registry.is_plain_far_away() {
            pulled.warnings.push(Warning::PlainHttp {
                host: place.registry().to_owned(),
            });
        }
        Ok(pulled)
    }

    /// What the cache has, if the registry says that the tag is still that.
    async fn unchanged(
        &self,
        wanted: Wanted<'_>,
        place: &Reference,
        registry: &Registry,
        progress: &dyn Progress,
    ) -> Result<Option<Pulled>, PullError> {
        let known = self.known(wanted.image);
        let Some(record) = known.filter(|_| wanted.image.digest().is_none()) else {
            return Ok(None);
        };
        let now = registry.digest_of(&place.manifest()).await;
        let now = now.map_err(|source| registry_error(place, source))?;
        let digest = record.digest;
        if now != Some(digest) {
            return Ok(None);
        }
        let source = Source::Unchanged {
            place: place.to_string(),
        };
        let loaded = match self.load(wanted.image, record, progress).await {
            Ok(Some(loaded)) if !matches!(loaded.signature, Verdict::Missing(_)) => loaded,
            // The registry may have a signature by now.
            Ok(_) | Err(PullError::Unsigned(_)) => return Ok(None),
            Err(err) => return Err(err),
        };
        Ok(Some(loaded.pulled(wanted.image, source)))
    }

    /// The module, from the cache if it is there under another name, else from the registry.
    async fn module_of(
        &self,
        (image, place): (&Reference, &Reference),
        registry: &Registry,
        resolved: &Resolved,
        progress: &dyn Progress,
    ) -> Result<Loaded, PullError> {
        if let Some(record) = self.cache.image(resolved.top.digest)
            && record.manifest == resolved.fetched.digest
            && let Some(loaded) = self.load_linked(image, record, progress).await?
        {
            return Ok(loaded);
        }
        let keeps_layer = self.is_ruled(image);
        self.take((place, keeps_layer), registry, resolved, progress)
            .await
    }

    /// Manifests are kept as they came: signatures are about their bytes.
    async fn place_manifests(&self, resolved: &Resolved) -> Result<Vec<(Pin, Placed)>, PullError> {
        let cache = Arc::clone(&self.cache);
        let mut manifests = vec![resolved.fetched.clone()];
        if resolved.top.digest != resolved.fetched.digest {
            manifests.push(resolved.top.clone());
        }
        let placed = blocking(move || {
            let placed = manifests
                .iter()
                .map(|manifest| cache.place_bytes(&manifest.raw, manifest.digest));
            placed.collect::<Result<Vec<_>, CacheError>>()
        });
        Ok(placed.await??)
    }

    async fn remember(
        &self,
        image: &Reference,
        record: ImageRecord,
    ) -> Result<Vec<Placed>, PullError> {
        let cache = Arc::clone(&self.cache);
        let tag = tag_record(image, record.digest);
        let placed = blocking(move || {
            let mut placed = vec![cache.keep_image(&record)?];
            placed.extend(tag.map(|tag| cache.keep_tag(&tag)).transpose()?);
            Ok::<_, CacheError>(placed)
        });
        Ok(placed.await??)
    }
}

/// Waits until files are on the disk, all of them at once: most file systems write them together then.
async fn settle(placed: Vec<Placed>) -> Result<(), PullError> {
    let mut waiting = JoinSet::new();
    for file in placed {
        waiting.spawn_blocking(move || file.settle());
    }
    while let Some(settled) = waiting.join_next().await {
        settled.map_err(|source| PullError::Ended { source })??;
    }
    Ok(())
}

/// What is remembered of a tag; nothing of a digest.
fn tag_record(image: &Reference, digest: Digest) -> Option<TagRecord> {
    image.digest().is_none().then(|| TagRecord {
        reference: image.to_string(),
        digest,
        checked_at: now(),
    })
}

pub(super) fn registry_error(place: &Reference, source: RegistryError) -> PullError {
    PullError::Registry {
        image: place.to_string(),
        source: Box::new(source),
    }
}

/// The only failure, or all of them.
fn joined(image: &Reference, mut failures: Vec<PlaceFailure>) -> PullError {
    match (failures.pop(), failures.is_empty()) {
        (Some(only), true) => only.error,
        (last, _) => {
            failures.extend(last);
            PullError::Places {
                image: image.to_string(),
                failures,
            }
        }
    }
}
