//! TLS on the command line of `tidegate proxy`. Its files are followed.

use std::path::PathBuf;

use clap::Args;

/// TLS of `tidegate proxy`.
#[derive(Debug, Clone, Default, Args)]
pub(crate) struct TlsArgs {
    /// Serve HTTPS with this certificate (PEM, followed by its chain) and private key
    #[arg(long = "tls", num_args = 2, value_names = ["CERT", "KEY"])]
    pub(crate) files: Vec<PathBuf>,
    /// Authorities (PEM) that https:// origins must be signed by; those of the machine by default
    #[arg(long = "ca", value_name = "FILE")]
    pub(crate) authorities: Option<PathBuf>,
    /// Certificates that these authorities have revoked (CRL; PEM or DER)
    #[arg(long = "crl", value_name = "FILE", requires = "authorities")]
    pub(crate) revoked: Option<PathBuf>,
    /// Take any certificate of https:// origins: whoever is in between can read and change all of it
    #[arg(long, conflicts_with = "authorities")]
    pub(crate) insecure_skip_verify: bool,
}
