//! Sends a share of the clients to a new version, always the same ones.
//!
//! It marks their requests with a header; routes decide what becomes of marked requests.

use tidegate_sdk::config::Percent;
use tidegate_sdk::prelude::*;

/// What the Plugin's `config` says.
#[derive(Debug, FilterConfig)]
pub struct Config {
    /// The share of the clients that get the new version, such as "5%".
    pub share: Percent,
    /// The header that marks their requests, with the value `1`.
    #[config(default = "x-canary")]
    pub mark: String,
    /// The header that names the client; without it, their address does.
    pub header: Option<String>,
}

/// Marks the requests of a share of the clients. It runs once for each request.
#[filter]
pub async fn canary(mut req: Request, next: Next, cx: &Cx<Config>) -> Result<Response> {
    let Config {
        share,
        mark,
        header,
    } = &*cx.config;
    // Clients do not choose.
    req.headers_mut().remove(mark);
    let client = match header {
        Some(name) => req.header(name),
        None => req.client_ip().map(|address| address.to_string()),
    };
    let chosen = place(&client.unwrap_or_default()) < share.fraction();
    if chosen {
        req.headers_mut().set(mark, "1")?;
        cx.counter("chosen").add(1);
    }
    next.run(req).await
}

/// Where a client stands among all clients: 0 to 1, always the same (FNV-1a, mixed by MurmurHash 3).
fn place(client: &str) -> f64 {
    let mut hash = 0x811c_9dc5_u32;
    for byte in client.bytes() {
        hash = (hash ^ u32::from(byte)).wrapping_mul(0x0100_0193);
    }
    hash = (hash ^ (hash >> 16)).wrapping_mul(0x85eb_ca6b);
    hash = (hash ^ (hash >> 13)).wrapping_mul(0xc2b2_ae35);
    f64::from(hash ^ (hash >> 16)) / (f64::from(u32::MAX) + 1.0)
}
