//! What the plugin is configured with.

use std::collections::BTreeMap;

use tidegate_policy::HeaderName;
use tidegate_policy::is_spelling;
use tidegate_sdk::prelude::*;

use crate::names::Name;
use crate::names::has;
use crate::names::is_portable;

/// Whom to ask, what to tell, and what to do with the answer. Names are those of Istio's
/// `envoyExtAuthzHttp`.
#[derive(FilterConfig, Debug)]
#[config(validate = check)]
pub struct Config {
    /// The service. The Plugin's `allow.backends` lists it.
    pub(crate) backend: Backend,
    /// What is put before the path of the request when the service is asked: `/check`.
    #[config(default = "", max_len = 1024, validate = is_prefix)]
    pub(crate) path_prefix: String,
    /// Asks with GET at this path instead, and says what the request is in `x-forwarded-method`,
    /// `-proto`, `-host`, `-uri` and `-for`: for services that are made for nginx's `auth_request` or
    /// Traefik's `forwardAuth`. Every status from 200 to 299 is a yes then.
    #[config(max_len = 1024, validate = is_path_if_any)]
    pub(crate) forward_auth: Option<String>,
    /// The host that the service is asked by. Without it, that is the request's; with `forwardAuth`,
    /// the backend's name.
    #[config(max_len = 256, validate = is_host_if_any)]
    pub(crate) host: Option<String>,
    /// How long the service may take.
    #[config(default = "200ms", min = "1ms", max = "60s")]
    pub(crate) timeout: Duration,
    /// Whether requests pass if the service fails, with `x-envoy-auth-failure-mode-allowed: true`.
    #[config(default = false)]
    pub(crate) fail_open: bool,
    /// What clients get if the service fails.
    #[config(default = 403, min = 400, max = 599)]
    pub(crate) status_on_error: u16,
    /// Headers that the service is told, beside `authorization`: names, or beginnings such as `x-*`.
    #[config(default = [], max_len = 200)]
    pub(crate) include_request_headers_in_check: Vec<Name>,
    /// Headers that it is not told, although the list before has them.
    #[config(default = [], max_len = 200)]
    pub(crate) exclude_request_headers_from_check: Vec<Name>,
    /// Headers that it is told with each request, in the place of what the client says in them.
    #[config(default, max_len = 100, validate = are_headers)]
    pub(crate) include_additional_headers_in_check: BTreeMap<String, String>,
    /// Whether it is told the body. The Plugin needs `stopIteration: true`.
    pub(crate) include_request_body_in_check: Option<BodyInCheck>,
    /// Headers of a yes that the backend gets: names, or beginnings such as `x-auth-*`. What clients send
    /// in them is removed, also if the service says nothing in them.
    #[config(default = [], max_len = 200, validate = not_all)]
    pub(crate) headers_to_upstream_on_allow: Vec<Name>,
    /// Headers of a yes whose values are added to what the client says in them, which stays: for lists
    /// that clients may add to, never for who somebody is.
    #[config(default = [], max_len = 200)]
    pub(crate) headers_to_append_upstream_on_allow: Vec<Name>,
    /// Headers of a yes that are added to the response.
    #[config(default = [], max_len = 200)]
    pub(crate) headers_to_downstream_on_allow: Vec<Name>,
    /// Headers of a no that the client gets. Without it, all; with it, `www-authenticate` and
    /// `location` too.
    #[config(max_len = 200)]
    pub(crate) headers_to_downstream_on_deny: Option<Vec<Name>>,
    /// Whether a yes is remembered. A no never is.
    pub(crate) cache: Option<CacheConfig>,
    /// Asks, decides, counts and logs, but lets every request pass.
    #[config(default = false)]
    pub(crate) dry_run: bool,
}

/// How much of a body the service is told.
#[derive(FilterConfig, Debug)]
pub(crate) struct BodyInCheck {
    /// The most. A request with more gets 413, unless a part is enough.
    #[config(min = 1, max = "1MiB")]
    pub(crate) max_request_bytes: Size,
    /// Whether the beginning is enough: the service is told in `x-envoy-auth-partial-body` whether that
    /// is all.
    #[config(default = false)]
    pub(crate) allow_partial_message: bool,
    /// How long the body may take to come; 408 after that.
    #[config(default = "10s", min = "10ms", max = "5m")]
    pub(crate) timeout: Duration,
}

/// What is remembered.
#[derive(FilterConfig, Debug)]
pub(crate) struct CacheConfig {
    /// How long. As long, somebody whom the service would refuse by now goes on to pass.
    #[config(min = "1ms", max = "1h")]
    pub(crate) ttl: Duration,
    /// The headers on which alone the answer depends; requests without any of them are asked about each
    /// time. Without names, it depends on all that the service is told: method, host, path and headers.
    #[config(default = [], max_len = 16)]
    pub(crate) key: Vec<HeaderName>,
    /// The most answers that a worker remembers.
    #[config(default = 1000, min = 1, max = 10_000)]
    pub(crate) max_entries: u32,
}

impl Config {
    /// Whether the service is told a header of requests, whose name is in lower case.
    pub(crate) fn tells(&self, name: &str) -> bool {
        let is_listed =
            name == "authorization" || has(&self.include_request_headers_in_check, name);
        is_listed
            && is_portable(name)
            && !has(&self.exclude_request_headers_from_check, name)
            && !self.replaces(name)
    }

    /// Whether a yes to a request with these headers is about the one of this name. A yes that may be
    /// remembered, or may come from memory, is about the headers of the key alone.
    pub(crate) fn judges(&self, name: &str, all: &[(String, Vec<u8>)]) -> bool {
        let key = self.cache.as_ref().map_or(&[][..], |it| &it.key);
        let is_key = |name: &str| key.iter().any(|it| it.eq_ignore_ascii_case(name));
        let is_remembered = all.iter().any(|(it, _)| is_key(it));
        self.tells(name) && (is_key(name) || !is_remembered)
    }

    /// Whether a header of the request is not told because we say something else in it, or services may
    /// think that we do.
    fn replaces(&self, name: &str) -> bool {
        let is_ours = self.forward_auth.is_some()
            && crate::check::FORWARDED
                .iter()
                .any(|it| is_spelling(name, it));
        is_ours
            || is_spelling(name, crate::check::PARTIAL_BODY)
            || self
                .include_additional_headers_in_check
                .keys()
                .any(|it| is_spelling(name, &it.to_ascii_lowercase()))
    }
}

/// Finds what is right in itself and wrong together.
fn check(config: &Config) -> std::result::Result<(), String> {
    let has_body = config.include_request_body_in_check.is_some();
    let wrong = match (&config.forward_auth, &config.cache) {
        (Some(_), _) if !config.path_prefix.is_empty() => {
            "pathPrefix: forwardAuth is the whole path: leave one of the two out"
        }
        (Some(_), _) if has_body => {
            "includeRequestBodyInCheck: forwardAuth asks with GET, which has no body"
        }
        (_, Some(_)) if has_body => {
            "cache: an answer that depends on a body is good for that request alone"
        }
        (_, Some(cache)) => return check_key(cache, config),
        (_, None) => return Ok(()),
    };
    Err(wrong.to_owned())
}

fn check_key(cache: &CacheConfig, config: &Config) -> std::result::Result<(), String> {
    let untold = cache.key.iter().position(|name| !config.tells(name));
    let Some(index) = untold else {
        return Ok(());
    };
    let name = cache.key.get(index).map_or("", |name| &**name);
    Err(format!(
        "cache.key[{index}]: the service is not told {name}: its answer cannot depend on it"
    ))
}

fn is_path(path: &str) -> std::result::Result<(), String> {
    let is_plain = path.bytes().all(|it| it.is_ascii_graphic() && it != b'#');
    if path.starts_with('/') && is_plain {
        return Ok(());
    }
    Err(format!("expected a path such as /check, found {path:?}"))
}

fn is_prefix(path: &str) -> std::result::Result<(), String> {
    if path.is_empty() {
        return Ok(());
    }
    is_path(path)?;
    if path.contains('?') || path.ends_with('/') {
        return Err(format!(
            "paths of requests follow it: expected no query and no / at its end, found {path:?}"
        ));
    }
    Ok(())
}

fn is_path_if_any(path: &Option<String>) -> std::result::Result<(), String> {
    path.as_deref().map_or(Ok(()), is_path)
}

fn is_host_if_any(host: &Option<String>) -> std::result::Result<(), String> {
    let Some(host) = host else {
        return Ok(());
    };
    let allowed = |it: u8| it.is_ascii_alphanumeric() || b"-._:[]".contains(&it);
    if !host.is_empty() && host.bytes().all(allowed) {
        return Ok(());
    }
    Err(format!(
        "expected a host such as auth.example, found {host:?}"
    ))
}

fn are_headers(headers: &BTreeMap<String, String>) -> std::result::Result<(), String> {
    for (name, value) in headers {
        if !is_portable(&name.to_ascii_lowercase()) {
            return Err(format!(
                "{name:?} is not the name of a header that can be added"
            ));
        }
        if value.bytes().any(|it| it < b' ' && it != b'\t') || value.trim() != value {
            return Err(format!(
                "the value of {name} is none that a header can have"
            ));
        }
    }
    Ok(())
}

fn not_all(names: &[Name]) -> std::result::Result<(), String> {
    if names.iter().any(Name::is_all) {
        return Err(
            "* would remove every header of the request: list names, or beginnings such as x-auth-*"
                .to_owned(),
        );
    }
    Ok(())
}
