//! Between the words of the configuration and those of the host: what a plugin is, and why it is not.

use std::path::Path;

use tidegate_config::draft;
use tidegate_config::draft::PluginDecl;
use tidegate_config::place::Place;
use tidegate_config::problem::Problem;
use tidegate_config::problem::Severity;
use tidegate_host_abi::FailurePolicy;
use tidegate_host_abi::Limits;
use tidegate_host_abi::PluginSpec;
use tidegate_host_abi::StartStep;

use crate::plugins::compile::TryError;

/// Why a version is refused.
#[derive(Debug, Clone)]
pub(crate) struct Reason {
    pub(crate) reason: &'static str,
    pub(crate) message: String,
    /// Whether what it was told is to blame, not its code.
    pub(crate) about_config: bool,
}

/// A refusal as it is reported.
pub(crate) fn problem(
    decl: &PluginDecl,
    place: &Place,
    reason: &Reason,
    last_good: bool,
) -> Problem {
    Problem {
        severity: Severity::Error,
        place: Some(place.clone()),
        resource: Some(decl.resource.clone()),
        message: reason.message.clone(),
        hint: last_good.then(|| "the version before it serves on".to_owned()),
        reason: reason.reason,
    }
}

/// Why a version that was tried is refused.
pub(crate) fn refusal(path: &Path, err: &TryError) -> Reason {
    let (reason, about_config) = match err {
        TryError::Engine(_) => ("NoRuntime", false),
        TryError::Module(_) => ("InvalidModule", false),
        TryError::Start(start) if start.step == StartStep::Configure => ("ConfigRefused", true),
        TryError::Start(_) => ("NotStarted", false),
    };
    let message = match err {
        // What the guest says about its configuration needs no path.
        TryError::Start(_) => chain(err),
        TryError::Engine(_) | TryError::Module(_) => {
            format!("plugin file {}: {}", path.display(), chain(err))
        }
    };
    Reason {
        reason,
        message,
        about_config,
    }
}

/// A declaration in the words of the host.
pub(crate) fn spec(decl: &PluginDecl) -> PluginSpec {
    PluginSpec {
        name: decl.name.0.as_ref().to_owned(),
        namespace: decl.resource.namespace.as_ref().to_owned(),
        root_id: decl.root_id.clone(),
        vm_id: decl.vm_id.clone(),
        vm_config: decl.vm_config.clone(),
        config: decl.config.clone(),
        env: decl.env.clone(),
        failure_policy: policy(decl.failure_policy),
        limits: Limits {
            memory_bytes: decl.memory_bytes,
            call_timeout: decl.call_timeout,
            start_timeout: decl.start_timeout,
            ..Limits::default()
        },
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
