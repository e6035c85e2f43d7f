//! `cargo xtask tidy`: the rules of this repository that neither rustc nor clippy knows.
//!
//! Owns the list of rules and how findings are shown; each rule is a pure function over text or
//! over the package list, in a module of its own. Sizes only warn: a long file is a question to
//! its reader, not an error.

mod arrows;
mod code;
mod files;
mod links;
mod sizes;
mod sources;

use std::process::Command;

use anyhow::{Result, bail};

use crate::run;
use crate::workspace::Workspace;

/// Checks every rule; fails if one is broken.
pub(crate) fn run(workspace: &Workspace) -> Result<()> {
    let files = files::find(&workspace.root)?;
    let mut problems = arrows::check(&workspace.packages);
    let mut warnings = Vec::new();
    for file in &files {
        problems.extend(files::check_name(&file.path));
        if file.has_extension("rs") {
            problems.extend(sources::check(file));
            warnings.extend(sizes::check(file));
        }
        if file.has_extension("md") {
            problems.extend(links::check(file, &workspace.root));
        }
    }
    problems.extend(check_lock(workspace));

    for warning in &warnings {
        println!("warning: {warning}");
    }
    for problem in &problems {
        println!("problem: {problem}");
    }
    println!(
        "tidy: {} files, {} problems, {} warnings",
        files.len(),
        problems.len(),
        warnings.len()
    );
    if !problems.is_empty() {
        bail!("tidy found problems; they are listed above");
    }
    Ok(())
}

/// Everybody builds with the same dependencies.
fn check_lock(workspace: &Workspace) -> Option<String> {
    let root = &workspace.root;
    if !root.join("Cargo.lock").is_file() {
        return Some("Cargo.lock is missing; it belongs into the repository".into());
    }
    let mut ask = Command::new("git");
    ask.current_dir(root)
        .args(["check-ignore", "--quiet", "Cargo.lock"]);
    run::works(&mut ask).then(|| "Cargo.lock is ignored by git; it belongs into it".into())
}
