//! What the plugin is configured with, made ready for requests.

mod matches;
mod versions;

use serde_json::Value;
use tidegate_policy::HeaderName;
use tidegate_policy::is_token;
use tidegate_sdk::config::FilterConfig;
use tidegate_sdk::config::Problem;
use tidegate_sdk::config::Schema;

use crate::cookie::Cookie;
use crate::share::Share;
use crate::split::Salt;
use crate::split::Split;
use matches::MatchFields;
use matches::matched;
use tidegate_policy::Conditions;
pub(crate) use versions::Target;
pub(crate) use versions::Version;
use versions::VersionFields;
pub(crate) use versions::metric_name;
use versions::several;
use versions::two_versions;

/// Which requests a new version gets.
#[derive(FilterConfig, Debug)]
struct Fields {
    /// The share of requests that the last backendRef gets, in percent with up to two decimals: the version
    /// `canary`. The first backendRef gets the others: the version `stable`.
    weight: Option<Share>,
    /// Versions by name, in place of `weight`: for more than two, or for names of your own.
    #[config(default = [], max_len = 16)]
    versions: Vec<VersionFields>,
    /// What clients are known by: the same value has the same version everywhere and always, and a version
    /// that grows keeps those that it has. Without it, or for requests that have none, `cookie` decides, or
    /// chance.
    key: Option<Key>,
    /// Makes the choice of clients another one than that of other canaries with the same key.
    #[config(default = "", max_len = 256)]
    salt: String,
    /// Requests that have their version whatever the shares are. The first entry that matches decides.
    #[config(default = [], rename = "match", max_len = 32)]
    matches: Vec<MatchFields>,
    /// Gives clients without the key a cookie that they are known by.
    cookie: Option<Cookie>,
    /// Chooses among the backendRefs of the request's rule, where the host lets filters do that. If not, only
    /// the header says the version, for routes that match it.
    #[config(default = true)]
    select_backend: bool,
    /// The header that tells the backend the version. What clients send in it, or in one that differs only in
    /// hyphens and underscores, is replaced.
    #[config(default = "x-version")]
    header: HeaderName,
    /// A header that tells clients the version.
    response_header: Option<HeaderName>,
    /// Decides and counts, and changes nothing; but what clients send in `header` is removed.
    #[config(default = false)]
    dry_run: bool,
}

/// What a client is known by.
#[derive(FilterConfig, Debug, Clone, PartialEq, Eq)]
pub(crate) enum Key {
    /// The client's address, as the gateway trusts it. Of IPv6 the first 64 bits: a client changes the others
    /// by itself.
    ClientIp,
    /// The first value of a header.
    Header(HeaderName),
    /// A cookie.
    Cookie(#[config(max_len = 256, validate = token)] String),
    /// A parameter of the query.
    Query(#[config(min_len = 1, max_len = 256)] String),
    /// A claim of the token that jwt-auth has verified: text or a number, `sub` or `realm.tenant`.
    Claim(#[config(min_len = 1, max_len = 256)] String),
}

/// The configuration, made ready.
#[derive(Debug)]
pub struct Config {
    /// At least two.
    pub(crate) versions: Vec<Version>,
    pub(crate) split: Split,
    pub(crate) salt: Salt,
    pub(crate) key: Option<Key>,
    /// With the places of their versions.
    pub(crate) matches: Vec<(Conditions, usize)>,
    pub(crate) cookie: Option<Cookie>,
    pub(crate) select_backend: bool,
    pub(crate) header: HeaderName,
    pub(crate) response_header: Option<HeaderName>,
    pub(crate) dry_run: bool,
}

impl FilterConfig for Config {
    const SCHEMA: &'static Schema = Fields::SCHEMA;

    fn read(value: &Value) -> Result<Self, Problem> {
        let fields = Fields::read(value)?;
        let (versions, shares) = match (fields.weight, fields.versions) {
            (Some(_), versions) if !versions.is_empty() => {
                let message = "versions have weights of their own: leave this one out";
                return Err(Problem::new(message).under("weight"));
            }
            (None, versions) if versions.is_empty() && fields.matches.is_empty() => {
                return Err(Problem::new(
                    "expected weight, versions or match: nothing says what the new version gets",
                ));
            }
            (weight, versions) if versions.is_empty() => two_versions(weight.unwrap_or_default()),
            (_, versions) => several(versions).map_err(|it| it.under("versions"))?,
        };
        let mut matches = Vec::with_capacity(fields.matches.len());
        for (index, one) in fields.matches.into_iter().enumerate() {
            let here = |problem: Problem| problem.at(index).under("match");
            matches.push(matched(one, &versions).map_err(here)?);
        }
        Ok(Self {
            versions,
            split: Split::new(&shares),
            salt: Salt::new(&fields.salt),
            key: fields.key,
            matches,
            cookie: fields.cookie,
            select_backend: fields.select_backend,
            header: fields.header,
            response_header: fields.response_header,
            dry_run: fields.dry_run,
        })
    }
}

pub(crate) fn token(text: &str) -> Result<(), String> {
    if is_token(text) {
        return Ok(());
    }
    Err("expected one word without blanks and separators".to_owned())
}
