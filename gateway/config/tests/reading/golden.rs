//! Broken texts and what is said about them: each `syntax/*.yaml` or `.json` has a `.txt` with the
//! printed problems. `TIDEGATE_BLESS=1` writes those anew.

use std::fs;
use std::path::Path;
use std::path::PathBuf;

use crate::support::read_shops;
use tidegate_config::render::Colour;
use tidegate_config::render::render;
use tidegate_config::source;

const FOLDER: &str = "tests/syntax";

fn cases() -> Vec<PathBuf> {
    let mut paths: Vec<PathBuf> = fs::read_dir(FOLDER)
        .expect("the folder is there")
        .map(|entry| entry.expect("readable").path())
        .collect();
    paths.sort();
    paths
}

fn problems_of(path: &Path) -> String {
    let mut problems = Vec::new();
    let files = source::read(path, &mut problems).unwrap_or_default();
    let documents: Vec<_> = files
        .into_iter()
        .filter_map(|file| file.documents)
        .flatten()
        .collect();
    let (shops, more) = read_shops(&documents);
    problems.extend(more);
    let mut text = render(&problems, Colour::Never);
    text.push_str(&format!("{} read\n", shops.len()));
    text
}

#[test]
fn each_broken_text_gets_its_problems() {
    let bless = std::env::var_os("TIDEGATE_BLESS").is_some();
    let mut wrong = Vec::new();
    for path in cases() {
        if path.extension().is_some_and(|extension| extension == "txt") {
            assert!(
                path.with_extension("yaml").exists() || path.with_extension("json").exists(),
                "{} belongs to no text",
                path.display()
            );
            continue;
        }
        let found = problems_of(&path);
        let golden = path.with_extension("txt");
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
