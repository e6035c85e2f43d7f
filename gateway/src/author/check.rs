//! `tidegate plugin check`: everything that can be said about a module before it serves.
//!
//! Owns the verdict: what keeps the module from serving here is an error, and exit code 1; what other
//! hosts lack or want is a note. How a report is printed is `text`'s and `json`'s.

mod fields;
mod json;
mod notes;
mod text;

use std::io::IsTerminal as _;
use std::path::Path;
use std::process::ExitCode;
use std::sync::Arc;

use anyhow::Context as _;
use bytes::Bytes;
use serde_json::Value;
use tidegate_config::plugin_schema;
use tidegate_config::problem::Problem;
use tidegate_config::render::Colour;
use tidegate_config::render::Renderer;
use tidegate_host_abi::Manifest;
use tidegate_host_abi::ManifestError;
use tidegate_host_abi::PluginKind;
use tidegate_host_abi::PluginSpec;
use tidegate_host_abi::Survey;
use tidegate_plugin_store::PluginCode;
use tidegate_toolchain::sizes::Sizes;

use crate::author;
use crate::author::check::notes::Note;
use crate::cli::CheckFormat;
use crate::cli::CheckPluginArgs;
use crate::plugins;

/// The name that a configuration has which came on the command line.
const COMMAND_LINE: &str = "--config";

/// Everything that was found out.
struct Report {
    /// As it was named.
    file: String,
    sizes: Sizes,
    survey: Survey,
    manifest: Result<Option<Manifest>, ManifestError>,
    /// Why it does not serve here, one sentence each.
    errors: Vec<String>,
    /// What its schema says about the configuration.
    problems: Vec<Problem>,
    /// What other hosts say.
    notes: Vec<Note>,
    /// Whether it was started with a configuration, and took it.
    started: bool,
}

impl Report {
    /// What a module says without being started.
    fn of(file: String, code: &PluginCode) -> anyhow::Result<Self> {
        let survey = Survey::of(&code.bytes).with_context(|| file.clone())?;
        let manifest = Manifest::read(&code.bytes);
        let refusal = survey.refusal.as_ref().map(ToString::to_string);
        Ok(Self {
            file,
            sizes: Sizes::of(&code.bytes).context("it has no sections")?,
            notes: notes::notes(&survey, &manifest),
            survey,
            manifest,
            errors: refusal.into_iter().collect(),
            problems: Vec::new(),
            started: false,
        })
    }

    fn is_good(&self) -> bool {
        self.errors.is_empty() && self.problems.is_empty()
    }
}

/// A configuration with its text, for the lines of problems.
pub(super) struct Config {
    pub(super) file: Arc<Path>,
    pub(super) text: String,
}

/// Checks and prints; exit code 1 if it does not serve.
///
/// # Errors
///
/// A file that cannot be read, or is no WebAssembly at all.
pub(crate) fn run(args: &CheckPluginArgs) -> anyhow::Result<ExitCode> {
    let file = args.file.display().to_string();
    let code = tidegate_plugin_store::file::load(&args.file)?;
    let config = args.config.as_deref().map(Config::read).transpose()?;
    let mut report = Report::of(file, &code)?;
    let known = report.manifest.as_ref().ok().and_then(Option::as_ref);
    let schema = known.and_then(|manifest| manifest.config_schema.as_ref());
    let mut problems = Vec::new();
    let mut told = Bytes::new();
    if let Some(config) = &config {
        let read = plugin_schema::read(&config.file, &config.text, schema);
        problems = read.problems;
        told = read.told.into();
    }
    let network = known.is_some_and(|manifest| manifest.kind == "network");
    report.problems = problems;
    // Without a configuration there is nothing that it could be started with, or nothing to refuse.
    if report.is_good() && config.is_some() {
        let spec = PluginSpec {
            name: code.name.clone(),
            config: told,
            kind: if network {
                PluginKind::Network
            } else {
                PluginKind::Http
            },
            ..PluginSpec::default()
        };
        match plugins::try_once(&code, &spec) {
            Ok(()) => report.started = true,
            Err(why) => report.errors.push(why),
        }
    }
    author::print(&match args.format {
        CheckFormat::Text => text::page(&report, config.as_ref()),
        CheckFormat::Json => format!("{:#}\n", json::page(&report)),
    });
    Ok(if report.is_good() {
        ExitCode::SUCCESS
    } else {
        ExitCode::FAILURE
    })
}

/// Everything about a module that is not started: a page for people, one for programs, and whether it
/// could serve.
///
/// # Errors
///
/// If it is no WebAssembly at all.
pub(super) fn about(file: String, code: &PluginCode) -> anyhow::Result<(String, Value, bool)> {
    let report = Report::of(file, code)?;
    let page = text::page(&report, None);
    Ok((page, json::page(&report), report.is_good()))
}

/// What a module says about itself, in a few lines; nothing if it says nothing.
pub(super) fn summary(module: &[u8]) -> String {
    let manifest = Manifest::read(module).ok().flatten();
    manifest.map_or_else(String::new, |manifest| text::summary(&manifest))
}

impl Config {
    /// Takes an argument: text, or @FILE.
    ///
    /// # Errors
    ///
    /// A file that cannot be read.
    pub(super) fn read(arg: &str) -> anyhow::Result<Self> {
        Ok(match arg.strip_prefix('@') {
            None => Self {
                file: Path::new(COMMAND_LINE).into(),
                text: arg.to_owned(),
            },
            Some(file) => Self {
                file: Path::new(file).into(),
                text: std::fs::read_to_string(file)
                    .with_context(|| format!("cannot read the configuration {file}"))?,
            },
        })
    }

    /// Prints problems with the lines that they are in.
    pub(super) fn render(&self, problems: &[Problem]) -> String {
        let colour = if std::io::stdout().is_terminal() {
            Colour::Always
        } else {
            Colour::Never
        };
        let mut renderer = Renderer::new(colour);
        renderer.insert(&self.file, &self.text);
        renderer.render(problems)
    }
}
