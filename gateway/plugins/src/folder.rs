//! A folder that is ours alone. All files are reached through the open folder, so that what was
//! checked is what is used, whatever its path comes to mean.
//!
//! Owns who could have written there, for everything that is kept on disk and believed later.

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
use rustix::fs::Stat;
use rustix::io::Errno;

use crate::pieces;

/// How folders are opened: themselves, and not what a link leads to.
const FOLDER: OFlags = OFlags::DIRECTORY
    .union(OFlags::NOFOLLOW)
    .union(OFlags::RDONLY)
    .union(OFlags::CLOEXEC);

/// An open folder.
#[derive(Debug)]
pub struct Folder {
    path: PathBuf,
    handle: File,
}

/// A file of a folder.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Entry {
    /// Its name.
    pub name: String,
    /// Its size.
    pub bytes: u64,
    /// When it was written or touched last: seconds and nanoseconds of Unix time.
    pub modified: (i64, u64),
}

/// What there is of a name.
#[derive(Debug)]
pub enum Found {
    /// Nothing.
    Nothing,
    /// A file of ours, to read.
    Ours(File),
    /// A link, a folder, a device, or a file that others could have written.
    Foreign,
}

/// Why a folder is not used, or a file of it.
#[derive(Debug, thiserror::Error)]
pub enum FolderError {
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
    /// The folder belongs to somebody else.
    #[error("the folder {path} belongs to user {owner}")]
    NotOurs {
        /// The folder.
        path: PathBuf,
        /// Its owner's number.
        owner: u32,
    },
    /// Others may write to the folder.
    #[error("others may write to the folder {path}")]
    Open {
        /// The folder.
        path: PathBuf,
    },
}

impl Folder {
    /// Opens a folder, made if there is none, and makes sure that only we have access.
    ///
    /// # Errors
    ///
    /// [`FolderError`], also if others could have put something there. A link is not followed.
    pub fn open(path: &Path) -> Result<Self, FolderError> {
        let failed = |action| {
            move |source| FolderError::Io {
                action,
                path: path.to_owned(),
                source,
            }
        };
        let mut builder = DirBuilder::new();
        builder.recursive(true).mode(0o700);
        builder.create(path).map_err(failed("make the folder"))?;
        let handle = rustix::fs::open(path, FOLDER, Mode::empty())
            .map_err(|err| failed("open the folder")(err.into()))?;
        Self::checked(path.to_owned(), handle.into())
    }

    /// The same for a folder in this one.
    ///
    /// # Errors
    ///
    /// As of [`Folder::open`].
    pub fn below(&self, name: &str) -> Result<Self, FolderError> {
        match rustix::fs::mkdirat(&self.handle, name, Mode::RWXU) {
            Ok(()) | Err(Errno::EXIST) => {}
            Err(err) => return Err(self.failed("make the folder", name, err.into())),
        }
        let handle = rustix::fs::openat(&self.handle, name, FOLDER, Mode::empty())
            .map_err(|err| self.failed("open the folder", name, err.into()))?;
        Self::checked(self.path.join(name), handle.into())
    }

    fn checked(path: PathBuf, handle: File) -> Result<Self, FolderError> {
        let failed = |action, err: Errno| FolderError::Io {
            action,
            path: path.clone(),
            source: err.into(),
        };
        let stat = rustix::fs::fstat(&handle).map_err(|err| failed("look at the folder", err))?;
        if stat.st_uid != rustix::process::geteuid().as_raw() {
            let owner = stat.st_uid;
            return Err(FolderError::NotOurs { path, owner });
        }
        let mode = Mode::from_raw_mode(stat.st_mode);
        if mode.intersects(Mode::WGRP | Mode::WOTH) {
            return Err(FolderError::Open { path });
        }
        if mode.intersects(Mode::RWXG | Mode::RWXO) {
            // Others could read what may be a secret; nothing that we would believe can be theirs.
            rustix::fs::fchmod(&handle, Mode::RWXU)
                .map_err(|err| failed("close to others the folder", err))?;
        }
        Ok(Self { path, handle })
    }

    /// Where it is.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// What it is open as, for calls that this type does not have.
    #[must_use]
    pub const fn handle(&self) -> &File {
        &self.handle
    }

    /// What there is of a name.
    ///
    /// # Errors
    ///
    /// [`FolderError::Io`] if there is something that cannot be opened.
    pub fn find(&self, name: &str) -> Result<Found, FolderError> {
        let flags = OFlags::RDONLY | OFlags::NOFOLLOW | OFlags::NONBLOCK | OFlags::CLOEXEC;
        let file = match rustix::fs::openat(&self.handle, name, flags, Mode::empty()) {
            Ok(file) => File::from(file),
            Err(Errno::NOENT) => return Ok(Found::Nothing),
            // A link is nothing of ours.
            Err(Errno::LOOP) => return Ok(Found::Foreign),
            Err(err) => return Err(self.failed("open", name, err.into())),
        };
        let stat =
            rustix::fs::fstat(&file).map_err(|err| self.failed("look at", name, err.into()))?;
        let mode = Mode::from_raw_mode(stat.st_mode);
        // It may have come while the folder was open to others.
        let is_ours = is_file(&stat)
            && stat.st_uid == rustix::process::geteuid().as_raw()
            && !mode.intersects(Mode::WGRP | Mode::WOTH);
        Ok(if is_ours {
            Found::Ours(file)
        } else {
            Found::Foreign
        })
    }

    /// A file of ours, to read; `None` if there is none. What is none of ours is removed.
    ///
    /// # Errors
    ///
    /// As of [`Folder::find`].
    pub fn find_or_remove(&self, name: &str) -> Result<Option<File>, FolderError> {
        Ok(match self.find(name)? {
            Found::Ours(file) => Some(file),
            Found::Nothing => None,
            Found::Foreign => {
                self.remove(name);
                None
            }
        })
    }

    /// The content of an open file; `None` if there is more than `limit`.
    ///
    /// # Errors
    ///
    /// [`FolderError::Io`].
    pub fn read(
        &self,
        file: &File,
        name: &str,
        limit: u64,
    ) -> Result<Option<Vec<u8>>, FolderError> {
        let expected = file.metadata().map_or(0, |it| it.len()).min(limit);
        let mut bytes = Vec::with_capacity(usize::try_from(expected).unwrap_or(0) + 1);
        pieces::read(file.take(limit + 1), &mut bytes)
            .map_err(|source| self.failed("read", name, source))?;
        Ok((bytes.len() as u64 <= limit).then_some(bytes))
    }

    /// The bytes of the file of that name; `None` if there is no such file.
    #[must_use]
    pub fn size(&self, name: &str) -> Option<u64> {
        Some(self.entry(name.to_owned())?.bytes)
    }

    /// Makes a file the one used last. Best effort.
    pub fn touch(&self, name: &str) {
        let now = rustix::fs::Timespec {
            tv_sec: 0,
            tv_nsec: rustix::fs::UTIME_NOW,
        };
        let times = rustix::fs::Timestamps {
            last_access: now,
            last_modification: now,
        };
        rustix::fs::utimensat(&self.handle, name, &times, AtFlags::SYMLINK_NOFOLLOW).ok();
    }

    /// Removes a file, if there is one. Best effort.
    pub fn remove(&self, name: &str) {
        rustix::fs::unlinkat(&self.handle, name, AtFlags::empty()).ok();
    }

    /// All files.
    ///
    /// # Errors
    ///
    /// [`FolderError::Io`].
    pub fn entries(&self) -> Result<Vec<Entry>, FolderError> {
        let names = self.names()?.into_iter();
        Ok(names.filter_map(|name| self.entry(name)).collect())
    }

    /// The names of everything in it, but those that are not UTF-8: none of ours is.
    ///
    /// # Errors
    ///
    /// [`FolderError::Io`].
    pub fn names(&self) -> Result<Vec<String>, FolderError> {
        let list = rustix::fs::Dir::read_from(&self.handle);
        let list = list.map_err(|err| self.failed("list", ".", err.into()))?;
        let names = list.filter_map(|entry| {
            let name = entry.ok()?.file_name().to_str().ok()?.to_owned();
            (name != "." && name != "..").then_some(name)
        });
        Ok(names.collect())
    }

    fn entry(&self, name: String) -> Option<Entry> {
        let stat = rustix::fs::statat(&self.handle, &*name, AtFlags::SYMLINK_NOFOLLOW).ok()?;
        is_file(&stat).then_some(())?;
        Some(Entry {
            bytes: u64::try_from(stat.st_size).ok()?,
            modified: (stat.st_mtime, stat.st_mtime_nsec),
            name,
        })
    }

    /// Why something with a file of it failed.
    #[must_use]
    pub fn failed(&self, action: &'static str, name: &str, source: io::Error) -> FolderError {
        FolderError::Io {
            action,
            path: self.path.join(name),
            source,
        }
    }
}

fn is_file(stat: &Stat) -> bool {
    FileType::from_raw_mode(stat.st_mode).is_file()
}
