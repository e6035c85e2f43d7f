//! A folder that is ours alone, and files in it that are replaced as a whole.
//!
//! Owns the system calls. All of them go through the open folder, so that what was checked is what
//! is used, whatever its path comes to mean.

use std::fs::DirBuilder;
use std::fs::File;
use std::io::Read as _;
use std::io::Write as _;
use std::os::unix::fs::DirBuilderExt as _;
use std::path::Path;
use std::path::PathBuf;

use rustix::fs::AtFlags;
use rustix::fs::FileType;
use rustix::fs::Mode;
use rustix::fs::OFlags;
use rustix::process::Pid;

use crate::state::StateError;

/// What files are called until they are whole.
const UNFINISHED: &str = ".new";

/// An open folder.
#[derive(Debug)]
pub(crate) struct Folder {
    path: PathBuf,
    handle: File,
}

/// A file of a folder.
#[derive(Debug)]
pub(crate) struct Entry {
    pub(crate) name: String,
    pub(crate) bytes: u64,
    /// Seconds and nanoseconds.
    pub(crate) modified: (i64, u64),
}

impl Folder {
    /// Opens a folder, made if there is none, and makes sure that only we have access.
    pub(crate) fn open(path: &Path) -> Result<Self, StateError> {
        let failed = |action| {
            move |source: std::io::Error| StateError::Io {
                action,
                path: path.to_owned(),
                source,
            }
        };
        let mut builder = DirBuilder::new();
        builder.recursive(true).mode(0o700);
        builder.create(path).map_err(failed("make the folder"))?;
        let flags = OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::RDONLY | OFlags::CLOEXEC;
        let handle = rustix::fs::open(path, flags, Mode::empty())
            .map_err(|err| failed("open the folder")(err.into()))?;
        let stat =
            rustix::fs::fstat(&handle).map_err(|err| failed("look at the folder")(err.into()))?;
        if stat.st_uid != rustix::process::geteuid().as_raw() {
            return Err(StateError::NotOurs {
                path: path.to_owned(),
                owner: stat.st_uid,
            });
        }
        let mode = Mode::from_raw_mode(stat.st_mode);
        if mode.intersects(Mode::WGRP | Mode::WOTH) {
            return Err(StateError::Open {
                path: path.to_owned(),
            });
        }
        if mode.intersects(Mode::RWXG | Mode::RWXO) {
            // Others could read secrets; nothing that we would trust can have come from them.
            rustix::fs::fchmod(&handle, Mode::RWXU)
                .map_err(|err| failed("close to others the folder")(err.into()))?;
        }
        Ok(Self {
            path: path.to_owned(),
            handle: handle.into(),
        })
    }

    /// Keeps other processes from using the folder as we do, for as long as it is open.
    pub(crate) fn lock(&self) -> Result<(), StateError> {
        use rustix::fs::FlockOperation;
        match rustix::fs::flock(&self.handle, FlockOperation::NonBlockingLockExclusive) {
            Ok(()) => Ok(()),
            Err(rustix::io::Errno::WOULDBLOCK) => Err(StateError::InUse {
                path: self.path.clone(),
            }),
            Err(err) => Err(StateError::Io {
                action: "lock the folder",
                path: self.path.clone(),
                source: err.into(),
            }),
        }
    }

    /// A file's content; `None` if there is none.
    pub(crate) fn read(&self, name: &str, limit: u64) -> Result<Option<Vec<u8>>, StateError> {
        let flags = OFlags::RDONLY | OFlags::NOFOLLOW | OFlags::NONBLOCK | OFlags::CLOEXEC;
        let file = match rustix::fs::openat(&self.handle, name, flags, Mode::empty()) {
            Ok(file) => File::from(file),
            Err(rustix::io::Errno::NOENT) => return Ok(None),
            Err(err) => return Err(self.failed("open", name)(err.into())),
        };
        let stat =
            rustix::fs::fstat(&file).map_err(|err| self.failed("look at", name)(err.into()))?;
        let mode = Mode::from_raw_mode(stat.st_mode);
        let is_ours = FileType::from_raw_mode(stat.st_mode).is_file()
            && stat.st_uid == rustix::process::geteuid().as_raw()
            && !mode.intersects(Mode::WGRP | Mode::WOTH);
        if !is_ours {
            // It may have come while the folder was open to others.
            return Err(StateError::Foreign {
                path: self.path.join(name),
                reason: "others could have written it: remove it".to_owned(),
            });
        }
        let expected = stat.st_size;
        let expected = u64::try_from(expected).unwrap_or(0).min(limit);
        let mut bytes = Vec::with_capacity(usize::try_from(expected).unwrap_or(0) + 1);
        file.take(limit + 1)
            .read_to_end(&mut bytes)
            .map_err(self.failed("read", name))?;
        if u64::try_from(bytes.len()).unwrap_or(u64::MAX) > limit {
            return Err(StateError::Foreign {
                path: self.path.join(name),
                reason: format!("it has more than {limit} bytes"),
            });
        }
        Ok(Some(bytes))
    }

    /// The bytes of the file of that name; `None` if there is no such file.
    pub(crate) fn size(&self, name: &str) -> Option<u64> {
        let stat = rustix::fs::statat(&self.handle, name, AtFlags::SYMLINK_NOFOLLOW).ok()?;
        let is_file = FileType::from_raw_mode(stat.st_mode).is_file();
        is_file.then(|| u64::try_from(stat.st_size).ok())?
    }

    /// Makes a file the one used last. Best effort.
    pub(crate) fn touch(&self, name: &str) {
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

    /// All files, with their sizes and when they were used last.
    pub(crate) fn entries(&self) -> Result<Vec<Entry>, StateError> {
        let entries = self.names()?.into_iter().filter_map(|name| {
            let stat = rustix::fs::statat(&self.handle, name.as_str(), AtFlags::SYMLINK_NOFOLLOW);
            let stat = stat.ok()?;
            FileType::from_raw_mode(stat.st_mode)
                .is_file()
                .then_some(())?;
            Some(Entry {
                bytes: u64::try_from(stat.st_size).ok()?,
                modified: (stat.st_mtime, stat.st_mtime_nsec),
                name,
            })
        });
        Ok(entries.collect())
    }

    /// Removes what processes left unfinished that were killed. Best effort.
    pub(crate) fn sweep(&self) {
        for name in self.names().unwrap_or_default() {
            let writer = name.strip_suffix(UNFINISHED);
            let writer = writer.and_then(|name| name.rsplit_once('.')?.1.parse().ok());
            let Some(pid) = writer.and_then(Pid::from_raw) else {
                continue;
            };
            // One of our own number is not ours: we have written nothing yet.
            let is_ours = pid == rustix::process::getpid();
            if is_ours || rustix::process::test_kill_process(pid) == Err(rustix::io::Errno::SRCH) {
                self.remove(&name);
            }
        }
    }

    /// Puts a file in place of what had its name; who looks sees the old or the new, also after a
    /// loss of power.
    pub(crate) fn replace(&self, name: &str, bytes: &[u8]) -> Result<(), StateError> {
        let unfinished = format!("{name}.{}{UNFINISHED}", std::process::id());
        let written = self.write(&unfinished, bytes).and_then(|()| {
            rustix::fs::renameat(&self.handle, &unfinished, &self.handle, name)
                .map_err(|err| self.failed("replace", name)(err.into()))?;
            self.handle
                .sync_all()
                .map_err(self.failed("make durable", name))
        });
        if written.is_err() {
            self.remove(&unfinished);
        }
        written
    }

    fn write(&self, name: &str, bytes: &[u8]) -> Result<(), StateError> {
        // What a killed process of the same number left.
        self.remove(name);
        let flags = OFlags::WRONLY | OFlags::CREATE | OFlags::EXCL | OFlags::CLOEXEC;
        let file = rustix::fs::openat(&self.handle, name, flags, Mode::RUSR | Mode::WUSR)
            .map_err(|err| self.failed("make", name)(err.into()))?;
        let mut file = File::from(file);
        file.write_all(bytes).map_err(self.failed("write", name))?;
        file.sync_all().map_err(self.failed("write", name))
    }

    /// Removes a file, if there is one.
    pub(crate) fn remove(&self, name: &str) {
        rustix::fs::unlinkat(&self.handle, name, AtFlags::empty()).ok();
    }

    /// The names of all files.
    pub(crate) fn names(&self) -> Result<Vec<String>, StateError> {
        let list = rustix::fs::Dir::read_from(&self.handle);
        let list = list.map_err(|err| self.failed("list", ".")(err.into()))?;
        let names = list.filter_map(|entry| {
            let name = entry.ok()?.file_name().to_str().ok()?.to_owned();
            (name != "." && name != "..").then_some(name)
        });
        Ok(names.collect())
    }

    fn failed(
        &self,
        action: &'static str,
        name: &str,
    ) -> impl FnOnce(std::io::Error) -> StateError {
        let path = self.path.join(name);
        move |source| StateError::Io {
            action,
            path,
            source,
        }
    }
}
