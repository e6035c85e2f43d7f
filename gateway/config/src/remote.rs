//! Code that comes over the network, as the draft has it: where from, how often, with what credentials.

use std::fmt;
use std::path::PathBuf;
use std::time::Duration;

use bytes::Bytes;

use crate::kinds::plugin::PullPolicy;

/// Code somewhere in the network.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct RemoteSource {
    /// Where it is.
    pub code: RemoteCode,
    /// When a tag is asked for again, if that was said.
    pub policy: Option<PullPolicy>,
    /// How often it is, if it is.
    pub interval: Duration,
    /// With what.
    pub credentials: PullCredentials,
}

/// Where code is.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum RemoteCode {
    /// An image, as it was written; whoever fetches it knows what references look like.
    Oci(String),
    /// A module on a web server.
    Http {
        /// Its address, as it was written.
        url: String,
        /// What it must be.
        sha256: [u8; 32],
    },
}

/// With what a registry is asked. Its `Debug` shows no secrets.
#[derive(Clone, PartialEq, Eq, Hash, Default)]
pub enum PullCredentials {
    /// What there is on this machine.
    #[default]
    Ambient,
    /// The text of a docker `config.json`.
    DockerConfig(Bytes),
    /// A user name with a password.
    Basic {
        /// The name.
        username: String,
        /// The password.
        password: String,
    },
    /// A docker `config.json`, as an absolute path.
    DockerConfigFile(PathBuf),
    /// Files with a user name and a password, as absolute paths.
    BasicFiles {
        /// The name's.
        username: PathBuf,
        /// The password's.
        password: PathBuf,
    },
    /// A file with a bearer token, as an absolute path.
    TokenFile(PathBuf),
}

impl PullCredentials {
    /// The files that they are read from, which may change.
    pub fn files(&self) -> impl Iterator<Item = &PathBuf> {
        let files = match self {
            Self::Ambient | Self::DockerConfig(_) | Self::Basic { .. } => [None, None],
            Self::DockerConfigFile(file) | Self::TokenFile(file) => [Some(file), None],
            Self::BasicFiles { username, password } => [Some(username), Some(password)],
        };
        files.into_iter().flatten()
    }
}

impl fmt::Debug for PullCredentials {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Ambient => f.write_str("Ambient"),
            Self::DockerConfig(_) => f.write_str("DockerConfig"),
            Self::Basic { .. } => f.write_str("Basic"),
            Self::DockerConfigFile(file) => f.debug_tuple("DockerConfigFile").field(file).finish(),
            Self::BasicFiles { username, password } => f
                .debug_tuple("BasicFiles")
                .field(username)
                .field(password)
                .finish(),
            Self::TokenFile(file) => f.debug_tuple("TokenFile").field(file).finish(),
        }
    }
}
