//! Listeners of HTTPS, and TLS to origins, for gateways in tests.

use std::sync::Arc;

use tidegate_core::host::HostMap;
use tidegate_core::host::HostPattern;
use tidegate_core::snapshot::Listener;
use tidegate_core::snapshot::Protocol;
use tidegate_core::tls::BundleId;
use tidegate_core::tls::CertificateId;
use tidegate_core::tls::ClientCertificates;
use tidegate_core::tls::Origination;
use tidegate_core::tls::Termination;
use tidegate_core::tls::TlsName;
use tidegate_core::tls::TlsVersion;
use tidegate_core::tls::TrustName;
use tidegate_proxy::Bundle;
use tidegate_proxy::Certificate;

use super::Builder;

/// A listener of HTTPS. Certificates and bundles are places in what the builder was given.
#[derive(Debug, Clone)]
pub struct Https {
    host: HostPattern,
    termination: Termination,
}

impl Https {
    /// A listener for a host, for `*.` and a host, or for every host if it is empty; it shows this
    /// certificate, takes TLS 1.2, and offers HTTP/2 and HTTP/1.1.
    ///
    /// # Panics
    ///
    /// If that is no host.
    pub fn at(host: &str, certificate: u32) -> Self {
        let host = if host.is_empty() {
            HostPattern::Any
        } else {
            HostPattern::parse(host).expect("a host")
        };
        Self {
            host,
            termination: Termination {
                certificates: vec![CertificateId(certificate)],
                min_version: TlsVersion::Tls12,
                alpn: vec!["h2".into(), "http/1.1".into()],
                clients: None,
            },
        }
    }

    /// Another certificate.
    #[must_use]
    pub fn and(mut self, certificate: u32) -> Self {
        self.termination
            .certificates
            .push(CertificateId(certificate));
        self
    }

    /// Nothing below TLS 1.3.
    #[must_use]
    pub fn only_13(mut self) -> Self {
        self.termination.min_version = TlsVersion::Tls13;
        self
    }

    /// Clients are asked for a certificate that this bundle's authorities have signed.
    #[must_use]
    pub fn clients(mut self, bundle: u32, optional: bool) -> Self {
        self.termination.clients = Some(ClientCertificates {
            bundles: vec![BundleId(bundle)],
            optional,
        });
        self
    }
}

impl Builder {
    /// Another certificate; `None` is one of which no version works.
    #[must_use]
    pub fn certificate(mut self, certificate: Option<&Arc<Certificate>>) -> Self {
        self.certificates.push(certificate.cloned());
        self
    }

    /// Another bundle of authorities; `None` is one of which no version works.
    #[must_use]
    pub fn bundle(mut self, bundle: Option<&Arc<Bundle>>) -> Self {
        self.bundles.push(bundle.cloned());
        self
    }

    /// Another listener of HTTPS; with any, there is none of HTTP.
    #[must_use]
    pub fn https(mut self, listener: Https) -> Self {
        self.https.push(listener);
        self
    }

    /// TLS to the origin.
    #[must_use]
    pub fn origin_tls(mut self, settings: Origination) -> Self {
        self.origin.tls = Some(Arc::new(settings));
        self
    }

    /// TLS to another backend.
    ///
    /// # Panics
    ///
    /// If there is none of that name.
    #[must_use]
    pub fn backend_tls(mut self, name: &str, settings: Origination) -> Self {
        let mut others = self.others.iter_mut();
        let backend = others.find(|backend| backend.name.as_str() == name);
        backend.expect("there is such a backend").tls = Some(Arc::new(settings));
        self
    }
}

/// The listeners of a bind, and what is spoken there.
pub(super) fn listen(
    all: &[Https],
    listeners: &mut HostMap<Arc<Listener>>,
    make: &mut dyn FnMut(&str) -> Arc<Listener>,
) -> Protocol {
    let mut names = HostMap::default();
    for https in all {
        let listener = make(&https.host.to_string());
        listeners.insert(https.host.clone(), Arc::clone(&listener));
        let name = TlsName::Http {
            termination: Arc::new(https.termination.clone()),
            listener,
        };
        names.insert(https.host.clone(), Arc::new(name));
    }
    Protocol::Tls(names)
}

/// Names for so many things.
pub(super) fn names(count: usize) -> Vec<TrustName> {
    (0..count)
        .map(|place| TrustName(format!("default/{place}").into()))
        .collect()
}
