//! Plugin code from a file.

use std::fs::File;
use std::io::Read as _;
use std::os::fd::AsRawFd as _;
use std::path::Path;
use std::path::PathBuf;

use bytes::Bytes;
use sha2::Digest as _;
use sha2::Sha256;

use crate::MAX_MODULE_BYTES;
use crate::PluginCode;
use crate::pieces;

/// Why a file gives no plugin code.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum FileError {
    /// It cannot be read.
    #[error("cannot read plugin file {path}")]
    Read {
        /// The file.
        path: PathBuf,
        /// The system's reason.
        source: std::io::Error,
    },
    /// It is something else.
    #[error("plugin file {path} is not a file: expected a .wasm module")]
    NotAFile {
        /// The path.
        path: PathBuf,
    },
    /// It is in a folder that no plugin is taken from.
    #[error(
        "plugin file {path} is in {folder}, where the gateway keeps what it has fetched and compiled: name \
         where the code comes from instead, or put a copy of the file somewhere else"
    )]
    Kept {
        /// The path.
        path: PathBuf,
        /// The folder.
        folder: PathBuf,
    },
    /// It is larger than any module should be.
    #[error("plugin file {path} has {bytes} bytes, more than the limit of {MAX_MODULE_BYTES}")]
    TooLarge {
        /// The file.
        path: PathBuf,
        /// Its size.
        bytes: u64,
    },
}

/// Reads the code of a plugin; its name is the file's without extension.
///
/// # Errors
///
/// [`FileError`] with the path.
pub fn load(path: &Path) -> Result<PluginCode, FileError> {
    load_outside(path, &[])
}

/// The same, of files that are not below these folders, wherever symbolic links lead. A hard link
/// elsewhere is another file, as a copy is.
///
/// # Errors
///
/// [`FileError`] with the path.
pub fn load_outside(path: &Path, folders: &[PathBuf]) -> Result<PluginCode, FileError> {
    let failed = |source| FileError::Read {
        path: path.to_owned(),
        source,
    };
    let file = File::open(path).map_err(failed)?;
    let metadata = file.metadata().map_err(failed)?;
    if !metadata.is_file() {
        return Err(FileError::NotAFile {
            path: path.to_owned(),
        });
    }
    if let Some(folder) = below(&file, path, folders).map_err(failed)? {
        return Err(FileError::Kept {
            path: path.to_owned(),
            folder,
        });
    }
    if metadata.len() > MAX_MODULE_BYTES {
        return Err(FileError::TooLarge {
            path: path.to_owned(),
            bytes: metadata.len(),
        });
    }
    let mut bytes = Vec::new();
    // The file may grow while it is read.
    pieces::read(file.take(MAX_MODULE_BYTES), &mut bytes).map_err(failed)?;
    let name = path
        .file_stem()
        .unwrap_or(path.as_os_str())
        .to_string_lossy()
        .into_owned();
    let digest = Sha256::digest(&bytes).into();
    Ok(PluginCode {
        name,
        bytes: Bytes::from(bytes),
        digest,
    })
}

/// Which of the folders an open file is below.
fn below(file: &File, path: &Path, folders: &[PathBuf]) -> std::io::Result<Option<PathBuf>> {
    if folders.is_empty() {
        return Ok(None);
    }
    // That of the open file: its path may lead elsewhere by now.
    let real = std::fs::read_link(format!("/proc/self/fd/{}", file.as_raw_fd()));
    let real = real.or_else(|_| path.canonicalize())?;
    // Nothing is in a folder that is not there.
    let is_above = |folder: &&PathBuf| folder.canonicalize().is_ok_and(|it| real.starts_with(it));
    Ok(folders.iter().find(is_above).cloned())
}

#[cfg(test)]
mod tests {
    use super::FileError;
    use super::load;
    use super::load_outside;

    #[test]
    fn code_is_named_after_its_file_and_known_by_its_digest() {
        let folder = tempfile::tempdir().expect("a temporary folder");
        let path = folder.path().join("auth.wasm");
        std::fs::write(&path, b"abc").expect("written");
        let code = load(&path).expect("read");
        assert_eq!(
            (code.name.as_str(), code.bytes.as_ref()),
            ("auth", &b"abc"[..])
        );
        assert_eq!(&code.digest[..4], [0xba, 0x78, 0x16, 0xbf]);
    }

    #[test]
    fn a_missing_file_or_a_folder_is_named() {
        let folder = tempfile::tempdir().expect("a temporary folder");
        let missing = load(&folder.path().join("no.wasm")).expect_err("missing");
        assert!(missing.to_string().ends_with("no.wasm"));
        assert!(matches!(
            load(folder.path()),
            Err(FileError::NotAFile { .. })
        ));
    }

    #[test]
    fn nothing_is_taken_from_below_a_folder_wherever_links_lead() {
        let folder = tempfile::tempdir().expect("a temporary folder");
        let path = |name: &str| folder.path().join(name);
        std::fs::create_dir_all(path("kept/deep")).expect("made");
        std::fs::create_dir_all(path("kept-not")).expect("made");
        for name in ["kept/deep/a.wasm", "kept-not/a.wasm"] {
            std::fs::write(path(name), b"abc").expect("written");
        }
        let link = |to: &str, name: &str| {
            std::os::unix::fs::symlink(path(to), path(name)).expect("made");
        };
        link("kept/deep/a.wasm", "link.wasm");
        link("kept", "other");
        // The folder may be named by a link as well.
        for kept in ["kept", "other"] {
            let folders = [path("no"), path(kept)];
            for name in [
                "kept/deep/a.wasm",
                "kept-not/../kept/deep/a.wasm",
                "link.wasm",
                "other/deep/a.wasm",
            ] {
                let refused = load_outside(&path(name), &folders);
                let Err(FileError::Kept { folder, .. }) = refused else {
                    panic!("{name}: {refused:?}");
                };
                assert_eq!(folder, path(kept));
            }
            load_outside(&path("kept-not/a.wasm"), &folders).expect("it is beside it");
        }
    }

    #[test]
    fn a_hard_link_is_another_file_as_a_copy_is() {
        let folder = tempfile::tempdir().expect("a temporary folder");
        let path = |name: &str| folder.path().join(name);
        std::fs::create_dir(path("kept")).expect("made");
        std::fs::write(path("kept/a.wasm"), b"abc").expect("written");
        std::fs::hard_link(path("kept/a.wasm"), path("link.wasm")).expect("made");
        std::fs::copy(path("kept/a.wasm"), path("copy.wasm")).expect("made");
        for name in ["link.wasm", "copy.wasm"] {
            load_outside(&path(name), &[path("kept")]).expect("it is elsewhere");
        }
    }
}
