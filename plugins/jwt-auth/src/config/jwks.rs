//! Where the keys of an issuer are: here, or at a backend.

use std::rc::Rc;
use std::time::Duration;

use serde_json::Value;
use tidegate_sdk::config::Backend;
use tidegate_sdk::config::FilterConfig;
use tidegate_sdk::config::Problem;
use tidegate_sdk::config::Schema;
use tidegate_sdk::config::Shape;
use tidegate_sdk::config::Size;

use super::texts;
use crate::keys::KeySet;

/// Where keys come from.
#[derive(FilterConfig, Debug)]
pub enum Jwks {
    /// A JWK Set or one JWK (RFC 7517), as text or as a mapping.
    Inline(InlineKeys),
    /// A JWK Set that a backend has.
    Remote(RemoteKeys),
}

/// Keys that the configuration has itself.
#[derive(Debug)]
pub struct InlineKeys(pub Rc<KeySet>);

/// Keys that a backend has.
#[derive(FilterConfig, Debug, Clone, PartialEq, Eq)]
pub struct RemoteKeys {
    /// The backend.
    pub backend: Backend,
    /// The path of the JWK Set.
    #[config(default = "/.well-known/jwks.json", max_len = 4096, validate = texts::is_path)]
    pub path: String,
    /// The host to ask for; the backend's name without it.
    #[config(validate = texts::is_host)]
    pub host: Option<String>,
    /// How long a fetch may take.
    #[config(default = "5s", min = "10ms", max = "20s")]
    pub timeout: Duration,
    /// How often keys are fetched.
    #[config(default = "5m", min = "1s", max = "24h")]
    pub refresh: Duration,
    /// How long the last keys are used while they cannot be fetched; then tokens are answered with 503.
    #[config(default = "24h", min = "1s", max = "720h")]
    pub stale_for: Duration,
    /// How often, at most, keys are fetched because a token names one that is not known.
    #[config(default = "10s", min = "1s", max = "1h")]
    pub cooldown: Duration,
    /// The largest JWK Set.
    #[config(default = "256KiB", min = "1KiB", max = "1MiB")]
    pub max_size: Size,
}

impl FilterConfig for InlineKeys {
    const SCHEMA: &'static Schema = &Schema::of(Shape::Any).secret();

    fn read(value: &Value) -> Result<Self, Problem> {
        let text = match value {
            Value::String(text) => text.clone().into_bytes(),
            other => other.to_string().into_bytes(),
        };
        let read = KeySet::parse(&text).map_err(Problem::new)?;
        Ok(Self(Rc::new(read.keys)))
    }
}
