//! What is bound in the end: each address once, with its listeners by host.

use foldhash::HashMap;
use std::collections::BTreeMap;
use std::collections::BTreeSet;
use std::net::SocketAddr;
use std::sync::Arc;

use tidegate_core::host::HostMap;
use tidegate_core::host::HostPattern;
use tidegate_core::route::RouteTable;
use tidegate_core::snapshot::Bind;
use tidegate_core::snapshot::Listener as CoreListener;
use tidegate_core::snapshot::PluginId;
use tidegate_core::snapshot::Protocol;
use tidegate_core::tcp::DEFAULT_IDLE;
use tidegate_core::tcp::TcpRule;
use tidegate_core::tls::TlsName;

use super::client_settings::ClientSettings;
use super::gateways::GatewayPlan;
use super::gateways::Gateways;
use super::listeners::Class;
use super::listeners::Connections;
use super::listeners::ListenerPlan;
use super::plugins::PluginTable;
use super::policies::Policies;
use super::world::Candidate;
use crate::draft::PluginType;
use crate::rules::ListenerProtocol;

/// An address, and who shares it: of port 0 each class has its own, and each listener for TCP.
type Slot = (SocketAddr, Class, Option<String>);

/// The host of a listener, the name that it or a route of it claims, and what happens there.
type Claim = (HostPattern, HostPattern, Arc<TlsName>);

/// What shares an address.
#[derive(Debug, Default)]
struct Shared {
    listeners: HostMap<Arc<CoreListener>>,
    names: Vec<Claim>,
    tcp: Option<Arc<TcpRule>>,
    /// Whether anybody can be served there.
    is_usable: bool,
}

/// All binds of all Gateways.
pub(super) fn binds(
    gateways: Gateways<'_>,
    policies: &Policies<'_>,
    plugins: &PluginTable<'_>,
) -> Vec<Arc<Bind>> {
    let mut binds = Vec::new();
    let mut listeners = gateways.listeners.into_iter();
    for plan in gateways.gateways {
        let settings = policies.of_gateway(plan.candidate);
        let mut slots: BTreeMap<Slot, Shared> = BTreeMap::new();
        for listener in listeners.by_ref().take(plan.listeners.len()) {
            enter(&mut slots, plan.candidate, listener, &settings, plugins);
        }
        slots.retain(|_, shared| shared.is_usable);
        let is_several = slots.len() > 1;
        for (slot, shared) in slots {
            binds.push(Arc::new(bind(&plan, slot, shared, is_several, &settings)));
        }
    }
    binds
}

fn bind(
    plan: &GatewayPlan<'_>,
    (address, class, own): Slot,
    shared: Shared,
    is_several: bool,
    settings: &ClientSettings,
) -> Bind {
    let name = plan.candidate.full_name();
    let name = match address.ip() {
        ip if is_several && !ip.is_unspecified() => format!("{name}@{address}"),
        _ => format!("{name}:{}", address.port()),
    };
    // Binds of port 0 are told apart by their names.
    let name = match (address.port(), class, own) {
        (0, Class::Tls, _) => format!("{name}/tls"),
        (0, Class::Tcp, Some(own)) => format!("{name}/{own}"),
        _ => name,
    };
    Bind {
        name: name.into(),
        address,
        trusted_hops: settings.trusted_hops,
        forward_client_cert: settings.forward_client_cert,
        timeouts: settings.timeouts,
        sizes: settings.sizes,
        access_log: settings.access_log,
        protocol: match (class, shared.tcp) {
            (Class::Tls, _) => Protocol::Tls(by_name(shared.names)),
            (Class::Tcp, Some(rule)) => Protocol::Tcp(rule),
            (Class::Http | Class::Tcp, _) => Protocol::Http,
        },
        proxy_protocol: settings.proxy_protocol,
        listeners: shared.listeners,
    }
}

/// Puts a listener to those that share its addresses.
fn enter(
    slots: &mut BTreeMap<Slot, Shared>,
    gateway: &Candidate,
    mut plan: ListenerPlan<'_>,
    settings: &ClientSettings,
    plugins: &PluginTable<'_>,
) {
    let Some(protocol) = plan.protocol else {
        return;
    };
    let class = Class::of(protocol);
    let section = plan.listener.name.as_str();
    let is_usable = plan.is_usable();
    let made = make(gateway, &mut plan, protocol, settings, plugins);
    for address in plan.addresses {
        let own = (address.port() == 0 && class == Class::Tcp).then(|| section.to_owned());
        let shared = slots.entry((address, class, own)).or_default();
        shared.is_usable |= is_usable;
        if let Some(listener) = &made.listener {
            let listener = Arc::clone(listener);
            shared.listeners.insert(plan.host.clone(), listener);
        }
        for (name, one) in &made.names {
            let claim = (plan.host.clone(), name.clone(), Arc::clone(one));
            shared.names.push(claim);
        }
        shared.tcp = shared.tcp.take().or_else(|| made.tcp.clone());
    }
}

/// What a listener comes to, wherever it is bound.
#[derive(Default)]
struct Made {
    listener: Option<Arc<CoreListener>>,
    names: Vec<(HostPattern, Arc<TlsName>)>,
    tcp: Option<Arc<TcpRule>>,
}

fn make(
    gateway: &Candidate,
    plan: &mut ListenerPlan<'_>,
    protocol: ListenerProtocol,
    settings: &ClientSettings,
    plugins: &PluginTable<'_>,
) -> Made {
    let section = plan.listener.name.as_str();
    let name: Arc<str> = format!("{}/{section}", gateway.full_name()).into();
    let of_gateway = |kind| plugins.of("Gateway", gateway, Some(section), kind);
    let termination = plan.tls.as_ref().map(|tls| Arc::clone(&tls.termination));
    let mut made = Made::default();
    if matches!(protocol, ListenerProtocol::Http | ListenerProtocol::Https) {
        let listener = Arc::new(CoreListener {
            name,
            plugins: of_gateway(PluginType::Http),
            routes: RouteTable::build(std::mem::take(&mut plan.entries)),
        });
        if let Some(termination) = termination {
            let one = TlsName::Http {
                termination,
                listener: Arc::clone(&listener),
            };
            made.names.push((plan.host.clone(), Arc::new(one)));
        }
        made.listener = Some(listener);
        return made;
    }
    let network = of_gateway(PluginType::Network);
    let to = |connections| Arc::new(tcp_rule(&name, &network, connections, settings));
    if protocol == ListenerProtocol::Tcp {
        let route = plan.connections.values().next();
        made.tcp = Some(to(route.map(|route| &**route)));
        return made;
    }
    let ended = |rule| {
        Arc::new(match &termination {
            Some(termination) => TlsName::Tcp {
                termination: Arc::clone(termination),
                rule,
            },
            None => TlsName::Passthrough(rule),
        })
    };
    // What no route has is closed, and not left to a listener with a less specific host.
    let left = (plan.host.clone(), ended(to(None)));
    made.names.push(left);
    let mut by_route: HashMap<usize, Arc<TlsName>> = HashMap::default();
    for (host, route) in &plan.connections {
        let one = by_route
            .entry(Arc::as_ptr(route).addr())
            .or_insert_with(|| ended(to(Some(route))));
        made.names.push((host.clone(), Arc::clone(one)));
    }
    made
}

/// Where connections of a listener go; without a route they are closed.
fn tcp_rule(
    listener: &Arc<str>,
    of_gateway: &[PluginId],
    connections: Option<&Connections>,
    settings: &ClientSettings,
) -> TcpRule {
    let mut plugins = of_gateway.to_vec();
    let (name, backends, idle) = match connections {
        Some(one) => {
            plugins.extend(&one.plugins);
            (Arc::from(one.name.as_str()), one.backends.clone(), one.idle)
        }
        None => (Arc::clone(listener), Vec::new(), None),
    };
    TcpRule {
        name,
        listener: Arc::clone(listener),
        plugins,
        backends,
        idle: idle.or(settings.tcp_idle).unwrap_or(DEFAULT_IDLE),
    }
}

/// Who has which name: the listener with the most specific host, and of its routes the most specific
/// one. A route of another listener has none of that listener's names.
fn by_name(claims: Vec<Claim>) -> HostMap<Arc<TlsName>> {
    let hosts: BTreeSet<HostPattern> = claims.iter().map(|(host, ..)| host.clone()).collect();
    let is_within =
        |name: &HostPattern, host: &HostPattern| name.intersect(host).as_ref() == Some(name);
    let mut names = HostMap::default();
    for (host, name, one) in claims {
        let belongs_to = |other: &HostPattern| {
            *other != host && is_within(other, &host) && is_within(&name, other)
        };
        if !hosts.iter().any(belongs_to) {
            names.insert(name, one);
        }
    }
    names
}
