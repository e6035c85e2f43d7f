//! What the README of the repository tells a stranger to type works as it stands there.

use std::path::Path;

use tidegate_testkit::Origin;
use tidegate_testkit::eventually;

use crate::examples::edit;
use crate::examples::replace;
use crate::process::Folder;
use crate::process::Running;
use crate::process::finish;
use crate::process::tidegate;

/// The section with the configuration.
fn section() -> &'static str {
    let readme = include_str!("../../../README.md");
    let (_, behind) = readme
        .split_once("\n## Configure it\n")
        .expect("the section is there");
    behind.split("\n## ").next().expect("it has an end")
}

/// The configuration that is to be typed.
fn yaml() -> &'static str {
    let (_, behind) = section().split_once("```yaml\n").expect("a block of YAML");
    behind.split_once("```").expect("it has an end").0
}

#[test]
fn the_readmes_configuration_is_short_and_has_no_problem() {
    let lines = yaml().lines().filter(|line| !line.starts_with('#')).count();
    assert_eq!(lines, 20, "lines to type");
    let files = Folder::of(&[("gateway.yaml", yaml())]);
    let (code, out, err) = finish(
        tidegate()
            .arg("check")
            .arg("-c")
            .arg(files.file("gateway.yaml")),
    );
    assert_eq!(
        (code, out.as_str()),
        (Some(0), "3 resources, no problems\n"),
        "{err}"
    );
}

#[test]
fn the_readmes_configuration_serves_and_so_does_its_change() {
    let site = Origin::answers(200, "site");
    let text = replace(yaml(), "port: 8080", "port: 0");
    let text = replace(&text, "127.0.0.1:9001", &site.address().to_string());
    let files = Folder::of(&[("gateway.yaml", text.as_str())]);
    let gateway = Running::start(&files, &[]);
    let answer = gateway.get("/");
    assert_eq!(answer.text(), "site");
    assert_eq!(answer.field("x-greeting"), Some("hello"));

    for step in [
        "Change `hello` to `ahoy`",
        "write `valeu` in place of `value`",
    ] {
        assert!(section().contains(step), "{step}");
    }
    edit(&files, "value: hello", "value: ahoy");
    eventually("the change", || {
        let answer = gateway.get("/");
        assert_eq!(answer.status(), 200);
        (answer.field("x-greeting") == Some("ahoy")).then_some(())
    });
    edit(&files, "value: ahoy", "valeu: moin");
    let line = gateway.logs("valeu");
    assert!(line.contains("did you mean `value`?"), "{line}");
    assert_eq!(gateway.get("/").field("x-greeting"), Some("ahoy"));
}

#[test]
fn the_schema_line_names_what_the_readme_makes() {
    let first = yaml().lines().next();
    let line = "# yaml-language-server: $schema=tidegate.schema.json";
    assert_eq!(first, Some(line));
    assert!(section().contains("tidegate schema > tidegate.schema.json"));
}

/// What a page names between backticks.
fn quoted(page: &str) -> impl Iterator<Item = &str> {
    page.split('`').skip(1).step_by(2)
}

#[test]
fn the_tests_and_files_that_the_page_of_plugins_names_are_there() {
    let page = include_str!("../../../docs/plugins.md");
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("..");
    let mut tests = String::new();
    let mut files = 0;
    for path in quoted(page).filter(|it| it.contains("/tests/")) {
        let text = std::fs::read_to_string(root.join(path));
        tests += &text.unwrap_or_else(|err| panic!("{path}: {err}"));
        files += 1;
    }
    assert!(files > 5, "{files}");
    let is_word = |it: &&str| it.chars().all(|c| c.is_ascii_lowercase() || c == '_');
    let names = quoted(page).filter(is_word);
    let sentences = names.filter(|it| it.matches('_').count() > 5);
    let mut named = 0;
    for name in sentences {
        assert!(tests.contains(&format!("fn {name}()")), "{name}");
        named += 1;
    }
    // One at least for each policy, isolation and kind.
    assert!(named >= 7, "{named}");
}
