//! What compiling a route needs and finds, whichever kind it is of.

use std::collections::BTreeMap;
use std::net::SocketAddr;

use tidegate_core::backend::BackendId;
use tidegate_core::route::WeightedBackend;
use tidegate_core::tls::CertificateId;

use super::Patterns;
use super::attach::Attachment;
use super::backends::BackendTable;
use super::backends::Sought;
use super::backends::Use;
use super::gateways::Gateways;
use super::plugins::PluginTable;
use super::policies::Policies;
use super::report::Refusal;
use super::report::Report;
use super::tls::Trouble;
use super::world::Candidate;
use super::world::World;
use crate::kinds::text::ObjectName;
use crate::place::At;

/// What routes are compiled with.
pub(crate) struct Tools<'t, 'a> {
    pub(crate) world: &'a World<'a>,
    pub(crate) policies: &'t Policies<'a>,
    pub(crate) backends: &'t mut BackendTable<'a>,
    pub(crate) plugins: &'t mut PluginTable<'a>,
    pub(crate) patterns: &'t mut Patterns,
}

/// What the references of a route came to.
#[derive(Debug)]
pub(crate) struct Outcome {
    /// The first reason why one leads nowhere.
    pub(super) unresolved: Option<Trouble>,
    /// The addresses that its requests come in at.
    pub(super) own: Vec<SocketAddr>,
    /// What its backends are for.
    pub(super) protocol: Use,
    /// What they are shown if they ask.
    pub(super) client_certificate: Option<CertificateId>,
}

impl Outcome {
    /// What is asked of its backends.
    pub(super) const fn sought(&self) -> Sought {
        Sought {
            protocol: self.protocol,
            client_certificate: self.client_certificate,
        }
    }

    pub(crate) fn refuse(&mut self, from: &Candidate, refusal: Refusal, report: &mut Report) {
        self.unresolved
            .get_or_insert_with(|| (refusal.reason, refusal.message.clone()));
        report.error(from, refusal);
    }

    /// A backend, or nothing if the reference leads nowhere.
    pub(crate) fn backend(
        &mut self,
        resolved: Result<Option<BackendId>, Refusal>,
        from: &Candidate,
        report: &mut Report,
    ) -> Option<BackendId> {
        match resolved {
            Ok(Some(id)) => Some(id),
            Ok(None) => {
                self.unresolved
                    .get_or_insert_with(|| ("BackendNotFound", "a backend is refused".to_owned()));
                None
            }
            Err(refusal) => {
                self.refuse(from, refusal, report);
                None
            }
        }
    }
}

/// Attachments by what their Gateways show to backends: a rule for each.
pub(super) fn by_certificate(
    gateways: &Gateways<'_>,
    attachments: &[Attachment],
) -> BTreeMap<Option<CertificateId>, Vec<Attachment>> {
    let mut groups: BTreeMap<_, Vec<Attachment>> = BTreeMap::new();
    for attachment in attachments {
        let gateway = gateways.of_listener(attachment.0);
        let certificate = gateway.and_then(|plan| plan.client_certificate);
        groups
            .entry(certificate)
            .or_default()
            .push(attachment.clone());
    }
    groups
}

/// The addresses that a route's requests come in at.
pub(super) fn addresses(gateways: &Gateways<'_>, attachments: &[Attachment]) -> Vec<SocketAddr> {
    let listeners = attachments
        .iter()
        .filter_map(|(index, _)| gateways.listeners.get(*index));
    listeners
        .flat_map(|one| one.addresses.iter().copied())
        .collect()
}

/// A request that comes back as it went would meet the same rule again, and again.
pub(super) fn break_loop(
    weighted: &mut WeightedBackend,
    name: &At<ObjectName>,
    candidate: &Candidate,
    tools: &mut Tools<'_, '_>,
    outcome: &mut Outcome,
    report: &mut Report,
) {
    let Some(id) = weighted.backend else {
        return;
    };
    let own = outcome.own.iter().copied();
    let Some(own) = own
        .into_iter()
        .find(|own| tools.backends.leads_to(id, *own))
    else {
        return;
    };
    weighted.backend = None;
    let refusal = Refusal {
        span: name.span,
        reason: "BackendNotFound",
        message: format!(
            "`{}` leads back to {own}, where the route's requests come in",
            **name
        ),
        hint: Some("name another endpoint or listen on another port".to_owned()),
    };
    outcome.refuse(candidate, refusal, report);
}
