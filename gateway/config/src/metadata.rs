//! The part of a resource that all kinds share: name, namespace, labels, annotations.
//!
//! [`Metadata::of`] reads what is there and complains of nothing, so that resources of foreign kinds,
//! whose rules we do not know, can be named; `check` applies the rules to those that are ours.

use std::collections::BTreeMap;

use crate::place::At;
use crate::place::Span;
use crate::schema::Finding;
use crate::schema::describe;
use crate::suggest::did_you_mean;
use crate::tree::Key;
use crate::tree::Node;
use crate::tree::Value;

/// What `metadata` says, as far as it could be read.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Metadata {
    /// Unique among the resources of one kind and namespace.
    pub name: Option<At<String>>,
    /// Where the name is looked up; `None` means `default` for kinds that have namespaces.
    pub namespace: Option<At<String>>,
    /// What selectors look at.
    pub labels: BTreeMap<String, String>,
    /// Notes that are for tools.
    pub annotations: BTreeMap<String, String>,
}

/// Fields of an object's metadata that an API server fills in or that mean nothing in files
/// (Kubernetes `ObjectMeta`).
const IGNORED: [&str; 11] = [
    "creationTimestamp",
    "deletionGracePeriodSeconds",
    "deletionTimestamp",
    "finalizers",
    "generateName",
    "generation",
    "managedFields",
    "ownerReferences",
    "resourceVersion",
    "selfLink",
    "uid",
];
const READ: [&str; 4] = ["name", "namespace", "labels", "annotations"];

/// Longest DNS subdomain and label (RFC 1123, as Kubernetes counts them).
const MAX_SUBDOMAIN: usize = 253;
const MAX_LABEL: usize = 63;

impl Metadata {
    /// The metadata of a resource.
    #[must_use]
    pub fn of(root: &Node) -> Self {
        let Some(metadata) = root.field("metadata") else {
            return Self::default();
        };
        let text = |name: &str| {
            let node = metadata.field(name)?;
            let value = node.as_str()?.to_owned();
            Some(At {
                value,
                span: node.span,
            })
        };
        let texts = |name: &str| match metadata.field(name).map(|node| &node.value) {
            Some(Value::Map(entries)) => entries
                .iter()
                .filter_map(|(key, value)| {
                    Some((key.name.as_ref().to_owned(), value.as_str()?.to_owned()))
                })
                .collect(),
            _ => BTreeMap::new(),
        };
        Self {
            name: text("name"),
            namespace: text("namespace"),
            labels: texts("labels"),
            annotations: texts("annotations"),
        }
    }
}

/// Checks the metadata of a resource of one of our kinds.
pub(crate) fn check(root: &Node, is_namespaced: bool, findings: &mut Vec<Finding>) {
    let (key, metadata) = match root.entry("metadata") {
        Some((
            key,
            Node {
                value: Value::Null, ..
            },
        )) => {
            return findings.push(missing_name(key.span));
        }
        None => return findings.push(missing_name(root.span)),
        Some((key, metadata)) => (key, metadata),
    };
    let Value::Map(entries) = &metadata.value else {
        let message = format!("`metadata` must be a mapping; got {}", describe(metadata));
        return findings.push(Finding::new(metadata.span, message));
    };
    if metadata.field("name").is_none() {
        findings.push(missing_name(key.span));
    }
    for (key, value) in entries {
        if value.value != Value::Null {
            check_field(key, value, is_namespaced, findings);
        }
    }
}

fn missing_name(span: Span) -> Finding {
    Finding::new(span, "the field `metadata.name` is missing").hint("each resource has a name")
}

fn check_field(key: &Key, value: &Node, is_namespaced: bool, findings: &mut Vec<Finding>) {
    match &*key.name {
        "name" => {
            if let Some(text) = string(key, value, findings)
                && !is_subdomain(text)
            {
                let message = format!("{text:?} is not a name of a resource");
                findings.push(Finding::new(value.span, message).hint(format!(
                    "at most {MAX_SUBDOMAIN} lower-case letters, digits, `-` and `.`; letters or digits at both ends"
                )));
            }
        }
        "namespace" if !is_namespaced => {
            let message = "resources of this kind have no namespace";
            findings.push(Finding::new(key.span, message).hint("remove the field"));
        }
        "namespace" => {
            if let Some(text) = string(key, value, findings)
                && !is_label(text)
            {
                let message = format!("{text:?} is not a name of a namespace");
                findings.push(Finding::new(value.span, message).hint(format!(
                    "at most {MAX_LABEL} lower-case letters, digits and `-`; letters or digits at both ends"
                )));
            }
        }
        "labels" | "annotations" => strings(key, value, findings),
        name if IGNORED.contains(&name) => {}
        name => {
            let hint = did_you_mean(name, READ).unwrap_or_else(|| {
                "metadata has a name, and may have a namespace, labels and annotations".to_owned()
            });
            let message = format!("`metadata` has no field `{name}`");
            findings.push(Finding::new(key.span, message).hint(hint));
        }
    }
}

fn string<'a>(key: &Key, value: &'a Node, findings: &mut Vec<Finding>) -> Option<&'a str> {
    let text = value.as_str();
    if text.is_none() {
        let message = format!("`{}` must be a string; got {}", key.name, describe(value));
        let is_plain = matches!(
            value.value,
            Value::Int(_) | Value::Float(_) | Value::Bool(_)
        );
        findings.push(Finding {
            hint: is_plain.then(|| "put it into quotes".to_owned()),
            ..Finding::new(value.span, message)
        });
    }
    text
}

fn strings(key: &Key, value: &Node, findings: &mut Vec<Finding>) {
    if let Value::Map(entries) = &value.value {
        for (key, value) in entries {
            let _ = string(key, value, findings);
        }
    } else {
        let message = format!("`{}` must be a mapping; got {}", key.name, describe(value));
        findings.push(Finding::new(value.span, message));
    }
}

/// Whether a text is a DNS label as Kubernetes wants them.
pub(crate) fn is_label(text: &str) -> bool {
    let is_edge = |byte: Option<u8>| {
        byte.is_some_and(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit())
    };
    text.len() <= MAX_LABEL
        && is_edge(text.bytes().next())
        && is_edge(text.bytes().last())
        && text
            .bytes()
            .all(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-')
}

/// Whether a text is a DNS subdomain as Kubernetes wants them; its labels may be long.
pub(crate) fn is_subdomain(text: &str) -> bool {
    let is_part = |part: &str| {
        let edge = |byte: Option<u8>| byte.is_some_and(|byte| byte != b'-');
        edge(part.bytes().next())
            && edge(part.bytes().last())
            && part
                .bytes()
                .all(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-')
    };
    text.len() <= MAX_SUBDOMAIN && text.split('.').all(is_part)
}

#[cfg(test)]
mod tests {
    use super::is_label;
    use super::is_subdomain;

    #[test]
    fn names_are_dns_subdomains() {
        for good in ["a", "shop-1", "shop.example.com", "0", "a--b"] {
            assert!(is_subdomain(good), "{good}");
        }
        for bad in ["", "-a", "a-", "a..b", ".a", "A", "a_b", "ä", "a.-b"] {
            assert!(!is_subdomain(bad), "{bad}");
        }
        assert!(is_subdomain(&"a".repeat(253)));
        assert!(!is_subdomain(&"a".repeat(254)));
    }

    #[test]
    fn namespaces_are_dns_labels() {
        assert!(is_label("shop-1"));
        for bad in ["", "a.b", "-a", "a-", "A"] {
            assert!(!is_label(bad), "{bad}");
        }
        assert!(!is_label(&"a".repeat(64)));
    }
}
