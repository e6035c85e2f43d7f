//! Files and folders of configuration, read into documents.
//!
//! Owns what may be read and how much: regular files only, bounded in size and number, valid text.
//! Nothing here waits: a pipe or device is refused, not opened. What a document says is for
//! [`crate::parse`].

mod text;

use std::collections::HashSet;
use std::ffi::OsStr;
use std::path::Path;
use std::path::PathBuf;
use std::sync::Arc;

use crate::document::Document;
use crate::document::split;
use crate::place::Place;
use crate::problem::Problem;

pub use text::read_text;

/// Largest file, in bytes.
pub const MAX_FILE_BYTES: usize = 16 << 20;

/// Most bytes of all files together.
pub const MAX_TOTAL_BYTES: usize = 64 << 20;

/// Most documents of all files together; also most files.
pub const MAX_DOCUMENTS: usize = 100_000;

/// Names of configuration files end in these.
const EXTENSIONS: [&str; 3] = ["yaml", "yml", "json"];

/// What the name of a JSON Schema ends in, which editors want beside the files that it describes.
const SCHEMA: &str = ".schema.json";

/// The reason of problems of files, which no resource is to blame for.
pub const UNREADABLE: &str = "Unreadable";

/// A file of the configuration.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SourceFile {
    /// Its path: as it was given, or below the folder that was.
    pub path: Arc<Path>,
    /// Its documents in order; `None` if it is there but could not be read, so that nothing is known
    /// of what it holds.
    pub documents: Option<Vec<Document>>,
}

/// Reads a configuration: a file, or a folder's own `*.yaml`, `*.yml` and `*.json` files in the order
/// of their names. Folders inside it, hidden files and `*.schema.json` are not read; links are followed, but no file is
/// read twice (a mounted ConfigMap holds links to a hidden folder).
///
/// What cannot be read is added to `problems`. `None` if the path itself cannot be read: then nothing is
/// known of any file.
pub fn read(path: &Path, problems: &mut Vec<Problem>) -> Option<Vec<SourceFile>> {
    let metadata = match std::fs::metadata(path) {
        Ok(metadata) => metadata,
        Err(err) => {
            let problem = unreadable(
                None,
                format!("cannot read {}: {}", path.display(), plain(&err)),
            );
            problems
                .push(problem.hint("give the path of a YAML or JSON file, or of a folder of them"));
            return None;
        }
    };
    let paths = if metadata.is_dir() {
        list(path, problems)?
    } else {
        vec![path.to_owned()]
    };
    let mut reader = Reader {
        problems,
        bytes: 0,
        documents: 0,
        is_full: false,
    };
    Some(paths.iter().map(|path| reader.file(path)).collect())
}

/// The configuration files of a folder, sorted.
fn list(folder: &Path, problems: &mut Vec<Problem>) -> Option<Vec<PathBuf>> {
    let cannot = |err: &std::io::Error| {
        let message = format!(
            "cannot read the folder {}: {}",
            folder.display(),
            plain(err)
        );
        unreadable(None, message)
    };
    let entries = match std::fs::read_dir(folder) {
        Ok(entries) => entries,
        Err(err) => {
            problems.push(cannot(&err));
            return None;
        }
    };
    let mut paths = Vec::new();
    for entry in entries {
        match entry {
            Ok(entry) if is_configuration(&entry.file_name()) => paths.push(entry.path()),
            Ok(_) => {}
            Err(err) => {
                problems.push(cannot(&err));
                return None;
            }
        }
    }
    if paths.is_empty() {
        let message = format!("the folder {} holds no configuration", folder.display());
        problems.push(
            unreadable(None, message).hint("put files that end in .yaml, .yml or .json into it"),
        );
    }
    if paths.len() > MAX_DOCUMENTS {
        let message = format!(
            "the folder {} holds more than {MAX_DOCUMENTS} files",
            folder.display()
        );
        problems.push(unreadable(None, message));
        return None;
    }
    paths.sort();
    let mut seen = HashSet::new();
    paths.retain(|path| match path.canonicalize() {
        Ok(target) => seen.insert(target),
        // A link to nowhere: reading it says so.
        Err(_) => true,
    });
    Some(paths)
}

/// Whether a folder's file of that name is read: what is hidden is not, nor an editor's schema.
#[must_use]
pub fn is_configuration(name: &OsStr) -> bool {
    let name = name.to_string_lossy().to_lowercase();
    let extension = Path::new(&name).extension().and_then(OsStr::to_str);
    let is_known = extension.is_some_and(|extension| EXTENSIONS.contains(&extension));
    is_known && !name.starts_with('.') && !name.ends_with(SCHEMA)
}

struct Reader<'a> {
    problems: &'a mut Vec<Problem>,
    bytes: usize,
    documents: usize,
    /// Whether a limit of all files together is reached: said once.
    is_full: bool,
}

impl Reader<'_> {
    fn file(&mut self, path: &Path) -> SourceFile {
        let path: Arc<Path> = path.into();
        let documents = self.documents(&path);
        SourceFile { path, documents }
    }

    fn documents(&mut self, path: &Arc<Path>) -> Option<Vec<Document>> {
        if self.is_full {
            return None;
        }
        let text = match read_text(path) {
            Ok(text) => text,
            Err(problem) => {
                self.problems.push(*problem);
                return None;
            }
        };
        self.bytes += text.len();
        let total = MAX_TOTAL_BYTES >> 20;
        if self.bytes > MAX_TOTAL_BYTES {
            return self.full(path, format!("all files together exceed {total} MiB"));
        }
        if text.trim().is_empty() {
            // A file that is being written, or was cut: nobody deletes so much by saving nothing.
            let problem = unreadable(Some(beginning(path)), "the file is empty");
            self.problems
                .push(problem.hint("remove it to delete what it held"));
            return None;
        }
        let documents = split(path, &text);
        self.documents += documents.len();
        if self.documents > MAX_DOCUMENTS {
            return self.full(
                path,
                format!("there are more than {MAX_DOCUMENTS} documents"),
            );
        }
        Some(documents)
    }

    fn full<T>(&mut self, path: &Arc<Path>, message: String) -> Option<T> {
        self.is_full = true;
        let problem = unreadable(Some(beginning(path)), message);
        self.problems
            .push(problem.hint("this file and those after it are not read"));
        None
    }
}

fn beginning(path: &Arc<Path>) -> Place {
    Place {
        file: Arc::clone(path),
        line: 1,
        column: 1,
        length: 1,
    }
}

fn unreadable(place: Option<Place>, message: impl Into<String>) -> Problem {
    Problem::error(place, message).reason(UNREADABLE)
}

/// An error of the system in its own words, without its number.
fn plain(err: &std::io::Error) -> String {
    let text = err.to_string();
    let text = text.split(" (os error").next().unwrap_or_default();
    text.to_lowercase()
}

#[cfg(test)]
mod tests {
    use super::MAX_TOTAL_BYTES;
    use super::Reader;

    #[test]
    fn all_files_together_are_bounded() {
        let folder = tempfile::TempDir::new().expect("a folder");
        let file = |name: &str| {
            let path = folder.path().join(name);
            std::fs::write(&path, "a: 1").expect("writable");
            path
        };
        let mut problems = Vec::new();
        let mut reader = Reader {
            problems: &mut problems,
            bytes: MAX_TOTAL_BYTES - 6,
            documents: 0,
            is_full: false,
        };
        let read = ["a", "b", "c"].map(|name| reader.file(&file(name)).documents.is_some());
        assert_eq!(read, [true, false, false]);
        let messages: Vec<&str> = problems.iter().map(|problem| &*problem.message).collect();
        assert_eq!(messages, ["all files together exceed 64 MiB"]);
    }
}
