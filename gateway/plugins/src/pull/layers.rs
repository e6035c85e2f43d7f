//! Taking the module out of an image's layers.
//!
//! Owns the files in between: a layer is written to disk as it comes, and what is in it is written
//! next to it. Neither has a name that an image chose.

use std::io::Read as _;
use std::sync::Arc;

use bytes::Bytes;

use crate::cache::Cache;
use crate::cache::CacheError;
use crate::cache::ImageRecord;
use crate::cache::Pin;
use crate::cache::Placed;
use crate::cache::Unfinished;
use crate::digest::Digest;
use crate::digest::Hasher;
use crate::layout::Candidate;
use crate::layout::Kind;
use crate::layout::NoModule;
use crate::layout::Output;
use crate::layout::Tried;
use crate::layout::UnpackError;
use crate::layout::WhyNot;
use crate::layout::candidates;
use crate::layout::unpack;
use crate::memory::Share;
use crate::pieces;
use crate::progress::Progress;
use crate::progress::Step;
use crate::pull::PullError;
use crate::pull::Store;
use crate::pull::blocking;
use crate::pull::loaded::Loaded;
use crate::pull::place::registry_error;
use crate::pull::resolve::Resolved;
use crate::reference::Reference;
use crate::registry::Descriptor;
use crate::registry::Registry;
use crate::signatures::Verdict;

/// Bytes that come before progress is told of again.
const TELL_EVERY: u64 = 256 << 10;

/// A module that was found.
struct Module {
    digest: Digest,
    path: Option<String>,
    bytes: Bytes,
    pins: Vec<Pin>,
    placed: Vec<Placed>,
    memory: Share,
}

/// A module that was written, and is not read yet.
struct Written {
    file: Unfinished,
    digest: Digest,
    path: Option<String>,
    /// The layer that it comes from, if that is to be kept.
    layer: Option<(Unfinished, Digest)>,
}

/// A module on its way to disk.
struct Sink {
    file: Unfinished,
    hasher: Hasher,
}

impl std::io::Write for Sink {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        let written = self.file.write(bytes)?;
        self.hasher.update(bytes.get(..written).unwrap_or_default());
        Ok(written)
    }

    fn flush(&mut self) -> std::io::Result<()> {
        self.file.flush()
    }
}

impl Output for Sink {
    fn restart(&mut self) -> std::io::Result<()> {
        self.hasher = Hasher::default();
        self.file.restart()
    }
}

impl Store {
    /// Finds the module in an image, and keeps it; perhaps with the layer that it comes from.
    pub(super) async fn take(
        &self,
        (place, keeps_layer): (&Reference, bool),
        registry: &Registry,
        resolved: &Resolved,
        progress: &dyn Progress,
    ) -> Result<Loaded, PullError> {
        let mut tried = Vec::new();
        let mut left = self.limits.layer_bytes;
        for candidate in candidates(&resolved.manifest) {
            let Candidate {
                place: at,
                layer,
                skipped,
            } = candidate;
            let why = match skipped {
                Some(reason) => WhyNot::Skipped(reason),
                // One that is too large is an error, unless others used the room up.
                None if layer.size > left && left < self.limits.layer_bytes => {
                    WhyNot::Skipped("the layers before it were too large")
                }
                None => {
                    let file = self.receive(place, registry, layer, progress).await?;
                    left = left.saturating_sub(layer.size);
                    progress.on(Step::Unpacking {
                        digest: layer.digest,
                    });
                    match self
                        .look_into((file, layer.digest), keeps_layer, progress)
                        .await?
                    {
                        Ok(module) => return Ok(found(resolved, at, module)),
                        Err(why) => why,
                    }
                }
            };
            let is_deleted = why == WhyNot::Deleted;
            tried.push(Tried {
                place: at,
                media_type: layer.media_type.clone(),
                why,
            });
            if is_deleted {
                break;
            }
        }
        Err(PullError::NoModule(NoModule {
            image: place.to_string(),
            layers: resolved.manifest.layers.len(),
            tried,
        }))
    }

    /// A layer on disk, verified.
    async fn receive(
        &self,
        place: &Reference,
        registry: &Registry,
        layer: &Descriptor,
        progress: &dyn Progress,
    ) -> Result<Unfinished, PullError> {
        let failed = |source| registry_error(place, source);
        let limit = self.limits.layer_bytes;
        let mut blob = registry.blob(layer, limit).await.map_err(failed)?;
        let mut file = self.cache.begin()?;
        let mut bytes = 0;
        let mut told = 0;
        while let Some(piece) = blob.piece().await.map_err(failed)? {
            pieces::write(&mut file, &piece).map_err(|err| file.failed(err))?;
            bytes += piece.len() as u64;
            if bytes - told >= TELL_EVERY || bytes == layer.size {
                told = bytes;
                progress.on(Step::Receiving {
                    digest: layer.digest,
                    bytes,
                    of: layer.size,
                });
            }
        }
        Ok(file)
    }

    /// Looks for the module in a layer.
    async fn look_into(
        &self,
        (layer, digest): (Unfinished, Digest),
        keeps_layer: bool,
        progress: &dyn Progress,
    ) -> Result<Result<Module, WhyNot>, PullError> {
        let cache = Arc::clone(&self.cache);
        let limit = self.limits.module_bytes;
        let written = blocking(move || module_in(&cache, (layer, keeps_layer), digest, limit));
        let written = match written.await?? {
            Ok(written) => written,
            Err(why) => return Ok(Err(why)),
        };
        let memory = self.memory.take(written.file.bytes()?, progress).await;
        let cache = Arc::clone(&self.cache);
        Ok(Ok(blocking(move || kept(&cache, written, memory)).await??))
    }
}

fn module_in(
    cache: &Cache,
    (layer, keeps_layer): (Unfinished, bool),
    digest: Digest,
    limit: u64,
) -> Result<Result<Written, WhyNot>, CacheError> {
    // A layer that is the module is kept as it came.
    if Kind::of(&begin_of(&layer)?) == Kind::Module && layer.bytes()? <= limit {
        return Ok(Ok(Written {
            file: layer,
            digest,
            path: None,
            layer: None,
        }));
    }
    let mut sink = Sink {
        file: cache.begin()?,
        hasher: Hasher::default(),
    };
    let place = match unpack(layer.reader()?, &mut sink, limit) {
        Ok(place) => place,
        Err(UnpackError::None(why)) => return Ok(Err(why)),
        Err(UnpackError::Write(err)) => return Err(sink.file.failed(err)),
    };
    Ok(Ok(Written {
        digest: sink.hasher.finish(),
        file: sink.file,
        path: place.path,
        layer: keeps_layer.then_some((layer, digest)),
    }))
}

/// The first bytes of a layer.
fn begin_of(layer: &Unfinished) -> Result<Vec<u8>, CacheError> {
    let mut head = Vec::new();
    let read = layer.reader()?.take(8).read_to_end(&mut head);
    read.map_err(|err| layer.failed(err))?;
    Ok(head)
}

/// Keeps a module, which is read once more: it was hashed on its way into the file.
fn kept(cache: &Cache, written: Written, memory: Share) -> Result<Module, CacheError> {
    let Written {
        file,
        digest,
        path,
        layer,
    } = written;
    let mut bytes = Vec::with_capacity(usize::try_from(file.bytes()?).unwrap_or(0));
    let read = pieces::read(file.reader()?, &mut bytes);
    read.map_err(|err| file.failed(err))?;
    let (pin, settles) = cache.place(file, digest)?;
    let (mut pins, mut placed) = (vec![pin], vec![settles]);
    if let Some((layer, digest)) = layer {
        let (pin, settles) = cache.place(layer, digest)?;
        pins.push(pin);
        placed.push(settles);
    }
    Ok(Module {
        digest,
        path,
        bytes: Bytes::from(bytes),
        pins,
        placed,
        memory,
    })
}

fn found(resolved: &Resolved, layer: usize, module: Module) -> Loaded {
    let record = ImageRecord {
        digest: resolved.top.digest,
        manifest: resolved.fetched.digest,
        media_type: resolved.fetched.media_type.clone(),
        module: module.digest,
        layer,
        path: module.path,
    };
    Loaded {
        record,
        module: module.bytes,
        manifest: Some(resolved.fetched.raw.clone()),
        pins: module.pins,
        placed: module.placed,
        signature: Verdict::Off,
        memory: Some(module.memory),
    }
}
