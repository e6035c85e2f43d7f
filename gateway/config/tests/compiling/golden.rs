//! Configurations and what they come to: each `cases/accepted/*.yaml` has a `.snap` with the draft,
//! each `cases/refused/*.yaml` a `.txt` with the printed problems and what is left.
//! `TIDEGATE_BLESS=1` writes those anew.

use std::fs;
use std::path::Path;
use std::path::PathBuf;

use tidegate_config::load::Loader;
use tidegate_config::render::Colour;
use tidegate_config::render::render;

use crate::dump::dump;

fn cases(folder: &str) -> Vec<PathBuf> {
    let mut paths: Vec<PathBuf> = fs::read_dir(folder)
        .expect("the folder is there")
        .map(|entry| entry.expect("readable").path())
        .collect();
    paths.sort();
    paths
}

/// Compares what each `.yaml` of a folder comes to with the file beside it.
#[track_caller]
fn check(folder: &str, extension: &str, came_to: impl Fn(&Path) -> String) {
    let bless = std::env::var_os("TIDEGATE_BLESS").is_some();
    let mut wrong = Vec::new();
    for path in cases(folder) {
        if path.extension().is_some_and(|found| found == extension) {
            assert!(
                path.with_extension("yaml").exists(),
                "{} is of no case",
                path.display()
            );
        }
        if path.extension().is_none_or(|found| found != "yaml") {
            continue;
        }
        let found = came_to(&path);
        let golden = path.with_extension(extension);
        if bless {
            fs::write(&golden, &found).expect("writable");
        }
        let expected = fs::read_to_string(&golden).unwrap_or_default();
        if found != expected {
            wrong.push(format!(
                "{}\nexpected:\n{expected}\nfound:\n{found}",
                path.display()
            ));
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

fn environment(name: &str) -> Option<String> {
    (name == "REGION").then(|| "north".to_owned())
}

fn came_to(path: &Path) -> String {
    let mut loader =
        Loader::with_environment(path, environment).with_builtins(["authz", "jwt-auth"]);
    let draft = loader.load();
    let text = fs::read_to_string(path).expect("readable");
    let root = std::path::absolute(path.parent().expect("a folder")).expect("absolute");
    let problems = render(&draft.problems, Colour::Never);
    let root = root.display().to_string();
    let found = problems + &dump(&draft, &text, &root);
    found.replace(&root, "ROOT")
}

#[test]
fn accepted_configurations_come_to_what_they_say() {
    check("tests/cases/accepted", "snap", |path| {
        let found = came_to(path);
        assert!(!found.contains(": error:"), "{found}");
        found
    });
}

#[test]
fn refused_configurations_say_why_and_what_is_left() {
    check("tests/cases/refused", "txt", |path| {
        let found = came_to(path);
        assert!(found.contains("error:"), "{found}");
        found
    });
}
