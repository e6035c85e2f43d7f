//! From a tag or digest to one image, through indexes.

use crate::layout;
use crate::pull::PullError;
use crate::pull::place::registry_error;
use crate::reference::Reference;
use crate::registry::FetchedManifest;
use crate::registry::Registry;
use crate::registry::RegistryError;
use crate::registry::manifest::Manifest;
use crate::registry::manifest::Parsed;

/// How deep indexes may lie in indexes.
const MOST_INDEXES: usize = 2;

/// An image that a registry has: what the reference led to, and the manifest in the end.
#[derive(Debug)]
pub(super) struct Resolved {
    pub(super) top: FetchedManifest,
    pub(super) fetched: FetchedManifest,
    pub(super) manifest: Manifest,
}

/// From a tag or digest to one image.
pub(super) async fn resolve(registry: &Registry, place: &Reference) -> Result<Resolved, PullError> {
    let failed = |source| registry_error(place, source);
    let top = registry.manifest(&place.manifest()).await.map_err(failed)?;
    let mut fetched = top.clone();
    for _ in 0..=MOST_INDEXES {
        let parsed = fetched.parse().map_err(|reason| {
            failed(RegistryError::ManifestForm {
                image: place.with_digest(fetched.digest).to_string(),
                reason,
            })
        })?;
        let index = match parsed {
            Parsed::Image(manifest) => {
                return Ok(Resolved {
                    top,
                    fetched,
                    manifest: *manifest,
                });
            }
            Parsed::Index(index) => index,
        };
        let chosen = layout::choose(&index).map_err(|source| PullError::Choice {
            image: place.to_string(),
            source,
        })?;
        let digest = chosen.digest.to_string();
        fetched = registry.manifest(&digest).await.map_err(failed)?;
    }
    Err(PullError::Nested {
        image: place.to_string(),
    })
}
