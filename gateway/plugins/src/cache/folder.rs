//! A folder that is ours alone. All files are reached through the open folder, so that what was
//! checked is what is used, whatever its path comes to mean.

use std::fs::DirBuilder;
use std::fs::File;
use std::io;
use std::io::Read as _;
use std::os::unix::fs::DirBuilderExt as _;
use std::path::Path;
use std::path::PathBuf;

use rustix::fs::AtFlags;
use rustix::fs::FileType;
use rustix::fs::Mode;
use rustix::fs::OFlags;
use rustix::io::Errno;

use crate::cache::CacheError;

/// How folders are opened: themselves, and not what a link leads to.
const FOLDER: OFlags = OFlags::DIRECTORY
    .union(OFlags::NOFOLLOW)
    .union(OFlags::RDONLY)
    .union(OFlags::CLOEXEC);

/// An open folder.
#[derive(Debug)]
pub(super) struct Folder {
    path: PathBuf,
    handle: File,
}

/// A file of a folder.
#[derive(Debug)]
pub(super) struct Entry {
    pub(super) name: String,
    pub(super) bytes: u64,
    /// Seconds and nanoseconds.
    pub(super) modified: (i64, u64),
}

impl Folder {
    /// Opens a folder, made if there is none, and makes sure that only we have access.
    pub(super) fn open(path: &Path) -> Result<Self, CacheError> {
        let failed = |action| {
            let path = path.to_owned();
            move |source| error(action, path, source)
        };
        let mut builder = DirBuilder::new();
        builder.recursive(true).mode(0o700);
        builder.create(path).map_err(failed("make the folder"))?;
        let handle = rustix::fs::open(path, FOLDER, Mode::empty())
            .map_err(|err| failed("open the folder")(err.into()))?;
        Self::checked(path.to_owned(), handle.into())
    }

    /// The same for a folder in this one.
    pub(super) fn below(&self, name: &str) -> Result<Self, CacheError> {
        match rustix::fs::mkdirat(&self.handle, name, Mode::RWXU) {
            Ok(()) | Err(Errno::EXIST) => {}
            Err(err) => return Err(self.failed("make the folder", name, err.into())),
        }
        let handle = rustix::fs::openat(&self.handle, name, FOLDER, Mode::empty())
            .map_err(|err| self.failed("open the folder", name, err.into()))?;
        Self::checked(self.path.join(name), handle.into())
    }

    fn checked(path: PathBuf, handle: File) -> Result<Self, CacheError> {
        let failed = |action, err: Errno| error(action, path.clone(), err.into());
        let stat = rustix::fs::fstat(&handle).map_err(|err| failed("look at the folder", err))?;
        if stat.st_uid != rustix::process::geteuid().as_raw() {
            return Err(CacheError::NotOurs {
                path,
                owner: stat.st_uid,
            });
        }
        let mode = Mode::from_raw_mode(stat.st_mode);
        if mode.intersects(Mode::WGRP | Mode::WOTH) {
            return Err(CacheError::Open { path });
        }
        if mode.intersects(Mode::RWXG | Mode::RWXO) {
            // Code may be somebody's secret.
            rustix::fs::fchmod(&handle, Mode::RWXU)
                .map_err(|err| failed("close to others the folder", err))?;
        }
        Ok(Self { path, handle })
    }

    pub(super) fn path(&self) -> &Path {
        &self.path
    }

    pub(super) fn handle(&self) -> &File {
        &self.handle
    }

    /// A file of ours, to read; `None` if there is none, or if others could have written it.
    pub(super) fn open_file(&self, name: &str) -> Result<Option<File>, CacheError> {
        let flags = OFlags::RDONLY | OFlags::NOFOLLOW | OFlags::NONBLOCK | OFlags::CLOEXEC;
        let file = match rustix::fs::openat(&self.handle, name, flags, Mode::empty()) {
            Ok(file) => File::from(file),
            Err(Errno::NOENT) => return Ok(None),
            // A link is nothing of ours.
            Err(Errno::LOOP) => {
                self.remove(name);
                return Ok(None);
            }
            Err(err) => return Err(self.failed("open", name, err.into())),
        };
        let stat =
            rustix::fs::fstat(&file).map_err(|err| self.failed("look at", name, err.into()))?;
        let mode = Mode::from_raw_mode(stat.st_mode);
        let is_ours = FileType::from_raw_mode(stat.st_mode).is_file()
            && stat.st_uid == rustix::process::geteuid().as_raw()
            && !mode.intersects(Mode::WGRP | Mode::WOTH);
        if !is_ours {
            self.remove(name);
            return Ok(None);
        }
        Ok(Some(file))
    }

    /// The content of an open file; `None` if there is more than `limit`.
    pub(super) fn read_open(
        &self,
        file: &File,
        name: &str,
        limit: u64,
    ) -> Result<Option<Vec<u8>>, CacheError> {
        let expected = file.metadata().map_or(0, |it| it.len()).min(limit);
        let mut bytes = Vec::with_capacity(usize::try_from(expected).unwrap_or(0) + 1);
        file.take(limit + 1)
            .read_to_end(&mut bytes)
            .map_err(|source| self.failed("read", name, source))?;
        Ok((bytes.len() as u64 <= limit).then_some(bytes))
    }

    /// Makes a file the one used last. Best effort.
    pub(super) fn touch(file: &File) {
        let now = rustix::fs::Timespec {
            tv_sec: 0,
            tv_nsec: rustix::fs::UTIME_NOW,
        };
        let times = rustix::fs::Timestamps {
            last_access: now,
            last_modification: now,
        };
        rustix::fs::futimens(file, &times).ok();
    }

    /// All files.
    pub(super) fn entries(&self) -> Result<Vec<Entry>, CacheError> {
        let list = rustix::fs::Dir::read_from(&self.handle);
        let list = list.map_err(|err| self.failed("list", ".", err.into()))?;
        let entries = list.filter_map(|entry| {
            let name = entry.ok()?.file_name().to_str().ok()?.to_owned();
            let stat = rustix::fs::statat(&self.handle, &*name, AtFlags::SYMLINK_NOFOLLOW);
            let stat = stat.ok()?;
            let is_file = FileType::from_raw_mode(stat.st_mode).is_file();
            is_file.then_some(Entry {
                bytes: u64::try_from(stat.st_size).ok()?,
                modified: (stat.st_mtime, stat.st_mtime_nsec),
                name,
            })
        });
        Ok(entries.collect())
    }

    /// Removes a file, if there is one.
    pub(super) fn remove(&self, name: &str) {
        rustix::fs::unlinkat(&self.handle, name, AtFlags::empty()).ok();
    }

    /// Why something with a file of it failed.
    pub(super) fn failed(&self, action: &'static str, name: &str, source: io::Error) -> CacheError {
        error(action, self.path.join(name), source)
    }
}

pub(super) fn error(action: &'static str, path: PathBuf, source: io::Error) -> CacheError {
    match source.kind() {
        io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded | io::ErrorKind::FileTooLarge => {
            CacheError::Full { path, source }
        }
        _ => CacheError::Io {
            action,
            path,
            source,
        },
    }
}
