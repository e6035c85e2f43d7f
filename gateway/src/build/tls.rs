//! TLS of `tidegate proxy`: its certificate, and whom it believes.
//!
//! Owns the files that the command line names. They are read with the same care as those of resources
//! ([`crate::certificates`]), and as often as they change.

use std::path::Path;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::SystemTime;

use tidegate_config::draft::BundleDecl;
use tidegate_config::draft::BundleSource;
use tidegate_config::draft::CertificateDecl;
use tidegate_config::draft::CertificateSource;
use tidegate_config::place::Place;
use tidegate_config::problem::Severity;
use tidegate_config::resource::ResourceId;
use tidegate_core::host::HostMap;
use tidegate_core::host::HostPattern;
use tidegate_core::snapshot::Listener;
use tidegate_core::snapshot::Protocol;
use tidegate_core::snapshot::Snapshot;
use tidegate_core::tls::BundleId;
use tidegate_core::tls::CertificateId;
use tidegate_core::tls::Origination;
use tidegate_core::tls::Termination;
use tidegate_core::tls::TlsName;
use tidegate_core::tls::TlsVersion;
use tidegate_core::tls::Trust;
use tidegate_core::tls::TrustName;

use crate::certificates::Certificates;
use crate::certificates::Read;
use crate::certificates::Trusted;
use crate::cli::ProxyArgs;

/// What the command line says about TLS.
#[derive(Debug)]
pub(crate) struct Tls {
    certificate: Option<CertificateDecl>,
    bundle: Option<BundleDecl>,
    skips_verification: bool,
    versions: Certificates,
}

impl Tls {
    /// Looks at what was asked for; nothing is read yet.
    ///
    /// # Errors
    ///
    /// What is wrong with what was asked for.
    pub(super) fn of(args: &ProxyArgs) -> anyhow::Result<Self> {
        let tls = &args.tls;
        let urls = args.backends.iter().map(|backend| &backend.url);
        let any_secure = urls.chain([&args.to]).any(|url| url.tls_name().is_some());
        anyhow::ensure!(
            any_secure || (tls.authorities.is_none() && !tls.insecure_skip_verify),
            "--ca and --insecure-skip-verify are about https:// origins, and there is none"
        );
        if tls.insecure_skip_verify {
            tracing::warn!(
                "--insecure-skip-verify: https:// origins are not verified; whoever is in between \
                 can read and change everything"
            );
        }
        let certificate = match tls.files.as_slice() {
            [certificate, key] => Some(CertificateDecl {
                resource: flag("--tls"),
                name: TrustName("--tls".into()),
                source: CertificateSource::Files {
                    certificate: certificate.clone(),
                    key: key.clone(),
                },
                place: beginning(certificate),
            }),
            _ => None,
        };
        let bundle = tls.authorities.as_ref().map(|authorities| BundleDecl {
            resource: flag("--ca"),
            name: TrustName("--ca".into()),
            source: BundleSource::Files {
                authorities: authorities.clone(),
                revoked: tls.revoked.clone(),
            },
            place: beginning(authorities),
        });
        Ok(Self {
            certificate,
            bundle,
            skips_verification: tls.insecure_skip_verify,
            versions: Certificates::default(),
        })
    }

    /// Reads the files for the first time.
    ///
    /// # Errors
    ///
    /// The first thing that is wrong with them.
    pub(super) fn read_first(&mut self, snapshot: &Snapshot) -> anyhow::Result<Trusted> {
        let read = self.read(snapshot);
        for problem in &read.problems {
            let about = problem.resource.as_ref().map_or("", |flag| &flag.name);
            anyhow::ensure!(
                problem.severity != Severity::Error,
                "{about}: {}",
                problem.message
            );
            tracing::warn!("{about}: {}", problem.message);
        }
        self.serves();
        Ok(read.trusted)
    }

    /// Reads the files again. What cannot be used is as it was before.
    pub(crate) fn read(&mut self, snapshot: &Snapshot) -> Read {
        let (certificate, bundle) = (self.certificate.as_slice(), self.bundle.as_slice());
        self.versions.read(certificate, bundle, snapshot)
    }

    /// What was read last serves.
    pub(crate) fn serves(&mut self) {
        self.versions.commit();
    }

    /// Warns of what expires.
    pub(crate) fn warn_of_expiry(&mut self) {
        self.versions.warn_of_expiry(SystemTime::now());
    }

    /// The files.
    pub(crate) fn files(&self) -> impl Iterator<Item = &Path> {
        let pair = self.certificate.iter().flat_map(|one| match &one.source {
            CertificateSource::Files { certificate, key } => vec![certificate, key],
            CertificateSource::Inline { .. } | CertificateSource::Refused => Vec::new(),
        });
        let believed = self.bundle.iter().flat_map(|one| match &one.source {
            BundleSource::Files {
                authorities,
                revoked,
            } => [authorities].into_iter().chain(revoked).collect(),
            BundleSource::Inline { .. } | BundleSource::Refused => Vec::new(),
        });
        pair.chain(believed).map(PathBuf::as_path)
    }

    /// What is spoken with clients.
    pub(super) fn protocol(&self, listener: Arc<Listener>) -> Protocol {
        if self.certificate.is_none() {
            return Protocol::Http;
        }
        let termination = Arc::new(Termination {
            certificates: vec![CertificateId(0)],
            min_version: TlsVersion::default(),
            alpn: vec!["h2".into(), "http/1.1".into()],
            clients: None,
        });
        let mut names = HostMap::default();
        let name = TlsName::Http {
            termination,
            listener,
        };
        names.insert(HostPattern::Any, Arc::new(name));
        Protocol::Tls(names)
    }

    /// How TLS to an origin of that name begins.
    pub(super) fn origination(&self, name: &str) -> Origination {
        Origination {
            hostname: Arc::from(name),
            trust: match (&self.bundle, self.skips_verification) {
                (_, true) => Trust::Anybody,
                (Some(_), false) => Trust::Bundles(vec![BundleId(0)]),
                (None, false) => Trust::System,
            },
            subject_alt_names: Vec::new(),
            client_certificate: None,
            min_version: TlsVersion::default(),
        }
    }

    /// The names of certificates in the snapshot.
    pub(super) fn certificate_names(&self) -> Vec<TrustName> {
        self.certificate
            .iter()
            .map(|one| one.name.clone())
            .collect()
    }

    /// The names of bundles in the snapshot.
    pub(super) fn bundle_names(&self) -> Vec<TrustName> {
        self.bundle.iter().map(|one| one.name.clone()).collect()
    }
}

/// What stands for a resource, in the log too.
fn flag(name: &str) -> ResourceId {
    ResourceId {
        kind: "file of",
        namespace: Arc::default(),
        name: name.into(),
    }
}

/// Where a file begins.
fn beginning(file: &Path) -> Place {
    Place {
        file: file.into(),
        line: 1,
        column: 1,
        length: 1,
    }
}
