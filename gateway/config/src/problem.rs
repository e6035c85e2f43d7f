//! What is wrong with what an operator wrote.

use crate::place::Place;
use crate::resource::ResourceId;

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
}

/// How bad a problem is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Severity {
    /// The resource is used all the same.
    Warning,
    /// The resource is refused: its last good version stays, if there is one.
    Error,
}
