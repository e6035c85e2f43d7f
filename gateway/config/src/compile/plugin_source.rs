//! Where the code of one Plugin comes from, and with what credentials.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;

use super::Environment;
use super::plugin_decl::beside;
use super::plugin_values::Blamed;
use super::references::blamed;
use super::references::is_permitted;
use super::references::not_found;
use super::references::not_permitted;
use super::report::Refusal;
use super::world::Candidate;
use super::world::State;
use super::world::World;
use crate::draft::PluginSource;
use crate::draft::PullCredentials;
use crate::draft::RemoteCode;
use crate::draft::RemoteSource;
use crate::duration;
use crate::kinds::Body;
use crate::kinds::OWN_GROUP;
use crate::kinds::plugin::PluginSpec;
use crate::kinds::plugin::PullSecret;
use crate::kinds::text::ObjectName;
use crate::kinds::text::Sha256Text;
use crate::place::At;
use crate::place::Span;
use crate::rules::DOCKER_CONFIG_KEY;
use crate::rules::DOCKER_CONFIG_TYPE;
use crate::rules::secret_bytes;
use crate::suggest::did_you_mean;

/// How often a tag is asked for again: docs/defaults.md.
const PULL_INTERVAL: Duration = Duration::from_secs(10 * 60);
/// The keys of Secrets of the type `kubernetes.io/basic-auth`.
const USERNAME_KEY: &str = "username";
/// See [`USERNAME_KEY`].
const PASSWORD_KEY: &str = "password";

/// Where its code is. `Ok(None)`: that depends on something that is refused itself.
pub(super) fn source<'a>(
    world: &World<'a>,
    candidate: &Candidate,
    spec: &PluginSpec,
    env: Environment<'_>,
) -> Result<Option<PluginSource>, Blamed<'a>> {
    let source = &spec.source;
    if let Some(file) = &source.file {
        let path = beside(&candidate.version.origin.file, file);
        return Ok(Some(PluginSource::File(path)));
    }
    if let Some(name) = &source.builtin {
        return builtin(name, env).map(Some).map_err(|why| (None, why));
    }
    let code = match (&source.oci, &source.http) {
        (Some(reference), _) => RemoteCode::Oci(reference.value.clone()),
        (None, Some(http)) => RemoteCode::Http {
            url: http.url.value.clone(),
            sha256: digest(&http.sha256).unwrap_or_default(),
        },
        (None, None) => return Ok(None),
    };
    let credentials = match &spec.pull_secret {
        None => Some(PullCredentials::Ambient),
        Some(secret) => credentials(world, candidate, secret)?,
    };
    Ok(credentials.map(|credentials| {
        PluginSource::Remote(Arc::new(RemoteSource {
            code,
            policy: spec.pull_policy.as_ref().map(|policy| policy.value).or({
                // Who says how often wants it.
                let says = spec.pull_interval.as_ref();
                says.map(|_| crate::kinds::plugin::PullPolicy::Always)
            }),
            interval: spec
                .pull_interval
                .as_ref()
                .and_then(|given| duration::parse(given).ok())
                .unwrap_or(PULL_INTERVAL),
            credentials,
        }))
    }))
}

/// Where a source is written.
pub(super) fn span(spec: &PluginSpec) -> Span {
    let source = &spec.source;
    let given = [
        source.file.as_ref().map(|one| one.span),
        source.builtin.as_ref().map(|one| one.span),
        source.oci.as_ref().map(|one| one.span),
        source.http.as_ref().map(|one| one.url.span),
    ];
    given.into_iter().flatten().next().unwrap_or(source.span)
}

/// What the code of a plugin must be.
pub(super) fn expected(spec: &PluginSpec) -> Option<[u8; 32]> {
    let http = spec.source.http.as_ref().map(|http| &http.sha256);
    digest(spec.sha256.as_ref().or(http)?)
}

fn digest(text: &Sha256Text) -> Option<[u8; 32]> {
    let hex = text.strip_prefix("sha256:").unwrap_or(text);
    let mut bytes = [0; 32];
    for (at, byte) in bytes.iter_mut().enumerate() {
        *byte = u8::from_str_radix(hex.get(2 * at..2 * at + 2)?, 16).ok()?;
    }
    Some(bytes)
}

fn builtin(name: &At<String>, env: Environment<'_>) -> Result<PluginSource, Refusal> {
    let known = env.builtins.iter().find(|known| **known == name.as_str());
    let listed = || {
        let names = env.builtins;
        (!names.is_empty()).then(|| format!("there are {}", names.join(", ")))
    };
    known
        .map(|known| PluginSource::Builtin(known))
        .ok_or_else(|| Refusal {
            span: name.span,
            reason: "SourceNotFound",
            message: format!("no filter `{}` comes with Tidegate", **name),
            hint: did_you_mean(name, env.builtins.iter().copied()).or_else(listed),
        })
}

/// What a registry is asked with. `Ok(None)`: the Secret is refused itself.
fn credentials<'a>(
    world: &World<'a>,
    candidate: &Candidate,
    given: &PullSecret,
) -> Result<Option<PullCredentials>, Blamed<'a>> {
    if let Some(name) = &given.name {
        return of_secret(world, candidate, given, name);
    }
    let path = |file: &At<String>| -> PathBuf { beside(&candidate.version.origin.file, file) };
    let files = (&given.username_file, &given.password_file);
    Ok(Some(match (&given.token_file, files) {
        (Some(token), _) => PullCredentials::TokenFile(path(token)),
        (None, (Some(username), Some(password))) => PullCredentials::BasicFiles {
            username: path(username),
            password: path(password),
        },
        _ => match &given.docker_config_file {
            Some(file) => PullCredentials::DockerConfigFile(path(file)),
            // Refused by its rules before.
            None => return Ok(None),
        },
    }))
}

fn of_secret<'a>(
    world: &World<'a>,
    candidate: &Candidate,
    given: &PullSecret,
    name: &At<ObjectName>,
) -> Result<Option<PullCredentials>, Blamed<'a>> {
    let own = candidate.namespace();
    let namespace = given.namespace.as_ref().map_or(own, |one| one.as_str());
    let to = ("", "Secret", namespace, name.as_str());
    if !is_permitted(world, (OWN_GROUP, candidate), to) {
        let span = given.namespace.as_ref().map_or(name.span, |one| one.span);
        let refusal = not_permitted(span, candidate, "Secret", namespace, name);
        return Err((None, refusal));
    }
    let found = world
        .find(candidate, "Secret", namespace, name)
        .ok_or_else(|| {
            let mut refusal = not_found(world, "RefNotFound", "Secret", namespace, name);
            refusal.hint.get_or_insert_with(|| {
                format!(
                    "the configuration has to have a Secret of that name, of the type \
                     `{DOCKER_CONFIG_TYPE}` or `kubernetes.io/basic-auth`; `pullSecret` takes files too"
                )
            });
            (None, refusal)
        })?;
    if found.state == State::Salvaged {
        return Ok(None);
    }
    let had = |before: &Candidate| held(before, name.span).is_ok();
    held(found, name.span)
        .map(Some)
        .map_err(|refusal| blamed(candidate, found, refusal, had))
}

/// The credentials that a Secret holds, by its keys: a type says no more than which there are.
fn held(found: &Candidate, span: Span) -> Result<PullCredentials, Refusal> {
    let refuse = |message: String, hint: &str| Refusal {
        span,
        reason: "InvalidPullSecret",
        message,
        hint: Some(hint.to_owned()),
    };
    let name = found.full_name();
    let Body::Secret(secret) = found.body() else {
        return Ok(PullCredentials::Ambient);
    };
    if let Some(config) = secret_bytes(secret, DOCKER_CONFIG_KEY) {
        let is_config = serde_json::from_slice::<serde_json::Value>(&config).is_ok_and(|config| {
            config
                .get("auths")
                .is_some_and(serde_json::Value::is_object)
        });
        if !is_config {
            let message = format!("`{DOCKER_CONFIG_KEY}` of Secret `{name}` is no docker config");
            return Err(refuse(
                message,
                "it is JSON with `auths`, as `docker login` writes it",
            ));
        }
        return Ok(PullCredentials::DockerConfig(Bytes::from(config)));
    }
    let text = |key: &str| match secret_bytes(secret, key).map(String::from_utf8) {
        None => Ok(None),
        Some(Ok(text)) => Ok(Some(text)),
        Some(Err(_)) => Err(refuse(
            format!("the value of `{key}` of Secret `{name}` is not text"),
            "it must be UTF-8",
        )),
    };
    match (text(USERNAME_KEY)?, text(PASSWORD_KEY)?) {
        (Some(username), Some(password)) => Ok(PullCredentials::Basic { username, password }),
        _ => {
            let kind = secret.kind.as_ref();
            let kind = kind.map_or("Opaque", |kind| kind.as_str());
            let message = format!("Secret `{name}` of the type `{kind}` has no credentials");
            let hint =
                format!("one of the type `{DOCKER_CONFIG_TYPE}` or `kubernetes.io/basic-auth` has");
            Err(refuse(message, &hint))
        }
    }
}
