//! The numbers at /metrics.
//!
//! Owns names and help texts. Labels come from closed sets, from the configuration, or, for what
//! plugins count, from plugins, whose number of metrics is limited where they are defined.

mod traffic;

use std::collections::BTreeMap;
use std::sync::atomic::Ordering;
use std::time::Duration;
use std::time::SystemTime;

use tidegate_config::problem::Severity;
use tidegate_proxy::GuestMetric;
use tidegate_proxy::GuestMetricValue;
use tidegate_proxy::Metrics;
use tidegate_proxy::PluginNumbers;

use crate::admin::exposition::Exposition;
use crate::admin::exposition::Kind;
use crate::admin::metrics::traffic::traffic;
use crate::admin::process;
use crate::admin::pulls;
use crate::admin::rollouts;
use crate::admin::shadows;
use crate::admin::versions;
use crate::code_cache::Counts;
use crate::pulls::PullBoard;
use crate::status::Outcome;
use crate::status::Status;

/// The whole page.
pub(crate) fn text(status: &Status, proxy: &Metrics, pulls: Option<&PullBoard>) -> String {
    let mut out = Exposition::default();
    out.family(
        "tidegate_build_info",
        Kind::Gauge,
        "Always 1; the labels say what runs.",
    )
    .sample(&[("version", env!("CARGO_PKG_VERSION"))], 1);
    config(&mut out, status);
    code_cache(&mut out, status);
    certificates(&mut out, status);
    pulls::metrics(&mut out, status, pulls);
    rollouts::metrics(&mut out, status);
    versions::metrics(&mut out, status);
    shadows::metrics(&mut out, status, proxy);
    traffic(&mut out, proxy);
    guests(&mut out, &proxy.guests);
    process::add(&mut out);
    out.finish()
}

fn config(out: &mut Exposition, status: &Status) {
    out.single(
        "tidegate_config_generation",
        Kind::Gauge,
        "Number of the generation that serves; 0 before the first.",
        status.generation,
    );
    let successful = status
        .reload
        .as_ref()
        .is_some_and(|reload| reload.outcome == Outcome::Success);
    out.single(
        "tidegate_config_last_reload_successful",
        Kind::Gauge,
        "Whether everything in the files of the last load serves.",
        u8::from(successful),
    );
    if let Some(reload) = &status.reload {
        let since = reload.at.duration_since(SystemTime::UNIX_EPOCH);
        out.single(
            "tidegate_config_last_reload_timestamp_seconds",
            Kind::Gauge,
            "When the last load ended, in seconds since 1970.",
            since.map_or(0.0, |since| since.as_secs_f64()),
        );
    }
    let mut reloads = out.family(
        "tidegate_config_reloads_total",
        Kind::Counter,
        "Loads: all serves (success), refused parts keep their last good version (partial), \
         nothing changed (failure).",
    );
    for (outcome, count) in Outcome::ALL.into_iter().zip(status.reloads) {
        reloads.sample(&[("result", outcome.label())], count);
    }
    let mut problems = out.family(
        "tidegate_config_problems",
        Kind::Gauge,
        "Problems that the last load found.",
    );
    for (label, severity) in [("error", Severity::Error), ("warning", Severity::Warning)] {
        problems.sample(&[("severity", label)], status.problems_of(severity));
    }
    out.single(
        "tidegate_config_last_good_resources",
        Kind::Gauge,
        "Resources whose last good version serves in place of a refused one.",
        status.resources.iter().filter(|one| one.last_good).count(),
    );
    let mut plugins = out.family(
        "tidegate_plugin_info",
        Kind::Gauge,
        "Always 1 for each plugin that serves; the digest is its code's SHA-256.",
    );
    for plugin in status.plugins.iter() {
        if let Some(digest) = &plugin.digest {
            plugins.sample(&[("plugin", &plugin.name), ("digest", digest)], 1);
        }
    }
}

fn certificates(out: &mut Exposition, status: &Status) {
    let mut family = out.family(
        "tidegate_certificate_not_after_seconds",
        Kind::Gauge,
        "Until when each certificate that serves is good, in seconds since 1970.",
    );
    for one in status.certificates.iter() {
        let since = one.not_after.duration_since(SystemTime::UNIX_EPOCH);
        let seconds = since.map_or(0, |since| since.as_secs());
        family.sample(&[("certificate", &one.name)], seconds);
    }
    let mut family = out.family(
        "tidegate_revocation_list_next_update_seconds",
        Kind::Gauge,
        "When the first list of revoked certificates of each bundle that has some is out of date, in \
         seconds since 1970.",
    );
    for one in status.bundles.iter() {
        if let Some(next) = one.next_update {
            let since = next.duration_since(SystemTime::UNIX_EPOCH);
            let seconds = since.map_or(0, |since| since.as_secs());
            family.sample(&[("bundle", &one.name)], seconds);
        }
    }
}

fn code_cache(out: &mut Exposition, status: &Status) {
    let Some(counts) = &status.code_cache else {
        return;
    };
    // No `..`: whoever counts something new must show it.
    let Counts {
        hits,
        misses,
        rejected,
        evicted,
    } = &**counts;
    let mut loads = out.family(
        "tidegate_code_cache_loads_total",
        Kind::Counter,
        "Plugins looked up in the code cache: taken from it (hit), compiled (miss), found damaged or \
         of another version and compiled (rejected).",
    );
    for (result, count) in [("hit", hits), ("miss", misses), ("rejected", rejected)] {
        loads.sample(&[("result", result)], count.load(Ordering::Relaxed));
    }
    out.single(
        "tidegate_code_cache_evictions_total",
        Kind::Counter,
        "Entries of the code cache that were deleted to make room.",
        evicted.load(Ordering::Relaxed),
    );
}

/// Reads one number of a plugin.
type Read = fn(&PluginNumbers) -> u64;

/// What plugins use.
fn plugins(out: &mut Exposition, used: &BTreeMap<String, PluginNumbers>) {
    let mut family = out.family(
        "tidegate_plugin_calls_total",
        Kind::Counter,
        "Calls into plugins, by callback.",
    );
    for (plugin, numbers) in used {
        for one in numbers.usage.by_callback() {
            family.sample(&[("plugin", plugin), ("callback", one.callback)], one.calls);
        }
    }
    let mut family = out.family(
        "tidegate_plugin_cpu_seconds_total",
        Kind::Counter,
        "CPU time in plugins, by callback; sampled where calls are many.",
    );
    for (plugin, numbers) in used {
        for one in numbers.usage.by_callback() {
            let seconds = Duration::from_nanos(one.nanos).as_secs_f64();
            family.sample(&[("plugin", plugin), ("callback", one.callback)], seconds);
        }
    }
    let families: [(&str, Kind, &str, Read); 6] = [
        (
            "tidegate_plugin_instances",
            Kind::Gauge,
            "Instances in service; plugins that share one count it under the first of them.",
            |numbers| numbers.gauges.instances,
        ),
        (
            "tidegate_plugin_memory_bytes",
            Kind::Gauge,
            "Memory of the instances in service.",
            |numbers| numbers.gauges.memory_bytes,
        ),
        (
            "tidegate_plugin_open_calls",
            Kind::Gauge,
            "Calls to backends that wait for an answer.",
            |numbers| numbers.gauges.open_calls,
        ),
        (
            "tidegate_plugin_paused_streams",
            Kind::Gauge,
            "Streams that plugins hold back now.",
            |numbers| numbers.gauges.paused,
        ),
        (
            "tidegate_plugin_pause_timeouts_total",
            Kind::Counter,
            "Pauses that took too long.",
            |numbers| numbers.pause_timeouts,
        ),
        (
            "tidegate_plugin_exhausted_total",
            Kind::Counter,
            "Streams that got no instance of their own.",
            |numbers| numbers.exhausted,
        ),
    ];
    for (name, kind, help, read) in families {
        let mut family = out.family(name, kind, help);
        for (plugin, numbers) in used {
            family.sample(&[("plugin", plugin)], read(numbers));
        }
    }
}

/// What plugins count. Their names may be any bytes, so they are labels and not names of families.
fn guests(out: &mut Exposition, guests: &[GuestMetric]) {
    // Names that are no text must not make two samples alike.
    let mut seen: BTreeMap<(&str, String), Vec<&GuestMetricValue>> = BTreeMap::new();
    for metric in guests {
        let name = metric.name.escape_ascii().to_string();
        let key = (metric.plugin.as_str(), name);
        seen.entry(key).or_default().push(&metric.value);
    }
    let all = || {
        seen.iter().flat_map(|((plugin, name), values)| {
            let labels = [("plugin", *plugin), ("metric", name.as_str())];
            values.iter().map(move |value| (labels, *value))
        })
    };
    let mut family = out.family(
        "tidegate_plugin_counter_total",
        Kind::Counter,
        "Counters that plugins define.",
    );
    for (labels, value) in all() {
        if let GuestMetricValue::Counter(value) = value {
            family.sample(&labels, value);
        }
    }
    let mut family = out.family(
        "tidegate_plugin_gauge",
        Kind::Gauge,
        "Gauges that plugins define.",
    );
    for (labels, value) in all() {
        if let GuestMetricValue::Gauge(value) = value {
            family.sample(&labels, value);
        }
    }
    let mut family = out.family(
        "tidegate_plugin_histogram",
        Kind::Histogram,
        "Histograms that plugins define.",
    );
    for (labels, value) in all() {
        if let GuestMetricValue::Histogram { counts, sum } = value {
            family.histogram(&labels, &tidegate_host_abi::BUCKETS, counts, *sum);
        }
    }
}

#[cfg(test)]
mod tests;
