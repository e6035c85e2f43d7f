//! What serves and what was found wrong, as JSON.
//!
//! Owns the shapes, and what must not be seen: texts of resources, configuration and environment of
//! plugins, and values of header edits may hold secrets and never leave.

use std::collections::HashMap;
use std::time::SystemTime;

use serde_json::Value;
use serde_json::json;
use tidegate_config::draft::Condition;
use tidegate_config::draft::ResourceStatus;
use tidegate_config::place::Place;
use tidegate_config::problem::Problem;
use tidegate_config::problem::Severity;
use tidegate_config::resource::ResourceId;
use tidegate_core::backend::Backend;
use tidegate_core::snapshot::Bind;
use tidegate_core::snapshot::Listener;
use tidegate_core::snapshot::PluginId;
use tidegate_core::snapshot::Protocol;
use tidegate_core::snapshot::Snapshot;
use tidegate_proxy::LookedUp;
use tidegate_proxy::Metrics;

use crate::status::BundleStatus;
use crate::status::CertificateStatus;
use crate::status::Status;

/// GET /config_dump.
pub(crate) fn config(status: &Status, names: &[LookedUp]) -> Vec<u8> {
    let plugins: Vec<Value> = status
        .plugins
        .iter()
        .map(|plugin| {
            let policy = if plugin.fails_open {
                "FailOpen"
            } else {
                "FailClosed"
            };
            json!({
                "name": plugin.name,
                "digest": plugin.digest,
                "failurePolicy": policy,
                "type": plugin.kind,
                "isolation": plugin.isolation,
                "config": "redacted",
            })
        })
        .collect();
    let resources: Vec<Value> = status
        .accepted
        .iter()
        .map(|one| json!({ "resource": one.resource, "file": one.file.to_string_lossy(), "line": one.line }))
        .collect();
    let snapshot = status.snapshot.as_deref();
    let binds = snapshot.map_or_else(Vec::new, |snapshot| {
        let bind = |bind| self::bind(bind, snapshot, status);
        snapshot.binds.iter().map(|one| bind(one)).collect()
    });
    let backends: Vec<Value> = snapshot
        .iter()
        .flat_map(|snapshot| snapshot.backends.iter())
        .map(|one| backend(one, names))
        .collect();
    page(&json!({
        "generation": status.generation,
        "draining": status.draining,
        "binds": binds,
        "backends": backends,
        "plugins": plugins,
        "certificates": status.certificates.iter().map(certificate).collect::<Vec<_>>(),
        "bundles": status.bundles.iter().map(bundle).collect::<Vec<_>>(),
        "resources": resources,
    }))
}

/// A time to the second.
fn date(time: SystemTime) -> String {
    let since = time.duration_since(SystemTime::UNIX_EPOCH);
    let millis = since.map_or(0, |since| since.as_secs().saturating_mul(1000));
    tidegate_core::time::rfc3339(millis)
}

fn bundle(one: &BundleStatus) -> Value {
    json!({
        "name": one.name,
        "authorities": one.authorities,
        "revocationLists": one.lists,
        "nextUpdate": one.next_update.map(date),
    })
}

/// All of a certificate but its key.
fn certificate(one: &CertificateStatus) -> Value {
    json!({
        "name": one.name,
        "subject": one.subject,
        "dnsNames": one.dns_names,
        "notAfter": date(one.not_after),
        "sha256": one.sha256,
        "key": "redacted",
    })
}

fn bind(bind: &Bind, snapshot: &Snapshot, status: &Status) -> Value {
    let bound = status.addresses.iter().find(|(name, _)| *name == bind.name);
    let listeners = bind.listeners.values();
    json!({
        "name": bind.name.as_ref(),
        "address": bound.map_or(bind.address, |(_, address)| *address).to_string(),
        "listening": bound.is_some(),
        "trustedHops": bind.trusted_hops,
        "accessLog": format!("{:?}", bind.access_log),
        "protocol": match bind.protocol {
            Protocol::Http => "HTTP",
            Protocol::Tls(_) => "TLS",
            Protocol::Tcp(_) => "TCP",
        },
        "timeouts": format!("{:?}", bind.timeouts),
        "sizes": format!("{:?}", bind.sizes),
        "listeners": listeners.map(|one| listener(one, snapshot)).collect::<Vec<_>>(),
    })
}

fn listener(listener: &Listener, snapshot: &Snapshot) -> Value {
    json!({
        "name": listener.name.as_ref(),
        "plugins": plugin_names(&listener.plugins, snapshot),
    })
}

fn plugin_names(ids: &[PluginId], snapshot: &Snapshot) -> Vec<String> {
    ids.iter()
        .filter_map(|id| {
            let at = usize::try_from(id.0).ok()?;
            Some(snapshot.plugins.get(at)?.0.as_ref().to_owned())
        })
        .collect()
}

fn backend(backend: &Backend, names: &[LookedUp]) -> Value {
    let looked_up = names.iter().find(|one| one.backend == backend.name);
    let endpoints = looked_up.map_or(&backend.endpoints, |one| &one.endpoints);
    let endpoints: Vec<Value> = endpoints
        .iter()
        .map(|one| json!({ "address": one.address.to_string(), "weight": one.weight }))
        .collect();
    let tls = backend.tls.as_ref().map(|tls| {
        json!({
            "hostname": tls.hostname.as_ref(),
            "trust": format!("{:?}", tls.trust),
            "subjectAltNames": format!("{:?}", tls.subject_alt_names),
            "clientCertificate": tls.client_certificate.is_some(),
        })
    });
    json!({
        "name": backend.name.as_str(),
        "loadBalancer": format!("{:?}", backend.load_balancer),
        "tls": tls,
        "endpoints": endpoints,
        "dns": looked_up.map(|one| json!({
            "names": one.names,
            "answerAgeSeconds": one.age_seconds,
            "problem": one.problem,
        })),
    })
}

/// GET /resources.
///
/// `now` says which plugins wait to serve and where names lead.
pub(crate) fn resources(status: &Status, now: &Metrics) -> Vec<u8> {
    let reload = status.reload.as_ref().map(|reload| {
        let since = reload.at.duration_since(SystemTime::UNIX_EPOCH);
        json!({
            "result": reload.outcome.label(),
            "at": since.map_or(0, |since| since.as_secs()),
            "failure": reload.failure,
        })
    });
    let mut by_resource: HashMap<&ResourceId, Vec<Value>> = HashMap::new();
    for one in status.problems.iter() {
        if let Some(resource) = &one.resource {
            by_resource.entry(resource).or_default().push(problem(one));
        }
    }
    let resources: Vec<Value> = status
        .resources
        .iter()
        .map(|one| resource(one, by_resource.remove(&one.resource), now))
        .collect();
    let homeless = status.problems.iter().filter(|one| one.resource.is_none());
    page(&json!({
        "generation": status.generation,
        "lastReload": reload,
        "resources": resources,
        "problems": homeless.map(problem).collect::<Vec<_>>(),
    }))
}

fn resource(status: &ResourceStatus, problems: Option<Vec<Value>>, now: &Metrics) -> Value {
    let mut conditions: Vec<Value> = status.conditions.iter().map(condition).collect();
    let id = &status.resource;
    let full_name = format!("{}/{}", id.namespace, id.name);
    if id.kind == "Backend" {
        let mut names = now.names.iter();
        let looked_up = names.find(|one| one.backend.as_str() == full_name);
        conditions.extend(looked_up.map(|one| condition(&resolved(one))));
    }
    if id.kind == "Plugin" && now.waiting_plugins.contains(&full_name) {
        conditions.push(condition(&Condition {
            kind: "Programmed",
            status: false,
            reason: "OldInstancesHeld",
            message: "streams hold 16 old versions of it: the newest serves when one of them ends"
                .to_owned(),
            about: None,
        }));
    }
    json!({
        "kind": status.resource.kind,
        "namespace": status.resource.namespace.as_ref(),
        "name": status.resource.name.as_ref(),
        "place": status.place.as_ref().map(place),
        "lastGood": status.last_good,
        "conditions": conditions,
        "problems": problems.unwrap_or_default(),
    })
}

/// Whether the names of a Backend lead anywhere.
fn resolved(names: &LookedUp) -> Condition {
    let count = names.endpoints.len();
    let reason = match (count, &names.problem) {
        (0, _) if !names.answered => "NoAnswerYet",
        (0, _) => "NoAddresses",
        (_, Some(_)) => "LastGoodAnswer",
        (_, None) => "Resolved",
    };
    let problem = names.problem.as_ref();
    Condition {
        kind: "Resolved",
        status: count > 0,
        reason,
        message: match problem {
            Some(problem) => format!("{count} endpoints; {problem}"),
            None => format!("{count} endpoints"),
        },
        about: None,
    }
}

fn condition(condition: &Condition) -> Value {
    json!({
        "type": condition.kind,
        "status": if condition.status { "True" } else { "False" },
        "reason": condition.reason,
        "message": condition.message,
        "about": condition.about,
    })
}

fn problem(problem: &Problem) -> Value {
    json!({
        "severity": severity(problem.severity),
        "place": problem.place.as_ref().map(place),
        "message": problem.message,
        "hint": problem.hint,
        "reason": problem.reason,
    })
}

fn place(place: &Place) -> String {
    let Place {
        file, line, column, ..
    } = place;
    format!("{}:{line}:{column}", file.display())
}

/// The word for a severity.
pub(crate) fn severity(severity: Severity) -> &'static str {
    match severity {
        Severity::Error => "error",
        Severity::Warning => "warning",
    }
}

pub(super) fn page(value: &Value) -> Vec<u8> {
    // Printing a value that is made of strings and numbers does not fail.
    let mut page = serde_json::to_vec_pretty(value).unwrap_or_default();
    page.push(b'\n');
    page
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use tidegate_config::draft::ResourceStatus;
    use tidegate_config::resource::ResourceId;

    use tidegate_proxy::Metrics;

    use super::resources;
    use crate::status::Status;

    #[test]
    fn a_plugin_whose_newest_version_waits_has_a_condition_that_says_so() {
        let resource = |name: &str| ResourceStatus {
            resource: ResourceId {
                kind: "Plugin",
                namespace: Arc::from("default"),
                name: Arc::from(name),
            },
            place: None,
            last_good: false,
            conditions: Vec::new(),
        };
        let status = Status {
            resources: [resource("one"), resource("two")].into(),
            ..Status::default()
        };
        let now = Metrics {
            waiting_plugins: vec!["default/two".to_owned()],
            ..Metrics::default()
        };
        let page = resources(&status, &now);
        let page: serde_json::Value = serde_json::from_slice(&page).expect("JSON");
        assert_eq!(page["resources"][0]["conditions"], serde_json::json!([]));
        let condition = &page["resources"][1]["conditions"][0];
        assert_eq!(
            (
                &condition["type"],
                &condition["status"],
                &condition["reason"]
            ),
            (
                &"Programmed".into(),
                &"False".into(),
                &"OldInstancesHeld".into()
            )
        );
    }
}
