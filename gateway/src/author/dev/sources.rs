//! The files that a filter is built from, watched.

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;
use std::path::PathBuf;
use std::sync::Mutex;
use std::sync::PoisonError;
use std::sync::mpsc;
use std::time::SystemTime;

use crate::author::project::Project;
use crate::watch::Pace;
use crate::watch::Watch;

/// More files than a filter has; what is beyond is not watched.
const MOST: usize = 4_096;

/// A watch over the sources of a filter.
pub(crate) struct Sources {
    watch: Watch,
    /// What the compiler read for the last build that worked.
    depends: Mutex<Vec<PathBuf>>,
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
            depends: Mutex::default(),
        };
        sources.follow(project, &[], SystemTime::now());
        Ok(sources)
    }

    /// Watches also what the compiler read, which may lie elsewhere; with nothing, what it read last.
    /// Files that are new and were written after `since`, when it began, count as changed.
    pub(crate) fn follow(&self, project: &Project, depends: &[PathBuf], since: SystemTime) {
        let mut known = self.depends.lock().unwrap_or_else(PoisonError::into_inner);
        if !depends.is_empty() {
            *known = depends.to_vec();
        }
        let mut files: BTreeSet<PathBuf> = known.iter().cloned().collect();
        list(&project.folder, &mut files);
        self.watch.set(files.into_iter().collect(), since);
    }
}

/// The files below a folder, but for what is built and hidden.
fn list(folder: &Path, found: &mut BTreeSet<PathBuf>) {
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
            Ok(kind) if kind.is_dir() => list(&entry.path(), found),
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
        list(folder.path(), &mut found);
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
}
