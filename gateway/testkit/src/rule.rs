//! Rules for gateways in tests, in the words of the core.

use std::sync::Arc;
use std::time::Duration;

use tidegate_core::filter::Filter;
use tidegate_core::host::HostPattern;
use tidegate_core::route::Entry;
use tidegate_core::route::PathMatch;
use tidegate_core::route::RequestMatch;
use tidegate_core::route::RouteTimeouts;
use tidegate_core::route::RuleId;
use tidegate_core::route::WeightedBackend;
use tidegate_core::snapshot::Backends;
use tidegate_core::snapshot::PluginId;
use tidegate_core::upgrade::Upgrades;

use crate::Wasm;

/// A rule for requests below a path.
#[derive(Debug, Clone)]
pub struct Rule {
    prefix: String,
    header: Option<(&'static str, &'static str)>,
    filters: Vec<Step>,
    backends: Vec<(String, u32)>,
    timeouts: RouteTimeouts,
    buffered_body_bytes: Option<usize>,
    upgrades: Upgrades,
}

#[derive(Debug, Clone)]
enum Step {
    Plugin(Box<Wasm>),
    Native(Filter),
    Mirror(String),
}

impl Rule {
    /// A rule for this path and all below it, that leads nowhere.
    pub fn at(prefix: &str) -> Self {
        Self {
            prefix: prefix.to_owned(),
            header: None,
            filters: Vec::new(),
            backends: Vec::new(),
            timeouts: RouteTimeouts::default(),
            buffered_body_bytes: None,
            upgrades: Upgrades::default(),
        }
    }

    /// Only for requests with this header; the rule is named after its value too.
    #[must_use]
    pub fn header(mut self, name: &'static str, value: &'static str) -> Self {
        self.header = Some((name, value));
        self
    }

    /// Leads to this backend too, with this weight.
    #[must_use]
    pub fn to(mut self, backend: &str, weight: u32) -> Self {
        self.backends.push((backend.to_owned(), weight));
        self
    }

    /// With this plugin at the end of its filters.
    #[must_use]
    pub fn plugin(mut self, plugin: &Wasm) -> Self {
        self.filters.push(Step::Plugin(Box::new(plugin.clone())));
        self
    }

    /// With this filter at the end of its filters.
    #[must_use]
    pub fn filter(mut self, filter: Filter) -> Self {
        self.filters.push(Step::Native(filter));
        self
    }

    /// Copies all its requests to this backend.
    #[must_use]
    pub fn mirror(mut self, backend: &str) -> Self {
        self.filters.push(Step::Mirror(backend.to_owned()));
        self
    }

    /// Exchanges may take so long.
    #[must_use]
    pub fn request_timeout(mut self, limit: Duration) -> Self {
        self.timeouts.request = Some(limit);
        self
    }

    /// Attempts may take so long.
    #[must_use]
    pub fn backend_request_timeout(mut self, limit: Duration) -> Self {
        self.timeouts.backend_request = Some(limit);
        self
    }

    /// Filters may hold back so many bytes of a body.
    #[must_use]
    pub fn buffered_body(mut self, bytes: usize) -> Self {
        self.buffered_body_bytes = Some(bytes);
        self
    }

    /// Clients may change to these protocols, and to no others.
    #[must_use]
    pub fn upgrades(mut self, protocols: &[&str]) -> Self {
        self.upgrades = Upgrades::of(protocols);
        self
    }

    /// As an entry of a route table; plugins are added to `plugins` unless they are there.
    pub(crate) fn entry(&self, id: u32, backends: &Backends, plugins: &mut Vec<Wasm>) -> Entry {
        let mirror = |name: &str| {
            Filter::Mirror(tidegate_core::filter::Mirror {
                backend: backends.id(name),
                share: 1,
                of: 1,
            })
        };
        let filters = self.filters.iter().map(|step| match step {
            Step::Plugin(plugin) => Filter::Plugin(place(plugin, plugins)),
            Step::Native(filter) => filter.clone(),
            Step::Mirror(backend) => mirror(backend),
        });
        let shares = self.backends.iter().map(|(name, weight)| WeightedBackend {
            weight: *weight,
            backend: backends.id(name),
            filters: Vec::new(),
        });
        let named = self.header.map_or("", |(_, value)| value);
        let header = |(name, value): (&'static str, &str)| {
            let name = http::HeaderName::from_static(name);
            (name, tidegate_core::route::ValueMatch::Exact(value.into()))
        };
        let rule = tidegate_core::route::Rule {
            id: RuleId(id),
            name: format!("test/rule{}{named}", self.prefix).into(),
            filters: filters.collect(),
            backends: shares.collect(),
            timeouts: self.timeouts,
            buffered_body_bytes: self.buffered_body_bytes,
            upgrades: self.upgrades.clone(),
        };
        Entry {
            hosts: vec![HostPattern::Any],
            matches: vec![RequestMatch {
                path: PathMatch::Prefix(self.prefix.as_str().into()),
                method: None,
                headers: self.header.map(header).into_iter().collect(),
                query: Vec::new(),
            }],
            rule: Arc::new(rule),
        }
    }
}

/// The place of a plugin among those of a gateway, by name.
pub(crate) fn place(plugin: &Wasm, plugins: &mut Vec<Wasm>) -> PluginId {
    let known = plugins.iter().position(|it| it.name() == plugin.name());
    let at = known.unwrap_or_else(|| {
        plugins.push(plugin.clone());
        plugins.len() - 1
    });
    PluginId(u32::try_from(at).expect("few plugins"))
}
