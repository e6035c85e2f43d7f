//! What the plugin is configured with.

use serde_json::Value;
use tidegate_policy::CidrSet;
use tidegate_policy::HeaderName;
use tidegate_sdk::config::FilterConfig;
use tidegate_sdk::config::Problem;
use tidegate_sdk::config::Schema;

/// Which addresses may pass.
#[derive(FilterConfig, Debug)]
#[config(validate = has_a_list)]
pub struct Config {
    /// Blocks of addresses that may pass, such as `10.0.0.0/8`, `2001:db8::/32` or `192.0.2.7`.
    /// Left out, all may that `deny` does not have; one of the two is required.
    #[config(default, min_len = 1)]
    pub(crate) allow: Blocks,
    /// Blocks of addresses that may not pass, also if `allow` has them. May be empty.
    #[config(default)]
    pub(crate) deny: Blocks,
    /// Which address counts.
    #[config(default = "clientAddress")]
    pub(crate) from: From,
    /// Decides, counts and logs, but lets every request pass.
    #[config(default = false)]
    pub(crate) dry_run: bool,
}

/// A list of blocks; `None` if the configuration leaves it out. Unlike an `Option`, it does not take
/// `null` for left out: a file that has become `null` does not lift a limit.
#[derive(Debug, Default)]
pub(crate) struct Blocks(pub(crate) Option<CidrSet>);

impl FilterConfig for Blocks {
    const SCHEMA: &'static Schema = CidrSet::SCHEMA;

    fn read(value: &Value) -> Result<Self, Problem> {
        CidrSet::read(value).map(|it| Self(Some(it)))
    }
}

fn has_a_list(config: &Config) -> Result<(), String> {
    if config.allow.0.is_none() && config.deny.0.is_none() {
        return Err(
            "expected allow, deny or both: without a list every address may pass".to_owned(),
        );
    }
    Ok(())
}

/// Where the address comes from.
#[derive(FilterConfig, Debug)]
pub enum From {
    /// The client's, as the gateway trusts it: with `trustedHops`, what proxies in front say.
    ClientAddress,
    /// The other end of the connection: the nearest proxy, if there is one.
    PeerAddress,
    /// One in a header that a proxy in front of the gateway writes.
    Header(Header),
}

/// A header with addresses, separated by commas.
#[derive(FilterConfig, Debug)]
pub struct Header {
    /// Its name, such as `x-forwarded-for`.
    pub(crate) name: HeaderName,
    /// Which of the addresses counts, from the right: what is left of those that your own proxies
    /// wrote, anybody may have written.
    #[config(default = 1, min = 1, max = 100)]
    pub(crate) position: u8,
}
