//! What was pulled, on disk, so that a start needs no registry.
//!
//! Owns four folders: content by its digest, what images came to, which image a tag was last, and the
//! signatures of images.
//! Content is verified whenever it is read; what is damaged is deleted and pulled again. Several
//! processes may share a cache: files are replaced as a whole, and what one of them uses is locked
//! (`flock`), so that no other makes room with it. A crash leaves nothing that is not swept.

mod records;
mod room;
mod turns;
mod unfinished;

use std::fs::File;
use std::io;
use std::path::Path;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::AtomicU64;
use std::sync::atomic::Ordering;

use bytes::Bytes;
use rustix::fs::FlockOperation;

use crate::MAX_MODULE_BYTES;
use crate::cache::room::Part;
use crate::cache::room::Room;
use crate::cache::turns::Turns;
use crate::digest::Digest;
use crate::folder::Folder;
use crate::folder::FolderError;
use crate::pieces;

pub use records::ImageRecord;
pub use records::TagRecord;
pub use unfinished::Placed;
pub(crate) use unfinished::Unfinished;

/// Bytes of all content, unless the operator says otherwise.
pub const USUAL_BYTES: u64 = 2 << 30;

/// Why the cache cannot do something.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum CacheError {
    /// The system refuses.
    #[error("cannot {action} {path}")]
    Io {
        /// What was tried.
        action: &'static str,
        /// With what.
        path: PathBuf,
        /// The system's reason.
        source: io::Error,
    },
    /// The disk, or what we may have of it, is full.
    #[error("no space is left for {path}: free some, or choose another folder for the cache")]
    Full {
        /// What was being written.
        path: PathBuf,
        /// The system's reason.
        source: io::Error,
    },
    /// The folder belongs to somebody else, who could put other code there.
    #[error(
        "{path} belongs to user {owner}, who could put other code there: choose another folder for \
         the cache, or remove this one"
    )]
    NotOurs {
        /// The folder.
        path: PathBuf,
        /// Its owner's number.
        owner: u32,
    },
    /// Others may write to the folder.
    #[error("{path} can be written to by others: remove it, or take their right (chmod go-w)")]
    Open {
        /// The folder.
        path: PathBuf,
    },
    /// It is larger than all of the cache may be.
    #[error("{digest} has {bytes} bytes, and the cache in {path} may have {limit}: give it more")]
    TooLarge {
        /// The cache.
        path: PathBuf,
        /// The content.
        digest: Digest,
        /// Its size.
        bytes: u64,
        /// The limit.
        limit: u64,
    },
}

impl From<FolderError> for CacheError {
    fn from(err: FolderError) -> Self {
        match err {
            FolderError::NotOurs { path, owner } => Self::NotOurs { path, owner },
            FolderError::Open { path } => Self::Open { path },
            FolderError::Io {
                action,
                path,
                source,
            } => match source.kind() {
                io::ErrorKind::StorageFull
                | io::ErrorKind::QuotaExceeded
                | io::ErrorKind::FileTooLarge => Self::Full { path, source },
                _ => Self::Io {
                    action,
                    path,
                    source,
                },
            },
        }
    }
}

/// What became of the cache's content so far.
#[derive(Debug, Default)]
pub struct CacheCounts {
    /// Content that was there.
    pub hits: AtomicU64,
    /// Content that was not.
    pub misses: AtomicU64,
    /// Content that was damaged, and is deleted.
    pub damaged: AtomicU64,
    /// Content that made room.
    pub evicted: AtomicU64,
}

/// A cache in a folder.
#[derive(Debug)]
pub struct Cache {
    folder: Folder,
    /// The content.
    room: Arc<Room>,
    images: Folder,
    tags: Folder,
    signatures: Folder,
    turns: Turns,
}

/// Content that stays in the cache while this is held, in any process.
#[derive(Debug, Clone)]
pub struct Pin {
    /// Its lock is what counts.
    _file: Arc<File>,
}

impl Cache {
    /// Opens a cache of at most `most_bytes` of content; makes it if there is none, for us alone.
    ///
    /// # Errors
    ///
    /// [`CacheError`], also if others could have put something there.
    pub fn open(path: &Path, most_bytes: u64) -> Result<Self, CacheError> {
        let folder = Folder::open(path)?;
        let blobs = folder.below("blobs")?.below("sha256")?;
        let cache = Self {
            room: Arc::new(Room::new(blobs, most_bytes)),
            images: folder.below("images")?,
            tags: folder.below("tags")?,
            signatures: folder.below("signatures")?,
            folder,
            turns: Turns::default(),
        };
        let all = [cache.blobs(), &cache.images, &cache.tags, &cache.signatures];
        for folder in all {
            unfinished::sweep(folder);
        }
        Ok(cache)
    }

    /// Where it is.
    #[must_use]
    pub fn path(&self) -> &Path {
        self.folder.path()
    }

    /// What became of its content so far.
    #[must_use]
    pub fn counts(&self) -> &CacheCounts {
        &self.room.counts
    }

    fn blobs(&self) -> &Folder {
        &self.room.blobs
    }

    /// How many bytes the content of this digest has; 0 if there is none.
    pub(crate) fn bytes_of(&self, digest: Digest) -> u64 {
        self.blobs().size(&digest.to_hex()).unwrap_or(0)
    }

    /// Content of this digest, verified; it stays while the pin is held.
    ///
    /// # Errors
    ///
    /// [`CacheError::Io`] if it is there and cannot be read.
    pub fn blob(&self, digest: Digest) -> Result<Option<(Bytes, Pin)>, CacheError> {
        let name = digest.to_hex();
        let Some(file) = self.blobs().find_or_remove(&name)? else {
            self.counts().misses.fetch_add(1, Ordering::Relaxed);
            return Ok(None);
        };
        // Before it is read: nobody makes room with it from here on.
        let pin = shared(Arc::new(file));
        let pin = pin.map_err(|source| self.blobs().failed("lock", &name, source))?;
        let content = self.blobs().read(&pin._file, &name, MAX_MODULE_BYTES)?;
        if content.as_deref().map(Digest::of) != Some(digest) {
            tracing::warn!(
                "{name} in the cache {} is damaged: it is deleted",
                self.path().display()
            );
            self.counts().damaged.fetch_add(1, Ordering::Relaxed);
            self.blobs().remove(&name);
            return Ok(None);
        }
        self.counts().hits.fetch_add(1, Ordering::Relaxed);
        self.blobs().touch(&name);
        Ok(content.map(|content| (Bytes::from(content), pin)))
    }

    /// Keeps content; the digest is computed.
    ///
    /// # Errors
    ///
    /// [`CacheError`]; nothing of it is kept then.
    pub fn keep_bytes(&self, content: &[u8]) -> Result<(Digest, Pin), CacheError> {
        let digest = Digest::of(content);
        let (pin, placed) = self.place_bytes(content, digest)?;
        placed.settle()?;
        Ok((digest, pin))
    }

    /// Puts content of this digest in place. It is kept once it has settled.
    pub(crate) fn place_bytes(
        &self,
        content: &[u8],
        digest: Digest,
    ) -> Result<(Pin, Placed), CacheError> {
        let mut file = self.begin()?;
        pieces::write(&mut file, content).map_err(|err| file.failed(err))?;
        self.place(file, digest)
    }

    /// Waits until nobody else in this process fetches the same; lasts as long as what is returned.
    pub(crate) async fn turn(&self, of: String) -> impl Drop + use<> {
        self.turns.take(of).await
    }

    /// A file for content whose digest is not known yet. It vanishes unless it is kept.
    pub(crate) fn begin(&self) -> Result<Unfinished, CacheError> {
        Unfinished::with_part(self.blobs(), Some(Part::new(&self.room)))
    }

    /// Puts what was written in place, under the digest that it has. It is kept once it has settled.
    pub(crate) fn place(
        &self,
        file: Unfinished,
        digest: Digest,
    ) -> Result<(Pin, Placed), CacheError> {
        let bytes = file.bytes()?;
        if bytes > self.room.most_bytes {
            return Err(CacheError::TooLarge {
                path: self.path().to_owned(),
                digest,
                bytes,
                limit: self.room.most_bytes,
            });
        }
        let name = digest.to_hex();
        let placed = file.place(&name)?;
        let pin = shared(placed.file());
        let pin = pin.map_err(|source| self.blobs().failed("lock", &name, source))?;
        self.room.make();
        Ok((pin, placed))
    }
}

/// Keeps others from making room with a file. Whoever has it to itself has just written it, or is
/// about to remove it; neither is waited for, for that process may have been stopped.
fn shared(file: Arc<File>) -> io::Result<Pin> {
    match lock(&file, FlockOperation::NonBlockingLockShared) {
        Err(err) if err.kind() != io::ErrorKind::WouldBlock => Err(err),
        _ => Ok(Pin { _file: file }),
    }
}

fn lock(file: &File, how: FlockOperation) -> io::Result<()> {
    loop {
        match rustix::fs::flock(file, how) {
            Err(rustix::io::Errno::INTR) => {}
            outcome => return Ok(outcome?),
        }
    }
}

#[cfg(test)]
mod tests;
