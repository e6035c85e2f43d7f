//! What the data plane is given for a gateway in a test.

use std::net::SocketAddr;
use std::sync::Arc;

use tidegate_core::host::HostMap;
use tidegate_core::host::HostPattern;
use tidegate_core::route::RouteTable;
use tidegate_core::snapshot::Backends;
use tidegate_core::snapshot::Bind;
use tidegate_core::snapshot::Canary;
use tidegate_core::snapshot::Listener;
use tidegate_core::snapshot::PluginId;
use tidegate_core::snapshot::PluginName;
use tidegate_core::snapshot::Protocol;
use tidegate_core::snapshot::Snapshot;
use tidegate_proxy::Callable;
use tidegate_proxy::Generation;
use tidegate_proxy::PluginSlot;

use crate::Wasm;
use crate::gateway::Builder;
use crate::gateway::https;
use crate::gateway::l4;
use crate::rule::place;

impl Builder {
    /// The generation of that number.
    pub(super) fn generation(self, number: u64) -> Generation {
        let mut backends = Backends::default();
        let origin = backends.insert(Arc::new(self.origin));
        for other in self.others {
            backends.insert(Arc::new(other));
        }
        let mut plugins = Vec::new();
        let of_listener = self.plugins.iter();
        let of_listener: Vec<PluginId> = of_listener.map(|one| place(one, &mut plugins)).collect();
        let of_network = of_listener.clone();
        let mut listener = |name: &str| {
            let of_listener = of_listener.clone();
            if self.rules.is_empty() {
                return Arc::new(Listener::to_one_backend(name, of_listener, origin));
            }
            let rules = (0..).zip(&self.rules);
            let entries = rules.map(|(id, rule)| rule.entry(id, &backends, &mut plugins));
            let routes = RouteTable::build(entries.collect());
            Arc::new(Listener {
                name: name.into(),
                plugins: of_listener,
                routes,
            })
        };
        let mut listeners = HostMap::default();
        let protocol = if let Some(l4) = &self.l4 {
            l4.protocol(of_network.clone(), origin, &backends)
        } else if self.https.is_empty() {
            listeners.insert(HostPattern::Any, listener("web"));
            Protocol::Http
        } else {
            https::listen(&self.https, &mut listeners, &mut listener)
        };
        let protocol = l4::with_names(protocol, &self.l4_names, &of_network, &backends);
        for service in &self.services {
            place(service, &mut plugins);
        }
        let mut canaries = Vec::new();
        for (of, canary, split, _) in &self.canaries {
            let stable = plugins.iter().position(|plugin| plugin.name() == of);
            let stable = stable.expect("the plugin that a canary is of");
            canaries.push(Canary {
                stable: PluginId(u32::try_from(stable).expect("few plugins")),
                canary: place(canary, &mut plugins),
                split: split.clone(),
            });
        }
        let bind = Bind {
            name: "web".into(),
            address: SocketAddr::from(([127, 0, 0, 1], 0)),
            trusted_hops: self.trusted_hops,
            forward_client_cert: self.forward_client_cert,
            timeouts: self.timeouts,
            sizes: self.sizes,
            access_log: self.format,
            protocol,
            proxy_protocol: self.proxy_protocol,
            listeners,
        };
        let names = plugins
            .iter()
            .map(|plugin| PluginName(plugin.name().into()));
        let snapshot = Snapshot {
            binds: vec![Arc::new(bind)],
            backends,
            plugins: names.collect(),
            canaries,
            certificates: https::names(self.certificates.len()),
            bundles: https::names(self.bundles.len()),
            timeouts: self.timeouts,
            sizes: self.sizes,
        };
        let slot = |wasm: &Wasm| {
            let refused = self.refused.iter().find(|(name, _)| name == wasm.name());
            if let Some((_, policy)) = refused {
                return PluginSlot::Refused(*policy);
            }
            PluginSlot::Ready {
                plugin: wasm.plugin(),
                backends: match &self.reachable {
                    None => Callable::All,
                    Some(reachable) => Callable::Only(Arc::new(reachable.clone())),
                },
            }
        };
        Generation {
            number,
            snapshot: Arc::new(snapshot),
            plugins: plugins.iter().map(slot).collect(),
            shares: self.canaries.iter().map(|(.., share)| *share).collect(),
            certificates: self.certificates,
            bundles: self.bundles,
        }
    }
}
