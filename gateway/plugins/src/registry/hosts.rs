//! How each registry is to be reached: scheme and authorities.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::Arc;

use url::Url;

use crate::http::Access;
use crate::http::HttpError;
use crate::http::Origin;
use crate::http::Trust;
use crate::http::TrustError;
use crate::http::is_loopback;
use crate::http::named;
use crate::reference::Reference;
use crate::registry::RegistryError;

/// What is special about one registry.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct HostSettings {
    /// It is spoken to without TLS. Unset, that is so for loopback alone, as docker has it, and not
    /// there either if authorities are given.
    pub plain_http: Option<bool>,
    /// A file (PEM) of authorities that may vouch for it, in addition to the machine's.
    pub ca_file: Option<PathBuf>,
}

/// What is special about registries, by host, with the port if it has one.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Hosts {
    /// The settings.
    pub by_host: BTreeMap<String, HostSettings>,
}

impl Hosts {
    /// The root of the API of an image's registry, and by what right it is asked.
    pub(crate) fn find(&self, image: &Reference) -> Result<(Url, Access), RegistryError> {
        let settings = self.by_host.get(image.registry());
        let settings = settings.cloned().unwrap_or_default();
        let host = image.api_host();
        let url = |scheme: &str| {
            let text = format!("{scheme}://{host}/");
            text.parse::<Url>().map_err(|_| RegistryError::Http {
                registry: host.to_owned(),
                source: HttpError::Address {
                    url: text,
                    reason: "it is no address",
                },
            })
        };
        let plain = url("http")?;
        let by_default = is_loopback(&plain) && settings.ca_file.is_none();
        let root = if settings.plain_http.unwrap_or(by_default) {
            plain
        } else {
            url("https")?
        };
        let access = self
            .access(&root, &settings)
            .map_err(|source| RegistryError::Trust {
                registry: host.to_owned(),
                source,
            })?;
        Ok((root, access))
    }

    /// By what right an address is asked that is no registry's.
    pub(crate) fn access_to(&self, url: &Url) -> Result<Access, TrustError> {
        let host = url.host_str().unwrap_or_default();
        let with_port = url.port().map(|port| format!("{host}:{port}"));
        let settings = self.by_host.get(with_port.as_deref().unwrap_or(host));
        self.access(url, &settings.cloned().unwrap_or_default())
    }

    fn access(&self, url: &Url, settings: &HostSettings) -> Result<Access, TrustError> {
        let trust = match &settings.ca_file {
            Some(path) => Trust::with_file(path)?,
            None => Trust::system(),
        };
        let plain = self.by_host.iter();
        let plain = plain.filter(|(_, it)| it.plain_http == Some(true));
        Ok(Access {
            trust: Arc::new(trust),
            plain: plain.filter_map(|(host, _)| plain_origin(host)).collect(),
            loopback: named(url),
        })
    }
}

/// Who is spoken to where plain HTTP is allowed for a host.
fn plain_origin(host: &str) -> Option<Origin> {
    Origin::of(&format!("http://{host}/").parse().ok()?).ok()
}

#[cfg(test)]
mod tests {
    use super::HostSettings;
    use super::Hosts;

    #[test]
    fn plain_http_is_for_loopback_and_where_it_is_allowed() {
        let mut hosts = Hosts::default();
        let plain = |plain_http| HostSettings {
            plain_http: Some(plain_http),
            ..HostSettings::default()
        };
        hosts
            .by_host
            .insert("registry.test:5000".to_owned(), plain(true));
        hosts
            .by_host
            .insert("localhost:5001".to_owned(), plain(false));
        let scheme = |host: &str| {
            let image = format!("{host}/a/b").parse().unwrap();
            hosts.find(&image).unwrap().0.scheme().to_owned()
        };
        assert_eq!(scheme("localhost:5000"), "http");
        assert_eq!(scheme("127.0.0.1:5000"), "http");
        assert_eq!(scheme("[::1]:5000"), "http");
        assert_eq!(scheme("localhost:5001"), "https");
        assert_eq!(scheme("registry.test:5000"), "http");
        assert_eq!(scheme("registry.test"), "https");
        assert_eq!(scheme("ghcr.io"), "https");
        // Settings are under the name that people write, whatever host has the API.
        hosts.by_host.insert("docker.io".to_owned(), plain(true));
        let (root, access) = hosts.find(&"me/filter".parse().unwrap()).unwrap();
        assert_eq!(root.as_str(), "http://registry-1.docker.io/");
        assert_eq!(access.plain.len(), 2);
    }
}
