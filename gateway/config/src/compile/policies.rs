//! Which policy is in force for which resource: TrafficPolicy, Telemetry, BackendPolicy.
//!
//! Of several policies for one target the first by namespace and name counts; the others are in
//! conflict (Gateway API: policy attachment).

use foldhash::HashMap;
use std::time::Duration;

use tidegate_core::balance::LoadBalancer;
use tidegate_core::pings::Pings;
use tidegate_core::pings::WITHIN;
use tidegate_core::route::RouteTimeouts;
use tidegate_core::upgrade::Upgrades;

use super::report::Refusal;
use super::report::Report;
use super::targets::check_target;
use super::world::Candidate;
use super::world::State;
use super::world::World;
use crate::duration;
use crate::kinds::Body;
use crate::kinds::backend::BackendPolicySpec;
use crate::kinds::backend::ProxyProtocol;
use crate::kinds::policy::Http2Pings;
use crate::kinds::policy::PolicyTarget;
use crate::kinds::policy::TelemetrySpec;
use crate::kinds::policy::TrafficPolicySpec;
use crate::kinds::text::DurationText;
use crate::kinds::text::SizeText;
use crate::place::At;
use crate::size;

/// Kind, namespace, name and section of a target.
pub(super) type Key<'a> = (&'a str, &'a str, &'a str, Option<&'a str>);

/// All policies by target.
#[derive(Debug, Default)]
pub(crate) struct Policies<'a> {
    pub(super) traffic: HashMap<Key<'a>, &'a TrafficPolicySpec>,
    pub(super) telemetry: HashMap<Key<'a>, &'a TelemetrySpec>,
    backend: HashMap<Key<'a>, &'a BackendPolicySpec>,
}

impl<'a> Policies<'a> {
    pub(crate) fn new(world: &World<'a>, report: &mut Report) -> Self {
        let mut policies = Self::default();
        for one in usable(world, "TrafficPolicy") {
            if let Body::TrafficPolicy(policy) = one.body() {
                let targets = &policy.spec.target_refs;
                attach(
                    world,
                    report,
                    one,
                    targets,
                    &policy.spec,
                    &mut policies.traffic,
                );
            }
        }
        for one in usable(world, "Telemetry") {
            if let Body::Telemetry(policy) = one.body() {
                let targets = &policy.spec.target_refs;
                attach(
                    world,
                    report,
                    one,
                    targets,
                    &policy.spec,
                    &mut policies.telemetry,
                );
            }
        }
        for one in usable(world, "BackendPolicy") {
            if let Body::BackendPolicy(policy) = one.body() {
                let targets = &policy.spec.target_refs;
                attach(
                    world,
                    report,
                    one,
                    targets,
                    &policy.spec,
                    &mut policies.backend,
                );
            }
        }
        policies
    }

    /// How endpoints of a Backend or Service are picked.
    pub(crate) fn load_balancer(&self, kind: &str, of: &Candidate) -> LoadBalancer {
        let policy = self.backend.get(&(kind, of.namespace(), of.name(), None));
        match policy.and_then(|policy| policy.load_balancer.as_ref()) {
            Some(chosen) if chosen.round_robin.is_some() => LoadBalancer::RoundRobin,
            Some(chosen) if chosen.random.is_some() => LoadBalancer::Random,
            _ => LoadBalancer::default(),
        }
    }

    /// When endpoints of a Backend or Service are asked whether they are there.
    pub(crate) fn pings(&self, kind: &str, of: &Candidate) -> Option<Pings> {
        let policy = self.backend.get(&(kind, of.namespace(), of.name(), None))?;
        pings(policy.http2_pings.as_ref())
    }

    /// How endpoints of a Service are told the client.
    pub(crate) fn proxy_protocol(&self, service: &Candidate) -> Option<ProxyProtocol> {
        let key = ("Service", service.namespace(), service.name(), None);
        self.backend
            .get(&key)?
            .proxy_protocol
            .as_ref()
            .map(|one| **one)
    }

    /// What a route's policies say about one of its rules: that of the rule first, then that of the
    /// route.
    pub(crate) fn of_rule(
        &self,
        route: &Candidate,
        rule: Option<&str>,
    ) -> (RouteTimeouts, Option<usize>) {
        let mut timeouts = RouteTimeouts::default();
        let mut body = None;
        let mut sections = vec![None];
        sections.extend(rule.map(Some));
        for section in sections {
            let key = (route.id().kind, route.namespace(), route.name(), section);
            let Some(policy) = self.traffic.get(&key) else {
                continue;
            };
            if let Some(given) = &policy.timeouts {
                let idle = time(given.stream_idle.as_ref());
                timeouts.request = limit(given.request.as_ref(), timeouts.request);
                timeouts.backend_request =
                    limit(given.backend_request.as_ref(), timeouts.backend_request);
                timeouts.stream_idle = idle.or(timeouts.stream_idle);
            }
            let limits = policy.limits.as_ref();
            body = bytes(limits.and_then(|limits| limits.buffered_body.as_ref())).or(body);
        }
        (timeouts, body)
    }
}

impl Policies<'_> {
    /// The protocols that clients of a route's rule may change to: as the rule's policy says, or the
    /// route's.
    pub(crate) fn upgrades(&self, route: &Candidate, rule: Option<&str>) -> Upgrades {
        let of = |section| {
            let key = (route.id().kind, route.namespace(), route.name(), section);
            self.traffic.get(&key)?.upgrades.as_ref()
        };
        let given = rule.and_then(|rule| of(Some(rule))).or_else(|| of(None));
        given.map_or_else(Upgrades::default, |given| {
            let names: Vec<&str> = given.iter().map(|one| one.as_str()).collect();
            Upgrades::of(&names)
        })
    }

    /// How long connections of a route's rule may be silent: what the rule's policy says, or the
    /// route's.
    pub(crate) fn tcp_idle(&self, route: &Candidate, rule: Option<&str>) -> Option<Duration> {
        let of = |section| {
            let key = (route.id().kind, route.namespace(), route.name(), section);
            let policy = self.traffic.get(&key)?;
            time(policy.timeouts.as_ref()?.tcp_idle.as_ref())
        };
        rule.and_then(|rule| of(Some(rule))).or_else(|| of(None))
    }
}

/// A limit that may be given as `0s`, which is none.
pub(crate) fn limit(
    given: Option<&At<DurationText>>,
    otherwise: Option<Duration>,
) -> Option<Duration> {
    match time(given) {
        Some(Duration::ZERO) => None,
        Some(limit) => Some(limit),
        None => otherwise,
    }
}

pub(super) fn time(given: Option<&At<DurationText>>) -> Option<Duration> {
    duration::parse(given?).ok()
}

pub(super) fn pings(given: Option<&At<Http2Pings>>) -> Option<Pings> {
    let given = given?;
    Some(Pings {
        after: time(Some(&given.after))?,
        within: time(given.within.as_ref()).unwrap_or(WITHIN),
    })
}

pub(super) fn bytes(given: Option<&At<SizeText>>) -> Option<usize> {
    size::parse(given?).ok()
}

fn usable<'a>(world: &World<'a>, kind: &str) -> Vec<&'a Candidate> {
    let all = world.all(kind).iter().copied();
    all.filter(|one| one.state != State::Salvaged).collect()
}

/// Puts a policy to its targets; those that are taken or do not exist are refused.
pub(super) fn attach<'a, T: Copy>(
    world: &World<'a>,
    report: &mut Report,
    policy: &'a Candidate,
    targets: &'a [PolicyTarget],
    spec: T,
    table: &mut HashMap<Key<'a>, T>,
) {
    for target in targets {
        if let Err(refusal) = check_target(world, policy, target) {
            report.error(policy, refusal);
            continue;
        }
        let section = target.section_name.as_ref().map(|name| name.as_str());
        let key = (
            target.kind.as_str(),
            policy.namespace(),
            target.name.as_str(),
            section,
        );
        if table.contains_key(&key) {
            let refusal = Refusal {
                span: target.name.span,
                reason: "Conflicted",
                message: format!(
                    "another {} is for {} `{}` already",
                    policy.id().kind,
                    *target.kind,
                    *target.name
                ),
                hint: Some("put both into one; the first by name counts".to_owned()),
            };
            report.error(policy, refusal);
            continue;
        }
        table.insert(key, spec);
    }
}
