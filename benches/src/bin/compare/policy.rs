//! The policies of the scenarios that have one: what clients send, and how each filter is told.
//!
//! Owns what is the same for both: rules, keys, the service that is asked. Envoy runs its own filters,
//! not WebAssembly, with the settings that are in their favour.

use std::fmt::Write as _;
use std::net::SocketAddr;
use std::path::Path;

use anyhow::{Result, bail};
use tidegate_benches::process::head_of;
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
    let status = if scenario == Scenario::Jwt { 401 } else { 403 };
    if !head.starts_with(&format!("http/1.1 {status}")) {
        bail!("a bad request is not answered with {status}, so its filter does not run:\n{head}");
    }
    Ok(())
}

/// The paths that the hundred rules allow; the last one is asked for.
fn paths() -> impl Iterator<Item = String> {
    let others = (1..100).map(|number| format!("/api/part-{number}/"));
    others.chain(["/100/orders/".to_owned()])
}

/// The Plugin, with the backend that it asks.
pub(crate) fn tidegate(setting: &Setting<'_>, module: &Path) -> String {
    let (module, origin) = (module.display(), setting.origin);
    let (config, asked) = match setting.scenario {
        Scenario::Jwt => {
            let jwks = &setting.identity.jwks;
            let config = format!(
                "{{ issuer: \"{ISSUER}\", audiences: [{AUDIENCE}], jwks: {{ inline: {jwks} }}, \
                 claimsToHeaders: [{{ claim: sub, header: x-subject }}] }}"
            );
            (config, false)
        }
        Scenario::Rbac => {
            let mut rules = String::new();
            for path in paths() {
                let rule = format!(
                    "\n      - {{ to: [{{ operation: {{ methods: [GET, POST], paths: [\"{path}*\"] }} }}] }}"
                );
                rules.push_str(&rule);
            }
            (format!("\n      rules:{rules}"), false)
        }
        _ => ("{ backend: auth, timeout: 5s }".to_owned(), true),
    };
    let (allow, backend) = if asked {
        (
            "\n    allow: { backends: [auth] }",
            format!(
                "---
apiVersion: tidegate.dev/v1alpha1
kind: Backend
metadata: {{ name: auth }}
spec: {{ endpoints: [{{ address: \"{origin}\" }}] }}
"
            ),
        )
    } else {
        ("", String::new())
    };
    let spec = format!(
        "    source: {{ file: \"{module}\" }}{allow}
    targetRefs: [{{ group: gateway.networking.k8s.io, kind: Gateway, name: bench }}]
    config: {config}
"
    );
    format!(
        "---
apiVersion: tidegate.dev/v1alpha1
kind: Plugin
metadata: {{ name: policy }}
spec:
{spec}{backend}"
    )
}

/// Envoy's filter.
pub(crate) fn envoy(setting: &Setting<'_>) -> String {
    match setting.scenario {
        Scenario::Jwt => jwt_authn(&setting.identity.jwks),
        Scenario::Rbac => rbac(),
        _ => EXT_AUTHZ.to_owned(),
    }
}

/// It remembers verified tokens only if it is told to.
fn jwt_authn(jwks: &str) -> String {
    format!(
        "
          - name: envoy.filters.http.jwt_authn
            typed_config:
              \"@type\": type.googleapis.com/envoy.extensions.filters.http.jwt_authn.v3.JwtAuthentication
              providers:
                bench:
                  issuer: {ISSUER}
                  audiences: [{AUDIENCE}]
                  local_jwks: {{ inline_string: '{jwks}' }}
                  claim_to_headers: [{{ claim_name: sub, header_name: x-subject }}]
                  jwt_cache_config: {{ jwt_cache_size: 1000 }}
              rules: [{{ match: {{ prefix: / }}, requires: {{ provider_name: bench }} }}]"
    )
}

/// A policy for each rule, as Istio writes them.
fn rbac() -> String {
    let mut text = String::from(
        "
          - name: envoy.filters.http.rbac
            typed_config:
              \"@type\": type.googleapis.com/envoy.extensions.filters.http.rbac.v3.RBAC
              rules:
                action: ALLOW
                policies:",
    );
    for (number, path) in paths().enumerate() {
        let methods = ["GET", "POST"].map(|method| {
            format!("{{ header: {{ name: ':method', string_match: {{ exact: {method} }} }} }}")
        });
        // A string takes whatever is written to it.
        let written = write!(
            text,
            "
                  rule-{number:03}:
                    permissions:
                    - and_rules:
                        rules:
                        - or_rules: {{ rules: [{}] }}
                        - url_path: {{ path: {{ prefix: '{path}' }} }}
                    principals: [{{ any: true }}]",
            methods.join(", ")
        );
        written.ok();
    }
    text
}

const EXT_AUTHZ: &str = "
          - name: envoy.filters.http.ext_authz
            typed_config:
              \"@type\": type.googleapis.com/envoy.extensions.filters.http.ext_authz.v3.ExtAuthz
              http_service:
                server_uri: { uri: http://auth, cluster: origin, timeout: 5s }";

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
        assert_eq!(rbac().matches("url_path").count(), 100);
    }
}
