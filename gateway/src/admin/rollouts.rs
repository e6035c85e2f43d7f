//! What there is to say about rollouts of plugins: at /plugins and /metrics; and the orders about them.
//!
//! Owns the words and shapes.

use http::StatusCode;
use serde_json::Value;
use serde_json::json;
use tidegate_core::rollout::judge::Finding;
use tidegate_core::rollout::machine::Order;

use crate::admin::exposition::Exposition;
use crate::admin::exposition::Kind;
use crate::control::rollouts::OrderError;
use crate::status::RolloutStatus;
use crate::status::Status;

/// What a path `/plugins/NAME/rollout/ORDER` orders, with the plugin's name; `None` if there is no such
/// page.
pub(super) fn ordered(path: &str) -> Option<(&str, Order)> {
    let (name, order) = path.strip_prefix("/plugins/")?.rsplit_once("/rollout/")?;
    let order = match order {
        "promote" => Order::Promote,
        "abort" => Order::Abort,
        "hold" => Order::Hold,
        "resume" => Order::Resume,
        _ => return None,
    };
    (!name.is_empty()).then_some((name, order))
}

/// The status that goes with an error.
pub(super) fn status_of(err: &OrderError) -> StatusCode {
    match err {
        OrderError::Unknown(_) => StatusCode::NOT_FOUND,
        OrderError::Refused(_) => StatusCode::CONFLICT,
    }
}

/// What /plugins says of a plugin's rollout.
pub(super) fn field(status: &Status, name: &str) -> Value {
    status.rollouts.get(name).map_or(Value::Null, rollout)
}

fn rollout(status: &RolloutStatus) -> Value {
    let RolloutStatus {
        phase,
        share,
        reached,
        since,
        next_step_in,
        why,
        findings,
        counted: [stable, canary],
        events: _,
        webhooks,
    } = status;
    let ends = |ends: &[(&'static str, u64); 4]| {
        let ends = ends
            .iter()
            .map(|(end, count)| ((*end).to_owned(), json!(count)));
        Value::Object(ends.collect())
    };
    json!({
        "phase": phase,
        "share": percent(share.buckets()),
        "reached": percent(reached.buckets()),
        "sinceSeconds": since.as_secs(),
        "nextStepInSeconds": next_step_in.map(|left| left.as_secs()),
        "why": why,
        "findings": findings.iter().map(finding).collect::<Vec<_>>(),
        "streams": { "stable": ends(stable), "canary": ends(canary) },
        "noticesWaiting": webhooks.waiting,
    })
}

fn finding(finding: &Finding) -> Value {
    json!({
        "criterion": finding.criterion.name(),
        "verdict": finding.verdict.name(),
        "words": finding.words,
    })
}

fn percent(buckets: u16) -> f64 {
    f64::from(buckets) / 100.0
}

/// The numbers.
pub(super) fn metrics(out: &mut Exposition, status: &Status) {
    let mut family = out.family(
        "tidegate_plugin_rollout_share",
        Kind::Gauge,
        "Which share of its streams the canary of a plugin gets, 0 to 1.",
    );
    for (plugin, one) in status.rollouts.iter() {
        family.sample(&[("plugin", plugin)], percent(one.share.buckets()) / 100.0);
    }
    let mut family = out.family(
        "tidegate_plugin_rollout_phase",
        Kind::Gauge,
        "What the rollout of a plugin is in: Running, Held, Waiting (its canary cannot be had), \
         Promoted or Aborted.",
    );
    for (plugin, one) in status.rollouts.iter() {
        family.sample(&[("plugin", plugin), ("phase", one.phase)], 1_u8);
    }
    let mut family = out.family(
        "tidegate_plugin_rollout_streams_total",
        Kind::Counter,
        "Streams of plugins with rollouts, by version (stable, canary) and end: good, error (a 5xx \
         after it let it pass), denied (it answered), fault (a trap or time-out).",
    );
    for (plugin, one) in status.rollouts.iter() {
        for (version, ends) in ["stable", "canary"].into_iter().zip(&one.counted) {
            for (end, count) in ends {
                let labels = [
                    ("plugin", plugin.as_str()),
                    ("version", version),
                    ("end", *end),
                ];
                family.sample(&labels, count);
            }
        }
    }
    let mut family = out.family(
        "tidegate_plugin_rollout_events_total",
        Kind::Counter,
        "What happened to the rollout of a plugin: started, restarted, stepped, held, resumed, \
         promoted, aborted.",
    );
    for (plugin, one) in status.rollouts.iter() {
        for (event, count) in &one.events {
            family.sample(&[("plugin", plugin), ("event", event)], count);
        }
    }
    let mut family = out.family(
        "tidegate_plugin_rollout_webhooks_total",
        Kind::Counter,
        "What became of notices about the rollout of a plugin: delivered, retried (an attempt failed, \
         and another one follows), given_up.",
    );
    for (plugin, one) in status.rollouts.iter() {
        for (result, count) in &one.webhooks.results {
            family.sample(&[("plugin", plugin), ("result", result)], count);
        }
    }
    let mut family = out.family(
        "tidegate_plugin_rollout_webhooks_waiting",
        Kind::Gauge,
        "Notices about the rollout of a plugin that are not delivered yet.",
    );
    for (plugin, one) in status.rollouts.iter() {
        family.sample(&[("plugin", plugin)], one.webhooks.waiting);
    }
}

#[cfg(test)]
mod tests {
    use tidegate_core::rollout::machine::Order;

    use super::ordered;

    #[test]
    fn paths_are_orders_and_nothing_else_is() {
        for (path, expected) in [
            (
                "/plugins/default/a/rollout/promote",
                Some(("default/a", Order::Promote)),
            ),
            (
                "/plugins/default/a/rollout/abort",
                Some(("default/a", Order::Abort)),
            ),
            (
                "/plugins/default/a/rollout/hold",
                Some(("default/a", Order::Hold)),
            ),
            (
                "/plugins/default/a/rollout/resume",
                Some(("default/a", Order::Resume)),
            ),
            ("/plugins/default/a/rollout/other", None),
            ("/plugins/default/a/rollout", None),
            ("/plugins//rollout/hold", None),
            ("/plugins", None),
        ] {
            assert_eq!(ordered(path), expected, "{path}");
        }
    }
}
