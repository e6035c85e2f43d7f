//! What the filter is configured with.
//!
//! The fields of one issuer may stand at the top; several stand under `providers`. Both are read as
//! [`Provider`], and described by one list of fields.

mod jwks;
mod texts;

use std::collections::BTreeSet;
use std::time::Duration;

use serde_json::Value;
use tidegate_policy::HeaderName;
use tidegate_sdk::config::Field;
use tidegate_sdk::config::FilterConfig;
use tidegate_sdk::config::Problem;
use tidegate_sdk::config::Schema;
use tidegate_sdk::config::Shape;
use tidegate_sdk::config::Size;

use crate::algorithm::Algorithm;
pub use jwks::InlineKeys;
pub use jwks::Jwks;
pub use jwks::RemoteKeys;

/// What the plugin is configured with.
#[derive(Debug)]
pub struct Config {
    /// The issuers: at least one.
    pub providers: Vec<Provider>,
    /// What is the same for all of them.
    pub rules: Rules,
}

/// An issuer of tokens, and what is wanted of its tokens.
#[derive(FilterConfig, Debug)]
#[config(validate = is_sound)]
pub struct Provider {
    /// What logs and metrics call the issuer; without it they make a name of `issuer`.
    #[config(validate = texts::is_name)]
    pub name: Option<String>,
    /// Who has issued the tokens: their claim `iss`, letter by letter.
    #[config(min_len = 1, max_len = 2048)]
    pub issuer: String,
    /// Whom tokens may be for: their claim `aud` must have one of these. Without any it is not looked at.
    #[config(default = [], max_len = 64)]
    pub audiences: Vec<String>,
    /// The keys of the issuer.
    pub jwks: Jwks,
    /// Headers that may have the token. With neither these nor `fromParams` nor `fromCookies` it is
    /// `Authorization: Bearer …`.
    #[config(default = [], max_len = 16)]
    pub from_headers: Vec<FromHeader>,
    /// Parameters of the query that may have the token. URLs are written to logs: prefer headers.
    #[config(default = [], max_len = 16, validate = texts::are_not_empty)]
    pub from_params: Vec<String>,
    /// Cookies that may have the token. Browsers send them with requests that other sites make.
    #[config(default = [], max_len = 16, validate = texts::are_cookie_names)]
    pub from_cookies: Vec<String>,
    /// Leaves the token in the request, for the backend; else it is taken out.
    #[config(default = false)]
    pub forward: bool,
    /// A header that gets the payload, in base64url. One that the client sends is removed.
    pub output_payload_to_header: Option<HeaderName>,
    /// Headers that get claims. Those that the client sends are removed.
    #[config(default = [], max_len = 64)]
    pub claims_to_headers: Vec<ClaimToHeader>,
    /// Algorithms that tokens may be signed with. A key is never used for another algorithm than it is
    /// made for, and there is no `none`.
    #[config(default = [
        "RS256", "RS384", "RS512", "PS256", "PS384", "PS512", "ES256", "ES384", "EdDSA", "HS256",
        "HS384", "HS512"
    ], min_len = 1)]
    pub algorithms: Vec<Algorithm>,
    /// Types that tokens may have (`typ`), such as `at+jwt`. Without any it is not looked at.
    #[config(default = [], max_len = 16)]
    pub types: Vec<String>,
    /// How far the issuer's clock and ours may be apart.
    #[config(default = "60s", max = "1h")]
    pub clock_skew: Duration,
    /// The longest time from `iat` to `exp`; tokens without them are refused then.
    #[config(min = "1s")]
    pub max_lifetime: Option<Duration>,
    /// Refuses tokens that never expire (no `exp`).
    #[config(default = true)]
    pub require_expiration: bool,
}

/// What is the same for all issuers.
#[derive(FilterConfig, Debug)]
pub struct Rules {
    /// Several issuers, in place of the fields of one.
    #[config(default = [], max_len = 64)]
    providers: Vec<Provider>,
    /// Whether a token of any issuer will do, or a request needs one of each.
    #[config(default = "any")]
    pub require: Require,
    /// Lets requests without a token pass. One that is there must be good all the same.
    #[config(default = false)]
    pub allow_missing: bool,
    /// Lets CORS preflights (`OPTIONS` with `Origin` and `Access-Control-Request-Method`) pass without a
    /// token: browsers send none with them.
    #[config(default = false)]
    pub bypass_cors_preflight: bool,
    /// What clients are told that the token is for, in `WWW-Authenticate`.
    #[config(default = "restricted", validate = texts::is_quotable)]
    pub realm: String,
    /// The largest token that is looked at.
    #[config(default = "16KiB", min = "256B", max = "64KiB")]
    pub max_token: Size,
    /// The largest header of a token that is looked at, as it is encoded.
    #[config(default = "4KiB", min = "64B", max = "64KiB")]
    pub max_token_header: Size,
    /// Memory of each instance for tokens that were found good, so that their signatures are not checked
    /// again. `0` is none.
    #[config(default = "4MiB", max = "64MiB")]
    pub cache: Size,
    /// Decides, counts and logs, but refuses nothing.
    #[config(default = false)]
    pub dry_run: bool,
}

/// How many issuers a request needs a token of.
#[derive(FilterConfig, Debug, Clone, Copy, PartialEq, Eq)]
pub enum Require {
    /// Of one.
    Any,
    /// Of each.
    All,
}

/// A header that may have a token.
#[derive(FilterConfig, Debug)]
pub struct FromHeader {
    /// Its name.
    pub name: HeaderName,
    /// What stands before the token, such as `"Bearer "`; a scheme is compared without case. Another value
    /// is no token.
    #[config(default = "", max_len = 256)]
    pub prefix: String,
}

/// A claim that becomes a header.
#[derive(FilterConfig, Debug)]
pub struct ClaimToHeader {
    /// Its name, or the names on the way to it with dots between them.
    #[config(min_len = 1, max_len = 256)]
    pub claim: String,
    /// The header.
    pub header: HeaderName,
}

/// The fields of one issuer, none of which must be there, and those for all.
const FIELDS: [Field; fields(Provider::SCHEMA).len() + fields(Rules::SCHEMA).len()] =
    both(fields(Provider::SCHEMA), fields(Rules::SCHEMA));

const fn fields(schema: &Schema) -> &'static [Field] {
    match schema.shape {
        Shape::Fields { fields } => fields,
        _ => &[],
    }
}

#[expect(clippy::indexing_slicing, reason = "when it is compiled")]
const fn both<const N: usize>(optional: &[Field], others: &[Field]) -> [Field; N] {
    let mut all = [others[0]; N];
    let mut index = 0;
    while index < N {
        if index < optional.len() {
            all[index] = optional[index];
            all[index].required = false;
        } else {
            all[index] = others[index - optional.len()];
        }
        index += 1;
    }
    all
}

impl FilterConfig for Config {
    const SCHEMA: &'static Schema = &Schema::of(Shape::Fields { fields: &FIELDS });

    fn read(value: &Value) -> Result<Self, Problem> {
        let mut rules = Rules::read(value)?;
        let mut providers = std::mem::take(&mut rules.providers);
        let of_one = fields(Provider::SCHEMA).iter().map(|field| field.name);
        let mut of_one = of_one.filter(|name| value.get(name).is_some_and(|it| !it.is_null()));
        match (of_one.next(), providers.is_empty()) {
            (Some(name), false) => {
                let message = "is of one issuer: it stands here, or all of them under `providers`";
                return Err(Problem::new(message).under(name));
            }
            (None, false) => {}
            (_, true) => {
                for name in ["issuer", "jwks"] {
                    if value.get(name).is_none_or(Value::is_null) {
                        let message = "missing; it belongs here, or to each of `providers`";
                        return Err(Problem::new(message).under(name));
                    }
                }
                providers.push(Provider::read(value)?);
            }
        }
        are_apart(&providers)?;
        Ok(Self { providers, rules })
    }
}

/// No header is set twice.
fn is_sound(provider: &Provider) -> Result<(), String> {
    let mut seen = BTreeSet::new();
    for header in provider.outputs() {
        if !seen.insert(header) {
            return Err(format!("header {header} would be set twice"));
        }
    }
    Ok(())
}

/// No header is set where a token is read, of whatever issuer.
fn are_apart(providers: &[Provider]) -> Result<(), Problem> {
    for (number, provider) in providers.iter().enumerate() {
        let is_read = |header: &str| match header {
            "authorization" => providers.iter().any(Provider::reads_authorization),
            "cookie" => providers.iter().any(|it| !it.from_cookies.is_empty()),
            _ => false,
        };
        let is_named = |header: &str| {
            let mut names = providers.iter().flat_map(|it| &it.from_headers);
            names.any(|it| &*it.name == header)
        };
        let mut outputs = provider.outputs();
        let taken = outputs.find(|header| is_read(header) || is_named(header));
        if let Some(header) = taken {
            let message = format!("header {header} has the token: claims need another");
            let problem = Problem::new(message);
            return Err(match providers.len() {
                1 => problem,
                _ => problem.at(number).under("providers"),
            });
        }
    }
    Ok(())
}

impl Provider {
    /// The headers that tell the backend who asks.
    pub fn outputs(&self) -> impl Iterator<Item = &str> {
        let claims = self.claims_to_headers.iter().map(|it| &it.header);
        claims.chain(&self.output_payload_to_header).map(|it| &**it)
    }

    /// Whether nobody says where tokens are: they are where RFC 6750 has them.
    #[must_use]
    pub fn reads_authorization(&self) -> bool {
        self.from_headers.is_empty() && self.from_params.is_empty() && self.from_cookies.is_empty()
    }

    /// What logs and metrics call it: letters, digits and underscores.
    #[must_use]
    pub fn label(&self) -> String {
        const LONGEST: usize = 64;
        let name = self.name.as_deref().unwrap_or(&self.issuer);
        let name = name.strip_prefix("https://").unwrap_or(name);
        let plain = |it: char| if it.is_ascii_alphanumeric() { it } else { '_' };
        let label: String = name.chars().take(LONGEST).map(plain).collect();
        label.trim_matches('_').to_ascii_lowercase()
    }
}
