//! What plugins use, and why one was ended last, as JSON.
//!
//! Owns the shape. What a guest logged before a trap may quote its configuration and is not here; the
//! reason is the host's, the call stack has the module's names of functions.

use serde_json::Value;
use serde_json::json;
use tidegate_proxy::LastFault;
use tidegate_proxy::PluginNumbers;

use crate::admin::dump;
use crate::admin::pulls;
use crate::admin::rollouts;
use crate::admin::shadows;
use crate::admin::versions;
use crate::plugins::shadow_name;
use crate::status::Board;
use crate::status::PluginStatus;

/// GET /plugins.
pub(crate) fn page(board: &Board) -> Vec<u8> {
    let status = board.read();
    let metrics = board.metrics();
    let faults = board.last_faults();
    let plugins: Vec<Value> = status
        .plugins
        .iter()
        .map(|one| {
            let runs_as = match one.is_shadow {
                false => one.name.clone(),
                true => shadow_name(&one.name),
            };
            let numbers = metrics.plugins.get(&runs_as);
            let waits = metrics.waiting_plugins.contains(&runs_as);
            let mut page = plugin(one, numbers, faults.get(&runs_as), waits);
            if let Some(page) = page.as_object_mut() {
                page.insert("source".to_owned(), pulls::json(one, board.pulls()));
                page.insert("shadow".to_owned(), shadows::field(&metrics, one));
                page.insert("rollout".to_owned(), rollouts::field(&status, &one.name));
                for (name, value) in versions::fields(&status, &one.name) {
                    page.insert(name.to_owned(), value);
                }
            }
            page
        })
        .collect();
    dump::page(&json!({
        "generation": status.generation,
        "signaturePolicy": pulls::policy(board.pulls()),
        "plugins": plugins,
    }))
}

fn plugin(
    status: &PluginStatus,
    numbers: Option<&PluginNumbers>,
    fault: Option<&LastFault>,
    waits: bool,
) -> Value {
    let PluginNumbers {
        usage,
        gauges,
        pause_timeouts,
        exhausted,
        // Told by `shadow`.
        shadow: _,
    } = numbers.cloned().unwrap_or_default();
    let calls: serde_json::Map<String, Value> = usage
        .by_callback()
        .map(|one| {
            let value = json!({ "calls": one.calls, "cpuMicros": one.nanos / 1_000 });
            (one.callback.to_owned(), value)
        })
        .collect();
    json!({
        "name": status.name,
        "digest": status.digest,
        "type": status.kind,
        "mode": if status.is_shadow { "Shadow" } else { "Enforce" },
        "isolation": status.isolation,
        "failurePolicy": if status.fails_open { "FailOpen" } else { "FailClosed" },
        "newestWaits": waits,
        "instances": gauges.instances,
        "memoryBytes": gauges.memory_bytes,
        "openCalls": gauges.open_calls,
        "paused": gauges.paused,
        "pauseTimeouts": pause_timeouts,
        "exhausted": exhausted,
        "callbacks": calls,
        "lastFault": fault.map(last_fault),
    })
}

fn last_fault(last: &LastFault) -> Value {
    let LastFault { unix_nanos, fault } = last;
    let frames: Vec<&str> = fault.backtrace.lines().map(str::trim).collect();
    json!({
        "at": unix_nanos / 1_000_000_000,
        "kind": fault.kind.as_str(),
        "callback": fault.callback,
        "message": &*fault.message,
        "backtrace": frames,
    })
}
