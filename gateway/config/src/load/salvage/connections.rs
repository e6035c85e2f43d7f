//! What can be used of TLSRoutes, TCPRoutes and BackendTLSPolicies: which connections and backends must
//! not be somebody else's instead.

use schemars::JsonSchema;
use serde::Deserialize;

use super::field_mut;
use super::header_only;
use super::keep;
use super::read;
use crate::kinds::Body;
use crate::kinds::certificate::BackendTlsPolicy;
use crate::kinds::certificate::BackendTlsPolicySpec;
use crate::kinds::certificate::BackendTlsValidation;
use crate::kinds::http_route::ParentRef;
use crate::kinds::l4_route::TcpRoute;
use crate::kinds::l4_route::TcpRouteSpec;
use crate::kinds::l4_route::TlsRoute;
use crate::kinds::l4_route::TlsRouteSpec;
use crate::kinds::policy::PolicyTarget;
use crate::kinds::text::Hostname;
use crate::kinds::text::PreciseHostname;
use crate::kinds::tls::TlsOptions;
use crate::parse::Parsed;
use crate::place::At;
use crate::rules;
use crate::schema::Kind;

/// The parts of a TLSRoute or TCPRoute that say which connections are its own: they are closed.
#[derive(Debug, Deserialize, JsonSchema)]
struct Claims {
    spec: ClaimsSpec,
}

#[derive(Debug, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
struct ClaimsSpec {
    #[serde(default)]
    parent_refs: Vec<ParentRef>,
    #[serde(default)]
    hostnames: Vec<At<Hostname>>,
}

impl Kind for Claims {
    const API_VERSIONS: &'static [&'static str] = TlsRoute::API_VERSIONS;
    const KIND: &'static str = TlsRoute::KIND;
    const NAMESPACED: bool = TlsRoute::NAMESPACED;
}

pub(super) fn l4_route(parsed: &Parsed) -> Option<Body> {
    let mut reduced = header_only(parsed);
    keep(
        field_mut(&mut reduced.root, "spec")?,
        &["parentRefs", "hostnames"],
    );
    let spec = read::<Claims>(&reduced)?.spec;
    let (parent_refs, rules) = (spec.parent_refs, Vec::new());
    let body = match parsed.kind.as_str() {
        // Without a name it would claim all.
        "TLSRoute" if spec.hostnames.is_empty() => return None,
        "TLSRoute" => Body::TlsRoute(Box::new(TlsRoute {
            spec: TlsRouteSpec {
                parent_refs,
                hostnames: spec.hostnames,
                rules,
                use_default_gateways: None,
            },
        })),
        _ => Body::TcpRoute(Box::new(TcpRoute {
            spec: TcpRouteSpec {
                parent_refs,
                rules,
                use_default_gateways: None,
            },
        })),
    };
    rules::check(&body).is_empty().then_some(body)
}

/// The part of a BackendTLSPolicy that says which backends must not be reached without TLS.
#[derive(Debug, Deserialize, JsonSchema)]
struct TlsTargets {
    spec: TlsTargetsSpec,
}

#[derive(Debug, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
struct TlsTargetsSpec {
    target_refs: Vec<PolicyTarget>,
}

impl Kind for TlsTargets {
    const API_VERSIONS: &'static [&'static str] = BackendTlsPolicy::API_VERSIONS;
    const KIND: &'static str = BackendTlsPolicy::KIND;
    const NAMESPACED: bool = BackendTlsPolicy::NAMESPACED;
}

pub(super) fn backend_tls(parsed: &Parsed) -> Option<Body> {
    let mut reduced = header_only(parsed);
    keep(field_mut(&mut reduced.root, "spec")?, &["targetRefs"]);
    let target_refs = read::<TlsTargets>(&reduced)?.spec.target_refs;
    Some(Body::BackendTlsPolicy(Box::new(BackendTlsPolicy {
        spec: BackendTlsPolicySpec {
            target_refs,
            validation: At::nowhere(BackendTlsValidation {
                ca_certificate_refs: Vec::new(),
                well_known: None,
                hostname: At::nowhere(PreciseHostname(String::new())),
                subject_alt_names: Vec::new(),
            }),
            options: TlsOptions::default(),
        },
    })))
}
