//! What there is to say about code that comes over the network: at /ready, /plugins, /resources and
//! /metrics.
//!
//! Owns the words and shapes. Credentials are never among them.

use std::time::SystemTime;

use serde_json::Value;
use tidegate_config::draft::Condition;

use crate::admin::exposition::Exposition;
use crate::admin::exposition::Kind;
use crate::plugins::SIGNATURE_MISSING;
use crate::pulls::Counts;
use crate::pulls::PolicyReport;
use crate::pulls::PullBoard;
use crate::pulls::Report;
use crate::pulls::fetch::Signature;
use crate::state::hex;
use crate::status::PluginStatus;
use crate::status::Status;

/// What is known of the code that a plugin wants.
fn report(plugin: &PluginStatus, pulls: Option<&PullBoard>) -> Option<Report> {
    pulls?.report(plugin.source.as_deref()?)
}

/// A line for each plugin that does not serve what its source has now, as far as that is known.
pub(super) fn remarks(status: &Status, pulls: Option<&PullBoard>) -> String {
    let mut text = String::new();
    for plugin in status.plugins.iter() {
        if let Some(remark) = report(plugin, pulls).and_then(|report| remark(plugin, &report)) {
            text.push_str(&remark);
            text.push('\n');
        }
    }
    text
}

fn remark(plugin: &PluginStatus, report: &Report) -> Option<String> {
    let PluginStatus { name, .. } = plugin;
    let Report { shown, .. } = report;
    let why = match &report.error {
        Some(error) => format!(": {error}"),
        None if report.module.is_some() && report.next_try.is_none() && !report.is_running => {
            ": what is here is not asked for again".to_owned()
        }
        None => String::new(),
    };
    if report.module.is_none() {
        let serves = match (&plugin.digest, plugin.fails_open) {
            (Some(_), _) => "the version before it serves",
            (None, true) => "requests pass without it",
            (None, false) => "its requests are answered with 503",
        };
        return Some(format!("{name}: {shown} is not here yet, {serves}{why}"));
    }
    if report.is_confirmed && report.error.is_none() {
        return None;
    }
    let from = if report.is_confirmed {
        "as it was pulled last"
    } else {
        "from the cache"
    };
    let digest = digest(report).unwrap_or_default();
    Some(format!("{name}: {shown} serves {from} ({digest}){why}"))
}

/// The digest of the image that is here; without one, that of the module.
fn digest(report: &Report) -> Option<String> {
    let module = || Some(format!("sha256:{}", hex(&report.module?)));
    report.manifest.clone().or_else(module)
}

/// The part of /plugins that is about the source; null for code that needs no network.
pub(super) fn json(plugin: &PluginStatus, pulls: Option<&PullBoard>) -> Value {
    let Some(report) = report(plugin, pulls) else {
        return Value::Null;
    };
    let result = match (&report.module, report.is_confirmed, &report.error) {
        (None, _, None) => "Pending",
        (None, _, Some(_)) => "Failed",
        (Some(_), true, None) => "Pulled",
        (Some(_), ..) => "Cached",
    };
    serde_json::json!({
        "wanted": report.shown,
        "state": result,
        "imageDigest": report.manifest,
        "moduleSha256": report.module.as_ref().map(|module| hex(module)),
        "layout": report.layout,
        "signature": signature(&report.signature),
        "lastError": report.error,
        "lastCheck": report.checked.map(seconds),
        "lastSuccess": report.succeeded.map(seconds),
        "nextTry": report.next_try.map(seconds),
        "pulling": report.is_running,
    })
}

/// Whether the code is signed; null where nobody wants it to be.
fn signature(signature: &Signature) -> Value {
    match signature {
        Signature::Off => Value::Null,
        Signature::Valid(how) => serde_json::json!({ "valid": true, "message": how }),
        Signature::Missing(why) => serde_json::json!({ "valid": false, "message": why }),
    }
}

/// By what rules signatures count, for /plugins; null without any.
pub(super) fn policy(pulls: Option<&PullBoard>) -> Value {
    let report = pulls.and_then(PullBoard::policy);
    report.map_or(
        Value::Null,
        |PolicyReport { file, error }| serde_json::json!({ "file": file, "error": error }),
    )
}

/// Seconds since 1970.
fn seconds(time: SystemTime) -> u64 {
    let since = time.duration_since(SystemTime::UNIX_EPOCH);
    since.map_or(0, |since| since.as_secs())
}

/// Whether the code that a plugin wants is here.
pub(super) fn condition(plugin: &PluginStatus, pulls: Option<&PullBoard>) -> Option<Condition> {
    let report = report(plugin, pulls)?;
    let reason = match (&report.module, &report.error) {
        (Some(_), None) if report.is_confirmed => "Pulled",
        (Some(_), None) => "Cached",
        (_, Some(_)) if report.is_unsigned => SIGNATURE_MISSING,
        (Some(_), Some(_)) => "SourceUnreachable",
        (None, None) => "Pending",
        (None, Some(_)) => "PullFailed",
    };
    let shown = &report.shown;
    let message = match remark(plugin, &report) {
        Some(remark) => remark,
        None => format!("{shown} is {}", digest(&report).unwrap_or_default()),
    };
    Some(Condition {
        kind: "Pulled",
        status: report.module.is_some(),
        reason,
        message,
        about: None,
    })
}

/// The numbers of pulls.
pub(super) fn metrics(out: &mut Exposition, status: &Status, pulls: Option<&PullBoard>) {
    let Some(board) = pulls else {
        return;
    };
    // No `..`: whoever counts something new must show it.
    let Counts {
        new,
        unchanged,
        failed,
        unsigned,
        bytes,
    } = board.counts();
    let mut family = out.family(
        "tidegate_plugin_pulls_total",
        Kind::Counter,
        "Requests for code in registries and on web servers: other code came (success), it is what it \
         was (unchanged), none came (failure).",
    );
    for (result, count) in [
        ("success", new),
        ("unchanged", unchanged),
        ("failure", failed),
    ] {
        family.sample(&[("result", result)], count);
    }
    out.single(
        "tidegate_plugin_pull_bytes_total",
        Kind::Counter,
        "Bytes of code that came over the network.",
        bytes,
    );
    let reports: Vec<(&str, Report)> = status
        .plugins
        .iter()
        .filter_map(|plugin| Some((plugin.name.as_str(), report(plugin, pulls)?)))
        .collect();
    signature_metrics(out, &reports, (board, unsigned));
    let mut family = out.family(
        "tidegate_plugin_pulled",
        Kind::Gauge,
        "Whether the code that a plugin wants is here.",
    );
    for (name, report) in &reports {
        family.sample(&[("plugin", name)], u8::from(report.module.is_some()));
    }
    let mut family = out.family(
        "tidegate_plugin_pull_failing",
        Kind::Gauge,
        "Whether the last request for a plugin's code failed.",
    );
    for (name, report) in &reports {
        family.sample(&[("plugin", name)], u8::from(report.error.is_some()));
    }
    let mut family = out.family(
        "tidegate_plugin_pull_last_success_timestamp_seconds",
        Kind::Gauge,
        "When a plugin's code was asked for last and the answer was good, in seconds since 1970.",
    );
    for (name, report) in &reports {
        if let Some(succeeded) = report.succeeded {
            family.sample(&[("plugin", name)], seconds(succeeded));
        }
    }
}

/// The numbers of signatures; none without a policy.
fn signature_metrics(
    out: &mut Exposition,
    reports: &[(&str, Report)],
    (board, unsigned): (&PullBoard, u64),
) {
    let Some(policy) = board.policy() else {
        return;
    };
    out.single(
        "tidegate_plugin_signature_policy_ok",
        Kind::Gauge,
        "Whether the signature policy is what its file says; else it is what the file said before.",
        u8::from(policy.error.is_none()),
    );
    out.single(
        "tidegate_plugin_signature_refusals_total",
        Kind::Counter,
        "Requests for code that failed because a signature is missing.",
        unsigned,
    );
    let mut family = out.family(
        "tidegate_plugin_signature_valid",
        Kind::Gauge,
        "Whether a plugin's code has a valid signature, where the policy wants one: 0 also for code that \
         is refused for want of one.",
    );
    for (name, report) in reports {
        let valid = match &report.signature {
            Signature::Off => continue,
            Signature::Valid(_) => 1_u8,
            Signature::Missing(_) => 0,
        };
        family.sample(&[("plugin", name)], valid);
    }
}
