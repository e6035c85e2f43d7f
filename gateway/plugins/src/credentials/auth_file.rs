//! `config.json` of docker, `auth.json` of podman and `.dockerconfigjson` of Kubernetes: one form.
//!
//! Owns its reading and which entry is for a repository: the longest path that leads to it, then the
//! registry by any of the names it has there.

use std::collections::BTreeMap;
use std::fs::File;
use std::io::Read as _;
use std::path::Path;
use std::path::PathBuf;
use std::time::Duration;

use base64::Engine as _;
use base64::alphabet;
use base64::engine::DecodePaddingMode;
use base64::engine::general_purpose::GeneralPurpose;
use base64::engine::general_purpose::GeneralPurposeConfig;
use serde::Deserialize;

use crate::credentials::Credential;
use crate::credentials::CredentialError;
use crate::credentials::Found;
use crate::credentials::Secret;
use crate::credentials::helper;
use crate::reference::DOCKER_HUB;
use crate::reference::Reference;

/// Most bytes of a file.
const MAX_FILE: u64 = 4 << 20;

/// Some tools leave the padding out.
const BASE64: GeneralPurpose = GeneralPurpose::new(
    &alphabet::STANDARD,
    GeneralPurposeConfig::new().with_decode_padding_mode(DecodePaddingMode::Indifferent),
);

/// The names that Docker Hub has in such files, besides its own.
const HUB_NAMES: [&str; 3] = [
    "https://index.docker.io/v1/",
    "index.docker.io",
    "registry-1.docker.io",
];

/// Whether programs that a file names are run.
#[derive(Debug, Clone, Copy)]
pub(super) enum Helpers {
    /// They are, for this long.
    Run(Duration),
    /// They are not: the file is not the gateway's own.
    Refused,
}

/// A file with credentials.
#[derive(Debug)]
pub(super) struct AuthConfig {
    path: PathBuf,
    content: Content,
}

#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
struct Content {
    auths: BTreeMap<String, Entry>,
    cred_helpers: BTreeMap<String, String>,
    creds_store: String,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct Entry {
    auth: String,
    username: String,
    password: String,
    identitytoken: String,
    registrytoken: String,
}

impl std::fmt::Debug for Entry {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("***")
    }
}

impl AuthConfig {
    /// Reads a file.
    pub(super) fn read(path: &Path) -> Result<Self, CredentialError> {
        Self::parse(&read_file(path, MAX_FILE)?, path)
    }

    /// Reads a text; the path is what errors call it.
    pub(super) fn parse(text: &[u8], path: &Path) -> Result<Self, CredentialError> {
        let content = if text.trim_ascii().is_empty() {
            Content::default()
        } else {
            // What serde says of a wrong type has the value in it.
            serde_json::from_slice(text).map_err(|err| CredentialError::Form {
                path: path.to_owned(),
                reason: format!(
                    "it is not the JSON of docker's config.json (line {}, column {})",
                    err.line(),
                    err.column()
                ),
            })?
        };
        Ok(Self {
            path: path.to_owned(),
            content,
        })
    }

    /// What it has for a repository.
    pub(super) async fn find(
        &self,
        image: &Reference,
        helpers: Helpers,
    ) -> Result<Option<Found>, CredentialError> {
        let keys = keys(image);
        let content = &self.content;
        let of_host = keys.iter().find_map(|key| content.cred_helpers.get(key));
        let store = Some(&content.creds_store).filter(|it| !it.is_empty());
        for name in of_host.into_iter().chain(store) {
            let Helpers::Run(limit) = helpers else {
                return Err(CredentialError::HelperNotAllowed {
                    path: self.path.clone(),
                });
            };
            let ask = helper::Ask {
                name,
                named_by: &self.path,
                server: server(image),
                limit,
            };
            if let Some(found) = ask.run().await? {
                return Ok(Some(found));
            }
        }
        for key in &keys {
            if let Some(found) = content.auths.get(key)
                && let Some(credential) = found.read(&self.path, key)?
            {
                return Ok(Some(Found {
                    credential,
                    origin: format!("{} ({key})", self.path.display()),
                }));
            }
        }
        Ok(None)
    }
}

impl Entry {
    /// `None` if there is nothing in it, as where a helper has it.
    fn read(&self, path: &Path, key: &str) -> Result<Option<Credential>, CredentialError> {
        if !self.registrytoken.is_empty() {
            return Ok(Some(Credential::Token(Secret::new(&self.registrytoken))));
        }
        if !self.identitytoken.is_empty() {
            return Ok(Some(Credential::IdentityToken(Secret::new(
                &self.identitytoken,
            ))));
        }
        if self.auth.is_empty() {
            let is_there = !self.username.is_empty();
            return Ok(is_there.then(|| Credential::Basic {
                user: self.username.clone(),
                password: Secret::new(&self.password),
            }));
        }
        let wrong = || CredentialError::Form {
            path: path.to_owned(),
            reason: format!(
                "`auth` of {:?} is not USER:PASSWORD in base64",
                crate::quote::short(key)
            ),
        };
        let plain = BASE64.decode(self.auth.trim()).map_err(|_| wrong())?;
        let plain = String::from_utf8(plain).map_err(|_| wrong())?;
        let (user, password) = plain.split_once(':').ok_or_else(wrong)?;
        Ok(Some(Credential::Basic {
            user: user.to_owned(),
            // Docker on Windows once wrote zeros behind it.
            password: Secret::new(password.trim_end_matches('\0')),
        }))
    }
}

/// What a helper is asked for.
fn server(image: &Reference) -> &str {
    match image.registry() {
        DOCKER_HUB => "https://index.docker.io/v1/",
        other => other,
    }
}

/// The keys under which a repository's credentials may stand, those that say most first.
fn keys(image: &Reference) -> Vec<String> {
    let registry = image.registry();
    let mut keys = Vec::new();
    let mut path = image.repository();
    loop {
        keys.push(format!("{registry}/{path}"));
        match path.rsplit_once('/') {
            Some((parent, _)) => path = parent,
            None => break,
        }
    }
    keys.push(registry.to_owned());
    for scheme in ["https", "http"] {
        for end in ["", "/", "/v1/", "/v2/", "/v1", "/v2"] {
            keys.push(format!("{scheme}://{registry}{end}"));
        }
    }
    if registry == DOCKER_HUB {
        keys.extend(HUB_NAMES.map(str::to_owned));
    }
    keys
}

/// A small file.
pub(super) fn read_file(path: &Path, most: u64) -> Result<Vec<u8>, CredentialError> {
    let mut bytes = Vec::new();
    let read = File::open(path).and_then(|file| {
        if !file.metadata()?.is_file() {
            return Err(std::io::Error::other("it is not a file"));
        }
        file.take(most + 1).read_to_end(&mut bytes)
    });
    read.map_err(|source| CredentialError::Read {
        path: path.to_owned(),
        source,
    })?;
    if bytes.len() as u64 > most {
        return Err(CredentialError::Form {
            path: path.to_owned(),
            reason: format!("it has more than {most} bytes"),
        });
    }
    Ok(bytes)
}
