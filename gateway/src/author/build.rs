//! `tidegate plugin build`: a filter's crate becomes a module.

use std::fs;
use std::path::Path;
use std::path::PathBuf;

use anyhow::Context as _;
use tidegate_toolchain::compiler;
use tidegate_toolchain::compiler::TARGET;
use tidegate_toolchain::compiler::Toolchain;
use tidegate_toolchain::process;
use tidegate_toolchain::sizes::Sizes;
use tidegate_toolchain::sizes::kib;

use crate::author;
use crate::author::check;
use crate::author::machine::AuthorsMachine;
use crate::author::project::Project;
use crate::cli::BuildArgs;

/// What the compiler takes its time for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Profile {
    /// Small and fast code.
    Release,
    /// A quick build.
    Fast,
}

/// What is said of a crate that the compiler does not take; it has said why.
pub(crate) const BROKEN: &str = "it does not compile";

/// How much cargo tells of what it does.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Say {
    /// What it compiles.
    All,
    /// Errors and warnings.
    Little,
}

/// What the quick profile, cargo's `dev`, is where a Cargo.toml does not say.
const FAST: [&str; 2] = ["profile.dev.opt-level=1", "profile.dev.debug=false"];

/// A module.
#[derive(Debug)]
pub(crate) struct Built {
    /// Where it is; absolute.
    pub(crate) path: PathBuf,
    /// Its bytes.
    pub(crate) bytes: Vec<u8>,
    /// The files it was made of; absolute.
    pub(crate) depends: Vec<PathBuf>,
}

/// Builds as told and says what came of it.
///
/// # Errors
///
/// What there is instead of a filter or a compiler, or that it does not compile.
pub(crate) fn run(args: &BuildArgs) -> anyhow::Result<()> {
    let project = Project::open(&args.project.folder)?;
    let profile = if args.fast {
        Profile::Fast
    } else {
        Profile::Release
    };
    let toolchain = toolchain(args.project.toolchain)?;
    let built = build(&project, profile, toolchain, Say::All)?;
    let sizes = Sizes::of(&built.bytes).context("cargo made something that is no module")?;
    author::say(&format!(
        "{}\n{} KiB, {} KiB without the names of functions",
        shown(&built.path),
        kib(sizes.total),
        kib(sizes.bare())
    ));
    author::print(&check::summary(&built.bytes));
    Ok(())
}

/// The compiler to take; it is said which.
///
/// # Errors
///
/// What to install, if there is none.
pub(crate) fn toolchain(wish: Option<Toolchain>) -> anyhow::Result<Toolchain> {
    let found = compiler::choose(wish, &AuthorsMachine)?;
    author::say(&found.reason);
    Ok(found.toolchain)
}

/// Compiles a filter, and puts the module to `target/NAME.wasm` in its folder
/// (`target/NAME-fast.wasm` if that was asked for), wherever cargo builds.
///
/// # Errors
///
/// That it does not compile; the compiler has said why.
pub(crate) fn build(
    project: &Project,
    profile: Profile,
    toolchain: Toolchain,
    say: Say,
) -> anyhow::Result<Built> {
    let mut cargo = toolchain.cargo_build();
    cargo
        .current_dir(&project.folder)
        .args(["--lib", "--target", TARGET]);
    // Another compiler would build everything anew, there and back.
    let target = match toolchain {
        Toolchain::Rustup => project.target.clone(),
        Toolchain::Debian => project.target.join(toolchain.name()),
    };
    cargo.arg("--target-dir").arg(&target);
    let (name, folder) = match profile {
        Profile::Release => ("release", "release"),
        Profile::Fast => ("dev", "debug"),
    };
    cargo.args(["--profile", name]);
    if profile == Profile::Fast && !says_what_fast_is(&project.folder) {
        for setting in FAST {
            cargo.args(["--config", setting]);
        }
    }
    if say == Say::Little {
        cargo.arg("--quiet");
    }
    process::run(&mut cargo).context(BROKEN)?;
    let made = target
        .join(TARGET)
        .join(folder)
        .join(format!("{}.wasm", project.library));
    let bytes = fs::read(&made)
        .with_context(|| format!("cargo built no {}; is the crate a cdylib?", made.display()))?;
    let path = path(project, profile);
    install(&bytes, &path)?;
    let depends = depends(&made.with_extension("d"), &project.folder);
    Ok(Built {
        path,
        bytes,
        depends,
    })
}

/// Where a module is put; absolute.
pub(crate) fn path(project: &Project, profile: Profile) -> PathBuf {
    let suffix = match profile {
        Profile::Release => "",
        Profile::Fast => "-fast",
    };
    let file = format!("{}{suffix}.wasm", project.name);
    project.folder.join("target").join(file)
}

/// The files that cargo says a module was made of (a rule as `make` reads it).
fn depends(rule: &Path, folder: &Path) -> Vec<PathBuf> {
    let text = fs::read_to_string(rule).unwrap_or_default();
    let Some((_, files)) = text.lines().next().and_then(|line| line.split_once(": ")) else {
        return Vec::new();
    };
    // A space in a name has a backslash before it.
    let files = files.replace("\\ ", "\0");
    let files = files.split_whitespace();
    files
        .map(|file| folder.join(file.replace('\0', " ")))
        .collect()
}

fn says_what_fast_is(folder: &Path) -> bool {
    let manifest = fs::read_to_string(folder.join("Cargo.toml"));
    manifest.is_ok_and(|text| text.lines().any(|line| line.trim() == "[profile.dev]"))
}

/// Puts a module there in one step, for a gateway may be reading the one before; not at all if it is
/// the same.
fn install(bytes: &[u8], path: &Path) -> anyhow::Result<()> {
    if fs::read(path).is_ok_and(|there| there == bytes) {
        return Ok(());
    }
    let unfinished = path.with_extension(format!("wasm.{}", std::process::id()));
    let folder = path.parent().context("the root is no module")?;
    fs::create_dir_all(folder)
        .and_then(|()| fs::write(&unfinished, bytes))
        .and_then(|()| fs::rename(&unfinished, path))
        .with_context(|| format!("cannot write {}", path.display()))
}

/// A path as seen from here, if it is below.
pub(crate) fn shown(path: &Path) -> String {
    let here = std::env::current_dir().ok();
    let below = here.and_then(|here| path.strip_prefix(here).ok().map(Path::to_owned));
    below
        .unwrap_or_else(|| path.to_owned())
        .display()
        .to_string()
}
