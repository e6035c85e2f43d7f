//! The verified token of a request, as jwt-auth hands it on, and what rules say of its claims.

use serde_json::Map;
use serde_json::Value;
use tidegate_sdk::config::FilterConfig;
use tidegate_sdk::config::Problem;
use tidegate_sdk::config::Schema;

use crate::text::Text;
use crate::text::text_of;

/// Claims whose text is a list of words (RFC 8693 4.2, and what Istio takes for such).
const WORD_LISTS: [&str; 2] = ["scope", "permission"];

/// A token that jwt-auth has verified.
pub(crate) struct Token {
    issuer: String,
    subject: String,
    fields: Map<String, Value>,
}

impl Token {
    /// Reads what jwt-auth has written; `None` if it is something else.
    pub(crate) fn read(json: &[u8]) -> Option<Self> {
        let Ok(Value::Object(fields)) = serde_json::from_slice(json) else {
            return None;
        };
        let text = |name: &str| {
            let value = fields.get(name).and_then(Value::as_str);
            value.unwrap_or_default().to_owned()
        };
        Some(Self {
            issuer: text("iss"),
            subject: text("sub"),
            fields,
        })
    }

    /// Whether an audience, or the presenter, is among those described.
    pub(crate) fn has(&self, name: &str, wanted: &[Text]) -> bool {
        let value = self.fields.get(name);
        value.is_some_and(|value| texts(value).any(|it| fits(it, wanted)))
    }

    /// Whether a claim, or one of its values, is among those described.
    pub(crate) fn has_claim(&self, path: &[Box<str>], wanted: &[Text]) -> bool {
        self.claim(path).any(|it| fits(it, wanted))
    }

    /// The values of a claim: text, and text in a list. Of lists of words, the words too.
    pub(crate) fn claim(&self, path: &[Box<str>]) -> impl Iterator<Item = &str> {
        let mut value = self.fields.get("claims");
        for name in path {
            value = value.and_then(|it| it.as_object()?.get(&**name));
        }
        let is_word_list = matches!(path, [name] if WORD_LISTS.contains(&&**name));
        let words = value.and_then(Value::as_str).filter(|_| is_word_list);
        let words = words.into_iter().flat_map(|it| it.split(' '));
        value.into_iter().flat_map(texts).chain(words)
    }
}

/// A text, or the texts of a list.
fn texts(value: &Value) -> impl Iterator<Item = &str> {
    let items = value.as_array().into_iter().flatten();
    value
        .as_str()
        .into_iter()
        .chain(items.filter_map(Value::as_str))
}

fn fits(text: &str, wanted: &[Text]) -> bool {
    wanted.iter().any(|it| it.matches(text.as_bytes()))
}

/// The issuer and the subject of a token: `ISSUER/SUBJECT`, split at the last slash.
#[derive(Debug, Clone)]
pub(crate) struct RequestPrincipal {
    issuer: Text,
    subject: Text,
}

impl RequestPrincipal {
    pub(crate) fn matches(&self, token: &Token) -> bool {
        self.issuer.matches(token.issuer.as_bytes())
            && self.subject.matches(token.subject.as_bytes())
    }

    /// Stars are at one end of the whole: Istio's reading of them, part by part.
    fn parse(text: &str) -> Result<Self, Problem> {
        let whole = Text::parse(text)?;
        let parts = text.rsplit_once('/');
        let (issuer, subject) = match (whole, parts) {
            (Text::Any, _) => (Text::Any, Text::Any),
            (Text::Suffix(subject), None) => (Text::Any, Text::Suffix(subject)),
            (Text::Prefix(issuer), None) => (Text::Prefix(issuer), Text::Any),
            (Text::Exact(_), None) => {
                return Err(wrong(
                    "expected ISSUER/SUBJECT, or a `*` for one of them",
                    text,
                ));
            }
            (_, Some((issuer, _))) if issuer.ends_with(":/") => {
                return Err(wrong(
                    "a `/` and the subject are missing behind the issuer",
                    text,
                ));
            }
            (_, Some((issuer, subject))) => (Text::parse(issuer)?, Text::parse(subject)?),
        };
        Ok(Self { issuer, subject })
    }
}

fn wrong(why: &str, text: &str) -> Problem {
    Problem::new([why, "; found \"", text, "\""].concat())
}

impl FilterConfig for RequestPrincipal {
    const SCHEMA: &'static Schema = &Schema::text().min_len(1);

    fn read(value: &Value) -> Result<Self, Problem> {
        Self::parse(text_of(value)?)
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn token() -> Token {
        let json = json!({
            "iss": "https://idp.test/a", "sub": "ann", "aud": ["shop", "cart"], "azp": "app",
            "claims": {
                "scope": "read write",
                "group": "a b",
                "roles": ["admin", 7, "dev"],
                "level": 3,
                "realm": {"access": {"roles": ["x"]}},
                "https://claims.test/tier": "gold",
            },
        });
        Token::read(json.to_string().as_bytes()).unwrap()
    }

    fn patterns(texts: &[&str]) -> Vec<Text> {
        texts.iter().map(|it| Text::parse(it).unwrap()).collect()
    }

    #[test]
    fn a_principal_is_an_issuer_and_a_subject() {
        for (pattern, expected) in [
            ("https://idp.test/a/ann", true),
            ("https://idp.test/a/*", true),
            ("https://idp.test/a/an*", true),
            ("*/ann", true),
            ("*.test/a/ann", true),
            ("*nn", true),
            ("https*", true),
            ("*", true),
            ("https://idp.test/ann", false),
            ("https://idp.test/*", false),
            ("https://idp.test/a/bob", false),
            ("*/an", false),
        ] {
            let principal = RequestPrincipal::parse(pattern).unwrap();
            assert_eq!(principal.matches(&token()), expected, "{pattern}");
        }
        for wrong in [
            "https://idp.test",
            "https://idp*",
            "ann",
            "a/*b",
            "/ann",
            "a/",
        ] {
            assert!(RequestPrincipal::parse(wrong).is_err(), "{wrong}");
        }
    }

    #[test]
    fn claims_are_text_lists_of_text_and_nested() {
        for (path, wanted, expected) in [
            (&["roles"][..], "admin", true),
            (&["roles"], "adm*", true),
            (&["roles"], "7", false),
            (&["level"], "3", false),
            (&["level"], "*", false),
            (&["scope"], "write", true),
            (&["scope"], "read write", true),
            (&["scope"], "rite", false),
            (&["group"], "b", false),
            (&["group"], "a b", true),
            (&["realm", "access", "roles"], "x", true),
            (&["realm", "access"], "*", false),
            (&["realm", "access", "roles", "x"], "*", false),
            (&["https://claims.test/tier"], "gold", true),
            (&["none"], "*", false),
        ] {
            let path: Vec<Box<str>> = path.iter().map(|it| (*it).into()).collect();
            let found = token().has_claim(&path, &patterns(&[wanted]));
            assert_eq!(found, expected, "{path:?} {wanted}");
        }
    }

    #[test]
    fn audiences_and_the_presenter_are_compared_with_each() {
        assert!(token().has("aud", &patterns(&["x", "cart"])));
        assert!(!token().has("aud", &patterns(&["car"])));
        assert!(token().has("azp", &patterns(&["app"])));
        assert!(!token().has("azp", &patterns(&["*x"])));
    }

    #[test]
    fn what_is_no_token_is_not_taken_for_one() {
        for text in ["", "[]", "null", "\"x\"", "{\"iss\":"] {
            assert!(Token::read(text.as_bytes()).is_none(), "{text}");
        }
        let empty = Token::read(b"{\"iss\": 7}").unwrap();
        let all = RequestPrincipal::parse("*").unwrap();
        assert!(!all.matches(&empty));
    }
}
