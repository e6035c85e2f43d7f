//! What the plugin is configured with, made ready for requests.

mod limit;
mod redis;
mod requests;
mod rls;

use serde_json::Value;
use tidegate_sdk::config::FilterConfig;
use tidegate_sdk::config::Problem;
use tidegate_sdk::config::Schema;

pub(crate) use limit::CostFrom;
pub(crate) use limit::FailureMode;
pub(crate) use limit::Limit;
pub(crate) use limit::Part;
pub(crate) use limit::StoreConfig;
pub(crate) use limit::WhenMissing;
pub(crate) use redis::LeaseConfig;
pub(crate) use redis::RedisConfig;
pub(crate) use rls::RlsConfig;

/// How many requests pass.
#[derive(FilterConfig, Debug)]
struct Fields {
    /// The limits. A request passes if all that apply to it admit it; one that is refused takes from none.
    #[config(min_len = 1, max_len = 16)]
    limits: Vec<limit::Fields>,
    /// The status of refusals.
    #[config(default = 429, min = 400, max = 599)]
    status_code: u16,
    /// Which headers tell clients how much is left.
    #[config(default = "draft")]
    headers: HeaderStyle,
    /// Decides, counts and logs, but lets every request pass.
    #[config(default = false)]
    dry_run: bool,
}

/// Which headers tell clients how much is left. `Retry-After` is in every refusal.
#[derive(FilterConfig, Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum HeaderStyle {
    /// `RateLimit` and `RateLimit-Policy` (draft-ietf-httpapi-ratelimit-headers-10), of all limits.
    Draft,
    /// `X-RateLimit-Limit`, `-Remaining` and `-Reset`, of the limit that is nearest to refuse, as Envoy
    /// writes them.
    Legacy,
    /// Both.
    Both,
    /// Neither.
    Off,
}

/// The configuration, made ready.
#[derive(Debug)]
pub struct Config {
    pub(crate) limits: Vec<Limit>,
    pub(crate) status_code: u16,
    pub(crate) headers: HeaderStyle,
    pub(crate) dry_run: bool,
}

impl FilterConfig for Config {
    const SCHEMA: &'static Schema = Fields::SCHEMA;

    fn read(value: &Value) -> Result<Self, Problem> {
        let fields = Fields::read(value)?;
        let mut limits: Vec<Limit> = Vec::new();
        for (index, fields) in fields.limits.into_iter().enumerate() {
            let here = |problem: Problem| problem.at(index).under("limits");
            let limit = fields.limit().map_err(here)?;
            if let Some(before) = limits.iter().position(|it| it.metric == limit.metric) {
                let message = format!(
                    "limits[{before}] is called {} too: give one of them another name, so that each counts \
                     for itself",
                    limit.name
                );
                return Err(here(Problem::new(message).under("name")));
            }
            limits.push(limit);
        }
        Ok(Self {
            limits,
            status_code: fields.status_code,
            headers: fields.headers,
            dry_run: fields.dry_run,
        })
    }
}
