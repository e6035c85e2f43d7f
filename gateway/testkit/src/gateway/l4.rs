//! Gateways in front of connections instead of requests.

use std::sync::Arc;
use std::time::Duration;

use tidegate_core::backend::Backend;
use tidegate_core::backend::BackendId;
use tidegate_core::host::HostMap;
use tidegate_core::host::HostPattern;
use tidegate_core::route::WeightedBackend;
use tidegate_core::snapshot::Backends;
use tidegate_core::snapshot::PluginId;
use tidegate_core::snapshot::Protocol;
use tidegate_core::tcp::TcpRule;
use tidegate_core::tls::CertificateId;
use tidegate_core::tls::Termination;
use tidegate_core::tls::TlsName;
use tidegate_core::tls::TlsVersion;

use crate::gateway::Builder;

/// How connections are passed on.
#[derive(Debug, Clone)]
pub(super) struct L4 {
    idle: Duration,
    /// By name, beside the origin.
    backends: Vec<(String, u32)>,
}

/// Where the bytes of connections go that ask for a name (SNI).
#[derive(Debug, Clone)]
pub(super) struct L4Name {
    host: HostPattern,
    /// What TLS ends with; it goes on as it is without.
    termination: Option<Termination>,
    backend: String,
}

impl Builder {
    /// Passes TLS on as it is, for who asks for this host (`*.` and a host, or everybody if it is
    /// empty), to this backend.
    #[must_use]
    pub fn passthrough(self, host: &str, backend: &str) -> Self {
        self.named(host, None, backend)
    }

    /// The same, but TLS ends here, with this certificate, and what is inside is passed on.
    #[must_use]
    pub fn tcp_over_tls(self, host: &str, certificate: u32, backend: &str) -> Self {
        let termination = Termination {
            certificates: vec![CertificateId(certificate)],
            min_version: TlsVersion::Tls12,
            alpn: Vec::new(),
            clients: None,
        };
        self.named(host, Some(termination), backend)
    }

    fn named(mut self, host: &str, termination: Option<Termination>, backend: &str) -> Self {
        let host = if host.is_empty() {
            HostPattern::Any
        } else {
            HostPattern::parse(host).expect("a host")
        };
        self.l4_names.push(L4Name {
            host,
            termination,
            backend: backend.to_owned(),
        });
        self
    }

    /// Passes connections on as bytes; plugins are network filters.
    #[must_use]
    pub fn tcp(self) -> Self {
        self.tcp_idle(Duration::from_secs(300))
    }

    /// The same with another limit for silence.
    #[must_use]
    pub fn tcp_idle(mut self, idle: Duration) -> Self {
        let backends = self.l4.map(|l4| l4.backends).unwrap_or_default();
        self.l4 = Some(L4 { idle, backends });
        self
    }

    /// Passes connections on to this backend too, with this weight; the origin's is 1.
    ///
    /// # Panics
    ///
    /// If it does not pass connections on.
    #[must_use]
    pub fn tcp_to(mut self, backend: &str, weight: u32) -> Self {
        let l4 = self.l4.as_mut().expect("connections are passed on");
        l4.backends.push((backend.to_owned(), weight));
        self
    }

    /// Connections begin with a PROXY protocol header.
    #[must_use]
    pub fn proxied(mut self) -> Self {
        self.proxy_protocol = true;
        self
    }

    /// The origin is something else too.
    #[must_use]
    pub fn origin_with(mut self, change: impl FnOnce(&mut Backend)) -> Self {
        change(&mut self.origin);
        self
    }
}

/// What is spoken if names lead to bytes too.
pub(super) fn with_names(
    protocol: Protocol,
    all: &[L4Name],
    plugins: &[PluginId],
    backends: &Backends,
) -> Protocol {
    if all.is_empty() {
        return protocol;
    }
    let mut names = match protocol {
        Protocol::Tls(names) => names,
        Protocol::Http | Protocol::Tcp(_) => HostMap::default(),
    };
    for name in all {
        let rule = Arc::new(TcpRule {
            name: "test/route".into(),
            listener: name.host.to_string().into(),
            plugins: plugins.to_vec(),
            backends: vec![WeightedBackend {
                weight: 1,
                backend: backends.id(&name.backend),
                filters: Vec::new(),
            }],
            idle: Duration::from_secs(300),
        });
        let leads = match &name.termination {
            None => TlsName::Passthrough(rule),
            Some(termination) => TlsName::Tcp {
                termination: Arc::new(termination.clone()),
                rule,
            },
        };
        names.insert(name.host.clone(), Arc::new(leads));
    }
    Protocol::Tls(names)
}

impl L4 {
    /// What is spoken.
    pub(super) fn protocol(
        &self,
        plugins: Vec<PluginId>,
        origin: BackendId,
        backends: &Backends,
    ) -> Protocol {
        let share = |weight, backend| WeightedBackend {
            weight,
            backend,
            filters: Vec::new(),
        };
        let others = self.backends.iter();
        let others = others.map(|(name, weight)| share(*weight, backends.id(name)));
        Protocol::Tcp(Arc::new(TcpRule {
            name: "test/route".into(),
            listener: "web".into(),
            plugins,
            backends: [share(1, Some(origin))].into_iter().chain(others).collect(),
            idle: self.idle,
        }))
    }
}
