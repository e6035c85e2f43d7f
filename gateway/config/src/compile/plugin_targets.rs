//! Whether Plugins fit what they are for.

use super::plugin_decl;
use super::report::Refusal;
use super::targets::check_target;
use super::world::Candidate;
use super::world::State;
use super::world::World;
use crate::draft::PluginType;
use crate::kinds::Body;
use crate::kinds::gateway::Listener;
use crate::kinds::policy::PolicyTarget;
use crate::rules;
use crate::rules::ListenerProtocol;

/// Whether all targets of what served before are there; `None` if nothing did.
pub(super) fn fitted_before(world: &World<'_>, candidate: &Candidate) -> Option<bool> {
    let before = candidate.before()?;
    let Body::Plugin(plugin) = before.body() else {
        return None;
    };
    let kind = plugin_decl::kind(plugin);
    let mut targets = plugin.spec.target_refs.iter();
    Some(targets.all(|target| {
        let found = check_target(world, &before, target);
        found
            .and_then(|()| check_listeners(world, &before, target, kind))
            .is_ok()
    }))
}

/// A Gateway or listener that a plugin is for must speak what it understands.
pub(super) fn check_listeners(
    world: &World<'_>,
    candidate: &Candidate,
    target: &PolicyTarget,
    kind: PluginType,
) -> Result<(), Refusal> {
    let found = world
        .get("Gateway", candidate.namespace(), &target.name)
        .filter(|found| found.state != State::Salvaged && target.kind.as_str() == "Gateway");
    let Some(Body::Gateway(gateway)) = found.map(|found| found.body()) else {
        return Ok(());
    };
    let section = target.section_name.as_ref();
    let mut meant = gateway.spec.listeners.iter().filter(|listener| {
        section.is_none_or(|section| section.as_str() == listener.name.as_str())
    });
    if meant.any(|listener| fits(listener, kind)) {
        return Ok(());
    }
    let (what, hint) = match kind {
        PluginType::Network => (
            "connections, and HTTP comes out of",
            "name a listener for TCP or TLS, or make it a Plugin of `type: Http`",
        ),
        PluginType::Http | PluginType::Service => (
            "HTTP requests, and only bytes come out of",
            "name a listener for HTTP or HTTPS, or make it a Plugin of `type: Network`",
        ),
    };
    let of = match section {
        Some(section) => format!("the listener `{}`", **section),
        None => format!("all listeners of the Gateway `{}`", *target.name),
    };
    Err(Refusal {
        span: section.map_or(target.name.span, |section| section.span),
        reason: "TargetNotFound",
        message: format!("the Plugin filters {what} {of}"),
        hint: Some(hint.to_owned()),
    })
}

/// Whether what comes out of a listener is what a plugin understands.
fn fits(listener: &Listener, kind: PluginType) -> bool {
    match rules::protocol(listener) {
        Some(ListenerProtocol::Http | ListenerProtocol::Https) => kind == PluginType::Http,
        Some(ListenerProtocol::Tls(_) | ListenerProtocol::Tcp) => kind == PluginType::Network,
        // That nobody speaks it is said already.
        None => true,
    }
}
