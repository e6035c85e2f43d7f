//! Compiled plugins on disk, so that a restart does not compile again what it has compiled before.
//!
//! Owns the files: one an entry, with a SHA-256 of the code behind it, in a folder that is ours
//! alone. An entry is read into memory of our own, verified there, and only then used; one that is
//! not what was written is deleted. What was not used for longest goes first when it gets too much.
//!
//! Nothing here fails a start: without a cache plugins are compiled.

#![expect(
    unsafe_code,
    reason = "whoever keeps compiled code promises that it is its own; see CodeFolder"
)]

use std::path::Path;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::AtomicU64;
use std::sync::atomic::Ordering;

use sha2::Digest as _;
use sha2::Sha256;
use tidegate_host_abi::CodeCache;

use crate::plugins::chain;
use crate::state::StateError;
use crate::state::folder::Folder;

/// Bytes of all entries.
const MOST_BYTES: u64 = 512 << 20;
/// What an entry ends with; other forms of entries have other ends.
const MAGIC: &[u8] = b"tidegate code 1\n";
/// Bytes of a SHA-256.
const DIGEST: usize = 32;
/// What the names of entries end with.
const SUFFIX: &str = ".code";

/// What became of look-ups.
#[derive(Debug, Default)]
pub(crate) struct Counts {
    pub(crate) hits: AtomicU64,
    pub(crate) misses: AtomicU64,
    /// Entries that were not what was written, or that this version cannot run.
    pub(crate) rejected: AtomicU64,
    /// Entries that made room.
    pub(crate) evicted: AtomicU64,
}

/// A folder of compiled code.
#[derive(Debug)]
pub(crate) struct CodeFolder {
    folder: Folder,
    most_bytes: u64,
    counts: Arc<Counts>,
}

impl CodeFolder {
    /// Opens the folder; makes it if there is none, for us alone.
    ///
    /// # Errors
    ///
    /// [`StateError`], also if the folder is not ours alone.
    pub(crate) fn open(path: &Path) -> Result<Self, StateError> {
        Self::open_with(path, MOST_BYTES)
    }

    fn open_with(path: &Path, most_bytes: u64) -> Result<Self, StateError> {
        let folder = Folder::open(path)?;
        folder.sweep();
        Ok(Self {
            folder,
            most_bytes,
            counts: Arc::default(),
        })
    }

    /// The folder of that path, or a warning that there is none.
    pub(crate) fn open_or_warn(path: &Path) -> Option<Self> {
        match Self::open(path) {
            Ok(folder) => {
                tracing::debug!("compiled plugins are kept in {}", path.display());
                Some(folder)
            }
            Err(err) => {
                tracing::warn!("compiled plugins are not kept: {}", chain(&err));
                None
            }
        }
    }

    /// Where it is.
    pub(crate) fn path(&self) -> &Path {
        self.folder.path()
    }

    /// What became of look-ups so far.
    pub(crate) fn counts(&self) -> &Arc<Counts> {
        &self.counts
    }

    /// Deletes what was not used for longest until the rest fits.
    fn make_room(&self, except: &str) {
        let Ok(mut entries) = self.folder.entries() else {
            return;
        };
        entries.retain(|entry| entry.name.ends_with(SUFFIX));
        entries.sort_by_key(|entry| entry.modified);
        let mut bytes: u64 = entries.iter().map(|entry| entry.bytes).sum();
        for entry in entries {
            if bytes <= self.most_bytes {
                return;
            }
            if entry.name != except {
                self.folder.remove(&entry.name);
                self.counts.evicted.fetch_add(1, Ordering::Relaxed);
                bytes -= entry.bytes;
            }
        }
    }
}

/// The code of an entry, if it is what was written.
fn verified(mut entry: Vec<u8>) -> Option<Vec<u8>> {
    let code = entry.len().checked_sub(MAGIC.len() + DIGEST)?;
    let (bytes, end) = entry.split_at_checked(code)?;
    let expected = end.strip_suffix(MAGIC)?;
    if Sha256::digest(bytes).as_slice() != expected {
        return None;
    }
    entry.truncate(code);
    Some(entry)
}

fn file(key: &str) -> String {
    format!("{key}{SUFFIX}")
}

// SAFETY: The folder belongs to our user and nobody else can write to it, which was checked on the
// open folder through which every file is reached without following links (`Folder::open`). So what
// is in it under a key was put there by a process of ours, by `save`, which replaces files as a
// whole. `load` reads it into a vector of this process and compares its SHA-256 there, so that a
// file that was damaged or is cut is not returned.
unsafe impl CodeCache for CodeFolder {
    fn load(&self, key: &str) -> Option<Vec<u8>> {
        let count = |of: &AtomicU64| of.fetch_add(1, Ordering::Relaxed);
        let name = file(key);
        let entry = match self.folder.content(&name, self.most_bytes) {
            Ok(Some(entry)) => entry,
            Ok(None) => {
                count(&self.counts.misses);
                return None;
            }
            Err(err) => {
                tracing::warn!("a compiled plugin cannot be read: {}", chain(&err));
                self.discard(key);
                return None;
            }
        };
        match verified(entry) {
            Some(code) => {
                count(&self.counts.hits);
                self.folder.touch(&name);
                Some(code)
            }
            None => {
                tracing::warn!("{name} in the code cache is damaged: it is deleted");
                self.discard(key);
                None
            }
        }
    }

    fn save(&self, key: &str, code: &[u8]) {
        let name = file(key);
        let bytes = MAGIC.len() + DIGEST + code.len();
        if u64::try_from(bytes).unwrap_or(u64::MAX) > self.most_bytes {
            return;
        }
        let mut entry = Vec::with_capacity(bytes);
        entry.extend_from_slice(code);
        entry.extend_from_slice(&Sha256::digest(code));
        entry.extend_from_slice(MAGIC);
        // Nobody waits for the disk: what a loss of power leaves of it is found out by its SHA-256.
        match self.folder.place(&name, &entry) {
            Ok(()) => self.make_room(&name),
            Err(err) => tracing::warn!("a compiled plugin is not kept: {}", chain(&err)),
        }
    }

    fn discard(&self, key: &str) {
        self.counts.rejected.fetch_add(1, Ordering::Relaxed);
        self.folder.remove(&file(key));
    }
}

/// Where compiled code is kept: where `chosen` says, or else in or beside the state folder. `None` is
/// nowhere.
pub(crate) fn folder(
    chosen: Option<&Path>,
    state_dir: Option<&Path>,
    default_state: Option<&Path>,
) -> Option<PathBuf> {
    const OFF: &str = "off";

    match (chosen, state_dir) {
        (Some(chosen), _) => (chosen != Path::new(OFF)).then(|| chosen.to_owned()),
        (None, Some(state)) => (state != Path::new(OFF)).then(|| state.join("code")),
        // Each configuration has a state of its own there; code is the same for all.
        (None, None) => Some(default_state?.parent()?.join("code")),
    }
}

#[cfg(test)]
mod tests;
