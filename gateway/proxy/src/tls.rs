//! TLS, towards clients and towards origins: certificates, who is believed, settings of handshakes.
//!
//! Owns what is made of certificates and settings once a generation is prepared, on the control
//! thread; workers find it ready. What did not change stays the same `Arc`, so that connections and
//! sessions outlive reloads. Bytes are [`crate::transport`]'s, the order of a handshake is
//! `worker/handshake.rs`'s.

mod bundle;
mod certificate;
mod connector;
mod facts;
mod plan;
mod secured;
mod terminator;
mod verify;

use std::sync::Arc;
use std::sync::OnceLock;

use rustls::crypto::CryptoProvider;

pub use bundle::Bundle;
pub use bundle::BundleError;
pub use certificate::Certificate;
pub use certificate::CertificateError;

pub(crate) use connector::Connector;
pub(crate) use connector::ConnectorId;
pub(crate) use connector::Offer;
pub(crate) use facts::Facts;
pub(crate) use plan::Inside;
pub(crate) use plan::TlsPlan;
pub(crate) use secured::ClientCertificate;
pub(crate) use secured::Secured;
pub(crate) use terminator::Terminator;
pub(crate) use terminator::Trust;

/// The cryptography, named so that no other crate's choice becomes ours.
fn provider() -> &'static Arc<CryptoProvider> {
    static PROVIDER: OnceLock<Arc<CryptoProvider>> = OnceLock::new();
    PROVIDER.get_or_init(|| Arc::new(rustls::crypto::aws_lc_rs::default_provider()))
}
