//! One listener: what it speaks, what may attach to it, whether it can be bound.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use tidegate_core::host::HostPattern;
use tidegate_core::route::Entry;
use tidegate_core::route::WeightedBackend;
use tidegate_core::snapshot::PluginId;

use super::gateway_parts::RouteKinds;
use super::tls::ListenerTrust;
use super::tls::Trouble;
use crate::draft::Condition;
use crate::kinds::gateway::Listener;
use crate::resource::ResourceId;
use crate::rules::ListenerProtocol;

/// A listener and what becomes of it.
#[derive(Debug)]
pub(crate) struct ListenerPlan<'a> {
    pub(crate) listener: &'a Listener,
    pub(crate) host: HostPattern,
    /// What it speaks, if we do.
    pub(crate) protocol: Option<ListenerProtocol>,
    /// What it is bound to; nothing if it cannot be.
    pub(crate) addresses: Vec<SocketAddr>,
    /// Which kinds of routes may attach.
    pub(crate) kinds: RouteKinds,
    /// How TLS ends, if it ends here.
    pub(super) tls: Option<ListenerTrust>,
    /// The rules for its HTTP requests.
    pub(crate) entries: Vec<Entry>,
    /// Where its connections go, by the name they ask for.
    pub(crate) connections: BTreeMap<HostPattern, Arc<Connections>>,
    pub(crate) attached: usize,
    /// The hosts that routes for requests have, and which: a host has routes of one kind.
    pub(super) taken: Vec<(ResourceId, Vec<HostPattern>)>,
    /// The condition that does not hold, and why.
    pub(super) problem: Option<(&'static str, Trouble)>,
    /// The listener that it conflicts with, and how.
    pub(super) conflict: Option<Trouble>,
}

/// What a route says about connections.
#[derive(Debug, Clone)]
pub(crate) struct Connections {
    /// The route's `namespace/name`.
    pub(crate) name: String,
    pub(crate) plugins: Vec<PluginId>,
    pub(crate) backends: Vec<WeightedBackend>,
    /// How long one may be silent; the Gateway's if `None`.
    pub(crate) idle: Option<Duration>,
}

/// What listeners of one port have to share.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Class {
    Http,
    Tls,
    Tcp,
}

impl Class {
    pub(super) const fn of(protocol: ListenerProtocol) -> Self {
        match protocol {
            ListenerProtocol::Http => Self::Http,
            ListenerProtocol::Https | ListenerProtocol::Tls(_) => Self::Tls,
            ListenerProtocol::Tcp => Self::Tcp,
        }
    }
}

impl ListenerPlan<'_> {
    /// Whether anybody can be served: it is bound, and has a certificate if it needs one.
    pub(crate) fn is_usable(&self) -> bool {
        let is_barred = self.tls.as_ref().is_some_and(|tls| tls.barred.is_some());
        !self.addresses.is_empty() && !is_barred
    }

    pub(super) fn conditions(&self) -> Vec<Condition> {
        let barred = self.tls.as_ref().and_then(|tls| tls.barred.as_ref());
        let bad = self.problem.as_ref().or(barred);
        let is_accepted = bad.is_none_or(|(kind, _)| *kind != "Accepted");
        let attached = format!("{} routes attached", self.attached);
        let condition = |kind, status: bool, good: &'static str| {
            let (reason, message) = match (status, bad) {
                (true, _) => (good, attached.clone()),
                (false, Some((about, (reason, message)))) if *about == kind => {
                    (*reason, message.clone())
                }
                (false, Some((_, (_, message)))) => ("Invalid", message.clone()),
                (false, None) => ("Invalid", attached.clone()),
            };
            self.condition(kind, status, reason, message)
        };
        vec![
            condition("Accepted", is_accepted, "Accepted"),
            condition("Programmed", self.is_usable(), "Programmed"),
            self.resolved(attached.clone()),
            match &self.conflict {
                Some((reason, message)) => {
                    self.condition("Conflicted", true, reason, message.clone())
                }
                None => self.condition("Conflicted", false, "NoConflicts", String::new()),
            },
        ]
    }

    fn resolved(&self, attached: String) -> Condition {
        let kinds = (!self.kinds.all_known).then(|| ("InvalidRouteKinds", attached.clone()));
        let tls = self.tls.as_ref().and_then(|tls| tls.unresolved.clone());
        match kinds.or(tls) {
            Some((reason, message)) => self.condition("ResolvedRefs", false, reason, message),
            None => self.condition("ResolvedRefs", true, "ResolvedRefs", attached),
        }
    }

    fn condition(
        &self,
        kind: &'static str,
        status: bool,
        reason: &'static str,
        message: String,
    ) -> Condition {
        Condition {
            kind,
            status,
            reason,
            message,
            about: Some(self.listener.name.to_string()),
        }
    }
}

/// How each listener of a Gateway conflicts with others of it: then none of them is served (Gateway
/// API: `Listener`, "distinct").
pub(super) fn conflicts(listeners: &[Listener]) -> Vec<Option<Trouble>> {
    let claim = |listener: &Listener| {
        let class = Class::of(crate::rules::protocol(listener)?);
        Some((class, listener.port.value))
    };
    let of = |one: &Listener| -> Option<Trouble> {
        let (class, port) = claim(one)?;
        // Who asks for any free port gets one for each class.
        let others = listeners
            .iter()
            .filter(|other| other.name.value != one.name.value);
        let on_port: Vec<(Class, &Listener)> = others
            .filter_map(|other| Some((claim(other)?, other)))
            .filter(|((_, other_port), _)| *other_port == port)
            .map(|((class, _), other)| (class, other))
            .collect();
        let foreign = on_port
            .iter()
            .find(|(other, _)| port != 0 && *other != class);
        if let Some((_, other)) = foreign {
            let message = format!(
                "the listener `{}` speaks {} on port {port}, which cannot be shared with {}",
                *other.name, *other.protocol, *one.protocol
            );
            return Some(("ProtocolConflict", message));
        }
        let host = |listener: &Listener| listener.hostname.as_ref().map(|one| one.to_string());
        let same = on_port.iter().find(|(other, with)| {
            *other == class && class == Class::Tls && host(with) == host(one)
        })?;
        let message = format!(
            "the listener `{}` has the same port and hostname",
            *same.1.name
        );
        Some(("HostnameConflict", message))
    };
    listeners.iter().map(of).collect()
}
