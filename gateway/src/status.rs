//! What the gateway says about itself: written by the control thread, read by the admin API.
//!
//! Owns the one place where both meet. Readers take a snapshot and never wait for a reload.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::Mutex;
use std::sync::OnceLock;
use std::sync::PoisonError;
use std::time::Duration;
use std::time::Instant;
use std::time::SystemTime;

use tidegate_config::draft::RemoteSource;
use tidegate_config::draft::ResourceStatus;
use tidegate_config::problem::Problem;
use tidegate_config::problem::Severity;
use tidegate_core::rollout::history::End;
use tidegate_core::rollout::history::Why;
use tidegate_core::rollout::judge::Finding;
use tidegate_core::rollout::split::Share;
use tidegate_core::snapshot::Snapshot;
use tidegate_proxy::LastFault;
use tidegate_proxy::Metrics;
use tidegate_proxy::Remote;

use crate::code_cache::Counts;
use crate::pulls::PullBoard;

/// How a reload ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Outcome {
    /// Everything in the files serves.
    Success,
    /// A new generation serves; what is refused keeps its last good version.
    Partial,
    /// The generation before serves on.
    Failure,
}

impl Outcome {
    /// All of them.
    pub(crate) const ALL: [Self; 3] = [Self::Success, Self::Partial, Self::Failure];

    /// The label of the metric.
    pub(crate) fn label(self) -> &'static str {
        match self {
            Self::Success => "success",
            Self::Partial => "partial",
            Self::Failure => "failure",
        }
    }
}

/// The last reload.
#[derive(Debug, Clone)]
pub(crate) struct Reload {
    /// How it ended.
    pub(crate) outcome: Outcome,
    /// When.
    pub(crate) at: SystemTime,
    /// Why no generation came of it, if none did.
    pub(crate) failure: Option<String>,
}

/// A plugin of the generation that serves.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct PluginStatus {
    /// Its name, `namespace/name`.
    pub(crate) name: String,
    /// SHA-256 of its code in hexadecimal digits; `None` if no version of it works.
    pub(crate) digest: Option<String>,
    /// Whether its requests pass if it cannot decide.
    pub(crate) fails_open: bool,
    /// What it is for: `Http` or `Service`.
    pub(crate) kind: &'static str,
    /// Whether it only looks on.
    pub(crate) is_shadow: bool,
    /// How many requests an instance serves: those of a `Worker`, or one `Stream`.
    pub(crate) isolation: &'static str,
    /// Where its code is wanted from, if that is in the network.
    pub(crate) source: Option<Arc<RemoteSource>>,
    /// Whether there is no version of it yet, and what a listener serves passes it.
    pub(crate) is_awaited: bool,
}

/// What is told of the rollout of a plugin.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct RolloutStatus {
    /// What it is in.
    pub(crate) phase: &'static str,
    /// Which share the canary gets.
    pub(crate) share: Share,
    /// Which share it has reached, whatever it gets now.
    pub(crate) reached: Share,
    /// For how long it has had that.
    pub(crate) since: Duration,
    /// When it can get more at the earliest.
    pub(crate) next_step_in: Option<Duration>,
    /// Why it was aborted, or cannot be had.
    pub(crate) why: Option<String>,
    /// What the criteria say.
    pub(crate) findings: Vec<Finding>,
    /// Streams of the stable version and of the canary, by how they ended.
    pub(crate) counted: [[(&'static str, u64); 4]; 2],
    /// How often what happened to it.
    pub(crate) events: Vec<(&'static str, u64)>,
    /// What became of the notices to its receivers.
    pub(crate) webhooks: WebhookStatus,
}

/// What is told of notices about a rollout.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct WebhookStatus {
    /// How many are not delivered yet.
    pub(crate) waiting: usize,
    /// How many attempts and notices ended how.
    pub(crate) results: [(&'static str, u64); 3],
}

/// What is told of a plugin's versions.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct VersionsStatus {
    /// Until when the one that serves is on probation, and the number of the one that it goes back to.
    pub(crate) probation: Option<(SystemTime, u64)>,
    /// Why the one that is asked for does not serve, if it was taken back.
    pub(crate) held: Option<HeldStatus>,
    /// All that are remembered, the oldest first.
    pub(crate) all: Vec<VersionStatus>,
}

/// A version that was taken back and is still asked for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct HeldStatus {
    /// SHA-256 of its code in hexadecimal digits.
    pub(crate) digest: String,
    /// Since when, in seconds since 1970.
    pub(crate) at: u64,
    /// Why.
    pub(crate) why: Why,
}

/// A version of a plugin that serves or has served.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct VersionStatus {
    /// Its number.
    pub(crate) number: u64,
    /// SHA-256 of its code in hexadecimal digits.
    pub(crate) digest: String,
    /// The digest of the image that it was in, as registries write it, if it was in one and that was
    /// noted.
    pub(crate) image: Option<String>,
    /// Tells its settings from others.
    pub(crate) settings: String,
    /// Where its code came from.
    pub(crate) source: String,
    /// Since when it served, in seconds since 1970.
    pub(crate) began: u64,
    /// Whether it has stood its probation.
    pub(crate) proven: bool,
    /// When and why it ended.
    pub(crate) ended: Option<(u64, End)>,
    /// Whether it can be gone back to.
    pub(crate) is_kept: bool,
}

/// A certificate with its key that serves.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct CertificateStatus {
    /// Its name, `namespace/name`.
    pub(crate) name: String,
    /// Its subject (RFC 2253).
    pub(crate) subject: String,
    /// The DNS names that it is for.
    pub(crate) dns_names: Vec<String>,
    /// Until when it is good.
    pub(crate) not_after: SystemTime,
    /// SHA-256 of it in hexadecimal digits.
    pub(crate) sha256: String,
}

/// Authorities that are believed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct BundleStatus {
    /// Their name, `namespace/name`.
    pub(crate) name: String,
    /// How many there are.
    pub(crate) authorities: usize,
    /// How many lists of revoked certificates there are.
    pub(crate) lists: usize,
    /// When the first of the lists is out of date.
    pub(crate) next_update: Option<SystemTime>,
}

/// A resource as it was accepted, without its text, which may hold secrets.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Accepted {
    /// Which one.
    pub(crate) resource: String,
    /// The file it stands in.
    pub(crate) file: PathBuf,
    /// The line it begins at.
    pub(crate) line: u32,
}

/// Everything at one moment.
#[derive(Debug, Clone, Default)]
pub(crate) struct Status {
    /// The generation that serves; 0 before the first.
    pub(crate) generation: u64,
    /// Whether the gateway is about to end.
    pub(crate) draining: bool,
    /// What serves.
    pub(crate) snapshot: Option<Arc<Snapshot>>,
    /// Where it listens, by bind.
    pub(crate) addresses: Arc<[(Arc<str>, SocketAddr)]>,
    /// The plugins that serve.
    pub(crate) plugins: Arc<[PluginStatus]>,
    /// The rollouts of plugins, by name.
    pub(crate) rollouts: Arc<BTreeMap<String, RolloutStatus>>,
    /// The versions of plugins, by name.
    pub(crate) versions: Arc<BTreeMap<String, VersionsStatus>>,
    /// How often plugins were taken back, by name and why.
    pub(crate) rollbacks: BTreeMap<(String, &'static str), u64>,
    /// The certificates that serve.
    pub(crate) certificates: Arc<[CertificateStatus]>,
    /// The authorities that are believed.
    pub(crate) bundles: Arc<[BundleStatus]>,
    /// The resources that serve.
    pub(crate) accepted: Arc<[Accepted]>,
    /// The resources of the last load, with their conditions.
    pub(crate) resources: Arc<[ResourceStatus]>,
    /// The problems of the last load.
    pub(crate) problems: Arc<[Problem]>,
    /// The last load.
    pub(crate) reload: Option<Reload>,
    /// Loads by how they ended, in the order of [`Outcome::ALL`].
    pub(crate) reloads: [u64; 3],
    /// What the cache of compiled plugins does, if there is one.
    pub(crate) code_cache: Option<Arc<Counts>>,
    /// Until when readiness waits for plugins that are awaited; `None` once it does not.
    pub(crate) waits_until: Option<Instant>,
}

impl Status {
    /// Notes how a load ended.
    pub(crate) fn count(&mut self, outcome: Outcome, failure: Option<String>) {
        for (count, of) in self.reloads.iter_mut().zip(Outcome::ALL) {
            *count += u64::from(of == outcome);
        }
        self.reload = Some(Reload {
            outcome,
            at: SystemTime::now(),
            failure,
        });
    }

    /// How many problems of that severity the last load has.
    pub(crate) fn problems_of(&self, severity: Severity) -> usize {
        let of = |problem: &&Problem| problem.severity == severity;
        self.problems.iter().filter(of).count()
    }

    /// Why no traffic should come at that time; `None` if it may.
    pub(crate) fn not_ready(&self, now: Instant) -> Option<&'static str> {
        if self.draining {
            Some("draining")
        } else if self.generation == 0 {
            Some("no configuration serves yet")
        } else if self.waits_until.is_some_and(|until| now < until) {
            Some("waiting for plugins that are being pulled")
        } else {
            None
        }
    }

    /// Whether there are plugins that nothing can be served without, and that are not here yet.
    pub(crate) fn awaits_plugins(&self) -> bool {
        self.plugins.iter().any(|plugin| plugin.is_awaited)
    }
}

/// Where the status is published. Cloning it is cheap.
#[derive(Debug, Clone, Default)]
pub(crate) struct Board {
    status: Arc<Mutex<Arc<Status>>>,
    gateway: Arc<Mutex<Option<Remote>>>,
    pulls: Arc<OnceLock<PullBoard>>,
}

impl Board {
    /// The status now.
    pub(crate) fn read(&self) -> Arc<Status> {
        Arc::clone(&self.status.lock().unwrap_or_else(PoisonError::into_inner))
    }

    /// Changes the status.
    pub(crate) fn write(&self, change: impl FnOnce(&mut Status)) {
        let mut status = self.status.lock().unwrap_or_else(PoisonError::into_inner);
        let mut next = Status::clone(&status);
        change(&mut next);
        *status = Arc::new(next);
    }

    /// Takes the gateway whose numbers are to be shown.
    pub(crate) fn set_gateway(&self, gateway: Remote) {
        let mut place = self.gateway.lock().unwrap_or_else(PoisonError::into_inner);
        *place = Some(gateway);
    }

    /// Takes what is known of pulls, once.
    pub(crate) fn set_pulls(&self, pulls: PullBoard) {
        self.pulls.set(pulls).ok();
    }

    /// What is known of pulls, if there are any.
    pub(crate) fn pulls(&self) -> Option<&PullBoard> {
        self.pulls.get()
    }

    /// The last fault of each plugin.
    pub(crate) fn last_faults(&self) -> BTreeMap<String, LastFault> {
        let gateway = self.gateway.lock().unwrap_or_else(PoisonError::into_inner);
        let gateway = gateway.clone();
        gateway.map_or_else(BTreeMap::new, |gateway| gateway.last_faults())
    }

    /// What the data plane has counted; nothing before it runs.
    pub(crate) fn metrics(&self) -> Metrics {
        let gateway = self.gateway.lock().unwrap_or_else(PoisonError::into_inner);
        let gateway = gateway.clone();
        gateway.map_or_else(Metrics::default, |gateway| gateway.metrics())
    }
}
