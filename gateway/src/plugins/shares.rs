//! Remarks on plugins that choose among the backendRefs of their rules, where the weights say something
//! else.
//!
//! The plugin decides where it runs, and the weights where it does not. Both may say the same, or the weights
//! may leave out all but one backendRef, which is what serves then; anything else somebody has forgotten.

use tidegate_config::draft::Draft;
use tidegate_config::draft::PluginDecl;
use tidegate_config::plugin_schema::BackendShare;
use tidegate_config::plugin_schema::ShareOf;
use tidegate_config::plugin_schema::shares;
use tidegate_config::problem::Problem;
use tidegate_core::filter::Filter;
use tidegate_core::route::Choice;
use tidegate_core::route::Rule;
use tidegate_core::snapshot::PluginId;
use tidegate_core::snapshot::Snapshot;

use super::Slot;

/// Percentages that differ by less are the same: weights are whole numbers.
const SAME: f64 = 0.01;

/// Remarks on the plugins of a draft, which came to these slots.
pub(crate) fn remarks(draft: &Draft, slots: &[Slot]) -> Vec<Problem> {
    let mut found = Vec::new();
    for ((decl, slot), number) in draft.plugins.iter().zip(slots).zip(0..) {
        let Slot::Ready { plugin, .. } = slot else {
            continue;
        };
        let Ok(Some(manifest)) = plugin.module().manifest() else {
            continue;
        };
        let schema = manifest.config_schema.as_ref();
        let Some((place, shares)) = schema.and_then(|schema| shares(schema, decl)) else {
            continue;
        };
        let messages = messages(&draft.snapshot, PluginId(number), decl, &shares);
        found.extend(messages.into_iter().map(|(message, hint)| {
            Problem::warning(place.clone(), message)
                .hint(hint)
                .reason("SharesDisagree")
                .about(decl.resource.clone())
        }));
    }
    found
}

/// What is to say about one plugin, each with what to do.
fn messages(
    snapshot: &Snapshot,
    id: PluginId,
    decl: &PluginDecl,
    shares: &[BackendShare],
) -> Vec<(String, String)> {
    let rules = rules_of(snapshot, id);
    let split: Vec<&Rule> = rules
        .iter()
        .copied()
        .filter(|rule| rule.backends.len() > 1)
        .collect();
    if !rules.is_empty() && split.is_empty() {
        let name = &decl.resource.name;
        return vec![(
            format!("the Plugin `{name}` chooses among backendRefs, and its rules have one each"),
            "give the rule a backendRef for each version".to_owned(),
        )];
    }
    let messages = split.into_iter();
    messages
        .filter_map(|rule| message(snapshot, rule, shares))
        .collect()
}

/// The rules whose requests pass a plugin once they are found, each once.
fn rules_of(snapshot: &Snapshot, id: PluginId) -> Vec<&Rule> {
    let listeners = snapshot
        .binds
        .iter()
        .flat_map(|bind| bind.listeners.values());
    let rules = listeners.flat_map(|listener| listener.routes.rules());
    let is_passed = |filter: &Filter| matches!(filter, Filter::Plugin(plugin) if *plugin == id);
    let mut found: Vec<&Rule> = rules
        .map(|rule| &**rule)
        .filter(|rule| rule.filters.iter().any(is_passed))
        .collect();
    found.sort_by_key(|rule| rule.id);
    found.dedup_by_key(|rule| rule.id);
    found
}

fn message(snapshot: &Snapshot, rule: &Rule, shares: &[BackendShare]) -> Option<(String, String)> {
    let name_of = |id| Some(snapshot.backends.get(id)?.name.as_str());
    let mut wanted = vec![0.0; rule.backends.len()];
    let given: f64 = shares.iter().filter_map(|share| share.percent).sum();
    for share in shares {
        let choice = match &share.of {
            ShareOf::Last => Choice::FromBack(0),
            ShareOf::Place(place) => Choice::FromFront(*place),
            ShareOf::Named(name) => Choice::Named(name),
        };
        let at = rule.place_of(choice, name_of);
        let Some(percent) = at.and_then(|at| wanted.get_mut(at)) else {
            return Some(missing(rule, &share.of));
        };
        *percent += share.percent.unwrap_or(100.0 - given);
        if share.of == ShareOf::Last {
            *wanted.first_mut()? += 100.0 - given;
        }
    }
    let weights = rule.backends.iter().map(|it| f64::from(it.weight));
    if weights.clone().filter(|weight| *weight > 0.0).count() <= 1 {
        return None;
    }
    let sum: f64 = weights.clone().sum();
    let pairs = wanted
        .iter()
        .zip(weights.map(|weight| weight / sum * 100.0));
    let differs = |(wanted, weight): &(&f64, f64)| (*wanted - weight).abs() > SAME;
    let (at, (wanted, weight)) = pairs.enumerate().rfind(|(_, pair)| differs(pair))?;
    let backend = rule.backends.get(at).and_then(|it| it.backend);
    let called = match backend.and_then(name_of) {
        Some(name) => format!("`{name}`"),
        None => format!("backendRefs[{at}]"),
    };
    Some((
        format!(
            "the Plugin gives {called} {} % of the requests of `{}`, and the weights of backendRefs give it \
             {} %",
            shown(*wanted),
            rule.name,
            shown(weight)
        ),
        "the Plugin decides where it runs: give weights for when it does not, such as all to the version \
         that is known to be good, or write the same shares"
            .to_owned(),
    ))
}

fn missing(rule: &Rule, of: &ShareOf) -> (String, String) {
    let what = match of {
        ShareOf::Named(name) => format!("no backendRef `{name}`"),
        ShareOf::Place(place) => format!("no backendRefs[{place}]"),
        ShareOf::Last => "no backendRef".to_owned(),
    };
    (
        format!(
            "the rule `{}` has {what}, to which the Plugin sends requests",
            rule.name
        ),
        "the weights decide about those requests: add the backendRef to the rule".to_owned(),
    )
}

/// A percentage with two decimals at most.
fn shown(percent: f64) -> String {
    let text = format!("{percent:.2}");
    text.trim_end_matches('0').trim_end_matches('.').to_owned()
}
