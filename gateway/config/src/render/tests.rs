//! What is printed of problems, to the letter; and what is not, because it may be secret.

use std::path::Path;
use std::sync::Arc;

use super::Colour;
use super::Renderer;
use crate::place::Place;
use crate::problem::Problem;

fn place(file: &Arc<Path>, line: u32, column: u32, length: u32) -> Place {
    Place {
        file: Arc::clone(file),
        line,
        column,
        length,
    }
}

#[track_caller]
fn check(text: &str, (line, column, length): (u32, u32, u32), expected: &str) {
    let file: Arc<Path> = Path::new("a.yaml").into();
    let mut renderer = Renderer::new(Colour::Never);
    renderer.insert(&file, text);
    let problem = Problem::error(place(&file, line, column, length), "wrong").hint("right");
    assert_eq!(renderer.render(&[problem]), expected);
}

#[test]
fn carets_stand_below_what_is_wrong() {
    check(
        "a: 1\n  port: \"80\" # x\n",
        (2, 9, 4),
        "a.yaml:2:9: error: wrong\n  2 |   port: \"80\" # x\n    |         ^^^^\n  help: right\n",
    );
}

#[test]
fn control_characters_cannot_reach_the_terminal() {
    check(
        "\tä\u{202e}\u{9b}x: y\r\n",
        (1, 4, 1),
        "a.yaml:1:4: error: wrong\n  1 |  ä\\u{202e}\\u{9b}x: y\n    |           ^^^^^^\n  help: right\n",
    );
}

#[test]
fn a_long_line_is_cut_around_the_place() {
    let line = format!("{}HERE{}", "a".repeat(1_000), "b".repeat(1_000));
    let expected = format!(
        "a.yaml:1:1001: error: wrong\n  1 | …{}HERE{}…\n    | {}^^^^\n  help: right\n",
        "a".repeat(40),
        "b".repeat(56),
        " ".repeat(41)
    );
    check(&line, (1, 1001, 4), &expected);
}

#[test]
fn lines_of_secrets_are_not_shown() {
    let expected = "a.yaml:2:1: error: wrong\n  help: right\n";
    check("kind: Secret\nkey: hush\n---\nb: 1\n", (2, 1, 3), expected);
    check("{ \"kind\" : \"Secret\", x: [\nhush", (2, 1, 3), expected);
    check("{ \"auths\": {\nhush } }", (2, 1, 3), expected);
    check(
        "kind: Secret\nkey: hush\n---\nb: 1\n",
        (4, 1, 1),
        "a.yaml:4:1: error: wrong\n  4 | b: 1\n    | ^\n  help: right\n",
    );
}

/// The lines of a file of which nothing is shown, from 1.
fn hidden(name: &str, text: &str) -> Vec<u32> {
    let file: Arc<Path> = Path::new(name).into();
    let mut renderer = Renderer::new(Colour::Never);
    renderer.insert(&file, text);
    let count = u32::try_from(text.lines().count()).expect("few lines");
    let is_hidden = |line: &u32| {
        let problem = Problem::error(place(&file, *line, 1, 1), "wrong");
        !renderer
            .render(&[problem])
            .contains(&format!("\n  {line} | "))
    };
    (1..=count).filter(is_hidden).collect()
}

#[track_caller]
fn check_hidden(text: &str, expected: &[u32]) {
    assert_eq!(hidden("a.yaml", text), expected, "{text}");
}

#[test]
fn what_stands_beside_a_marked_field_is_not_shown_and_what_is_around_is() {
    check_hidden(
        "kind: Plugin\nspec:\n  rollout:\n    webhooks:\n    # all\n    - backend: a\n      path:\n        \
         /hush\n    steps: [1]\n---\nkind: Plugin\nspec: {}\n",
        &[6, 7, 8],
    );
    check_hidden(
        "kind: ConfigMap\ndata:\n  webhooks: '[]'\n  path: /tmp\n---\nkind: HTTPRoute\nspec:\n  rules:\n  \
         - matches: [{ path: { value: /a } }]\n",
        &[],
    );
}

#[test]
fn a_secret_in_braces_is_not_shown() {
    check_hidden(
        "kind: Plugin\nspec: { rollout: { webhooks: [\n {backend: a,\n path:\n /hush},\n ],\n steps: [5]\n} }\n",
        &[3, 4, 5],
    );
    check_hidden(
        "kind: Plugin\nspec: { rollout: { webhooks: [{ path: /hush, backend: a }], steps: [5] } }\n",
        &[2],
    );
}

#[test]
fn a_secret_under_quoted_keys_is_not_shown() {
    check_hidden(
        "\"kind\": 'Plugin'\n'spec':\n  \"rollout\":\n    \"web\\x68ooks\":\n    - 'path': /hush\n    steps: [5]\n",
        &[5],
    );
}

#[test]
fn a_secret_at_an_anchor_is_not_shown_there_either() {
    let text = "kind: Plugin\nmetadata:\n  annotations:\n    a: &path\n      /hush\n    b: c\nspec:\n  \
                rollout:\n    webhooks:\n    - path: *path\n";
    check_hidden(text, &[5, 10]);
    let text = "kind: Plugin\nmetadata:\n  annotations: &all\n  - backend: b\n  - path: |\n      \
                /hush\n  name: c\nspec:\n  rollout:\n    webhooks: *all\n";
    check_hidden(text, &[4, 5, 6]);
    let text = "kind: Plugin\nspec:\n  rollout:\n    webhooks:\n    - { <<: *no, path: *none }\n    - &one\n      \
                path: /hush\n    - *one\n";
    check_hidden(text, &[5, 7]);
}

#[test]
fn a_secret_in_json_is_not_shown() {
    let resource = "{\"kind\": \"Plugin\", \"spec\": {\"rollout\": {\n\"webhooks\": [\n{\n\"path\":\n\
                    \"/hush\"\n}],\n\"steps\": [5]}}}";
    assert_eq!(hidden("a.json", resource), [4, 5]);
    let array = format!("[{{\"kind\": \"Backend\"}},\n{resource}\n]");
    assert_eq!(hidden("a.json", &array), [5, 6]);
    let list = format!("{{\"kind\": \"List\", \"items\": [\n{resource}\n]}}");
    assert_eq!(hidden("a.json", &list), [5, 6]);
}

#[test]
fn a_secret_on_several_lines_is_not_shown() {
    let text = "kind: Plugin\nspec:\n  rollout:\n    webhooks:\n    - path: >-\n\n        /hush\n\n        \
                /more\n      backend: a\n    - backend: b\n      path: \"/hush\\\n        \
                /more\"\n    - path: /hush\n        /more\n    steps: [5]\n";
    check_hidden(text, &[5, 7, 8, 9, 10, 11, 12, 13, 14, 15]);
}

#[test]
fn a_secret_in_a_field_that_is_misspelt_or_misplaced_or_no_mapping_is_not_shown() {
    for (rollout, expected) in [
        ("webhook:\n    - backend: a\n      path: /hush", &[5, 6][..]),
        (
            "webhooks:\n    - backend: a\n      pathh: /hush\n      to: /hush",
            &[5, 6, 7],
        ),
        ("webhooks:\n      /hush", &[5]),
        ("webhooks:\n    - /hush", &[5]),
        ("hooks:\n    - a: /shown\n      path:\n        /hush", &[7]),
        ("tell: { hooks: { webhooks: /hush } }", &[4]),
        ("key: { header: path }\n    webhooks:", &[]),
    ] {
        check_hidden(
            &format!("kind: Plugin\nspec:\n  rollout:\n    {rollout}\n"),
            expected,
        );
    }
    check_hidden(
        "kind: Plugin\nspec:\n  rolout:\n    webhooks:\n    - path: /hush\n",
        &[4, 5],
    );
    check_hidden(
        "kind: Plugin\nspec:\n  webhooks: /hush\n  sorce: { file: a }\n",
        &[3],
    );
    check_hidden("kind: Plugin\nmetadata: { path: /a }\nspecs: /hush\n", &[3]);
}

#[test]
fn a_document_that_is_not_understood_is_not_shown_if_it_names_what_a_schema_hides() {
    for text in [
        "kind: Plugin\nspec: [\nrollout: { webhooks: [\n {path: /hush}\n",
        "kind: Plugn\nspec:\n  rollout:\n    webhooks:\n      - path: /hush\n",
        "spec:\n  rollout:\n    webhooks:\n      - path: /hush\n",
        "kind: [Plugin]\nwebhooks:\n- path: /hush\n",
        "- kind: 1\n- webhooks: /hush\n",
    ] {
        let count = u32::try_from(text.lines().count()).expect("few lines");
        check_hidden(text, &(1..=count).collect::<Vec<_>>());
        check_hidden(&text.replace("webhooks", "hooks"), &[]);
    }
    let text = "kind: Plugin\nspec: {}\n---\nkind: [\nwebhooks\n---\nkind: Plugin\n";
    check_hidden(text, &[3, 4, 5]);
}

#[test]
fn lines_of_secrets_are_not_shown_however_their_kind_is_written() {
    check_hidden("kind: &kind Secret\ndata: { a: b }\n", &[1, 2]);
    check_hidden("? \"\\x6bind\"\n: Secret\ndata: { a: b }\n", &[1, 2, 3]);
    check_hidden(
        "kind: List\nitems:\n- kind: !!str Secret\n  data: { a: b }\n",
        &[1, 2, 3, 4],
    );
}

#[test]
fn problems_come_in_the_order_of_files_and_lines() {
    let (a, b): (Arc<Path>, Arc<Path>) = (Path::new("a").into(), Path::new("b").into());
    let problems = [
        Problem::error(place(&b, 1, 1, 1), "third"),
        Problem::warning(place(&a, 10, 1, 1), "second"),
        Problem::error(place(&a, 9, 2, 1), "first"),
        Problem::error(None, "nowhere"),
    ];
    let mut renderer = Renderer::new(Colour::Always);
    let rendered = renderer.render(&problems);
    assert_eq!(
        rendered,
        "\x1b[1;31merror\x1b[0m: nowhere\na:9:2: \x1b[1;31merror\x1b[0m: first\n\
         a:10:1: \x1b[1;33mwarning\x1b[0m: second\nb:1:1: \x1b[1;31merror\x1b[0m: third\n"
    );
}
