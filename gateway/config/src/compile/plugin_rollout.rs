//! Another version of a Plugin that is tried: what it is, and how its share grows.

use std::sync::Arc;
use std::time::Duration;

use tidegate_core::rollout::course::Course;
use tidegate_core::rollout::course::INTERVAL;
use tidegate_core::rollout::course::STEPS;
use tidegate_core::rollout::course::Steps;
use tidegate_core::rollout::judge::Limits;
use tidegate_core::rollout::judge::MIN_STREAMS;
use tidegate_core::rollout::machine::EventKind;
use tidegate_core::rollout::split::Key;
use tidegate_core::rollout::split::Share;
use tidegate_core::rollout::split::Split;
use tidegate_core::snapshot::PluginName;

use super::world::Candidate;
use crate::draft::CANARY;
use crate::draft::PluginDecl;
use crate::draft::RolloutDecl;
use crate::draft::WebhookDecl;
use crate::duration;
use crate::kinds::plugin::Plugin;
use crate::kinds::plugin_rollout::PluginRollout;
use crate::kinds::plugin_rollout::RolloutEvent;
use crate::kinds::plugin_rollout::RolloutWebhook;
use crate::kinds::text::PercentText;
use crate::place::At;
use crate::resource::ResourceId;

/// How long one attempt to tell a receiver may take.
const WEBHOOK_TIMEOUT: Duration = Duration::from_secs(10);

/// The Plugin as it would be with the canary in the place of its version.
pub(super) fn as_plugin(plugin: &Plugin, rollout: &PluginRollout) -> Plugin {
    let mut plugin = plugin.clone();
    let canary = &rollout.canary.value;
    let spec = &mut plugin.spec;
    spec.rollout = None;
    if let Some(source) = &canary.source {
        spec.source = source.clone();
        spec.sha256 = None;
    }
    if let Some(sha256) = &canary.sha256 {
        spec.sha256 = Some(sha256.clone());
    }
    if let Some(config) = &canary.config {
        spec.config = Some(config.clone());
    }
    plugin
}

/// Gives the canary's declaration a name of its own.
pub(super) fn rename(decl: &mut PluginDecl) {
    let name = format!("{}{CANARY}", decl.resource.name);
    decl.data_of = decl.name.0.as_ref().to_owned();
    decl.name = PluginName(format!("{}{CANARY}", decl.name.0).into());
    decl.resource = ResourceId {
        name: name.into(),
        ..decl.resource.clone()
    };
}

/// How the share of a canary grows, and what it may do.
pub(super) fn declare(
    candidate: &Candidate,
    rollout: &PluginRollout,
    webhooks: Vec<WebhookDecl>,
) -> RolloutDecl {
    RolloutDecl {
        resource: candidate.id().clone(),
        name: PluginName(candidate.full_name().into()),
        course: course(rollout),
        limits: limits(rollout),
        webhooks,
    }
}

/// A receiver, of which the backend was found.
pub(super) fn webhook(given: &RolloutWebhook, backend: Arc<str>) -> WebhookDecl {
    let timeout = given.timeout.as_ref();
    let timeout = timeout.and_then(|given| duration::parse(given).ok());
    let events = given.events.as_ref();
    let events = events.map(|events| events.iter().map(|event| kind(event.value)).collect());
    WebhookDecl {
        backend,
        path: given.path.as_str().to_owned(),
        host: given.host.as_ref().map(|host| host.as_str().to_owned()),
        events,
        timeout: timeout.unwrap_or(WEBHOOK_TIMEOUT),
    }
}

fn kind(event: RolloutEvent) -> EventKind {
    match event {
        RolloutEvent::Started => EventKind::Started,
        RolloutEvent::Restarted => EventKind::Restarted,
        RolloutEvent::Stepped => EventKind::Stepped,
        RolloutEvent::Held => EventKind::Held,
        RolloutEvent::Resumed => EventKind::Resumed,
        RolloutEvent::Promoted => EventKind::Promoted,
        RolloutEvent::Aborted => EventKind::Aborted,
    }
}

/// Who gets the canary of a plugin: others than those of another one's.
pub(super) fn split(candidate: &Candidate, rollout: &PluginRollout) -> Split {
    let key = rollout.key.as_ref().and_then(|key| {
        let header = key
            .header
            .as_ref()
            .and_then(|name| name.parse().ok().map(Key::Header));
        let cookie = || {
            key.cookie
                .as_ref()
                .map(|name| Key::Cookie(name.as_str().into()))
        };
        let client = || key.client_ip.as_ref().map(|_| Key::ClientIp);
        header.or_else(cookie).or_else(client)
    });
    Split::new(&candidate.full_name(), key)
}

fn share(percent: u32) -> Share {
    Share::percent(u8::try_from(percent).unwrap_or(100))
}

fn course(rollout: &PluginRollout) -> Course {
    let weight = rollout.weight.as_ref().map(|weight| share(weight.value));
    let interval = rollout.interval.as_ref();
    let interval = interval.and_then(|given| duration::parse(given).ok());
    let interval: Duration = interval.unwrap_or(INTERVAL);
    let shares: Vec<Share> = match (&rollout.steps, weight) {
        (None, Some(weight)) => return Course::Fixed(weight),
        (None, None) => STEPS.map(Share::percent).into(),
        (Some(steps), _) => steps.iter().map(|step| share(step.value)).collect(),
    };
    let first = weight.and_then(|weight| shares.iter().position(|step| *step == weight));
    // The rules have seen to it that they rise.
    let steps = Steps::new(shares, first.unwrap_or(0), interval);
    Course::Steps(steps.unwrap_or_default())
}

fn limits(rollout: &PluginRollout) -> Limits {
    let given = rollout.abort_on.clone().unwrap_or_default();
    let otherwise = Limits::default();
    let limit = |given: Option<&At<PercentText>>, off: f64, otherwise: Option<f64>| match given
        .and_then(|given| given.percent())
    {
        None => otherwise,
        Some(percent) if percent >= off => None,
        Some(percent) => Some(percent / 100.0),
    };
    Limits {
        trap_rate: limit(given.trap_rate.as_ref(), 100.0, otherwise.trap_rate),
        deny_rate_delta: limit(
            given.deny_rate_delta.as_ref(),
            100.0,
            otherwise.deny_rate_delta,
        ),
        error_rate_delta: limit(
            given.error_rate_delta.as_ref(),
            100.0,
            otherwise.error_rate_delta,
        ),
        p99_delta: limit(given.p99_delta.as_ref(), 1_000.0, otherwise.p99_delta),
        min_streams: rollout
            .min_requests
            .as_ref()
            .map_or(MIN_STREAMS, |given| u64::from(given.value)),
    }
}
