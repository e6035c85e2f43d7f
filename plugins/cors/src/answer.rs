//! What browsers are told (Fetch standard, "HTTP responses" of the CORS protocol).

use tidegate_policy::is_token;
use tidegate_sdk::prelude::*;

use crate::config::Config;

/// What only this filter may say.
const OURS: [&str; 7] = [
    "access-control-allow-origin",
    "access-control-allow-credentials",
    "access-control-allow-methods",
    "access-control-allow-headers",
    "access-control-allow-private-network",
    "access-control-expose-headers",
    "access-control-max-age",
];

/// What a preflight asks for.
#[derive(Debug)]
pub(crate) struct Preflight {
    method: String,
    headers: Option<String>,
    private_network: bool,
}

impl Preflight {
    /// The preflight that a request with an origin is, if it is one.
    pub(crate) fn of(req: &Request) -> Option<Self> {
        let method = req.header("access-control-request-method")?;
        if req.method() != "OPTIONS" {
            return None;
        }
        let private = req.header("access-control-request-private-network");
        Some(Self {
            method,
            headers: req.header("access-control-request-headers"),
            private_network: private.is_some_and(|it| it == "true"),
        })
    }

    /// Why a browser will not send the request, if so: a reason, and what it is about.
    pub(crate) fn refusal(&self, config: &Config) -> Option<(&'static str, String)> {
        if !config.methods.has_method(&self.method) {
            return Some(("method_not_allowed", self.method.clone()));
        }
        let asked = self.headers.as_deref().unwrap_or_default();
        if let Some(name) = config.headers.first_header_without(asked) {
            return Some(("header_not_allowed", name.to_owned()));
        }
        let refused = self.private_network && !config.private_network;
        refused.then(|| ("private_network_not_allowed", String::new()))
    }

    /// The answer for an origin that is allowed. A browser finds in it by itself what is not.
    pub(crate) fn answer(&self, origin: &str, config: &Config) -> Response {
        let method = Some(self.method.as_str()).filter(|it| is_token(it));
        let asked = self.headers.as_deref().filter(|it| are_names(it));
        let private = self.private_network && config.private_network;
        let vary = vary(config);
        let fields = [
            ("access-control-allow-methods", config.methods.said(method)),
            ("access-control-allow-headers", config.headers.said(asked)),
            ("access-control-max-age", config.max_age.as_deref()),
            (
                "access-control-allow-private-network",
                private.then_some("true"),
            ),
            ("vary", (!vary.is_empty()).then_some(vary.as_str())),
        ];
        let fields = fields.into_iter();
        allowed(origin, config)
            .chain(fields.filter_map(|(name, value)| Some((name, value?))))
            .fold(Response::new(204), |res, (name, value)| {
                res.with_header(name, value)
            })
    }
}

/// What an answer to a preflight depends on, for caches that keep such.
fn vary(config: &Config) -> String {
    let names = [
        (!config.same_for_all, "Origin"),
        (config.methods.repeats(), "Access-Control-Request-Method"),
        (config.headers.repeats(), "Access-Control-Request-Headers"),
        (
            config.private_network,
            "Access-Control-Request-Private-Network",
        ),
    ];
    let names: Vec<&str> = names
        .iter()
        .filter_map(|(is_one, name)| is_one.then_some(*name))
        .collect();
    names.join(", ")
}

/// The answer to a preflight of an origin that is not allowed.
pub(crate) fn unmatched_preflight() -> Response {
    Response::new(204).with_header("vary", "Origin")
}

/// Writes what a browser needs to know into a response, in the place of what the backend wrote.
/// `origin` is one that is allowed.
pub(crate) fn edit(res: &mut Response, origin: Option<&str>, config: &Config) -> Result<()> {
    // What is the same for all is there also if nobody asks: caches may give it to others.
    let origin = if config.same_for_all {
        Some("*")
    } else {
        origin
    };
    let repeated = (origin.is_some() && config.exposed.repeats()).then(|| names(res));
    let mut headers = res.headers_mut();
    for name in OURS {
        headers.remove(name);
    }
    if let Some(origin) = origin {
        for (name, value) in allowed(origin, config) {
            headers.set(name, value)?;
        }
        if let Some(names) = config.exposed.said(repeated.as_deref()) {
            headers.set("access-control-expose-headers", names)?;
        }
    }
    if config.same_for_all {
        return Ok(());
    }
    vary_by_origin(res)
}

/// Says to caches that other origins get another response.
pub(crate) fn vary_by_origin(res: &mut Response) -> Result<()> {
    let names = res.header("vary").unwrap_or_default();
    let mut names = names.split(',').map(str::trim);
    if names.any(|it| it == "*" || it.eq_ignore_ascii_case("origin")) {
        return Ok(());
    }
    res.headers_mut().append("vary", "Origin")
}

/// What lets an origin read a response.
fn allowed<'a>(origin: &'a str, config: &Config) -> impl Iterator<Item = (&'static str, &'a str)> {
    let origin = if config.same_for_all { "*" } else { origin };
    let credentials = config
        .credentials
        .then_some(("access-control-allow-credentials", "true"));
    [("access-control-allow-origin", origin)]
        .into_iter()
        .chain(credentials)
}

/// The names of a response's headers: `*` would be taken for a name where credentials are allowed.
fn names(res: &Response) -> String {
    let mut names: Vec<String> = res.headers().into_iter().map(|(name, _)| name).collect();
    names.retain(|name| !name.starts_with(':') && !OURS.contains(&name.as_str()));
    names.sort_unstable();
    names.dedup();
    names.join(", ")
}

fn are_names(list: &str) -> bool {
    list.split(',')
        .map(str::trim)
        .all(|it| it.is_empty() || is_token(it))
}
