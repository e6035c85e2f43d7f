//! Files that resources name, as text: each read once a load, within bounds.

use std::fs::File;
use std::io::Read as _;
use std::path::Path;
use std::path::PathBuf;
use std::sync::Arc;

use foldhash::HashMap;
use rustix::fs::Mode;
use rustix::fs::OFlags;

/// Most bytes of all such files together.
const MAX_TOTAL_BYTES: usize = 64 << 20;

/// The files of one load, each read once, however many resources name it.
#[derive(Debug, Default)]
pub(super) struct Texts {
    read: HashMap<PathBuf, Result<Arc<str>, String>>,
    bytes: usize,
}

impl Texts {
    /// The text of a file.
    ///
    /// # Errors
    ///
    /// Why it cannot be used, without its path.
    pub(super) fn text(&mut self, path: &Path, most: u64) -> Result<Arc<str>, String> {
        let text = match self.read.get(path) {
            Some(known) => known.clone(),
            None => {
                let text = if self.bytes > MAX_TOTAL_BYTES {
                    let message =
                        format!("files that resources name have more than {MAX_TOTAL_BYTES} bytes");
                    Err(format!("{message} together"))
                } else {
                    read_text(path, most).map(Arc::from)
                };
                self.bytes += text.as_ref().map_or(0, |text: &Arc<str>| text.len());
                self.read.insert(path.to_owned(), text.clone());
                text
            }
        };
        // Another resource may have been allowed more.
        text.and_then(|text| bounded(text.len(), most).map(|()| text))
    }
}

/// A regular file's text, never waiting for one that is none.
fn read_text(path: &Path, most: u64) -> Result<String, String> {
    let flags = OFlags::RDONLY | OFlags::NONBLOCK | OFlags::CLOEXEC;
    let file = rustix::fs::open(path, flags, Mode::empty())
        .map_err(|err| std::io::Error::from(err).to_string())?;
    let file = File::from(file);
    let metadata = file.metadata().map_err(|err| err.to_string())?;
    if !metadata.is_file() {
        return Err("it is not a regular file".to_owned());
    }
    let mut bytes = Vec::new();
    file.take(most + 1)
        .read_to_end(&mut bytes)
        .map_err(|err| err.to_string())?;
    bounded(bytes.len(), most)?;
    String::from_utf8(bytes).map_err(|_| "it is not text (UTF-8)".to_owned())
}

fn bounded(length: usize, most: u64) -> Result<(), String> {
    if u64::try_from(length).is_ok_and(|length| length <= most) {
        Ok(())
    } else {
        Err(format!("it is larger than {most} bytes"))
    }
}
