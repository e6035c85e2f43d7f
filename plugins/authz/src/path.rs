//! Patterns of paths: those of [`Text`], and Istio's templates (`/users/{*}/{**}`).
//!
//! A template's `{*}` is one segment that is not empty, `{**}` any number of them, also none; the
//! second is the last of both, and plain text may follow it.

use serde_json::Value;
use tidegate_sdk::config::FilterConfig;
use tidegate_sdk::config::Problem;
use tidegate_sdk::config::Schema;

use crate::reading::with_normal_escapes;
use crate::text::Text;
use crate::text::text_of;

/// What a rule says of paths.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum PathPattern {
    Text(Text),
    Template(Template),
}

/// The segments of a path, each in its place.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Template {
    /// The segments in front of `{**}`, or all of them.
    segments: Vec<Segment>,
    /// What the path ends with after `{**}`, if there is one.
    rest: Option<Box<str>>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
enum Segment {
    Exact(Box<str>),
    /// `{*}`
    One,
}

impl PathPattern {
    /// Whether a path is described.
    pub(crate) fn matches(&self, path: &[u8]) -> bool {
        match self {
            Self::Text(text) => text.matches(path),
            Self::Template(template) => template.matches(path),
        }
    }
}

impl Template {
    fn parse(text: &str) -> Result<Self, Problem> {
        let wrong = |why: &str| Err(Problem::new([why, "; found \"", text, "\""].concat()));
        let mut segments = Vec::new();
        let mut rest: Option<String> = None;
        for segment in text.split('/').skip(1) {
            match (segment, &mut rest) {
                ("{**}", None) => rest = Some(String::new()),
                ("{**}" | "{*}", Some(_)) => {
                    return wrong("`{**}` is the last of a template's `{*}` and `{**}`");
                }
                ("{*}", None) => segments.push(Segment::One),
                (literal, _) if literal.contains(['{', '}', '*']) => {
                    return wrong(
                        "`{*}` and `{**}` are whole segments of a path, and there are no others",
                    );
                }
                (literal, None) => segments.push(Segment::Exact(literal.into())),
                (literal, Some(rest)) => {
                    rest.push('/');
                    rest.push_str(literal);
                }
            }
        }
        let rest = rest.map(String::into_boxed_str);
        Ok(Self { segments, rest })
    }

    fn matches(&self, path: &[u8]) -> bool {
        let mut path = path;
        for segment in &self.segments {
            let Some(behind) = path.strip_prefix(b"/") else {
                return false;
            };
            let end = behind.iter().position(|it| *it == b'/');
            let (found, next) = behind.split_at(end.unwrap_or(behind.len()));
            let is_described = match segment {
                Segment::Exact(literal) => found == literal.as_bytes(),
                Segment::One => !found.is_empty(),
            };
            if !is_described {
                return false;
            }
            path = next;
        }
        match &self.rest {
            None => path.is_empty(),
            Some(rest) => path
                .strip_prefix(b"/")
                .is_some_and(|path| path.ends_with(rest.as_bytes())),
        }
    }

    /// What all paths of the template begin with.
    pub(crate) fn beginning(&self) -> String {
        let mut beginning = String::from("/");
        for segment in &self.segments {
            let Segment::Exact(literal) = segment else {
                break;
            };
            beginning.push_str(literal);
            beginning.push('/');
        }
        if self.rest.is_none() && !self.segments.contains(&Segment::One) {
            beginning.pop();
        }
        beginning
    }
}

impl FilterConfig for PathPattern {
    const SCHEMA: &'static Schema = &Schema::text().min_len(1);

    fn read(value: &Value) -> Result<Self, Problem> {
        let text = text_of(value)?;
        let wrong = |why: &str| Err(Problem::new([why, "; found \"", text, "\""].concat()));
        if !text.starts_with(['/', '*']) {
            return wrong("a path begins with `/`, or the pattern with `*`");
        }
        if text.contains(['?', '#']) {
            return wrong("rules see paths without their query: no `?` and no `#`");
        }
        let dots = |it: &str| matches!(it, "." | "..");
        if text.split('/').skip(1).any(dots) {
            return wrong("paths of requests have no `.` and `..` segments any more");
        }
        let Some(normal) = with_normal_escapes(text.as_bytes()) else {
            return wrong("`%` is followed by two hexadecimal digits");
        };
        let normal = String::from_utf8_lossy(&normal);
        if normal.contains("{*}") || normal.contains("{**}") {
            return Template::parse(&normal).map(Self::Template);
        }
        if normal.contains(['{', '}']) {
            return wrong("braces are for `{*}` and `{**}` alone");
        }
        Text::parse(&normal).map(Self::Text)
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn pattern(text: &str) -> PathPattern {
        PathPattern::read(&json!(text)).unwrap()
    }

    #[test]
    fn a_template_fits_segment_by_segment() {
        for (template, yes, no) in [
            ("/foo/{*}", "/foo/bar", "/foo/bar/baz"),
            ("/foo/{*}", "/foo/b.c", "/foo/"),
            ("/foo/{*}/", "/foo/bar/", "/foo/bar"),
            ("/foo/{**}", "/foo/", "/foo"),
            ("/foo/{**}", "/foo/a/b/c", "/fooo/a"),
            ("/foo/{**}/", "/foo//", "/foo/bar"),
            ("/foo/{**}/end", "/foo/a/b/end", "/foo/end"),
            ("/{*}/bar/{**}", "/x/bar/", "/bar/y"),
            ("/{**}", "/", ""),
            ("/{*}", "/a", "/"),
        ] {
            assert!(
                pattern(template).matches(yes.as_bytes()),
                "{template} {yes}"
            );
            assert!(!pattern(template).matches(no.as_bytes()), "{template} {no}");
        }
    }

    #[test]
    fn all_paths_of_a_template_have_its_beginning() {
        for (text, path) in [
            ("/foo/{*}", "/foo/x"),
            ("/{*}/foo", "/x/foo"),
            ("/foo/{**}/end", "/foo//end"),
            ("/{**}", "/"),
            ("/a/{*}/b", "/a/x/b"),
        ] {
            let pattern = pattern(text);
            assert!(pattern.matches(path.as_bytes()), "{text}");
            let PathPattern::Template(template) = pattern else {
                panic!("{text} is no template");
            };
            let beginning = template.beginning();
            assert!(path.starts_with(&beginning), "{text}: {beginning}");
        }
    }

    #[test]
    fn patterns_that_could_never_be_meant_are_refused() {
        for text in [
            "admin",
            "/a?b",
            "/a#b",
            "/a/../b",
            "/a%4",
            "/a*b",
            "/{x}",
            "/{*}.txt",
            "/{**}/{*}",
            "/{**}/{**}",
            "/*/{*}",
            "/a/{*}/{x=*}",
        ] {
            assert!(PathPattern::read(&json!(text)).is_err(), "{text}");
        }
    }

    #[test]
    fn escapes_of_a_pattern_are_those_of_a_normal_path() {
        assert_eq!(pattern("/%61%2fb"), pattern("/a%2Fb"));
    }
}
