//! The configurations of the proxies.
//!
//! Each is as fast as its makers advise for this work: one worker, keep-alive on both sides with
//! room for every connection, no logs, no limits that could be hit. Where a choice is left, it is
//! the one in favour of the other proxy: they add no forwarding headers, which Tidegate does.

pub(crate) mod envoy;
pub(crate) mod haproxy;
pub(crate) mod nginx;
pub(crate) mod tidegate;

use std::net::SocketAddr;
use std::path::{Path, PathBuf};

use tidegate_benches::tokens::{Issuer, Signed};

use crate::scenario::Scenario;

/// What a configuration is about.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Setting<'a> {
    pub(crate) scenario: Scenario,
    /// Where the proxy listens.
    pub(crate) address: SocketAddr,
    pub(crate) origin: SocketAddr,
    /// Where it may put files.
    pub(crate) folder: &'a Path,
    pub(crate) identity: &'a Identity,
}

/// The certificate that everybody shows, with its key, and the token that clients have.
#[derive(Debug)]
pub(crate) struct Identity {
    pub(crate) certificate: String,
    pub(crate) key: String,
    certificate_file: PathBuf,
    key_file: PathBuf,
    /// Both in one file, as HAProxy wants it.
    both_file: PathBuf,
    /// A token of clients, and the keys of who issued it.
    pub(crate) token: String,
    pub(crate) jwks: String,
}

/// The name in the certificate.
pub(crate) const NAME: &str = "bench.test";

impl Identity {
    /// A new one; the files are in this folder.
    pub(crate) fn make(folder: &Path) -> anyhow::Result<Self> {
        let issuer = Issuer::new()?;
        let made = rcgen::generate_simple_self_signed([NAME.to_owned()])?;
        let (certificate, key) = (made.cert.pem(), made.signing_key.serialize_pem());
        let identity = Self {
            certificate_file: folder.join("cert.pem"),
            key_file: folder.join("key.pem"),
            both_file: folder.join("both.pem"),
            certificate,
            key,
            token: issuer.token(Signed::Es256, 1)?,
            jwks: issuer.jwks()?,
        };
        std::fs::write(&identity.certificate_file, &identity.certificate)?;
        std::fs::write(&identity.key_file, &identity.key)?;
        let both = format!("{}{}", identity.certificate, identity.key);
        std::fs::write(&identity.both_file, both)?;
        Ok(identity)
    }
}
