//! Installing Debian packages: only as root or in CI, else the command to type is the error.
//!
//! Steps that run side by side may both need packages. One lock orders them within this program;
//! for other programs apt itself waits.

use std::process::Command;
use std::sync::{Mutex, PoisonError};

use anyhow::{Context, Result, bail};
use tidegate_toolchain::compiler::is_debian_installed;

use crate::run::{self, Sink};
use crate::workspace::in_ci;

/// apt's own lock covers installing, not the update of its lists before.
static ONE_AT_A_TIME: Mutex<()> = Mutex::new(());

/// Makes sure that these packages are installed.
pub(crate) fn ensure(packages: &[&str], sink: &Sink) -> Result<()> {
    let _turn = ONE_AT_A_TIME.lock().unwrap_or_else(PoisonError::into_inner);
    let missing: Vec<&str> = packages
        .iter()
        .copied()
        .filter(|name| !is_debian_installed(name))
        .collect();
    if missing.is_empty() {
        return Ok(());
    }
    if !run::works(Command::new("apt-get").arg("--version")) {
        bail!(
            "this machine has no apt-get; install by its own means: {}",
            missing.join(" ")
        );
    }
    let Some(rights) = Rights::find() else {
        bail!(
            "packages are installed only as root or with CI=true; run: \
             sudo apt-get install -y {}",
            missing.join(" ")
        );
    };
    sink.say(&format!("installing {}", missing.join(", ")));
    sink.run(rights.apt_get("update").arg("-q"))
        .context("the package lists cannot be fetched; is the network there?")?;
    sink.run(
        rights
            .apt_get("install")
            .args(["-q", "-y", "--no-install-recommends"])
            .args(missing),
    )
    .context("not every package can be installed; is this a current Debian?")
}

/// By what right packages may be installed.
#[derive(Debug, Clone, Copy)]
enum Rights {
    Root,
    Sudo,
}

impl Rights {
    fn find() -> Option<Self> {
        let is_root = run::output(Command::new("id").arg("-u")).is_ok_and(|id| id.trim() == "0");
        match (is_root, in_ci()) {
            (true, _) => Some(Self::Root),
            (false, true) => Some(Self::Sudo),
            (false, false) => None,
        }
    }

    fn apt_get(self, subcommand: &str) -> Command {
        let mut command = match self {
            Self::Root => Command::new("env"),
            Self::Sudo => Command::new("sudo"),
        };
        if matches!(self, Self::Sudo) {
            command.args(["-n", "env"]);
        }
        command.args(["DEBIAN_FRONTEND=noninteractive", "apt-get", subcommand]);
        command.args(["-o", "DPkg::Lock::Timeout=300", "-o", "Acquire::Retries=3"]);
        command
    }
}
