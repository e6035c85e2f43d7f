//! Which backends are reached by TLS (Gateway API: `BackendTLSPolicy`).
//!
//! A policy that cannot be used bars its backends: they are never reached without TLS instead.

use foldhash::HashMap;
use std::sync::Arc;

use tidegate_core::tls::Origination;
use tidegate_core::tls::SubjectAltName;
use tidegate_core::tls::Trust as CoreTrust;

use super::policies::Key;
use super::policies::attach;
use super::report::Report;
use super::targets::check_target;
use super::tls;
use super::tls::Trouble;
use super::trust::Trust;
use super::trust_sources::TrustRef;
use super::world::Candidate;
use super::world::State;
use super::world::World;
use crate::draft::Condition;
use crate::kinds::Body;
use crate::kinds::certificate::BackendTlsPolicy;
use crate::kinds::certificate::SubjectAltNameKind;

/// What a policy asks for.
#[derive(Debug, Clone)]
pub(crate) enum Demand {
    /// TLS like this.
    Tls(Arc<Origination>),
    /// TLS, but how cannot be known: nothing may be sent.
    Barred,
}

/// The policies by what they are for.
#[derive(Debug)]
pub(crate) struct BackendTls<'a> {
    demands: Vec<Demand>,
    targets: HashMap<Key<'a>, usize>,
}

impl<'a> BackendTls<'a> {
    pub(crate) fn new(world: &World<'a>, trust: &mut Trust<'a>, report: &mut Report) -> Self {
        let mut all = Self {
            demands: Vec::new(),
            targets: HashMap::default(),
        };
        let mut lost = Vec::new();
        for candidate in world.all("BackendTLSPolicy") {
            let Body::BackendTlsPolicy(policy) = candidate.body() else {
                continue;
            };
            let demand = demand(trust, candidate, policy, report);
            let index = all.demands.len();
            all.demands.push(demand);
            let targets = &policy.spec.target_refs;
            attach(world, report, candidate, targets, index, &mut all.targets);
            lost.extend(targets.iter().filter_map(|target| {
                check_target(world, candidate, target).err()?;
                let (kind, name) = (target.kind.as_str(), target.name.as_str());
                Some((kind, candidate.namespace(), name, None))
            }));
        }
        // A policy for a part that is not there was meant for some part: none may do without TLS.
        let barred = all.demands.len();
        all.demands.push(Demand::Barred);
        for target in lost {
            all.targets.entry(target).or_insert(barred);
        }
        all
    }

    /// What is asked for a Backend, or for a Service's port, which may have a policy of its own.
    pub(crate) fn of(&self, kind: &str, of: &Candidate, port: Option<&str>) -> Option<&Demand> {
        let section = port.and_then(|port| {
            let key = (kind, of.namespace(), of.name(), Some(port));
            self.targets.get(&key)
        });
        let whole = || {
            let key = (kind, of.namespace(), of.name(), None);
            self.targets.get(&key)
        };
        self.demands.get(*section.or_else(whole)?)
    }
}

fn demand(
    trust: &mut Trust<'_>,
    candidate: &Candidate,
    policy: &BackendTlsPolicy,
    report: &mut Report,
) -> Demand {
    if candidate.state == State::Salvaged {
        return Demand::Barred;
    }
    let validation = &policy.spec.validation;
    let mut unresolved: Option<Trouble> = None;
    let mut bundles = Vec::new();
    for reference in &validation.ca_certificate_refs {
        let reasons = ("InvalidCACertificateRef", "InvalidKind");
        let found = trust.bundle(candidate, TrustRef::from(reference), reasons, report);
        bundles.extend(found.id.filter(|_| found.unusable.is_none()));
        unresolved = unresolved.or(found.unusable);
    }
    report.condition(candidate, tls::resolved(unresolved.as_ref()));
    let is_system = validation.well_known.is_some();
    if bundles.is_empty() && !is_system {
        let reason = unresolved.map_or_else(String::new, |(_, message)| format!(": {message}"));
        report.condition(
            candidate,
            Condition {
                kind: "Accepted",
                status: false,
                reason: "NoValidCACertificate",
                message: format!("no authority can be used{reason}; its backends get no requests"),
                about: None,
            },
        );
        return Demand::Barred;
    }
    let names = validation.subject_alt_names.iter();
    let names = names.filter_map(|name| match name.kind.value {
        SubjectAltNameKind::Hostname => {
            let hostname = name.hostname.as_ref()?;
            Some(SubjectAltName::Dns(hostname.as_str().into()))
        }
        SubjectAltNameKind::Uri => {
            let uri = name.uri.as_ref()?;
            Some(SubjectAltName::Uri(uri.as_str().into()))
        }
    });
    Demand::Tls(Arc::new(Origination {
        hostname: validation.hostname.as_str().into(),
        trust: if is_system {
            CoreTrust::System
        } else {
            CoreTrust::Bundles(bundles)
        },
        subject_alt_names: names.collect(),
        client_certificate: None,
        min_version: tls::min_version(Some(&policy.spec.options)),
    }))
}
