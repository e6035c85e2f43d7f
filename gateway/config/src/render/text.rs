//! The text of a file as far as it may be shown: its lines, and which of them may hold secrets.

use std::collections::BTreeSet;
use std::path::Path;
use std::sync::Arc;

use crate::document::split;

/// The field whose values may be secrets; see `x-tidegate-secret` in the schema of Plugins.
const WEBHOOKS: &str = "webhooks";

/// The text of a file with its lines.
#[derive(Debug)]
pub(super) struct Text {
    text: String,
    /// Where each line begins.
    starts: Vec<usize>,
    /// First lines of documents, and whether they hold secrets.
    documents: Vec<(u32, bool)>,
    /// Lines that may hold secrets in other documents.
    hidden: BTreeSet<u32>,
}

impl Text {
    pub(super) fn new(file: &Arc<Path>, text: String) -> Self {
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

    pub(super) fn line(&self, line: u32) -> Option<&str> {
        let index = usize::try_from(line).ok()?.checked_sub(1)?;
        let start = *self.starts.get(index)?;
        let line = self.text.get(start..)?.split('\n').next()?;
        Some(line.strip_suffix('\r').unwrap_or(line))
    }

    pub(super) fn is_hidden(&self, line: u32) -> bool {
        self.hidden.contains(&line)
    }

    pub(super) fn is_secret(&self, line: u32) -> bool {
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
