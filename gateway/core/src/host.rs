//! Host names as listeners and routes claim them.
//!
//! Owns the patterns, what they cover, and the map that finds the most specific claim
//! (Gateway API: `Listener.hostname`, `HTTPRouteSpec.hostnames`).

use std::collections::HashMap;
use std::sync::Arc;

/// A claim on hosts.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum HostPattern {
    /// Every host.
    Any,
    /// This one, lower case, without port.
    Exact(Arc<str>),
    /// All hosts below this one, which has no leading `*.`; not the host itself.
    Wildcard(Arc<str>),
}

/// Claims with what they lead to.
#[derive(Debug, Clone)]
pub struct HostMap<T> {
    exact: HashMap<Arc<str>, T>,
    wildcard: HashMap<Arc<str>, T>,
    any: Option<T>,
}

impl<T> Default for HostMap<T> {
    fn default() -> Self {
        Self {
            exact: HashMap::new(),
            wildcard: HashMap::new(),
            any: None,
        }
    }
}

impl<T> HostMap<T> {
    /// Adds a claim, and returns what had it before.
    pub fn insert(&mut self, pattern: HostPattern, value: T) -> Option<T> {
        match pattern {
            HostPattern::Any => self.any.replace(value),
            HostPattern::Exact(host) => self.exact.insert(host, value),
            HostPattern::Wildcard(parent) => self.wildcard.insert(parent, value),
        }
    }

    /// What claims a host, the most specific claim first.
    pub fn claims<'a, 'h>(&'a self, host: &'h str) -> impl Iterator<Item = &'a T> + use<'a, 'h, T> {
        let parents = host
            .match_indices('.')
            .filter_map(move |(dot, _)| host.get(dot + 1..));
        self.exact
            .get(host)
            .into_iter()
            .chain(parents.filter_map(|parent| self.wildcard.get(parent)))
            .chain(&self.any)
    }

    /// Everything in it, in no order.
    pub fn values(&self) -> impl Iterator<Item = &T> {
        self.exact
            .values()
            .chain(self.wildcard.values())
            .chain(&self.any)
    }
}
