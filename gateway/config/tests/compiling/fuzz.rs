//! Whatever stands in a file: an answer, in time, with places inside the file.

use std::fs;
use std::path::Path;

use proptest::prelude::ProptestConfig;
use proptest::prelude::any;
use proptest::proptest;
use proptest::sample::Index;
use serde_json::json;
use tidegate_config::load::Loader;
use tidegate_config::plugin_schema;

/// Every good configuration, as one text each.
fn good() -> Vec<String> {
    let mut paths: Vec<_> = fs::read_dir("tests/cases/accepted")
        .expect("the folder is there")
        .map(|entry| entry.expect("readable").path())
        .filter(|path| {
            path.extension()
                .is_some_and(|extension| extension == "yaml")
        })
        .collect();
    paths.sort();
    paths
        .iter()
        .map(|path| fs::read_to_string(path).expect("readable"))
        .collect()
}

fn loader_of(folder: &Path) -> Loader {
    let loader = Loader::with_environment(folder, |_| Some(String::new()));
    loader.with_builtins(["authz", "jwt-auth"])
}

/// Loads good text, then the bad one: nothing may panic, and what served goes on.
fn load(folder: &Path, good: &str, bad: &str) {
    let file = folder.join("a.yaml");
    fs::write(&file, good).expect("writable");
    let mut loader = loader_of(folder);
    let draft = loader.load();
    loader.commit(&draft, &[]);
    fs::write(&file, bad).expect("writable");
    let draft = loader.load();
    let lines = bad.split('\n').count();
    for problem in &draft.problems {
        if let Some(place) = &problem.place
            && *place.file == *file
        {
            let line = usize::try_from(place.line).expect("small");
            assert!((1..=lines).contains(&line), "{problem:?}");
        }
    }
    let wrong = json!({ "additionalProperties": { "items": { "type": "null" }, "type": "array" } });
    for plugin in &draft.plugins {
        let found = plugin_schema::check(&wrong, plugin);
        assert!(found.iter().all(|one| one.place.is_some()), "{found:?}");
    }
    let mut restarted = loader_of(folder);
    restarted.restore(draft.accepted.clone());
    restarted.load();
    loader.refuse(draft.problems);
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(48))]

    #[test]
    fn a_line_that_is_lost_or_doubled_panics_nowhere(case in any::<Index>(), line in any::<Index>(), twice in any::<bool>()) {
        let all = good();
        let text = &all[case.index(all.len())];
        let lines: Vec<&str> = text.lines().collect();
        let at = line.index(lines.len());
        let mut changed = lines.clone();
        if twice {
            changed.insert(at, lines[at]);
        } else {
            changed.remove(at);
        }
        let folder = tempfile::tempdir().expect("a folder");
        load(folder.path(), text, &changed.join("\n"));
    }

    #[test]
    fn a_word_that_is_another_panics_nowhere(
        case in any::<Index>(),
        word in any::<Index>(),
        other in proptest::sample::select(vec!["-1", "\"\"", "null", "[]", "{}", "999999999999", "*", "true", "'a b'", "/..", "default", "1.5"]),
    ) {
        let all = good();
        let text = &all[case.index(all.len())];
        let starts: Vec<(usize, &str)> = text
            .split([' ', '\n', ',', '{', '}', '[', ']'])
            .filter(|word| !word.is_empty())
            .map(|word| (word.as_ptr().addr() - text.as_ptr().addr(), word))
            .collect();
        let (at, old) = starts[word.index(starts.len())];
        let (before, rest) = text.split_at(at);
        let after = rest.strip_prefix(old).expect("it stands there");
        let changed = format!("{before}{other}{after}");
        let folder = tempfile::tempdir().expect("a folder");
        load(folder.path(), text, &changed);
    }
}
