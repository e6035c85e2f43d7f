//! RequestAuthentications as the configuration of `jwt-auth`.

use std::sync::Arc;

use super::Gathering;
use super::entry;
use super::map;
use super::text;
use crate::kinds::Body;
use crate::rules::JwksUri;
use crate::rules::jwt_rules;
use crate::tree::Key;
use crate::tree::Node;
use crate::tree::Value;

/// Fields that mean the same in both, with their names here and there.
const SAME: [(&str, &str); 8] = [
    ("issuer", "issuer"),
    ("audiences", "audiences"),
    ("fromHeaders", "fromHeaders"),
    ("fromParams", "fromParams"),
    ("fromCookies", "fromCookies"),
    ("forwardOriginalToken", "forward"),
    ("outputPayloadToHeader", "outputPayloadToHeader"),
    ("outputClaimToHeaders", "claimsToHeaders"),
];
/// Those of them that say where the token is.
const PLACES: [&str; 3] = ["fromHeaders", "fromParams", "fromCookies"];

/// The issuers of all of them. Requests without a token pass: policies say who may.
pub(super) fn config(gathering: &mut Gathering<'_, '_, '_>) -> Option<Node> {
    let mut providers = Vec::new();
    for candidate in gathering.policies {
        let Body::RequestAuthentication(policy) = candidate.body() else {
            continue;
        };
        let version = &candidate.version;
        let (origin, text) = (&version.origin, &version.text);
        gathering.written.begin(candidate.id(), origin, text);
        for (index, rule) in jwt_rules(policy.spec.jwt_rules.as_ref()).iter().enumerate() {
            let called = format!("spec.jwtRules[{index}]");
            let path = format!("providers[{}]", providers.len());
            for (ours, theirs) in [
                (".forward", ".forwardOriginalToken"),
                (".claimsToHeaders", ".outputClaimToHeaders"),
                (".jwks.inline", ".jwks"),
                (".jwks.remote.timeout", ".timeout"),
                (".jwks.remote", ".jwksUri"),
                ("", ""),
            ] {
                let words = format!("{called}{theirs}");
                gathering.written.call(format!("{path}{ours}"), &words);
            }
            providers.push(provider(rule, gathering));
        }
    }
    let is_some = !providers.is_empty();
    is_some.then(|| {
        map(vec![
            entry("providers", Value::Seq(providers)),
            entry("allowMissing", Value::Bool(true)),
        ])
    })
}

fn provider(rule: &Node, gathering: &mut Gathering<'_, '_, '_>) -> Node {
    let mut entries = Vec::new();
    for (theirs, ours) in SAME {
        if let Some((key, value)) = given(rule, theirs) {
            let written = &*gathering.written;
            entries.push((written.key(key, ours), written.node(value)));
        }
    }
    if !PLACES.iter().any(|name| has_items(rule, name)) {
        entries.retain(|(key, _)| !PLACES.contains(&&*key.name));
        let header = map(vec![
            entry("name", text("authorization")),
            entry("prefix", text("Bearer ")),
        ]);
        entries.push(entry("fromHeaders", Value::Seq(vec![header])));
        let parameter = entry("", text("access_token")).1;
        entries.push(entry("fromParams", Value::Seq(vec![parameter])));
    }
    entries.extend(keys(rule, gathering));
    // As in Istio: one without an end never ends.
    entries.push(entry("requireExpiration", Value::Bool(false)));
    Node {
        span: gathering.written.span(rule.span),
        value: Value::Map(entries),
    }
}

/// Where the keys come from.
fn keys(rule: &Node, gathering: &mut Gathering<'_, '_, '_>) -> Option<(Key, Node)> {
    if let Some((key, value)) = given(rule, "jwks") {
        let written = &*gathering.written;
        let inline = (written.key(key, "inline"), written.node(value));
        return Some((written.key(key, "jwks"), map(vec![inline])));
    }
    let (key, value) = given(rule, "jwksUri").or_else(|| given(rule, "jwks_uri"))?;
    let uri = JwksUri::parse(value.as_str()?).ok()?;
    let backend = gathering.backends.keys_at(&uri);
    if !gathering.called.contains(&backend) {
        gathering.called.push(Arc::clone(&backend));
    }
    let written = &*gathering.written;
    let here = |name: &str, value: Value| {
        let node = Node {
            span: written.span(key.span),
            value,
        };
        (written.key(key, name), node)
    };
    let mut remote = vec![
        here("backend", text(&backend)),
        here("host", text(&uri.authority)),
        here("path", text(&uri.path)),
    ];
    if let Some((key, value)) = given(rule, "timeout") {
        remote.push((written.key(key, "timeout"), written.node(value)));
    }
    let remote = here("remote", Value::Map(remote));
    Some(here("jwks", Value::Map(vec![remote])))
}

fn given<'n>(rule: &'n Node, name: &str) -> Option<(&'n Key, &'n Node)> {
    rule.entry(name)
        .filter(|(_, node)| node.value != Value::Null)
}

fn has_items(rule: &Node, name: &str) -> bool {
    let found = given(rule, name);
    matches!(found, Some((_, Node { value: Value::Seq(items), .. })) if !items.is_empty())
}
