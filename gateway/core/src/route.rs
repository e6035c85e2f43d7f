//! From a request to the rule that has it.
//!
//! Owns what a rule is, and the table that finds the first match without looking at the others:
//! how it is built is `build`'s, how a path is found `index`'s, all else that a request must be
//! `conditions`'. A route table is built once and never changes.
//!
//! Order, as the Gateway API has it (HTTPRouteRule): the most specific host, then an exact path,
//! a regular expression (the longest first), a prefix (the longest first), then a method, more
//! header matches, more query matches, and at last the order of the configuration.

use std::sync::Arc;
use std::time::Duration;

use http::HeaderName;
use http::Method;

use crate::backend::BackendId;
use crate::filter::Filter;
use crate::host::HostMap;
use crate::host::HostPattern;
use crate::message::RequestHead;
use crate::pattern::Pattern;
use crate::upgrade::Upgrades;

mod build;
mod candidates;
mod conditions;
mod index;
mod regexes;
mod weights;

use build::Builder;
use conditions::View;
use index::HostRoutes;
pub use weights::Choice;

/// The rules of a listener.
#[derive(Debug, Default)]
pub struct RouteTable {
    hosts: HostMap<HostRoutes>,
    rules: Box<[Arc<Rule>]>,
}

/// One rule as it enters a table.
#[derive(Debug, Clone)]
pub struct Entry {
    /// The hosts that it is for; none means none.
    pub hosts: Vec<HostPattern>,
    /// Its matches: any of them will do, and without any it has no request.
    pub matches: Vec<RequestMatch>,
    /// What to do.
    pub rule: Arc<Rule>,
}

/// What a request must be.
#[derive(Debug, Clone)]
pub struct RequestMatch {
    /// Its path, without query.
    pub path: PathMatch,
    /// Its method; any if `None`.
    pub method: Option<Method>,
    /// Header fields that it must have; several lines of one field are joined with commas.
    pub headers: Vec<(HeaderName, ValueMatch)>,
    /// Query parameters that it must have; the first of one name counts.
    pub query: Vec<(Box<str>, ValueMatch)>,
}

/// What a path must be.
#[derive(Debug, Clone)]
pub enum PathMatch {
    /// Exactly this.
    Exact(Box<str>),
    /// This, or anything below it: `/a` has `/a` and `/a/b`, not `/ab`. A slash at its end counts
    /// for nothing.
    Prefix(Box<str>),
    /// The whole of it matches.
    Regex(Pattern),
}

/// What a value must be.
#[derive(Debug, Clone)]
pub enum ValueMatch {
    /// Exactly this.
    Exact(Box<str>),
    /// The whole of it matches.
    Regex(Pattern),
}

/// What happens to a request that a rule has.
#[derive(Debug)]
pub struct Rule {
    /// Its number, unique in its snapshot.
    pub id: RuleId,
    /// What logs and metrics call it: `namespace/route/rule-name`, or the rule's place.
    pub name: Arc<str>,
    /// What is done to requests and responses, in order.
    pub filters: Vec<Filter>,
    /// Where requests go, by weight.
    pub backends: Vec<WeightedBackend>,
    /// How long an exchange may take.
    pub timeouts: RouteTimeouts,
    /// Bytes of one body that filters may hold back, if other than the listener's.
    pub buffered_body_bytes: Option<usize>,
    /// The protocols that clients may change to.
    pub upgrades: Upgrades,
}

/// A rule of a snapshot.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct RuleId(pub u32);

/// One share of a rule's requests.
#[derive(Debug, Clone)]
pub struct WeightedBackend {
    /// Its share among the others; 0 gets nothing.
    pub weight: u32,
    /// Where it goes; `None` answers 500: the reference leads nowhere (Gateway API,
    /// `HTTPBackendRef`).
    pub backend: Option<BackendId>,
    /// What is done to requests that go there, and their responses; after the rule's own.
    pub filters: Vec<Filter>,
}

/// How long an exchange may take, beside the limits of its listener.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct RouteTimeouts {
    /// From the request head to the end of the response; all attempts together.
    pub request: Option<Duration>,
    /// One attempt, from sending the request to the end of the response.
    pub backend_request: Option<Duration>,
    /// A body, or an origin that was asked, without a byte; the listener's if `None`.
    pub stream_idle: Option<Duration>,
}

/// The rule that has a request.
#[derive(Debug, Clone, Copy)]
pub struct Found<'a> {
    /// The rule.
    pub rule: &'a Arc<Rule>,
    /// How many bytes of the path its prefix matched, without a slash at its end; `None` if it was
    /// matched in another way.
    pub prefix: Option<usize>,
}

impl RouteTable {
    /// A table of these rules; where all else is equal, the earlier one has the request.
    ///
    /// Paths are brought into the form that requests have ([`crate::path`]). Of two matches of one
    /// field or parameter in one [`RequestMatch`], the first counts (Gateway API:
    /// `HTTPRouteMatch.headers`).
    pub fn build(entries: Vec<Entry>) -> Self {
        let mut builder = Builder::default();
        let mut rules: Vec<Arc<Rule>> = entries.iter().map(|one| Arc::clone(&one.rule)).collect();
        rules.dedup_by(|a, b| Arc::ptr_eq(a, b));
        for entry in entries {
            for one in entry.matches {
                builder.add(&entry.hosts, one, &entry.rule);
            }
        }
        Self {
            hosts: builder.finish(),
            rules: rules.into(),
        }
    }

    /// All rules, in the order in which they came in.
    pub fn rules(&self) -> &[Arc<Rule>] {
        &self.rules
    }

    /// The rule that has a request. `host` is the request's, lower case and without port.
    ///
    /// If no rule of the most specific host matches, those of less specific ones are tried. The
    /// time does not grow with the number of hosts, exact paths and prefixes. Regular expressions of
    /// one host that begin alike are tried one by one, and so are matches of one path that differ
    /// in other things than the exact value of a header field.
    pub fn find(&self, host: &str, request: &RequestHead) -> Option<Found<'_>> {
        let view = View::new(request);
        if let Some(routes) = self.hosts.sole() {
            return routes.find(&view);
        }
        self.hosts
            .claims(host)
            .find_map(|routes| routes.find(&view))
    }

    /// Whether [`RouteTable::find`] looks at the host at all.
    pub fn looks_at_hosts(&self) -> bool {
        self.hosts.sole().is_none()
    }
}

#[cfg(test)]
mod tests;
