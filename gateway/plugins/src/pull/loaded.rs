//! An image whose module is here: from the cache, or just pulled.

use std::sync::Arc;

use bytes::Bytes;

use crate::PluginCode;
use crate::cache::CacheError;
use crate::cache::ImageRecord;
use crate::cache::Pin;
use crate::cache::Placed;
use crate::digest::Digest;
use crate::layout::Artifact;
use crate::layout::Layout;
use crate::memory::Share;
use crate::progress::Progress;
use crate::pull::PullError;
use crate::pull::Pulled;
use crate::pull::Source;
use crate::pull::Store;
use crate::pull::Warning;
use crate::pull::blocking;
use crate::pull::signed::Judged;
use crate::reference::Reference;
use crate::registry::FetchedManifest;
use crate::registry::manifest::Parsed;
use crate::signatures::Verdict;

/// What is known of an image, and its module.
#[derive(Debug)]
pub(super) struct Loaded {
    pub(super) record: ImageRecord,
    pub(super) module: Bytes,
    /// `None` if it is no longer in the cache.
    pub(super) manifest: Option<Bytes>,
    pub(super) pins: Vec<Pin>,
    /// What was written for it just now.
    pub(super) placed: Vec<Placed>,
    pub(super) signature: Verdict,
    /// The memory that the module has while it is worked on.
    pub(super) memory: Option<Share>,
}

impl Store {
    /// What the cache has of an image; `None` if it no longer has the module. An error if the policy
    /// wants a signature that is not there.
    pub(super) async fn load(
        &self,
        image: &Reference,
        record: ImageRecord,
        progress: &dyn Progress,
    ) -> Result<Option<Loaded>, PullError> {
        let judged = self.judge_cached(image, &record, progress).await?;
        self.read(record, judged, progress).await
    }

    /// The same without the signatures, which are known already: only whether the module is that of
    /// the image.
    pub(super) async fn load_linked(
        &self,
        image: &Reference,
        record: ImageRecord,
        progress: &dyn Progress,
    ) -> Result<Option<Loaded>, PullError> {
        match self.link_cached(image, &record, progress).await? {
            Some(judged) => self.read(record, judged, progress).await,
            None => Ok(None),
        }
    }

    async fn read(
        &self,
        record: ImageRecord,
        judged: Judged,
        progress: &dyn Progress,
    ) -> Result<Option<Loaded>, PullError> {
        let bytes = self.cache.bytes_of(record.module);
        let memory = self.memory.take(bytes, progress).await;
        let cache = Arc::clone(&self.cache);
        let found = blocking(move || {
            let module = cache.blob(record.module)?;
            let manifest = cache.blob(record.manifest)?;
            // Who asked may have left: it is given back when it is used no more.
            Ok::<_, CacheError>((record, module, manifest, memory))
        });
        let (record, module, manifest, memory) = found.await??;
        let Some((module, pin)) = module else {
            return Ok(None);
        };
        let (manifest, second) = manifest.unzip();
        let mut pins = judged.pins;
        pins.extend([Some(pin), second].into_iter().flatten());
        Ok(Some(Loaded {
            record,
            module,
            manifest,
            pins,
            placed: Vec::new(),
            signature: judged.verdict,
            memory: Some(memory),
        }))
    }

    /// How an image of the cache is made, without reading its module; `None` if the cache no longer
    /// has its manifest.
    #[must_use]
    pub fn layout(&self, record: &ImageRecord) -> Option<Layout> {
        let (raw, _) = self.cache.blob(record.manifest).ok()??;
        Some(artifact(record, raw, 0)?.layout)
    }
}

impl Loaded {
    /// What the pull of this image came to.
    pub(super) fn pulled(self, image: &Reference, source: Source) -> Pulled {
        let artifact = self.artifact();
        let digest = self.record.digest;
        let tag = image.digest().is_none().then(|| Warning::Tag {
            pinned: image.with_digest(digest).to_string(),
        });
        let unsigned = match &self.signature {
            Verdict::Missing(why) => Some(Warning::Unsigned(why.clone())),
            Verdict::Off | Verdict::Valid { .. } => None,
        };
        Pulled {
            code: code(image, self.module, self.record.module),
            digest,
            manifest: self.record.manifest,
            artifact,
            source,
            warnings: tag.into_iter().chain(unsigned).collect(),
            signature: self.signature,
            pins: self.pins,
        }
    }

    fn artifact(&self) -> Option<Artifact> {
        let module_bytes = self.module.len() as u64;
        artifact(&self.record, self.manifest.clone()?, module_bytes)
    }
}

/// What an image is, by its manifest and what was found in it.
fn artifact(record: &ImageRecord, raw: Bytes, module_bytes: u64) -> Option<Artifact> {
    let ImageRecord {
        digest: _,
        manifest,
        media_type,
        module: _,
        layer,
        path,
    } = record;
    let fetched = FetchedManifest {
        digest: *manifest,
        media_type: media_type.clone(),
        raw,
    };
    let found = (path.clone(), module_bytes);
    match fetched.parse() {
        Ok(Parsed::Image(parsed)) => Some(Artifact::new(&parsed, media_type, *layer, found)),
        Ok(Parsed::Index(_)) | Err(_) => None,
    }
}

/// The code of an image, named after its repository.
fn code(image: &Reference, bytes: Bytes, digest: Digest) -> PluginCode {
    let name = image.repository().rsplit('/').next();
    PluginCode {
        name: name.unwrap_or_default().to_owned(),
        bytes,
        digest: *digest.as_bytes(),
    }
}
