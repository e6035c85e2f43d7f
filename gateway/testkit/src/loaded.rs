//! A gateway that runs what a folder of resources says.
//!
//! Addresses and ports are those of the resources for whoever reads them, and free ones of this
//! machine in truth: [`Loaded::address`] leads from one to the other. Plugins are not fetched.

use std::fs;
use std::net::IpAddr;
use std::net::Ipv4Addr;
use std::net::SocketAddr;
use std::path::Path;
use std::sync::Arc;

use tidegate_config::draft::BundleDecl;
use tidegate_config::draft::BundleSource;
use tidegate_config::draft::CertificateDecl;
use tidegate_config::draft::CertificateSource;
use tidegate_config::draft::Draft;
use tidegate_config::draft::FailurePolicy;
use tidegate_config::draft::PluginDecl;
use tidegate_config::draft::ResourceStatus;
use tidegate_config::load::Loader;
use tidegate_config::problem::Problem;
use tidegate_core::snapshot::Bind;
use tidegate_core::snapshot::Snapshot;
use tidegate_proxy::Bundle;
use tidegate_proxy::Certificate;
use tidegate_proxy::Generation;
use tidegate_proxy::Options;
use tidegate_proxy::PluginSlot;

use crate::Client;

/// A gateway with resources; drains and ends when dropped.
#[derive(Debug)]
pub struct Loaded {
    running: Option<tidegate_proxy::Gateway>,
    /// Addresses as the resources have them, with those that are bound.
    addresses: Vec<(SocketAddr, SocketAddr)>,
    /// What was found wrong with the resources.
    pub problems: Vec<Problem>,
    /// The resources with their conditions.
    pub resources: Vec<ResourceStatus>,
}

impl Loaded {
    /// Loads a file or folder and serves what of it is good, with one worker.
    ///
    /// # Panics
    ///
    /// If that does not start.
    #[track_caller]
    pub fn start(path: &Path) -> Self {
        let Draft {
            snapshot,
            plugins,
            certificates,
            bundles,
            problems,
            resources,
            ..
        } = Loader::new(path).load();
        let written: Vec<SocketAddr> = snapshot.binds.iter().map(|bind| bind.address).collect();
        let snapshot = Snapshot {
            binds: snapshot.binds.iter().map(|bind| anywhere(bind)).collect(),
            ..snapshot
        };
        let running = tidegate_proxy::Gateway::start(Options {
            generation: Generation {
                number: 1,
                snapshot: Arc::new(snapshot),
                plugins: plugins.iter().map(refused).collect(),
                shares: Vec::new(),
                certificates: certificates.iter().map(certificate).collect(),
                bundles: bundles.iter().map(bundle).collect(),
            },
            workers: 1,
            access_log: None,
            node: tidegate_host_abi::Node::default(),
            name_servers: Vec::new(),
            simulation: None,
        });
        let running = running.unwrap_or_else(|err| panic!("the gateway does not start: {err:?}"));
        let bound = running.addresses().into_iter().map(|(_, address)| address);
        Self {
            addresses: written.into_iter().zip(bound).collect(),
            running: Some(running),
            problems,
            resources,
        }
    }

    /// Where an address of the resources is bound in truth.
    pub fn address(&self, written: SocketAddr) -> Option<SocketAddr> {
        let known = self.addresses.iter();
        known
            .copied()
            .find_map(|(one, bound)| (one == written).then_some(bound))
    }

    /// Where the first listener with this port is bound in truth.
    pub fn port(&self, written: u16) -> Option<SocketAddr> {
        let known = self.addresses.iter();
        known
            .copied()
            .find_map(|(one, bound)| (one.port() == written).then_some(bound))
    }

    /// A new connection to a port of the resources.
    ///
    /// # Panics
    ///
    /// If no listener has it.
    #[track_caller]
    pub fn client(&self, port: u16) -> Client {
        let address = self.port(port);
        Client::connect(address.unwrap_or_else(|| panic!("nothing listens on port {port}")))
    }
}

impl Drop for Loaded {
    fn drop(&mut self) {
        if let Some(running) = self.running.take() {
            running.drain();
            let ended = running.join();
            if !std::thread::panicking() {
                assert_eq!(ended.failed_workers, 0, "workers failed");
            }
        }
    }
}

/// The same on a free port; addresses of this machine alone stay.
fn anywhere(bind: &Bind) -> Arc<Bind> {
    let ip = bind.address.ip();
    let ip = if ip.is_loopback() {
        ip
    } else {
        IpAddr::V4(Ipv4Addr::LOCALHOST)
    };
    Arc::new(Bind {
        name: Arc::clone(&bind.name),
        address: SocketAddr::new(ip, 0),
        trusted_hops: bind.trusted_hops,
        forward_client_cert: bind.forward_client_cert,
        timeouts: bind.timeouts,
        sizes: bind.sizes,
        access_log: bind.access_log,
        protocol: bind.protocol.clone(),
        proxy_protocol: bind.proxy_protocol,
        listeners: bind.listeners.clone(),
    })
}

/// What cannot be read or used is left out, as the gateway does.
fn certificate(decl: &CertificateDecl) -> Option<Arc<Certificate>> {
    let (chain, key) = match &decl.source {
        CertificateSource::Files { certificate, key } => {
            (fs::read(certificate).ok()?, fs::read(key).ok()?)
        }
        CertificateSource::Inline { certificate, key } => (certificate.to_vec(), key.to_vec()),
        CertificateSource::Refused => return None,
    };
    Certificate::from_pem(&chain, &key).ok().map(Arc::new)
}

fn bundle(decl: &BundleDecl) -> Option<Arc<Bundle>> {
    let text = match &decl.source {
        BundleSource::Files { authorities, .. } => fs::read(authorities).ok()?,
        BundleSource::Inline { authorities, .. } => authorities.to_vec(),
        BundleSource::Refused => return None,
    };
    Bundle::from_pem(&text).ok().map(Arc::new)
}

fn refused(plugin: &PluginDecl) -> PluginSlot {
    PluginSlot::Refused(match plugin.failure_policy {
        FailurePolicy::FailClosed => tidegate_host_abi::FailurePolicy::FailClosed,
        FailurePolicy::FailOpen => tidegate_host_abi::FailurePolicy::FailOpen,
    })
}
