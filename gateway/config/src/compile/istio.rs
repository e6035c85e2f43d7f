//! Istio's policies as plugins: which Gateways they hold for, and the plugins that these get.
//!
//! All AuthorizationPolicies that hold for one Gateway become one plugin there, because none of them
//! decides alone, and so do all RequestAuthentications. What cannot be used of them refuses the
//! requests of the Gateway: nobody passes because a policy is misspelt.

mod authentication;
mod authorization;
mod jwks;
mod targets;
mod tokens;

use std::sync::Arc;

use tidegate_core::snapshot::PluginName;

pub(crate) use authorization::DRY_RUN;

use super::Environment;
use super::backends::BackendTable;
use super::gateways::GatewayPlan;
use super::gateways::Gateways;
use super::gateways::Standing;
use super::plugin_decl;
use super::report::Refusal;
use super::report::Report;
use super::world::Candidate;
use super::world::State;
use super::world::World;
use crate::draft::Condition;
use crate::draft::PluginDecl;
use crate::draft::PluginSource;
use crate::draft::PluginType;
use crate::kinds::Body;
use crate::kinds::gateway::Gateway;
use crate::kinds::plugin::PluginPhase;
use crate::place::Span;
use crate::resource::ResourceId;
use crate::rules;
use crate::rules::ListenerProtocol;
use crate::rules::MAX_CONFIG_BYTES;
use crate::rules::json_bytes;
use crate::tree::Key;
use crate::tree::Node;
use crate::tree::Value;
use crate::written::Gathered;
use targets::check_targets;
use targets::conclude;
use targets::holds;

/// A plugin that a Gateway has because of Istio's policies.
pub(super) struct Generated {
    /// The Gateway's namespace and name.
    pub(super) gateway: (String, String),
    /// When it runs: after the Plugins of the same phase, as in Istio.
    pub(super) phase: PluginPhase,
    pub(super) decl: PluginDecl,
}

/// What both kinds have in common.
struct Form {
    /// The kind of the policies.
    kind: &'static str,
    /// What resources of the generated plugins are called.
    generated: &'static str,
    /// The filter that does the work.
    builtin: &'static str,
    phase: PluginPhase,
    /// Whether it is about connections too.
    judges_connections: bool,
    /// `None` if they say nothing.
    config: fn(&mut Gathering<'_, '_, '_>) -> Option<Node>,
}

const FORMS: [Form; 2] = [
    Form {
        kind: "RequestAuthentication",
        generated: crate::kinds::REQUEST_AUTHENTICATIONS,
        builtin: "jwt-auth",
        phase: PluginPhase::Authn,
        judges_connections: false,
        config: authentication::config,
    },
    Form {
        kind: "AuthorizationPolicy",
        generated: crate::kinds::AUTHORIZATION_POLICIES,
        builtin: "authz",
        phase: PluginPhase::Authz,
        judges_connections: true,
        config: authorization::config,
    },
];

/// What a configuration is made from.
struct Gathering<'g, 't, 'a> {
    policies: &'g [&'a Candidate],
    written: &'g mut Gathered,
    backends: &'g mut BackendTable<'t>,
    /// The backends that the plugin may call.
    called: Vec<Arc<str>>,
}

/// The plugins of all Gateways.
pub(super) fn plugins<'a>(
    world: &World<'a>,
    gateways: &Gateways<'a>,
    backends: &mut BackendTable<'_>,
    env: Environment<'_>,
    report: &mut Report,
) -> Vec<Generated> {
    let mut plugins = Vec::new();
    for form in &FORMS {
        let policies = world.all(form.kind);
        if policies.is_empty() {
            continue;
        }
        for policy in policies {
            check_targets(world, gateways, policy, env.root_namespace, report);
            authorization::remark(policy, report);
        }
        let mut used = vec![false; policies.len()];
        let ours = gateways.gateways.iter();
        for gateway in ours.filter(|plan| plan.standing == Standing::Ours) {
            let mut here: Vec<&Candidate> = Vec::new();
            for (policy, used) in policies.iter().zip(&mut used) {
                if holds(policy, gateway.candidate, env.root_namespace) {
                    *used = true;
                    here.push(policy);
                }
            }
            if here.is_empty() {
                continue;
            }
            plugins.extend(of_connections(form, gateway, &here, report));
            let decl = declare(form, gateway.candidate, &here, backends, env, report);
            plugins.extend(decl.map(|decl| Generated::of(form, gateway.candidate, decl)));
        }
        for (policy, used) in policies.iter().zip(used) {
            conclude(policy, used, report);
        }
    }
    tokens::remark(world, gateways, env.root_namespace, report);
    plugins
}

impl Generated {
    fn of(form: &Form, gateway: &Candidate, decl: PluginDecl) -> Self {
        Self {
            gateway: (gateway.namespace().to_owned(), gateway.name().to_owned()),
            phase: form.phase,
            decl,
        }
    }
}

/// The plugin of a Gateway; `None` if it had nothing to do.
fn declare(
    form: &Form,
    gateway: &Candidate,
    here: &[&Candidate],
    backends: &mut BackendTable<'_>,
    env: Environment<'_>,
    report: &mut Report,
) -> Option<PluginDecl> {
    let mut decl = refused(form.generated, gateway, here);
    for policy in here {
        report.condition(policy, attached(gateway));
    }
    if here.iter().any(|policy| policy.state == State::Salvaged) {
        return Some(decl);
    }
    let Some(builtin) = env.builtins.iter().find(|known| **known == form.builtin) else {
        for policy in here {
            report.error(policy, without_filter(form));
        }
        return Some(decl);
    };
    let mut written = Gathered::default();
    let mut gathering = Gathering {
        policies: here,
        written: &mut written,
        backends,
        called: Vec::new(),
    };
    let node = (form.config)(&mut gathering)?;
    decl.backends = gathering.called;
    decl.config = json_bytes(Some(&node.to_json()));
    if decl.config.len() > MAX_CONFIG_BYTES {
        for policy in here {
            report.error(policy, too_large(form, gateway));
        }
        return Some(decl);
    }
    decl.config_written = Some(written.end(node));
    decl.source = PluginSource::Builtin(builtin);
    Some(decl)
}

/// A plugin that refuses everything.
fn refused(kind: &'static str, gateway: &Candidate, here: &[&Candidate]) -> PluginDecl {
    let first = here.first().copied().unwrap_or(gateway);
    let place = first.place(first.version.content.name_span);
    let resource = ResourceId {
        kind,
        namespace: Arc::clone(&gateway.id().namespace),
        name: Arc::clone(&gateway.id().name),
    };
    let name = PluginName(format!("{}/{kind}", gateway.full_name()).into());
    let made_of = here.iter().map(|policy| {
        let place = policy.place(policy.version.content.name_span);
        (policy.id().clone(), place)
    });
    PluginDecl {
        made_of: made_of.collect(),
        ..plugin_decl::nothing(resource, name, place)
    }
}

/// Connections are not judged by rules yet: those of a Gateway with rules are closed.
fn of_connections(
    form: &Form,
    gateway: &GatewayPlan<'_>,
    here: &[&Candidate],
    report: &mut Report,
) -> Option<Generated> {
    let Body::Gateway(declared) = gateway.candidate.body() else {
        return None;
    };
    let enforced: Vec<&Candidate> = here
        .iter()
        .copied()
        .filter(|one| is_enforced(one))
        .collect();
    let listener = tcp_listener(declared)?;
    if !form.judges_connections || enforced.is_empty() {
        return None;
    }
    for policy in &enforced {
        let refusal = Refusal {
            span: policy.version.content.name_span,
            reason: "UnsupportedProtocol",
            message: format!(
                "rules about connections are not supported yet: those of the listener `{listener}` of Gateway \
                 `{}` are closed",
                gateway.candidate.full_name()
            ),
            hint: Some("name other Gateways in `targetRefs`".to_owned()),
        };
        report.partial(policy, refusal);
    }
    let mut decl = refused(form.generated, gateway.candidate, &enforced);
    decl.kind = PluginType::Network;
    decl.name = PluginName(format!("{}/connections", decl.name.0).into());
    decl.resource.name = format!("{}/connections", decl.resource.name).into();
    Some(Generated::of(form, gateway.candidate, decl))
}

/// Whether a policy refuses anything; one that is not understood does.
fn is_enforced(policy: &Candidate) -> bool {
    policy.state == State::Salvaged || authorization::is_enforced(policy)
}

fn tcp_listener(gateway: &Gateway) -> Option<&str> {
    let mut listeners = gateway.spec.listeners.iter();
    let found = listeners.find(|listener| {
        let protocol = rules::protocol(listener);
        matches!(
            protocol,
            Some(ListenerProtocol::Tls(_) | ListenerProtocol::Tcp)
        )
    });
    found.map(|listener| listener.name.as_str())
}

fn attached(gateway: &Candidate) -> Condition {
    Condition {
        kind: "Attached",
        status: true,
        reason: "Attached",
        message: String::new(),
        about: Some(gateway.full_name()),
    }
}

fn without_filter(form: &Form) -> Refusal {
    Refusal {
        span: Span::NONE,
        reason: "SourceNotFound",
        message: format!("the filter `{}` is not in this binary", form.builtin),
        hint: None,
    }
}

fn too_large(form: &Form, gateway: &Candidate) -> Refusal {
    Refusal {
        span: Span::NONE,
        reason: "ConfigRefused",
        message: format!(
            "all {} resources for Gateway `{}` have more than {MAX_CONFIG_BYTES} bytes together",
            form.kind,
            gateway.full_name()
        ),
        hint: None,
    }
}

/// An entry that nobody wrote.
fn entry(name: &str, value: Value) -> (Key, Node) {
    let span = Span::NONE;
    let key = Key {
        span,
        name: name.into(),
    };
    (key, Node { span, value })
}

fn text(text: &str) -> Value {
    Value::Str(text.into())
}

fn map(entries: Vec<(Key, Node)>) -> Node {
    Node {
        span: Span::NONE,
        value: Value::Map(entries),
    }
}
