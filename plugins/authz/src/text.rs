//! Patterns of text: exact, a beginning, an end, or anything.

use serde_json::Value;
use tidegate_sdk::config::FilterConfig;
use tidegate_sdk::config::Problem;
use tidegate_sdk::config::Schema;

/// `shop` (exactly), `shop*` (begins so), `*shop` (ends so), `*` (anything that is there).
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Text {
    Exact(Box<str>),
    Prefix(Box<str>),
    Suffix(Box<str>),
    Any,
}

impl Text {
    /// Reads a pattern.
    ///
    /// # Errors
    /// If it is empty, or has a star in the middle: that would mean the character, which nobody means.
    pub(crate) fn parse(text: &str) -> Result<Self, Problem> {
        let (pattern, rest) = match (text.strip_prefix('*'), text.strip_suffix('*')) {
            (Some(""), _) => return Ok(Self::Any),
            (Some(rest), _) => (Self::Suffix(rest.into()), rest),
            (None, Some(rest)) => (Self::Prefix(rest.into()), rest),
            (None, None) => (Self::Exact(text.into()), text),
        };
        if rest.is_empty() {
            return Err(Problem::new("expected text that is not empty"));
        }
        if rest.contains('*') {
            return Err(Problem::new(
                [
                    "a `*` is the first or the last character, or all of it; found \"",
                    text,
                    "\"",
                ]
                .concat(),
            ));
        }
        Ok(pattern)
    }

    /// The same pattern, of text in lower case.
    pub(crate) fn lower_case(self) -> Self {
        match self {
            Self::Exact(text) => Self::Exact(text.to_ascii_lowercase().into()),
            Self::Prefix(text) => Self::Prefix(text.to_ascii_lowercase().into()),
            Self::Suffix(text) => Self::Suffix(text.to_ascii_lowercase().into()),
            Self::Any => Self::Any,
        }
    }

    /// Whether a value is described. Nothing at all is not even `*`.
    pub(crate) fn matches(&self, value: &[u8]) -> bool {
        match self {
            Self::Exact(text) => value == text.as_bytes(),
            Self::Prefix(text) => value.starts_with(text.as_bytes()),
            Self::Suffix(text) => value.ends_with(text.as_bytes()),
            Self::Any => !value.is_empty(),
        }
    }
}

impl FilterConfig for Text {
    const SCHEMA: &'static Schema = &Schema::text().min_len(1);

    fn read(value: &Value) -> Result<Self, Problem> {
        Self::parse(text_of(value)?)
    }
}

/// The text that a value is.
///
/// # Errors
/// If it is something else.
pub(crate) fn text_of(value: &Value) -> Result<&str, Problem> {
    value.as_str().ok_or_else(|| Problem::new("expected text"))
}

/// A pattern with stars anywhere, as Istio has them in namespaces.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Glob(Box<str>);

impl Glob {
    /// The one value that is described, if there is but one.
    pub(crate) fn exact(&self) -> Option<&str> {
        (!self.0.contains('*')).then_some(&self.0)
    }

    /// Whether a value is described.
    pub(crate) fn matches(&self, value: &str) -> bool {
        let mut parts = self.0.split('*');
        let Some(first) = parts.next() else {
            return false;
        };
        let Some(mut rest) = value.strip_prefix(first) else {
            return false;
        };
        let Some(last) = parts.next_back() else {
            return rest.is_empty();
        };
        for part in parts {
            match rest.split_once(part) {
                Some((_, behind)) => rest = behind,
                None => return false,
            }
        }
        rest.ends_with(last)
    }
}

impl FilterConfig for Glob {
    const SCHEMA: &'static Schema = &Schema::text().min_len(1);

    fn read(value: &Value) -> Result<Self, Problem> {
        match text_of(value)? {
            "" => Err(Problem::new("expected text that is not empty")),
            text if text.contains('/') => Err(Problem::new("a namespace has no `/`")),
            text => Ok(Self(text.into())),
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_star_is_at_one_end_or_all_of_it() {
        for (pattern, yes, no) in [
            ("shop", "shop", "shops"),
            ("shop*", "shop", "Shop"),
            ("shop*", "shops", "sho"),
            ("*shop", "myshop", "shops"),
            ("*", "x", ""),
        ] {
            let pattern = Text::parse(pattern).unwrap();
            assert!(pattern.matches(yes.as_bytes()), "{pattern:?} {yes}");
            assert!(!pattern.matches(no.as_bytes()), "{pattern:?} {no}");
        }
        for wrong in ["", "a*b", "*a*", "**", "***"] {
            assert!(Text::parse(wrong).is_err(), "{wrong}");
        }
    }

    #[test]
    fn a_namespace_may_have_stars_anywhere() {
        for (pattern, yes, no) in [
            ("prod", "prod", "prod2"),
            ("prod-*", "prod-", "prod"),
            ("*-eu-*", "shop-eu-1", "shop-eu"),
            ("a*b*c", "abbc", "acb"),
            ("a*a", "aa", "a"),
            ("*-*", "a-b", "ab"),
        ] {
            let glob = Glob::read(&json!(pattern)).unwrap();
            assert!(glob.matches(yes), "{pattern} {yes}");
            assert!(!glob.matches(no), "{pattern} {no}");
        }
    }
}
