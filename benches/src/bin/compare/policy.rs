//! The policies of the scenarios that have one: what clients send, and how each filter is told.
//!
//! Owns what is the same for both: rules, keys, the service that is asked. Envoy runs its own filters,
//! not WebAssembly, with the settings that are in their favour.

mod envoy;

use std::net::SocketAddr;
use std::path::Path;

use anyhow::{Result, bail};
pub(crate) use envoy::{envoy, split};
use tidegate_benches::process::head_of;
use tidegate_benches::resources;
use tidegate_benches::tokens::{AUDIENCE, ISSUER};

use crate::configs::{Identity, Setting};
use crate::scenario::Scenario;

/// What requests have beside the host and the token.
const HEADERS: [(&str, &str); 10] = [
    (
        "user-agent",
        "Mozilla/5.0 (X11; Linux x86_64; rv:140.0) Gecko/20100101 Firefox/140.0",
    ),
    ("accept", "application/json"),
    ("accept-encoding", "gzip, deflate, br"),
    ("accept-language", "en-GB,en;q=0.7"),
    ("cache-control", "no-cache"),
    ("cookie", "theme=dark; session=2f8a1c0b9d7e4f63"),
    ("origin", "https://shop.test"),
    ("referer", "https://shop.test/orders"),
    (
        "traceparent",
        "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01",
    ),
    ("priority", "u=3"),
];

/// What every request has, so that there are 12 headers with `host`.
pub(crate) fn headers(identity: &Identity) -> impl Iterator<Item = (&'static str, String)> {
    let token = ("authorization", format!("Bearer {}", identity.token));
    let others = HEADERS.iter();
    others
        .map(|(name, value)| (*name, (*value).to_owned()))
        .chain([token])
}

/// Looks whether a request is refused that has no token, and a path that no rule and no service knows.
pub(crate) fn refuses(scenario: Scenario, address: SocketAddr) -> Result<()> {
    let head = head_of(address, "/elsewhere")?;
    let status = match scenario {
        Scenario::Jwt | Scenario::Chain => 401,
        _ => 403,
    };
    if !head.starts_with(&format!("http/1.1 {status}")) {
        bail!("a bad request is not answered with {status}, so its filter does not run:\n{head}");
    }
    Ok(())
}

/// Blocks of addresses that may come; the last one is the clients'.
const ALLOWED: [&str; 4] = ["10.0.0.0/8", "172.16.0.0/12", "192.0.2.0/24", "127.0.0.0/8"];

/// Requests in a second that nobody reaches.
const UNREACHED: u32 = 10_000_000;

/// Percent of the requests that the second version gets.
const SHARE: u32 = 5;

/// The paths that the hundred rules allow; the last one is asked for.
fn paths() -> impl Iterator<Item = String> {
    let others = (1..100).map(|number| format!("/api/part-{number}/"));
    others.chain(["/100/orders/".to_owned()])
}

/// The Plugins, one for each module of the scenario, with the backends that they know.
pub(crate) fn tidegate(setting: &Setting<'_>, modules: &[&Path]) -> String {
    let names = setting.scenario.modules().iter();
    let mut text: String = names
        .zip(modules)
        .enumerate()
        .map(|(place, (name, module))| plugin(setting, place, name, module))
        .collect();
    let backends = match setting.scenario {
        Scenario::ExtAuthz => &["auth"],
        Scenario::Chain => &["canary"],
        _ => &[][..],
    };
    text.extend(
        backends
            .iter()
            .map(|name| resources::backend(name, setting.origin)),
    );
    text
}

fn plugin(setting: &Setting<'_>, place: usize, name: &str, module: &Path) -> String {
    let (config, module) = (config(setting, name), module.display());
    // The higher runs first.
    let priority = 100_usize.saturating_sub(place);
    let allow = match name {
        "ext-auth" => "\n  allow: { backends: [auth] }",
        _ => "",
    };
    let spec = format!(
        "  source: {{ file: \"{module}\" }}{allow}
  priority: {priority}
  config: {config}
"
    );
    resources::plugin(name, &spec)
}

/// What a filter is told.
fn config(setting: &Setting<'_>, name: &str) -> String {
    match name {
        "ip-filter" => format!("{{ allow: [{}] }}", ALLOWED.join(", ")),
        "jwt-auth" => format!(
            "{{ issuer: \"{ISSUER}\", audiences: [{AUDIENCE}], jwks: {{ inline: {jwks} }}, \
             claimsToHeaders: [{{ claim: sub, header: x-subject }}] }}",
            jwks = setting.identity.jwks
        ),
        "authz" => {
            let rule = |path| {
                format!(
                    "\n      - {{ to: [{{ operation: {{ methods: [GET, POST], paths: [\"{path}*\"] }} }}] }}"
                )
            };
            let rules: String = paths().map(rule).collect();
            format!("\n      rules:{rules}")
        }
        "rate-limit" => {
            format!("{{ limits: [{{ key: [clientIp], requests: {UNREACHED}, window: 1s }}] }}")
        }
        "canary" => format!("{{ weight: {SHARE}, key: {{ cookie: session }} }}"),
        _ => "{ backend: auth, timeout: 5s }".to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_hundred_rules_are_written_of_which_the_last_fits() {
        let all: Vec<String> = paths().collect();
        assert_eq!(all.len(), 100);
        let asked = Scenario::Rbac.path(100);
        let fits = all.iter().position(|it| asked.starts_with(it.as_str()));
        assert_eq!(fits, Some(99));
    }
}
