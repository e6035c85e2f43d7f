//! The files that a filter is built from, watched.
//!
//! Events tell of files that are known. One that is created later, because the last build missed it,
//! is found by looking into the folders again and again.

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;
use std::path::PathBuf;
use std::sync::Mutex;
use std::sync::PoisonError;
use std::sync::mpsc;
use std::sync::mpsc::RecvTimeoutError;
use std::time::Duration;
use std::time::SystemTime;

use crate::author::project::Project;
use crate::watch::Pace;
use crate::watch::Watch;

/// More files than a filter has; what is beyond is not watched.
const MOST: usize = 4_096;
/// How often the folders are looked through for new files.
const LOOK: Duration = Duration::from_millis(500);

/// A watch over the sources of a filter.
pub(crate) struct Sources {
    watch: Watch,
    known: Mutex<Known>,
}

/// What is watched.
#[derive(Debug, Default)]
struct Known {
    /// What the compiler read for the last build that worked.
    depends: Vec<PathBuf>,
    /// That, and what stands beside it.
    files: BTreeSet<PathBuf>,
}

impl Sources {
    /// Watches the files of the filter's own folder; each change sends once.
    ///
    /// # Errors
    ///
    /// The system's, if it gives no thread.
    pub(crate) fn watch(project: &Project, changed: mpsc::Sender<()>) -> std::io::Result<Self> {
        let watch = Watch::start(Pace::default(), move || {
            changed.send(()).ok();
        })?;
        let sources = Self {
            watch,
            known: Mutex::default(),
        };
        sources.follow(project, &[], SystemTime::now());
        Ok(sources)
    }

    /// Watches also what the compiler read, which may lie elsewhere; with nothing, what it read last.
    /// Files that are new and were written after `since`, when it began, count as changed.
    pub(crate) fn follow(&self, project: &Project, depends: &[PathBuf], since: SystemTime) {
        let mut known = self.known.lock().unwrap_or_else(PoisonError::into_inner);
        if !depends.is_empty() {
            known.depends = depends.to_vec();
        }
        known.files = files(&project.folder, &known.depends);
        let sources = known.files.iter();
        let sources = sources.filter(|file| known.depends.contains(file) || is_source(file));
        self.watch.set(sources.cloned().collect(), since);
    }

    /// Waits until a file has changed, is new, or is gone; changes that come together are one.
    pub(crate) fn wait(&self, project: &Project, changes: &mpsc::Receiver<()>) {
        loop {
            match changes.recv_timeout(LOOK) {
                Err(RecvTimeoutError::Timeout) if !self.differs(&project.folder) => {}
                // The sender lives as long as the watch.
                _ => break,
            }
        }
        while changes.try_recv().is_ok() {}
    }

    fn differs(&self, folder: &Path) -> bool {
        let known = self.known.lock().unwrap_or_else(PoisonError::into_inner);
        files(folder, &known.depends) != known.files
    }
}

/// The files of a folder, and those elsewhere that the compiler read, with what stands beside these.
fn files(folder: &Path, depends: &[PathBuf]) -> BTreeSet<PathBuf> {
    let mut files: BTreeSet<PathBuf> = depends.iter().cloned().collect();
    let elsewhere = depends.iter().filter(|file| !file.starts_with(folder));
    let folders: BTreeSet<&Path> = elsewhere.filter_map(|file| file.parent()).collect();
    for folder in folders {
        list(folder, Depth::Flat, &mut files);
    }
    list(folder, Depth::Whole, &mut files);
    files
}

/// Whether a compiler that has not read a file yet may do so next. Others, such as a log that stands
/// in the folder and grows with every build, count once they are read.
fn is_source(file: &Path) -> bool {
    let extension = file.extension().and_then(|it| it.to_str());
    extension.is_some_and(|it| ["rs", "toml"].contains(&it))
}

/// How far a folder is looked through.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Depth {
    /// Only its own files.
    Flat,
    /// All that is below it.
    Whole,
}

/// The files below a folder, but for what is built and hidden.
fn list(folder: &Path, depth: Depth, found: &mut BTreeSet<PathBuf>) {
    let Ok(entries) = fs::read_dir(folder) else {
        return;
    };
    for entry in entries.filter_map(Result::ok) {
        if found.len() >= MOST {
            return;
        }
        let name = entry.file_name();
        let name = name.to_string_lossy();
        // The gateway watches its configuration itself; cargo writes Cargo.lock.
        if name.starts_with('.') || matches!(&*name, "target" | "tidegate.yaml" | "Cargo.lock") {
            continue;
        }
        match entry.file_type() {
            Ok(kind) if kind.is_dir() && depth == Depth::Whole => {
                list(&entry.path(), depth, found);
            }
            Ok(kind) if kind.is_file() => {
                found.insert(entry.path());
            }
            _ => {}
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sources_are_all_but_what_is_built_hidden_or_watched_elsewhere() {
        let folder = tempfile::tempdir().expect("a folder");
        for name in [
            "src/lib.rs",
            "src/deep/a.rs",
            "Cargo.toml",
            "tidegate.yaml",
            "target/x.rs",
            ".git/x",
        ] {
            let path = folder.path().join(name);
            fs::create_dir_all(path.parent().expect("a parent")).expect("made");
            fs::write(path, "").expect("written");
        }
        let mut found = BTreeSet::new();
        list(folder.path(), Depth::Whole, &mut found);
        let names: Vec<_> = found
            .iter()
            .map(|path| {
                path.strip_prefix(folder.path())
                    .expect("below")
                    .to_string_lossy()
            })
            .collect();
        assert_eq!(names, ["Cargo.toml", "src/deep/a.rs", "src/lib.rs"]);
    }

    #[test]
    fn a_file_that_was_missing_is_found_when_it_is_created_also_in_another_crate() {
        let own = tempfile::tempdir().expect("a folder");
        let other = tempfile::tempdir().expect("a folder");
        let put = |folder: &Path, name: &str| {
            fs::write(folder.join(name), "").expect("written");
        };
        put(own.path(), "lib.rs");
        put(other.path(), "lib.rs");
        let depends = [own.path().join("lib.rs"), other.path().join("lib.rs")];
        let before = files(own.path(), &depends);
        assert_eq!(before, files(own.path(), &depends));
        put(own.path(), "words.txt");
        let after = files(own.path(), &depends);
        assert_ne!(before, after);
        put(other.path(), "more.rs");
        assert_ne!(after, files(own.path(), &depends));
    }
}
