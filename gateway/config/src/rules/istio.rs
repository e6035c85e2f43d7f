//! The rules of Istio's policies.

use tidegate_core::dns::check_name;

use super::Findings;
use super::backend::is_link_local;
use crate::de;
use crate::kinds::GATEWAY_GROUP;
use crate::kinds::istio::AuthorizationPolicySpec;
use crate::kinds::istio::JwtRule;
use crate::kinds::istio::PolicyAction;
use crate::kinds::istio::RequestAuthenticationSpec;
use crate::kinds::istio::TargetRef;
use crate::kinds::istio::WorkloadSelector;
use crate::place::At;
use crate::place::Span;
use crate::tree::Node;
use crate::tree::Value;

pub(super) fn check_authorization(spec: &AuthorizationPolicySpec, findings: &mut Findings) {
    check_targets(
        spec.selector.as_ref(),
        &spec.target_refs,
        spec.target_ref.as_ref(),
        findings,
    );
    if let Some(action) = &spec.action
        && action.value == PolicyAction::Custom
    {
        let hint = "a Plugin with the source `builtin: ext-auth` asks a service";
        findings.with_hint(action.span, "`CUSTOM` is not supported yet", hint);
    }
}

pub(super) fn check_authentication(spec: &RequestAuthenticationSpec, findings: &mut Findings) {
    check_targets(
        spec.selector.as_ref(),
        &spec.target_refs,
        spec.target_ref.as_ref(),
        findings,
    );
    for node in jwt_rules(spec.jwt_rules.as_ref()) {
        // The schema has seen it: what is not read is reported there.
        let Ok(rule) = de::from_node::<JwtRule>(node) else {
            continue;
        };
        let sources = [&rule.jwks_uri, &rule.jwks_uri_old, &rule.jwks];
        let mut given = sources.into_iter().flatten();
        match (given.next(), given.next()) {
            (Some(_), None) => {}
            (_, Some(second)) => {
                findings.error(second.span, "either `jwksUri` or `jwks`, not both");
            }
            (None, _) => findings.with_hint(
                rule.issuer.span,
                "the issuer has no keys: to find them by OpenID Connect is not supported yet",
                "add `jwksUri` or `jwks`",
            ),
        }
        for uri in [&rule.jwks_uri, &rule.jwks_uri_old].into_iter().flatten() {
            if let Err(why) = JwksUri::parse(uri) {
                let hint = "such as `https://idp.example.com/.well-known/jwks.json`";
                findings.with_hint(uri.span, why, hint);
            }
        }
    }
}

/// The rules of a RequestAuthentication.
pub(crate) fn jwt_rules(given: Option<&Node>) -> &[Node] {
    match given.map(|node| &node.value) {
        Some(Value::Seq(rules)) => rules,
        _ => &[],
    }
}

fn check_targets(
    selector: Option<&At<WorkloadSelector>>,
    refs: &[TargetRef],
    single: Option<&TargetRef>,
    findings: &mut Findings,
) {
    let targets: Vec<&TargetRef> = refs.iter().chain(single).collect();
    if let (Some(selector), Some(_)) = (selector, targets.first()) {
        findings.error(selector.span, "either `selector` or `targetRefs`, not both");
    }
    if let (Some(single), Some(_)) = (single, refs.first()) {
        findings.error(
            single.name.span,
            "either `targetRef` or `targetRefs`, not both",
        );
    }
    for label in selector.iter().flat_map(|one| one.match_labels.values()) {
        if label.contains('*') {
            findings.error(label.span, "a label has no wildcards");
        }
    }
    for target in targets {
        let group = target.group.as_ref().map_or("", |group| group.as_str());
        let span = |group: Option<Span>| group.unwrap_or(target.kind.span);
        match (group, target.kind.as_str()) {
            (GATEWAY_GROUP, "Gateway" | "GatewayClass") => {}
            (_, kind @ ("Gateway" | "GatewayClass")) => findings.with_hint(
                span(target.group.as_ref().map(|group| group.span)),
                format!("a {kind} is of another group"),
                format!("write `group: {GATEWAY_GROUP}`"),
            ),
            (_, kind) => findings.with_hint(
                target.kind.span,
                format!("a {kind} as the target is not supported yet"),
                "name a Gateway",
            ),
        }
    }
}

/// Where the keys of an issuer are.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct JwksUri {
    /// Whether TLS is spoken there.
    pub(crate) secure: bool,
    /// A name or an address, without brackets.
    pub(crate) host: String,
    /// The port.
    pub(crate) port: u16,
    /// Host and port as requests name them.
    pub(crate) authority: String,
    /// The path with the query.
    pub(crate) path: String,
}

impl JwksUri {
    /// What a text says.
    ///
    /// # Errors
    ///
    /// Why it is none.
    pub(crate) fn parse(text: &str) -> Result<Self, String> {
        let wrong = |why: &str| Err(format!("{text:?} is no URL of keys: {why}"));
        let Ok(uri) = text.parse::<http::Uri>() else {
            return wrong("it is no URL");
        };
        let secure = match uri.scheme_str() {
            Some("https") => true,
            Some("http") => false,
            _ => return wrong("it begins neither with `https://` nor with `http://`"),
        };
        let Some(authority) = uri.authority() else {
            return wrong("it has no host");
        };
        let authority = authority.as_str();
        if authority.contains('@') {
            return wrong("it has a user");
        }
        let host = uri.host().unwrap_or_default();
        let bare = host.trim_start_matches('[').trim_end_matches(']');
        match bare.parse() {
            Ok(address) if is_link_local(address) => {
                return wrong("it is a link-local address, where clouds serve secrets to machines");
            }
            Ok(_) => {}
            Err(_) => {
                if let Err(err) = check_name(bare) {
                    return wrong(&err.to_string());
                }
            }
        }
        let port = match (uri.port_u16(), authority.len() > host.len()) {
            (Some(port), _) if port > 0 => port,
            (None, false) if secure => 443,
            (None, false) => 80,
            _ => return wrong("its port is not 1 to 65535"),
        };
        let path = uri.path_and_query().map_or("/", |path| path.as_str());
        Ok(Self {
            secure,
            host: bare.to_ascii_lowercase(),
            port,
            authority: authority.to_ascii_lowercase(),
            path: path.to_owned(),
        })
    }
}
