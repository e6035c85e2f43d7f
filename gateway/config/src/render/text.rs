//! The text of a file as far as it may be shown: its lines, and which of them may hold secrets.

use std::collections::BTreeSet;
use std::path::Path;
use std::sync::Arc;

use crate::document::split;
use crate::schema::Hidden;
use crate::schema::hidden;

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
        let mut documents = Vec::new();
        let mut lines = BTreeSet::new();
        for document in split(file, &text) {
            let first = document.origin.first_line;
            let is_secret = declares_secret(&document.text)
                || match hidden(&document.text) {
                    Hidden::All => true,
                    Hidden::Lines(of) => {
                        lines.extend(of.into_iter().map(|line| first.saturating_add(line)));
                        false
                    }
                };
            documents.push((first, is_secret));
        }
        Self {
            text,
            starts,
            documents,
            hidden: lines,
        }
    }

    pub(super) fn line(&self, line: u32) -> Option<&str> {
        let index = usize::try_from(line).ok()?.checked_sub(1)?;
        let start = *self.starts.get(index)?;
        let line = self.text.get(start..)?.split('\n').next()?;
        Some(line.strip_suffix('\r').unwrap_or(line))
    }

    /// Whether a line may hold a secret.
    pub(super) fn is_hidden(&self, line: u32) -> bool {
        self.hidden.contains(&line) || self.is_secret(line)
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
