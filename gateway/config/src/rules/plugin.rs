//! The rules of Plugin, and of the Secrets it reads.

use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;
use serde_json::Value;

use super::Findings;
use super::plugin_rollout;
use super::plugin_source;
use super::policy::check_duration;
use super::policy::check_size;
use super::policy::check_targets;
use super::repeated;
use crate::kinds::GATEWAY_GROUP;
use crate::kinds::plugin::EnvVar;
use crate::kinds::plugin::Plugin;
use crate::kinds::plugin::PluginMode;
use crate::kinds::plugin::PluginType;
use crate::kinds::text::EnvName;
use crate::kinds::values::Secret;
use crate::place::At;
use crate::place::Span;
use crate::tree::Node;
use crate::value_from;

/// Most bytes of a configuration; more would not fit a guest's memory well.
pub(crate) const MAX_CONFIG_BYTES: usize = 1 << 20;

pub(super) fn check(plugin: &Plugin, findings: &mut Findings) {
    let spec = &plugin.spec;
    plugin_source::check(spec, findings);
    let kinds = ["Gateway", "HTTPRoute", "GRPCRoute", "TCPRoute", "TLSRoute"];
    let kinds = kinds.map(|kind| (GATEWAY_GROUP, kind));
    check_targets(&spec.target_refs, &kinds, findings);
    check_routes(plugin, findings);
    check_service(plugin, findings);
    let canary = spec.rollout.as_ref();
    let canary = canary.and_then(|rollout| rollout.canary.config.as_ref());
    let configs = spec.config.iter().chain(canary);
    for config in configs.clone() {
        check_values(plugin, config, findings);
    }
    let config = configs.map(|config| (config.span, json_bytes(Some(&config.to_json()))));
    let of_vm = spec.vm_config.as_ref();
    let of_vm = of_vm.map(|config| (config.span, json_bytes(Some(&config.value))));
    for (span, bytes) in config.chain(of_vm) {
        if bytes.len() > MAX_CONFIG_BYTES {
            let message = format!("the configuration is larger than {MAX_CONFIG_BYTES} bytes");
            findings.error(span, message);
        }
    }
    let names = spec.env.iter().map(|one| (one.name.as_str(), &one.name));
    repeated(names, |name| {
        findings.error(name.span, format!("the variable `{}` is set twice", **name));
    });
    for variable in &spec.env {
        check_variable(plugin, variable, findings);
    }
    if let Some(rollout) = &spec.rollout {
        plugin_rollout::check(plugin, rollout, findings);
    }
    check_mode(plugin, findings);
    if let Some(limits) = &spec.limits {
        check_size(
            "memory",
            limits.memory.as_ref(),
            64 << 10,
            4 << 30,
            findings,
        );
        let least = Duration::from_millis(1);
        let most = Duration::from_secs(10);
        check_duration(
            "callTimeout",
            limits.call_timeout.as_ref(),
            least,
            most,
            findings,
        );
        let most = Duration::from_secs(300);
        check_duration(
            "startTimeout",
            limits.start_timeout.as_ref(),
            least,
            most,
            findings,
        );
    }
    if let Some(probation) = &spec.probation {
        check_duration(
            "period",
            probation.period.as_ref(),
            Duration::ZERO,
            Duration::from_secs(86_400),
            findings,
        );
    }
}

/// Requests have routes of their own, and connections too.
fn check_routes(plugin: &Plugin, findings: &mut Findings) {
    let spec = &plugin.spec;
    let kind = spec
        .kind
        .as_ref()
        .map_or(PluginType::Http, |kind| kind.value);
    for target in &spec.target_refs {
        let (is_wrong, what, hint) = match (target.kind.as_str(), kind) {
            ("HTTPRoute" | "GRPCRoute", PluginType::Network) => {
                (true, "connections", "make it `type: Http`")
            }
            ("TCPRoute" | "TLSRoute", PluginType::Http) => {
                (true, "requests", "make it `type: Network`")
            }
            _ => (false, "", ""),
        };
        if is_wrong {
            let message = format!("a {} has no {what} for the Plugin", *target.kind);
            findings.with_hint(target.kind.span, message, hint);
        }
    }
}

/// A service has no requests, so what is about requests says nothing.
fn check_service(plugin: &Plugin, findings: &mut Findings) {
    let spec = &plugin.spec;
    let is_service = |kind: &At<PluginType>| kind.value == PluginType::Service;
    if !spec.kind.as_ref().is_some_and(is_service) {
        return;
    }
    let hint = "leave it out, or make it `type: Http`";
    let mut senseless = |span: Span, field: &str| {
        findings.with_hint(
            span,
            format!("a service has no requests for `{field}`"),
            hint,
        );
    };
    if let Some(target) = spec.target_refs.first() {
        senseless(target.name.span, "targetRefs");
    }
    if let Some(phase) = &spec.phase {
        senseless(phase.span, "phase");
    }
    if let Some(priority) = &spec.priority {
        senseless(priority.span, "priority");
    }
    if let Some(isolation) = &spec.isolation {
        senseless(isolation.span, "isolation");
    }
}

/// Only requests can be copied, and only one version looks on.
fn check_mode(plugin: &Plugin, findings: &mut Findings) {
    let spec = &plugin.spec;
    if let Some(allow) = &spec.allow {
        for name in &allow.shadow_backends {
            if !allow.backends.iter().any(|known| **known == **name) {
                let message = format!("`allow.backends` does not name `{}`", **name);
                let hint =
                    "only what it may call at all it may call while it looks on: add it there too";
                findings.with_hint(name.span, message, hint);
            }
        }
    }
    if let Some(shadow) = &spec.shadow {
        let memory = shadow.memory.as_ref();
        check_size("memory", memory, 64 << 10, 4 << 30, findings);
    }
    let is_shadow = |mode: &&At<PluginMode>| mode.value == PluginMode::Shadow;
    let Some(mode) = spec.mode.as_ref().filter(is_shadow) else {
        return;
    };
    if let Some(PluginType::Network | PluginType::Service) = spec.kind.as_ref().map(|it| it.value) {
        findings.with_hint(
            mode.span,
            "only a filter of requests can look on",
            "leave out `mode`, or make it `type: Http`",
        );
    }
    if spec.rollout.is_some() {
        findings.with_hint(
            mode.span,
            "a plugin that only looks on has no canary: nobody gets either version",
            "leave out `rollout`, or make it `mode: Enforce`; for both, use two Plugins",
        );
    }
}

fn check_variable(plugin: &Plugin, variable: &EnvVar, findings: &mut Findings) {
    let source = match (&variable.value, &variable.value_from) {
        (Some(_), Some(from)) => {
            return findings.error(from.span, "either `value` or `valueFrom`, not both");
        }
        (None, None) => {
            let message = format!("the variable `{}` has no value", *variable.name);
            return findings.with_hint(variable.name.span, message, "add `value` or `valueFrom`");
        }
        (Some(_), None) => return,
        (None, Some(source)) => source,
    };
    let given = [
        source.env.is_some(),
        source.secret_key_ref.is_some(),
        source.config_map_key_ref.is_some(),
    ];
    if given.iter().filter(|given| **given).count() != 1 {
        findings.error(
            source.span,
            "exactly one of `env`, `secretKeyRef` and `configMapKeyRef`",
        );
    }
    if let Some(env) = &source.env {
        check_allowed(plugin, env, findings);
    }
}

/// Variables of the gateway are handed on only by name.
fn check_allowed(plugin: &Plugin, env: &At<EnvName>, findings: &mut Findings) {
    let mut allowed = plugin.spec.allow.iter().flat_map(|allow| &allow.env);
    if !allowed.any(|name| **name == env.value) {
        let message = format!("`allow.env` does not name `{}`", **env);
        let hint = format!("add `allow: {{ env: [{}] }}`", **env);
        findings.with_hint(env.span, message, hint);
    }
}

/// The places in a configuration whose values stand elsewhere.
fn check_values(plugin: &Plugin, config: &Node, findings: &mut Findings) {
    let found = value_from::check(config);
    let is_good = found.is_empty();
    found.into_iter().for_each(|finding| findings.push(finding));
    if is_good {
        let sources = value_from::sources(config).into_iter();
        for env in sources.filter_map(|source| source.env) {
            check_allowed(plugin, &env, findings);
        }
    }
}

/// The types of Secrets that have keys of their own (Kubernetes), and these keys.
const TYPES: [(&str, &[&str]); 3] = [
    ("kubernetes.io/tls", &["tls.crt", "tls.key"]),
    ("kubernetes.io/basic-auth", &["username", "password"]),
    (DOCKER_CONFIG_TYPE, &[DOCKER_CONFIG_KEY]),
];
/// The type of Secrets that hold credentials of registries, and the key that does.
pub(crate) const DOCKER_CONFIG_TYPE: &str = "kubernetes.io/dockerconfigjson";
/// See [`DOCKER_CONFIG_TYPE`].
pub(crate) const DOCKER_CONFIG_KEY: &str = ".dockerconfigjson";

pub(super) fn check_secret(secret: &Secret, findings: &mut Findings) {
    for (key, value) in &secret.data {
        if decode(value).is_none() {
            findings.with_hint(
                value.span,
                format!("the value of `{key}` is not base64"),
                "write plain text under `stringData`",
            );
        }
    }
    let Some(kind) = &secret.kind else {
        return;
    };
    let known = TYPES.iter().find(|(name, _)| kind.as_str() == *name);
    let Some((name, keys)) = known else {
        return;
    };
    for key in *keys {
        if !secret.data.contains_key(*key) && !secret.string_data.contains_key(*key) {
            let message = format!("a Secret of the type {name} needs `{key}`");
            findings.error(kind.span, message);
        }
    }
}

/// A value of a Secret; `None` if there is none of that name.
pub(crate) fn secret_bytes(secret: &Secret, key: &str) -> Option<Vec<u8>> {
    match secret.string_data.get(key) {
        Some(plain) => Some(plain.as_bytes().to_vec()),
        None => decode(secret.data.get(key)?),
    }
}

/// What base64 says; lines may be broken anywhere.
fn decode(value: &str) -> Option<Vec<u8>> {
    let joined: String = value.split_ascii_whitespace().collect();
    STANDARD.decode(joined).ok()
}

/// What a filter is told: a string as it is, anything else as JSON.
pub(crate) fn json_bytes(config: Option<&Value>) -> Bytes {
    match config {
        None | Some(Value::Null) => Bytes::new(),
        Some(Value::String(text)) => Bytes::copy_from_slice(text.as_bytes()),
        Some(value) => Bytes::from(value.to_string()),
    }
}
