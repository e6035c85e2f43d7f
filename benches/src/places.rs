//! Where the programs are that the measurements start.
//!
//! `cargo xtask compare` says so in `TIDEGATE_BIN`, `TIDEGATE_PLUGINS_DIR` and
//! `TIDEGATE_PEERS_DIR`; without them they are looked for where cargo and xtask put them.

use std::env;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail};

/// Where administrators' programs are; an ordinary PATH lacks them.
const MORE_FOLDERS: [&str; 2] = ["/usr/sbin", "/usr/local/sbin"];

/// The gateway that is measured.
///
/// # Errors
/// If it was not built.
pub fn tidegate() -> Result<PathBuf> {
    let path = match env::var_os("TIDEGATE_BIN") {
        Some(path) => path.into(),
        None => neighbour("tidegate")?,
    };
    there(
        path,
        "`cargo build --release -p tidegate` builds it, TIDEGATE_BIN names another",
    )
}

/// A program of this package.
///
/// # Errors
/// If it was not built.
pub fn own(name: &str) -> Result<PathBuf> {
    there(
        neighbour(name)?,
        "`cargo build --release -p tidegate-benches` builds it",
    )
}

/// A filter by the name of its package.
///
/// # Errors
/// If it was not built.
pub fn filter(name: &str) -> Result<PathBuf> {
    let folder = env::var_os("TIDEGATE_PLUGINS_DIR");
    let folder = folder.map_or_else(|| root().join("target/plugins"), PathBuf::from);
    let path = there(
        folder.join(format!("{name}.wasm")),
        "`cargo xtask plugins` builds it",
    )?;
    path.canonicalize()
        .with_context(|| format!("find {}", path.display()))
}

/// The Envoy that `xtask` installed.
///
/// # Errors
/// If it did not.
pub fn envoy() -> Result<PathBuf> {
    let folder = env::var_os("TIDEGATE_PEERS_DIR");
    let folder = folder.map_or_else(|| root().join("target/peers"), PathBuf::from);
    there(
        folder.join("envoy/bin/envoy"),
        "`cargo xtask compare` installs it",
    )
}

/// A program of the system.
///
/// # Errors
/// If it is not installed.
pub fn installed(name: &str) -> Result<PathBuf> {
    let path = env::var_os("PATH").unwrap_or_default();
    let more = MORE_FOLDERS.iter().map(PathBuf::from);
    let found = env::split_paths(&path)
        .chain(more)
        .map(|folder| folder.join(name));
    match found.into_iter().find(|path| path.is_file()) {
        Some(path) => Ok(path),
        None => bail!("{name} is not installed; `cargo xtask compare` installs it"),
    }
}

/// The root of the repository, from where relative paths are meant.
#[must_use]
pub fn root() -> &'static Path {
    let here = Path::new(env!("CARGO_MANIFEST_DIR"));
    here.parent().unwrap_or(here)
}

fn neighbour(name: &str) -> Result<PathBuf> {
    let mut path = env::current_exe().context("find out where this program is")?;
    path.set_file_name(format!("{name}{}", env::consts::EXE_SUFFIX));
    Ok(path)
}

fn there(path: PathBuf, otherwise: &str) -> Result<PathBuf> {
    if !path.is_file() {
        bail!("{} is not there; {otherwise}", path.display());
    }
    Ok(path)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_missing_is_named_with_what_to_do() {
        let err = installed("no-such-program").unwrap_err().to_string();
        assert_eq!(
            err,
            "no-such-program is not installed; `cargo xtask compare` installs it"
        );
        assert!(installed("sh").is_ok());
    }
}
