//! Which version of each resource serves: what the files say, or what served before.
//!
//! Whether a resource is good may depend on others, which may themselves have to fall back. So the
//! world is compiled, resources with errors fall back, and it is compiled again until nothing changes.
//! Each resource falls back at most once, so this ends.

use foldhash::HashMap;
use foldhash::HashSet;
use std::sync::Arc;

use super::Inputs;
use super::Loader;
use super::Versions;
use super::restore;
use crate::compile;
use crate::compile::Candidate;
use crate::compile::Compiled;
use crate::compile::State;
use crate::compile::World;
use crate::draft::Condition;
use crate::draft::Draft;
use crate::draft::ResourceStatus;
use crate::problem;
use crate::problem::Problem;
use crate::problem::Severity;
use crate::resource::ResourceId;

/// Kinds whose last good version serves those that refer to it after it is gone. Gateways and grants
/// are not among them: who takes them away means it.
const OUTLIVING: [&str; 7] = [
    "Backend",
    "Service",
    "EndpointSlice",
    "Plugin",
    "Secret",
    "ConfigMap",
    "Certificate",
];

impl Loader {
    /// Decides which versions serve and makes the draft of them. Resources that errors among `found`
    /// are about are refused from the start.
    pub(super) fn settle(&mut self, inputs: &Inputs, found: Vec<Problem>) -> Draft {
        let mut refused: HashSet<ResourceId> = inputs
            .problems
            .iter()
            .chain(&found)
            .filter_map(error_about)
            .cloned()
            .collect();
        let mut problems: Vec<Problem> = inputs.problems.iter().cloned().chain(found).collect();
        let gone = self.gone(inputs);
        self.patterns.begin();
        loop {
            let candidates = self.candidates(inputs, &refused);
            let world = World::new(&candidates, &gone);
            let env = compile::Environment {
                variable: &*self.env,
                builtins: &self.builtins,
                root_namespace: &self.root_namespace,
            };
            let compiled = compile::compile(&world, &mut self.patterns, env);
            let falling: HashSet<ResourceId> = compiled
                .problems
                .iter()
                .filter_map(refusal_of)
                .filter(|id| !refused.contains(*id) && self.last_good.contains_key(*id))
                .cloned()
                .collect();
            if falling.is_empty() {
                problems.extend(compiled.problems.iter().cloned());
                let used = gone.iter().filter(|one| one.used.get());
                let serving: Vec<&Candidate> = candidates.iter().chain(used).collect();
                return self.draft(inputs, compiled, &serving, problems);
            }
            // What made them fall back would not be found again in their last good versions.
            problems.extend(compiled.problems.into_iter().filter(|problem| {
                let about = problem.resource.as_ref();
                about.is_some_and(|id| falling.contains(id))
            }));
            refused.extend(falling);
            gone.iter().for_each(|one| one.used.set(false));
        }
    }

    /// The version of each resource that is to serve.
    fn candidates(&self, inputs: &Inputs, refused: &HashSet<ResourceId>) -> Vec<Candidate> {
        let of_files = inputs.resources.iter().filter_map(|input| {
            let is_refused = refused.contains(&input.id);
            let current = input.current.as_ref();
            match (current, self.last_good.get(&input.id)) {
                (Some(current), before) if !is_refused => {
                    Some(Candidate::current(Arc::clone(current), before.cloned()))
                }
                (_, Some(good)) => Some(Candidate::new(Arc::clone(good), State::LastGood)),
                (current, None) => {
                    let left = current.or(input.salvaged.as_ref())?;
                    Some(Candidate::new(Arc::clone(left), State::Salvaged))
                }
            }
        });
        let held = inputs.held.iter();
        of_files
            .chain(held.map(|version| Candidate::new(Arc::clone(version), State::LastGood)))
            .collect()
    }

    /// What served before and is in the files no more.
    fn gone(&self, inputs: &Inputs) -> Vec<Candidate> {
        let in_files = inputs.resources.iter().map(|input| &input.id);
        let held = inputs.held.iter().map(|version| &version.content.id);
        let there: HashSet<&ResourceId> = in_files
            .chain(held)
            .filter(|id| OUTLIVING.contains(&id.kind))
            .collect();
        let mut gone: Vec<Candidate> = self
            .last_good
            .iter()
            .filter(|(id, _)| OUTLIVING.contains(&id.kind) && !there.contains(id))
            .map(|(_, version)| Candidate::new(Arc::clone(version), State::LastGood))
            .collect();
        gone.sort_unstable_by(|a, b| a.id().cmp(b.id()));
        gone
    }

    fn draft(
        &mut self,
        inputs: &Inputs,
        compiled: Compiled,
        serving: &[&Candidate],
        mut problems: Vec<Problem>,
    ) -> Draft {
        let with_errors: HashSet<&ResourceId> =
            compiled.problems.iter().filter_map(refusal_of).collect();
        let mut pending = Versions::default();
        for candidate in serving {
            let is_good = match candidate.state {
                State::Current => !with_errors.contains(candidate.id()),
                State::LastGood => true,
                State::Salvaged => false,
            };
            if is_good {
                pending.insert(candidate.id().clone(), Arc::clone(&candidate.version));
            }
        }
        let accepted = restore::documents(&pending);
        self.pending = pending;
        problem::sort(&mut problems);
        let resources = statuses(inputs, compiled.statuses, serving, &problems);
        let mut watch = inputs.watch.clone();
        watch.extend(compiled.watch);
        Draft {
            snapshot: compiled.snapshot,
            plugins: compiled.plugins,
            rollouts: compiled.rollouts,
            certificates: compiled.certificates,
            bundles: compiled.bundles,
            problems,
            resources,
            watch: watch.into_iter().collect(),
            accepted,
        }
    }
}

fn error_about(problem: &Problem) -> Option<&ResourceId> {
    let is_error = problem.severity == Severity::Error;
    problem.resource.as_ref().filter(|_| is_error)
}

/// The resource that an error refuses as a whole.
fn refusal_of(problem: &Problem) -> Option<&ResourceId> {
    error_about(problem).filter(|_| !problem.partial)
}

/// The conditions of what serves, and of what does not.
fn statuses(
    inputs: &Inputs,
    mut statuses: Vec<ResourceStatus>,
    serving: &[&Candidate],
    problems: &[Problem],
) -> Vec<ResourceStatus> {
    let older: HashSet<&ResourceId> = serving
        .iter()
        .filter(|one| one.state != State::Current)
        .map(|one| one.id())
        .collect();
    let mut first: HashMap<&ResourceId, &Problem> = HashMap::default();
    for problem in problems {
        if let Some(id) = error_about(problem) {
            first.entry(id).or_insert(problem);
        }
    }
    for status in &mut statuses {
        if older.contains(&status.resource) {
            let problem = first.get(&status.resource).copied();
            status
                .conditions
                .retain(|one| one.kind != "Accepted" || one.about.is_some());
            status
                .conditions
                .insert(0, refused(problem, status.last_good));
        }
    }
    let nothing_left = inputs.resources.iter().filter(|input| {
        input.current.is_none() && input.salvaged.is_none() && !older.contains(&input.id)
    });
    statuses.extend(nothing_left.map(|input| ResourceStatus {
        resource: input.id.clone(),
        place: Some(input.place.clone()),
        last_good: false,
        conditions: vec![refused(first.get(&input.id).copied(), false)],
    }));
    statuses.sort_by(|a, b| a.resource.cmp(&b.resource));
    statuses
}

fn refused(problem: Option<&Problem>, last_good: bool) -> Condition {
    let what = problem.map_or("its file cannot be read, or it is gone", |problem| {
        problem.message.as_str()
    });
    let message = if last_good {
        format!("{what}; the last good version serves")
    } else {
        what.to_owned()
    };
    Condition {
        kind: "Accepted",
        status: false,
        reason: problem.map_or("Invalid", |problem| problem.reason),
        message,
        about: None,
    }
}
