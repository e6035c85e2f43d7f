//! Credentials that a plugin's author names for it: files, or what a Secret has.

use std::path::Path;
use std::path::PathBuf;

use crate::credentials::Credential;
use crate::credentials::CredentialError;
use crate::credentials::Found;
use crate::credentials::Secret;
use crate::credentials::auth_file::AuthConfig;
use crate::credentials::auth_file::Helpers;
use crate::credentials::auth_file::read_file;
use crate::reference::Reference;

/// Most bytes of a file with one secret.
const MAX_SECRET: u64 = 64 << 10;

/// Where the credentials of one plugin are. Files are read at each pull, so a new secret works at
/// once.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Given {
    /// A user, and a file with the password.
    Password {
        /// The user.
        username: String,
        /// The file. White space around its content is left out.
        password_file: PathBuf,
    },
    /// The same with the user in a file too.
    PasswordFiles {
        /// The file with the user. White space around its content is left out.
        username_file: PathBuf,
        /// The file with the password.
        password_file: PathBuf,
    },
    /// A user and a password, as a Secret has them.
    Basic {
        /// The user.
        username: String,
        /// The password.
        password: Secret,
        /// Where they are from, for error messages.
        origin: String,
    },
    /// What a Secret has of the text that docker writes. Helpers that it names are not run.
    DockerConfig {
        /// The text.
        text: Secret,
        /// Where it is from, for error messages.
        origin: String,
    },
    /// A file with a token for the registry.
    TokenFile(PathBuf),
    /// A file as docker writes it, such as a pull secret of Kubernetes. Helpers that it names are not
    /// run.
    DockerConfigJson(PathBuf),
}

impl Given {
    /// What there is for a repository.
    pub(super) async fn read(&self, image: &Reference) -> Result<Option<Found>, CredentialError> {
        match self {
            Self::Password {
                username,
                password_file,
            } => Ok(Some(Found {
                credential: Credential::Basic {
                    user: username.clone(),
                    password: secret(password_file)?,
                },
                origin: password_file.display().to_string(),
            })),
            Self::PasswordFiles {
                username_file,
                password_file,
            } => Ok(Some(Found {
                credential: Credential::Basic {
                    user: secret(username_file)?.expose().to_owned(),
                    password: secret(password_file)?,
                },
                origin: password_file.display().to_string(),
            })),
            Self::Basic {
                username,
                password,
                origin,
            } => Ok(Some(Found {
                credential: Credential::Basic {
                    user: username.clone(),
                    password: password.clone(),
                },
                origin: origin.clone(),
            })),
            Self::DockerConfig { text, origin } => {
                let config = AuthConfig::parse(text.expose().as_bytes(), Path::new(origin))?;
                config.find(image, Helpers::Refused).await
            }
            Self::TokenFile(path) => Ok(Some(Found {
                credential: Credential::Token(secret(path)?),
                origin: path.display().to_string(),
            })),
            Self::DockerConfigJson(path) => {
                AuthConfig::read(path)?.find(image, Helpers::Refused).await
            }
        }
    }
}

fn secret(path: &Path) -> Result<Secret, CredentialError> {
    let bytes = read_file(path, MAX_SECRET)?;
    let wrong = |reason: &str| CredentialError::Form {
        path: path.to_owned(),
        reason: reason.to_owned(),
    };
    let text = String::from_utf8(bytes).map_err(|_| wrong("it is not text"))?;
    match text.trim() {
        "" => Err(wrong("it is empty")),
        text => Ok(Secret::new(text)),
    }
}
