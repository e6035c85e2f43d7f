//! The text of one file: what may be opened, and which bytes are text.

use std::fs::File;
use std::io::Read;
use std::path::Path;
use std::sync::Arc;

use rustix::fs::Mode;
use rustix::fs::OFlags;

use super::MAX_FILE_BYTES;
use super::beginning;
use super::plain;
use super::unreadable;
use crate::place::Place;
use crate::problem::Problem;

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
