//! `tidegate plugin dev`: a filter that serves while it is written.
//!
//! Owns the thread that builds. A build that fails leaves the module before in place; one that works
//! replaces the file that the gateway watches, which swaps it as it does with every change.

mod demo;
mod sources;

use std::fs;
use std::path::Path;
use std::path::PathBuf;
use std::sync::mpsc;
use std::time::Instant;
use std::time::SystemTime;

use anyhow::Context as _;
use anyhow::bail;
use tidegate_config::draft::PluginSource;
use tidegate_toolchain::compiler::Toolchain;

use crate::author;
use crate::author::build;
use crate::author::build::Built;
use crate::author::build::Profile;
use crate::author::build::Say;
use crate::author::dev::sources::Sources;
use crate::author::project::Project;
use crate::builtin;
use crate::cli::DevArgs;
use crate::cli::MeshArgs;
use crate::cli::RunArgs;
use crate::control::development::Development;
use crate::control::development::is_app;
use crate::run;

/// What a gateway for a filter alone says, if the filter's folder does not.
const MADE_UP: &str = include_str!("../../templates/common/dev.yaml.in");

/// Serves until Ctrl-C.
///
/// # Errors
///
/// What there is instead of a filter, a compiler, or a configuration.
pub(crate) fn run(args: &DevArgs) -> anyhow::Result<()> {
    if let Some(url) = &args.to
        && url.tls_name().is_some()
    {
        bail!("--to {url}: write a Backend with TLS into tidegate.yaml instead");
    }
    let project = Project::open(&args.project.folder)?;
    let toolchain = build::toolchain(args.project.toolchain)?;
    let config = config(&project)?;
    let (changed, changes) = mpsc::channel();
    let sources = Sources::watch(&project, changed).context("cannot start a thread")?;
    let built = first_build(&project, toolchain, &sources, &changes);
    let development = Development {
        released: build::path(&project, Profile::Release),
        built: built.path,
        listen: args.listen,
        app: args.to.clone(),
    };
    prepare(&config, &development)?;
    let builder = Builder {
        project,
        toolchain,
        sources,
        changes,
    };
    std::thread::Builder::new()
        .name("plugin-dev".to_owned())
        .spawn(move || builder.run())
        .context("cannot start a thread")?;
    author::say("save a file to swap the filter; Ctrl-C ends");
    run::develop(&RunArgs::for_development(config), development)
}

/// The configuration to serve.
fn config(project: &Project) -> anyhow::Result<PathBuf> {
    let own = project.folder.join("tidegate.yaml");
    if own.is_file() {
        return Ok(own);
    }
    let made_up = project.folder.join("target/tidegate-dev.yaml");
    let text = MADE_UP.replace("template-name", &project.name);
    let folder = project.folder.join("target");
    fs::create_dir_all(folder)
        .and_then(|()| fs::write(&made_up, text))
        .with_context(|| format!("cannot write {}", made_up.display()))?;
    let shown = build::shown(&made_up);
    author::say(&format!(
        "there is no tidegate.yaml; serving {shown}, which is made up"
    ));
    Ok(made_up)
}

/// Builds until it works.
fn first_build(
    project: &Project,
    toolchain: Toolchain,
    sources: &Sources,
    changes: &mpsc::Receiver<()>,
) -> Built {
    loop {
        let since = SystemTime::now();
        match build_once(project, toolchain, Say::All) {
            Ok(built) => {
                sources.follow(project, &built.depends, since);
                return built;
            }
            Err(err) => {
                author::say(&format!("{}; waiting for a change", why(&err)));
                sources.wait(project, changes);
                sources.follow(project, &[], SystemTime::now());
            }
        }
    }
}

fn build_once(project: &Project, toolchain: Toolchain, say: Say) -> anyhow::Result<Built> {
    let started = Instant::now();
    let built = build::build(project, Profile::Fast, toolchain, say)?;
    let took = started.elapsed().as_secs_f64();
    let shown = build::shown(&built.path);
    author::say(&format!("built {shown} in {took:.1} s"));
    Ok(built)
}

/// Why there is no module. Of what does not compile the compiler has said enough.
fn why(err: &anyhow::Error) -> String {
    let top = err.to_string();
    if top == build::BROKEN {
        top
    } else {
        format!("{err:#}")
    }
}

/// Checks what concerns the backends, and puts demos where nothing listens.
fn prepare(config: &Path, development: &Development) -> anyhow::Result<()> {
    let draft = builtin::loader(config, &MeshArgs::default()).load();
    let released = PluginSource::File(development.released.clone());
    if !draft.plugins.iter().any(|plugin| plugin.source == released) {
        let file = build::shown(&development.released);
        let config = build::shown(config);
        author::say(&format!(
            "no Plugin of {config} has `source: {{ file: {file} }}`: what you write serves nowhere"
        ));
    }
    let backends = &draft.snapshot.backends;
    let has_moved = development.app.is_some();
    if has_moved && !backends.iter().any(|backend| is_app(backend)) {
        bail!(
            "--to says where the application is, and {} has no Backend with the name app",
            build::shown(config)
        );
    }
    for backend in backends.iter() {
        let moved = has_moved && is_app(backend);
        for endpoint in backend.endpoints.iter().filter(|_| !moved) {
            let name = backend.name.as_str();
            let name = name.rsplit_once('/').map_or(name, |(_, name)| name);
            if demo::start(name, endpoint.address)? {
                let address = endpoint.address;
                author::say(&format!(
                    "nothing listens on {address} ({name}); a demo does now"
                ));
            }
        }
    }
    Ok(())
}

/// Builds whenever a source has changed.
struct Builder {
    project: Project,
    toolchain: Toolchain,
    sources: Sources,
    changes: mpsc::Receiver<()>,
}

impl Builder {
    fn run(self) {
        loop {
            self.sources.wait(&self.project, &self.changes);
            let since = SystemTime::now();
            match build_once(&self.project, self.toolchain, Say::Little) {
                Ok(built) => self.sources.follow(&self.project, &built.depends, since),
                Err(err) => {
                    self.sources.follow(&self.project, &[], since);
                    author::say(&format!("{}; the filter before serves on", why(&err)));
                }
            }
        }
    }
}
