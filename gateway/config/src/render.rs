//! Problems as people read them: `file:line:column: error: what`, the line with carets below, help.
//!
//! The output depends on nothing but the problems and the texts of their files. Lines are cut around
//! the place and control characters escaped, so that no file can play tricks with a terminal. Lines of
//! documents that declare a Secret are not shown, nor those of fields that a schema marks as secret.

#[cfg(test)]
mod tests;
mod text;

use std::collections::HashMap;
use std::path::Path;
use std::sync::Arc;

use crate::place::Place;
use crate::problem::Problem;
use crate::problem::Severity;
use crate::source::read_text;
use text::Text;

/// Most characters of a line that are shown.
const SHOWN: usize = 100;
/// How many of them stand before the place, if the line is cut.
const BEFORE: usize = 40;

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
        if text.is_hidden(place.line) {
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
