//! Collects problems and conditions while resources are compiled.

use foldhash::HashMap;

use super::world::Candidate;
use super::world::State;
use crate::draft::Condition;
use crate::place::Place;
use crate::place::Span;
use crate::problem::Problem;
use crate::resource::ResourceId;

/// Why something is refused, before it is known whose fault it is.
#[derive(Debug, Clone)]
pub(crate) struct Refusal {
    pub(crate) span: Span,
    pub(crate) reason: &'static str,
    pub(crate) message: String,
    pub(crate) hint: Option<String>,
}

/// Problems and conditions of one compilation.
#[derive(Debug, Default)]
pub(crate) struct Report {
    problems: Vec<Problem>,
    conditions: HashMap<ResourceId, Vec<Condition>>,
}

impl Report {
    /// Something is wrong with a resource. Of versions that are not what the files say, nothing is
    /// reported: whoever wrote the files cannot mend them.
    pub(crate) fn error(&mut self, of: &Candidate, refusal: Refusal) {
        if of.state == State::Current {
            self.problems.push(
                Problem::error(place(of, refusal.span), refusal.message)
                    .maybe_hint(refusal.hint)
                    .reason(refusal.reason)
                    .about(of.id().clone()),
            );
        }
    }

    /// Something is wrong with a part of a resource, and the rest of it is to serve as it is written.
    pub(crate) fn partial(&mut self, of: &Candidate, refusal: Refusal) {
        let known = self.problems.len();
        self.error(of, refusal);
        for problem in self.problems.iter_mut().skip(known) {
            problem.partial = true;
        }
    }

    /// A remark on a resource.
    pub(crate) fn warning(&mut self, of: &Candidate, refusal: Refusal) {
        if of.state == State::Current {
            self.problems.push(
                Problem::warning(place(of, refusal.span), refusal.message)
                    .maybe_hint(refusal.hint)
                    .reason(refusal.reason)
                    .about(of.id().clone()),
            );
        }
    }

    /// A condition of a resource.
    pub(crate) fn condition(&mut self, of: &Candidate, condition: Condition) {
        self.conditions
            .entry(of.id().clone())
            .or_default()
            .push(condition);
    }

    /// The conditions of a resource that were reported.
    pub(crate) fn take_conditions(&mut self, id: &ResourceId) -> Vec<Condition> {
        self.conditions.remove(id).unwrap_or_default()
    }

    /// All problems so far.
    pub(crate) fn problems(&self) -> &[Problem] {
        &self.problems
    }

    pub(crate) fn into_problems(self) -> Vec<Problem> {
        self.problems
    }
}

/// What has no place of its own is reported at the name.
fn place(of: &Candidate, span: Span) -> Place {
    match span {
        Span::NONE => of.place(of.version.content.name_span),
        span => of.place(span),
    }
}
