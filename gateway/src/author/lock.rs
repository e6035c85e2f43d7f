//! `tidegate plugin lock`: the digests of images behind their tags, in the files themselves.
//!
//! Owns what is asked for and what is written: each file once, as a whole, and only if nobody changed
//! it meanwhile. What cannot be looked up stays as it is, and is exit code 1.

mod edit;

use std::collections::BTreeMap;
use std::path::Path;
use std::path::PathBuf;
use std::process::ExitCode;
use std::sync::Arc;

use anyhow::Context as _;
use tidegate_config::draft::PluginDecl;
use tidegate_config::draft::PluginSource;
use tidegate_config::draft::RemoteCode;
use tidegate_config::draft::RemoteSource;
use tidegate_config::problem::Problem;
use tidegate_config::problem::Severity;
use tidegate_config::render::Colour;
use tidegate_config::render::render;

use crate::author::image;
use crate::author::lock::edit::Edit;
use crate::author::say;
use crate::builtin;
use crate::check::counted;
use crate::cli::LockArgs;
use crate::progress::Progress;
use crate::pulls::registries;
use crate::pulls::registries::Registries;
use crate::pulls::registries::commands::Pinned;

/// Looks digests up and writes them.
///
/// # Errors
///
/// A file that cannot be read or written; those before it are written then.
pub(crate) fn run(args: &LockArgs) -> anyhow::Result<ExitCode> {
    anyhow::ensure!(
        args.config.exists(),
        "there is no file or folder {}",
        args.config.display()
    );
    let draft = builtin::loader(&args.config, &args.mesh).load();
    let is_error = |problem: &&Problem| problem.severity == Severity::Error;
    let errors = draft.problems.iter().filter(is_error).count();
    let mut is_good = true;
    if errors > 0 {
        let config = args.config.display();
        let errors = counted(errors, "error");
        eprintln!(
            "{errors}: what is refused is not locked (`tidegate check -c {config}` shows why)"
        );
        is_good = false;
    }
    let folder = registries::folder(args.registries.plugin_cache.as_deref());
    let registries = registries::open(&args.registries, folder)?;
    let images = draft.plugins.iter().filter_map(of_registry);
    let mut edits: BTreeMap<Arc<Path>, Vec<Edit>> = BTreeMap::new();
    let mut locked = 0;
    let progress = Progress::new();
    for (decl, source, reference) in images {
        let pinned = match registries.pin(reference, args.update) {
            Ok(Some(pinned)) => pinned,
            Ok(None) => {
                locked += 1;
                continue;
            }
            Err(why) => {
                is_good = false;
                complain(decl, &why);
                continue;
            }
        };
        progress.show(&[reference.to_owned()]);
        match look_up(&registries, source, &pinned) {
            Ok(new) if new == reference => locked += 1,
            Ok(new) => {
                let place = &decl.source_place;
                edits
                    .entry(Arc::clone(&place.file))
                    .or_default()
                    .push(Edit {
                        line: place.line,
                        column: place.column,
                        old: reference.to_owned(),
                        new,
                    });
            }
            Err(why) => {
                is_good = false;
                progress.end();
                complain(decl, &why);
            }
        }
    }
    progress.end();
    let count: usize = edits.values().map(Vec::len).sum();
    for (file, edits) in &edits {
        write(file, edits, args.check)?;
    }
    let verb = if args.check { "to lock" } else { "locked" };
    say(&format!(
        "{} {verb}, {locked} locked before",
        counted(count, "image")
    ));
    Ok(if is_good && !(args.check && count > 0) {
        ExitCode::SUCCESS
    } else {
        ExitCode::FAILURE
    })
}

fn of_registry(decl: &PluginDecl) -> Option<(&PluginDecl, &RemoteSource, &str)> {
    let PluginSource::Remote(source) = &decl.source else {
        return None;
    };
    match &source.code {
        RemoteCode::Oci(reference) => Some((decl, source, reference)),
        // Its digest stands beside it.
        RemoteCode::Http { .. } => None,
    }
}

/// Says why an image stays as it is, at its place.
fn complain(decl: &PluginDecl, why: &anyhow::Error) {
    let message = format!("{}: {why:#}", decl.resource);
    let problem = Problem::error(decl.source_place.clone(), message);
    eprint!("{}", render(&[problem], Colour::Never));
}

/// The reference with the digest that its tag has now. An image that must be signed is pulled, and
/// refused as a gateway would.
fn look_up(
    registries: &Registries,
    source: &RemoteSource,
    pinned: &Pinned,
) -> anyhow::Result<String> {
    let digest = image::wait(registries.locked(&pinned.by_tag, &source.credentials))??;
    Ok(format!("{}@{digest}", pinned.written))
}

/// Writes a file with its edits, in the place of what the path leads to.
fn write(file: &Path, edits: &[Edit], check: bool) -> anyhow::Result<()> {
    let name = file.display();
    let cannot = |action: &str| format!("cannot {action} {name}");
    let text = std::fs::read_to_string(file).with_context(|| cannot("read"))?;
    let edited = edit::apply(&text, edits).map_err(|edit| {
        let Edit { line, new, .. } = edit;
        anyhow::anyhow!(
            "{name}:{line}: the reference does not stand there in one line, plain or in quotes: write \
             {new:?} yourself"
        )
    })?;
    for Edit { line, new, .. } in edits {
        say(&format!("{name}:{line}: {new}"));
    }
    if check {
        return Ok(());
    }
    // A link stays one.
    let target = std::fs::canonicalize(file).with_context(|| cannot("find"))?;
    let permissions = std::fs::metadata(&target)
        .with_context(|| cannot("look at"))?
        .permissions();
    let mut beside = target.clone().into_os_string();
    beside.push(format!(".{}.new", std::process::id()));
    let beside = PathBuf::from(beside);
    let put = || {
        std::fs::write(&beside, &edited)?;
        std::fs::set_permissions(&beside, permissions)?;
        std::fs::rename(&beside, &target)
    };
    put()
        .inspect_err(|_| {
            std::fs::remove_file(&beside).ok();
        })
        .with_context(|| cannot("write"))
}
