//! Envoy's own filters for the scenarios with policies, as their makers and Istio configure them.

use std::fmt::Write as _;

use super::{ALLOWED, SHARE, UNREACHED, paths};
use crate::configs::Setting;
use crate::scenario::Scenario;
use tidegate_benches::tokens::{AUDIENCE, ISSUER};

/// Envoy's filters. Which of two versions has a request is its route's business.
pub(crate) fn envoy(setting: &Setting<'_>) -> String {
    let jwt = || jwt_authn(&setting.identity.jwks);
    match setting.scenario {
        Scenario::Jwt => jwt(),
        Scenario::Rbac => rbac(),
        Scenario::Chain => addresses() + &jwt() + &rbac() + &local_ratelimit(),
        _ => EXT_AUTHZ.to_owned(),
    }
}

/// How Envoy divides requests in two: by chance, which is the cheapest way it has.
pub(crate) fn split() -> String {
    let rest = 100 - SHARE;
    format!(
        "weighted_clusters: {{ clusters: [{{ name: origin, weight: {rest} }}, \
         {{ name: canary, weight: {SHARE} }}] }}"
    )
}

/// Who may come, by address.
fn addresses() -> String {
    let blocks = ALLOWED.iter().map(|block| {
        let (address, length) = block.split_once('/').unwrap_or((block, "32"));
        format!("{{ remote_ip: {{ address_prefix: {address}, prefix_len: {length} }} }}")
    });
    let blocks: Vec<String> = blocks.collect();
    format!(
        "
          - name: addresses
            typed_config:
              \"@type\": type.googleapis.com/envoy.extensions.filters.http.rbac.v3.RBAC
              rules:
                action: ALLOW
                policies:
                  addresses:
                    permissions: [{{ any: true }}]
                    principals: [{}]",
        blocks.join(", ")
    )
}

/// One bucket for everybody: without a lookup by address, which Tidegate does.
fn local_ratelimit() -> String {
    format!(
        "
          - name: envoy.filters.http.local_ratelimit
            typed_config:
              \"@type\": type.googleapis.com/envoy.extensions.filters.http.local_ratelimit.v3.LocalRateLimit
              stat_prefix: limit
              token_bucket: {{ max_tokens: {UNREACHED}, tokens_per_fill: {UNREACHED}, fill_interval: 1s }}
              filter_enabled: {{ default_value: {{ numerator: 100, denominator: HUNDRED }} }}
              filter_enforced: {{ default_value: {{ numerator: 100, denominator: HUNDRED }} }}"
    )
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
    fn each_of_a_hundred_rules_is_a_policy() {
        assert_eq!(rbac().matches("url_path").count(), 100);
    }
}
