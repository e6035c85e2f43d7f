//! What policies and plugins are for: a target must exist, its part included.

use super::references::not_found;
use super::report::Refusal;
use super::world::Candidate;
use super::world::State;
use super::world::World;
use crate::kinds::Body;
use crate::kinds::policy::PolicyTarget;
use crate::kinds::text::SectionName;
use crate::place::At;
use crate::suggest::did_you_mean;

/// Whether a target exists, its section included.
pub(crate) fn check_target(
    world: &World<'_>,
    policy: &Candidate,
    target: &PolicyTarget,
) -> Result<(), Refusal> {
    let (kind, namespace) = (target.kind.as_str(), policy.namespace());
    // A backend that is gone and still serves keeps its policies: they go on with it.
    let Some(found) = world.find(policy, kind, namespace, &target.name) else {
        return Err(not_found(
            world,
            "TargetNotFound",
            kind,
            namespace,
            &target.name,
        ));
    };
    let Some(section) = &target.section_name else {
        return Ok(());
    };
    let names: Vec<&str> = match found.body() {
        _ if found.state == State::Salvaged => return Ok(()),
        Body::Gateway(gateway) => {
            let listeners = gateway.spec.listeners.iter();
            listeners.map(|listener| listener.name.as_str()).collect()
        }
        Body::HttpRoute(route) => names(route.spec.rules.iter().map(|rule| rule.name.as_ref())),
        Body::GrpcRoute(route) => names(route.spec.rules.iter().map(|rule| rule.name.as_ref())),
        Body::TcpRoute(route) => names(route.spec.rules.iter().map(|rule| rule.name.as_ref())),
        Body::TlsRoute(route) => names(route.spec.rules.iter().map(|rule| rule.name.as_ref())),
        Body::Service(service) => {
            let ports = service.spec.ports.iter();
            let names = ports.filter_map(|port| Some(port.name.as_ref()?.as_str()));
            names.collect()
        }
        _ => Vec::new(),
    };
    if names.contains(&section.as_str()) {
        return Ok(());
    }
    Err(Refusal {
        span: section.span,
        reason: "TargetNotFound",
        message: format!(
            "{kind} `{namespace}/{}` has no part named `{}`",
            *target.name, **section
        ),
        hint: did_you_mean(section, names.iter().copied()),
    })
}

fn names<'n>(names: impl Iterator<Item = Option<&'n At<SectionName>>>) -> Vec<&'n str> {
    names.flatten().map(|name| name.as_str()).collect()
}
