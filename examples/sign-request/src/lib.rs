//! Signs requests with HMAC-SHA256, so that a backend knows that they came through the gateway.
//!
//! Signed is the text `method`, path with query, time and the SHA-256 of the body, one a line.

use hmac::{Hmac, KeyInit, Mac};
use sha2::{Digest, Sha256};
use tidegate_sdk::prelude::*;

/// What the plugin is configured with.
#[derive(FilterConfig, Debug)]
pub struct Config {
    /// What the gateway and the backend know.
    key: Secret,
    /// Which key it is, if the backend has several.
    #[config(default = "1")]
    key_id: String,
    /// The largest body; requests with a larger one are refused with 413.
    #[config(default = 1_048_576)]
    limit: u32,
}

/// Sets `x-signed-at` and `x-signature`; what clients send in them is replaced.
#[filter(config = Config, needs(stop_iteration))]
pub async fn sign_request(mut req: Request, next: Next, cx: &Cx<Config>) -> Result<Response> {
    let limit = usize::try_from(cx.config.limit).unwrap_or(usize::MAX);
    let body = req.body().limit(limit).bytes().await?;
    let time = cx.unix_time().as_secs().to_string();
    let digest = hex(&Sha256::digest(&body));
    let signed = [req.method(), req.target(), time.clone(), digest].join("\n");

    let mut mac = Hmac::<Sha256>::new_from_slice(cx.config.key.expose().as_bytes())
        .map_err(|error| Error::new(error.to_string()))?;
    mac.update(signed.as_bytes());
    let signature = hex(&mac.finalize().into_bytes());

    let value = ["keyId=", &cx.config.key_id, ",sha256=", &signature].concat();
    let mut headers = req.headers_mut();
    headers.set("x-signed-at", time)?;
    headers.set("x-signature", value)?;
    next.run(req).await
}

fn hex(bytes: &[u8]) -> String {
    let digit = |nibble: u8| char::from_digit(u32::from(nibble), 16).unwrap_or('0');
    bytes
        .iter()
        .flat_map(|byte| [digit(byte >> 4), digit(byte & 15)])
        .collect()
}
