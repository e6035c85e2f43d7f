//! Names of headers in a configuration (RFC 9110, 5.1).

use std::borrow::Cow;
use std::fmt;
use std::ops::Deref;
use std::str::FromStr;

use tidegate_sdk::config::FilterConfig;
use tidegate_sdk::config::Problem;
use tidegate_sdk::config::Schema;

/// The name of a header that a filter may read, set and remove, in lower case.
///
/// Those that frame a message or say where it goes are not among them.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct HeaderName(Cow<'static, str>);

/// Headers that belong to the gateway (RFC 9110, 7.2 and 7.6.1).
const RESERVED: [&str; 9] = [
    "connection",
    "content-length",
    "host",
    "keep-alive",
    "proxy-connection",
    "te",
    "trailer",
    "transfer-encoding",
    "upgrade",
];

impl HeaderName {
    /// A name that a filter has itself: a token in lower case.
    #[must_use]
    pub const fn known(name: &'static str) -> Self {
        Self(Cow::Borrowed(name))
    }
}

impl Deref for HeaderName {
    type Target = str;

    fn deref(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for HeaderName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// Whether a text is a token: the names of headers, methods, cookies and schemes are (RFC 9110, 5.6.2).
#[must_use]
pub fn is_token(text: &str) -> bool {
    let allowed = |it: u8| it.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&it);
    !text.is_empty() && text.bytes().all(allowed)
}

impl FromStr for HeaderName {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        if !is_token(text) {
            return Err(format!(
                "expected the name of a header such as x-user, found {text:?}"
            ));
        }
        let name = text.to_ascii_lowercase();
        if RESERVED.contains(&name.as_str()) {
            return Err(format!(
                "header {name} belongs to the gateway: choose another"
            ));
        }
        Ok(Self(Cow::Owned(name)))
    }
}

impl FilterConfig for HeaderName {
    const SCHEMA: &'static Schema = &Schema::text().min_len(1).max_len(256);

    fn read(value: &serde_json::Value) -> Result<Self, Problem> {
        let text = value.as_str().unwrap_or_default();
        text.parse().map_err(Problem::new)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_kept_in_lower_case() {
        let name: HeaderName = "X-Consumer".parse().unwrap();
        assert_eq!(&*name, "x-consumer");
    }

    #[test]
    fn what_is_no_name_or_belongs_to_the_gateway_is_refused() {
        for text in ["", "x user", "x:user", ":path", "größe", "x\n"] {
            let refused = text.parse::<HeaderName>().unwrap_err();
            assert!(refused.contains("such as x-user"), "{refused}");
        }
        for text in ["Host", "content-length", "TE"] {
            let refused = text.parse::<HeaderName>().unwrap_err();
            assert!(refused.contains("belongs to the gateway"), "{refused}");
        }
    }
}
