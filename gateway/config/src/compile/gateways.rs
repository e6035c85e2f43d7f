//! Gateways: which are ours, and which addresses their listeners claim.

use foldhash::HashMap;
use std::collections::BTreeMap;
use std::net::IpAddr;
use std::net::SocketAddr;

use tidegate_core::host::HostPattern;
use tidegate_core::tls::CertificateId;

use super::gateway_parts::addresses;
use super::gateway_parts::route_kinds;
use super::gateway_parts::standing;
use super::gateway_parts::unsupported_protocol;
use super::listeners::ListenerPlan;
use super::listeners::conflicts;
use super::report::Refusal;
use super::report::Report;
use super::tls::GatewayTrust;
use super::tls::Trouble;
use super::trust::Trust;
use super::world::Candidate;
use super::world::World;
use crate::draft::Condition;
use crate::kinds::Body;
use crate::kinds::gateway::Listener;
use crate::rules::protocol;

/// A Gateway and what becomes of it.
#[derive(Debug)]
pub(crate) struct GatewayPlan<'a> {
    pub(crate) candidate: &'a Candidate,
    pub(crate) standing: Standing,
    /// What is shown to backends on its behalf.
    pub(crate) client_certificate: Option<CertificateId>,
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
    pub(crate) fn new(world: &World<'a>, trust: &mut Trust<'a>, report: &mut Report) -> Self {
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
            let mut client_certificate = None;
            if standing == Standing::Ours {
                let settings = GatewayTrust::new(trust, candidate, gateway, report);
                client_certificate = settings.client_certificate;
                let addresses = addresses(gateway);
                let conflicts = conflicts(&gateway.spec.listeners);
                for (listener, conflict) in gateway.spec.listeners.iter().zip(conflicts) {
                    let mut plan = plan(candidate, listener, conflict, report);
                    plan.tls = settings.listener(trust, candidate, listener, report);
                    if plan.problem.is_none() {
                        all.bind(index, candidate, &addresses, &mut plan, report);
                    }
                    all.listeners.push(plan);
                }
            }
            let key = (candidate.namespace(), candidate.name());
            all.by_name.insert(key, index);
            all.gateways.push(GatewayPlan {
                candidate,
                standing,
                client_certificate,
                listeners: start..all.listeners.len(),
            });
        }
        all
    }

    /// A Gateway by namespace and name.
    pub(crate) fn get(&self, namespace: &str, name: &str) -> Option<&GatewayPlan<'a>> {
        self.gateways.get(*self.by_name.get(&(namespace, name))?)
    }

    /// Claims the addresses of a listener that nobody has.
    fn bind(
        &mut self,
        gateway: usize,
        candidate: &Candidate,
        addresses: &[IpAddr],
        plan: &mut ListenerPlan<'a>,
        report: &mut Report,
    ) {
        let port = &plan.listener.port;
        for ip in addresses {
            let address = SocketAddr::new(*ip, port.value);
            match self.conflict(gateway, address) {
                Some(conflict) => {
                    let refusal = Refusal {
                        span: port.span,
                        reason: "PortUnavailable",
                        message: format!("cannot listen on {address}: {conflict}"),
                        hint: Some("choose another port or address".to_owned()),
                    };
                    let trouble = ("AddressNotUsable", refusal.message.clone());
                    plan.problem = Some(("Programmed", trouble));
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
    }

    /// What all our Gateways show to backends; nothing if they differ.
    pub(crate) fn common_certificate(&self) -> Option<CertificateId> {
        let ours = self.gateways.iter();
        let mut ours = ours.filter(|plan| plan.standing == Standing::Ours);
        let first = ours.next()?.client_certificate;
        first.filter(|_| ours.all(|plan| plan.client_certificate == first))
    }

    /// The Gateway that a listener is of, by its place among all.
    pub(crate) fn of_listener(&self, index: usize) -> Option<&GatewayPlan<'a>> {
        let mut gateways = self.gateways.iter();
        gateways.find(|plan| plan.listeners.contains(&index))
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
                programmed += usize::from(listener.is_usable());
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
}

/// What a listener says about itself alone.
fn plan<'a>(
    candidate: &'a Candidate,
    listener: &'a Listener,
    conflict: Option<Trouble>,
    report: &mut Report,
) -> ListenerPlan<'a> {
    let host = listener
        .hostname
        .as_ref()
        .and_then(|hostname| HostPattern::parse(hostname).ok());
    let protocol = protocol(listener);
    let mut problem = None;
    if protocol.is_none() {
        let refusal = unsupported_protocol(listener);
        problem = Some(("Accepted", (refusal.reason, refusal.message.clone())));
        report.error(candidate, refusal);
    }
    if let Some((reason, message)) = &conflict {
        problem = Some(("Accepted", (*reason, message.clone())));
        let refusal = Refusal {
            span: listener.port.span,
            reason,
            message: message.clone(),
            hint: Some("choose another port; HTTPS and TLS can share one by hostname".to_owned()),
        };
        report.error(candidate, refusal);
    }
    ListenerPlan {
        listener,
        host: host.unwrap_or(HostPattern::Any),
        protocol,
        addresses: Vec::new(),
        kinds: route_kinds(candidate, listener, protocol, report),
        tls: None,
        entries: Vec::new(),
        connections: BTreeMap::new(),
        attached: 0,
        taken: Vec::new(),
        problem,
        conflict,
    }
}
