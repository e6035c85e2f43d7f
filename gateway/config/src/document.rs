//! A file's text as documents, each of which is read on its own.
//!
//! What a document says depends on its file, first line and text only, so that a loader may keep what
//! it made of it while the text stays the same: see [`Document::hash`].

use std::hash::BuildHasher;
use std::path::Path;
use std::sync::Arc;

use foldhash::quality::FixedState;

use crate::place::Origin;

/// The text of one document.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Document {
    /// Its file and the line it begins at.
    pub origin: Origin,
    /// Its text, the line of its `---` included.
    pub text: Arc<str>,
    /// A hash of the text, the same in each run of one program. Different texts may share one: compare
    /// the text too.
    pub hash: u64,
}

impl Document {
    /// A document that begins at a line of a file.
    #[must_use]
    pub fn new(file: &Arc<Path>, first_line: u32, text: impl Into<Arc<str>>) -> Self {
        let text = text.into();
        let origin = Origin {
            file: Arc::clone(file),
            first_line,
        };
        let hash = FixedState::default().hash_one(&*text);
        Self { origin, text, hash }
    }

    /// Whether its file is JSON, by its name: then the whole file is one document, which may be an
    /// array of resources.
    #[must_use]
    pub fn is_json(&self) -> bool {
        is_json(&self.origin.file)
    }
}

fn is_json(file: &Path) -> bool {
    file.extension()
        .is_some_and(|extension| extension.eq_ignore_ascii_case("json"))
}

/// Splits the text of a file at the document markers of YAML, `---` and `...` at the beginning of a
/// line. Documents that hold nothing but comments are left out.
///
/// That markers count wherever a line begins with them, quotes and block texts included, is YAML's
/// rule (chapter 9.1.2), so that no knowledge of the content is needed.
#[must_use]
pub fn split(file: &Arc<Path>, text: &str) -> Vec<Document> {
    if is_json(file) {
        let is_blank = text.trim().is_empty();
        return (!is_blank)
            .then(|| Document::new(file, 1, text))
            .into_iter()
            .collect();
    }
    let mut splitter = Splitter {
        file,
        text,
        documents: Vec::new(),
        start: 0,
        first_line: 1,
        has_marker: false,
        has_content: false,
    };
    let mut offset = 0;
    for (index, line) in text.split_inclusive('\n').enumerate() {
        splitter.on_line(line, offset, index);
        offset += line.len();
    }
    splitter.end(text.len());
    splitter.documents
}

struct Splitter<'a> {
    file: &'a Arc<Path>,
    text: &'a str,
    documents: Vec<Document>,
    /// Where the current document begins.
    start: usize,
    first_line: u32,
    has_marker: bool,
    has_content: bool,
}

impl Splitter<'_> {
    fn on_line(&mut self, line: &str, offset: usize, index: usize) {
        if let Some(rest) = after_marker(line, "---") {
            // Comments and directives above the first marker belong to the document below it.
            if self.has_content || self.has_marker {
                self.end(offset);
                self.begin(offset, index);
            }
            self.has_marker = true;
            self.has_content = !is_blank(rest);
        } else if let Some(rest) = after_marker(line, "...")
            && is_blank(rest)
        {
            self.end(offset);
            self.begin(offset + line.len(), index + 1);
        } else if !is_blank(line) && !self.is_directive(line) {
            self.has_content = true;
        }
    }

    fn is_directive(&self, line: &str) -> bool {
        line.starts_with('%') && !self.has_marker && !self.has_content
    }

    fn begin(&mut self, offset: usize, index: usize) {
        self.start = offset;
        self.first_line = u32::try_from(index).unwrap_or(u32::MAX).saturating_add(1);
        self.has_marker = false;
        self.has_content = false;
    }

    fn end(&mut self, offset: usize) {
        if self.has_content
            && let Some(text) = self.text.get(self.start..offset)
        {
            self.documents
                .push(Document::new(self.file, self.first_line, text));
        }
    }
}

/// What follows a marker on its line, if the line begins with it.
fn after_marker<'a>(line: &'a str, marker: &str) -> Option<&'a str> {
    let rest = line.strip_prefix(marker)?;
    (rest.is_empty() || rest.starts_with([' ', '\t', '\r', '\n'])).then_some(rest)
}

/// Whether there is nothing but space and a comment.
fn is_blank(text: &str) -> bool {
    let text = text.trim();
    text.is_empty() || text.starts_with('#')
}

#[cfg(test)]
mod tests {
    use std::path::Path;
    use std::sync::Arc;

    use super::split;

    #[track_caller]
    fn check(file: &str, text: &str, expected: &[(u32, &str)]) {
        let file: Arc<Path> = Path::new(file).into();
        let documents = split(&file, text);
        let found: Vec<(u32, &str)> = documents
            .iter()
            .map(|document| (document.origin.first_line, &*document.text))
            .collect();
        assert_eq!(found, expected);
    }

    #[test]
    fn markers_at_the_beginning_of_a_line_separate_documents() {
        check(
            "a.yaml",
            "a: 1\n---\nb: 2\n--- # third\nc: |\n  ---\n",
            &[
                (1, "a: 1\n"),
                (2, "---\nb: 2\n"),
                (4, "--- # third\nc: |\n  ---\n"),
            ],
        );
        check(
            "a.yaml",
            "---a: 1\n--- {b: 2}",
            &[(1, "---a: 1\n"), (2, "--- {b: 2}")],
        );
    }

    #[test]
    fn documents_of_comments_only_are_left_out() {
        check(
            "a.yaml",
            "---\n# nothing\n---\n\n---\na: 1\n---\n",
            &[(5, "---\na: 1\n")],
        );
        check("a.yaml", "", &[]);
        check("a.json", " \n", &[]);
    }

    #[test]
    fn comments_and_directives_belong_to_the_document_below() {
        check(
            "a.yaml",
            "# licence\n%YAML 1.2\n---\na: 1\n",
            &[(1, "# licence\n%YAML 1.2\n---\na: 1\n")],
        );
    }

    #[test]
    fn an_end_mark_ends_a_document() {
        check(
            "a.yaml",
            "a: 1\r\n...\r\nb: 2\r\n",
            &[(1, "a: 1\r\n"), (3, "b: 2\r\n")],
        );
    }

    #[test]
    fn a_json_file_is_one_document() {
        check("a.JSON", "{\n---\n}", &[(1, "{\n---\n}")]);
    }

    #[test]
    fn the_hash_follows_the_text_alone() {
        let file: Arc<Path> = Path::new("a.yaml").into();
        let documents = split(&file, "a: 1\n---\nb: 2\n---\nb: 2\n");
        let [first, second, third] = documents.as_slice() else {
            panic!("three documents");
        };
        assert_eq!(second.hash, third.hash);
        assert_ne!(first.hash, second.hash);
    }
}
