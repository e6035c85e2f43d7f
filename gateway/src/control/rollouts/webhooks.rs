//! Receivers of notices about rollouts, and the thread that tells them.
//!
//! Owns the way of a notice to its receiver; in which order and how often is
//! `tidegate_core::rollout::outbox`'s. The requests are made by workers, with the backends of the
//! generation that serves: nothing else can be reached. Nobody waits for any of it, and no rollout does.

use std::collections::BTreeMap;
use std::collections::VecDeque;
use std::fmt;
use std::sync::Arc;
use std::sync::Mutex;
use std::sync::MutexGuard;
use std::sync::PoisonError;
use std::sync::atomic::AtomicBool;
use std::sync::atomic::Ordering;
use std::sync::mpsc;
use std::thread::JoinHandle;
use std::time::Duration;
use std::time::Instant;

use bytes::Bytes;
use http::HeaderMap;
use http::HeaderValue;
use http::StatusCode;
use http::header::CONTENT_TYPE;
use http::header::USER_AGENT;
use tidegate_core::rollout::outbox::AttemptId;
use tidegate_core::rollout::outbox::FIRST_PAUSE;
use tidegate_core::rollout::outbox::MOST_ALTOGETHER;
use tidegate_core::rollout::outbox::Outbox;
use tidegate_core::rollout::outbox::Outcome;
use tidegate_proxy::OwnRequest;
use tidegate_proxy::Remote;
use tidegate_proxy::Unanswered;

use crate::status::WebhookStatus;

/// How long beyond its time limit an attempt is waited for: its worker may be busy.
const GRACE: Duration = Duration::from_secs(5);
/// Nothing is due: the thread looks all the same.
const IDLE: Duration = Duration::from_secs(60);

/// Who is told. Its `Debug` does not show the path, which may be a secret.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Receiver {
    /// Of which plugin's rollout.
    pub(crate) plugin: Arc<str>,
    pub(crate) backend: Arc<str>,
    pub(crate) host: Option<String>,
    pub(crate) path: String,
}

impl fmt::Debug for Receiver {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Receiver")
            .field("plugin", &self.plugin)
            .field("backend", &self.backend)
            .finish_non_exhaustive()
    }
}

/// What somebody is told.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Notice {
    /// The event, for logs.
    pub(crate) event: String,
    /// The JSON.
    pub(crate) body: String,
    /// How long an attempt may take.
    pub(crate) timeout: Duration,
}

/// All notices that are not delivered, and the thread that delivers them.
#[derive(Debug, Default)]
pub(super) struct Webhooks {
    shared: Arc<Shared>,
    /// What is not kept yet: nobody is told of it.
    staged: VecDeque<(Receiver, Notice)>,
    remote: Option<Remote>,
    thread: Option<(mpsc::Sender<Word>, JoinHandle<()>)>,
}

#[derive(Debug, Default)]
struct Shared {
    inner: Mutex<Inner>,
    /// Whether something was delivered or given up since it was last asked.
    has_changed: AtomicBool,
}

#[derive(Debug, Default)]
struct Inner {
    outbox: Outbox<Receiver, Notice>,
    /// By plugin.
    counts: BTreeMap<Arc<str>, Counts>,
}

#[derive(Debug, Clone, Copy, Default)]
struct Counts {
    delivered: u64,
    retried: u64,
    given_up: u64,
}

/// What the thread is told.
#[derive(Debug)]
enum Word {
    /// There may be something to send.
    Look,
    /// An attempt has ended.
    Answered(AttemptId, Result<StatusCode, Unanswered>),
    /// The gateway ends.
    End,
}

impl Webhooks {
    /// Sends through that gateway.
    pub(super) fn set_remote(&mut self, remote: Remote) {
        self.remote = Some(remote);
    }

    /// Takes a notice. It is not sent before [`Webhooks::release`] is called: first it is to be kept.
    pub(super) fn push(&mut self, receiver: Receiver, notice: Notice) {
        self.staged.push_back((receiver, notice));
        if self.staged.len() > MOST_ALTOGETHER
            && let Some((receiver, lost)) = self.staged.pop_front()
        {
            self.shared.lose(&receiver, &lost);
        }
    }

    /// What was taken is kept now, and may be sent.
    pub(super) fn release(&mut self) {
        for (receiver, notice) in self.staged.drain(..) {
            let lost = self.shared.lock().outbox.push(receiver.clone(), notice);
            if let Some(lost) = lost {
                self.shared.lose(&receiver, &lost);
            }
        }
    }

    /// Sends what waits. Only the thread that does so is started here, with the first notice.
    pub(super) fn send(&mut self) {
        if self.shared.lock().outbox.is_empty() {
            return;
        }
        if let Some((words, _)) = &self.thread {
            words.send(Word::Look).ok();
            return;
        }
        let Some(remote) = self.remote.clone() else {
            return;
        };
        let (words, inbox) = mpsc::channel();
        let (shared, answers) = (Arc::clone(&self.shared), words.clone());
        let thread = std::thread::Builder::new()
            .name("rollout-webhooks".to_owned())
            .spawn(move || run(&shared, &remote, &answers, &inbox));
        match thread {
            Ok(thread) => self.thread = Some((words, thread)),
            // It is tried again with the next notice.
            Err(err) => tracing::error!("nobody is told of rollouts: cannot start a thread: {err}"),
        }
    }

    /// All that is not delivered, the oldest first for each receiver.
    pub(super) fn waiting(&self) -> Vec<(Receiver, Notice)> {
        let inner = self.shared.lock();
        let waiting = inner.outbox.waiting();
        let waiting = waiting.map(|(receiver, notice)| (receiver.clone(), notice.clone()));
        waiting.chain(self.staged.iter().cloned()).collect()
    }

    /// Whether something is to be kept before it is sent.
    pub(super) fn has_staged(&self) -> bool {
        !self.staged.is_empty()
    }

    /// Whether what waits is to be kept anew.
    pub(super) fn has_changed(&self) -> bool {
        self.shared.has_changed.load(Ordering::Relaxed)
    }

    /// From now on changes are others.
    pub(super) fn note_kept(&self) {
        self.shared.has_changed.store(false, Ordering::Relaxed);
    }

    /// What is told of those of a plugin.
    pub(super) fn status(&self, plugin: &str) -> WebhookStatus {
        let inner = self.shared.lock();
        let waiting = inner.outbox.waiting();
        let staged = self.staged.iter().map(|(receiver, _)| receiver);
        let waiting = waiting.map(|(receiver, _)| receiver).chain(staged);
        let waiting = waiting.filter(|receiver| *receiver.plugin == *plugin);
        let waiting = waiting.count();
        let counts = inner.counts.get(plugin).copied().unwrap_or_default();
        let Counts {
            delivered,
            retried,
            given_up,
        } = counts;
        WebhookStatus {
            waiting,
            results: [
                ("delivered", delivered),
                ("retried", retried),
                ("given_up", given_up),
            ],
        }
    }
}

impl Drop for Webhooks {
    fn drop(&mut self) {
        if let Some((words, thread)) = self.thread.take() {
            words.send(Word::End).ok();
            thread.join().ok();
        }
    }
}

impl Shared {
    fn lock(&self) -> MutexGuard<'_, Inner> {
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Notes that too many notices wait for one more, and says it.
    fn lose(&self, receiver: &Receiver, lost: &Notice) {
        let Receiver {
            plugin, backend, ..
        } = receiver;
        let mut inner = self.lock();
        inner.counts.entry(Arc::clone(plugin)).or_default().given_up += 1;
        drop(inner);
        let event = &lost.event;
        tracing::error!(
            "rollout of plugin {plugin}: backend {backend} is never told of {event:?}: too many \
             notices wait"
        );
    }

    /// Notes how an attempt ended, and says it.
    fn answered(&self, attempt: AttemptId, answered: Result<StatusCode, Unanswered>) {
        let failure = match answered {
            Ok(status) if status.is_success() => None,
            Ok(status) => Some(format!("it answered {}", status.as_u16())),
            Err(unanswered) => Some(unanswered.to_string()),
        };
        let mut inner = self.lock();
        let Inner { outbox, counts } = &mut *inner;
        let ended = outbox.answered(attempt, failure.is_none(), Instant::now());
        let Some((receiver, Notice { event, .. }, outcome)) = ended else {
            return;
        };
        let count = counts.entry(Arc::clone(&receiver.plugin)).or_default();
        match outcome {
            Outcome::Delivered => count.delivered += 1,
            Outcome::Again(_) => count.retried += 1,
            Outcome::GivenUp => count.given_up += 1,
        }
        drop(inner);
        if !matches!(outcome, Outcome::Again(_)) {
            self.has_changed.store(true, Ordering::Relaxed);
        }
        let Receiver {
            plugin, backend, ..
        } = receiver;
        let failure = failure.unwrap_or_default();
        match outcome {
            Outcome::Delivered => {
                tracing::debug!("rollout of plugin {plugin}: backend {backend} knows of {event:?}");
            }
            Outcome::Again(FIRST_PAUSE) => tracing::warn!(
                "rollout of plugin {plugin}: backend {backend} does not know of {event:?} yet, and is \
                 told again: {failure}"
            ),
            Outcome::Again(_) => tracing::debug!(
                "rollout of plugin {plugin}: backend {backend} still does not know of {event:?}: \
                 {failure}"
            ),
            Outcome::GivenUp => tracing::error!(
                "rollout of plugin {plugin}: backend {backend} is never told of {event:?}: {failure}"
            ),
        }
    }
}

/// Sends until the gateway ends.
fn run(shared: &Shared, remote: &Remote, words: &mpsc::Sender<Word>, inbox: &mpsc::Receiver<Word>) {
    // Until when attempts are waited for: a worker that ends answers nothing.
    let mut patience: BTreeMap<AttemptId, Instant> = BTreeMap::new();
    loop {
        let now = Instant::now();
        let over = patience.extract_if(.., |_, until| *until <= now);
        for (attempt, _) in over {
            shared.answered(attempt, Err(Unanswered::TimedOut));
        }
        let due = shared.lock().outbox.take_due(now);
        for (attempt, receiver, notice) in due {
            patience.insert(attempt, now + notice.timeout + GRACE);
            let words = words.clone();
            let done = move |answered| {
                // A gateway that has ended does not listen.
                words.send(Word::Answered(attempt, answered)).ok();
            };
            match request(&receiver, notice) {
                Some(request) => remote.post(request, done),
                // Not reached: the schema has looked at it.
                None => done(Err(Unanswered::Failed("invalid_header"))),
            }
        }
        let next = [
            shared.lock().outbox.next_due(now),
            patience.values().min().copied(),
        ];
        let next = next.into_iter().flatten().min();
        let wait = next.map_or(IDLE, |next| next.saturating_duration_since(now));
        match inbox.recv_timeout(wait) {
            Ok(Word::Answered(attempt, answered)) => {
                patience.remove(&attempt);
                shared.answered(attempt, answered);
            }
            Ok(Word::Look) | Err(mpsc::RecvTimeoutError::Timeout) => {}
            Ok(Word::End) | Err(mpsc::RecvTimeoutError::Disconnected) => return,
        }
    }
}

/// A notice as it is sent; `None` if no request can say it.
fn request(receiver: &Receiver, notice: Notice) -> Option<OwnRequest> {
    let mut headers = HeaderMap::new();
    headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
    let agent = concat!("tidegate/", env!("CARGO_PKG_VERSION"));
    headers.insert(USER_AGENT, HeaderValue::from_static(agent));
    let authority = receiver.host.as_deref().map(HeaderValue::from_str);
    Some(OwnRequest {
        backend: Arc::clone(&receiver.backend),
        authority: authority.transpose().ok()?,
        path: HeaderValue::from_str(&receiver.path).ok()?,
        headers,
        body: Bytes::from(notice.body),
        limit: notice.timeout,
    })
}

#[cfg(test)]
mod tests {
    use std::time::Duration;
    use std::time::Instant;

    use tidegate_core::rollout::outbox::MOST_ALTOGETHER;

    use super::Notice;
    use super::Receiver;
    use super::Webhooks;

    fn receiver() -> Receiver {
        Receiver {
            plugin: "default/a".into(),
            backend: "default/hooks".into(),
            host: None,
            path: "/".to_owned(),
        }
    }

    fn notice(event: &str) -> Notice {
        Notice {
            event: event.to_owned(),
            body: "{}".to_owned(),
            timeout: Duration::from_secs(1),
        }
    }

    #[test]
    fn what_is_not_kept_yet_is_not_due_though_it_waits() {
        let mut webhooks = Webhooks::default();
        webhooks.push(receiver(), notice("started"));
        // The thread looks whenever it wakes.
        let due = |webhooks: &Webhooks| webhooks.shared.lock().outbox.take_due(Instant::now());
        assert_eq!(due(&webhooks).len(), 0);
        assert_eq!(webhooks.waiting().len(), 1, "it is to be kept");
        assert_eq!(webhooks.status("default/a").waiting, 1);
        webhooks.release();
        assert_eq!(due(&webhooks).len(), 1);
        assert!(!webhooks.has_staged());
        assert_eq!(webhooks.waiting().len(), 1);
    }

    #[test]
    fn another_timeout_is_no_other_receiver() {
        let mut webhooks = Webhooks::default();
        webhooks.push(receiver(), notice("started"));
        let later = Notice {
            timeout: Duration::from_secs(2),
            ..notice("held")
        };
        webhooks.push(receiver(), later);
        webhooks.release();
        let due = webhooks.shared.lock().outbox.take_due(Instant::now());
        let due: Vec<&str> = due.iter().map(|(_, _, it)| it.event.as_str()).collect();
        assert_eq!(due, ["started"], "one after the other");
    }

    #[test]
    fn of_too_many_that_cannot_be_kept_the_oldest_is_given_up() {
        let mut webhooks = Webhooks::default();
        webhooks.push(receiver(), notice("first"));
        for _ in 0..MOST_ALTOGETHER {
            webhooks.push(receiver(), notice("other"));
        }
        let waiting = webhooks.waiting();
        assert_eq!(waiting.len(), MOST_ALTOGETHER);
        assert!(waiting.iter().all(|(_, notice)| notice.event == "other"));
    }
}
