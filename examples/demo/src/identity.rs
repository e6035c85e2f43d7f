//! The certificate that the gateway shows for HTTPS: made anew at each start, for this machine alone.

use std::fs::{self, OpenOptions};
use std::io::Write as _;
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use anyhow::{Context, Result};
use rustls::pki_types::CertificateDer;
use rustls::{ClientConfig, RootCertStore};

/// What the certificate is for: the names by which the page calls the gateway.
const NAMES: [&str; 2] = ["localhost", "127.0.0.1"];

/// The name of the certificate's file.
pub(crate) const CERTIFICATE: &str = "tls.crt";

/// The name of its key's file.
pub(crate) const KEY: &str = "tls.key";

/// A certificate in a folder, and a client that believes it and no other.
#[derive(Debug, Clone)]
pub(crate) struct Identity {
    /// Its file.
    pub(crate) file: PathBuf,
    /// What clients know.
    pub(crate) client: Arc<ClientConfig>,
}

impl Identity {
    /// Makes one; its key is for this user only.
    pub(crate) fn make(folder: &Path) -> Result<Self> {
        let names: Vec<String> = NAMES.map(str::to_owned).into();
        let made = rcgen::generate_simple_self_signed(names).context("make a certificate")?;
        let file = folder.join(CERTIFICATE);
        fs::write(&file, made.cert.pem()).with_context(|| format!("write {}", file.display()))?;
        let key = folder.join(KEY);
        OpenOptions::new()
            .write(true)
            .create_new(true)
            .mode(0o600)
            .open(&key)
            .and_then(|mut open| open.write_all(made.signing_key.serialize_pem().as_bytes()))
            .with_context(|| format!("write {}", key.display()))?;
        Ok(Self {
            file,
            client: Arc::new(client(made.cert.der().clone())?),
        })
    }
}

fn client(certificate: CertificateDer<'static>) -> Result<ClientConfig> {
    let mut believed = RootCertStore::empty();
    believed.add(certificate).context("believe it")?;
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let mut config = ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()?
        .with_root_certificates(believed)
        .with_no_client_auth();
    config.alpn_protocols = vec![b"http/1.1".to_vec()];
    Ok(config)
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt as _;

    use super::*;

    #[test]
    fn nobody_else_can_read_the_key() {
        let name = format!("tidegate-demo-identity-{}", std::process::id());
        let folder = std::env::temp_dir().join(name);
        fs::create_dir_all(&folder).unwrap();
        let identity = Identity::make(&folder).unwrap();
        let mode = fs::metadata(folder.join(KEY)).unwrap().permissions().mode();
        assert_eq!(mode & 0o077, 0);
        assert!(identity.file.is_file());
        // A second one would need a new folder, as each start has one.
        assert!(Identity::make(&folder).is_err());
        fs::remove_dir_all(&folder).unwrap();
    }
}
