//! What can be used of a resource that is not as its kind wants it, so that its requests are answered
//! with an error and not by somebody else.
//!
//! Of a route that is where it attaches, and what its rules match; of a Plugin that is what it is for,
//! and what is to happen without it; of a BackendTLSPolicy or a policy of Istio that is what it is for.

mod connections;
mod istio;

use schemars::JsonSchema;
use serde::Deserialize;

use crate::kinds::Body;
use crate::kinds::OWN_CLASS;
use crate::kinds::backend::Backend;
use crate::kinds::backend::BackendSpec;
use crate::kinds::gateway::Gateway;
use crate::kinds::gateway::GatewaySpec;
use crate::kinds::grpc_route::GrpcRoute;
use crate::kinds::http_route::HttpRoute;
use crate::kinds::plugin::FailurePolicy;
use crate::kinds::plugin::Plugin;
use crate::kinds::plugin::PluginMode;
use crate::kinds::plugin::PluginPhase;
use crate::kinds::plugin::PluginSource;
use crate::kinds::plugin::PluginSpec;
use crate::kinds::plugin::PluginType;
use crate::kinds::policy::PolicyTarget;
use crate::kinds::service::Service;
use crate::kinds::service::ServiceSpec;
use crate::kinds::text::ObjectName;
use crate::parse::Parsed;
use crate::place::At;
use crate::rules;
use crate::schema::Checker;
use crate::schema::Kind;
use crate::tree::Node;
use crate::tree::Value;

/// What is left of a resource that was refused; `None` if nothing can be used.
pub(super) fn body(parsed: &Parsed) -> Option<Body> {
    match parsed.kind.as_str() {
        "HTTPRoute" => route(parsed, good_http),
        "GRPCRoute" => route(parsed, good_grpc),
        "TLSRoute" | "TCPRoute" => connections::l4_route(parsed),
        "BackendTLSPolicy" => connections::backend_tls(parsed),
        "Plugin" => plugin(parsed),
        "AuthorizationPolicy" => Some(istio::authorization(parsed)),
        "RequestAuthentication" => Some(istio::authentication(parsed)),
        kind => empty(kind),
    }
}

/// Something that exists without being of use, so that references to it are not called dangling: what
/// refuses it has been reported.
fn empty(kind: &str) -> Option<Body> {
    let body = match kind {
        "Gateway" => Body::Gateway(Box::new(Gateway {
            spec: GatewaySpec {
                gateway_class_name: At::nowhere(ObjectName(OWN_CLASS.to_owned())),
                listeners: Vec::new(),
                addresses: Vec::new(),
                infrastructure: None,
                allowed_listeners: None,
                tls: None,
                default_scope: None,
            },
        })),
        "Backend" => Body::Backend(Box::new(Backend {
            spec: BackendSpec {
                endpoints: None,
                endpoints_file: None,
                dns: None,
                protocol: None,
                proxy_protocol: None,
                allow_link_local: None,
            },
        })),
        "Service" => Body::Service(Box::new(Service {
            spec: ServiceSpec::default(),
        })),
        "Secret" => Body::Secret(Box::default()),
        "ConfigMap" => Body::ConfigMap(Box::default()),
        "Certificate" => Body::Certificate(Box::default()),
        _ => return None,
    };
    Some(body)
}

/// Parts of an HTTPRoute that matches need.
const ROUTE_FIELDS: [&str; 3] = ["parentRefs", "hostnames", "rules"];
const RULE_FIELDS: [&str; 1] = ["matches"];
/// Most rules of a route (Gateway API), and so most that are worth a look.
const MAX_RULES: usize = 16;

/// The rules whose matches can be read; for the others nothing could be answered. A route that has
/// none of those is left out: without rules it would claim all requests.
fn route(parsed: &Parsed, good_route: fn(&Parsed) -> Option<Body>) -> Option<Body> {
    let mut reduced = header_only(parsed);
    let spec = field_mut(&mut reduced.root, "spec")?;
    keep(spec, &ROUTE_FIELDS);
    let rules = match field_mut(spec, "rules").map(|rules| &mut rules.value) {
        Some(Value::Seq(rules)) => std::mem::take(rules),
        Some(Value::Null) | None => return good_route(&reduced),
        Some(_) => return None,
    };
    let had_rules = !rules.is_empty();
    let mut good = Vec::new();
    for mut rule in rules.into_iter().take(MAX_RULES) {
        keep(&mut rule, &RULE_FIELDS);
        *rules_mut(&mut reduced.root)? = vec![rule.clone()];
        if good_route(&reduced).is_some() {
            good.push(rule);
        }
    }
    if had_rules && good.is_empty() {
        return None;
    }
    *rules_mut(&mut reduced.root)? = good;
    good_route(&reduced)
}

fn good_http(reduced: &Parsed) -> Option<Body> {
    let body = Body::HttpRoute(Box::new(read::<HttpRoute>(reduced)?));
    rules::check(&body).is_empty().then_some(body)
}

fn good_grpc(reduced: &Parsed) -> Option<Body> {
    let body = Body::GrpcRoute(Box::new(read::<GrpcRoute>(reduced)?));
    rules::check(&body).is_empty().then_some(body)
}

fn rules_mut(root: &mut Node) -> Option<&mut Vec<Node>> {
    let spec = field_mut(root, "spec")?;
    match &mut field_mut(spec, "rules")?.value {
        Value::Seq(rules) => Some(rules),
        _ => None,
    }
}

/// The parts of a Plugin that say which requests need it.
#[derive(Debug, Deserialize, JsonSchema)]
struct PluginTargets {
    spec: PluginTargetsSpec,
}

#[derive(Debug, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
struct PluginTargetsSpec {
    failure_policy: Option<At<FailurePolicy>>,
    #[serde(rename = "type")]
    kind: Option<At<PluginType>>,
    mode: Option<At<PluginMode>>,
    phase: Option<At<PluginPhase>>,
    priority: Option<At<i32>>,
    #[serde(default)]
    target_refs: Vec<PolicyTarget>,
}

impl Kind for PluginTargets {
    const API_VERSIONS: &'static [&'static str] = Plugin::API_VERSIONS;
    const KIND: &'static str = Plugin::KIND;
    const NAMESPACED: bool = Plugin::NAMESPACED;
}

const TARGET_FIELDS: [&str; 6] = [
    "targetRefs",
    "type",
    "mode",
    "failurePolicy",
    "phase",
    "priority",
];

fn plugin(parsed: &Parsed) -> Option<Body> {
    let mut reduced = header_only(parsed);
    let mut spec = PluginTargetsSpec {
        failure_policy: None,
        kind: None,
        mode: None,
        phase: None,
        priority: None,
        target_refs: Vec::new(),
    };
    // The more of it can be read, the better; the targets matter most.
    for count in [TARGET_FIELDS.len(), 4, 3, 2, 1, 0] {
        let fields = TARGET_FIELDS.get(..count).unwrap_or_default();
        if let Some(spec) = field_mut(&mut reduced.root, "spec") {
            keep(spec, fields);
        }
        if let Some(read) = read::<PluginTargets>(&reduced) {
            spec = read.spec;
            break;
        }
    }
    Some(Body::Plugin(Box::new(Plugin {
        spec: PluginSpec {
            source: At::nowhere(PluginSource::default()),
            sha256: None,
            pull_policy: None,
            pull_interval: None,
            pull_secret: None,
            config: None,
            root_id: None,
            vm_id: None,
            vm_config: None,
            unknown_imports: None,
            env: Vec::new(),
            kind: spec.kind,
            mode: spec.mode,
            shadow: None,
            isolation: None,
            stop_iteration: None,
            strict: None,
            failure_policy: spec.failure_policy,
            limits: None,
            probation: None,
            allow: None,
            rollout: None,
            phase: spec.phase,
            priority: spec.priority,
            target_refs: spec.target_refs,
        },
    })))
}

fn read<T: Kind>(parsed: &Parsed) -> Option<T> {
    Checker::of::<T>().read(parsed, &mut Vec::new())
}

/// The resource with its spec and what names it, and nothing else that could be wrong.
fn header_only(parsed: &Parsed) -> Parsed {
    let mut reduced = parsed.clone();
    keep(
        &mut reduced.root,
        &["apiVersion", "kind", "metadata", "spec"],
    );
    if let Some(metadata) = field_mut(&mut reduced.root, "metadata") {
        keep(metadata, &["name", "namespace"]);
    }
    reduced.faulty = false;
    reduced
}

fn keep(node: &mut Node, fields: &[&str]) {
    if let Value::Map(entries) = &mut node.value {
        entries.retain(|(key, _)| fields.contains(&&*key.name));
    }
}

fn field_mut<'a>(node: &'a mut Node, name: &str) -> Option<&'a mut Node> {
    match &mut node.value {
        Value::Map(entries) => entries
            .iter_mut()
            .find(|(key, _)| &*key.name == name)
            .map(|(_, value)| value),
        _ => None,
    }
}
