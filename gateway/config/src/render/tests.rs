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

#[test]
fn lines_of_webhooks_are_not_shown_and_those_around_are() {
    let block = "spec:\n  rollout:\n    webhooks:\n    # all\n\n    - backend: a\n      path:\n        \
                 /hush\n    steps: [1]\n---\nb: 1\n";
    let hidden = |line| format!("a.yaml:{line}:1: error: wrong\n  help: right\n");
    for line in 3..=8 {
        check(block, (line, 1, 1), &hidden(line));
    }
    let shown = |line: u32, text: &str| {
        format!("a.yaml:{line}:1: error: wrong\n  {line} | {text}\n    | ^\n  help: right\n")
    };
    check(block, (2, 1, 1), &shown(2, "  rollout:"));
    check(block, (9, 1, 1), &shown(9, "    steps: [1]"));
    let flow = "a: 1\nrollout: { webhooks: [\n {path: /hush},\n ] }\nb: 2\n";
    for line in 2..=4 {
        check(flow, (line, 1, 1), &hidden(line));
    }
    check(flow, (5, 1, 1), &shown(5, "b: 2"));
    let json = "{\"webhooks\": [\n{\"path\":\n\"/hush\"}]\n}\n";
    for line in 1..=4 {
        check(json, (line, 1, 1), &hidden(line));
    }
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
