//! Host names as listeners and routes claim them.
//!
//! Owns the patterns, what they cover, and the map that finds the most specific claim
//! (Gateway API: `Listener.hostname`, `HTTPRouteSpec.hostnames`). Requests' hosts come here lower
//! case and without port ([`crate::authority`] sees to that).

use std::collections::HashMap;
use std::fmt;
use std::net::Ipv4Addr;
use std::sync::Arc;

use foldhash::fast::FixedState;

/// The longest name that DNS can hold; no longer host is looked up.
const MAX_HOST_BYTES: usize = 253;

/// The longest part between two dots (RFC 1035 §2.3.4).
const MAX_LABEL_BYTES: usize = 63;

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

/// Why a text is not a host pattern.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum HostError {
    /// There is nothing.
    #[error("is empty; leave it out to mean every host")]
    Empty,
    /// It is `*` alone.
    #[error("`*` alone is not a host; leave it out to mean every host")]
    StarAlone,
    /// A `*` is not the whole first label.
    #[error("`*` may only be the whole first label, as in `*.shop.test`")]
    MisplacedStar,
    /// It is longer than DNS allows.
    #[error("has {0} bytes; a host has at most {MAX_HOST_BYTES}")]
    TooLong(usize),
    /// It has a port.
    #[error("has a port; a host is given without one")]
    Port,
    /// It is an address.
    #[error("is an IP address; a host is a name")]
    Address,
    /// It has capital letters.
    #[error("has capital letters; write hosts in lower case")]
    UpperCase,
    /// Two dots, or one at an end, have nothing between them.
    #[error("has an empty label; one dot stands between two labels and none at the end")]
    EmptyLabel,
    /// A label is longer than DNS allows.
    #[error("the label {0:?} is longer than {MAX_LABEL_BYTES} bytes")]
    LongLabel(Box<str>),
    /// A label has a character that no host may have, or begins or ends with a hyphen.
    #[error(
        "the label {0:?} is not letters, digits and hyphens that begin and end with a letter or digit"
    )]
    BadLabel(Box<str>),
}

impl HostPattern {
    /// Reads a host, or `*.` and a host: lower case, no port, no address, no dot at the end
    /// (RFC 1123 §2.1; Gateway API: `Hostname`).
    ///
    /// # Errors
    ///
    /// [`HostError`] names what is wrong with it.
    pub fn parse(text: &str) -> Result<Self, HostError> {
        if text.is_empty() {
            return Err(HostError::Empty);
        }
        if text == "*" {
            return Err(HostError::StarAlone);
        }
        if text.len() > MAX_HOST_BYTES {
            return Err(HostError::TooLong(text.len()));
        }
        match text.strip_prefix("*.") {
            Some(parent) => check_name(parent).map(|()| Self::Wildcard(Arc::from(parent))),
            None => check_name(text).map(|()| Self::Exact(Arc::from(text))),
        }
    }

    /// Whether a request's host is among the claimed ones. A wildcard covers any number of labels
    /// below its parent, but not the parent.
    pub fn covers(&self, host: &str) -> bool {
        match self {
            Self::Any => true,
            Self::Exact(name) => **name == *host,
            Self::Wildcard(parent) => is_below(host, parent),
        }
    }

    /// The hosts that both claim, such as a listener and a route (Gateway API:
    /// `HTTPRouteSpec.hostnames`): one of the two patterns, or nothing.
    pub fn intersect(&self, other: &Self) -> Option<Self> {
        match (self, other) {
            (Self::Any, narrow) | (narrow, Self::Any) => Some(narrow.clone()),
            (Self::Exact(host), wide) | (wide, Self::Exact(host)) => {
                wide.covers(host).then(|| Self::Exact(Arc::clone(host)))
            }
            (Self::Wildcard(one), Self::Wildcard(two)) => {
                if one == two || is_below(one, two) {
                    Some(self.clone())
                } else {
                    is_below(two, one).then(|| other.clone())
                }
            }
        }
    }
}

impl fmt::Display for HostPattern {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Any => out.write_str("*"),
            Self::Exact(host) => out.write_str(host),
            Self::Wildcard(parent) => write!(out, "*.{parent}"),
        }
    }
}

/// Whether `host` has at least one label in front of `parent`.
fn is_below(host: &str, parent: &str) -> bool {
    host.strip_suffix(parent)
        .and_then(|labels| labels.strip_suffix('.'))
        .is_some_and(|labels| !labels.is_empty())
}

fn check_name(name: &str) -> Result<(), HostError> {
    if name.contains('*') {
        return Err(HostError::MisplacedStar);
    }
    if name.starts_with('[') || name.matches(':').count() > 1 || name.parse::<Ipv4Addr>().is_ok() {
        return Err(HostError::Address);
    }
    if let Some((_, port)) = name.split_once(':')
        && port.bytes().all(|byte| byte.is_ascii_digit())
    {
        return Err(HostError::Port);
    }
    if name.bytes().any(|byte| byte.is_ascii_uppercase()) {
        return Err(HostError::UpperCase);
    }
    name.split('.').try_for_each(check_label)
}

fn check_label(label: &str) -> Result<(), HostError> {
    if label.is_empty() {
        return Err(HostError::EmptyLabel);
    }
    if label.len() > MAX_LABEL_BYTES {
        return Err(HostError::LongLabel(label.into()));
    }
    let allowed = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-';
    let is_good = label.bytes().all(allowed) && !label.starts_with('-') && !label.ends_with('-');
    is_good
        .then_some(())
        .ok_or_else(|| HostError::BadLabel(label.into()))
}

/// Claims with what they lead to.
// Keys are the operator's and never a peer's, so that a fixed hash is safe.
#[derive(Debug, Clone)]
pub struct HostMap<T> {
    exact: HashMap<Arc<str>, T, FixedState>,
    wildcard: HashMap<Arc<str>, T, FixedState>,
    any: Option<T>,
}

impl<T> Default for HostMap<T> {
    fn default() -> Self {
        Self {
            exact: HashMap::default(),
            wildcard: HashMap::default(),
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

    /// What claims every host, if nothing claims some hosts only: then no host need be looked at.
    pub fn sole(&self) -> Option<&T> {
        let others = self.exact.is_empty() && self.wildcard.is_empty();
        self.any.as_ref().filter(|_| others)
    }

    /// What claims a host, the most specific claim first: the host itself, wildcards from the
    /// longest to the shortest, and what claims every host.
    pub fn claims<'a, 'h>(&'a self, host: &'h str) -> impl Iterator<Item = &'a T> + use<'a, 'h, T> {
        // What cannot be a name is not looked up once for each of its dots.
        let name = if host.len() > MAX_HOST_BYTES {
            ""
        } else {
            host
        };
        let below = if self.wildcard.is_empty() { "" } else { name };
        let parents = below
            .match_indices('.')
            .filter(|(dot, _)| *dot > 0)
            .filter_map(move |(dot, _)| below.get(dot + 1..));
        self.exact
            .get(name)
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

#[cfg(test)]
mod tests;
