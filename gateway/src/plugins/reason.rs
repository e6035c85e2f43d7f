//! Between the words of the configuration and those of the host: what a plugin is, and why it is not.

use tidegate_config::draft;
use tidegate_config::draft::PluginDecl;
use tidegate_config::place::Place;
use tidegate_config::problem::Problem;
use tidegate_config::resource::ResourceId;
use tidegate_host_abi::FailurePolicy;
use tidegate_host_abi::Isolation;
use tidegate_host_abi::Limits;
use tidegate_host_abi::PluginKind;
use tidegate_host_abi::PluginSpec;
use tidegate_host_abi::Shadow;
use tidegate_host_abi::StartError;
use tidegate_host_abi::StartStep;
use tidegate_host_abi::UnknownImports;

use crate::plugins::compile::TryError;

/// Why a version is refused.
#[derive(Debug, Clone)]
pub(crate) struct Reason {
    pub(crate) reason: &'static str,
    pub(crate) message: String,
    /// Whether what it was told is to blame, not its code.
    pub(crate) about_config: bool,
    /// What the guest said of it, which is not for everybody.
    pub(crate) said: Option<String>,
}

/// A refusal as it is reported, at what is to blame: each of the resources that the plugin is made of,
/// unless the guest named a value of one.
pub(crate) fn problems(decl: &PluginDecl, reason: &Reason) -> Vec<Problem> {
    let error = |place: &Place, resource: &ResourceId, message: String| {
        Problem::error(place.clone(), message)
            .about(resource.clone())
            .reason(reason.reason)
    };
    let message = || reason.message.clone();
    let written = decl.config_written.as_ref().filter(|_| reason.about_config);
    let named = written.and_then(|written| {
        let span = written.named_in(reason.said.as_deref()?)?;
        Some((written, span, written.place(span)?))
    });
    if let Some((written, span, place)) = named {
        let resource = written.resource(span).unwrap_or(&decl.resource);
        return vec![error(
            &place,
            resource,
            written.in_words(&reason.message, span),
        )];
    }
    if !decl.made_of.is_empty() {
        let all = decl.made_of.iter();
        return all
            .map(|(resource, place)| error(place, resource, message()))
            .collect();
    }
    let place = if reason.about_config {
        &decl.config_place
    } else {
        &decl.source_place
    };
    vec![error(place, &decl.resource, message())]
}

/// Why a version of `what` that was tried is refused; see [`not_started`] for `candid`.
pub(crate) fn refusal(what: &str, err: &TryError, candid: bool) -> Reason {
    let (reason, about_config, message) = match err {
        // What a guest thinks of its configuration needs no source.
        TryError::Start(start) => return not_started(start, candid),
        TryError::Engine(_) => ("NoRuntime", false, chain(err)),
        TryError::Module(_) => ("InvalidModule", false, chain(err)),
    };
    Reason {
        reason,
        message: format!("{what}: {message}"),
        about_config,
        said: None,
    }
}

/// The reason of plugins whose setup failed: they are tried again by themselves.
pub(crate) const SETUP_FAILED: &str = "SetupFailed";

/// Why an instance did not start. What the guest logged may quote its configuration: it is part of
/// the reason only if that is `candid`.
pub(crate) fn not_started(err: &StartError, candid: bool) -> Reason {
    let about_config = err.step == StartStep::Configure;
    let mut message = match (&err.fault, about_config) {
        _ if err.step == StartStep::SetUp => "its setup failed".to_owned(),
        (None, true) => "it refused its configuration".to_owned(),
        (None, false) => "it refused to start".to_owned(),
        (Some(fault), true) => format!("it could not be configured: {fault}"),
        (Some(fault), false) => format!("it could not start: {fault}"),
    };
    match said(err) {
        Some(said) if candid => message.push_str(&format!("; it said: {said}")),
        Some(_) => message.push_str("; the log has what it said"),
        None => {}
    }
    Reason {
        reason: match err.step {
            StartStep::Configure => "ConfigRefused",
            StartStep::SetUp => SETUP_FAILED,
            _ => "NotStarted",
        },
        message,
        about_config,
        said: said(err).map(str::to_owned),
    }
}

/// The last that the guest logged before its start failed.
pub(crate) fn said(err: &StartError) -> Option<&str> {
    let last = err.log.last()?.trim_end();
    (!last.is_empty()).then_some(last)
}

/// A text in one line, whatever is in it.
pub(crate) fn in_one_line(text: &str) -> String {
    let mut line = String::with_capacity(text.len());
    for character in text.chars() {
        if character.is_control() {
            line.extend(character.escape_default());
        } else {
            line.push(character);
        }
    }
    line
}

/// What a plugin that only looks on is called where it runs: what it logs, counts and uses is told apart
/// from what it does when it acts.
pub(crate) fn shadow_name(name: &str) -> String {
    format!("{name}@shadow")
}

/// A declaration in the words of the host.
pub(crate) fn spec(decl: &PluginDecl) -> PluginSpec {
    PluginSpec {
        name: match decl.shadow {
            None => decl.name.0.as_ref().to_owned(),
            Some(_) => shadow_name(&decl.name.0),
        },
        data_of: decl.data_of.clone(),
        namespace: decl.resource.namespace.as_ref().to_owned(),
        root_id: decl.root_id.clone(),
        vm_id: decl.vm_id.clone(),
        vm_config: decl.vm_config.clone(),
        unknown_imports: if decl.traps_unknown_imports {
            UnknownImports::TrapWhenCalled
        } else {
            UnknownImports::Refuse
        },
        config: decl.config.clone(),
        env: decl.env.clone(),
        failure_policy: policy(decl.failure_policy),
        stop_iteration: decl.stop_iteration,
        strict: decl.strict,
        isolation: match decl.isolation {
            draft::PluginIsolation::Worker => Isolation::Worker,
            draft::PluginIsolation::Stream => Isolation::Stream,
        },
        kind: match decl.kind {
            draft::PluginType::Http => PluginKind::Http,
            draft::PluginType::Network => PluginKind::Network,
            draft::PluginType::Service => PluginKind::Service,
        },
        limits: Limits {
            memory_bytes: decl.memory_bytes,
            instances: decl.instances,
            call_timeout: decl.call_timeout,
            start_timeout: decl.start_timeout,
            ..Limits::default()
        },
        shadow: decl.shadow.as_ref().map(|shadow| Shadow {
            of: decl.name.0.as_ref().to_owned(),
            percent: shadow.percent,
            cpu_percent: shadow.cpu_percent,
            concurrent: shadow.concurrent,
            memory_bytes: shadow.memory_bytes,
            backends: shadow.backends.iter().map(ToString::to_string).collect(),
        }),
        ..PluginSpec::default()
    }
}

/// A policy in the words of the host.
pub(crate) fn policy(policy: draft::FailurePolicy) -> FailurePolicy {
    match policy {
        draft::FailurePolicy::FailClosed => FailurePolicy::FailClosed,
        draft::FailurePolicy::FailOpen => FailurePolicy::FailOpen,
    }
}

/// An error with its causes, in one line.
pub(crate) fn chain(err: &dyn std::error::Error) -> String {
    let mut text = err.to_string();
    let mut cause = err.source();
    while let Some(err) = cause {
        text.push_str(": ");
        text.push_str(&err.to_string());
        cause = err.source();
    }
    text
}
