//! The rules of where a Plugin's code comes from, and with what it is fetched.

use std::time::Duration;

use super::Findings;
use super::policy::check_duration;
use crate::kinds::plugin::PluginSource;
use crate::kinds::plugin::PluginSpec;
use crate::kinds::plugin::PullPolicy;
use crate::kinds::plugin::PullSecret;
use crate::place::At;
use crate::place::Span;

/// How often a tag may be asked for, at most and at least.
const LEAST_INTERVAL: Duration = Duration::from_secs(10);
/// See [`LEAST_INTERVAL`].
const MOST_INTERVAL: Duration = Duration::from_secs(24 * 60 * 60);

pub(super) fn check(spec: &PluginSpec, findings: &mut Findings) {
    check_source(&spec.source, findings);
    check_digest(spec, findings);
    let interval = spec.pull_interval.as_ref();
    check_duration(
        "pullInterval",
        interval,
        LEAST_INTERVAL,
        MOST_INTERVAL,
        findings,
    );
    check_pulls(spec, findings);
    let never = |policy: &At<PullPolicy>| policy.value == PullPolicy::IfNotPresent;
    if let Some(interval) = interval
        && spec.pull_policy.as_ref().is_some_and(never)
    {
        findings.with_hint(
            interval.span,
            "`pullPolicy: IfNotPresent` never asks again",
            "leave out `pullInterval`, or make it `pullPolicy: Always`",
        );
    }
    if let Some(secret) = &spec.pull_secret {
        check_secret(secret, findings);
    }
}

/// Code comes from one place.
pub(super) fn check_source(source: &At<PluginSource>, findings: &mut Findings) {
    let given = [
        source.file.as_ref().map(|one| (one.span, "file")),
        source.builtin.as_ref().map(|one| (one.span, "builtin")),
        source.oci.as_ref().map(|one| (one.span, "oci")),
        source.http.as_ref().map(|one| (one.url.span, "http")),
    ];
    let given: Vec<(Span, &str)> = given.into_iter().flatten().collect();
    match given.as_slice() {
        [_] => {}
        [] => findings.with_hint(
            source.span,
            "the source names no code",
            "such as `source: { file: ./filter.wasm }`, `source: { builtin: jwt-auth }` or \
             `source: { oci: \"registry.example/filter:1\" }`",
        ),
        [(_, first), others @ ..] => {
            for (span, other) in others {
                findings.with_hint(
                    *span,
                    format!("either `{first}` or `{other}`, not both"),
                    "remove one of the two",
                );
            }
        }
    }
    if let Some(http) = &source.http {
        check_url(&http.url, findings);
    }
}

fn check_url(url: &At<String>, findings: &mut Findings) {
    let rest = ["https://", "http://"]
        .iter()
        .find_map(|scheme| url.strip_prefix(scheme));
    let Some(rest) = rest else {
        let message = "a URL that begins with `https://` or `http://`";
        return findings.error(url.span, message);
    };
    let host = rest.split(['/', '?', '#']).next().unwrap_or_default();
    if host.contains('@') {
        findings.error(url.span, "a URL of code has no user or password in it");
    } else if host.is_empty() {
        findings.error(url.span, "the URL names no host");
    }
}

/// The digest stands where it means something, and once.
fn check_digest(spec: &PluginSpec, findings: &mut Findings) {
    let Some(digest) = &spec.sha256 else {
        return;
    };
    if spec.source.http.is_some() {
        findings.with_hint(
            digest.span,
            "`source.http` has a `sha256` of its own",
            "leave out this one",
        );
    }
    if spec.source.builtin.is_some() {
        findings.with_hint(
            digest.span,
            "a filter that comes with Tidegate is as its version has it",
            "leave out `sha256`",
        );
    }
}

/// Only registries are asked for images.
fn check_pulls(spec: &PluginSpec, findings: &mut Findings) {
    let source = &spec.source;
    let has_other = source.file.is_some() || source.builtin.is_some() || source.http.is_some();
    if source.oci.is_some() || !has_other {
        return;
    }
    let given = [
        spec.pull_policy
            .as_ref()
            .map(|one| (one.span, "pullPolicy")),
        spec.pull_interval
            .as_ref()
            .map(|one| (one.span, "pullInterval")),
        spec.pull_secret
            .as_ref()
            .map(|one| (one.span, "pullSecret")),
    ];
    for (span, field) in given.into_iter().flatten() {
        let message = format!("`{field}` is for `source.oci`");
        findings.with_hint(span, message, "leave it out");
    }
}

/// Credentials come from one place.
fn check_secret(secret: &At<PullSecret>, findings: &mut Findings) {
    let PullSecret {
        name,
        namespace,
        username_file,
        password_file,
        token_file,
        docker_config_file,
    } = &secret.value;
    let forms = [
        name.is_some(),
        username_file.is_some() || password_file.is_some(),
        token_file.is_some(),
        docker_config_file.is_some(),
    ];
    if forms.iter().filter(|given| **given).count() != 1 {
        findings.error(
            secret.span,
            "exactly one of `name`, `usernameFile` with `passwordFile`, `tokenFile` and \
             `dockerConfigFile`",
        );
    }
    match (username_file, password_file) {
        (Some(user), None) => findings.error(user.span, "`usernameFile` needs `passwordFile`"),
        (None, Some(password)) => {
            findings.error(password.span, "`passwordFile` needs `usernameFile`");
        }
        _ => {}
    }
    if let Some(namespace) = namespace
        && name.is_none()
    {
        findings.error(
            namespace.span,
            "`namespace` is that of a Secret: add `name`",
        );
    }
}
