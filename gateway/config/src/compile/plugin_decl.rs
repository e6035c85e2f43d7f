//! One Plugin resource as the declaration that the binary resolves.

use std::path::Path;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use tidegate_core::rollout::probation::Rule;
use tidegate_core::snapshot::PluginName;

use super::Environment;
use super::backends::BackendTable;
use super::plugin_source;
use super::plugin_values::Blamed;
use super::plugin_values::Values;
use super::report::Refusal;
use super::report::Report;
use super::world::Candidate;
use super::world::State;
use super::world::World;
use crate::draft::Condition;
use crate::draft::FailurePolicy;
use crate::draft::PluginDecl;
use crate::draft::PluginIsolation;
use crate::draft::PluginSource;
use crate::draft::PluginType;
use crate::draft::ShadowDecl;
use crate::duration;
use crate::kinds::plugin;
use crate::kinds::plugin::Plugin;
use crate::kinds::text::DurationText;
use crate::place::At;
use crate::place::Place;
use crate::resource::ResourceId;
use crate::rules::json_bytes;
use crate::size;

/// Memory of an instance, instances that serve one request each, CPU time of a call, time to start: docs/defaults.md.
const MEMORY_BYTES: usize = 64 << 20;
const INSTANCES: usize = 256;
const CALL_TIMEOUT: Duration = Duration::from_millis(10);
const START_TIMEOUT: Duration = Duration::from_secs(10);

/// The declaration of a plugin; one that cannot be fetched if anything is wrong with it. Says also
/// whether all that it refers to is there, unless nothing is known of it.
pub(super) fn declare(
    world: &World<'_>,
    backends: &mut BackendTable<'_>,
    candidate: &Candidate,
    plugin: &Plugin,
    env: Environment<'_>,
    report: &mut Report,
) -> (PluginDecl, Option<bool>) {
    let spec = &plugin.spec;
    let mut decl = refused(candidate, plugin);
    if candidate.state == State::Salvaged {
        return (decl, None);
    }
    let mut is_good = true;
    let mut is_complete = true;
    let values = Values {
        world,
        candidate,
        env,
    };
    let mut complain = |(of, refusal): Blamed<'_>| {
        is_good = false;
        report.error(of.unwrap_or(candidate), refusal);
    };
    decl.env = values.variables(&spec.env, &mut complain);
    is_complete &= decl.env.len() == spec.env.len();
    if let Some(config) = &spec.config {
        let filled = values.config(config, &mut complain);
        is_complete &= filled.is_some();
        if let Some((config, written)) = filled {
            decl.config = config;
            decl.config_written = Some(written);
        }
    }
    let mut check = |result: Result<(), Refusal>| {
        if let Err(refusal) = result {
            is_good = false;
            report.error(candidate, refusal);
        }
    };
    let allowed = spec.allow.iter().flat_map(|allow| &allow.backends);
    for given in allowed {
        check(backends.allowed(candidate, given).map(|name| {
            is_complete &= name.is_some();
            decl.backends.extend(name);
        }));
    }
    // Each is one of those, which have been looked for already.
    let seen = spec.allow.iter().flat_map(|allow| &allow.shadow_backends);
    if let Some(shadow) = &mut decl.shadow {
        for given in seen {
            if let Ok(Some(name)) = backends.allowed(candidate, given) {
                shadow.backends.push(name);
            }
        }
    }
    let found = plugin_source::source(world, candidate, spec, env);
    let source = found.unwrap_or_else(|(of, refusal)| {
        report.error(of.unwrap_or(candidate), refusal);
        None
    });
    is_complete &= source.is_some();
    if is_good && is_complete {
        decl.source = source.unwrap_or(PluginSource::Refused);
    }
    (decl, Some(is_good && is_complete))
}

/// Whether all that a Plugin refers to is there.
pub(super) fn resolved(status: bool) -> Condition {
    Condition {
        kind: "ResolvedRefs",
        status,
        reason: if status {
            "ResolvedRefs"
        } else {
            "RefNotFound"
        },
        message: if status {
            String::new()
        } else {
            "something that it refers to is missing or refused".to_owned()
        },
        about: None,
    }
}

/// What a plugin's resource says about itself alone.
fn refused(candidate: &Candidate, plugin: &Plugin) -> PluginDecl {
    let spec = &plugin.spec;
    let limits = spec.limits.clone().unwrap_or_default();
    let time = |given: Option<&At<DurationText>>, otherwise| {
        given
            .and_then(|given| duration::parse(given).ok())
            .unwrap_or(otherwise)
    };
    let memory = limits.memory.as_ref();
    PluginDecl {
        resource: candidate.id().clone(),
        name: PluginName(candidate.full_name().into()),
        data_of: String::new(),
        source: PluginSource::Refused,
        source_place: candidate.place(plugin_source::span(spec)),
        sha256: plugin_source::expected(spec),
        config_place: candidate.place(
            spec.config
                .as_ref()
                .map_or(candidate.version.content.name_span, |config| config.span),
        ),
        root_id: spec.root_id.clone().unwrap_or_default(),
        vm_id: spec.vm_id.clone().unwrap_or_default(),
        vm_config: json_bytes(spec.vm_config.as_ref().map(|config| &config.value)),
        traps_unknown_imports: spec
            .unknown_imports
            .as_ref()
            .is_some_and(|given| given.value == plugin::UnknownImports::TrapWhenCalled),
        config: Bytes::new(),
        config_written: None,
        env: Vec::new(),
        kind: kind(plugin),
        isolation: spec
            .isolation
            .as_ref()
            .map_or(PluginIsolation::Worker, |isolation| isolation.value),
        stop_iteration: spec.stop_iteration,
        strict: spec.strict == Some(true),
        failure_policy: match spec.failure_policy.as_ref().map(|policy| policy.value) {
            // Nothing depends on who only looks on.
            _ if is_shadow(plugin) => FailurePolicy::FailOpen,
            Some(plugin::FailurePolicy::FailOpen) => FailurePolicy::FailOpen,
            Some(plugin::FailurePolicy::FailClosed) | None => FailurePolicy::FailClosed,
        },
        memory_bytes: memory
            .and_then(|memory| size::parse(memory).ok())
            .unwrap_or(MEMORY_BYTES),
        instances: limits
            .instances
            .as_ref()
            .and_then(|instances| usize::try_from(instances.value).ok())
            .unwrap_or(INSTANCES),
        call_timeout: time(limits.call_timeout.as_ref(), CALL_TIMEOUT),
        start_timeout: time(limits.start_timeout.as_ref(), START_TIMEOUT),
        probation: probation(plugin),
        shadow: is_shadow(plugin).then(|| shadow(plugin)),
        backends: Vec::new(),
        dns: spec
            .allow
            .as_ref()
            .is_some_and(|allow| allow.dns == Some(true)),
        attached: false,
        made_of: Vec::new(),
    }
}

/// What a plugin is for.
pub(super) fn kind(plugin: &Plugin) -> PluginType {
    let given = plugin.spec.kind.as_ref();
    given.map_or(PluginType::Http, |kind| kind.value)
}

/// Whether it only looks on.
fn is_shadow(plugin: &Plugin) -> bool {
    let mode = plugin.spec.mode.as_ref();
    mode.is_some_and(|mode| mode.value == plugin::PluginMode::Shadow)
}

/// What it may use while it does.
fn shadow(plugin: &Plugin) -> ShadowDecl {
    let standard = ShadowDecl::default();
    let given = plugin.spec.shadow.clone().unwrap_or_default();
    let memory = given.memory.as_ref();
    ShadowDecl {
        percent: given.percent.map_or(standard.percent, |it| it.value),
        cpu_percent: given
            .cpu_percent
            .map_or(standard.cpu_percent, |it| it.value),
        concurrent: given
            .concurrent
            .and_then(|it| usize::try_from(it.value).ok())
            .unwrap_or(standard.concurrent),
        memory_bytes: memory
            .and_then(|memory| size::parse(memory).ok())
            .unwrap_or(standard.memory_bytes),
        backends: Vec::new(),
    }
}

/// What a version of a plugin must stand.
fn probation(plugin: &Plugin) -> Rule {
    let standard = Rule::default();
    let given = plugin.spec.probation.clone().unwrap_or_default();
    let count = |given: Option<At<u32>>| given.map(|given| u64::from(given.value));
    let period = given.period.as_ref();
    let period = period.and_then(|period| duration::parse(period).ok());
    let period = match is_shadow(plugin) {
        false => period.unwrap_or(standard.period),
        // Its faults hurt nobody, and the version before it may be one that acts.
        true => Duration::ZERO,
    };
    Rule {
        period,
        faults: count(given.faults).unwrap_or(standard.faults),
        percent: count(given.percent).unwrap_or(standard.percent),
        // One that falls is started again with growing pauses: no second has many of its faults.
        window: match kind(plugin) {
            PluginType::Service => period.max(standard.window),
            PluginType::Http | PluginType::Network => standard.window,
        },
    }
}

/// A plugin that a route asks for and that nobody declares: its requests are refused.
pub(super) fn missing(from: &Candidate, name: &At<String>) -> PluginDecl {
    let resource = ResourceId {
        kind: "Plugin",
        namespace: Arc::clone(&from.id().namespace),
        name: name.value.as_str().into(),
    };
    let full_name = PluginName(format!("{}/{}", from.namespace(), name.value).into());
    nothing(resource, full_name, from.place(name.span))
}

/// A plugin of which nothing is known but its name: it refuses everything.
pub(super) fn nothing(resource: ResourceId, name: PluginName, place: Place) -> PluginDecl {
    PluginDecl {
        resource,
        name,
        data_of: String::new(),
        source: PluginSource::Refused,
        source_place: place.clone(),
        sha256: None,
        config_place: place,
        root_id: String::new(),
        vm_id: String::new(),
        vm_config: Bytes::new(),
        traps_unknown_imports: false,
        config: Bytes::new(),
        config_written: None,
        env: Vec::new(),
        kind: PluginType::Http,
        isolation: PluginIsolation::Worker,
        stop_iteration: None,
        strict: false,
        failure_policy: FailurePolicy::FailClosed,
        memory_bytes: MEMORY_BYTES,
        instances: INSTANCES,
        call_timeout: CALL_TIMEOUT,
        start_timeout: START_TIMEOUT,
        probation: Rule::default(),
        shadow: None,
        backends: Vec::new(),
        dns: false,
        attached: false,
        made_of: Vec::new(),
    }
}

/// A path relative to the file that names it, absolute.
pub(crate) fn beside(file: &Path, path: &str) -> PathBuf {
    let joined = file
        .parent()
        .map_or_else(|| PathBuf::from(path), |folder| folder.join(path));
    std::path::absolute(&joined).unwrap_or(joined)
}
