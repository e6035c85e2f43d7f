//! What is wrong with what an operator wrote. How it is printed is in [`crate::render`].

use crate::place::Place;
use crate::resource::ResourceId;

/// The reason of a problem that needs no other: the resource breaks a rule of its kind.
pub const INVALID: &str = "Invalid";

/// One finding of a load.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Problem {
    /// How bad it is.
    pub severity: Severity,
    /// Where; `None` for what has no place, such as a folder that cannot be read.
    pub place: Option<Place>,
    /// The resource that is refused or remarked upon.
    pub resource: Option<ResourceId>,
    /// What is wrong and what was expected, a fragment without final dot.
    pub message: String,
    /// What to do about it.
    pub hint: Option<String>,
    /// The reason in the resource's conditions, such as `BackendNotFound` (Gateway API).
    pub reason: &'static str,
    /// Of an error: only the part that it is about is refused, and the rest of the resource serves.
    pub partial: bool,
}

impl Problem {
    /// A problem for which the resource is refused.
    pub fn error(place: impl Into<Option<Place>>, message: impl Into<String>) -> Self {
        Self {
            severity: Severity::Error,
            place: place.into(),
            resource: None,
            message: message.into(),
            hint: None,
            reason: INVALID,
            partial: false,
        }
    }

    /// A remark: the resource is used all the same.
    pub fn warning(place: impl Into<Option<Place>>, message: impl Into<String>) -> Self {
        Self {
            severity: Severity::Warning,
            ..Self::error(place, message)
        }
    }

    /// With what to do about it.
    #[must_use]
    pub fn hint(mut self, hint: impl Into<String>) -> Self {
        self.hint = Some(hint.into());
        self
    }

    /// With what to do about it, if that is known.
    #[must_use]
    pub fn maybe_hint(mut self, hint: Option<String>) -> Self {
        self.hint = hint;
        self
    }

    /// With a reason of the Gateway API instead of [`INVALID`].
    #[must_use]
    pub fn reason(mut self, reason: &'static str) -> Self {
        self.reason = reason;
        self
    }

    /// About a part that can be left out: the rest of the resource serves as it is written.
    #[must_use]
    pub fn partial(mut self) -> Self {
        self.partial = true;
        self
    }

    /// With the resource that it is about.
    #[must_use]
    pub fn about(mut self, resource: ResourceId) -> Self {
        self.resource = Some(resource);
        self
    }
}

/// How bad a problem is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Severity {
    /// The resource is used all the same.
    Warning,
    /// The resource is refused, or a part of it: its last good version stays, if there is one.
    Error,
}

/// Puts problems into the order in which they are printed: those without place first, then by file,
/// line and column.
pub fn sort(problems: &mut [Problem]) {
    problems.sort_by(|a, b| (&a.place, &a.message).cmp(&(&b.place, &b.message)));
}
