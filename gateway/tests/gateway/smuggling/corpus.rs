//! The files of the corpus, read.

use std::path::Path;
use std::path::PathBuf;

/// What shall become of a case.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Expected {
    /// The gateway refuses it, with this status if one is named, and closes.
    Refused(Option<u16>),
    /// It is one request.
    Served,
    /// It is two requests, the second of which asks for `/second`.
    Pipelined,
    /// It never ends; the client gives up.
    Unfinished,
    /// One of these; nothing else happens.
    Safe,
}

/// One file.
#[derive(Debug, Clone)]
pub(super) struct Case {
    /// The file's name without `.http`.
    pub(super) name: String,
    /// What shall become of it.
    pub(super) expected: Expected,
    /// What is sent.
    pub(super) bytes: Vec<u8>,
}

impl Case {
    /// Whether an origin may see this method and path because of the case.
    pub(super) fn may_be_seen(&self, line: &str) -> bool {
        let path = line.split_once(' ').map_or(line, |(_, path)| path);
        let path = path.split_once('?').map_or(path, |(path, _)| path);
        path == "/attack" || (path == "/second" && self.expected == Expected::Pipelined)
    }
}

/// A name and a value.
pub(super) type Field = (Vec<u8>, Vec<u8>);

/// A request of HTTP/2.
#[derive(Debug, Clone)]
pub(super) struct Stream {
    /// The fields of its head, in order.
    pub(super) fields: Vec<Field>,
    /// Its data.
    pub(super) body: Vec<u8>,
    /// The fields of its trailers.
    pub(super) trailers: Vec<Field>,
}

/// All cases of HTTP/1, by name.
///
/// # Panics
///
/// If a file is not as the README says.
pub(super) fn all() -> Vec<Case> {
    let files = files("http");
    assert!(files.len() > 100, "only {} cases", files.len());
    files.iter().map(|path| read(path)).collect()
}

/// All cases of HTTP/2, by name.
///
/// # Panics
///
/// If a file is not as the README says.
pub(super) fn all_http2() -> Vec<(Case, Stream)> {
    let files = files("h2");
    assert!(files.len() > 50, "only {} cases", files.len());
    let read = |path: &PathBuf| {
        let text = std::fs::read_to_string(path).expect("text");
        let stream = stream(&text).unwrap_or_else(|| unreadable(path));
        (read(path), stream)
    };
    files.iter().map(read).collect()
}

fn stream(text: &str) -> Option<Stream> {
    let mut lines = text.lines().filter(|line| !line.starts_with("# "));
    let head: Vec<&str> = lines.by_ref().take_while(|line| !line.is_empty()).collect();
    let body: Vec<&str> = lines.by_ref().take_while(|line| *line != "--").collect();
    Some(Stream {
        fields: head.into_iter().map(field).collect::<Option<_>>()?,
        body: unescaped(&body.concat())?,
        trailers: lines.map(field).collect::<Option<_>>()?,
    })
}

/// A field: a colon and a space are between its name, which may begin with a colon, and its value.
fn field(line: &str) -> Option<Field> {
    let (name, value) = match line.strip_prefix(": ") {
        Some(value) => ("", value),
        None => line
            .split_once(": ")
            .or_else(|| Some((line.strip_suffix(':')?, "")))?,
    };
    Some((unescaped(name)?, unescaped(value)?))
}

fn files(extension: &str) -> Vec<PathBuf> {
    let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/corpus/smuggling");
    let entries = std::fs::read_dir(folder).expect("the corpus is there");
    let files = entries.map(|entry| entry.expect("readable").path());
    let mut files: Vec<_> = files
        .filter(|path| path.extension().is_some_and(|it| it == extension))
        .collect();
    files.sort();
    files
}

fn read(path: &Path) -> Case {
    let text = std::fs::read_to_string(path).expect("text");
    let (notes, wire): (Vec<&str>, Vec<&str>) =
        text.lines().partition(|line| line.starts_with("# "));
    let expected = notes
        .iter()
        .find_map(|note| note.strip_prefix("# expect: "));
    let words: Vec<&str> = expected.unwrap_or_default().split(' ').collect();
    let expected = match words.as_slice() {
        ["refused"] => Some(Expected::Refused(None)),
        ["refused", status] => status.parse().ok().map(|it| Expected::Refused(Some(it))),
        ["served"] => Some(Expected::Served),
        ["pipelined"] => Some(Expected::Pipelined),
        ["unfinished"] => Some(Expected::Unfinished),
        ["safe"] => Some(Expected::Safe),
        _ => None,
    };
    let expected = expected.unwrap_or_else(|| unreadable(path));
    assert!(notes.len() > 1, "{} says why", path.display());
    Case {
        name: path
            .file_stem()
            .expect("a name")
            .to_string_lossy()
            .into_owned(),
        expected,
        bytes: unescaped(&wire.concat()).unwrap_or_else(|| unreadable(path)),
    }
}

#[expect(clippy::panic, reason = "the corpus is part of the tests")]
fn unreadable<T>(path: &Path) -> T {
    panic!("{} is not as the README says", path.display())
}

/// Bytes as the README says they are written.
fn unescaped(text: &str) -> Option<Vec<u8>> {
    let mut bytes = Vec::new();
    let mut rest = text.bytes();
    while let Some(byte) = rest.next() {
        if byte != b'\\' {
            bytes.push(byte);
            continue;
        }
        bytes.push(match rest.next()? {
            b'r' => b'\r',
            b'n' => b'\n',
            b't' => b'\t',
            b'x' => {
                let digits = [rest.next()?, rest.next()?];
                u8::from_str_radix(std::str::from_utf8(&digits).ok()?, 16).ok()?
            }
            _ => return None,
        });
    }
    Some(bytes)
}
