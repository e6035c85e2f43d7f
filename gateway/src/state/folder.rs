//! A folder that is ours alone, and files in it that are replaced as a whole.
//!
//! Owns how files are replaced, and the lock of a whole folder. Who may have written there is looked at
//! where plugins are kept too.

use std::fs::File;
use std::ops::Deref;
use std::path::Path;

use rustix::fs::Mode;
use rustix::fs::OFlags;
use rustix::process::Pid;
use tidegate_plugin_store::folder;
use tidegate_plugin_store::folder::FolderError;
use tidegate_plugin_store::folder::Found;
use tidegate_plugin_store::pieces;

use crate::state::StateError;

/// What files are called until they are whole.
const UNFINISHED: &str = ".new";

/// What is waited for when a file was written.
type Settle = fn(&File) -> std::io::Result<()>;

/// An open folder.
#[derive(Debug)]
pub(crate) struct Folder(folder::Folder);

impl Deref for Folder {
    type Target = folder::Folder;

    fn deref(&self) -> &folder::Folder {
        &self.0
    }
}

impl From<FolderError> for StateError {
    fn from(err: FolderError) -> Self {
        match err {
            FolderError::NotOurs { path, owner } => Self::NotOurs { path, owner },
            FolderError::Open { path } => Self::Open { path },
            FolderError::Io {
                action,
                path,
                source,
            } => Self::Io {
                action,
                path,
                source,
            },
        }
    }
}

impl Folder {
    /// Opens a folder, made if there is none, and makes sure that only we have access.
    pub(crate) fn open(path: &Path) -> Result<Self, StateError> {
        Ok(Self(folder::Folder::open(path)?))
    }

    /// Keeps other processes from using the folder as we do, for as long as it is open.
    pub(crate) fn lock(&self) -> Result<(), StateError> {
        use rustix::fs::FlockOperation;
        match rustix::fs::flock(self.handle(), FlockOperation::NonBlockingLockExclusive) {
            Ok(()) => Ok(()),
            Err(rustix::io::Errno::WOULDBLOCK) => Err(StateError::InUse {
                path: self.path().to_owned(),
            }),
            Err(err) => Err(StateError::Io {
                action: "lock the folder",
                path: self.path().to_owned(),
                source: err.into(),
            }),
        }
    }

    /// A file's content; `None` if there is none.
    pub(crate) fn content(&self, name: &str, limit: u64) -> Result<Option<Vec<u8>>, StateError> {
        let foreign = |reason: String| StateError::Foreign {
            path: self.path().join(name),
            reason,
        };
        let file = match self.find(name)? {
            Found::Nothing => return Ok(None),
            Found::Ours(file) => file,
            Found::Foreign => {
                return Err(foreign(
                    "others could have written it: remove it".to_owned(),
                ));
            }
        };
        let bytes = self.read(&file, name, limit)?;
        let too_large = || foreign(format!("it has more than {limit} bytes"));
        bytes.ok_or_else(too_large).map(Some)
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
        self.put(name, bytes, File::sync_all)?;
        let durable = self.handle().sync_all();
        Ok(durable.map_err(|err| self.failed("make durable", name, err))?)
    }

    /// The same without waiting for the disk: a loss of power may leave anything. For what is checked when
    /// it is read, and can be made again.
    pub(crate) fn place(&self, name: &str, bytes: &[u8]) -> Result<(), StateError> {
        Ok(self.put(name, bytes, |_| Ok(()))?)
    }

    fn put(&self, name: &str, bytes: &[u8], settle: Settle) -> Result<(), FolderError> {
        let unfinished = format!("{name}.{}{UNFINISHED}", std::process::id());
        let written = self.write(&unfinished, bytes, settle).and_then(|()| {
            rustix::fs::renameat(self.handle(), &unfinished, self.handle(), name)
                .map_err(|err| self.failed("replace", name, err.into()))
        });
        if written.is_err() {
            self.remove(&unfinished);
        }
        written
    }

    fn write(&self, name: &str, bytes: &[u8], settle: Settle) -> Result<(), FolderError> {
        // What a killed process of the same number left.
        self.remove(name);
        let flags = OFlags::WRONLY | OFlags::CREATE | OFlags::EXCL | OFlags::CLOEXEC;
        let file = rustix::fs::openat(self.handle(), name, flags, Mode::RUSR | Mode::WUSR)
            .map_err(|err| self.failed("make", name, err.into()))?;
        let mut file = File::from(file);
        let written = pieces::write(&mut file, bytes).and_then(|()| settle(&file));
        written.map_err(|err| self.failed("write", name, err))
    }
}
