//! Whether the Gateway API's kinds have the API's own fields: names, types, values, what is required.
//!
//! `tests/cases/gateway_api.txt` lists those of the `gateway-api` crate. The crate itself is no
//! dependency: it would bring Kubernetes' types into each build of the tests.

#![expect(
    clippy::indexing_slicing,
    reason = "a schema of our own that is not as expected fails the test"
)]

use std::collections::BTreeMap;
use std::collections::BTreeSet;
use std::fs;
use std::path::Path;

use serde_json::Value;
use tidegate_config::export::json_schema;
use tidegate_config::kinds;

/// Where we differ, each as we have it and why.
const OURS: &[(&str, &str)] = &[
    // The API's documentation names the values, its schema does not.
    (
        "BackendTLSPolicy spec.validation!.wellKnownCACertificates",
        "System",
    ),
    (
        "Gateway spec.listeners![].allowedRoutes.namespaces.selector.matchExpressions[].operator!",
        "DoesNotExist|Exists|In|NotIn",
    ),
    (
        "HTTPRoute spec.rules[].backendRefs[].filters[].requestRedirect.statusCode",
        "301|302|303|307|308",
    ),
    (
        "HTTPRoute spec.rules[].filters[].requestRedirect.statusCode",
        "301|302|303|307|308",
    ),
    // A listener that no route may attach to: ListenerSets may say it, and we take it here too.
    (
        "Gateway spec.listeners![].allowedRoutes.namespaces.from",
        "All|None|Same|Selector",
    ),
    // Experimental ones are known in order to be refused by name.
    (
        "HTTPRoute spec.rules[].backendRefs[].filters[].type!",
        "CORS|ExtensionRef|ExternalAuth|RequestHeaderModifier|RequestMirror|RequestRedirect|ResponseHeaderModifier|URLRewrite",
    ),
    (
        "HTTPRoute spec.rules[].filters[].type!",
        "CORS|ExtensionRef|ExternalAuth|RequestHeaderModifier|RequestMirror|RequestRedirect|ResponseHeaderModifier|URLRewrite",
    ),
];

/// What a field that is refused as not supported yet is written as.
const NOT_YET: &str = "not yet";

type Fields = BTreeMap<String, String>;

/// The API's fields.
fn upstream() -> Fields {
    let file = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/cases/gateway_api.txt");
    let text = fs::read_to_string(file).expect("the list");
    let lines = text.lines().filter(|line| !line.starts_with('#'));
    lines
        .map(|line| {
            let (path, of) = line.rsplit_once(": ").expect("a path and a type");
            (path.to_owned(), of.to_owned())
        })
        .collect()
}

/// The fields of the same kinds, as our schemas have them.
fn ours(names: &BTreeSet<&str>) -> Fields {
    let schema = json_schema(&kinds::schemas());
    let mut fields = Fields::new();
    for one in schema["allOf"].as_array().expect("a list") {
        let kind = one["if"]["properties"]["kind"]["const"]
            .as_str()
            .expect("a kind");
        if names.contains(kind) {
            let spec = &one["then"]["properties"]["spec"];
            walk(spec, format!("{kind} spec"), &mut fields);
        }
    }
    fields
}

fn walk(schema: &Value, path: String, fields: &mut Fields) {
    let described = schema["description"].as_str().unwrap_or_default();
    if described.starts_with("Not supported yet") {
        fields.insert(path, NOT_YET.to_owned());
    } else if schema["items"].is_object() {
        walk(&schema["items"], format!("{path}[]"), fields);
    } else if let Some(values) = schema["enum"].as_array() {
        let text = |value: &Value| value.as_str().map_or(value.to_string(), str::to_owned);
        let mut values: Vec<String> = values.iter().map(text).collect();
        values.sort();
        fields.insert(path, values.join("|"));
    } else if let Some(properties) = schema["properties"].as_object() {
        let required = schema["required"].as_array().cloned().unwrap_or_default();
        for (name, property) in properties {
            let mark = if required.contains(&name.as_str().into()) {
                "!"
            } else {
                ""
            };
            walk(property, format!("{path}.{name}{mark}"), fields);
        }
        fields.insert(path, "object".to_owned());
    } else if schema["additionalProperties"].is_object() {
        walk(
            &schema["additionalProperties"],
            format!("{path}{{}}"),
            fields,
        );
    } else {
        let of = schema["type"].as_str().unwrap_or("anything");
        fields.insert(path, of.to_owned());
    }
}

#[test]
fn the_kinds_of_the_gateway_api_have_its_fields() {
    let upstream = upstream();
    assert!(upstream.len() > 300, "the whole list was read");
    let names: BTreeSet<&str> = upstream
        .keys()
        .filter_map(|path| path.split(' ').next())
        .collect();
    let ours = ours(&names);
    let is_refused = |path: &str| {
        ours.iter().any(|(ours, of)| {
            let below = path.strip_prefix(ours.as_str());
            of == NOT_YET
                && below.is_some_and(|rest| rest.is_empty() || rest.starts_with(['.', '[', '{']))
        })
    };
    let mut wrong = Vec::new();
    for (path, of) in &upstream {
        let listed = OURS.iter().find(|(listed, _)| listed == path);
        let expected = listed.map_or(of.as_str(), |(_, of)| of);
        if listed.is_some_and(|(_, ours)| ours == of) {
            wrong.push(format!(
                "{path}: the API says so by now, it is no difference"
            ));
        }
        if !is_refused(path) && ours.get(path).map(String::as_str) != Some(expected) {
            wrong.push(format!(
                "{path}: {:?} instead of {expected:?}",
                ours.get(path)
            ));
        }
    }
    for (path, of) in &ours {
        if of != NOT_YET && !upstream.contains_key(path) {
            wrong.push(format!("{path}: {of}, which the API does not have"));
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}
