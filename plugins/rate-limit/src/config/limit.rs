//! One limit: whom it is for, how much it admits, and where it is kept.

use tidegate_policy::HeaderName;
use tidegate_policy::is_token;
use tidegate_sdk::config::FilterConfig;
use tidegate_sdk::config::Problem;
use tidegate_sdk::limit::Rate;
use tidegate_sdk::prelude::*;

use super::redis::RedisConfig;
use super::requests;
use super::requests::Requests;
use super::rls::DescriptorKey;
use super::rls::RlsConfig;
use super::rls::descriptor_keys;
use crate::headers::policy_of;
use crate::state::Context;

/// A burst must be full again within so long: 366 days.
const LONGEST: Duration = Duration::from_secs(366 * 24 * 3600);

/// What nobody is asked for: it admits nothing.
const NOTHING: Rate = Rate {
    requests: 0,
    window: Duration::ZERO,
    burst: 0,
};

/// A limit.
#[derive(FilterConfig, Debug)]
pub(crate) struct Fields {
    /// What it is called in headers and metrics, and how its counts are found again after a change of
    /// this configuration. Without it, its key and window: `client-ip-1s`.
    #[config(pattern = "^[a-z][a-z0-9-]{0,63}$")]
    name: Option<String>,
    /// Requests that it is for: those that fit one of these entries. Without it, all.
    #[config(default = [], rename = "match", max_len = 16)]
    matches: Vec<requests::Fields>,
    /// Requests that it is not for, also if `match` has them.
    #[config(default = [], max_len = 16)]
    except: Vec<requests::Fields>,
    /// What is counted apart: requests that differ in any of these have limits of their own. Without it,
    /// all requests share one.
    #[config(default = [], max_len = 8)]
    key: Vec<Part>,
    /// What becomes of requests that do not have a part of the key.
    #[config(default = "skip")]
    when_missing: WhenMissing,
    /// What the parts of the key are called in the descriptors of `rls`, in the order of the key. Without
    /// it, what Envoy's actions call them.
    #[config(min_len = 1, max_len = 8)]
    descriptor_keys: Option<Vec<DescriptorKey>>,
    /// How many requests are admitted in a window. Required, as is `window`, unless the store is `rls` and
    /// `failureMode` not `local`: then only the service counts.
    #[config(min = 1, max = 1_000_000_000)]
    requests: Option<u64>,
    /// How long a window is.
    #[config(min = "1ms", max = "8784h")]
    window: Option<Duration>,
    /// How many are admitted at once, before the limit is felt. Without it, as many as `requests`.
    #[config(min = 1, max = 1_000_000_000)]
    burst: Option<u64>,
    /// How much a request takes; with `costFrom`, the least that one takes.
    #[config(default = 1, min = 0, max = 1_000_000)]
    cost: u64,
    /// A header that says how much it takes.
    cost_from: Option<CostFrom>,
    /// Where it is kept.
    #[config(default = "local")]
    store: StoreConfig,
    /// What happens while the store does not answer.
    #[config(default = "local")]
    failure_mode: FailureMode,
    /// Counts what it would refuse, and refuses nothing: `failureMode` means nothing then.
    #[config(default = false)]
    dry_run: bool,
}

/// A part of a key.
#[derive(FilterConfig, Debug, Clone, PartialEq, Eq)]
pub(crate) enum Part {
    /// The client's address, as the gateway trusts it. Of IPv6 the first 64 bits: whoever has one address
    /// has all of these; `rls` is told the whole address.
    ClientIp,
    /// The path, without the query.
    Path,
    /// The route that the request takes.
    Route,
    /// The method.
    Method,
    /// The host that was asked for, in lower case and without a port.
    Host,
    /// The first value of a header.
    Header(HeaderName),
    /// A cookie.
    Cookie(#[config(max_len = 256, validate = token)] String),
    /// A parameter of the query.
    Query(#[config(min_len = 1, max_len = 256)] String),
    /// A claim of the token that jwt-auth has verified: text or a number, `sub` or `realm.tenant`.
    Claim(#[config(min_len = 1, max_len = 256)] String),
    /// The same for all requests: to share counts with nobody, or with others on purpose.
    Const(#[config(min_len = 1, max_len = 256)] String),
}

/// What becomes of requests without a part of the key.
#[derive(FilterConfig, Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum WhenMissing {
    /// The limit is not for them.
    Skip,
    /// They share one limit. With `rls` the service is asked with the parts that are there, and limits
    /// nobody without a rule for just these.
    Share,
}

/// What says how much a request takes. A value that is no whole number, or less than `cost`, is `cost`; one
/// above 1,000,000,000 is that.
#[derive(FilterConfig, Debug, Clone, PartialEq, Eq)]
pub(crate) enum CostFrom {
    /// A header of the request. Clients can write one, unless a filter before sets it.
    RequestHeader(HeaderName),
    /// A header of the response: `cost` is taken when the request comes, and the rest when the response
    /// does, also beyond what is admitted. What is owed then, up to two bursts, is waited for.
    ResponseHeader(HeaderName),
}

/// Where a limit is kept.
#[derive(FilterConfig, Debug, Clone, PartialEq, Eq)]
pub(crate) enum StoreConfig {
    /// In this gateway, exactly, for all its workers together.
    Local,
    /// In a Redis server, for all gateways that use it together.
    Redis(RedisConfig),
    /// In a service that speaks the protocol of Envoy's rate limit service, whose configuration says how
    /// much is admitted.
    Rls(RlsConfig),
}

/// What happens while a store does not answer.
#[derive(FilterConfig, Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum FailureMode {
    /// This gateway counts for itself.
    Local,
    /// Requests pass.
    Open,
    /// Requests are refused with 503.
    Closed,
}

/// A limit, made ready.
#[derive(Debug)]
pub(crate) struct Limit {
    pub(crate) name: String,
    /// The name in headers.
    pub(crate) quoted: String,
    /// What headers say of its rate.
    pub(crate) quota: String,
    /// The name in metrics.
    pub(crate) metric: String,
    /// Requests that it is for; if there are none, all.
    matches: Vec<Requests>,
    /// Requests that it is not for.
    except: Vec<Requests>,
    pub(crate) key: Vec<Part>,
    /// The names of the parts in descriptors; empty if the store takes none.
    pub(crate) descriptor_keys: Vec<String>,
    pub(crate) when_missing: WhenMissing,
    /// What it admits; [`NOTHING`] if only a service knows, which is never replaced then.
    pub(crate) rate: Rate,
    pub(crate) cost: u64,
    pub(crate) cost_from: Option<CostFrom>,
    pub(crate) store: StoreConfig,
    pub(crate) failure_mode: FailureMode,
    pub(crate) dry_run: bool,
}

impl Fields {
    /// Makes it ready.
    pub(crate) fn limit(self) -> std::result::Result<Limit, Problem> {
        if let StoreConfig::Redis(config) = &self.store {
            let here = |problem: Problem| problem.under("redis").under("store");
            config.check().map_err(here)?;
        }
        let rate = self.rate()?;
        let names = self.descriptor_keys.as_deref();
        let descriptor_keys = descriptor_keys(&self.store, &self.key, self.when_missing, names)?;
        let name = self.name.unwrap_or_else(|| usual_name(&self.key, rate));
        let (quoted, quota) = policy_of(&name, rate.unwrap_or(NOTHING));
        Ok(Limit {
            quoted,
            quota,
            metric: name.replace('-', "_"),
            name,
            matches: Requests::all(self.matches, "match")?,
            except: Requests::all(self.except, "except")?,
            key: self.key,
            descriptor_keys,
            when_missing: self.when_missing,
            rate: rate.unwrap_or(NOTHING),
            cost: self.cost,
            cost_from: self.cost_from,
            store: self.store,
            failure_mode: self.failure_mode,
            dry_run: self.dry_run,
        })
    }

    /// What it admits; `None` if only a service knows.
    fn rate(&self) -> std::result::Result<Option<Rate>, Problem> {
        let (requests, window) = match (self.requests, self.window) {
            (Some(requests), Some(window)) => (requests, window),
            (None, None) if self.is_the_services() => return Ok(None),
            (None, None) if matches!(self.store, StoreConfig::Rls(_)) => {
                let message = "local needs `requests` and `window`, to count by while the service does not \
                               answer: say them, or choose open or closed";
                return Err(Problem::new(message).under("failureMode"));
            }
            (None, _) => {
                return Err(Problem::new("missing; expected a whole number").under("requests"));
            }
            (_, None) => {
                return Err(
                    Problem::new("missing; expected a duration such as \"1s\"").under("window")
                );
            }
        };
        let burst = self.burst.unwrap_or(requests);
        let nanos = window.as_nanos();
        if nanos < 10 * u128::from(requests) {
            let message = "more than 100 million a second cannot be told apart";
            return Err(Problem::new(message).under("requests"));
        }
        if nanos * u128::from(burst) / u128::from(requests) > LONGEST.as_nanos() {
            let message = "this many take longer than 8784h to be admitted again";
            return Err(Problem::new(message).under("burst"));
        }
        if self.cost > burst {
            let message = format!(
                "no request would ever be admitted: at most {burst} are at once, by burst or requests"
            );
            return Err(Problem::new(message).under("cost"));
        }
        Ok(Some(Rate {
            requests,
            window,
            burst,
        }))
    }

    /// Whether this gateway never counts for itself.
    fn is_the_services(&self) -> bool {
        matches!(self.store, StoreConfig::Rls(_)) && self.failure_mode != FailureMode::Local
    }
}

impl Part {
    /// Whether every request has it.
    pub(super) const fn is_always_there(&self) -> bool {
        matches!(self, Self::Path | Self::Method | Self::Const(_))
    }
}

impl Limit {
    /// Whether it is for a request, if that has all parts of the key.
    pub(crate) fn is_for(&self, req: &Request, cx: &Context) -> bool {
        (self.matches.is_empty() || self.matches.iter().any(|it| it.has(req, cx)))
            && !self.except.iter().any(|it| it.has(req, cx))
    }
}

/// What a limit is called that has no name: its key and its window.
fn usual_name(key: &[Part], rate: Option<Rate>) -> String {
    let mut name = String::new();
    for part in key {
        name.push_str(match part {
            Part::ClientIp => "client-ip",
            Part::Path => "path",
            Part::Route => "route",
            Part::Method => "method",
            Part::Host => "host",
            Part::Header(name) => name,
            Part::Cookie(name) | Part::Query(name) | Part::Claim(name) | Part::Const(name) => name,
        });
        name.push('-');
    }
    if name.is_empty() {
        name.push_str("all-");
    }
    let plain = |it: char| match it.is_ascii_alphanumeric() {
        true => it.to_ascii_lowercase(),
        false => '-',
    };
    let mut name: String = name.chars().map(plain).collect();
    match rate {
        Some(rate) => name.push_str(&window_text(rate.window)),
        None => name.truncate(name.len().saturating_sub(1)),
    }
    name
}

/// A window by its largest whole unit: `1s`, `90s`, `1h`.
fn window_text(window: Duration) -> String {
    let millis = window.as_millis();
    for (unit, name) in [(3_600_000, "h"), (60_000, "m"), (1_000, "s")] {
        if millis.is_multiple_of(unit) {
            return format!("{}{name}", millis / unit);
        }
    }
    format!("{millis}ms")
}

fn token(text: &str) -> std::result::Result<(), String> {
    if is_token(text) {
        return Ok(());
    }
    Err("expected one word without blanks and separators".to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_limit_without_a_name_is_called_by_its_key_and_window() {
        for (key, millis, name) in [
            (vec![], 1_000, "all-1s"),
            (vec![Part::ClientIp], 60_000, "client-ip-1m"),
            (
                vec![Part::Header(HeaderName::known("x-user")), Part::Path],
                90_000,
                "x-user-path-90s",
            ),
            (
                vec![Part::Claim("realm.Tenant".to_owned())],
                1_500,
                "realm-tenant-1500ms",
            ),
            (vec![Part::Const("ä".to_owned())], 7_200_000, "--2h"),
        ] {
            let rate = Rate {
                requests: 1,
                window: Duration::from_millis(millis),
                burst: 1,
            };
            assert_eq!(usual_name(&key, Some(rate)), name);
        }
    }
}
