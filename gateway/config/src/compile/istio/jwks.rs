//! Backends that are made of URLs of keys.

use std::net::IpAddr;
use std::net::SocketAddr;
use std::sync::Arc;

use http::HeaderValue;
use tidegate_core::backend::Backend;
use tidegate_core::backend::BackendName;
use tidegate_core::backend::BackendProtocol;
use tidegate_core::backend::Endpoint;
use tidegate_core::balance::LoadBalancer;
use tidegate_core::dns::DnsSource;
use tidegate_core::tls::Origination;
use tidegate_core::tls::Trust;

use crate::compile::backends::BackendTable;
use crate::compile::tls;
use crate::rules::JwksUri;

impl BackendTable<'_> {
    /// The backend where an issuer's keys are, by name. It is reached over TLS if the URL says so, and then verified
    /// by the machine's authorities.
    pub(super) fn keys_at(&mut self, uri: &JwksUri) -> Arc<str> {
        let scheme = if uri.secure { "https" } else { "http" };
        // Names of others have a slash after their namespace.
        let name = format!("jwks:{scheme}:{}:{}", uri.host, uri.port);
        let key = (name.clone(), false, None);
        if self.known.contains_key(&key) {
            return name.into();
        }
        let (endpoints, dns) = match uri.host.parse::<IpAddr>() {
            Ok(address) => {
                let address = SocketAddr::new(address, uri.port);
                (vec![Endpoint::from(address)], None)
            }
            Err(_) => {
                let source = DnsSource::addresses(&uri.host, uri.port);
                (Vec::new(), Some(Arc::new(source)))
            }
        };
        let origination = uri.secure.then(|| {
            Arc::new(Origination {
                hostname: uri.host.as_str().into(),
                trust: Trust::System,
                subject_alt_names: Vec::new(),
                client_certificate: None,
                min_version: tls::min_version(None),
            })
        });
        let authority = HeaderValue::from_str(&uri.authority).ok();
        let id = self.backends.insert(Arc::new(Backend {
            name: BackendName::from(name.as_str()),
            endpoints,
            dns,
            authority: authority.unwrap_or_else(|| HeaderValue::from_static("localhost")),
            load_balancer: LoadBalancer::default(),
            protocol: BackendProtocol::Http1,
            tls: origination,
            proxy_protocol: None,
            pings: None,
        }));
        self.known.insert(key, id);
        name.into()
    }
}
