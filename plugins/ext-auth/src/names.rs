//! Lists of header names, some of which stand for all that begin so.

use serde_json::Value;
use tidegate_policy::begins_like;
use tidegate_policy::is_spelling;
use tidegate_policy::is_token;
use tidegate_sdk::config::FilterConfig;
use tidegate_sdk::config::Problem;
use tidegate_sdk::config::Schema;

/// What no message takes over from another: it frames that one, or is about its connection (RFC 9110,
/// 7.2 and 7.6.1), or is the gateway's to say.
const OF_ONE_MESSAGE: [&str; 12] = [
    "connection",
    "content-length",
    "date",
    "expect",
    "host",
    "keep-alive",
    "proxy-connection",
    "server",
    "te",
    "trailer",
    "transfer-encoding",
    "upgrade",
];

/// What the gateway says of a request, whatever the client did.
const OF_THE_GATEWAY: [&str; 6] = [
    "x-forwarded-client-cert",
    "x-forwarded-for",
    "x-forwarded-host",
    "x-forwarded-port",
    "x-forwarded-proto",
    "x-request-id",
];

/// A name in lower case, or the beginning of names.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Name {
    Exact(String),
    /// `x-auth-*`; empty for all.
    Prefix(String),
}

impl Name {
    fn has(&self, name: &str) -> bool {
        match self {
            Self::Exact(exact) => exact == name,
            Self::Prefix(prefix) => name.starts_with(prefix.as_str()),
        }
    }

    /// Whether backends may take a name for one of these, though it is another.
    fn resembles(&self, name: &str) -> bool {
        match self {
            Self::Exact(exact) => exact != name && is_spelling(name, exact),
            Self::Prefix(prefix) => name.contains('_') && begins_like(name, prefix),
        }
    }

    /// Whether all names are meant.
    pub(crate) fn is_all(&self) -> bool {
        matches!(self, Self::Prefix(prefix) if prefix.is_empty())
    }
}

/// Whether a list has a name, which is in lower case.
pub(crate) fn has(list: &[Name], name: &str) -> bool {
    list.iter().any(|it| it.has(name))
}

/// Whether backends may take a name, which is in lower case, for one that a list has: with underscores for
/// hyphens or the other way round. A name that the list has word for word is itself.
pub(crate) fn resembles(list: &[Name], name: &str) -> bool {
    let is_listed = |it: &Name| matches!(it, Name::Exact(exact) if exact == name);
    list.iter().any(|it| it.resembles(name)) && !list.iter().any(is_listed)
}

/// Whether a header may go from one message to another.
pub(crate) fn is_portable(name: &str) -> bool {
    is_token(name) && !OF_ONE_MESSAGE.contains(&name)
}

/// Whether a header of requests is the gateway's, which may need it.
pub(crate) fn is_of_the_gateway(name: &str) -> bool {
    OF_THE_GATEWAY.contains(&name) || name.starts_with("x-envoy-")
}

impl FilterConfig for Name {
    const SCHEMA: &'static Schema = &Schema::text().min_len(1).max_len(256);

    fn read(value: &Value) -> Result<Self, Problem> {
        let text = value.as_str().unwrap_or_default();
        let name = text.to_ascii_lowercase();
        if name == "*" {
            return Ok(Self::Prefix(String::new()));
        }
        let bare = name.strip_suffix('*').unwrap_or(&name);
        if !is_token(bare) || bare.contains('*') {
            return Err(Problem::new(format!(
                "expected the name of a header such as x-user, or a beginning such as x-auth-*, found {text:?}"
            )));
        }
        if OF_ONE_MESSAGE.contains(&name.as_str()) {
            let message = format!("header {name} belongs to one message and is never taken over");
            return Err(Problem::new(message));
        }
        let is_prefix = name.ends_with('*');
        let bare = bare.to_owned();
        Ok(if is_prefix {
            Self::Prefix(bare)
        } else {
            Self::Exact(bare)
        })
    }
}
