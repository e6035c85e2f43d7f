//! Bytes that nobody meant: no panic, no long wait, and each problem has a place inside its file.

use std::path::Path;
use std::sync::Arc;

use proptest::prelude::*;
use proptest::sample::Index;
use tidegate_config::document::split;
use tidegate_config::problem::Problem;
use tidegate_config::render::Colour;
use tidegate_config::render::Renderer;

use crate::support::read_shops;

const GOOD: &str = include_str!("../syntax/good.yaml");

/// What YAML is made of, so that random texts come near to it.
const PIECES: [&str; 36] = [
    "a",
    "key",
    ": ",
    ":",
    "\n",
    "\n  ",
    "\n    ",
    "- ",
    "-",
    "\t",
    "{",
    "}",
    "[",
    "]",
    ",",
    "\"",
    "'",
    "|",
    ">\n",
    "&x ",
    "*x",
    "!!str ",
    "!t ",
    "# c",
    "---\n",
    "...\n",
    "%YAML 1.2\n",
    "? ",
    "<<: ",
    "ä",
    "\u{1F600}",
    "\\",
    "80",
    "\r\n",
    "kind: Shop\n",
    "\u{feff}",
];

/// A text without carriage returns that end no line: files with such are refused before they are split.
fn as_loaded(text: &str) -> String {
    let mut chars = text.chars().peekable();
    let mut kept = String::with_capacity(text.len());
    while let Some(char) = chars.next() {
        if char != '\r' || chars.peek() == Some(&'\n') {
            kept.push(char);
        }
    }
    kept
}

/// Reads a text as the loader would, and checks what is said about it.
fn check(name: &str, text: &str) -> Result<(), TestCaseError> {
    let text = &as_loaded(text);
    let file: Arc<Path> = Path::new(name).into();
    let documents = split(&file, text);
    let (shops, problems) = read_shops(&documents);
    let lines: Vec<&str> = text.split('\n').collect();
    for problem in &problems {
        check_place(problem, &lines)?;
    }
    prop_assert!(!problems.is_empty() || shops.len() <= text.len());
    let mut renderer = Renderer::new(Colour::Never);
    renderer.insert(&file, text);
    let rendered = renderer.render(&problems);
    let has_escape = rendered.contains('\u{1b}');
    prop_assert!(!has_escape);
    Ok(())
}

fn check_place(problem: &Problem, lines: &[&str]) -> Result<(), TestCaseError> {
    let place = problem
        .place
        .as_ref()
        .expect("problems of texts have a place");
    let line = usize::try_from(place.line)
        .expect("small")
        .checked_sub(1)
        .and_then(|line| lines.get(line));
    let Some(line) = line else {
        return Err(TestCaseError::fail(format!(
            "{problem:?} lies outside of {lines:?}"
        )));
    };
    let width = line.trim_end_matches('\r').chars().count().max(1);
    let end = usize::try_from(place.column).expect("small")
        + usize::try_from(place.length).expect("small")
        - 1;
    prop_assert!(place.column >= 1 && place.length >= 1);
    prop_assert!(end <= width, "{problem:?} ends beyond {line:?}");
    Ok(())
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 2_000, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn any_text_is_read_or_explained(text in "\\PC{0,200}|[ -~\\n\\t]{0,300}") {
        check("a.yaml", &text)?;
        check("a.json", &text)?;
    }

    #[test]
    fn what_looks_like_yaml_is_read_or_explained(
        pieces in proptest::collection::vec(proptest::sample::select(&PIECES[..]), 0..80),
    ) {
        let text = pieces.concat();
        check("a.yaml", &text)?;
        check("a.json", &text)?;
    }

    #[test]
    fn a_good_text_with_mistakes_is_read_or_explained(
        edits in proptest::collection::vec((any::<Index>(), 0_usize..4, proptest::sample::select(&PIECES[..])), 1..6),
    ) {
        let mut chars: Vec<char> = GOOD.chars().collect();
        for (index, remove, insert) in edits {
            let at = index.index(chars.len() + 1);
            let end = (at + remove).min(chars.len());
            chars.splice(at..end, insert.chars());
        }
        let text: String = chars.into_iter().collect();
        check("a.yaml", &text)?;
    }
}

#[test]
fn large_and_odd_texts_take_no_long_time() {
    let bounded = |what: &str, text: &str| {
        let started = std::time::Instant::now();
        check("a.yaml", text).expect(what);
        // Milliseconds each when optimised; what is quadratic takes minutes.
        assert!(
            started.elapsed().as_secs() < 20,
            "{what}: {:?}",
            started.elapsed()
        );
    };
    let size = 1 << 20;
    bounded("brackets", &"[".repeat(size));
    bounded(
        "pairs of brackets",
        &format!("[{}]", "[],".repeat(size / 3)),
    );
    bounded("braces", &"{a: ".repeat(size / 4));
    bounded("items", &"- ".repeat(size / 2));
    bounded("quotes", &format!("a: \"{}", "x".repeat(size)));
    bounded("one long word", &"x".repeat(size));
    bounded("many lines of one text", &"x\n".repeat(size / 2));
    bounded("colons", &":".repeat(size));
    bounded("questions", &"? ".repeat(size / 2));
    bounded("anchors", &"&a ".repeat(size / 3));
    bounded("tags", &"! ".repeat(size / 2));
    bounded("comments", &"# x\n".repeat(size / 4));
    bounded("markers", &"---\n".repeat(size / 4));
    bounded("spaces", &" ".repeat(size));
    bounded(
        "keys",
        &(0..50_000)
            .map(|n| format!("k{n}: 1\n"))
            .collect::<String>(),
    );
    bounded("one key often", &"k: 1\n".repeat(40_000));
    let shop = "apiVersion: test/v1\nkind: Shop\nmetadata: {name: a}\nspec:\n  port: 1\n";
    let fields: String = (0..40_000).map(|n| format!("  hosts{n}: 1\n")).collect();
    bounded("unknown fields", &format!("{shop}{fields}"));
    bounded(
        "wrong items",
        &format!("{shop}  hosts: [{}]", "A, ".repeat(60_000)),
    );
    let wrong = format!("{shop}  color: red\n  size: green\n---\n");
    bounded("1,000 wrong documents", &wrong.repeat(1_000));
    bounded("nested anchors", &format!("{}x", "&a [".repeat(60)));
    bounded(
        "aliases of a long text",
        &format!("- &a {}\n{}", "x".repeat(100_000), "- *a\n".repeat(50_000)),
    );
    bounded("a block", &format!("a: |\n{}", "  x\n".repeat(size / 4)));
    bounded("1,000 broken documents", &"---\na: {\n".repeat(1_000));
}
