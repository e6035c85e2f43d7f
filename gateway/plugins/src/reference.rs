//! References to images: `[oci://][HOST[:PORT]/]REPOSITORY[:TAG][@sha256:DIGEST]`.
//!
//! Owns their grammar, which is that of docker and of the OCI distribution specification, and its
//! defaults: `docker.io`, `library/` and `latest`. A digest wins over a tag.

mod error;
mod grammar;

use std::fmt;
use std::net::Ipv6Addr;
use std::str::FromStr;

use crate::digest::Digest;
use crate::quote::short;
use crate::reference::grammar::is_component;
use crate::reference::grammar::is_host;
use crate::reference::grammar::is_tag;

pub use error::ReferenceError;

/// Where names without a registry are.
pub const DOCKER_HUB: &str = "docker.io";
/// Where Docker Hub serves its API.
const DOCKER_HUB_API: &str = "registry-1.docker.io";
/// What repositories of Docker Hub without a namespace belong to.
const LIBRARY: &str = "library/";
/// The tag of a reference that has none.
const LATEST: &str = "latest";
/// The port of a registry whose name has none.
const HTTPS: u16 = 443;
/// Most characters of registry and repository together, as the reference implementation has it.
const MAX_NAME: usize = 255;
/// Most bytes of a reference that are looked at.
const MAX_REFERENCE: usize = 1024;

/// Where an image is, and which one.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Reference {
    registry: String,
    repository: String,
    tag: Option<String>,
    digest: Option<Digest>,
}

impl Reference {
    /// The registry as a person writes it, with its port if it has one.
    #[must_use]
    pub fn registry(&self) -> &str {
        &self.registry
    }

    /// The host, and port, where the registry's API is: for Docker Hub it is another one.
    #[must_use]
    pub fn api_host(&self) -> &str {
        match self.registry.as_str() {
            DOCKER_HUB => DOCKER_HUB_API,
            other => other,
        }
    }

    /// The name within the registry.
    #[must_use]
    pub fn repository(&self) -> &str {
        &self.repository
    }

    /// The tag, if there is one beside the digest, or none of both.
    #[must_use]
    pub fn tag(&self) -> Option<&str> {
        match (&self.tag, &self.digest) {
            (None, None) => Some(LATEST),
            (tag, _) => tag.as_deref(),
        }
    }

    /// The digest that is wanted, and no other.
    #[must_use]
    pub const fn digest(&self) -> Option<Digest> {
        self.digest
    }

    /// What the manifest is asked for by: the digest, else the tag.
    #[must_use]
    pub fn manifest(&self) -> String {
        match self.digest {
            Some(digest) => digest.to_string(),
            None => self.tag.as_deref().unwrap_or(LATEST).to_owned(),
        }
    }

    /// Registry and repository: what credentials, mirrors and policies are chosen by.
    #[must_use]
    pub fn name(&self) -> String {
        format!("{}/{}", self.registry, self.repository)
    }

    /// The same image by its digest alone.
    #[must_use]
    pub fn with_digest(&self, digest: Digest) -> Self {
        Self {
            tag: None,
            digest: Some(digest),
            ..self.clone()
        }
    }

    /// Another image of the same repository.
    ///
    /// # Errors
    ///
    /// [`ReferenceError::Tag`].
    pub fn with_tag(&self, tag: &str) -> Result<Self, ReferenceError> {
        if !is_tag(tag) {
            return Err(ReferenceError::Tag {
                text: short(&self.name()),
                tag: short(tag),
            });
        }
        Ok(Self {
            tag: Some(tag.to_owned()),
            digest: None,
            ..self.clone()
        })
    }

    /// The same tag or digest under another name, as mirrors have it.
    ///
    /// # Errors
    ///
    /// [`ReferenceError`] if the name is none.
    pub(crate) fn renamed(&self, name: &str) -> Result<Self, ReferenceError> {
        let (registry, repository) = split_registry(name)?;
        checked_repository(name, &repository, registry.len())?;
        Ok(Self {
            registry,
            repository,
            ..self.clone()
        })
    }
}

impl FromStr for Reference {
    type Err = ReferenceError;

    fn from_str(text: &str) -> Result<Self, ReferenceError> {
        if text.len() > MAX_REFERENCE {
            return Err(ReferenceError::TooLong { text: short(text) });
        }
        let rest = without_scheme(text)?;
        if rest.is_empty() {
            return Err(ReferenceError::Empty);
        }
        let (rest, digest) = match rest.split_once('@') {
            None => (rest, None),
            Some((rest, digest)) => (rest, Some(read_digest(text, digest)?)),
        };
        let (name, tag) = split_tag(rest);
        let tag = tag.map(str::to_owned);
        if let Some(tag) = tag.as_deref()
            && !is_tag(tag)
        {
            return Err(ReferenceError::Tag {
                text: short(text),
                tag: short(tag),
            });
        }
        let (registry, repository) = split_registry(name)?;
        checked_repository(text, &repository, registry.len())?;
        Ok(Self {
            registry,
            repository,
            tag,
            digest,
        })
    }
}

impl fmt::Display for Reference {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.registry, self.repository)?;
        if let Some(tag) = self.tag() {
            write!(f, ":{tag}")?;
        }
        match self.digest {
            Some(digest) => write!(f, "@{digest}"),
            None => Ok(()),
        }
    }
}

fn without_scheme(text: &str) -> Result<&str, ReferenceError> {
    match text.split_once("://") {
        None => Ok(text),
        Some(("oci", rest)) => Ok(rest),
        Some((scheme, _)) => Err(ReferenceError::Scheme {
            text: short(text),
            scheme: short(scheme),
        }),
    }
}

fn read_digest(text: &str, digest: &str) -> Result<Digest, ReferenceError> {
    digest.parse().map_err(|source| ReferenceError::Digest {
        text: short(text),
        source,
    })
}

/// A colon after the last slash begins a tag; one before it, a port.
fn split_tag(text: &str) -> (&str, Option<&str>) {
    let last = text.rfind('/').map_or(0, |slash| slash + 1);
    let colon = text.rfind(':').filter(|colon| *colon >= last);
    match colon.and_then(|colon| Some((text.get(..colon)?, text.get(colon + 1..)?))) {
        // `host:5000/` has no repository, and `host:5000` is a repository with a tag, as in docker.
        Some((name, tag)) => (name, Some(tag)),
        None => (text, None),
    }
}

/// The first part is a registry if it cannot be part of a repository.
fn split_registry(name: &str) -> Result<(String, String), ReferenceError> {
    let looks_like_host = |part: &str| part == "localhost" || part.contains(['.', ':', '[']);
    match name.split_once('/') {
        Some((registry, repository)) if looks_like_host(registry) => {
            let registry = checked_registry(name, registry)?;
            let repository = match (registry.as_str(), repository.contains('/')) {
                (DOCKER_HUB, false) => format!("{LIBRARY}{repository}"),
                _ => repository.to_owned(),
            };
            Ok((registry, repository))
        }
        Some(_) => Ok((DOCKER_HUB.to_owned(), name.to_owned())),
        None => Ok((DOCKER_HUB.to_owned(), format!("{LIBRARY}{name}"))),
    }
}

fn checked_registry(text: &str, registry: &str) -> Result<String, ReferenceError> {
    let wrong = || ReferenceError::Registry {
        text: short(text),
        registry: short(registry),
    };
    let (host, port) = match registry.rsplit_once(':') {
        // The colons of an address in brackets are no ports.
        Some((host, port)) if !port.contains(']') => (host, Some(port)),
        _ => (registry, None),
    };
    let port = match port {
        Some(port) if port.bytes().all(|byte| byte.is_ascii_digit()) => Some(
            port.parse()
                .ok()
                .filter(|port| *port > 0)
                .ok_or_else(wrong)?,
        ),
        Some(_) => return Err(wrong()),
        None => None,
    };
    if !is_host(host) {
        return Err(wrong());
    }
    // One name for one registry: rules about names are not gone around by another spelling.
    let host = host.to_ascii_lowercase();
    let address = host.strip_prefix('[').and_then(|it| it.strip_suffix(']'));
    let host = match address.and_then(|it| it.parse::<Ipv6Addr>().ok()) {
        Some(address) => format!("[{address}]"),
        None => host,
    };
    let is_hub = is_docker_hub(&host);
    Ok(match port {
        None | Some(HTTPS) if is_hub => DOCKER_HUB.to_owned(),
        None | Some(HTTPS) => host,
        Some(port) => format!("{host}:{port}"),
    })
}

/// Whether a host, in lower case, is one of Docker Hub's.
pub(crate) fn is_docker_hub(host: &str) -> bool {
    matches!(host, DOCKER_HUB | "index.docker.io" | DOCKER_HUB_API)
}

fn checked_repository(text: &str, repository: &str, registry: usize) -> Result<(), ReferenceError> {
    if repository.len() + registry + 1 > MAX_NAME {
        return Err(ReferenceError::TooLong { text: short(text) });
    }
    if repository.split('/').all(is_component) {
        return Ok(());
    }
    Err(ReferenceError::Repository {
        text: short(text),
        repository: short(repository),
    })
}

#[cfg(test)]
mod tests;
