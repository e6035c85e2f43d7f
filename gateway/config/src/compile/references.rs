//! Who may refer to what, and what to say if it is not there.

use super::report::Refusal;
use super::world::Candidate;
use super::world::World;
use crate::kinds::Body;
use crate::kinds::OWN_GROUP;
use crate::place::At;
use crate::place::Span;
use crate::suggest::did_you_mean;

/// Whether a resource of one namespace may refer to one of another (Gateway API: `ReferenceGrant`).
/// Grants count as they are now: one that is gone is no grant, whatever served before.
pub(crate) fn is_permitted(
    world: &World<'_>,
    from: (&str, &Candidate),
    to: (&str, &str, &str, &str),
) -> bool {
    let (from_group, from) = from;
    let (group, kind, namespace, name) = to;
    if from.namespace() == namespace {
        return true;
    }
    world.all("ReferenceGrant").iter().any(|grant| {
        let Body::ReferenceGrant(grants) = grant.body() else {
            return false;
        };
        let is_from = grants.spec.from.iter().any(|one| {
            one.group.as_str() == from_group
                && one.kind.as_str() == from.id().kind
                && one.namespace.as_str() == from.namespace()
        });
        let is_to = grants.spec.to.iter().any(|one| {
            one.group.as_str() == group
                && one.kind.as_str() == kind
                && one.name.as_ref().is_none_or(|one| one.as_str() == name)
        });
        grant.namespace() == namespace && is_from && is_to
    })
}

/// A reference across namespaces that nobody allows.
pub(crate) fn not_permitted(
    span: Span,
    from: &Candidate,
    kind: &str,
    namespace: &str,
    name: &str,
) -> Refusal {
    Refusal {
        span,
        reason: "RefNotPermitted",
        message: format!(
            "no ReferenceGrant in namespace `{namespace}` lets {} `{}` refer to {kind} `{namespace}/{name}`",
            from.id().kind,
            from.full_name(),
        ),
        hint: Some(format!(
            "add a ReferenceGrant to namespace `{namespace}`, from {} of namespace `{}` to {kind}",
            from.id().kind,
            from.namespace()
        )),
    }
}

/// A resource that does not exist, with the nearest one that does.
pub(crate) fn not_found(
    world: &World<'_>,
    reason: &'static str,
    kind: &str,
    namespace: &str,
    name: &At<impl AsRef<str>>,
) -> Refusal {
    let text = name.value.as_ref();
    let hint = other_kind(world, kind, namespace, text)
        .or_else(|| did_you_mean(text, world.names(kind, namespace)))
        .or_else(|| {
            let elsewhere = world.all(kind).iter().find(|one| one.name() == text)?;
            Some(format!(
                "there is one in namespace `{}`",
                elsewhere.namespace()
            ))
        });
    Refusal {
        span: name.span,
        reason,
        message: format!("there is no {kind} `{namespace}/{text}`"),
        hint,
    }
}

/// Whose fault it is that a resource lacks what another one refers to: its own, and not the
/// reference's, if it `had` that in the version that served before. With the resource to be blamed in
/// place of the one that refers to it.
pub(crate) fn blamed<'a>(
    from: &Candidate,
    found: &'a Candidate,
    refusal: Refusal,
    had: impl FnOnce(&Candidate) -> bool,
) -> (Option<&'a Candidate>, Refusal) {
    if !found.before().is_some_and(|before| had(&before)) {
        return (None, refusal);
    }
    let refusal = Refusal {
        span: Span::NONE,
        message: format!("{}, and {} refers to that", refusal.message, from.id()),
        ..refusal
    };
    (Some(found), refusal)
}

/// A Backend where a Service was asked for, or the other way round.
fn other_kind(world: &World<'_>, kind: &str, namespace: &str, name: &str) -> Option<String> {
    match kind {
        "Service" => {
            world.get("Backend", namespace, name)?;
            Some(format!(
                "there is a Backend of that name: add `group: {OWN_GROUP}` and `kind: Backend`"
            ))
        }
        "Backend" => {
            world.get("Service", namespace, name)?;
            Some("there is a Service of that name: leave out `group` and `kind`".to_owned())
        }
        _ => None,
    }
}
