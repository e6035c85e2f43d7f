//! What the plugin is configured with.

use tidegate_policy::CidrSet;
use tidegate_policy::HeaderName;
use tidegate_sdk::config::FilterConfig;

/// Which addresses may pass.
#[derive(FilterConfig, Debug)]
pub struct Config {
    /// Blocks of addresses that may pass, such as `10.0.0.0/8`, `2001:db8::/32` or `192.0.2.7`.
    /// Without any, all may that `deny` does not have.
    #[config(default = [])]
    pub(crate) allow: CidrSet,
    /// Blocks of addresses that may not pass, also if `allow` has them.
    #[config(default = [])]
    pub(crate) deny: CidrSet,
    /// Which address counts.
    #[config(default = "clientAddress")]
    pub(crate) from: From,
    /// Decides, counts and logs, but lets every request pass.
    #[config(default = false)]
    pub(crate) dry_run: bool,
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
