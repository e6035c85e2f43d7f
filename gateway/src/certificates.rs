//! From declared certificates and bundles of authorities to ones that can be used.
//!
//! Owns which version of each serves. A pair is checked before it is used: that it can be read, that
//! chain and key belong together, dates (unless there is nothing else to show) and purpose. What fails is refused with the reason, and the
//! version before it serves on. What did not change stays the same `Arc`, by which the data plane
//! knows that sessions and connections may stay. Keys of files are never copied elsewhere: after a
//! restart the files themselves must be good.

mod expiry;

use std::collections::HashMap;
use std::collections::HashSet;
use std::fs::File;
use std::io::Read as _;
use std::path::Path;
use std::sync::Arc;
use std::time::SystemTime;

use bytes::Bytes;
use rustix::fs::Mode;
use rustix::fs::OFlags;
use sha2::Digest as _;
use sha2::Sha256;
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
use crate::plugins::chain;

/// The reason of problems with a certificate and its key.
pub(crate) const REASON: &str = "CertificateNotUsable";
/// The reason of problems with a bundle of authorities.
pub(crate) const BUNDLE_REASON: &str = "AuthoritiesNotUsable";
/// The reason of remarks about a certificate that is used.
const DOUBT: &str = "CertificateDoubtful";
/// No file of certificates or keys is longer: the machine's own bundles are a quarter of it.
const MAX_BYTES: u64 = 1 << 20;
/// No file of revoked certificates is longer: it has room for some hundred thousand.
const MAX_LIST_BYTES: u64 = 16 << 20;

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
        let uses = Uses::of(&draft.snapshot);
        let mut read = Read::default();
        self.next_certificates.clear();
        self.next_bundles.clear();
        for (id, decl) in (0..).map(CertificateId).zip(&draft.certificates) {
            let good = self.certificate(id, decl, &uses, &mut read.problems);
            let made = good.as_ref().map(|good| Arc::clone(&good.made));
            read.trusted.certificates.push(made);
            if let Some(good) = good {
                self.next_certificates.insert(decl.resource.clone(), good);
            }
        }
        for decl in &draft.bundles {
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

/// Certificate and key from files. They are two: somebody may have replaced one of them just now.
fn files(
    certificate: &Path,
    key: &Path,
    before: Option<&Good<Certificate>>,
) -> Result<Good<Certificate>, String> {
    let read = || Ok::<_, String>((file(certificate, MAX_BYTES)?, file(key, MAX_BYTES)?));
    let (chain, secret) = read()?;
    let first = pair(&chain, &secret, before);
    if first.is_ok() {
        return first;
    }
    let (again, secret_again) = read()?;
    if (&again, &secret_again) == (&chain, &secret) {
        return first;
    }
    pair(&again, &secret_again, before)
}

/// The content of a file of at most so many bytes, whole MiB.
pub(crate) fn file(path: &Path, most: u64) -> Result<Bytes, String> {
    let failed = |err: std::io::Error| format!("cannot read {}: {}", path.display(), chain(&err));
    // Without NONBLOCK, opening a pipe waits for a writer.
    let flags = OFlags::RDONLY | OFlags::NONBLOCK | OFlags::CLOEXEC | OFlags::NOCTTY;
    let file = rustix::fs::open(path, flags, Mode::empty()).map_err(|err| failed(err.into()))?;
    let file = File::from(file);
    if !file.metadata().map_err(failed)?.is_file() {
        return Err(format!("{} is not a regular file", path.display()));
    }
    let mut text = Vec::new();
    file.take(most + 1).read_to_end(&mut text).map_err(failed)?;
    if text.len() as u64 > most {
        let most = most >> 20;
        return Err(format!("{} is longer than {most} MiB", path.display()));
    }
    Ok(Bytes::from(text))
}

/// A pair, or the one that it was before.
fn pair(
    certificate: &Bytes,
    key: &Bytes,
    before: Option<&Good<Certificate>>,
) -> Result<Good<Certificate>, String> {
    let mut hash = Sha256::new();
    hash.update((certificate.len() as u64).to_le_bytes());
    hash.update(certificate);
    hash.update(key);
    made(hash.finalize().into(), before, || {
        Certificate::from_pem(certificate, key).map_err(|err| err.to_string())
    })
}

/// A bundle, or the one that it was before.
fn bundle(
    authorities: &Bytes,
    revoked: Option<&Bytes>,
    before: Option<&Good<Bundle>>,
) -> Result<Good<Bundle>, String> {
    let mut hash = Sha256::new();
    hash.update((authorities.len() as u64).to_le_bytes());
    hash.update(authorities);
    hash.update([u8::from(revoked.is_some())]);
    hash.update(revoked.map_or(&[][..], |lists| lists));
    made(hash.finalize().into(), before, || {
        let bundle = Bundle::from_pem(authorities).map_err(|err| err.to_string())?;
        match revoked {
            Some(lists) => bundle.with_revoked(lists).map_err(|err| err.to_string()),
            None => Ok(bundle),
        }
    })
}

/// The same from files.
fn bundle_files(
    authorities: &Path,
    revoked: Option<&Path>,
    before: Option<&Good<Bundle>>,
) -> Result<Good<Bundle>, String> {
    let text = file(authorities, MAX_BYTES)?;
    let lists = revoked.map(|path| file(path, MAX_LIST_BYTES)).transpose()?;
    bundle(&text, lists.as_ref(), before).map_err(|message| match revoked {
        Some(revoked) => {
            let (authorities, revoked) = (authorities.display(), revoked.display());
            format!("{message} (authorities {authorities}, revoked {revoked})")
        }
        None => format!("{}: {message}", authorities.display()),
    })
}

fn made<T>(
    digest: [u8; 32],
    before: Option<&Good<T>>,
    make: impl FnOnce() -> Result<T, String>,
) -> Result<Good<T>, String> {
    match before {
        Some(before) if before.digest == digest => Ok(before.clone()),
        _ => Ok(Good {
            digest,
            made: Arc::new(make()?),
        }),
    }
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
