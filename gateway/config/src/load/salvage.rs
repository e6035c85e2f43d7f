//! What can be used of a resource that is not as its kind wants it, so that its requests are answered
//! with an error and not by somebody else.
//!
//! Of an HTTPRoute that is where it attaches, and what its rules match; of a Plugin that is what it is
//! for, and what is to happen without it.

use schemars::JsonSchema;
use serde::Deserialize;

use crate::kinds::Body;
use crate::kinds::backend::NoSettings;
use crate::kinds::http_route::HttpRoute;
use crate::kinds::plugin::FailurePolicy;
use crate::kinds::plugin::Plugin;
use crate::kinds::plugin::PluginPhase;
use crate::kinds::plugin::PluginSource;
use crate::kinds::plugin::PluginSpec;
use crate::kinds::policy::PolicyTarget;
use crate::parse::Parsed;
use crate::place::At;
use crate::rules;
use crate::schema::Checker;
use crate::schema::Kind;
use crate::tree::Node;
use crate::tree::Value;

/// What is left of a resource that was refused; `None` if nothing can be used.
pub(super) fn body(parsed: &Parsed) -> Option<Body> {
    match parsed.kind.as_str() {
        "HTTPRoute" => route(parsed),
        "Plugin" => plugin(parsed),
        _ => None,
    }
}

/// Parts of an HTTPRoute that matches need.
const ROUTE_FIELDS: [&str; 3] = ["parentRefs", "hostnames", "rules"];
const RULE_FIELDS: [&str; 2] = ["name", "matches"];

fn route(parsed: &Parsed) -> Option<Body> {
    let mut reduced = header_only(parsed);
    let spec = field_mut(&mut reduced.root, "spec")?;
    keep(spec, &ROUTE_FIELDS);
    if let Some(Node {
        value: Value::Seq(rules),
        ..
    }) = field_mut(spec, "rules")
    {
        for rule in rules.iter_mut() {
            keep(rule, &RULE_FIELDS);
        }
    }
    // A rule whose matches cannot be read has none that could be answered for.
    let mut rule = 0;
    loop {
        if let Some(route) = read::<HttpRoute>(&reduced) {
            let body = Body::HttpRoute(Box::new(route));
            if rules::check(&body).is_empty() {
                return Some(body);
            }
        }
        rule = drop_bad_rule(&mut reduced, rule)?;
    }
}

/// Takes out the next rule that cannot be read by itself; `None` if there is none.
fn drop_bad_rule(reduced: &mut Parsed, from: usize) -> Option<usize> {
    let count = match field(&reduced.root, &["spec", "rules"])?.value {
        Value::Seq(ref rules) => rules.len(),
        _ => return None,
    };
    for index in from..count {
        let mut alone = reduced.clone();
        let rules = rules_mut(&mut alone.root)?;
        if index >= rules.len() {
            return None;
        }
        let one = rules.swap_remove(index);
        *rules = vec![one];
        let is_good = read::<HttpRoute>(&alone)
            .is_some_and(|route| rules::check(&Body::HttpRoute(Box::new(route))).is_empty());
        if !is_good {
            rules_mut(&mut reduced.root)?.remove(index);
            return Some(index);
        }
    }
    None
}

fn rules_mut(root: &mut Node) -> Option<&mut Vec<Node>> {
    let spec = field_mut(root, "spec")?;
    match &mut field_mut(spec, "rules")?.value {
        Value::Seq(rules) => Some(rules),
        _ => None,
    }
}

/// The parts of a Plugin that say which requests need it.
#[derive(Debug, Deserialize, JsonSchema)]
struct PluginTargets {
    spec: PluginTargetsSpec,
}

#[derive(Debug, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
struct PluginTargetsSpec {
    failure_policy: Option<At<FailurePolicy>>,
    phase: Option<At<PluginPhase>>,
    priority: Option<At<i32>>,
    #[serde(default)]
    target_refs: Vec<PolicyTarget>,
    /// Never there; keeps the schema of an empty struct in use.
    #[serde(skip)]
    _none: Option<NoSettings>,
}

impl Kind for PluginTargets {
    const API_VERSIONS: &'static [&'static str] = Plugin::API_VERSIONS;
    const KIND: &'static str = Plugin::KIND;
    const NAMESPACED: bool = Plugin::NAMESPACED;
}

const TARGET_FIELDS: [&str; 4] = ["targetRefs", "failurePolicy", "phase", "priority"];

fn plugin(parsed: &Parsed) -> Option<Body> {
    let mut reduced = header_only(parsed);
    let mut spec = PluginTargetsSpec {
        failure_policy: None,
        phase: None,
        priority: None,
        target_refs: Vec::new(),
        _none: None,
    };
    // The more of it can be read, the better; the targets matter most.
    for fields in [&TARGET_FIELDS[..], &TARGET_FIELDS[..1], &[]] {
        if let Some(spec) = field_mut(&mut reduced.root, "spec") {
            keep(spec, fields);
        }
        if let Some(read) = read::<PluginTargets>(&reduced) {
            spec = read.spec;
            break;
        }
    }
    Some(Body::Plugin(Box::new(Plugin {
        spec: PluginSpec {
            source: At::nowhere(PluginSource {
                file: None,
                builtin: None,
                oci: None,
                http: None,
            }),
            config: None,
            root_id: None,
            vm_id: None,
            vm_config: None,
            env: Vec::new(),
            failure_policy: spec.failure_policy,
            limits: None,
            allow: None,
            phase: spec.phase,
            priority: spec.priority,
            target_refs: spec.target_refs,
        },
    })))
}

fn read<T: Kind>(parsed: &Parsed) -> Option<T> {
    Checker::of::<T>().read(parsed, &mut Vec::new())
}

/// The resource with its spec and what names it, and nothing else that could be wrong.
fn header_only(parsed: &Parsed) -> Parsed {
    let mut reduced = parsed.clone();
    keep(
        &mut reduced.root,
        &["apiVersion", "kind", "metadata", "spec"],
    );
    if let Some(metadata) = field_mut(&mut reduced.root, "metadata") {
        keep(metadata, &["name", "namespace"]);
    }
    reduced.faulty = false;
    reduced
}

fn keep(node: &mut Node, fields: &[&str]) {
    if let Value::Map(entries) = &mut node.value {
        entries.retain(|(key, _)| fields.contains(&&*key.name));
    }
}

fn field_mut<'a>(node: &'a mut Node, name: &str) -> Option<&'a mut Node> {
    match &mut node.value {
        Value::Map(entries) => entries
            .iter_mut()
            .find(|(key, _)| &*key.name == name)
            .map(|(_, value)| value),
        _ => None,
    }
}

fn field<'a>(node: &'a Node, path: &[&str]) -> Option<&'a Node> {
    path.iter().try_fold(node, |node, name| node.field(name))
}
