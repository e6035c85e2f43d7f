//! What was found wrong and what is true of each resource, as JSON.
//!
//! Owns the shapes. Texts of resources may hold secrets and never leave.

use std::collections::HashMap;
use std::time::SystemTime;

use serde_json::Value;
use serde_json::json;
use tidegate_config::draft::Condition;
use tidegate_config::draft::ResourceStatus;
use tidegate_config::kinds::generated;
use tidegate_config::place::Place;
use tidegate_config::problem::Problem;
use tidegate_config::problem::Severity;
use tidegate_config::resource::ResourceId;
use tidegate_proxy::LookedUp;
use tidegate_proxy::Metrics;

use crate::admin::dump::page;
use crate::admin::pulls;
use crate::admin::versions;
use crate::pulls::PullBoard;
use crate::status::Status;

/// GET /resources.
///
/// `now` says which plugins wait to serve and where names lead, `pulls` which code is here.
pub(crate) fn page_of(status: &Status, now: &Metrics, pulls: Option<&PullBoard>) -> Vec<u8> {
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
        .map(|one| {
            let mut page = resource(one, by_resource.remove(&one.resource), now);
            let conditions = page.get_mut("conditions");
            if let Some(conditions) = conditions.and_then(|list| list.as_array_mut()) {
                let more = of_plugin(status, one, pulls);
                conditions.extend(more.iter().map(condition));
            }
            page
        })
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
    if is_held(status, &full_name, now) {
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

/// Whether the code that a Plugin wants is here, and whether it serves what it asks for.
fn of_plugin(
    status: &Status,
    resource: &ResourceStatus,
    board: Option<&PullBoard>,
) -> Vec<Condition> {
    if resource.resource.kind != "Plugin" {
        return Vec::new();
    }
    let id = &resource.resource;
    let name = format!("{}/{}", id.namespace, id.name);
    let plugin = status.plugins.iter().find(|one| one.name == name);
    let pulled = plugin.and_then(|plugin| pulls::condition(plugin, board));
    let held = versions::condition(status, &name);
    pulled.into_iter().chain(held).collect()
}

/// Whether streams hold so many old versions of a plugin that its newest waits: the resource's own, or
/// one that it is part of at a Gateway.
fn is_held(status: &ResourceStatus, full_name: &String, now: &Metrics) -> bool {
    let kind = status.resource.kind;
    if kind == "Plugin" {
        return now.waiting_plugins.contains(full_name);
    }
    let gateways = status
        .conditions
        .iter()
        .filter_map(|one| one.about.as_ref());
    let mut plugins = gateways.filter_map(|gateway| generated(kind, gateway));
    plugins.any(|plugin| now.waiting_plugins.contains(&plugin))
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

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use tidegate_config::draft::ResourceStatus;
    use tidegate_config::resource::ResourceId;

    use tidegate_proxy::Metrics;

    use super::page_of;
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
        let page = page_of(&status, &now, None);
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
