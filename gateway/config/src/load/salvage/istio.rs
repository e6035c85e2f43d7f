//! What can be used of Istio's policies: which Gateways they are for. All of the namespace if even that
//! cannot be read.

use schemars::JsonSchema;
use serde::Deserialize;

use super::field_mut;
use super::header_only;
use super::keep;
use super::read;
use crate::kinds::Body;
use crate::kinds::istio::AuthorizationPolicy;
use crate::kinds::istio::AuthorizationPolicySpec;
use crate::kinds::istio::RequestAuthentication;
use crate::kinds::istio::RequestAuthenticationSpec;
use crate::kinds::istio::TargetRef;
use crate::kinds::istio::WorkloadSelector;
use crate::parse::Parsed;
use crate::place::At;
use crate::schema::Kind;

/// The parts of a policy that say what it is for.
#[derive(Debug, Default, Deserialize, JsonSchema)]
struct Targets {
    #[serde(default)]
    spec: TargetsSpec,
}

#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
struct TargetsSpec {
    selector: Option<At<WorkloadSelector>>,
    #[serde(default)]
    target_refs: Vec<TargetRef>,
    target_ref: Option<TargetRef>,
}

impl Kind for Targets {
    const API_VERSIONS: &'static [&'static str] = AuthorizationPolicy::API_VERSIONS;
    const KIND: &'static str = AuthorizationPolicy::KIND;
    const NAMESPACED: bool = AuthorizationPolicy::NAMESPACED;
}

pub(super) fn authorization(parsed: &Parsed) -> Body {
    let TargetsSpec {
        selector,
        target_refs,
        target_ref,
    } = targets(parsed);
    Body::AuthorizationPolicy(Box::new(AuthorizationPolicy {
        spec: AuthorizationPolicySpec {
            selector,
            target_refs,
            target_ref,
            ..AuthorizationPolicySpec::default()
        },
    }))
}

pub(super) fn authentication(parsed: &Parsed) -> Body {
    let TargetsSpec {
        selector,
        target_refs,
        target_ref,
    } = targets(parsed);
    Body::RequestAuthentication(Box::new(RequestAuthentication {
        spec: RequestAuthenticationSpec {
            selector,
            target_refs,
            target_ref,
            ..RequestAuthenticationSpec::default()
        },
    }))
}

fn targets(parsed: &Parsed) -> TargetsSpec {
    let mut reduced = header_only(parsed);
    if let Some(spec) = field_mut(&mut reduced.root, "spec") {
        keep(spec, &["selector", "targetRefs", "targetRef"]);
    }
    read::<Targets>(&reduced).unwrap_or_default().spec
}
