//! Files and folders of configuration, read into documents.
//!
//! Owns what may be read and how much: regular files only, bounded in size and number, valid text.
//! Nothing here waits: a pipe or device is refused, not opened. What a document says is for
//! [`crate::parse`].

use std::collections::HashSet;
use std::fs::File;
use std::io::Read;
use std::path::Path;
use std::path::PathBuf;
use std::sync::Arc;

use rustix::fs::Mode;
use rustix::fs::OFlags;

use crate::document::Document;
use crate::document::split;
use crate::place::Place;
use crate::problem::Problem;

/// Largest file, in bytes.
pub const MAX_FILE_BYTES: usize = 16 << 20;

/// Most bytes of all files together.
pub const MAX_TOTAL_BYTES: usize = 64 << 20;

/// Most documents of all files together; also most files.
pub const MAX_DOCUMENTS: usize = 100_000;

/// Names of configuration files end in these.
const EXTENSIONS: [&str; 3] = ["yaml", "yml", "json"];

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
/// of their names. Folders inside it and hidden files are not read; links are followed, but no file is
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
            Ok(entry) if is_configuration(&entry.path()) => paths.push(entry.path()),
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

fn is_configuration(path: &Path) -> bool {
    let is_hidden = path
        .file_name()
        .is_none_or(|name| name.as_encoded_bytes().starts_with(b"."));
    let extension = path.extension().and_then(|extension| extension.to_str());
    !is_hidden
        && extension.is_some_and(|extension| {
            EXTENSIONS
                .iter()
                .any(|known| extension.eq_ignore_ascii_case(known))
        })
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

/// The text of a file, without byte order mark.
///
/// # Errors
///
/// A [`Problem`] if it is no regular file, is too large, cannot be read or holds bytes that are no text.
pub fn read_text(path: &Arc<Path>) -> Result<String, Box<Problem>> {
    decode(path, read_bytes(path)?)
}

fn decode(path: &Arc<Path>, bytes: Vec<u8>) -> Result<String, Box<Problem>> {
    let text = String::from_utf8(bytes).map_err(|err| Box::new(not_utf8(path, &err)))?;
    let text = match text.strip_prefix('\u{feff}') {
        Some(text) => text.to_owned(),
        None => text,
    };
    match bad_character(&text) {
        None => Ok(text),
        Some((offset, message, hint)) => {
            let place = place_of(path, text.as_bytes(), offset);
            Err(Box::new(unreadable(Some(place), message).hint(hint)))
        }
    }
}

fn read_bytes(path: &Arc<Path>) -> Result<Vec<u8>, Box<Problem>> {
    let fail = |message: String| unreadable(Some(beginning(path)), message);
    let cannot =
        |err: std::io::Error| Box::new(fail(format!("cannot read the file: {}", plain(&err))));
    // Without NONBLOCK, opening a pipe waits for a writer.
    let flags = OFlags::RDONLY | OFlags::NONBLOCK | OFlags::CLOEXEC | OFlags::NOCTTY;
    let file = rustix::fs::open(&**path, flags, Mode::empty()).map_err(|err| cannot(err.into()))?;
    let file = File::from(file);
    let metadata = file.metadata().map_err(cannot)?;
    if metadata.is_dir() {
        let problem = fail("this is a folder, not a file".to_owned());
        return Err(Box::new(problem.hint(
            "folders inside the configuration folder are not read: rename it",
        )));
    }
    if !metadata.is_file() {
        let problem = fail("this is a pipe, socket or device, not a file".to_owned());
        return Err(Box::new(
            problem.hint("put the configuration into a regular file"),
        ));
    }
    let limit = u64::try_from(MAX_FILE_BYTES).unwrap_or(u64::MAX);
    let mut bytes = Vec::with_capacity(usize::try_from(metadata.len().min(limit)).unwrap_or(0));
    if metadata.len() <= limit {
        // A file that grows meanwhile is cut here, and then refused.
        let mut file = file.take(limit.saturating_add(1));
        file.read_to_end(&mut bytes).map_err(cannot)?;
    }
    if metadata.len() > limit || bytes.len() > MAX_FILE_BYTES {
        let problem = fail(format!("the file exceeds {} MiB", MAX_FILE_BYTES >> 20));
        return Err(Box::new(problem.hint("split it into several files")));
    }
    Ok(bytes)
}

fn not_utf8(path: &Arc<Path>, err: &std::string::FromUtf8Error) -> Problem {
    let bytes = err.as_bytes();
    let is_utf16 = bytes.starts_with(&[0xff, 0xfe]) || bytes.starts_with(&[0xfe, 0xff]);
    let place = place_of(path, bytes, err.utf8_error().valid_up_to());
    let message = if is_utf16 {
        "the file is UTF-16 text, expected UTF-8"
    } else {
        "the file is not valid UTF-8 from here on"
    };
    unreadable(Some(place), message).hint("save it as UTF-8")
}

/// The first character that has no place in configuration: control characters, and a carriage return
/// that ends no line, about which tools disagree.
fn bad_character(text: &str) -> Option<(usize, String, &'static str)> {
    let bytes = text.as_bytes();
    let offset = bytes
        .iter()
        .enumerate()
        .position(|(index, byte)| match byte {
            b'\n' | b'\t' => false,
            b'\r' => bytes.get(index + 1) != Some(&b'\n'),
            byte => byte.is_ascii_control(),
        })?;
    Some(match bytes.get(offset) {
        Some(0) => (
            offset,
            "the file holds a NUL byte".to_owned(),
            "this is no text file, or was not written completely",
        ),
        Some(b'\r') => (
            offset,
            "a carriage return without line feed".to_owned(),
            "save the file with Unix or Windows line ends",
        ),
        byte => (
            offset,
            format!(
                "the control character U+{:04X}",
                byte.copied().unwrap_or_default()
            ),
            "remove it; in double quotes it can be written as an escape",
        ),
    })
}

/// The place of a byte; what is before it is valid UTF-8.
fn place_of(path: &Arc<Path>, bytes: &[u8], offset: usize) -> Place {
    let before = bytes.get(..offset).unwrap_or(bytes);
    let before = String::from_utf8_lossy(before);
    let line = before.matches('\n').count() + 1;
    let column = before
        .rsplit('\n')
        .next()
        .unwrap_or_default()
        .chars()
        .count()
        + 1;
    Place {
        file: Arc::clone(path),
        line: u32::try_from(line).unwrap_or(u32::MAX),
        column: u32::try_from(column).unwrap_or(u32::MAX),
        length: 1,
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
    use std::path::Path;
    use std::sync::Arc;

    use proptest::prelude::proptest;
    use proptest::prop_assert;

    use super::decode;

    proptest! {
        #[test]
        fn any_bytes_are_text_or_refused_at_a_place_inside(bytes: Vec<u8>, tail in "[a-z\n\r\u{0}ä]{0,20}", begin: bool) {
            let bytes = if begin { [bytes, tail.into_bytes()].concat() } else { tail.into_bytes() };
            let path: Arc<Path> = Path::new("a.yaml").into();
            let lines: Vec<Vec<u8>> = bytes.split(|byte| *byte == b'\n').map(<[u8]>::to_vec).collect();
            match decode(&path, bytes) {
                Ok(text) => prop_assert!(!text.contains('\0')),
                Err(problem) => {
                    let place = problem.place.expect("a place");
                    let line = usize::try_from(place.line).expect("small") - 1;
                    let column = usize::try_from(place.column).expect("small");
                    prop_assert!(lines.get(line).is_some_and(|line| column <= line.len().max(1)));
                }
            }
        }
    }
}
