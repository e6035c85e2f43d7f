//! Files that are being written, and those that just were.
//!
//! Owns their names, when they are on the disk, and who they belong to: whoever writes one holds its lock.
//! A file that nobody holds is what a killed process left.

use std::fs::File;
use std::io;
use std::io::Seek as _;
use std::io::Write;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::AtomicU64;
use std::sync::atomic::Ordering;

use rustix::fs::AtFlags;
use rustix::fs::FlockOperation;
use rustix::fs::Mode;
use rustix::fs::OFlags;

use crate::cache::CacheError;
use crate::cache::room::Part;
use crate::folder::Folder;
use crate::folder::FolderError;
use crate::layout::Output;

/// What files are called until they are whole.
const SUFFIX: &str = ".new";
/// Names that are tried; each may be another process's.
const MOST_NAMES: usize = 100;

/// A file that is being written; it vanishes when dropped.
#[derive(Debug)]
pub(crate) struct Unfinished {
    file: Option<File>,
    /// The folder once more: files may outlive the cache.
    folder: Arc<File>,
    path: PathBuf,
    name: String,
    /// What it has of the cache's room, if it counts.
    part: Option<Part>,
}

/// Whether a file is called like one that is being written.
pub(super) fn is_one(name: &str) -> bool {
    name.ends_with(SUFFIX)
}

/// A file that has its name, and may not be on the disk yet. A loss of power may take it away, or leave
/// anything in its place: whatever is in the cache is checked when it is read.
#[derive(Debug)]
pub struct Placed {
    file: Arc<File>,
    folder: Arc<File>,
    path: PathBuf,
    name: String,
}

impl Placed {
    /// Waits until a loss of power cannot take it away any more. If that fails, it is removed.
    pub(crate) fn settle(&self) -> Result<(), CacheError> {
        // The file first: most file systems write its name with it.
        let durable = self.file.sync_data().and_then(|()| self.folder.sync_all());
        durable.map_err(|source| {
            rustix::fs::unlinkat(&self.folder, &self.name, AtFlags::empty()).ok();
            failed(self.path.join(&self.name), source)
        })
    }

    /// The open file, with the lock of whoever wrote it.
    pub(super) fn file(&self) -> Arc<File> {
        Arc::clone(&self.file)
    }
}

impl Unfinished {
    /// A new file.
    pub(super) fn new(folder: &Folder) -> Result<Self, CacheError> {
        Self::with_part(folder, None)
    }

    /// One that counts towards the cache's bound.
    pub(super) fn with_part(folder: &Folder, part: Option<Part>) -> Result<Self, CacheError> {
        for _ in 0..MOST_NAMES {
            if let Some((name, file)) = create(folder)? {
                let handle = folder.handle().try_clone();
                return Ok(Self {
                    folder: Arc::new(handle.map_err(|err| folder.failed("open", &name, err))?),
                    path: folder.path().to_owned(),
                    file: Some(file),
                    name,
                    part,
                });
            }
        }
        let taken = io::ErrorKind::AlreadyExists.into();
        Err(folder
            .failed("find a name for a file in", ".", taken)
            .into())
    }

    /// How much was written.
    pub(crate) fn bytes(&self) -> Result<u64, CacheError> {
        let metadata = self.open().and_then(File::metadata);
        metadata.map(|it| it.len()).map_err(|err| self.failed(err))
    }

    /// Waits until a loss of power cannot take its content away; its name it can.
    pub(super) fn sync(&self) -> Result<(), CacheError> {
        let synced = self.open().and_then(File::sync_data);
        synced.map_err(|err| self.failed(err))
    }

    /// Gives it its name: who looks sees all of it or nothing. After a loss of power that may change until
    /// [`Placed::settle`].
    pub(super) fn place(mut self, name: &str) -> Result<Placed, CacheError> {
        let placed = rustix::fs::renameat(&self.folder, &self.name, &self.folder, name);
        placed.map_err(|err| self.failed(err.into()))?;
        let file = self.file.take();
        let gone = || self.failed(io::ErrorKind::NotFound.into());
        Ok(Placed {
            file: Arc::new(file.ok_or_else(gone)?),
            folder: Arc::clone(&self.folder),
            path: self.path.clone(),
            name: name.to_owned(),
        })
    }

    /// A second handle, from the beginning, to read what was written.
    pub(crate) fn reader(&self) -> Result<File, CacheError> {
        let opened = self.open().and_then(|file| {
            let mut reader = file.try_clone()?;
            reader.rewind()?;
            Ok(reader)
        });
        opened.map_err(|err| self.failed(err))
    }

    /// Why something with it failed.
    pub(crate) fn failed(&self, source: io::Error) -> CacheError {
        failed(self.path.join(&self.name), source)
    }

    fn open(&self) -> io::Result<&File> {
        self.file.as_ref().ok_or(io::ErrorKind::NotFound.into())
    }
}

impl Drop for Unfinished {
    fn drop(&mut self) {
        if self.file.is_some() {
            rustix::fs::unlinkat(&self.folder, &self.name, AtFlags::empty()).ok();
        }
    }
}

impl Write for Unfinished {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        if let Some(part) = &mut self.part {
            part.grow(bytes.len() as u64)?;
        }
        self.open()?.write(bytes)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl Output for Unfinished {
    fn restart(&mut self) -> io::Result<()> {
        let mut file = self.open()?;
        file.set_len(0)?;
        file.rewind()?;
        if let Some(part) = &mut self.part {
            part.restart();
        }
        Ok(())
    }
}

fn failed(path: PathBuf, source: io::Error) -> CacheError {
    let error = FolderError::Io {
        action: "write",
        path,
        source,
    };
    error.into()
}

/// A new file with its lock; `None` if its name is taken, or somebody swept it away already.
fn create(folder: &Folder) -> Result<Option<(String, File)>, CacheError> {
    static NUMBER: AtomicU64 = AtomicU64::new(0);
    let number = NUMBER.fetch_add(1, Ordering::Relaxed);
    let name = format!("{}-{number}{SUFFIX}", std::process::id());
    let flags = OFlags::RDWR | OFlags::CREATE | OFlags::EXCL | OFlags::CLOEXEC;
    let file = match rustix::fs::openat(folder.handle(), &*name, flags, Mode::RUSR | Mode::WUSR) {
        Ok(file) => File::from(file),
        // Of a process with our number in another container.
        Err(rustix::io::Errno::EXIST) => return Ok(None),
        Err(err) => return Err(folder.failed("make", &name, err.into()).into()),
    };
    let is_locked = rustix::fs::flock(&file, FlockOperation::NonBlockingLockExclusive).is_ok();
    let is_there = rustix::fs::fstat(&file).is_ok_and(|stat| stat.st_nlink > 0);
    Ok((is_locked && is_there).then_some((name, file)))
}

/// Removes what processes left that were killed: nobody has its lock.
pub(super) fn sweep(folder: &Folder) {
    for entry in folder.entries().unwrap_or_default() {
        if !entry.name.ends_with(SUFFIX) {
            continue;
        }
        let Ok(Some(file)) = folder.find_or_remove(&entry.name) else {
            continue;
        };
        if rustix::fs::flock(&file, FlockOperation::NonBlockingLockExclusive).is_ok() {
            folder.remove(&entry.name);
        }
    }
}
