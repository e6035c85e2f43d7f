//! `tidegate check`: all problems of a configuration, without serving it. Also what editors and
//! clusters want to know of its kinds.

use std::io::IsTerminal as _;
use std::io::Write as _;
use std::process::ExitCode;

use serde_json::json;
use tidegate_config::draft::Draft;
use tidegate_config::draft::PluginDecl;
use tidegate_config::draft::PluginSource;
use tidegate_config::export;
use tidegate_config::kinds;
use tidegate_config::problem;
use tidegate_config::problem::Problem;
use tidegate_config::problem::Severity;
use tidegate_config::render::Colour;
use tidegate_config::render::render;

use crate::builtin;
use crate::cli::CheckArgs;
use crate::cli::CheckFormat;
use crate::control::Control;
use crate::plugins::is_awaited;
use crate::progress::Progress;
use crate::pulls::PullBoard;
use crate::pulls::Pulls;
use crate::pulls::registries;

/// Loads, compiles, starts and configures everything once, with every call of plugins refused.
/// Returns failure if there are errors; warnings are none.
pub(crate) fn check(args: &CheckArgs) -> anyhow::Result<ExitCode> {
    let draft = load(args)?;
    let count = |severity| {
        let problems = draft.problems.iter();
        problems
            .filter(|problem| problem.severity == severity)
            .count()
    };
    let (errors, warnings) = (count(Severity::Error), count(Severity::Warning));
    let resources = draft.resources.len();
    let page = match args.format {
        CheckFormat::Json => json_page(&draft.problems, resources),
        CheckFormat::Text => {
            let colour = if std::io::stdout().is_terminal() {
                Colour::Always
            } else {
                Colour::Never
            };
            let mut page = render(&draft.problems, colour);
            page.push_str(&match (errors, warnings) {
                (0, 0) => format!("{resources} resources, no problems\n"),
                (errors, 0) => format!("{resources} resources, {}\n", counted(errors, "error")),
                (errors, warnings) => format!(
                    "{resources} resources, {}, {}\n",
                    counted(errors, "error"),
                    counted(warnings, "warning")
                ),
            });
            page
        }
    };
    print(&page)?;
    Ok(if errors == 0 {
        ExitCode::SUCCESS
    } else {
        ExitCode::FAILURE
    })
}

/// Loads a configuration as a start would, without waiting for registries unless that is wanted.
fn load(args: &CheckArgs) -> anyhow::Result<Draft> {
    let mut control = Control::candid(builtin::loader(&args.config, &args.mesh));
    let folder = registries::folder(args.registries.plugin_cache.as_deref());
    let fetch = registries::open(&args.registries, folder)?;
    let pulls = if args.pull {
        Pulls::once(fetch)
    } else {
        Pulls::offline(fetch)
    };
    let board = pulls.board();
    control.set_pulls(pulls);
    let mut draft = control.load(true).draft;
    if args.pull {
        let progress = Progress::new();
        control.wait_for_pulls(|board| progress.show(&board.running()));
        progress.end();
        draft = control.load(false).draft;
        let stale: Vec<Problem> = draft
            .plugins
            .iter()
            .filter_map(|decl| not_asked(decl, &board))
            .collect();
        draft.problems.extend(stale);
        problem::sort(&mut draft.problems);
    }
    for problem in &mut draft.problems {
        if !is_awaited(problem.reason) {
            continue;
        }
        if !args.pull {
            problem.hint = Some("it is not checked: `--pull` fetches it".to_owned());
            continue;
        }
        let resource = problem.resource.as_ref();
        let mut decls = draft.plugins.iter();
        let decl = decls.find(|decl| Some(&decl.resource) == resource);
        let report = decl.and_then(|decl| match &decl.source {
            PluginSource::Remote(source) => board.report(source),
            _ => None,
        });
        problem.severity = Severity::Error;
        problem.hint = None;
        if let Some(error) = report.and_then(|report| report.error) {
            problem.message = format!("the code of the Plugin cannot be pulled: {error}");
        }
    }
    Ok(draft)
}

/// That a plugin was checked as it was pulled before, because whoever was asked did not give it now.
fn not_asked(decl: &PluginDecl, board: &PullBoard) -> Option<Problem> {
    let PluginSource::Remote(source) = &decl.source else {
        return None;
    };
    let report = board.report(source)?;
    // Of what is not here, something is said already.
    report.module?;
    let message = format!("the code of the Plugin cannot be pulled: {}", report.error?);
    Some(
        Problem::error(decl.source_place.clone(), message)
            .reason("PullFailed")
            .about(decl.resource.clone())
            .hint(
                "what was pulled before is in the cache: without `--pull` that is what is checked",
            ),
    )
}

/// So many of what a word says: `1 error`, `2 errors`.
pub(crate) fn counted(count: usize, word: &str) -> String {
    let ending = if count == 1 { "" } else { "s" };
    format!("{count} {word}{ending}")
}

fn json_page(problems: &[Problem], resources: usize) -> String {
    let problems: Vec<_> = problems
        .iter()
        .map(|problem| {
            let place = problem.place.as_ref();
            json!({
                "severity": match problem.severity {
                    Severity::Error => "error",
                    Severity::Warning => "warning",
                },
                "file": place.map(|place| place.file.to_string_lossy()),
                "line": place.map(|place| place.line),
                "column": place.map(|place| place.column),
                "length": place.map(|place| place.length),
                "resource": problem.resource.as_ref().map(ToString::to_string),
                "reason": problem.reason,
                "message": problem.message,
                "hint": problem.hint,
            })
        })
        .collect();
    format!(
        "{:#}\n",
        json!({ "resources": resources, "problems": problems })
    )
}

/// `tidegate schema`.
pub(crate) fn schema() -> anyhow::Result<ExitCode> {
    let schema = export::json_schema(&[kinds::schemas(), kinds::operator_schemas()].concat());
    print(&format!("{schema:#}\n"))?;
    Ok(ExitCode::SUCCESS)
}

/// `tidegate crds`.
pub(crate) fn crds() -> anyhow::Result<ExitCode> {
    let group = format!("{}/", kinds::OWN_GROUP);
    let mut own = kinds::schemas();
    own.retain(|kind| kind.api_versions.iter().any(|one| one.starts_with(&group)));
    print(&export::crds(&own))?;
    Ok(ExitCode::SUCCESS)
}

/// Prints a page; a reader that has seen enough is no error.
fn print(page: &str) -> anyhow::Result<()> {
    match std::io::stdout().lock().write_all(page.as_bytes()) {
        Err(err) if err.kind() != std::io::ErrorKind::BrokenPipe => Err(err.into()),
        _ => Ok(()),
    }
}
