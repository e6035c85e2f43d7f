//! What the plugin is configured with, made ready for requests.

use std::collections::BTreeSet;
use std::time::Duration;

use serde_json::Value;
use tidegate_policy::is_token;
use tidegate_sdk::config::FilterConfig;
use tidegate_sdk::config::Problem;
use tidegate_sdk::config::Schema;

use crate::list::List;
use crate::origin::OriginRegex;
use crate::origin::Pattern;
use crate::origin::comparable;

/// Which pages of other origins may do what.
#[derive(FilterConfig, Debug)]
struct Fields {
    /// Whose pages may read responses: `https://app.example`, `https://*.app.example` for all hosts
    /// below, `http://localhost:*` for all ports, `null`, or `*` for everybody.
    #[config(default = [], max_len = 1000)]
    allow_origins: Vec<Pattern>,
    /// The same by regular expressions, which match an origin from its beginning to its end.
    #[config(default = [], max_len = 20)]
    allow_origin_regexes: Vec<OriginRegex>,
    /// What they may send; `*` for every method. GET, HEAD and POST need not be listed.
    #[config(default = ["GET", "HEAD", "POST"], max_len = 50)]
    allow_methods: Vec<Method>,
    /// Which headers they may send; `*` for all, except `authorization` unless credentials are allowed.
    #[config(default = [], max_len = 200)]
    allow_headers: Vec<FieldName>,
    /// Which headers of responses they may read; `*` for all.
    #[config(default = [], max_len = 200)]
    expose_headers: Vec<FieldName>,
    /// How long a browser may remember the answer to a preflight. Without it, that is 5 seconds.
    #[config(max = "24h")]
    max_age: Option<Duration>,
    /// Whether requests may carry cookies, TLS certificates and HTTP credentials of the user.
    #[config(default = false)]
    allow_credentials: bool,
    /// Whether pages of a public network may reach a backend in a private one (Private Network Access).
    #[config(default = false)]
    allow_private_network: bool,
    /// What becomes of preflights of other origins.
    #[config(default = "IGNORE")]
    unmatched_preflights: Unmatched,
    /// Decides, counts and logs, and changes neither requests nor responses.
    #[config(default = false)]
    dry_run: bool,
}

/// What becomes of preflights of origins that are not allowed.
#[derive(FilterConfig, Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Unmatched {
    /// They are answered here, and the browser refuses.
    #[config(rename = "IGNORE")]
    Ignore,
    /// The backend answers them, and what it says to such origins stays as it is.
    #[config(rename = "FORWARD")]
    Forward,
}

/// A method, or `*`.
#[derive(Debug)]
struct Method(String);

/// The name of a header, or `*`.
#[derive(Debug)]
struct FieldName(String);

/// The configuration, made ready.
#[derive(Debug)]
pub struct Config {
    exact: BTreeSet<String>,
    patterns: Vec<Pattern>,
    regexes: Vec<OriginRegex>,
    /// Everybody may read, and nobody with credentials: responses are the same for all origins.
    pub(crate) same_for_all: bool,
    pub(crate) credentials: bool,
    pub(crate) methods: List,
    pub(crate) headers: List,
    pub(crate) exposed: List,
    /// In seconds.
    pub(crate) max_age: Option<String>,
    pub(crate) private_network: bool,
    pub(crate) unmatched: Unmatched,
    pub(crate) dry_run: bool,
}

impl Config {
    /// Whether pages of this origin may read responses.
    pub(crate) fn allows(&self, origin: &str) -> bool {
        let Some(origin) = comparable(origin) else {
            return false;
        };
        self.exact.contains(&origin)
            || self.patterns.iter().any(|it| it.has(&origin))
            || self.regexes.iter().any(|it| it.has(&origin))
    }
}

impl FilterConfig for Config {
    const SCHEMA: &'static Schema = Fields::SCHEMA;

    fn read(value: &Value) -> Result<Self, Problem> {
        let fields = Fields::read(value)?;
        check(&fields)?;
        let credentials = fields.allow_credentials;
        let mut exact = BTreeSet::new();
        let mut patterns = Vec::new();
        for pattern in fields.allow_origins {
            match pattern {
                Pattern::Exact(origin) => {
                    exact.insert(origin);
                }
                other => patterns.push(other),
            }
        }
        Ok(Self {
            same_for_all: !credentials && patterns.contains(&Pattern::Any),
            exact,
            patterns,
            regexes: fields.allow_origin_regexes,
            credentials,
            methods: List::new(fields.allow_methods.into_iter().map(|it| it.0), credentials),
            headers: List::new(fields.allow_headers.into_iter().map(|it| it.0), credentials),
            exposed: List::new(
                fields.expose_headers.into_iter().map(|it| it.0),
                credentials,
            ),
            max_age: fields.max_age.map(|it| it.as_secs().to_string()),
            private_network: fields.allow_private_network,
            unmatched: fields.unmatched_preflights,
            dry_run: fields.dry_run,
        })
    }
}

/// Finds what is right in itself and wrong together.
fn check(fields: &Fields) -> Result<(), Problem> {
    if fields.allow_origins.is_empty() && fields.allow_origin_regexes.is_empty() {
        let problem = Problem::new("expected at least one origin such as https://app.example");
        return Err(problem.under("allowOrigins"));
    }
    if !fields.allow_credentials {
        return Ok(());
    }
    let everybody = || {
        Problem::new(
            "with allowCredentials, pages of everybody could act as the user who looks at them: list the \
             origins that may",
        )
    };
    let of_all = fields.allow_origins.iter().position(Pattern::is_of_all);
    if let Some(index) = of_all {
        return Err(everybody().at(index).under("allowOrigins"));
    }
    let regexes = &fields.allow_origin_regexes;
    match regexes.iter().position(OriginRegex::is_of_all) {
        Some(index) => Err(everybody().at(index).under("allowOriginRegexes")),
        None => Ok(()),
    }
}

impl FilterConfig for Method {
    const SCHEMA: &'static Schema = &Schema::text().min_len(1).max_len(64);

    fn read(value: &Value) -> Result<Self, Problem> {
        let text = value.as_str().unwrap_or_default();
        if !is_token(text) {
            let message = format!("expected a method such as PUT, or *, found {text:?}");
            return Err(Problem::new(message));
        }
        let upper = text.to_ascii_uppercase();
        let known = ["DELETE", "GET", "HEAD", "OPTIONS", "PATCH", "POST", "PUT"];
        if upper != text && known.contains(&upper.as_str()) {
            let message = format!("methods are compared with case: write {upper}");
            return Err(Problem::new(message));
        }
        if ["CONNECT", "TRACE", "TRACK"].contains(&upper.as_str()) {
            let message = format!("no browser lets a page send {upper} (Fetch standard)");
            return Err(Problem::new(message));
        }
        Ok(Self(text.to_owned()))
    }
}

impl FilterConfig for FieldName {
    const SCHEMA: &'static Schema = &Schema::text().min_len(1).max_len(256);

    fn read(value: &Value) -> Result<Self, Problem> {
        let text = value.as_str().unwrap_or_default();
        if is_token(text) {
            return Ok(Self(text.to_ascii_lowercase()));
        }
        let message =
            format!("expected the name of a header such as content-type, or *, found {text:?}");
        Err(Problem::new(message))
    }
}
