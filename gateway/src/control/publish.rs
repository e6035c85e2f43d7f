//! Saying what came of a load: on the board, in the log, to the service manager.

use std::collections::BTreeMap;
use std::collections::HashSet;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::SystemTime;

use tidegate_config::draft::Draft;
use tidegate_config::draft::PluginDecl;
use tidegate_config::draft::PluginSource;
use tidegate_config::problem::Problem;
use tidegate_config::problem::Severity;
use tidegate_host_abi::FailurePolicy;
use tidegate_host_abi::Isolation;
use tidegate_host_abi::PluginKind;

use crate::control::Loaded;
use crate::plugins::Slot;
use crate::plugins::in_one_line;
use crate::plugins::is_awaited as waits_for_code;
use crate::plugins::versions::Told;
use crate::state::hex;
use crate::status::Accepted;
use crate::status::Board;
use crate::status::BundleStatus;
use crate::status::CertificateStatus;
use crate::status::HeldStatus;
use crate::status::Outcome;
use crate::status::PluginStatus;
use crate::status::Status;
use crate::status::VersionStatus;
use crate::status::VersionsStatus;

/// Problems that are logged of one load; the rest is counted, and shown by `check`.
const MOST_LINES: usize = 100;

/// Logs each problem once, until it is gone or another.
#[derive(Debug, Default)]
pub(crate) struct Reporter {
    said: HashSet<String>,
}

impl Reporter {
    /// Logs what was not there before.
    pub(crate) fn report(&mut self, problems: &[Problem]) {
        let mut said = HashSet::new();
        let mut new = 0;
        for problem in problems {
            let line = line(problem);
            if !self.said.contains(&line) && !said.contains(&line) {
                new += 1;
                match problem.severity {
                    _ if new > MOST_LINES => {}
                    Severity::Error => tracing::error!("{line}"),
                    Severity::Warning => tracing::warn!("{line}"),
                }
            }
            said.insert(line);
        }
        if new > MOST_LINES {
            let more = new - MOST_LINES;
            tracing::error!("{more} more problems: `tidegate check` prints all of them");
        }
        self.said = said;
    }
}

/// A problem in one line.
fn line(problem: &Problem) -> String {
    let mut line = String::new();
    if let Some(place) = &problem.place {
        let file = place.file.display();
        line = format!("{file}:{}:{}: ", place.line, place.column);
    }
    if let Some(resource) = &problem.resource {
        line.push_str(&format!("{resource}: "));
    }
    // Names and texts in it are the operator's.
    line.push_str(&in_one_line(&problem.message));
    if let Some(hint) = &problem.hint {
        line.push_str("; ");
        line.push_str(&in_one_line(hint));
    }
    line
}

/// Notes on the board that a load serves, and in the log. `addresses` are those it listens on,
/// `versions` those of its plugins.
pub(crate) fn serves(
    board: &Board,
    number: u64,
    loaded: Loaded,
    addresses: Vec<(Arc<str>, SocketAddr)>,
    versions: BTreeMap<String, VersionsStatus>,
) -> Outcome {
    let outcome = say_that_it_serves(number, &loaded.draft);
    say_what_changed(&board.read(), &loaded.draft, &addresses);
    let plugins = plugins(&loaded);
    let (certificates, bundles) = (certificates(&loaded), bundles(&loaded));
    let Loaded {
        draft, snapshot, ..
    } = loaded;
    let accepted: Vec<Accepted> = draft
        .accepted
        .iter()
        .map(|one| Accepted {
            resource: one.resource.to_string(),
            file: one.file.clone(),
            line: one.line,
        })
        .collect();
    board.write(|status| {
        status.generation = number;
        status.snapshot = Some(snapshot);
        status.addresses = addresses.into();
        status.plugins = plugins.into();
        status.versions = Arc::new(versions);
        if !status.awaits_plugins() {
            // Once ready, what is new does not take that away: what is old serves on.
            status.waits_until = None;
        }
        status.certificates = certificates.into();
        status.bundles = bundles.into();
        status.accepted = accepted.into();
        status.resources = draft.resources.into();
        status.problems = draft.problems.into();
        status.count(outcome, None);
    });
    outcome
}

/// Logs how much of a load serves.
fn say_that_it_serves(number: u64, draft: &Draft) -> Outcome {
    let errors = || {
        let problems = draft.problems.iter();
        problems.filter(|problem| problem.severity == Severity::Error)
    };
    let resources = draft.resources.len();
    if errors().next().is_none() {
        tracing::info!("generation {number} serves: {resources} resources");
        return Outcome::Success;
    }
    let refused: HashSet<_> = errors().filter_map(|one| one.resource.as_ref()).collect();
    let refused = refused.len();
    let old = draft.resources.iter().filter(|one| one.last_good).count();
    tracing::warn!(
        "generation {number} serves: {resources} resources, {refused} refused, {old} of them in \
         their last good version"
    );
    Outcome::Partial
}

/// Logs the resources that are gone, and the addresses that are new.
fn say_what_changed(before: &Status, draft: &Draft, addresses: &[(Arc<str>, SocketAddr)]) {
    let now: HashSet<_> = draft.resources.iter().map(|one| &one.resource).collect();
    let gone = before
        .resources
        .iter()
        .filter(|one| !now.contains(&one.resource));
    let gone: Vec<String> = gone.map(|one| one.resource.to_string()).collect();
    if let [first, others @ ..] = gone.as_slice() {
        match others.len() {
            0 => tracing::warn!("deleted: {first}"),
            more => tracing::warn!("deleted: {first} and {more} more"),
        }
    }
    for (name, address) in addresses {
        if !before.addresses.contains(&(Arc::clone(name), *address)) {
            tracing::info!("{name}: listening on {address}");
        }
    }
}

/// What is told of a plugin's versions; `code` has the digests of the code that there is.
pub(crate) fn versions(
    told: &Told<'_>,
    probation: Option<(SystemTime, u64)>,
    code: &HashSet<[u8; 32]>,
) -> VersionsStatus {
    let all = told.versions.entries().iter().map(|entry| VersionStatus {
        number: entry.number,
        digest: hex(&entry.version.digest),
        image: entry.detail.origin.image().map(str::to_owned),
        settings: entry.detail.settings.clone(),
        source: entry.detail.source.clone(),
        began: entry.began,
        proven: entry.proven,
        ended: entry.ended,
        is_kept: entry.detail.is_compiled() || code.contains(&entry.version.digest),
    });
    VersionsStatus {
        probation,
        held: told.held.map(|bar| HeldStatus {
            digest: hex(&bar.version.digest),
            at: bar.at,
            why: bar.why,
        }),
        all: all.collect(),
    }
}

/// Notes that nothing came of a load.
pub(crate) fn failed(board: &Board, loaded: Loaded, failure: String) -> Outcome {
    let number = board.read().generation;
    tracing::error!("generation {number} serves on, nothing of the change does: {failure}");
    board.write(|status| {
        status.problems = loaded.draft.problems.into();
        status.count(Outcome::Failure, Some(failure));
    });
    Outcome::Failure
}

/// Whether traffic meets a plugin of which there is no version, because its code is on its way.
fn is_awaited(decl: &PluginDecl, slot: &Slot, problems: &[Problem]) -> bool {
    let mut pending = problems.iter().filter(|one| waits_for_code(one.reason));
    decl.attached
        // Nobody waits for who only looks on.
        && decl.shadow.is_none()
        && matches!(slot, Slot::Refused(_))
        && pending.any(|one| one.resource.as_ref() == Some(&decl.resource))
}

fn certificates(loaded: &Loaded) -> Vec<CertificateStatus> {
    let names = loaded.snapshot.certificates.iter();
    let all = names.zip(&loaded.trust.certificates);
    let all = all.filter_map(|(name, one)| {
        let one = one.as_deref()?;
        Some(CertificateStatus {
            name: name.0.to_string(),
            subject: one.subject().to_owned(),
            dns_names: one.dns_names().map(str::to_owned).collect(),
            not_after: one.not_after(),
            sha256: hex(&one.sha256()),
        })
    });
    all.collect()
}

fn bundles(loaded: &Loaded) -> Vec<BundleStatus> {
    let names = loaded.snapshot.bundles.iter();
    let all = names.zip(&loaded.trust.bundles).filter_map(|(name, one)| {
        let one = one.as_deref()?;
        Some(BundleStatus {
            name: name.0.to_string(),
            authorities: one.authorities(),
            lists: one.lists(),
            next_update: one.next_update(),
        })
    });
    all.collect()
}

fn plugins(loaded: &Loaded) -> Vec<PluginStatus> {
    let Loaded {
        draft,
        snapshot,
        slots,
        ..
    } = loaded;
    let names = snapshot.plugins.iter();
    let all = names.zip(slots).zip(&draft.plugins);
    let all = all.map(|((name, slot), decl)| PluginStatus {
        is_awaited: is_awaited(decl, slot, &draft.problems),
        is_shadow: match slot {
            Slot::Ready { plugin, .. } => plugin.spec().shadow.is_some(),
            Slot::Refused(_) => decl.shadow.is_some(),
        },
        source: match &decl.source {
            PluginSource::Remote(source) => Some(Arc::clone(source)),
            _ => None,
        },
        ..plugin(&name.0, slot)
    });
    all.collect()
}

fn plugin(name: &str, slot: &Slot) -> PluginStatus {
    let (digest, policy, spec) = match slot {
        Slot::Ready { plugin, .. } => (
            Some(hex(plugin.module().digest())),
            plugin.spec().failure_policy,
            Some(plugin.spec()),
        ),
        Slot::Refused(policy) => (None, *policy, None),
    };
    PluginStatus {
        name: name.to_owned(),
        digest,
        fails_open: policy == FailurePolicy::FailOpen,
        kind: match spec.map(|spec| spec.kind) {
            Some(PluginKind::Service) => "Service",
            Some(PluginKind::Network) => "Network",
            Some(PluginKind::Http) | None => "Http",
        },
        isolation: match spec.map(|spec| spec.isolation) {
            Some(Isolation::Stream) => "Stream",
            Some(Isolation::Worker) | None => "Worker",
        },
        is_shadow: false,
        source: None,
        is_awaited: false,
    }
}
