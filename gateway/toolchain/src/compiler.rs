//! Which compiler builds the filters.
//!
//! The first that works of: the target is installed; rustup can add it; Debian's compiler with
//! the standard library built from source. The last exists because some machines reach a Debian
//! mirror but not rustup's servers. Whoever asks says whether anything may be installed for it.

use std::env;
use std::fmt;
use std::path::Path;
use std::process::{Command, Stdio};
use std::str::FromStr;
use std::time::Duration;

use anyhow::{Result, bail};

use crate::process::{self, Ended};

/// The target of filters: no imports but the host calls, and the smallest modules.
pub const TARGET: &str = "wasm32-unknown-unknown";

/// Behind a firewall that drops packets rustup would wait for ever.
const RUSTUP_LIMIT: Duration = Duration::from_secs(120);

/// Compiler, sources of its standard library, and the linker that `rust-lld` names.
pub const DEBIAN_PACKAGES: [&str; 5] = [
    "rustc-web",
    "cargo-web",
    "rust-web-src",
    "rust-web-llvm",
    "lld-22",
];

/// Variables by which the cargo that started us would bend another one.
const INHERITED: [&str; 9] = [
    "CARGO",
    "CARGO_BUILD_TARGET",
    "CARGO_ENCODED_RUSTFLAGS",
    "LD_LIBRARY_PATH",
    "RUSTC",
    "RUSTC_WRAPPER",
    "RUSTDOC",
    "RUSTFLAGS",
    "RUSTUP_TOOLCHAIN",
];

/// A compiler for filters.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Toolchain {
    /// The usual one, with the standard library that rustup installs.
    Rustup,
    /// Debian's, with the standard library built from source.
    Debian,
}

impl Toolchain {
    /// Its name, which is also that of its own folder below the target folder: another compiler
    /// would rebuild everything.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Rustup => "rustup",
            Self::Debian => "debian",
        }
    }

    /// The start of a `cargo build` with this compiler.
    #[must_use]
    pub fn cargo_build(self) -> Command {
        match self {
            Self::Rustup => {
                let mut cargo = usual_cargo();
                // Flags meant for this machine's target do not fit this one.
                cargo
                    .env_remove("RUSTFLAGS")
                    .env_remove("CARGO_ENCODED_RUSTFLAGS");
                cargo.arg("build");
                cargo
            }
            Self::Debian => {
                let mut cargo = Command::new("/usr/bin/cargo");
                for name in INHERITED {
                    cargo.env_remove(name);
                }
                // Building std needs an unstable option, which this variable allows.
                cargo
                    .env("RUSTC", "/usr/bin/rustc")
                    .env("RUSTC_BOOTSTRAP", "1");
                cargo.args(["build", "-Zbuild-std=std,panic_abort"]);
                cargo
            }
        }
    }
}

impl fmt::Display for Toolchain {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

impl FromStr for Toolchain {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        [Self::Rustup, Self::Debian]
            .into_iter()
            .find(|it| it.name() == text)
            .ok_or_else(|| "expected rustup or debian".to_owned())
    }
}

/// What may be done to a machine that has no compiler yet.
pub trait Machine {
    /// Told before something that may take a while.
    fn say(&self, line: &str);

    /// Whether rustup may be asked to add the target.
    fn may_add_target(&self) -> bool;

    /// Makes sure that Debian's packages are there.
    ///
    /// # Errors
    /// What keeps them from being there, with the command that installs them.
    fn ensure_debian(&self, packages: &[&str]) -> Result<()>;
}

/// The compiler that was found, and why it was taken.
#[derive(Debug)]
pub struct Found {
    /// It.
    pub toolchain: Toolchain,
    /// One sentence.
    pub reason: String,
}

/// The toolchain that was wished for, or the first that works.
///
/// # Errors
/// What to install, if there is none.
pub fn choose(wish: Option<Toolchain>, machine: &dyn Machine) -> Result<Found> {
    let rustup = match wish {
        Some(Toolchain::Debian) => Err("not to be taken".to_owned()),
        Some(Toolchain::Rustup) | None => find_rustup(machine),
    };
    let why_not = match rustup {
        Ok(reason) => {
            return Ok(Found {
                toolchain: Toolchain::Rustup,
                reason: format!("the usual toolchain: {reason}"),
            });
        }
        Err(why_not) => why_not,
    };
    if wish == Some(Toolchain::Rustup) {
        bail!(
            "{TARGET} is not installed, and rustup was {why_not}; run: rustup target add {TARGET}"
        );
    }
    let Err(err) = machine.ensure_debian(&DEBIAN_PACKAGES) else {
        return Ok(Found {
            toolchain: Toolchain::Debian,
            reason: format!(
                "Debian's toolchain, building std from source, because {TARGET} is not installed and \
                 rustup was {why_not}; quicker: rustup target add {TARGET}"
            ),
        });
    };
    if wish == Some(Toolchain::Debian) {
        return Err(err.context("Debian's toolchain is not complete"));
    }
    bail!(
        "no compiler for {TARGET}.\n  \
         rustup was {why_not}; run: rustup target add {TARGET} (rustup itself is at https://rustup.rs)\n  \
         Debian: {err:#}"
    )
}

/// The cargo that started us, else the one in PATH.
#[must_use]
pub fn usual_cargo() -> Command {
    Command::new(env::var_os("CARGO").unwrap_or("cargo".into()))
}

/// What to say where there is no Rust at all.
///
/// # Errors
/// That, if the usual cargo cannot be run.
pub fn require_rust() -> Result<()> {
    if process::works(usual_cargo().arg("--version")) {
        return Ok(());
    }
    bail!(
        "Rust is not installed, or cargo is not in PATH; run: \
         curl --proto '=https' --tlsv1.2 -sSf https://sh.rustup.rs | sh -s -- --target {TARGET}"
    )
}

/// The command that gets the usual toolchain ready for filters, if it is not.
#[must_use]
pub fn missing_target() -> Option<String> {
    (!target_is_installed()).then(|| format!("rustup target add {TARGET}"))
}

/// Whether Debian's package is installed.
#[must_use]
pub fn is_debian_installed(package: &str) -> bool {
    let mut ask = Command::new("dpkg-query");
    ask.args(["--show", "--showformat=${db:Status-Status}", package]);
    process::output(&mut ask).is_ok_and(|status| status == "installed")
}

/// Why the usual toolchain can be used, or why not.
fn find_rustup(machine: &dyn Machine) -> Result<String, String> {
    if target_is_installed() {
        return Ok(format!("{TARGET} is installed"));
    }
    if !machine.may_add_target() {
        return Err("not asked for it".into());
    }
    machine.say(&format!("{TARGET} is not installed; asking rustup for it"));
    let mut add = Command::new("rustup");
    add.args(["target", "add", TARGET]).stdin(Stdio::null());
    match process::run_within(&mut add, RUSTUP_LIMIT) {
        Err(_) => Err("not found".into()),
        Ok(Ended::TooLate) => Err(format!("not done after {} s", RUSTUP_LIMIT.as_secs())),
        Ok(Ended::InTime(status)) if !status.success() => Err("not able to add the target".into()),
        Ok(Ended::InTime(_)) if target_is_installed() => Ok(format!("rustup added {TARGET}")),
        Ok(Ended::InTime(_)) => Err("adding the target to another toolchain than rustc's".into()),
    }
}

fn target_is_installed() -> bool {
    let rustc = env::var_os("RUSTC").unwrap_or("rustc".into());
    let mut ask = Command::new(rustc);
    ask.args(["--print", "target-libdir", "--target", TARGET]);
    process::output(&mut ask).is_ok_and(|folder| Path::new(folder.trim()).is_dir())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn debian_s_cargo_is_not_bent_by_the_one_that_started_us() {
        let cargo = Toolchain::Debian.cargo_build();
        let removed: Vec<_> = cargo
            .get_envs()
            .filter(|(_, value)| value.is_none())
            .map(|(name, _)| name)
            .collect();
        assert!(removed.contains(&"LD_LIBRARY_PATH".as_ref()), "{removed:?}");
        assert!(
            removed.contains(&"RUSTUP_TOOLCHAIN".as_ref()),
            "{removed:?}"
        );
        assert_eq!(cargo.get_program(), "/usr/bin/cargo");
    }

    #[test]
    fn toolchains_are_read_as_they_are_written() {
        for toolchain in [Toolchain::Rustup, Toolchain::Debian] {
            assert_eq!(toolchain.to_string().parse(), Ok(toolchain));
        }
        assert!("nightly".parse::<Toolchain>().is_err());
    }
}
