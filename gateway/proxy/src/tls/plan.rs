//! The TLS of a generation: what each listener and each backend does it with.
//!
//! Owns what stays from one generation to the next. Terminators and connectors that are made of the
//! same settings, certificates and bundles are the same, and with them sessions and connections.

use std::collections::HashMap;
use std::sync::Arc;

use tidegate_core::backend::Backend;
use tidegate_core::snapshot::Protocol;
use tidegate_core::tls::BundleId;
use tidegate_core::tls::CertificateId;
use tidegate_core::tls::Origination;
use tidegate_core::tls::Termination;
use tidegate_core::tls::TlsName;

use crate::generation::Generation;
use crate::tls::Bundle;
use crate::tls::Certificate;
use crate::tls::Connector;
use crate::tls::Terminator;
use crate::tls::Trust;
use crate::tls::connector::ConnectorKey;
use crate::tls::terminator::SERVED;
use crate::tls::terminator::TerminatorKey;

/// What clients are asked for: bundles by address, and whether they may do without.
type TrustKey = (Vec<Option<usize>>, bool);

/// The TLS of a generation.
#[derive(Debug, Default)]
pub(crate) struct TlsPlan {
    trusts: HashMap<TrustKey, Arc<Trust>>,
    terminators: HashMap<TerminatorKey, Arc<Terminator>>,
    connectors: HashMap<ConnectorKey, Arc<Connector>>,
    /// By the addresses of their settings, which the snapshot keeps alive.
    by_termination: HashMap<(usize, Inside), Arc<Terminator>>,
    by_origination: HashMap<usize, Arc<Connector>>,
}

/// What comes out of a listener's TLS.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) enum Inside {
    /// HTTP: only what is served is offered.
    Http,
    /// Bytes: all that the listener lists is offered.
    Bytes,
}

impl TlsPlan {
    /// Makes what is new in a generation after `before`.
    ///
    /// # Errors
    ///
    /// The library's, if it does not like the settings.
    pub(crate) fn of(generation: &Generation, before: &Self) -> Result<Self, rustls::Error> {
        let mut plan = Self::default();
        let snapshot = &generation.snapshot;
        for bind in &snapshot.binds {
            let Protocol::Tls(names) = &bind.protocol else {
                continue;
            };
            for name in names.values() {
                match &**name {
                    TlsName::Http { termination, .. } => {
                        plan.terminate(termination, Inside::Http, generation, before)?;
                    }
                    TlsName::Tcp { termination, .. } => {
                        plan.terminate(termination, Inside::Bytes, generation, before)?;
                    }
                    TlsName::Passthrough(_) => {}
                }
            }
        }
        for backend in snapshot.backends.iter() {
            if let Some(settings) = &backend.tls {
                plan.originate(settings, generation, before)?;
            }
        }
        Ok(plan)
    }

    /// How a listener's TLS ends.
    pub(crate) fn terminator(
        &self,
        settings: &Arc<Termination>,
        inside: Inside,
    ) -> Option<&Arc<Terminator>> {
        self.by_termination.get(&(address(settings), inside))
    }

    /// How TLS to a backend of the plan's snapshot begins; `None` if it has none.
    pub(crate) fn connector(&self, backend: &Backend) -> Option<&Arc<Connector>> {
        let settings = backend.tls.as_ref()?;
        self.by_origination.get(&address(settings))
    }

    fn terminate(
        &mut self,
        settings: &Arc<Termination>,
        inside: Inside,
        generation: &Generation,
        before: &Self,
    ) -> Result<(), rustls::Error> {
        let place = (address(settings), inside);
        if self.by_termination.contains_key(&place) {
            return Ok(());
        }
        let trust = self.trust(settings, generation, before);
        let ids = settings.certificates.iter();
        let certificates: Vec<_> = ids.filter_map(|id| certificate(generation, *id)).collect();
        let offered = settings.alpn.iter();
        let offered = offered.filter(|name| inside == Inside::Bytes || SERVED.contains(&&***name));
        let key = TerminatorKey {
            certificates: certificates.iter().map(|one| Some(address(one))).collect(),
            min_version: settings.min_version,
            alpn: offered.cloned().collect(),
            trust: address(&trust),
        };
        let known = self.terminators.get(&key).or(before.terminators.get(&key));
        let terminator = match known {
            Some(known) => Arc::clone(known),
            None => Arc::new(Terminator::new(certificates, &key, trust)?),
        };
        self.terminators.insert(key, Arc::clone(&terminator));
        self.by_termination.insert(place, terminator);
        Ok(())
    }

    fn trust(
        &mut self,
        settings: &Termination,
        generation: &Generation,
        before: &Self,
    ) -> Arc<Trust> {
        let Some(clients) = &settings.clients else {
            return Trust::nobody();
        };
        let ids = clients.bundles.iter();
        let bundles: Vec<_> = ids.map(|id| bundle(generation, *id)).collect();
        let key: TrustKey = (addresses(&bundles), clients.optional);
        let known = self.trusts.get(&key).or(before.trusts.get(&key));
        let trust = match known {
            Some(known) => Arc::clone(known),
            None => Trust::new(bundles, clients.optional),
        };
        self.trusts.insert(key, Arc::clone(&trust));
        trust
    }

    fn originate(
        &mut self,
        settings: &Arc<Origination>,
        generation: &Generation,
        before: &Self,
    ) -> Result<(), rustls::Error> {
        let place = address(settings);
        if self.by_origination.contains_key(&place) {
            return Ok(());
        }
        let bundles = match &settings.trust {
            tidegate_core::tls::Trust::System | tidegate_core::tls::Trust::Anybody => None,
            tidegate_core::tls::Trust::Bundles(ids) => {
                let bundles = ids.iter().map(|id| bundle(generation, *id));
                Some(bundles.collect::<Vec<_>>())
            }
        };
        let shown = settings.client_certificate;
        let shown = shown.map(|id| certificate(generation, id));
        let key = ConnectorKey {
            hostname: Arc::clone(&settings.hostname),
            anybody: settings.trust == tidegate_core::tls::Trust::Anybody,
            bundles: bundles.as_deref().map(addresses),
            names: settings.subject_alt_names.clone(),
            certificate: shown.as_ref().map(|one| one.as_ref().map(address)),
            min_version: settings.min_version,
        };
        let known = self.connectors.get(&key).or(before.connectors.get(&key));
        let connector = match known {
            Some(known) => Arc::clone(known),
            None => Arc::new(Connector::new(
                settings,
                bundles.unwrap_or_default(),
                shown.flatten(),
            )?),
        };
        self.connectors.insert(key, Arc::clone(&connector));
        self.by_origination.insert(place, connector);
        Ok(())
    }
}

fn certificate(generation: &Generation, id: CertificateId) -> Option<Arc<Certificate>> {
    generation.certificates.get(id.0 as usize)?.clone()
}

fn bundle(generation: &Generation, id: BundleId) -> Option<Arc<Bundle>> {
    generation.bundles.get(id.0 as usize)?.clone()
}

/// Tells one thing from all others that are alive.
fn address<T>(of: &Arc<T>) -> usize {
    Arc::as_ptr(of).addr()
}

fn addresses<T>(of: &[Option<Arc<T>>]) -> Vec<Option<usize>> {
    of.iter().map(|one| one.as_ref().map(address)).collect()
}
