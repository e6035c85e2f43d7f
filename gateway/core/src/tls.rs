//! What is decided about TLS: who is served which certificate, and what is asked of peers.
//!
//! Owns the settings, not the keys: a certificate and a bundle of authorities are places in lists
//! that the data plane has beside its snapshot.

use std::sync::Arc;

use crate::snapshot::Listener;
use crate::tcp::TcpRule;

/// The name of a certificate with its key, or of a bundle of authorities: `namespace/name` of its
/// resource.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct TrustName(pub Arc<str>);

/// A certificate with its key: its place in [`crate::snapshot::Snapshot::certificates`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct CertificateId(pub u32);

/// Authorities that are believed: their place in [`crate::snapshot::Snapshot::bundles`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct BundleId(pub u32);

/// The lowest version of TLS that is spoken. Older ones than 1.2 are never (RFC 8996).
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub enum TlsVersion {
    /// TLS 1.2 (RFC 5246).
    #[default]
    Tls12,
    /// TLS 1.3 (RFC 8446).
    Tls13,
}

/// How a listener ends its clients' TLS.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Termination {
    /// What it has to show. The first whose names cover what the client asked for is shown; the
    /// first of all if none does. Without any that can be used, the connection is refused.
    pub certificates: Vec<CertificateId>,
    /// The lowest version.
    pub min_version: TlsVersion,
    /// What it offers to speak inside (RFC 7301), best first; nothing means that it does not say.
    pub alpn: Vec<Arc<str>>,
    /// What is asked of clients; `None` asks for no certificate.
    pub clients: Option<ClientCertificates>,
}

/// What is asked of clients' certificates.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ClientCertificates {
    /// Who may have signed them.
    pub bundles: Vec<BundleId>,
    /// Whether clients without one are served, and those whose certificate is not valid (Gateway
    /// API: `AllowInsecureFallback`).
    pub optional: bool,
}

/// What happens to connections that ask for a name (SNI, RFC 6066 §3).
#[derive(Debug)]
pub enum TlsName {
    /// TLS ends here, and HTTP requests come out of it.
    Http {
        /// How it ends.
        termination: Arc<Termination>,
        /// The listener that claims the name: requests for another one's hosts are misdirected
        /// (RFC 9110 §15.5.20).
        listener: Arc<Listener>,
    },
    /// TLS ends here, and bytes come out of it.
    Tcp {
        /// How it ends.
        termination: Arc<Termination>,
        /// Where the bytes go.
        rule: Arc<TcpRule>,
    },
    /// The bytes go on as they are: TLS ends at the origin, and what its backend says about TLS
    /// ([`crate::backend::Backend::tls`]) does not count.
    Passthrough(Arc<TcpRule>),
}

/// How TLS to the endpoints of a backend begins (Gateway API: BackendTLSPolicy).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Origination {
    /// The name that is asked for (SNI) and, without `subject_alt_names`, expected.
    pub hostname: Arc<str>,
    /// Who may have signed the origin's certificate.
    pub trust: Trust,
    /// If any: the certificate must have one of these, instead of the host name.
    pub subject_alt_names: Vec<SubjectAltName>,
    /// What is shown to origins that ask for it.
    pub client_certificate: Option<CertificateId>,
    /// The lowest version.
    pub min_version: TlsVersion,
}

/// Who is believed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Trust {
    /// The authorities of the machine.
    System,
    /// These alone.
    Bundles(Vec<BundleId>),
}

/// A name in a certificate (RFC 5280 §4.2.1.6).
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum SubjectAltName {
    /// A DNS name, `*.` for one label included.
    Dns(Arc<str>),
    /// A URI, such as a SPIFFE id; compared as it is.
    Uri(Arc<str>),
}
