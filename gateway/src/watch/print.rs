//! Fingerprints of files and folders: whether content is another than before.
//!
//! Owns what counts as content. For a folder that is what a load reads of it: the names and content
//! of its documents. A file that has the same identity, size and times as when it was read is not
//! read again, unless it was so young then that a later write could have left the times alone.

use std::collections::BTreeMap;
use std::collections::HashMap;
use std::fs::File;
use std::fs::Metadata;
use std::hash::BuildHasher as _;
use std::hash::Hasher as _;
use std::io::Read as _;
use std::os::unix::fs::MetadataExt as _;
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::Path;
use std::path::PathBuf;
use std::time::Duration;
use std::time::SystemTime;

use foldhash::quality::FixedState;
use rustix::fs::OFlags;
use tidegate_config::source::is_configuration;

/// Times of a file are believed once it has not changed for this long.
const SETTLED: Duration = Duration::from_secs(1);
/// No file that a load reads is larger; of one that is, this much is compared.
const MOST_BYTES: u64 = 256 << 20;
/// Bytes read at a time.
const CHUNK: usize = 64 * 1024;

/// What a path leads to.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Print {
    /// Nothing, or nothing that can be read.
    Nothing,
    /// A file with that content.
    File(u64),
    /// A folder with these documents.
    Folder(BTreeMap<PathBuf, Self>),
    /// Something else, such as a device: never read.
    Odd,
}

/// What tells that a file was not touched.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Stamp {
    file: (u64, u64),
    bytes: u64,
    written: (i64, i64),
    changed: (i64, i64),
}

impl Stamp {
    fn of(metadata: &Metadata) -> Self {
        Self {
            file: (metadata.dev(), metadata.ino()),
            bytes: metadata.len(),
            written: (metadata.mtime(), metadata.mtime_nsec()),
            changed: (metadata.ctime(), metadata.ctime_nsec()),
        }
    }

    /// The time of the last change, of content or of the name it had.
    fn time(&self) -> Option<SystemTime> {
        let (seconds, nanos) = self.changed;
        let since = Duration::new(u64::try_from(seconds).ok()?, u32::try_from(nanos).ok()?);
        SystemTime::UNIX_EPOCH.checked_add(since)
    }
}

/// The content of a file when it was read.
#[derive(Debug, Clone, Copy)]
struct Known {
    stamp: Stamp,
    read_at: SystemTime,
    hash: u64,
}

/// The fingerprints of all watched paths.
#[derive(Debug, Default)]
pub(crate) struct Prints {
    last: HashMap<PathBuf, Print>,
    files: HashMap<PathBuf, Known>,
}

impl Prints {
    /// Looks at all paths again; returns whether any is another than before.
    pub(crate) fn update(&mut self, paths: &[PathBuf]) -> bool {
        let (prints, _) = self.take(paths);
        let changed = prints != self.last;
        self.last = prints;
        changed
    }

    /// Takes other paths. Those that were known keep what they had, so that a change in between is
    /// seen at the next [`Prints::update`]. Returns whether a new one was written after `since`.
    pub(crate) fn adopt(&mut self, paths: &[PathBuf], since: SystemTime) -> bool {
        let (prints, newest) = self.take(paths);
        let mut young = false;
        let mut last = HashMap::new();
        for (path, print) in prints {
            let print = match self.last.remove(&path) {
                Some(before) => before,
                None => {
                    let time = newest.get(&path).copied().flatten();
                    if time.is_some_and(|time| time >= since) {
                        young = true;
                        // Unlike anything that can be found, so that it counts as changed.
                        Print::Folder(BTreeMap::from([(PathBuf::new(), Print::Odd)]))
                    } else {
                        print
                    }
                }
            };
            last.insert(path, print);
        }
        self.last = last;
        young
    }

    fn take(
        &mut self,
        paths: &[PathBuf],
    ) -> (
        HashMap<PathBuf, Print>,
        HashMap<PathBuf, Option<SystemTime>>,
    ) {
        let mut walk = Walk {
            known: std::mem::take(&mut self.files),
            files: HashMap::new(),
            newest: None,
        };
        let mut prints = HashMap::new();
        let mut times = HashMap::new();
        for path in paths {
            walk.newest = None;
            prints.insert(path.clone(), walk.path(path, true));
            times.insert(path.clone(), walk.newest);
        }
        self.files = walk.files;
        (prints, times)
    }
}

struct Walk {
    known: HashMap<PathBuf, Known>,
    files: HashMap<PathBuf, Known>,
    /// The time of the last change of anything that was seen.
    newest: Option<SystemTime>,
}

impl Walk {
    fn path(&mut self, path: &Path, folders: bool) -> Print {
        let Ok(metadata) = std::fs::metadata(path) else {
            return Print::Nothing;
        };
        let stamp = Stamp::of(&metadata);
        self.newest = self.newest.max(stamp.time());
        if metadata.is_file() {
            self.file(path, stamp).map_or(Print::Nothing, Print::File)
        } else if metadata.is_dir() && folders {
            self.folder(path)
        } else {
            Print::Odd
        }
    }

    fn folder(&mut self, path: &Path) -> Print {
        let Ok(entries) = std::fs::read_dir(path) else {
            return Print::Nothing;
        };
        let mut documents = BTreeMap::new();
        for entry in entries.map_while(Result::ok) {
            if is_configuration(&entry.file_name()) {
                let path = entry.path();
                let print = self.path(&path, false);
                documents.insert(path, print);
            }
        }
        Print::Folder(documents)
    }

    fn file(&mut self, path: &Path, stamp: Stamp) -> Option<u64> {
        let known = self.known.get(path).or_else(|| self.files.get(path));
        let settled = |known: &&Known| {
            let changed = known
                .stamp
                .time()
                .and_then(|time| time.checked_add(SETTLED));
            known.stamp == stamp && changed.is_some_and(|time| time < known.read_at)
        };
        let known = match known.filter(settled) {
            Some(known) => *known,
            None => Known {
                stamp,
                read_at: SystemTime::now(),
                hash: hash(path)?,
            },
        };
        self.files.insert(path.to_owned(), known);
        Some(known.hash)
    }
}

fn hash(path: &Path) -> Option<u64> {
    // Never waits, should a pipe have taken the file's place.
    let flags = i32::try_from(OFlags::NONBLOCK.bits()).ok()?;
    let file = File::options().read(true).custom_flags(flags).open(path);
    let mut file = file.ok()?.take(MOST_BYTES);
    let mut hasher = FixedState::default().build_hasher();
    let mut chunk = vec![0; CHUNK];
    loop {
        match file.read(&mut chunk) {
            Ok(0) => return Some(hasher.finish()),
            Ok(count) => hasher.write(chunk.get(..count)?),
            Err(err) if err.kind() == std::io::ErrorKind::Interrupted => {}
            Err(_) => return None,
        }
    }
}
