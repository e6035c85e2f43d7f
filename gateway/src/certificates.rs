//! From declared certificates and bundles of authorities to ones that can be used.
//!
//! Owns which version of each serves. A pair is checked before it is used: that it can be read, that
//! chain and key belong together, dates (unless there is nothing else to show) and purpose. What fails is refused with the reason, and the
//! version before it serves on. What did not change stays the same `Arc`, by which the data plane
//! knows that sessions and connections may stay. Keys of files are never copied elsewhere: after a
//! restart the files themselves must be good.

mod expiry;
mod files;

use std::collections::HashMap;
use std::collections::HashSet;
use std::sync::Arc;
use std::time::SystemTime;

use tidegate_config::draft::BundleDecl;
use tidegate_config::draft::BundleSource;
use tidegate_config::draft::CertificateDecl;
use tidegate_config::draft::CertificateSource;
use tidegate_config::draft::Draft;
use tidegate_config::place::Place;
use tidegate_config::problem::Problem;
use tidegate_config::resource::ResourceId;
use tidegate_core::snapshot::Protocol;
use tidegate_core::snapshot::Snapshot;
use tidegate_core::tls::CertificateId;
use tidegate_core::tls::TlsName;
use tidegate_proxy::Bundle;
use tidegate_proxy::Certificate;
use tidegate_proxy::CertificateError;

use crate::certificates::expiry::Ending;
use crate::certificates::expiry::Expiry;
use crate::certificates::expiry::What;
use crate::certificates::files::bundle;
use crate::certificates::files::bundle_files;
use crate::certificates::files::files;
use crate::certificates::files::pair;

/// The reason of problems with a certificate and its key.
pub(crate) const REASON: &str = "CertificateNotUsable";
/// The reason of problems with a bundle of authorities.
pub(crate) const BUNDLE_REASON: &str = "AuthoritiesNotUsable";
/// The reason of remarks about a certificate that is used.
const DOUBT: &str = "CertificateDoubtful";

/// Certificates and bundles as they are to serve.
#[derive(Debug, Clone, Default)]
pub(crate) struct Trusted {
    /// In the order of the snapshot; `None` if no version of one works.
    pub(crate) certificates: Vec<Option<Arc<Certificate>>>,
    /// In the order of the snapshot; `None` if no version of one works.
    pub(crate) bundles: Vec<Option<Arc<Bundle>>>,
}

impl Trusted {
    /// Whether both are the same.
    pub(crate) fn is(&self, other: &Self) -> bool {
        same(&self.certificates, &other.certificates) && same(&self.bundles, &other.bundles)
    }
}

fn same<T>(these: &[Option<Arc<T>>], those: &[Option<Arc<T>>]) -> bool {
    let pointer = |one: &Option<Arc<T>>| one.as_ref().map(Arc::as_ptr);
    these.len() == those.len() && these.iter().map(pointer).eq(those.iter().map(pointer))
}

/// What came of the certificates and bundles of a draft.
#[derive(Debug, Default)]
pub(crate) struct Read {
    pub(crate) trusted: Trusted,
    /// Why some are refused, and remarks.
    pub(crate) problems: Vec<Problem>,
}

/// A version that works.
#[derive(Debug)]
struct Good<T> {
    /// Of what it was made of.
    digest: [u8; 32],
    made: Arc<T>,
}

impl<T> Clone for Good<T> {
    fn clone(&self) -> Self {
        Self {
            digest: self.digest,
            made: Arc::clone(&self.made),
        }
    }
}

/// Finds out which version of each certificate and bundle serves.
#[derive(Debug, Default)]
pub(crate) struct Certificates {
    /// What serves.
    certificates: HashMap<ResourceId, Good<Certificate>>,
    bundles: HashMap<ResourceId, Good<Bundle>>,
    /// What will serve once the generation does.
    next_certificates: HashMap<ResourceId, Good<Certificate>>,
    next_bundles: HashMap<ResourceId, Good<Bundle>>,
    expiry: Expiry,
}

/// What certificates are shown to whom.
#[derive(Debug, Default)]
struct Uses {
    by_servers: HashSet<CertificateId>,
    by_clients: HashSet<CertificateId>,
}

impl Certificates {
    /// Reads and checks all of a draft. Nothing counts as serving until [`Certificates::commit`].
    pub(crate) fn resolve(&mut self, draft: &Draft) -> Read {
        self.read(&draft.certificates, &draft.bundles, &draft.snapshot)
    }

    /// The same of declarations, which are in the order of a snapshot.
    pub(crate) fn read(
        &mut self,
        certificates: &[CertificateDecl],
        bundles: &[BundleDecl],
        snapshot: &Snapshot,
    ) -> Read {
        let uses = Uses::of(snapshot);
        let mut read = Read::default();
        self.next_certificates.clear();
        self.next_bundles.clear();
        for (id, decl) in (0..).map(CertificateId).zip(certificates) {
            let good = self.certificate(id, decl, &uses, &mut read.problems);
            let made = good.as_ref().map(|good| Arc::clone(&good.made));
            read.trusted.certificates.push(made);
            if let Some(good) = good {
                self.next_certificates.insert(decl.resource.clone(), good);
            }
        }
        for decl in bundles {
            let good = self.bundle(decl, &mut read.problems);
            let made = good.as_ref().map(|good| Arc::clone(&good.made));
            read.trusted.bundles.push(made);
            if let Some(good) = good {
                self.next_bundles.insert(decl.resource.clone(), good);
            }
        }
        read
    }

    /// Takes what was resolved last as what serves.
    pub(crate) fn commit(&mut self) {
        for (resource, good) in &self.next_certificates {
            let before = self.certificates.get(resource);
            if before.is_some_and(|before| before.digest != good.digest) {
                let subject = good.made.subject();
                tracing::info!("{resource} has another certificate now: {subject}");
            }
        }
        self.certificates = std::mem::take(&mut self.next_certificates);
        self.bundles = std::mem::take(&mut self.next_bundles);
        self.warn_of_expiry(SystemTime::now());
    }

    /// Warns of those that are about to expire, each once a day.
    pub(crate) fn warn_of_expiry(&mut self, now: SystemTime) {
        let certificates = self.certificates.iter().map(|(resource, good)| Ending {
            what: What::Certificate,
            name: resource.to_string(),
            at: good.made.not_after(),
        });
        let lists = self.bundles.iter().filter_map(|(resource, good)| {
            Some(Ending {
                what: What::Revoked,
                name: resource.to_string(),
                at: good.made.next_update()?,
            })
        });
        self.expiry.warn(certificates.chain(lists), now);
    }

    fn certificate(
        &self,
        id: CertificateId,
        decl: &CertificateDecl,
        uses: &Uses,
        problems: &mut Vec<Problem>,
    ) -> Option<Good<Certificate>> {
        let before = self.certificates.get(&decl.resource);
        let made = match &decl.source {
            CertificateSource::Refused => return before.cloned(),
            CertificateSource::Inline { certificate, key } => pair(certificate, key, before),
            CertificateSource::Files { certificate, key } => files(certificate, key, before)
                .map_err(|message| {
                    let (certificate, key) = (certificate.display(), key.display());
                    format!("{message} (certificate {certificate}, key {key})")
                }),
        };
        let is_before = |good: &Good<Certificate>| {
            before.is_some_and(|before| Arc::ptr_eq(&before.made, &good.made))
        };
        // What serves is not taken away when its time comes, and a restart changes nothing about that:
        // clients would get no certificate instead of one that some of them still take.
        let checked = made.and_then(|good| {
            uses.check(id, &good.made).map_err(|err| err.to_string())?;
            match good.made.check_dates(SystemTime::now()) {
                Err(err) if before.is_some() && !is_before(&good) => Err(err.to_string()),
                dates => Ok((good, dates.err())),
            }
        });
        match checked {
            Ok((good, out_of_date)) => {
                let doubts = out_of_date
                    .map(|err| format!("{err}: it is served, for there is no other"))
                    .into_iter()
                    .chain(good.made.doubt().map(str::to_owned));
                problems.extend(doubts.map(|doubt| remark(&decl.place, &decl.resource, doubt)));
                Some(good)
            }
            Err(message) => {
                let problem = Problem::error(decl.place.clone(), message)
                    .about(decl.resource.clone())
                    .reason(REASON);
                problems.push(problem.maybe_hint(serves_on(before.is_some())));
                before.cloned()
            }
        }
    }

    fn bundle(&self, decl: &BundleDecl, problems: &mut Vec<Problem>) -> Option<Good<Bundle>> {
        let before = self.bundles.get(&decl.resource);
        let made = match &decl.source {
            BundleSource::Refused => return before.cloned(),
            BundleSource::Inline {
                authorities,
                revoked,
            } => bundle(authorities, revoked.as_ref(), before),
            BundleSource::Files {
                authorities,
                revoked,
            } => bundle_files(authorities, revoked.as_deref(), before),
        };
        if let Ok(good) = &made
            && let Some(next) = good.made.next_update()
            && next < SystemTime::now()
        {
            let doubt = "the list of revoked certificates is out of date: those that were revoked \
                         since are believed";
            problems.push(remark(&decl.place, &decl.resource, doubt.to_owned()));
        }
        made.map_err(|message| {
            let problem = Problem::error(decl.place.clone(), message)
                .about(decl.resource.clone())
                .reason(BUNDLE_REASON);
            problems.push(problem.maybe_hint(serves_on(before.is_some())));
        })
        .ok()
        .or_else(|| before.cloned())
    }
}

fn remark(place: &Place, resource: &ResourceId, message: String) -> Problem {
    let remark = Problem::warning(place.clone(), message);
    remark.about(resource.clone()).reason(DOUBT)
}

fn serves_on(before: bool) -> Option<String> {
    before.then(|| "the version before it serves on".to_owned())
}

impl Uses {
    fn of(snapshot: &Snapshot) -> Self {
        let mut uses = Self::default();
        for bind in &snapshot.binds {
            let Protocol::Tls(names) = &bind.protocol else {
                continue;
            };
            for name in names.values() {
                if let TlsName::Http { termination, .. } | TlsName::Tcp { termination, .. } =
                    &**name
                {
                    uses.by_servers.extend(&termination.certificates);
                }
            }
        }
        let settings = snapshot.backends.iter().filter_map(|one| one.tls.as_ref());
        uses.by_clients
            .extend(settings.filter_map(|tls| tls.client_certificate));
        uses
    }

    /// Whether those who are shown a certificate would take it.
    fn check(&self, id: CertificateId, certificate: &Certificate) -> Result<(), CertificateError> {
        if self.by_servers.contains(&id) {
            certificate.check_for_servers()?;
        }
        if self.by_clients.contains(&id) {
            certificate.check_for_clients()?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests;
