//! What is to be said about each resource in the end (Kubernetes: `metav1.Condition`).

use foldhash::HashMap;

use super::report::Report;
use super::world::Candidate;
use super::world::State;
use super::world::World;
use crate::draft::Condition;
use crate::draft::ResourceStatus;
use crate::kinds::Body;
use crate::kinds::CONTROLLER;
use crate::problem::Problem;
use crate::problem::Severity;
use crate::resource::ResourceId;

/// The status of every resource that serves, by kind, namespace and name.
pub(super) fn statuses(world: &World<'_>, report: &mut Report) -> Vec<ResourceStatus> {
    let mut first_errors: HashMap<ResourceId, Problem> = HashMap::default();
    for problem in report.problems() {
        if let (Severity::Error, Some(id)) = (problem.severity, &problem.resource) {
            first_errors
                .entry(id.clone())
                .or_insert_with(|| problem.clone());
        }
    }
    world
        .everything()
        .map(|candidate| {
            let mut conditions = report.take_conditions(candidate.id());
            add_own(candidate, first_errors.get(candidate.id()), &mut conditions);
            ResourceStatus {
                resource: candidate.id().clone(),
                place: (candidate.state != State::LastGood)
                    .then(|| candidate.place(candidate.version.content.name_span)),
                last_good: candidate.state == State::LastGood,
                conditions,
            }
        })
        .collect()
}

/// Conditions of kinds that nothing else gives any.
fn add_own(candidate: &Candidate, error: Option<&Problem>, conditions: &mut Vec<Condition>) {
    match candidate.body() {
        // Those of another class are somebody else's to judge.
        Body::Gateway(_)
        | Body::HttpRoute(_)
        | Body::GrpcRoute(_)
        | Body::TcpRoute(_)
        | Body::TlsRoute(_) => return,
        Body::GatewayClass(class) if class.spec.controller_name.value != CONTROLLER => return,
        // All that it believes is gone, which is said already; of what is left it makes use.
        Body::BackendTlsPolicy(_) if conditions.iter().any(|one| one.kind == "Accepted") => return,
        Body::BackendTlsPolicy(_) => {
            let is_reference =
                |one: &&Problem| matches!(one.reason, "InvalidCACertificateRef" | "InvalidKind");
            conditions.push(accepted(error.filter(|one| !is_reference(one))));
            return;
        }
        Body::GatewayClass(_)
        | Body::Certificate(_)
        | Body::Backend(_)
        | Body::BackendPolicy(_)
        | Body::Plugin(_)
        | Body::TrafficPolicy(_)
        | Body::Telemetry(_)
        | Body::AuthorizationPolicy(_)
        | Body::RequestAuthentication(_) => {}
        // Kubernetes' own kinds have no such conditions.
        Body::ReferenceGrant(_)
        | Body::Service(_)
        | Body::EndpointSlice(_)
        | Body::Secret(_)
        | Body::ConfigMap(_)
        | Body::Namespace(_) => return,
    }
    conditions.push(accepted(error));
}

fn accepted(error: Option<&Problem>) -> Condition {
    match error {
        None => Condition {
            kind: "Accepted",
            status: true,
            reason: "Accepted",
            message: String::new(),
            about: None,
        },
        Some(problem) => Condition {
            kind: "Accepted",
            status: false,
            reason: problem.reason,
            message: problem.message.clone(),
            about: None,
        },
    }
}
