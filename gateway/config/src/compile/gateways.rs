//! Gateways: which are ours, what their listeners claim, and what is bound in the end.

use foldhash::HashMap;
use std::collections::BTreeMap;
use std::net::IpAddr;
use std::net::SocketAddr;
use std::sync::Arc;

use tidegate_core::host::HostMap;
use tidegate_core::host::HostPattern;
use tidegate_core::route::Entry;
use tidegate_core::route::RouteTable;
use tidegate_core::snapshot::Bind;
use tidegate_core::snapshot::Listener as CoreListener;
use tidegate_core::snapshot::Protocol;

use super::gateway_parts::addresses;
use super::gateway_parts::route_kinds;
use super::gateway_parts::standing;
use super::gateway_parts::unsupported_protocol;
use super::plugins::PluginTable;
use super::policies::Policies;
use super::report::Refusal;
use super::report::Report;
use super::world::Candidate;
use super::world::World;
use crate::draft::Condition;
use crate::kinds::Body;
use crate::kinds::gateway::Listener;

/// A Gateway and what becomes of it.
#[derive(Debug)]
pub(crate) struct GatewayPlan<'a> {
    pub(crate) candidate: &'a Candidate,
    pub(crate) standing: Standing,
    /// Where its listeners are among all.
    pub(crate) listeners: std::ops::Range<usize>,
}

/// Whether a Gateway is served.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Standing {
    /// By us.
    Ours,
    /// By another program.
    Foreign,
    /// By nobody: it is refused.
    Refused,
}

/// A listener and what becomes of it.
#[derive(Debug)]
pub(crate) struct ListenerPlan<'a> {
    pub(crate) listener: &'a Listener,
    pub(crate) host: HostPattern,
    /// What it is bound to; nothing if it cannot be.
    pub(crate) addresses: Vec<SocketAddr>,
    /// Whether HTTPRoutes may attach as far as kinds go.
    pub(crate) takes_http: bool,
    /// Whether all kinds of routes that it names are known.
    knows_kinds: bool,
    pub(crate) entries: Vec<Entry>,
    pub(crate) attached: usize,
    problem: Option<(&'static str, &'static str, String)>,
}

/// All Gateways and listeners.
#[derive(Debug)]
pub(crate) struct Gateways<'a> {
    pub(crate) gateways: Vec<GatewayPlan<'a>>,
    pub(crate) listeners: Vec<ListenerPlan<'a>>,
    by_name: HashMap<(&'a str, &'a str), usize>,
    /// Who has an address; port 0 is not among them.
    claims: BTreeMap<SocketAddr, usize>,
}

impl<'a> Gateways<'a> {
    pub(crate) fn new(world: &World<'a>, report: &mut Report) -> Self {
        let mut all = Self {
            gateways: Vec::new(),
            listeners: Vec::new(),
            by_name: HashMap::default(),
            claims: BTreeMap::new(),
        };
        for candidate in world.all("Gateway") {
            let Body::Gateway(gateway) = candidate.body() else {
                continue;
            };
            let standing = standing(world, candidate, gateway, report);
            let start = all.listeners.len();
            let index = all.gateways.len();
            if standing == Standing::Ours {
                let addresses = addresses(gateway);
                for listener in &gateway.spec.listeners {
                    let plan = all.plan(index, candidate, &addresses, listener, report);
                    all.listeners.push(plan);
                }
            }
            let key = (candidate.namespace(), candidate.name());
            all.by_name.insert(key, index);
            all.gateways.push(GatewayPlan {
                candidate,
                standing,
                listeners: start..all.listeners.len(),
            });
        }
        all
    }

    /// A Gateway by namespace and name.
    pub(crate) fn get(&self, namespace: &str, name: &str) -> Option<&GatewayPlan<'a>> {
        self.gateways.get(*self.by_name.get(&(namespace, name))?)
    }

    fn plan(
        &mut self,
        gateway: usize,
        candidate: &'a Candidate,
        addresses: &[IpAddr],
        listener: &'a Listener,
        report: &mut Report,
    ) -> ListenerPlan<'a> {
        let host = listener
            .hostname
            .as_ref()
            .and_then(|hostname| HostPattern::parse(hostname).ok());
        let kinds = route_kinds(candidate, listener, report);
        let mut plan = ListenerPlan {
            listener,
            host: host.unwrap_or(HostPattern::Any),
            addresses: Vec::new(),
            takes_http: kinds.http,
            knows_kinds: kinds.all_known,
            entries: Vec::new(),
            attached: 0,
            problem: None,
        };
        if listener.protocol.as_str() != "HTTP" {
            let refusal = unsupported_protocol(listener);
            plan.problem = Some(("Accepted", refusal.reason, refusal.message.clone()));
            plan.takes_http = false;
            report.error(candidate, refusal);
            return plan;
        }
        for ip in addresses {
            let address = SocketAddr::new(*ip, listener.port.value);
            match self.conflict(gateway, address) {
                Some(conflict) => {
                    let refusal = Refusal {
                        span: listener.port.span,
                        reason: "PortUnavailable",
                        message: format!("cannot listen on {address}: {conflict}"),
                        hint: Some("choose another port or address".to_owned()),
                    };
                    plan.problem =
                        Some(("Programmed", "AddressNotUsable", refusal.message.clone()));
                    report.error(candidate, refusal);
                }
                None => {
                    if address.port() != 0 {
                        self.claims.insert(address, gateway);
                    }
                    plan.addresses.push(address);
                }
            }
        }
        plan
    }

    /// Who stands in the way of an address.
    fn conflict(&self, gateway: usize, address: SocketAddr) -> Option<String> {
        if address.port() == 0 {
            return None;
        }
        let (taken, owner) = self.claims.iter().find(|(taken, owner)| {
            let overlaps = taken.port() == address.port()
                && taken.is_ipv4() == address.is_ipv4()
                && (taken.ip().is_unspecified()
                    || address.ip().is_unspecified()
                    || taken.ip() == address.ip());
            overlaps && !(**owner == gateway && **taken == address)
        })?;
        let owner = self.gateways.get(*owner);
        let owner = owner.map_or_else(
            || "this Gateway".to_owned(),
            |owner| format!("Gateway `{}`", owner.candidate.full_name()),
        );
        Some(format!("{owner} listens on {taken}"))
    }

    /// Conditions of Gateways and listeners, once it is known how many routes attached.
    pub(crate) fn report_attached(&self, report: &mut Report) {
        for plan in self
            .gateways
            .iter()
            .filter(|plan| plan.standing == Standing::Ours)
        {
            let mut programmed = 0;
            let listeners = self
                .listeners
                .get(plan.listeners.clone())
                .unwrap_or_default();
            for listener in listeners {
                programmed += usize::from(!listener.addresses.is_empty());
                for condition in listener.conditions() {
                    report.condition(plan.candidate, condition);
                }
            }
            let all = listeners.len();
            let (accepted, accepted_reason) = match programmed {
                0 => (false, "ListenersNotValid"),
                some if some < all => (true, "ListenersNotValid"),
                _ => (true, "Accepted"),
            };
            let message = format!("{programmed} of {all} listeners can be bound");
            for (kind, status, reason) in [
                ("Accepted", accepted, accepted_reason),
                (
                    "Programmed",
                    programmed > 0,
                    if programmed > 0 {
                        "Programmed"
                    } else {
                        "Invalid"
                    },
                ),
            ] {
                report.condition(
                    plan.candidate,
                    Condition {
                        kind,
                        status,
                        reason,
                        message: message.clone(),
                        about: None,
                    },
                );
            }
        }
    }

    /// What is bound: each address once, with its listeners by host.
    pub(crate) fn into_binds(
        self,
        policies: &Policies<'_>,
        plugins: &PluginTable<'_>,
    ) -> Vec<Arc<Bind>> {
        let mut binds = Vec::new();
        let mut listeners = self.listeners.into_iter();
        for plan in self.gateways {
            let mut by_address: BTreeMap<SocketAddr, HostMap<Arc<CoreListener>>> = BTreeMap::new();
            for listener in listeners.by_ref().take(plan.listeners.len()) {
                let name = listener.listener.name.as_str();
                let core = Arc::new(CoreListener {
                    name: format!("{}/{name}", plan.candidate.full_name()).into(),
                    plugins: plugins.of("Gateway", plan.candidate, Some(name)),
                    routes: RouteTable::build(listener.entries),
                });
                for address in listener.addresses {
                    let hosts = by_address.entry(address).or_default();
                    hosts.insert(listener.host.clone(), Arc::clone(&core));
                }
            }
            let settings = policies.of_gateway(plan.candidate);
            let is_several = by_address.len() > 1;
            for (address, listeners) in by_address {
                let name = plan.candidate.full_name();
                let name = match address.ip() {
                    ip if is_several && !ip.is_unspecified() => format!("{name}@{address}"),
                    _ => format!("{name}:{}", address.port()),
                };
                binds.push(Arc::new(Bind {
                    name: name.into(),
                    address,
                    trusted_hops: settings.trusted_hops,
                    timeouts: settings.timeouts,
                    sizes: settings.sizes,
                    access_log: settings.access_log,
                    protocol: Protocol::Http,
                    proxy_protocol: false,
                    listeners,
                }));
            }
        }
        binds
    }
}

impl ListenerPlan<'_> {
    fn conditions(&self) -> Vec<Condition> {
        let bad = self.problem.as_ref();
        let is_accepted = bad.is_none_or(|(kind, ..)| *kind != "Accepted");
        let is_bound = !self.addresses.is_empty();
        let condition =
            |kind, status: bool, good: &'static str, otherwise: &'static str| Condition {
                kind,
                status,
                reason: match (status, bad) {
                    (true, _) => good,
                    (false, Some((about, reason, _))) if *about == kind => reason,
                    (false, _) => otherwise,
                },
                message: match (status, bad) {
                    (false, Some((.., message))) => message.clone(),
                    _ => format!("{} routes attached", self.attached),
                },
                about: Some(self.listener.name.to_string()),
            };
        vec![
            condition("Accepted", is_accepted, "Accepted", "Invalid"),
            condition("Programmed", is_bound, "Programmed", "Invalid"),
            condition(
                "ResolvedRefs",
                self.knows_kinds,
                "ResolvedRefs",
                "InvalidRouteKinds",
            ),
            Condition {
                kind: "Conflicted",
                status: false,
                reason: "NoConflicts",
                message: String::new(),
                about: Some(self.listener.name.to_string()),
            },
        ]
    }
}
