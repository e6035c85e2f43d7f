//! What the plugin is configured with, and what of it is refused.

use std::collections::BTreeMap;

use serde_json::Value;
use tidegate_policy::HeaderName;
use tidegate_policy::is_token;
use tidegate_sdk::config::FilterConfig;
use tidegate_sdk::config::Problem;
use tidegate_sdk::config::Schema;

use crate::digest::Digest;
use crate::moment::Moment;

/// What the plugin is configured with.
#[derive(FilterConfig, Debug)]
#[config(validate = distinct_headers)]
pub struct Config {
    /// The keys that are let in, by their hashes. A consumer may have several, to replace one by another.
    #[config(min_len = 1, max_len = 10_000)]
    pub(crate) keys: Keys,
    /// Where clients put keys: a header `x-api-key` if nothing is said. A request has one key in one place.
    #[config(rename = "in", min_len = 1, max_len = 8, default = Places::usual())]
    pub(crate) places: Places,
    /// The header that tells the backend the consumer. What clients send in it is removed.
    #[config(default = "x-consumer")]
    pub(crate) consumer_header: HeaderName,
    /// Whether the backend gets the key too. If not, it is taken out of the request.
    #[config(default = false)]
    pub(crate) forward: bool,
    /// Whether requests without a key go on, without a consumer. Those with a wrong key do not.
    #[config(default = false)]
    pub(crate) allow_missing: bool,
    /// What clients without a good key are told that they asked for.
    #[config(default = "api", max_len = 100, validate = plain)]
    pub(crate) realm: String,
    /// Decides, counts and logs, and lets all requests pass.
    #[config(default = false)]
    pub(crate) dry_run: bool,
}

/// A key.
#[derive(FilterConfig, Debug)]
pub(crate) struct Key {
    /// Whose it is: the value of the header for the backend.
    #[config(min_len = 1, max_len = 256, validate = plain)]
    pub(crate) consumer: String,
    /// The SHA-256 hash of the key as 64 hexadecimal digits: `printf %s "$KEY" | sha256sum`.
    pub(crate) sha256: Digest,
    /// From when on it is refused: `2027-01-31T00:00:00Z`.
    pub(crate) not_after: Option<Moment>,
}

/// Where a key may be.
#[derive(FilterConfig, Debug, PartialEq, Eq)]
pub(crate) enum Place {
    /// A header of this name, whose value is the key.
    Header(HeaderName),
    /// `Authorization` with this scheme, such as `Bearer` or `ApiKey`.
    Authorization(#[config(max_len = 64, validate = token)] String),
    /// A parameter of the query.
    Query(#[config(min_len = 1, max_len = 256)] String),
    /// A cookie.
    Cookie(#[config(max_len = 256, validate = token)] String),
}

/// Keys, of which no two are the same.
#[derive(Debug)]
pub(crate) struct Keys(pub(crate) Vec<Key>);

/// Places, of which no two are the same.
#[derive(Debug)]
pub(crate) struct Places(pub(crate) Vec<Place>);

impl Places {
    /// What most clients do.
    fn usual() -> Self {
        Self(vec![Place::Header(HeaderName::known("x-api-key"))])
    }
}

impl FilterConfig for Keys {
    const SCHEMA: &'static Schema = <Vec<Key> as FilterConfig>::SCHEMA;

    /// No hash twice: it would say two things of one key. Consumers may share a name and not a key.
    fn read(value: &Value) -> Result<Self, Problem> {
        let keys = Vec::<Key>::read(value)?;
        let mut seen = BTreeMap::new();
        for (index, key) in keys.iter().enumerate() {
            if let Some(before) = seen.insert(key.sha256, index) {
                let message =
                    format!("the hash of keys[{before}] too: a key belongs to one consumer");
                return Err(Problem::new(message).under("sha256").at(index));
            }
        }
        Ok(Self(keys))
    }
}

impl FilterConfig for Places {
    const SCHEMA: &'static Schema = <Vec<Place> as FilterConfig>::SCHEMA;

    fn read(value: &Value) -> Result<Self, Problem> {
        let places = Vec::<Place>::read(value)?;
        for (index, place) in places.iter().enumerate() {
            if matches!(place, Place::Header(name) if &**name == "cookie") {
                return Err(Problem::new("cookies have names: write cookie: NAME").at(index));
            }
            if let Some(before) = places.iter().take(index).position(|it| it.overlaps(place)) {
                let message = format!("the same place as in[{before}]");
                return Err(Problem::new(message).at(index));
            }
        }
        Ok(Self(places))
    }
}

/// The header of the consumer is no place for keys: one of both would be lost.
fn distinct_headers(config: &Config) -> Result<(), String> {
    let consumer = &*config.consumer_header;
    let holds = |place: &Place| match place {
        Place::Header(name) => &**name == consumer,
        Place::Authorization(_) => consumer == "authorization",
        Place::Cookie(_) => consumer == "cookie",
        Place::Query(_) => false,
    };
    match config.places.0.iter().position(holds) {
        Some(index) => Err(format!(
            "consumerHeader: keys are in this header too, by in[{index}]: choose another"
        )),
        None => Ok(()),
    }
}

impl Place {
    /// Whether one value can be a key in both places.
    fn overlaps(&self, other: &Self) -> bool {
        match (self, other) {
            (Self::Authorization(one), Self::Authorization(two)) => one.eq_ignore_ascii_case(two),
            (Self::Authorization(_), Self::Header(name))
            | (Self::Header(name), Self::Authorization(_)) => &**name == "authorization",
            (Self::Header(_) | Self::Authorization(_) | Self::Query(_) | Self::Cookie(_), _) => {
                self == other
            }
        }
    }
}

/// What can stand in a header as it is.
fn plain(text: &str) -> Result<(), String> {
    if text.trim() != text
        || text
            .chars()
            .any(|it| it.is_control() || it == '"' || it == '\\')
    {
        return Err(
            "expected text without quotes, backslashes, control characters and blanks around it"
                .to_owned(),
        );
    }
    Ok(())
}

fn token(text: &str) -> Result<(), String> {
    if is_token(text) {
        return Ok(());
    }
    Err("expected one word without blanks and separators".to_owned())
}
