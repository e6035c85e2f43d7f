//! Conditions of `when`: an attribute by its key, and values that it has or has not.

use serde_json::Value;
use tidegate_sdk::config::FilterConfig;
use tidegate_sdk::config::Problem;
use tidegate_sdk::config::Schema;

use crate::block;
use crate::block::Block;
use crate::config::Port;
use crate::principal::ServiceAccount;
use crate::test::Header;
use crate::test::Test;
use crate::text::Glob;
use crate::text::Text;
use crate::token::RequestPrincipal;

/// A condition: what is tested for values, and for others that must not be.
#[derive(Debug)]
pub(crate) struct Condition {
    pub(crate) values: Option<Test>,
    pub(crate) not_values: Option<Test>,
}

/// Something else that must hold.
#[derive(FilterConfig, Debug)]
#[expect(
    dead_code,
    reason = "the fields are the schema; `Condition` reads them by the key"
)]
struct Document {
    /// The attribute: `request.headers[x-team]`, `request.auth.claims[group]`, `source.ip`, `remote.ip`, and
    /// more.
    #[config(min_len = 1)]
    key: String,
    /// It has one of these values.
    #[config(min_len = 1)]
    values: Option<Vec<String>>,
    /// It has none of these values.
    #[config(min_len = 1)]
    not_values: Option<Vec<String>>,
}

/// All keys; those that end with a bracket are followed by names in brackets.
const KEYS: [&str; 14] = [
    "request.headers[",
    "request.auth.claims[",
    "request.auth.principal",
    "request.auth.audiences",
    "request.auth.presenter",
    "source.ip",
    "remote.ip",
    "source.principal",
    "source.namespace",
    "source.serviceAccount",
    "source.trustDomain",
    "destination.ip",
    "destination.port",
    "connection.sni",
];

impl FilterConfig for Condition {
    const SCHEMA: &'static Schema = Document::SCHEMA;

    fn read(value: &Value) -> Result<Self, Problem> {
        let key = value.get("key").and_then(Value::as_str).unwrap_or_default();
        let read = |name: &str| match value.get(name) {
            None | Some(Value::Null) => Ok(None),
            Some(values) => test(key, values, name).map(Some),
        };
        let (values, not_values) = (read("values")?, read("notValues")?);
        if values.is_none() && not_values.is_none() {
            return Err(Problem::new("expected `values` or `notValues`"));
        }
        Ok(Self { values, not_values })
    }
}

/// What a key tests for values; a problem is of the key, or of one of the values.
fn test(key: &str, values: &Value, field: &str) -> Result<Test, Problem> {
    let in_values = |problem: Problem| problem.under(field);
    let texts = || Vec::<Text>::read(values).map_err(in_values);
    let blocks = || {
        let blocks = Vec::<Block>::read(values).map_err(in_values)?;
        Ok(block::set(blocks))
    };
    Ok(match key {
        "source.ip" => Test::Peer(blocks()?),
        "remote.ip" => Test::Client(blocks()?),
        "destination.ip" => Test::Destination(blocks()?),
        "destination.port" => Test::Port(Vec::<Port>::read(values).map_err(in_values)?),
        "connection.sni" => Test::Sni(texts()?),
        "source.principal" => Test::Principal(texts()?),
        "source.namespace" => Test::Namespace(Vec::<Glob>::read(values).map_err(in_values)?),
        "source.serviceAccount" => {
            Test::ServiceAccount(Vec::<ServiceAccount>::read(values).map_err(in_values)?)
        }
        "source.trustDomain" => Test::TrustDomain(texts()?),
        "request.auth.principal" => {
            Test::RequestPrincipal(Vec::<RequestPrincipal>::read(values).map_err(in_values)?)
        }
        "request.auth.audiences" => Test::Audience(texts()?),
        "request.auth.presenter" => Test::Presenter(texts()?),
        _ => return named(key, texts),
    })
}

/// Keys with names in brackets.
fn named(key: &str, texts: impl Fn() -> Result<Vec<Text>, Problem>) -> Result<Test, Problem> {
    let wrong = |why: &str| Err(Problem::new(why).under("key"));
    if let Some(names) = key.strip_prefix("request.headers") {
        let names = names_in_brackets(names).unwrap_or_default();
        let [name] = names.as_slice() else {
            return wrong("expected the name of one header: `request.headers[x-team]`");
        };
        let is_token = |it: u8| it.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&it);
        if !name.bytes().all(is_token) {
            return wrong("the name in brackets is not one that a header can have");
        }
        let header = Header {
            name: name.to_ascii_lowercase().into(),
            number: 0,
        };
        return Ok(Test::Header(header, texts()?));
    }
    if let Some(names) = key.strip_prefix("request.auth.claims") {
        return match names_in_brackets(names) {
            Some(path) => Ok(Test::Claim(path, texts()?)),
            None => wrong("expected names in brackets: `request.auth.claims[realm][roles]`"),
        };
    }
    if key.starts_with("experimental.envoy.filters.") {
        return wrong("metadata of Envoy's own filters is not known to this filter");
    }
    wrong(&unknown(key))
}

/// `[a][b]` as `a` and `b`.
fn names_in_brackets(text: &str) -> Option<Vec<Box<str>>> {
    let inner = text.strip_prefix('[')?.strip_suffix(']')?;
    let names = inner.split("][");
    names
        .map(|it| (!it.is_empty() && !it.contains(['[', ']'])).then(|| it.into()))
        .collect()
}

fn unknown(key: &str) -> String {
    let mut message = ["unknown attribute \"", key, "\"; there are "].concat();
    for (index, known) in KEYS.iter().enumerate() {
        if index > 0 {
            message.push_str(", ");
        }
        message.push_str(known);
        if known.ends_with('[') {
            message.push_str("NAME]");
        }
    }
    message
}
