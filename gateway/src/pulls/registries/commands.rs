//! What commands ask of registries: the digest of a tag, an image with what is said about it, and to
//! take an image.

use std::collections::BTreeMap;
use std::sync::Arc;

use tidegate_config::draft::PullCredentials;
use tidegate_plugin_store::Digest;
use tidegate_plugin_store::Reference;
use tidegate_plugin_store::credentials::Given;
use tidegate_plugin_store::progress::Progress;
use tidegate_plugin_store::progress::Silent;
use tidegate_plugin_store::pull::PullPolicy;
use tidegate_plugin_store::pull::Pulled;
use tidegate_plugin_store::pull::Wanted;
use tidegate_plugin_store::push::Image;
use tidegate_plugin_store::push::Pushed;
use tidegate_plugin_store::registry::manifest::Manifest;

use super::LATEST;
use super::Registries;
use super::given;

/// A reference that is to get a digest.
#[derive(Debug)]
pub(crate) struct Pinned {
    /// What is asked for.
    pub(crate) by_tag: Reference,
    /// What the digest is written behind.
    pub(crate) written: String,
}

impl Registries {
    /// What a reference is to be pinned as; `None` if it is.
    ///
    /// # Errors
    ///
    /// What is wrong with it.
    pub(crate) fn pin(&self, reference: &str, update: bool) -> anyhow::Result<Option<Pinned>> {
        let image: Reference = reference.parse()?;
        let before = reference.split('@').next().unwrap_or(reference);
        let by_tag = match (image.digest(), image.tag()) {
            (Some(_), Some(tag)) if update => image.with_tag(tag)?,
            (Some(_), _) => return Ok(None),
            (None, _) => image,
        };
        // A tag that goes without saying is said: behind it the digest is.
        let has_tag = before
            .rsplit('/')
            .next()
            .is_some_and(|last| last.contains(':'));
        let written = if has_tag {
            before.to_owned()
        } else {
            format!("{before}:{LATEST}")
        };
        Ok(Some(Pinned { by_tag, written }))
    }

    /// The digest that a tag has now. If its image must be signed, it is pulled by that digest.
    ///
    /// # Errors
    ///
    /// Why it cannot be told, or that its image would be refused for want of a signature.
    pub(crate) async fn locked(
        &self,
        image: &Reference,
        credentials: &PullCredentials,
    ) -> anyhow::Result<Digest> {
        let store = self.store().map_err(anyhow::Error::msg)?;
        let given = given(credentials);
        let wanted = Wanted {
            image,
            given: given.as_ref(),
            policy: PullPolicy::Always,
        };
        let digest = store.resolve(wanted).await?;
        if self.needs_signature(image) {
            let pinned = image.with_digest(digest);
            let wanted = Wanted {
                image: &pinned,
                ..wanted
            };
            store.pull(wanted, &Silent).await?;
        }
        Ok(digest)
    }

    /// An image for a command: newest, or what is in the cache if nobody answers.
    ///
    /// # Errors
    ///
    /// Why it cannot be had.
    pub(crate) async fn get(
        &self,
        image: &Reference,
        given: Option<&Given>,
        progress: &dyn Progress,
    ) -> anyhow::Result<Pulled> {
        let store = self.store().map_err(anyhow::Error::msg)?;
        let wanted = Wanted {
            image,
            given,
            policy: PullPolicy::Always,
        };
        Ok(store.pull(wanted, progress).await?)
    }

    /// When a tag was looked up last, in seconds since 1970; `None` if the cache does not have it.
    pub(crate) fn looked_up(&self, image: &Reference) -> Option<u64> {
        let store = self.store().ok()?;
        Some(store.cache.tag(image)?.checked_at)
    }

    /// Refuses nothing for want of a signature from now on, for who wants to see what is wrong.
    pub(crate) fn be_advisory(&self) {
        if let Some(file) = &self.policy {
            file.policy().set(file.policy().get().advisory());
        }
    }

    /// Sends an image to a registry.
    ///
    /// # Errors
    ///
    /// Why it is not there.
    pub(crate) async fn push(
        &self,
        to: &Reference,
        given: Option<&Given>,
        image: &Image,
        progress: &Arc<dyn Progress>,
    ) -> anyhow::Result<Pushed> {
        let store = self.store().map_err(anyhow::Error::msg)?;
        Ok(store.push(to, given, image, progress).await?)
    }

    /// What is said about an image that was just pulled.
    pub(crate) fn annotations(&self, pulled: &Pulled) -> BTreeMap<String, String> {
        let manifest = self.store().ok().and_then(|store| {
            let (raw, _) = store.cache.blob(pulled.manifest).ok()??;
            serde_json::from_slice::<Manifest>(&raw).ok()
        });
        manifest.map_or_else(BTreeMap::new, |manifest| manifest.annotations)
    }
}

#[cfg(test)]
mod tests {
    use super::super::open;
    use crate::cli::RegistryArgs;

    #[test]
    fn what_is_pinned_has_a_tag_and_a_digest_behind_it() {
        let registries = open(&RegistryArgs::default(), None).expect("flags");
        let digest = format!("sha256:{}", "0".repeat(64));
        let pin = |text: &str, update| {
            let pinned = registries.pin(text, update).expect("a reference");
            pinned.map(|pinned| (pinned.by_tag.to_string(), pinned.written))
        };
        let expected = |by_tag: &str, written: &str| Some((by_tag.to_owned(), written.to_owned()));
        assert_eq!(
            pin("r.test/a:1", false),
            expected("r.test/a:1", "r.test/a:1")
        );
        assert_eq!(
            pin("oci://r.test:5000/a", false),
            expected("r.test:5000/a:latest", "oci://r.test:5000/a:latest")
        );
        let both = format!("r.test/a:1@{digest}");
        assert_eq!(pin(&both, false), None);
        assert_eq!(pin(&both, true), expected("r.test/a:1", "r.test/a:1"));
        assert_eq!(pin(&format!("r.test/a@{digest}"), true), None);
        assert!(registries.pin("UPPER", false).is_err());
    }
}
