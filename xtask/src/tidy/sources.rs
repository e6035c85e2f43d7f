//! What every Rust file must begin with, and what none may contain.

use super::code;
use super::files::Text;

/// Code that leaves a test or a function for later; looked for outside of text.
const UNFINISHED: [&str; 3] = ["#[ignore", "todo!(", "unimplemented!("];

/// Words that leave something for later; written apart, so that this file has none.
const NOTES: [&str; 2] = [concat!("FIX", "ME"), concat!("X", "XX")];

/// What is wrong with a Rust file.
pub(super) fn check(file: &Text) -> Vec<String> {
    let path = file.path.display();
    let mut problems = Vec::new();
    if !file.text.starts_with("//!") {
        problems.push(format!(
            "{path}: begin with `//!`: what the file owns, and what not"
        ));
    }
    let code = code::without_text(&file.text);
    for (number, (line, full)) in code.lines().zip(file.text.lines()).enumerate() {
        let code = UNFINISHED.iter().filter(|it| line.contains(**it));
        let notes = NOTES.iter().filter(|it| has_word(full, it));
        for found in code.chain(notes) {
            problems.push(format!(
                "{path}:{}: finish it instead of `{found}`",
                number + 1
            ));
        }
    }
    problems
}

fn has_word(line: &str, word: &str) -> bool {
    line.split(|it: char| !it.is_alphanumeric())
        .any(|it| it == word)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check_text(text: &str, expected: &[&str]) {
        let file = Text {
            path: "a.rs".into(),
            text: text.into(),
        };
        assert_eq!(check(&file), expected);
    }

    #[test]
    fn a_file_begins_with_what_it_owns() {
        check_text("//! Owns a.\n", &[]);
        check_text(
            "use a;\n",
            &["a.rs: begin with `//!`: what the file owns, and what not"],
        );
    }

    #[test]
    fn nothing_is_left_unfinished() {
        check_text(
            "//! A.\n\nfn a() { todo!() }\n#[ignore]\n",
            &[
                "a.rs:3: finish it instead of `todo!(`",
                "a.rs:4: finish it instead of `#[ignore`",
            ],
        );
        check_text(
            &format!("//! A.\n// {}: b\n", NOTES[0]),
            &[&format!("a.rs:2: finish it instead of `{}`", NOTES[0])],
        );
    }

    #[test]
    fn text_about_it_is_no_code() {
        check_text(
            "//! A.\nconst A: &str = \"todo!()\"; // no #[ignore]\n",
            &[],
        );
        check_text(&format!("//! A.\nlet a{} = 1;\n", NOTES[1]), &[]);
    }
}
