//! TLS towards the endpoints of a backend, ready for handshakes.
//!
//! Owns the settings made from an [`Origination`] and what a failed handshake means. Sessions are
//! resumed by all workers alike, and only under the settings that they began with.

use std::io;
use std::sync::Arc;
use std::sync::atomic::AtomicU64;
use std::sync::atomic::Ordering;

use rustls::CertificateError;
use rustls::ClientConfig;
use rustls::client::ResolvesClientCert;
use rustls::pki_types::ServerName;
use rustls::sign::SingleCertAndKey;
use tidegate_core::failure::Failure;
use tidegate_core::tls::Origination;
use tidegate_core::tls::Trust;
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;
use tokio_rustls::TlsStream;

use crate::tls::Bundle;
use crate::tls::Certificate;
use crate::tls::bundle;
use crate::tls::provider;
use crate::tls::terminator::versions;
use crate::tls::verify::Authorities;
use crate::tls::verify::OriginVerifier;
use crate::transport::Socket;

/// Tells connections of one connector from those of another: they are not interchangeable.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) struct ConnectorId(u64);

impl ConnectorId {
    /// That of connections without TLS.
    pub(crate) const PLAIN: Self = Self(0);
}

/// What is offered to be spoken inside (RFC 7301).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Offer {
    /// HTTP/2 or HTTP/1.1; origins that choose nothing are taken to speak that.
    Http,
    /// HTTP/1.1, and nothing else.
    Http1,
    /// HTTP/2, and nothing else.
    Http2,
    /// Nothing: what is spoken is not HTTP.
    Nothing,
    /// No TLS of ours: what is passed on is TLS.
    ClientsOwn,
}

/// TLS towards the endpoints of a backend.
#[derive(Debug)]
pub(crate) struct Connector {
    pub(crate) id: ConnectorId,
    host: Arc<str>,
    name: Option<ServerName<'static>>,
    http: Arc<ClientConfig>,
    http1: Arc<ClientConfig>,
    http2: Arc<ClientConfig>,
    nothing: Arc<ClientConfig>,
    /// The client certificate that origins should see cannot be used.
    lacks_certificate: bool,
    /// Alive as long as its address tells this connector from another; the verifier keeps bundles.
    _certificate: Option<Arc<Certificate>>,
}

/// What a connector is made of: the same makes the same.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(super) struct ConnectorKey {
    pub(super) hostname: Arc<str>,
    pub(super) anybody: bool,
    /// By address; `None` are the authorities of the machine.
    pub(super) bundles: Option<Vec<Option<usize>>>,
    pub(super) names: Vec<tidegate_core::tls::SubjectAltName>,
    /// By address; the outer `None` is without one.
    pub(super) certificate: Option<Option<usize>>,
    pub(super) min_version: tidegate_core::tls::TlsVersion,
}

impl Connector {
    /// Makes one. `bundles` and `certificate` are those that the settings name.
    ///
    /// # Errors
    ///
    /// The library's, if it does not like the settings.
    pub(super) fn new(
        settings: &Origination,
        bundles: Vec<Option<Arc<Bundle>>>,
        certificate: Option<Arc<Certificate>>,
    ) -> Result<Self, rustls::Error> {
        static NEXT: AtomicU64 = AtomicU64::new(1);
        let authorities = Authorities::new(match settings.trust {
            Trust::System => vec![Some(bundle::of_the_machine())],
            Trust::Anybody => Vec::new(),
            Trust::Bundles(_) => bundles,
        });
        let verifier = OriginVerifier {
            authorities,
            anybody: settings.trust == Trust::Anybody,
            names: settings.subject_alt_names.clone(),
        };
        let builder = ClientConfig::builder_with_provider(Arc::clone(provider()))
            .with_protocol_versions(versions(settings.min_version))?
            .dangerous()
            .with_custom_certificate_verifier(Arc::new(verifier));
        let nothing = match &certificate {
            Some(certificate) => {
                let key = certificate.key().as_ref().clone();
                let shown: Arc<dyn ResolvesClientCert> = Arc::new(SingleCertAndKey::from(key));
                builder.with_client_cert_resolver(shown)
            }
            None => builder.with_no_client_auth(),
        };
        let offering = |protocols: &[&str]| {
            let mut config = nothing.clone();
            let protocols = protocols.iter().map(|name| name.as_bytes().to_vec());
            config.alpn_protocols = protocols.collect();
            Arc::new(config)
        };
        Ok(Self {
            id: ConnectorId(NEXT.fetch_add(1, Ordering::Relaxed)),
            host: Arc::clone(&settings.hostname),
            name: ServerName::try_from(settings.hostname.to_string()).ok(),
            http: offering(&["h2", "http/1.1"]),
            http1: offering(&["http/1.1"]),
            http2: offering(&["h2"]),
            nothing: Arc::new(nothing),
            lacks_certificate: settings.client_certificate.is_some() && certificate.is_none(),
            _certificate: certificate,
        })
    }

    /// Begins TLS on a new connection. The caller limits the time.
    ///
    /// # Errors
    ///
    /// How it failed, and the library's words for it.
    pub(crate) async fn connect(
        &self,
        offer: Offer,
        stream: TcpStream,
    ) -> Result<Box<TlsStream<Socket>>, (Failure, String)> {
        let Some(name) = self.name.clone() else {
            let why = format!("{:?} is no name that a certificate can have", self.host);
            return Err((Failure::UpstreamTlsName, why));
        };
        if self.lacks_certificate {
            let why = "the client certificate for this origin cannot be used".to_owned();
            return Err((Failure::UpstreamTlsHandshake, why));
        }
        let config = match offer {
            Offer::Http => &self.http,
            Offer::Http1 => &self.http1,
            Offer::Http2 => &self.http2,
            Offer::Nothing | Offer::ClientsOwn => &self.nothing,
        };
        let connecting = TlsConnector::from(Arc::clone(config)).connect(name, Socket::new(stream));
        let stream = connecting
            .await
            .map_err(|err| (failure_of(&err), err.to_string()))?;
        if offer == Offer::Http2 && stream.get_ref().1.alpn_protocol() != Some(b"h2") {
            let why = "the origin does not choose HTTP/2".to_owned();
            return Err((Failure::UpstreamTlsHandshake, why));
        }
        Ok(Box::new(TlsStream::Client(stream)))
    }
}

/// What a failed handshake means.
fn failure_of(err: &io::Error) -> Failure {
    let inner = err.get_ref().and_then(|inner| inner.downcast_ref());
    let Some(rustls::Error::InvalidCertificate(reason)) = inner else {
        return Failure::UpstreamTlsHandshake;
    };
    match reason {
        CertificateError::Expired
        | CertificateError::ExpiredContext { .. }
        | CertificateError::NotValidYet
        | CertificateError::NotValidYetContext { .. } => Failure::UpstreamTlsExpired,
        CertificateError::NotValidForName | CertificateError::NotValidForNameContext { .. } => {
            Failure::UpstreamTlsName
        }
        CertificateError::UnknownIssuer => Failure::UpstreamTlsUntrusted,
        _ => Failure::UpstreamTlsCertificate,
    }
}
