//! What a registry is convinced with.
//!
//! Owns where credentials are looked for, and in what order. The first that has something for the
//! repository wins; a file that is there and cannot be read is an error, because to go on without it
//! would be a puzzle. No error and no log line has a secret in it.

mod auth_file;
mod given;
mod helper;

use std::fmt;
use std::io;
use std::path::PathBuf;
use std::time::Duration;

use crate::digest::Digest;
use crate::reference::Reference;

pub use given::Given;

/// Something that is printed nowhere.
#[derive(Clone, PartialEq, Eq)]
pub struct Secret(String);

impl Secret {
    /// Hides a text.
    #[must_use]
    pub fn new(text: impl Into<String>) -> Self {
        Self(text.into())
    }

    /// The text.
    #[must_use]
    pub fn expose(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("***")
    }
}

/// What a registry is convinced with.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Credential {
    /// Nothing: what everybody may have.
    Anonymous,
    /// A user and a password, for the registry or its token server.
    Basic {
        /// The user.
        user: String,
        /// The password.
        password: Secret,
    },
    /// A token that a token server gives tokens for.
    IdentityToken(Secret),
    /// A token for the registry itself.
    Token(Secret),
}

/// A credential, and where it is from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Found {
    /// The credential.
    pub credential: Credential,
    /// Where it is from, for error messages; of [`Credential::Anonymous`], where was looked.
    pub origin: String,
}

impl Found {
    /// No credentials, wherever they might be.
    #[must_use]
    pub fn anonymous() -> Self {
        Self {
            credential: Credential::Anonymous,
            origin: "none were looked for".to_owned(),
        }
    }
}

impl Credential {
    /// Tells credentials apart without having them.
    pub(crate) fn fingerprint(&self) -> Digest {
        let (kind, user, secret) = match self {
            Self::Anonymous => ("anonymous", "", ""),
            Self::Basic { user, password } => ("basic", user.as_str(), password.expose()),
            Self::IdentityToken(token) => ("identity", "", token.expose()),
            Self::Token(token) => ("token", "", token.expose()),
        };
        Digest::of(format!("{kind}\0{user}\0{secret}").as_bytes())
    }
}

/// Why credentials that should be there cannot be used.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum CredentialError {
    /// A file cannot be read.
    #[error("cannot read the credentials in {path}")]
    Read {
        /// The file.
        path: PathBuf,
        /// The system's reason.
        source: io::Error,
    },
    /// A file has something else in it.
    #[error("the credentials in {path} cannot be used: {reason}")]
    Form {
        /// The file.
        path: PathBuf,
        /// What is wrong with it, without repeating it.
        reason: String,
    },
    /// A helper has a name that no program of docker's has.
    #[error(
        "{path} names the credential helper {name:?}: letters, digits, `-`, `_` and `.` are allowed"
    )]
    HelperName {
        /// The file that names it.
        path: PathBuf,
        /// The name.
        name: String,
    },
    /// A plugin's own file names a helper.
    #[error(
        "{path} is a plugin's own and names a credential helper: programs are run only for the \
         gateway's own files"
    )]
    HelperNotAllowed {
        /// The file.
        path: PathBuf,
    },
    /// A helper cannot be started.
    #[error("cannot run the credential helper {program}, which {path} names")]
    HelperStart {
        /// The program.
        program: String,
        /// The file that names it.
        path: PathBuf,
        /// The system's reason.
        source: io::Error,
    },
    /// A helper does not end.
    #[error("the credential helper {program} was ended after {} s", limit.as_secs_f32())]
    HelperSlow {
        /// The program.
        program: String,
        /// The limit.
        limit: Duration,
    },
    /// A helper failed, or said something else than credentials.
    #[error("the credential helper {program} gives no credentials for {server}: {reason}")]
    Helper {
        /// The program.
        program: String,
        /// What it was asked for.
        server: String,
        /// What it did; never what it printed.
        reason: String,
    },
}

/// Where credentials are looked for.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Credentials {
    files: Vec<AuthFile>,
    helper_limit: Option<Duration>,
}

/// A file with credentials of registries.
#[derive(Debug, Clone, PartialEq, Eq)]
struct AuthFile {
    path: PathBuf,
    /// Somebody named it, so it must be there.
    is_required: bool,
}

impl Credentials {
    /// Nowhere.
    #[must_use]
    pub fn none() -> Self {
        Self::default()
    }

    /// The files that docker and podman use, as the environment of this process says.
    #[must_use]
    pub fn from_env() -> Self {
        Self::from_variables(|name| std::env::var(name).ok())
    }

    /// The files that these variables lead to: `REGISTRY_AUTH_FILE`, `DOCKER_CONFIG`, `HOME`,
    /// `XDG_RUNTIME_DIR`.
    #[must_use]
    pub fn from_variables(value: impl Fn(&str) -> Option<String>) -> Self {
        let folder = |name: &str| {
            let value = value(name).filter(|it| !it.is_empty());
            value.map(PathBuf::from)
        };
        let optional = |path: PathBuf| AuthFile {
            path,
            is_required: false,
        };
        let named = folder("REGISTRY_AUTH_FILE").map(|path| AuthFile {
            path,
            is_required: true,
        });
        let places = [
            named,
            folder("DOCKER_CONFIG").map(|it| optional(it.join("config.json"))),
            folder("HOME").map(|it| optional(it.join(".docker/config.json"))),
            folder("XDG_RUNTIME_DIR").map(|it| optional(it.join("containers/auth.json"))),
        ];
        Self {
            files: places.into_iter().flatten().collect(),
            helper_limit: None,
        }
    }

    /// These files, in this order; each must be there.
    #[must_use]
    pub fn from_files(files: impl IntoIterator<Item = PathBuf>) -> Self {
        let required = |path| AuthFile {
            path,
            is_required: true,
        };
        Self {
            files: files.into_iter().map(required).collect(),
            helper_limit: None,
        }
    }

    /// Gives helpers this long instead of ten seconds.
    #[must_use]
    pub const fn with_helper_limit(mut self, limit: Duration) -> Self {
        self.helper_limit = Some(limit);
        self
    }

    /// The credentials for a repository: what was given for it, else what the files have.
    ///
    /// # Errors
    ///
    /// [`CredentialError`] names the file or program.
    pub async fn find(
        &self,
        image: &Reference,
        given: Option<&Given>,
    ) -> Result<Found, CredentialError> {
        if let Some(given) = given
            && let Some(found) = given.read(image).await?
        {
            return Ok(found);
        }
        let limit = self.helper_limit.unwrap_or(helper::LIMIT);
        let mut looked = Vec::new();
        for file in &self.files {
            let content = match auth_file::AuthConfig::read(&file.path) {
                Err(CredentialError::Read { source, .. })
                    if source.kind() == io::ErrorKind::NotFound && !file.is_required =>
                {
                    continue;
                }
                content => content?,
            };
            if let Some(found) = content.find(image, auth_file::Helpers::Run(limit)).await? {
                return Ok(found);
            }
            looked.push(file.path.display().to_string());
        }
        Ok(Found {
            credential: Credential::Anonymous,
            origin: match looked.as_slice() {
                [] => "there is no file of docker's or podman's with any".to_owned(),
                looked => format!("{} has none", looked.join(" and ")),
            },
        })
    }
}

#[cfg(test)]
mod tests;
