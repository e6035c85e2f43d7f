//! What is being written counts as well: towards the cache's bound, and towards what all of it may have.
//!
//! Owns the making of room: it is made while files grow, and not only once they are whole.

use std::io;
use std::sync::Arc;
use std::sync::atomic::AtomicU64;
use std::sync::atomic::Ordering;

use rustix::fs::FlockOperation;

use super::CacheCounts;
use super::lock;
use super::unfinished;
use crate::digest::Digest;
use crate::folder::Folder;

/// Most bytes that are written before room is made again.
const LONGEST_STRIDE: u64 = 8 << 20;

/// The room that all content has together.
#[derive(Debug)]
pub(super) struct Room {
    pub(super) blobs: Folder,
    pub(super) most_bytes: u64,
    pub(super) counts: CacheCounts,
    /// Bytes of the files that this process is writing.
    writing: AtomicU64,
}

impl Room {
    pub(super) fn new(blobs: Folder, most_bytes: u64) -> Self {
        Self {
            blobs,
            most_bytes,
            counts: CacheCounts::default(),
            writing: AtomicU64::new(0),
        }
    }

    /// Deletes what was not used for longest until the rest fits, with what is being written; never what
    /// somebody uses.
    pub(super) fn make(&self) {
        let Ok(mut entries) = self.blobs.entries() else {
            return;
        };
        let is_content = |name: &str| Digest::from_hex(name).is_some();
        entries.retain(|entry| is_content(&entry.name) || unfinished::is_one(&entry.name));
        entries.sort_by_key(|entry| entry.modified);
        let mut bytes: u64 = entries.iter().map(|entry| entry.bytes).sum();
        for entry in entries.iter().filter(|entry| is_content(&entry.name)) {
            if bytes <= self.most_bytes {
                return;
            }
            let Ok(Some(file)) = self.blobs.find_or_remove(&entry.name) else {
                continue;
            };
            if lock(&file, FlockOperation::NonBlockingLockExclusive).is_ok() {
                self.blobs.remove(&entry.name);
                self.counts.evicted.fetch_add(1, Ordering::Relaxed);
                bytes -= entry.bytes;
            }
        }
    }
}

/// The part of it that one file has which is being written.
#[derive(Debug)]
pub(super) struct Part {
    room: Arc<Room>,
    bytes: u64,
    /// With how many bytes room is made next.
    next: u64,
}

impl Part {
    pub(super) fn new(room: &Arc<Room>) -> Self {
        Self {
            room: Arc::clone(room),
            bytes: 0,
            next: 0,
        }
    }

    /// So much more is about to be written.
    ///
    /// # Errors
    ///
    /// [`io::ErrorKind::StorageFull`] if all that is being written would have more than all of the cache may.
    /// One that is too large by itself is told when it is whole.
    pub(super) fn grow(&mut self, bytes: u64) -> io::Result<()> {
        let most = self.room.most_bytes;
        let all = self.room.writing.fetch_add(bytes, Ordering::Relaxed) + bytes;
        self.bytes += bytes;
        if all > most && all > self.bytes {
            let why = format!("what is pulled at once has more than the {most} bytes of the cache");
            return Err(io::Error::new(io::ErrorKind::StorageFull, why));
        }
        if self.bytes > self.next {
            self.next = self.bytes + (most / 16).min(LONGEST_STRIDE);
            self.room.make();
        }
        Ok(())
    }

    /// Nothing of it is there any more.
    pub(super) fn restart(&mut self) {
        let before = std::mem::take(&mut self.bytes);
        self.room.writing.fetch_sub(before, Ordering::Relaxed);
        self.next = 0;
    }
}

impl Drop for Part {
    fn drop(&mut self) {
        self.restart();
    }
}
