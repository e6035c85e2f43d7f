//! What there is to say about plugins that only look on: at /plugins and /metrics.

use serde_json::Map;
use serde_json::Value;
use serde_json::json;
use tidegate_core::rollout::shadow::Dropped;
use tidegate_core::rollout::shadow::Kind as Difference;
use tidegate_proxy::Metrics;
use tidegate_proxy::ShadowCounts;

use crate::admin::exposition::Exposition;
use crate::admin::exposition::Kind;
use crate::status::PluginStatus;
use crate::status::Status;

/// What /plugins says of what a plugin's shadows have come to; nothing if it has never had any.
pub(super) fn field(metrics: &Metrics, plugin: &PluginStatus) -> Value {
    let known = metrics.plugins.get(&plugin.name);
    let counts = known.map(|numbers| numbers.shadow).unwrap_or_default();
    if !plugin.is_shadow && counts == ShadowCounts::default() {
        return Value::Null;
    }
    let ShadowCounts {
        agreed,
        differed,
        faults,
        unknown,
        kinds,
        dropped,
    } = counts;
    let kinds = Difference::ALL.map(Difference::name).into_iter().zip(kinds);
    let dropped = Dropped::ALL.map(Dropped::name).into_iter().zip(dropped);
    json!({
        "agreed": agreed,
        "differed": differed,
        "faults": faults,
        "unknown": unknown,
        "differences": counted(kinds),
        "dropped": counted(dropped),
    })
}

fn counted(counts: impl Iterator<Item = (&'static str, u64)>) -> Value {
    let counts = counts.map(|(name, count)| (name.to_owned(), count.into()));
    Value::Object(counts.collect::<Map<_, _>>())
}

/// The numbers.
pub(super) fn metrics(out: &mut Exposition, status: &Status, proxy: &Metrics) {
    let looking = status.plugins.iter().filter(|plugin| plugin.is_shadow);
    let looking: Vec<&str> = looking.map(|plugin| plugin.name.as_str()).collect();
    let mut all: Vec<(&str, ShadowCounts)> = Vec::new();
    for (plugin, numbers) in &proxy.plugins {
        let looks = looking.contains(&plugin.as_str());
        if looks || numbers.shadow != ShadowCounts::default() {
            all.push((plugin, numbers.shadow));
        }
    }
    for plugin in looking {
        if !all.iter().any(|(known, _)| *known == plugin) {
            all.push((plugin, ShadowCounts::default()));
        }
    }
    let mut family = out.family(
        "tidegate_plugin_shadow_streams_total",
        Kind::Counter,
        "Streams that a plugin with `mode: Shadow` was shown, by result: agreed, differed, fault (it \
         failed), unknown (it depended on a call that was not made, or did not decide in time).",
    );
    for (plugin, counts) in &all {
        for (result, count) in [
            ("agreed", counts.agreed),
            ("differed", counts.differed),
            ("fault", counts.faults),
            ("unknown", counts.unknown),
        ] {
            family.sample(&[("plugin", plugin), ("result", result)], count);
        }
    }
    let mut family = out.family(
        "tidegate_plugin_shadow_differences_total",
        Kind::Counter,
        "What would have been different, by kind; a stream that differed may have several: deny (it \
         would have been answered), allow (a later filter answered it), status (both answered), \
         request_headers, request_body, response_headers, response_body, route.",
    );
    for (plugin, counts) in &all {
        for (kind, count) in Difference::ALL.into_iter().zip(counts.kinds) {
            family.sample(&[("plugin", plugin), ("kind", kind.name())], count);
        }
    }
    let mut family = out.family(
        "tidegate_plugin_shadow_dropped_total",
        Kind::Counter,
        "Streams that a plugin with `mode: Shadow` was not shown, or not to the end, by reason: budget \
         (CPU time), concurrency, buffer, instance (none could be entered).",
    );
    for (plugin, counts) in &all {
        for (reason, count) in Dropped::ALL.into_iter().zip(counts.dropped) {
            family.sample(&[("plugin", plugin), ("reason", reason.name())], count);
        }
    }
}
