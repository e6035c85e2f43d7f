//! The copy of the SDK that this binary carries, and the one in a filter's folder.
//!
//! Owns the folder `.tidegate` of a filter: it is written whole, and again if another version of
//! tidegate wrote it. Nothing in it is the author's.

use std::fs;
use std::path::Path;

use anyhow::Context as _;

include!(concat!(env!("OUT_DIR"), "/sdk.rs"));

/// The folder in a filter's folder.
const FOLDER: &str = ".tidegate";
/// What a manifest that depends on the copy says.
const DEPENDENCY: &str = ".tidegate/sdk";
/// The file that says which version it is.
const STAMP: &str = "VERSION";

/// The versions of other crates that the SDK was tested with, as a Cargo.lock.
pub(crate) fn lock() -> &'static str {
    LOCK
}

/// Makes sure that a filter which depends on the copy has that of this binary. Returns what was done,
/// to be told.
///
/// # Errors
///
/// The system's, if it cannot be written; the copy before stays then.
pub(crate) fn ensure(project: &Path) -> anyhow::Result<Option<String>> {
    let manifest = fs::read_to_string(project.join("Cargo.toml")).unwrap_or_default();
    if !manifest.contains(DEPENDENCY) {
        return Ok(None);
    }
    let written = fs::read_to_string(project.join(FOLDER).join(STAMP)).unwrap_or_default();
    if written == stamp() {
        return Ok(None);
    }
    write(project)?;
    let version = env!("CARGO_PKG_VERSION");
    Ok(Some(match written.split(' ').next() {
        None | Some("") => format!("wrote {DEPENDENCY}, the SDK of tidegate {version}"),
        Some(before) if before == version => {
            format!("wrote {DEPENDENCY} anew: it was that of another build of tidegate {version}")
        }
        Some(before) => {
            format!("wrote {DEPENDENCY} anew: it was that of tidegate {before}, now {version}")
        }
    }))
}

/// Writes the copy in a filter's folder, in place of the one there may be.
///
/// # Errors
///
/// The system's; the copy before stays then.
pub(crate) fn write(project: &Path) -> anyhow::Result<()> {
    let id = std::process::id();
    let folder = project.join(FOLDER);
    let unfinished = project.join(format!("{FOLDER}.new-{id}"));
    let outdated = project.join(format!("{FOLDER}.old-{id}"));
    let write = || {
        for (name, text) in FILES {
            put(&unfinished.join(name), text)?;
        }
        put(&unfinished.join(STAMP), &stamp())?;
        if folder.exists() {
            fs::rename(&folder, &outdated)?;
        }
        fs::rename(&unfinished, &folder)
    };
    let written = write();
    // What is left of an attempt, or of the version before, serves nobody.
    fs::remove_dir_all(&unfinished).ok();
    if folder.exists() {
        fs::remove_dir_all(&outdated).ok();
    }
    written.with_context(|| format!("cannot write {}", folder.display()))
}

/// Writes a file and the folders it is in.
pub(crate) fn put(path: &Path, text: &str) -> std::io::Result<()> {
    if let Some(folder) = path.parent() {
        fs::create_dir_all(folder)?;
    }
    fs::write(path, text)
}

fn stamp() -> String {
    format!("{} {DIGEST}\n", env!("CARGO_PKG_VERSION"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn project() -> tempfile::TempDir {
        let folder = tempfile::tempdir().expect("a folder");
        let manifest = "tidegate-sdk = { path = \".tidegate/sdk\" }";
        fs::write(folder.path().join("Cargo.toml"), manifest).expect("written");
        folder
    }

    #[test]
    fn the_copy_is_written_once_and_again_after_another_version() {
        let project = project();
        let said = ensure(project.path()).expect("written").expect("news");
        assert!(
            said.starts_with("wrote .tidegate/sdk, the SDK of"),
            "{said}"
        );
        assert_eq!(ensure(project.path()).expect("there"), None);

        let stamp = project.path().join(".tidegate/VERSION");
        let stray = project.path().join(".tidegate/sdk/src/stray.rs");
        fs::write(&stamp, "0.0.9 0123\n").expect("written");
        fs::write(&stray, "").expect("written");
        let said = ensure(project.path()).expect("written").expect("news");
        assert!(said.contains("it was that of tidegate 0.0.9"), "{said}");
        assert!(!stray.exists(), "nothing of the other version is left");
        let left: Vec<_> = fs::read_dir(project.path())
            .expect("listed")
            .map(|entry| entry.expect("an entry").file_name())
            .collect();
        assert_eq!(left.len(), 2, "{left:?}");
    }

    #[test]
    fn a_filter_on_another_sdk_gets_no_copy() {
        let folder = tempfile::tempdir().expect("a folder");
        fs::write(folder.path().join("Cargo.toml"), "proxy-wasm = \"0.2\"").expect("written");
        assert_eq!(ensure(folder.path()).expect("fine"), None);
        assert!(!folder.path().join(".tidegate").exists());
    }

    #[test]
    fn what_the_binary_carries_stands_alone() {
        let file = |wanted: &str| {
            let found = FILES.iter().find(|(name, _)| *name == wanted);
            found.expect(wanted).1
        };
        for name in [
            "sdk/src/lib.rs",
            "sdk/sys/src/lib.rs",
            "sdk/macros/src/lib.rs",
            "LICENSE",
        ] {
            assert!(!file(name).is_empty());
        }
        let manifest = file("Cargo.toml");
        for name in ["serde = ", "tidegate-sdk-sys = ", "[workspace.lints.rust]"] {
            assert!(manifest.contains(name), "{name} in {manifest}");
        }
        assert!(!manifest.contains("wasmtime"), "{manifest}");
        assert!(lock().contains("name = \"syn\""), "{}", lock());
        assert!(!lock().contains("name = \"wasmtime\""));
    }
}
