//! A filter author's machine: nothing is installed on it, only said how.

use anyhow::bail;
use tidegate_toolchain::compiler::Machine;
use tidegate_toolchain::compiler::is_debian_installed;

use crate::author;

/// See the module.
#[derive(Debug)]
pub(crate) struct AuthorsMachine;

impl Machine for AuthorsMachine {
    fn say(&self, line: &str) {
        author::say(line);
    }

    fn may_add_target(&self) -> bool {
        false
    }

    fn ensure_debian(&self, packages: &[&str]) -> anyhow::Result<()> {
        let missing = packages.iter().copied();
        let missing: Vec<&str> = missing.filter(|name| !is_debian_installed(name)).collect();
        if !missing.is_empty() {
            bail!("run: sudo apt-get install -y {}", missing.join(" "));
        }
        Ok(())
    }
}
