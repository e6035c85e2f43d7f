//! Says where a client is, by its address, in a header that routes can match on.

use std::net::IpAddr;

use tidegate_sdk::prelude::*;

/// What the plugin is configured with.
#[derive(FilterConfig, Debug)]
pub struct Config {
    /// The header that is set; what clients send in it is removed.
    #[config(default = "x-region")]
    header: String,
    /// Where networks are; the first that has the client counts.
    networks: Vec<Network>,
    /// For clients in none of them.
    #[config(default = "elsewhere")]
    fallback: String,
}

/// A network and where it is.
#[derive(FilterConfig, Debug)]
pub struct Network {
    /// Such as `192.0.2.0/24` or `2001:db8::/32`.
    #[config(validate = is_block)]
    block: String,
    /// What the header says.
    region: String,
}

/// Sets the header before the route is chosen.
#[filter(config = Config)]
pub async fn geo_route(mut req: Request, next: Next, cx: &Cx<Config>) -> Result<Response> {
    let client = req.client_ip();
    let network = cx
        .config
        .networks
        .iter()
        .find(|it| client.is_some_and(|ip| it.has(ip)));
    let region = network.map_or(&cx.config.fallback, |it| &it.region);
    req.headers_mut().set(&cx.config.header, region)?;
    next.run(req).await
}

impl Network {
    fn has(&self, ip: IpAddr) -> bool {
        let Some((network, length)) = parse(&self.block) else {
            return false;
        };
        let (ip, width) = bits(ip);
        let (network, network_width) = bits(network);
        let shift = width.saturating_sub(length);
        width == network_width && ip.checked_shr(shift) == network.checked_shr(shift)
    }
}

/// The first bits of an address are what two addresses of a network have in common.
fn bits(ip: IpAddr) -> (u128, u32) {
    match ip.to_canonical() {
        IpAddr::V4(ip) => (u128::from(ip.to_bits()), 32),
        IpAddr::V6(ip) => (ip.to_bits(), 128),
    }
}

fn parse(block: &str) -> Option<(IpAddr, u32)> {
    let (network, length) = block.split_once('/')?;
    let (network, length) = (network.parse().ok()?, length.parse().ok()?);
    (length <= bits(network).1).then_some((network, length))
}

fn is_block(block: &str) -> std::result::Result<(), String> {
    match parse(block) {
        Some(_) => Ok(()),
        None => Err(String::from("expected a network such as 192.0.2.0/24")),
    }
}
