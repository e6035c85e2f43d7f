//! What an operator may configure, checked before the first request.
//!
//! The configuration is JSON and may be missing. Everything that is wrong with it is refused
//! here, with a message an operator can act on; the filter then never meets a bad value.

use serde_json::{Map, Value};

/// The configuration of the filter; every field has a default.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Config {
    /// The value of the `x-hello` header that the origin sees.
    pub greeting: String,
    /// The backend that decides about `/authorized`.
    pub backend: String,
    /// The host name the backend is called by; the name of the backend if not given.
    pub authority: String,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            greeting: "hello from the filter".into(),
            backend: "auth".into(),
            authority: "auth".into(),
        }
    }
}

impl Config {
    /// Reads a configuration; nothing at all means the defaults.
    ///
    /// # Errors
    /// One sentence that names the member at fault.
    pub fn parse(text: &[u8]) -> Result<Self, String> {
        if text.trim_ascii().is_empty() {
            return Ok(Self::default());
        }
        let value = serde_json::from_slice(text).map_err(|err| format!("not valid JSON: {err}"))?;
        let Value::Object(mut members) = value else {
            return Err("must be a JSON object".into());
        };
        let defaults = Self::default();
        let backend = take(&mut members, "backend")?;
        let authority = take(&mut members, "authority")?;
        let config = Self {
            greeting: take(&mut members, "greeting")?.unwrap_or(defaults.greeting),
            authority: authority
                .or_else(|| backend.clone())
                .unwrap_or(defaults.authority),
            backend: backend.unwrap_or(defaults.backend),
        };
        match members.keys().next() {
            Some(name) => Err(format!(
                "unknown member {name:?}; known are greeting, backend, authority"
            )),
            None => Ok(config),
        }
    }
}

/// Takes a text member that may go into a header: printable ASCII, not empty.
fn take(members: &mut Map<String, Value>, name: &str) -> Result<Option<String>, String> {
    let text = match members.remove(name) {
        None => return Ok(None),
        Some(Value::String(text)) => text,
        Some(other) => return Err(format!("{name} must be a string, not {other}")),
    };
    let printable = |byte: u8| byte == b' ' || byte.is_ascii_graphic();
    if text.trim().is_empty() || !text.bytes().all(printable) {
        return Err(format!(
            "{name} must be printable ASCII and not empty, not {text:?}"
        ));
    }
    Ok(Some(text))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn refused(text: &str, expected: &str) {
        assert_eq!(
            Config::parse(text.as_bytes()),
            Err(expected.to_owned()),
            "{text}"
        );
    }

    #[test]
    fn no_configuration_means_the_defaults() {
        for text in ["", " \n", "{}"] {
            assert_eq!(
                Config::parse(text.as_bytes()),
                Ok(Config::default()),
                "{text:?}"
            );
        }
    }

    #[test]
    fn the_backend_lends_its_name_to_the_authority() {
        let config = Config::parse(br#"{"greeting":"hi","backend":"idp"}"#);
        let expected = Config {
            greeting: "hi".into(),
            backend: "idp".into(),
            authority: "idp".into(),
        };
        assert_eq!(config, Ok(expected));
    }

    #[test]
    fn a_bad_configuration_is_refused_by_name() {
        refused("[]", "must be a JSON object");
        refused(
            "{",
            "not valid JSON: EOF while parsing an object at line 1 column 1",
        );
        refused(r#"{"greeting":7}"#, "greeting must be a string, not 7");
        refused(
            r#"{"greeting":"a\nb"}"#,
            r#"greeting must be printable ASCII and not empty, not "a\nb""#,
        );
        refused(
            r#"{"backend":""}"#,
            r#"backend must be printable ASCII and not empty, not """#,
        );
        refused(
            r#"{"greting":"x"}"#,
            r#"unknown member "greting"; known are greeting, backend, authority"#,
        );
    }
}
