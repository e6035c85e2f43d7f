//! What serves, as JSON.
//!
//! Owns the shapes, and what must not be seen: texts of resources, configuration and environment of
//! plugins, and values of header edits may hold secrets and never leave.

use std::time::SystemTime;

use serde_json::Value;
use serde_json::json;
use tidegate_core::backend::Backend;
use tidegate_core::filter::Filter;
use tidegate_core::route::Rule;
use tidegate_core::route::WeightedBackend;
use tidegate_core::snapshot::Bind;
use tidegate_core::snapshot::Listener;
use tidegate_core::snapshot::PluginId;
use tidegate_core::snapshot::Protocol;
use tidegate_core::snapshot::Snapshot;
use tidegate_core::tcp::TcpRule;
use tidegate_core::tls::TlsName;
use tidegate_proxy::LookedUp;

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
        "connections": connections(bind, snapshot),
    })
}

fn listener(listener: &Listener, snapshot: &Snapshot) -> Value {
    json!({
        "name": listener.name.as_ref(),
        "plugins": plugin_names(&listener.plugins, snapshot),
        "rules": listener.routes.rules().iter().map(|one| rule(one, snapshot)).collect::<Vec<_>>(),
    })
}

/// A rule, without the values of its filters.
fn rule(rule: &Rule, snapshot: &Snapshot) -> Value {
    let filters = rule.filters.iter().map(|filter| match filter {
        Filter::Plugin(id) => format!("plugin {}", plugin_names(&[*id], snapshot).join("")),
        Filter::RequestHeaders(_) => "request fields".to_owned(),
        Filter::ResponseHeaders(_) => "response fields".to_owned(),
        Filter::Redirect(redirect) => format!("redirect {}", redirect.status.as_u16()),
        Filter::Rewrite(_) => "rewrite".to_owned(),
        Filter::Mirror(_) => "mirror".to_owned(),
        Filter::Cors(_) => "CORS".to_owned(),
    });
    json!({
        "name": rule.name.as_ref(),
        "filters": filters.collect::<Vec<_>>(),
        "backends": shares(&rule.backends, snapshot),
        "timeouts": format!("{:?}", rule.timeouts),
    })
}

fn shares(shares: &[WeightedBackend], snapshot: &Snapshot) -> Vec<Value> {
    shares
        .iter()
        .map(|share| {
            let backend = share.backend.and_then(|id| snapshot.backends.get(id));
            let name = backend.map(|backend| backend.name.as_str());
            json!({ "name": name, "weight": share.weight })
        })
        .collect()
}

/// Where connections go that are passed on as bytes, each route once.
fn connections(bind: &Bind, snapshot: &Snapshot) -> Vec<Value> {
    let mut rules: Vec<&TcpRule> = match &bind.protocol {
        Protocol::Http => Vec::new(),
        Protocol::Tcp(rule) => vec![rule],
        Protocol::Tls(names) => names
            .values()
            .filter_map(|name| match &**name {
                TlsName::Tcp { rule, .. } | TlsName::Passthrough(rule) => Some(&**rule),
                TlsName::Http { .. } => None,
            })
            .collect(),
    };
    rules.sort_by(|a, b| (&a.listener, &a.name).cmp(&(&b.listener, &b.name)));
    rules.dedup_by(|a, b| std::ptr::eq(*a, *b));
    let show = |rule: &&TcpRule| {
        json!({
            "name": rule.name.as_ref(),
            "listener": rule.listener.as_ref(),
            "plugins": plugin_names(&rule.plugins, snapshot),
            "backends": shares(&rule.backends, snapshot),
        })
    };
    rules.iter().map(show).collect()
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

/// A page of JSON.
pub(super) fn page(value: &Value) -> Vec<u8> {
    // Printing a value that is made of strings and numbers does not fail.
    let mut page = serde_json::to_vec_pretty(value).unwrap_or_default();
    page.push(b'\n');
    page
}
