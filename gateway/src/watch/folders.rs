//! The folders whose events tell that a path may lead to something else.
//!
//! Owns the walk along a path through all its symbolic links: in a folder where a link, the file or
//! a missing part stands, another may come to stand. That is how ConfigMap mounts swap their
//! `..data`, how releases swap a `current`, and how editors save.

use std::collections::BTreeMap;
use std::collections::BTreeSet;
use std::collections::VecDeque;
use std::ffi::OsString;
use std::os::unix::fs::MetadataExt as _;
use std::path::Component;
use std::path::Path;
use std::path::PathBuf;

use tidegate_config::source::is_configuration;

/// Links that are followed on one path; what Linux does too.
const MAX_LINKS: usize = 40;

/// What a folder is, whatever it is called: device and inode.
pub(crate) type Identity = (u64, u64);

/// Which names in a folder are of interest.
#[derive(Debug, Default)]
struct Interest {
    names: BTreeSet<OsString>,
    /// Every name is.
    all: bool,
}

/// A set of folders.
#[derive(Debug, Default)]
pub(crate) struct Folders {
    list: BTreeMap<PathBuf, (Identity, Interest)>,
}

impl Folders {
    /// The folders to listen to for these absolute paths, as the file system is now.
    pub(crate) fn of(paths: &[PathBuf]) -> Self {
        let mut folders = Self::default();
        for path in paths {
            let Some(real) = folders.walk(path) else {
                continue;
            };
            if real.is_dir() {
                folders.everything_in(&real);
            }
        }
        folders
    }

    /// What that folder is; `None` if it is not one of these.
    pub(crate) fn identity(&self, folder: &Path) -> Option<Identity> {
        self.list.get(folder).map(|(identity, _)| *identity)
    }

    /// All folders with what they are.
    pub(crate) fn iter(&self) -> impl Iterator<Item = (&PathBuf, Identity)> {
        self.list
            .iter()
            .map(|(folder, (identity, _))| (folder, *identity))
    }

    /// Whether an event at `path` may matter.
    pub(crate) fn concern(&self, path: &Path) -> bool {
        if self.list.contains_key(path) {
            return true;
        }
        let interest = path.parent().and_then(|folder| self.list.get(folder));
        let Some(((_, interest), name)) = interest.zip(path.file_name()) else {
            return false;
        };
        interest.all || interest.names.contains(name)
    }

    fn everything_in(&mut self, folder: &Path) {
        self.add(folder, None);
        let Ok(entries) = std::fs::read_dir(folder) else {
            return;
        };
        for entry in entries.map_while(Result::ok) {
            let linked = entry.file_type().is_ok_and(|kind| kind.is_symlink());
            if linked && is_configuration(&entry.file_name()) {
                self.walk(&entry.path());
            }
        }
    }

    /// Follows a path to its end; returns where that is, `None` if it leads nowhere.
    fn walk(&mut self, path: &Path) -> Option<PathBuf> {
        let mut rest: VecDeque<OsString> = parts(path);
        let mut done = PathBuf::from("/");
        let mut links = 0;
        while let Some(part) = rest.pop_front() {
            if part == ".." {
                done.pop();
                continue;
            }
            let next = done.join(&part);
            let found = std::fs::symlink_metadata(&next).ok();
            let is_link = found.as_ref().is_some_and(std::fs::Metadata::is_symlink);
            // The last two parts may be replaced as a whole, links and what is missing at any time.
            if is_link || found.is_none() || rest.len() < 2 {
                self.add(&done, Some(part));
            }
            found?;
            if !is_link {
                done = next;
                continue;
            }
            links += 1;
            if links > MAX_LINKS {
                return None;
            }
            let target = std::fs::read_link(&next).ok()?;
            if target.is_absolute() {
                done = PathBuf::from("/");
            }
            for part in parts(&target).into_iter().rev() {
                rest.push_front(part);
            }
        }
        Some(done)
    }

    fn add(&mut self, folder: &Path, name: Option<OsString>) {
        let Ok(metadata) = std::fs::metadata(folder) else {
            return;
        };
        let identity = (metadata.dev(), metadata.ino());
        let (_, interest) = self
            .list
            .entry(folder.to_owned())
            .or_insert_with(|| (identity, Interest::default()));
        match name {
            Some(name) => {
                interest.names.insert(name);
            }
            None => interest.all = true,
        }
    }
}

/// The parts of a path by name; `..` stays.
fn parts(path: &Path) -> VecDeque<OsString> {
    path.components()
        .filter_map(|part| match part {
            Component::Normal(name) => Some(name.to_owned()),
            Component::ParentDir => Some(OsString::from("..")),
            Component::RootDir | Component::CurDir | Component::Prefix(_) => None,
        })
        .collect()
}
