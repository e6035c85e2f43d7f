//! Which compiler builds the filters.
//!
//! The first that works of: the target is installed; rustup can add it; Debian's compiler with
//! the standard library built from source. The last exists because some machines reach a Debian
//! mirror but not rustup's servers. The choice and its reason are printed.

use std::env;
use std::path::Path;
use std::process::Command;
use std::time::Duration;

use anyhow::{Context, Result, bail};
use clap::ValueEnum;

use crate::apt;
use crate::run::{self, Ended, Sink};

/// The target of filters: no imports but the host calls, and the smallest modules.
pub(crate) const TARGET: &str = "wasm32-unknown-unknown";

/// Behind a firewall that drops packets rustup would wait for ever.
const RUSTUP_LIMIT: Duration = Duration::from_secs(120);

/// Compiler, sources of its standard library, and the linker that `rust-lld` names.
const DEBIAN_PACKAGES: [&str; 5] = [
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
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum Toolchain {
    /// The usual one, with the standard library that rustup installs.
    Rustup,
    /// Debian's, with the standard library built from source.
    Debian,
}

impl Toolchain {
    /// Its own folder below the target folder: another compiler would rebuild everything.
    pub(crate) fn folder(self) -> &'static str {
        match self {
            Self::Rustup => "rustup",
            Self::Debian => "debian",
        }
    }

    /// The start of a `cargo build` with this compiler.
    pub(crate) fn cargo_build(self) -> Command {
        match self {
            Self::Rustup => {
                let mut cargo = Command::new(env::var_os("CARGO").unwrap_or("cargo".into()));
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

/// The toolchain that was wished for, or the first that works.
pub(crate) fn choose(wish: Option<Toolchain>) -> Result<Toolchain> {
    let rustup = match wish {
        Some(Toolchain::Debian) => Err("not asked for".to_owned()),
        Some(Toolchain::Rustup) | None => find_rustup(),
    };
    let why_not = match rustup {
        Ok(reason) => {
            println!("plugins: the usual toolchain: {reason}");
            return Ok(Toolchain::Rustup);
        }
        Err(why_not) => why_not,
    };
    if wish == Some(Toolchain::Rustup) {
        bail!("{TARGET} is not installed, and rustup was {why_not}");
    }
    let Err(err) = apt::ensure(&DEBIAN_PACKAGES, &Sink::Terminal) else {
        println!("plugins: Debian's toolchain, building std from source: rustup was {why_not}");
        return Ok(Toolchain::Debian);
    };
    if wish == Some(Toolchain::Debian) {
        return Err(err).context("Debian's toolchain is not complete");
    }
    bail!(
        "no compiler for {TARGET}.\n  \
         rustup was {why_not}; install https://rustup.rs and run: rustup target add {TARGET}\n  \
         Debian: {err:#}"
    )
}

/// Why the usual toolchain can be used, or why not.
fn find_rustup() -> Result<String, String> {
    if target_is_installed() {
        return Ok(format!("{TARGET} is installed"));
    }
    println!("plugins: {TARGET} is not installed; asking rustup for it");
    let mut add = Command::new("rustup");
    add.args(["target", "add", TARGET]);
    match run::run_within(&mut add, RUSTUP_LIMIT) {
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
    run::output(&mut ask).is_ok_and(|folder| Path::new(folder.trim()).is_dir())
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
}
