//! What the plugin is configured with, and what of it is refused.

use std::time::Duration;

use tidegate_policy::HeaderName;
use tidegate_sdk::config::{FilterConfig, Size};

/// What the plugin is configured with.
#[derive(FilterConfig, Debug)]
#[config(validate = does_something)]
pub struct Config {
    /// Makes requests fail.
    pub(crate) abort: Option<Abort>,
    /// Makes requests wait, before they fail or go on.
    pub(crate) delay: Option<Delay>,
    /// Makes bodies of responses arrive slowly.
    pub(crate) bandwidth: Option<Bandwidth>,
    /// Which requests this is about: those that match all of these. All requests if there are none.
    #[config(default = [], max_len = 20)]
    pub(crate) headers: Vec<Header>,
    /// Whether a request may ask for faults of its own with `x-envoy-fault-*`. If not, such headers are
    /// ignored and removed.
    #[config(default = false)]
    pub(crate) allow_header_control: bool,
    /// How many requests may suffer faults at the same time, on all workers together. Others pass untouched.
    #[config(default = 1_000, min = 1)]
    pub(crate) max_active_faults: u32,
    /// Decides, counts and logs, and lets all requests pass untouched.
    #[config(default = false)]
    pub(crate) dry_run: bool,
}

/// Failures. One of `httpStatus` and `grpcStatus` says which.
#[derive(FilterConfig, Debug)]
#[config(validate = one_status)]
pub(crate) struct Abort {
    /// As if the backend had answered with this status.
    #[config(min = 200, max = 599)]
    pub(crate) http_status: Option<u16>,
    /// As if it had answered with this gRPC status, such as 14 for UNAVAILABLE. Clients that do not speak
    /// gRPC get the HTTP status that is nearest.
    #[config(min = 1, max = 16)]
    pub(crate) grpc_status: Option<u8>,
    /// The share of requests, in percent.
    #[config(default = 100.0, min = 0.0, max = 100.0)]
    pub(crate) percentage: f64,
    /// How many attempts of such a request fail. More than one matters where a route retries.
    #[config(default = 1, min = 1, max = 100)]
    pub(crate) attempts: u32,
}

/// Waits. One of `fixed`, `uniform` and `exponential` says how long.
#[derive(FilterConfig, Debug)]
#[config(validate = one_length)]
pub(crate) struct Delay {
    /// Always so long.
    #[config(min = "1ms", max = "1h")]
    pub(crate) fixed: Option<Duration>,
    /// Between two limits, all lengths alike.
    pub(crate) uniform: Option<Uniform>,
    /// Mostly short, sometimes long: as times between independent events are.
    pub(crate) exponential: Option<Exponential>,
    /// The share of requests, in percent.
    #[config(default = 100.0, min = 0.0, max = 100.0)]
    pub(crate) percentage: f64,
}

/// All lengths between two are alike.
#[derive(FilterConfig, Debug)]
#[config(validate = Uniform::is_ordered)]
pub(crate) struct Uniform {
    /// The shortest.
    #[config(max = "1h")]
    pub(crate) min: Duration,
    /// The longest.
    #[config(max = "1h")]
    pub(crate) max: Duration,
}

/// Short lengths are likelier than long ones.
#[derive(FilterConfig, Debug)]
#[config(validate = Exponential::is_ordered)]
pub(crate) struct Exponential {
    /// The mean, before longer ones are cut.
    #[config(min = "1ms", max = "1h")]
    pub(crate) mean: Duration,
    /// The longest: what would be longer is that long.
    #[config(max = "1h")]
    pub(crate) max: Duration,
}

/// Slow bodies.
#[derive(FilterConfig, Debug)]
pub(crate) struct Bandwidth {
    /// How many bytes of a response's body go on in a second, such as 64KiB. Each response has so many for
    /// itself.
    #[config(min = "1B", max = "1GB")]
    pub(crate) response: Size,
    /// The share of requests whose responses are slow, in percent.
    #[config(default = 100.0, min = 0.0, max = 100.0)]
    pub(crate) percentage: f64,
}

/// A condition about one header. Without `exact`, `prefix` and `present`, the header has to be there.
#[derive(FilterConfig, Debug)]
#[config(validate = Header::is_one_condition)]
pub(crate) struct Header {
    /// Its name.
    pub(crate) name: HeaderName,
    /// Its value is this, with case.
    #[config(max_len = 4096)]
    pub(crate) exact: Option<String>,
    /// Its value begins with this.
    #[config(min_len = 1, max_len = 4096)]
    pub(crate) prefix: Option<String>,
    /// Whether it is there at all.
    pub(crate) present: Option<bool>,
}

fn does_something(config: &Config) -> Result<(), String> {
    let does = config.abort.is_some()
        || config.delay.is_some()
        || config.bandwidth.is_some()
        || config.allow_header_control;
    does.then_some(()).ok_or_else(|| {
        "expected at least one of abort, delay, bandwidth and allowHeaderControl: it would do nothing"
            .to_owned()
    })
}

fn one_status(abort: &Abort) -> Result<(), String> {
    (abort.http_status.is_some() != abort.grpc_status.is_some())
        .then_some(())
        .ok_or_else(|| "expected one of httpStatus and grpcStatus".to_owned())
}

fn one_length(delay: &Delay) -> Result<(), String> {
    let said = [
        delay.fixed.is_some(),
        delay.uniform.is_some(),
        delay.exponential.is_some(),
    ];
    (said.into_iter().filter(|it| *it).count() == 1)
        .then_some(())
        .ok_or_else(|| "expected one of fixed, uniform and exponential".to_owned())
}

impl Uniform {
    fn is_ordered(&self) -> Result<(), String> {
        let is_range = self.min <= self.max && !self.max.is_zero();
        is_range
            .then_some(())
            .ok_or_else(|| "expected a max that is not below min, nor 0".to_owned())
    }
}

impl Exponential {
    fn is_ordered(&self) -> Result<(), String> {
        (self.mean <= self.max)
            .then_some(())
            .ok_or_else(|| "expected a max that is not below mean".to_owned())
    }
}

impl Header {
    fn is_one_condition(&self) -> Result<(), String> {
        let said = [
            self.exact.is_some(),
            self.prefix.is_some(),
            self.present.is_some(),
        ];
        (said.into_iter().filter(|it| *it).count() <= 1)
            .then_some(())
            .ok_or_else(|| "expected only one of exact, prefix and present".to_owned())
    }
}
