//! Modules of web servers, which nobody signs: whether the policy lets them in.
//!
//! Owns the question whether an address is one of a registry. A module that an unsigned image has lies in
//! its registry under an address of its own, so that `source: http` would lead around the signature.

use url::Url;

use crate::quote;
use crate::reference::DOCKER_HUB;
use crate::reference::is_docker_hub;
use crate::signatures::Mode;
use crate::signatures::Pattern;
use crate::signatures::Policy;

/// What becomes of modules of web servers.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Web {
    /// They are used, unless a registry has them for which a rule requires a signature.
    Allow,
    /// They are not used.
    Refuse,
}

/// Why a module of a web server is not used.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum WebRefused {
    /// None is.
    #[error(
        "{url} is not fetched: nobody signs what web servers have, and the signature policy wants \
         signatures. Push the module to a registry, sign it there, and name it by `source.oci`; or write \
         `http: Allow` into the policy"
    )]
    All {
        /// The address, without its query.
        url: String,
    },
    /// A registry has it for which a signature is required.
    #[error(
        "{url} is not fetched: it is content of a registry, for which the signature policy requires a \
         signature (rule `{rule}`). Name the image by `source.oci`, so that its signature can be checked"
    )]
    Registry {
        /// The address, without its query.
        url: String,
        /// The images that the rule is for.
        rule: String,
    },
}

impl Policy {
    /// Whether a module may come from an address of a web server: of the first one that is asked, and of
    /// each that a redirect leads to.
    ///
    /// # Errors
    ///
    /// [`WebRefused`].
    pub fn check_web(&self, url: &Url) -> Result<(), WebRefused> {
        if let Some(rule) = self.rule_of_content(url) {
            return Err(WebRefused::Registry {
                url: quote::url(url),
                rule: rule.to_string(),
            });
        }
        match self.web() {
            Web::Allow => Ok(()),
            Web::Refuse => Err(WebRefused::All {
                url: quote::url(url),
            }),
        }
    }

    /// The rule that requires a signature of the content at an address, if a registry has it.
    fn rule_of_content(&self, url: &Url) -> Option<&Pattern> {
        let content = Content::of(url)?;
        let requires = |name: &str| {
            let rule = self.rule_of(name)?;
            (rule.mode == Mode::Require).then_some(&rule.images)
        };
        match &content.repository {
            Some(repository) => content
                .registries
                .iter()
                .find_map(|registry| requires(&format!("{registry}/{repository}"))),
            // Nobody knows whose content it is: one rule for any of it is enough.
            None => self.rules().iter().find_map(|rule| {
                let is_of = |registry: &String| match content.is_certain {
                    true => rule.images.covers(registry),
                    false => rule.images.names(registry),
                };
                let is_strict = rule.mode == Mode::Require;
                (is_strict && content.registries.iter().any(is_of)).then_some(&rule.images)
            }),
        }
    }
}

/// What an address says of a registry, if it may be one of the API of registries.
struct Content {
    /// The names that rules may have for the registry.
    registries: Vec<String>,
    /// The repository, if the path says it.
    repository: Option<String>,
    /// Whether the path has content of a registry, and does not only begin as if.
    is_certain: bool,
}

impl Content {
    /// By the paths of the distribution specification, wherever they begin and however they are escaped:
    /// `/v2/NAME/blobs/DIGEST`, `/v2/NAME/manifests/REFERENCE`.
    fn of(url: &Url) -> Option<Self> {
        let path = decoded(url.path())?.to_ascii_lowercase();
        let mut segments: Vec<&str> = Vec::new();
        for segment in path.split(['/', '\\']) {
            match segment {
                "" | "." => {}
                ".." => {
                    segments.pop();
                }
                segment => segments.push(segment),
            }
        }
        let begin = segments.iter().position(|segment| *segment == "v2")?;
        let rest = segments.get(begin + 1..)?;
        let end = rest
            .iter()
            .rposition(|segment| ["blobs", "manifests"].contains(segment));
        if end.is_none() && begin > 0 {
            return None;
        }
        // Behind a longer path, only that server knows what is a repository's name.
        let name = end.filter(|_| begin == 0).and_then(|end| rest.get(..end));
        Some(Self {
            registries: registries(url)?,
            repository: name
                .map(|name| name.join("/"))
                .filter(|name| !name.is_empty()),
            is_certain: end.is_some(),
        })
    }
}

/// What a registry at an address may be called: with its port, and without the usual ones.
fn registries(url: &Url) -> Option<Vec<String>> {
    let host = url.host_str()?.to_ascii_lowercase();
    let host = host.strip_suffix('.').unwrap_or(&host);
    let port = url.port_or_known_default()?;
    let mut names = vec![format!("{host}:{port}")];
    if [80, 443].contains(&port) {
        let is_hub = is_docker_hub(host);
        names.push(if is_hub { DOCKER_HUB } else { host }.to_owned());
    }
    Some(names)
}

/// A path without escapes, whatever was escaped how often; `None` if it never ends.
fn decoded(path: &str) -> Option<String> {
    const MOST_LEVELS: usize = 8;

    let mut bytes = path.as_bytes().to_vec();
    for _ in 0..MOST_LEVELS {
        let plain = once_decoded(&bytes);
        if plain == bytes {
            return Some(String::from_utf8_lossy(&bytes).into_owned());
        }
        bytes = plain;
    }
    None
}

fn once_decoded(bytes: &[u8]) -> Vec<u8> {
    let mut plain = Vec::with_capacity(bytes.len());
    let mut rest = bytes;
    let digit = |byte: u8| char::from(byte).to_digit(16);
    while let Some((first, behind)) = rest.split_first() {
        if let (b'%', [high, low, behind @ ..]) = (first, behind)
            && let (Some(high), Some(low)) = (digit(*high), digit(*low))
            && let Ok(byte) = u8::try_from(high * 16 + low)
        {
            plain.push(byte);
            rest = behind;
        } else {
            plain.push(*first);
            rest = behind;
        }
    }
    plain
}
