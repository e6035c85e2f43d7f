//! The files of the repository, and the names that none of them may have.

use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result};

/// Folders that hold nothing of ours.
const SKIPPED: [&str; 4] = [".git", "target", "node_modules", "proptest-regressions"];

/// A Rust or Markdown file.
#[derive(Debug, Clone)]
pub(super) struct Text {
    /// Relative to the root.
    pub(super) path: PathBuf,
    /// Empty for files that no rule reads.
    pub(super) text: String,
}

impl Text {
    pub(super) fn has_extension(&self, extension: &str) -> bool {
        self.path.extension().is_some_and(|it| it == extension)
    }
}

/// All files below the root in a stable order; the text of those that rules read.
pub(super) fn find(root: &Path) -> Result<Vec<Text>> {
    let mut found = Vec::new();
    let mut folders = vec![root.to_owned()];
    while let Some(folder) = folders.pop() {
        let entries =
            fs::read_dir(&folder).with_context(|| format!("cannot list {}", folder.display()))?;
        for entry in entries {
            let entry = entry?;
            let path = entry.path();
            let skipped = SKIPPED.iter().any(|name| entry.file_name() == *name);
            let kind = entry.file_type()?;
            if kind.is_dir() && !skipped {
                folders.push(path);
            } else if kind.is_file() {
                found.push(read(root, &path)?);
            }
        }
    }
    found.sort_by(|a, b| a.path.cmp(&b.path));
    Ok(found)
}

/// What is wrong with a file because of its name alone.
pub(super) fn check_name(path: &Path) -> Option<String> {
    let name = path.file_name()?.to_str()?;
    let why = match name {
        "mod.rs" => "name it after the module, beside its folder",
        "rust-toolchain" | "rust-toolchain.toml" => {
            "a pinned toolchain makes rustup download one; set rust-version instead"
        }
        _ => return None,
    };
    Some(format!("{}: {why}", path.display()))
}

fn read(root: &Path, path: &Path) -> Result<Text> {
    let relative = path.strip_prefix(root).unwrap_or(path).to_owned();
    let mut file = Text {
        path: relative,
        text: String::new(),
    };
    if file.has_extension("rs") || file.has_extension("md") {
        file.text = fs::read_to_string(path)
            .with_context(|| format!("cannot read {} as UTF-8", path.display()))?;
    }
    Ok(file)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn some_names_are_refused_anywhere() {
        let refused = |path: &str| check_name(Path::new(path)).is_some();
        assert!(refused("gateway/core/src/route/mod.rs"));
        assert!(refused("rust-toolchain.toml"));
        assert!(!refused("gateway/core/src/route.rs"));
    }
}
