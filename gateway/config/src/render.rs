//! Problems as people read them: `file:line:column: error: what`, the line with carets below, help.
//!
//! The output depends on nothing but the problems and the texts of their files. Lines are cut around
//! the place and control characters escaped, so that no file can play tricks with a terminal. Lines of
//! documents that declare a Secret are not shown, nor those of a rollout's webhooks.

use std::collections::BTreeSet;
use std::collections::HashMap;
use std::path::Path;
use std::sync::Arc;

use crate::document::split;
use crate::place::Place;
use crate::problem::Problem;
use crate::problem::Severity;
use crate::source::read_text;

/// Most characters of a line that are shown.
const SHOWN: usize = 100;
/// How many of them stand before the place, if the line is cut.
const BEFORE: usize = 40;
/// The field whose values may be secrets; see `x-tidegate-secret` in the schema of Plugins.
const WEBHOOKS: &str = "webhooks";

/// Whether the output has colours.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Colour {
    /// Plain text.
    Never,
    /// ANSI escapes, for terminals.
    Always,
}

/// Prints problems, in the order of files, lines and columns. The files are read again for the lines.
#[must_use]
pub fn render(problems: &[Problem], colour: Colour) -> String {
    Renderer::new(colour).render(problems)
}

/// Prints problems with lines of files, which are read when the first problem in them is printed.
#[derive(Debug)]
pub struct Renderer {
    colour: Colour,
    texts: HashMap<Arc<Path>, Option<Text>>,
}

impl Renderer {
    /// A renderer that has read nothing yet.
    #[must_use]
    pub fn new(colour: Colour) -> Self {
        Self {
            colour,
            texts: HashMap::new(),
        }
    }

    /// Takes lines of a file from this text instead of reading it.
    pub fn insert(&mut self, file: &Arc<Path>, text: &str) {
        let text = Text::new(file, text.to_owned());
        self.texts.insert(Arc::clone(file), Some(text));
    }

    /// Prints problems, in the order of files, lines and columns.
    #[must_use]
    pub fn render(&mut self, problems: &[Problem]) -> String {
        let mut sorted: Vec<&Problem> = problems.iter().collect();
        sorted.sort_by(|a, b| (&a.place, &a.message).cmp(&(&b.place, &b.message)));
        let mut out = String::new();
        for problem in sorted {
            self.problem(problem, &mut out);
        }
        out
    }

    fn problem(&mut self, problem: &Problem, out: &mut String) {
        let (what, style) = match problem.severity {
            Severity::Error => ("error", "\x1b[1;31m"),
            Severity::Warning => ("warning", "\x1b[1;33m"),
        };
        if let Some(place) = &problem.place {
            let file = escape(&place.file.to_string_lossy());
            out.push_str(&format!("{file}:{}:{}: ", place.line, place.column));
        }
        let what = self.paint(what, style);
        out.push_str(&format!("{what}: {}\n", escape(&problem.message)));
        if let Some(place) = &problem.place {
            self.line(place, style, out);
        }
        if let Some(hint) = &problem.hint {
            let help = self.paint("help", "\x1b[1;36m");
            out.push_str(&format!("  {help}: {}\n", escape(hint)));
        }
    }

    fn line(&mut self, place: &Place, style: &str, out: &mut String) {
        let text = self
            .texts
            .entry(Arc::clone(&place.file))
            .or_insert_with(|| {
                let text = read_text(&place.file).ok()?;
                Some(Text::new(&place.file, text))
            });
        let Some(text) = text else {
            return;
        };
        if text.is_secret(place.line) || text.is_hidden(place.line) {
            return;
        }
        let Some(line) = text.line(place.line) else {
            return;
        };
        let Some((shown, indent, carets)) = cut(line, place) else {
            return;
        };
        let carets = self.paint(&"^".repeat(carets), style);
        let number = place.line.to_string();
        out.push_str(&format!("  {number} | {shown}\n"));
        out.push_str(&format!(
            "  {:width$} | {:indent$}{carets}\n",
            "",
            "",
            width = number.len()
        ));
    }

    fn paint(&self, text: &str, style: &str) -> String {
        match self.colour {
            Colour::Never => text.to_owned(),
            Colour::Always => format!("{style}{text}\x1b[0m"),
        }
    }
}

/// The part of a line around a place, how far the place is indented in it, and how long it is.
fn cut(line: &str, place: &Place) -> Option<(String, usize, usize)> {
    let number = |value: u32| usize::try_from(value).unwrap_or(usize::MAX);
    let column = number(place.column).saturating_sub(1);
    let count = line.chars().count();
    if column > count {
        return None;
    }
    let start = if count <= SHOWN {
        0
    } else {
        column.saturating_sub(BEFORE).min(count - SHOWN)
    };
    let mut shown = String::new();
    let (mut indent, mut carets) = (0, 0);
    if start > 0 {
        shown.push('…');
        indent = 1;
    }
    let end = column.saturating_add(number(place.length));
    for (index, char) in line.chars().enumerate().skip(start).take(SHOWN) {
        let escaped = escape_char(char);
        let width = escaped.chars().count();
        shown.push_str(&escaped);
        if index < column {
            indent += width;
        } else if index < end {
            carets += width;
        }
    }
    if start + SHOWN < count {
        shown.push('…');
    }
    Some((shown.trim_end().to_owned(), indent, carets.max(1)))
}

fn escape(text: &str) -> String {
    text.chars().map(escape_char).collect()
}

/// A character as it is shown: those that move the cursor or reorder text as escapes.
fn escape_char(char: char) -> String {
    match char {
        '\t' => " ".to_owned(),
        '\u{061c}'
        | '\u{200e}'
        | '\u{200f}'
        | '\u{202a}'..='\u{202e}'
        | '\u{2066}'..='\u{2069}'
        | '\u{feff}' => char.escape_unicode().to_string(),
        char if char.is_control() || matches!(char, '\u{2028}' | '\u{2029}') => {
            char.escape_default().to_string()
        }
        char => char.to_string(),
    }
}

/// The text of a file with its lines.
#[derive(Debug)]
struct Text {
    text: String,
    /// Where each line begins.
    starts: Vec<usize>,
    /// First lines of documents, and whether they hold secrets.
    documents: Vec<(u32, bool)>,
    /// Lines that may hold secrets in other documents.
    hidden: BTreeSet<u32>,
}

impl Text {
    fn new(file: &Arc<Path>, text: String) -> Self {
        let starts = std::iter::once(0)
            .chain(text.match_indices('\n').map(|(index, _)| index + 1))
            .collect();
        let documents = split(file, &text)
            .iter()
            .map(|document| (document.origin.first_line, declares_secret(&document.text)))
            .collect();
        let hidden = split(file, &text)
            .iter()
            .flat_map(|document| {
                let first = document.origin.first_line;
                webhook_lines(&document.text).map(move |line| first.saturating_add(line))
            })
            .collect();
        Self {
            text,
            starts,
            documents,
            hidden,
        }
    }

    fn line(&self, line: u32) -> Option<&str> {
        let index = usize::try_from(line).ok()?.checked_sub(1)?;
        let start = *self.starts.get(index)?;
        let line = self.text.get(start..)?.split('\n').next()?;
        Some(line.strip_suffix('\r').unwrap_or(line))
    }

    fn is_hidden(&self, line: u32) -> bool {
        self.hidden.contains(&line)
    }

    fn is_secret(&self, line: u32) -> bool {
        let after = self.documents.partition_point(|(first, _)| *first <= line);
        let document = after
            .checked_sub(1)
            .and_then(|index| self.documents.get(index));
        document.is_some_and(|(_, is_secret)| *is_secret)
    }
}

/// Whether a text seems to declare a Secret, or to hold credentials. Its syntax may be broken, so this looks at letters only.
fn declares_secret(text: &str) -> bool {
    // A docker config that lies among the configuration.
    if text.contains("\"auths\"") {
        return true;
    }
    text.match_indices("kind").any(|(index, word)| {
        let rest = text.get(index + word.len()..).unwrap_or_default();
        rest.trim_start_matches(['"', '\'', ' ', '\t', ':', '\r', '\n'])
            .starts_with("Secret")
    })
}

/// The lines of a document that seem to say whom a rollout tells, counted from 0: the paths there may be
/// secrets. As the syntax may be broken, this looks at letters and indentation only: from `webhooks` to
/// the next line that is less indented, or begins a field beside it. Where braces say what belongs
/// together, it is all that follows.
fn webhook_lines(text: &str) -> impl Iterator<Item = u32> {
    let has_braces = text.trim_start().starts_with(['{', '[']);
    let mut within: Option<usize> = None;
    let of = move |line: &str| {
        let content = line.trim_start();
        let indent = line.len() - content.len();
        let says_nothing = content.is_empty() || content.starts_with('#');
        let ends = |began: usize| {
            let begins_field = !content.starts_with(['-', '[', '{', ']', '}']);
            !has_braces && !says_nothing && (indent < began || indent == began && begins_field)
        };
        if within.is_some_and(ends) {
            within = None;
        }
        if within.is_none() && content.contains(WEBHOOKS) {
            within = Some(indent);
        }
        within.is_some()
    };
    let hidden: Vec<bool> = text.lines().map(of).collect();
    let numbered = (0..).zip(hidden);
    numbered.filter_map(|(line, is_hidden)| is_hidden.then_some(line))
}

#[cfg(test)]
mod tests {
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
}
