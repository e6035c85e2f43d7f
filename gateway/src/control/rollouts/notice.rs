//! What receivers are told of a rollout: one JSON object for each event.
//!
//! Owns its shape, which is described in docs/rollouts.md. No settings of plugins are in it.

use std::time::SystemTime;

use serde_json::Value;
use serde_json::json;
use tidegate_core::rollout::machine::Event;
use tidegate_core::rollout::machine::Phase;
use tidegate_core::rollout::machine::Rollout;
use tidegate_core::rollout::split::Share;
use tidegate_core::time::rfc3339;
use tidegate_host_abi::PlainServices;
use tidegate_host_abi::Services as _;

use super::words::phase;
use super::words::words;
use crate::plugins::in_one_line;
use crate::state::hex;

/// Whose event it is.
#[derive(Debug)]
pub(super) struct Subject<'a> {
    /// What the gateway calls itself.
    pub(super) gateway: &'a str,
    /// The plugin, `namespace/name`.
    pub(super) plugin: &'a str,
    pub(super) rollout: &'a Rollout,
    /// SHA-256 of the modules of the stable version and the canary, as far as they are known.
    pub(super) digests: &'a [Option<String>; 2],
}

/// A name that no other event has.
pub(super) fn id() -> String {
    let mut bytes = [0; 16];
    PlainServices::default().fill_random(&mut bytes);
    hex(&bytes)
}

/// What is said of an event; `by_hand` if somebody asked for it.
pub(super) fn body(subject: &Subject<'_>, id: &str, event: &Event, by_hand: bool) -> String {
    let Subject {
        gateway,
        plugin,
        rollout,
        digests: [stable, canary],
    } = subject;
    let (namespace, name) = plugin.split_once('/').unwrap_or(("", plugin));
    let before = match event {
        Event::Stepped { from, to: _ } => Some(*from),
        _ => None,
    };
    let why = match &rollout.state().phase {
        Phase::Aborted(why) if !why.by_hand => Some(in_one_line(&why.words)),
        _ => None,
    };
    let body = json!({
        "id": id,
        "at": now(),
        "gateway": gateway,
        "plugin": { "namespace": namespace, "name": name },
        "event": event.kind().name(),
        "phase": phase(rollout),
        "share": percent(rollout.share()),
        "previousShare": before.map(percent),
        "byHand": by_hand,
        "message": in_one_line(&words(event)),
        "why": why,
        "stable": { "digest": stable },
        "canary": { "digest": canary },
    });
    body.to_string()
}

fn percent(share: Share) -> Value {
    json!(f64::from(share.buckets()) / 100.0)
}

fn now() -> String {
    let since = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH);
    let millis = since.map_or(0, |since| since.as_millis());
    rfc3339(u64::try_from(millis).unwrap_or(u64::MAX))
}
