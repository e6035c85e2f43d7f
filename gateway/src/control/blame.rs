//! Which resource a problem is about that shows only when a generation is started.

use tidegate_config::draft::Draft;
use tidegate_config::place::Place;
use tidegate_config::problem::Problem;
use tidegate_config::problem::Severity;
use tidegate_config::resource::ResourceId;
use tidegate_proxy::StartError;

use crate::certificates;
use crate::plugins::chain;
use crate::plugins::not_started;
use crate::plugins::versions::ROLLED_BACK;

/// Whether two problems are one: of one resource, for one reason, in one place.
pub(crate) fn is_about_same(a: &Problem, b: &Problem) -> bool {
    (&a.resource, a.reason, &a.message) == (&b.resource, b.reason, &b.message)
}

/// What was found wrong with plugins after the load.
pub(crate) fn plugin_problems(draft: &Draft) -> Vec<Problem> {
    let late = [
        "SourceNotReadable",
        "InvalidModule",
        "ConfigRefused",
        "NotStarted",
        "SetupFailed",
        "NoRuntime",
        ROLLED_BACK,
        "AddressNotUsable",
        certificates::REASON,
        certificates::BUNDLE_REASON,
    ];
    let problems = draft.problems.iter();
    let problems = problems
        .filter(|problem| problem.severity == Severity::Error && late.contains(&problem.reason));
    problems.cloned().collect()
}

/// The Gateway whose bind is called that: `namespace/name:port` or `namespace/name@address`.
pub(crate) fn gateway_of(bind: &str, draft: &Draft) -> Option<(ResourceId, Option<Place>)> {
    let end = bind.find(['@', ':'])?;
    let name = bind.get(..end)?;
    let status = draft.resources.iter().find(|status| {
        let id = &status.resource;
        id.kind == "Gateway" && format!("{}/{}", id.namespace, id.name) == name
    })?;
    Some((status.resource.clone(), status.place.clone()))
}

/// Why nothing of a generation was taken, without what guests said.
pub(crate) fn words(err: &StartError) -> String {
    match err {
        StartError::Plugin { plugin, source } => {
            format!("{plugin}: {}", not_started(source, false).message)
        }
        _ => chain(err),
    }
}
