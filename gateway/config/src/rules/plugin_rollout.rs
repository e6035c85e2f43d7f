//! The rules of how another version of a Plugin is tried.

use std::time::Duration;

use super::Findings;
use super::plugin_source;
use super::policy::check_duration;
use crate::kinds::plugin::Plugin;
use crate::kinds::plugin::PluginType;
use crate::kinds::plugin_rollout::PluginRollout;
use crate::kinds::plugin_rollout::RolloutKey;
use crate::kinds::plugin_rollout::RolloutLimits;
use crate::kinds::text::PercentText;
use crate::place::At;
use crate::place::Span;

/// How long a step may last.
const LEAST_INTERVAL: Duration = Duration::from_secs(1);
/// See [`LEAST_INTERVAL`].
const MOST_INTERVAL: Duration = Duration::from_secs(7 * 24 * 60 * 60);
/// How long an attempt to tell a receiver may take.
const LEAST_TIMEOUT: Duration = Duration::from_millis(100);
/// See [`LEAST_TIMEOUT`].
const MOST_TIMEOUT: Duration = Duration::from_secs(60);

pub(super) fn check(plugin: &Plugin, rollout: &PluginRollout, findings: &mut Findings) {
    let kind = plugin.spec.kind.as_ref().map(|kind| kind.value);
    if let Some(PluginType::Network | PluginType::Service) = kind {
        findings.with_hint(
            rollout.canary.span,
            "only the requests of a filter can be dealt to two versions",
            "leave out `rollout`, or make it `type: Http`",
        );
    }
    let canary = &rollout.canary.value;
    match &canary.source {
        Some(source) => plugin_source::check_source(source, findings),
        None if canary.config.is_none() => findings.with_hint(
            rollout.canary.span,
            "the canary is the version that is there already",
            "give it a `source`, a `config`, or both",
        ),
        None => {}
    }
    if let Some(key) = &rollout.key {
        check_key(key, findings);
    }
    check_steps(rollout, findings);
    let interval = rollout.interval.as_ref();
    check_duration(
        "interval",
        interval,
        LEAST_INTERVAL,
        MOST_INTERVAL,
        findings,
    );
    if let Some(limits) = &rollout.abort_on {
        check_limits(limits, findings);
    }
    for webhook in &rollout.webhooks {
        let timeout = webhook.timeout.as_ref();
        check_duration("timeout", timeout, LEAST_TIMEOUT, MOST_TIMEOUT, findings);
    }
}

fn check_key(key: &At<RolloutKey>, findings: &mut Findings) {
    let given = [
        key.header.is_some(),
        key.cookie.is_some(),
        key.client_ip.is_some(),
    ];
    if given.iter().filter(|given| **given).count() != 1 {
        findings.error(key.span, "exactly one of `header`, `cookie` and `clientIp`");
    }
}

fn check_steps(rollout: &PluginRollout, findings: &mut Findings) {
    let Some(steps) = &rollout.steps else {
        if let (Some(_), Some(interval)) = (&rollout.weight, &rollout.interval) {
            findings.with_hint(
                interval.span,
                "a `weight` without `steps` stays: no `interval` ends it",
                "add `steps`, or leave out one of the two",
            );
        }
        return;
    };
    for (before, step) in steps.iter().zip(steps.iter().skip(1)) {
        if step.value <= before.value {
            let message = format!(
                "steps must rise: {} comes after {}",
                step.value, before.value
            );
            findings.error(step.span, message);
        }
    }
    if let Some(weight) = &rollout.weight
        && !steps.iter().any(|step| step.value == weight.value)
    {
        findings.with_hint(
            weight.span,
            format!("{} is none of the steps", weight.value),
            "with `steps`, the weight is the one to begin with; leave it out to begin with the first",
        );
    }
}

fn check_limits(limits: &RolloutLimits, findings: &mut Findings) {
    let shares = [
        ("trapRate", &limits.trap_rate),
        ("denyRateDelta", &limits.deny_rate_delta),
        ("errorRateDelta", &limits.error_rate_delta),
    ];
    for (name, given) in shares {
        check_percent(name, given.as_ref(), 100.0, findings);
    }
    check_percent("p99Delta", limits.p99_delta.as_ref(), 1_000.0, findings);
}

fn check_percent(name: &str, given: Option<&At<PercentText>>, most: f64, findings: &mut Findings) {
    let Some(At { value, span }) = given else {
        return;
    };
    let span: Span = *span;
    match value.percent() {
        Some(percent) if percent <= most => {}
        _ => findings.error(
            span,
            format!("`{name}` must be from 0% to {most}%, got {value}"),
        ),
    }
}
