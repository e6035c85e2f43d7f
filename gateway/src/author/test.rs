//! `tidegate plugin test`: a filter's tests, natively or against its module.
//!
//! Owns the variables by which `tidegate-sdk-testing` learns how the tests are to run:
//! `TIDEGATE_TEST_MODE`, `TIDEGATE_TEST_MODULE`, `TIDEGATE_TEST_CODE_CACHE`, `TIDEGATE_BIN` and
//! `TIDEGATE_ENVOY`.

use std::env;
use std::path::PathBuf;
use std::process::Command;
use std::process::ExitCode;

use anyhow::Context as _;
use anyhow::bail;
use tidegate_toolchain::process;

use crate::author;
use crate::author::build;
use crate::author::build::Profile;
use crate::author::build::Say;
use crate::author::project::Project;
use crate::cli::TestArgs;

/// Where tests keep the module as machine code, in the folder where cargo builds.
const COMPILED: &str = "tidegate-compiled";

/// Runs the tests; their failure is exit code 1.
///
/// # Errors
///
/// What kept them from being run.
pub(crate) fn run(args: &TestArgs) -> anyhow::Result<ExitCode> {
    let envoy = args.envoy.then(find_envoy).transpose()?;
    let project = Project::open(&args.project.folder)?;
    let mut cargo = project.cargo("test");
    let mode = match (args.wasm, args.envoy) {
        (true, _) => "wasm",
        (_, true) => "envoy",
        _ => "native",
    };
    cargo.env("TIDEGATE_TEST_MODE", mode);
    if mode != "native" {
        let toolchain = build::toolchain(args.project.toolchain)?;
        let built = build::build(&project, Profile::Release, toolchain, Say::All)?;
        let me = env::current_exe().context("this program cannot find itself")?;
        cargo
            .env("TIDEGATE_TEST_MODULE", &built.path)
            .env("TIDEGATE_TEST_CODE_CACHE", project.target.join(COMPILED))
            .env("TIDEGATE_BIN", me);
        author::say(&format!("testing {} ({mode})", build::shown(&built.path)));
    }
    if let Some(envoy) = envoy {
        cargo.env("TIDEGATE_ENVOY", envoy);
    }
    cargo.args(&args.rest);
    let status = cargo
        .status()
        .with_context(|| process::cannot_start(&cargo))?;
    Ok(if status.success() {
        ExitCode::SUCCESS
    } else {
        ExitCode::FAILURE
    })
}

/// Envoy, which TIDEGATE_ENVOY or PATH names.
fn find_envoy() -> anyhow::Result<PathBuf> {
    const HOW: &str = "install Envoy 1.40 (https://www.envoyproxy.io/docs/envoy/latest/start/install) \
                       so that `envoy` is in PATH, or let TIDEGATE_ENVOY name it";
    let named = env::var_os("TIDEGATE_ENVOY").filter(|name| !name.is_empty());
    let named = named.map(PathBuf::from);
    let envoy = named.unwrap_or_else(|| "envoy".into());
    if !process::works(Command::new(&envoy).arg("--version")) {
        bail!("{} cannot be run; {HOW}", envoy.display());
    }
    Ok(envoy)
}
