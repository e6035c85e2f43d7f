//! TLS of `tidegate proxy`: its certificate, and whom it believes.
//!
//! Owns the files that the command line names. They are read once: another certificate takes a
//! restart, or `tidegate run`, which follows changes.

use std::path::Path;
use std::sync::Arc;
use std::time::SystemTime;

use anyhow::Context as _;
use tidegate_core::host::HostMap;
use tidegate_core::host::HostPattern;
use tidegate_core::snapshot::Listener;
use tidegate_core::snapshot::Protocol;
use tidegate_core::tls::BundleId;
use tidegate_core::tls::CertificateId;
use tidegate_core::tls::Origination;
use tidegate_core::tls::Termination;
use tidegate_core::tls::TlsName;
use tidegate_core::tls::TlsVersion;
use tidegate_core::tls::Trust;
use tidegate_core::tls::TrustName;
use tidegate_proxy::Bundle;
use tidegate_proxy::Certificate;

use crate::cli::ProxyArgs;

/// What the command line says about TLS, read.
#[derive(Debug)]
pub(super) struct Tls {
    pub(super) certificate: Option<Arc<Certificate>>,
    pub(super) bundle: Option<Arc<Bundle>>,
    skips_verification: bool,
}

impl Tls {
    /// Reads the files.
    ///
    /// # Errors
    ///
    /// What is wrong with them, or with what was asked for.
    pub(super) fn read(args: &ProxyArgs) -> anyhow::Result<Self> {
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
            [certificate, key] => Some(pair(certificate, key)?),
            _ => None,
        };
        let bundle = tls.authorities.as_deref().map(bundle).transpose()?;
        Ok(Self {
            certificate: certificate.map(Arc::new),
            bundle: bundle.map(Arc::new),
            skips_verification: tls.insecure_skip_verify,
        })
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
        let name = |_| TrustName("--tls".into());
        self.certificate.iter().map(name).collect()
    }

    /// The names of bundles in the snapshot.
    pub(super) fn bundle_names(&self) -> Vec<TrustName> {
        let name = |_| TrustName("--ca".into());
        self.bundle.iter().map(name).collect()
    }
}

fn pair(certificate: &Path, key: &Path) -> anyhow::Result<Certificate> {
    let context = || format!("--tls {} {}", certificate.display(), key.display());
    let chain = read(certificate).with_context(context)?;
    let key = read(key).with_context(context)?;
    let pair = Certificate::from_pem(&chain, &key).with_context(context)?;
    pair.check_dates(SystemTime::now()).with_context(context)?;
    pair.check_for_servers().with_context(context)?;
    if let Some(doubt) = pair.doubt() {
        tracing::warn!("{}: {doubt}", context());
    }
    Ok(pair)
}

fn bundle(path: &Path) -> anyhow::Result<Bundle> {
    let context = || format!("--ca {}", path.display());
    let text = read(path).with_context(context)?;
    Bundle::from_pem(&text).with_context(context)
}

fn read(path: &Path) -> anyhow::Result<Vec<u8>> {
    std::fs::read(path).with_context(|| format!("cannot read {}", path.display()))
}
