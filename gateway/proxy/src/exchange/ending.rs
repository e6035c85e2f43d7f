//! The one end of an exchange: done, log, delete for its filters, one line in the access log.
//!
//! Owns that both happen exactly once, in whatever way the exchange ended. If its task is dropped
//! (a drain deadline), the rest is queued to the worker instead of entering guests from a
//! destructor.

use std::rc::Rc;
use std::sync::Arc;

use http::header::USER_AGENT;
use tidegate_core::failure::Failure;
use tidegate_core::forwarded::X_REQUEST_ID;
use tidegate_core::snapshot::Bind;

use crate::access_log::Record;
use crate::downstream::Downstream;
use crate::exchange::state::Phase;
use crate::exchange::state::StreamCell;
use crate::filters::canary;
use crate::filters::run;
use crate::worker::Late;
use crate::worker::Scene;
use crate::worker::Worker;

/// Ends its exchange once, at the latest when it is dropped.
#[derive(Debug)]
pub(crate) struct Ending<'a> {
    worker: &'a Worker,
    scene: &'a Scene,
    listener: &'a Arc<str>,
    stream: &'a Rc<StreamCell>,
    finished: bool,
}

/// The end of an exchange whose task was dropped in the middle.
#[derive(Debug)]
pub(crate) struct LateEnding {
    scene: Scene,
    listener: Arc<str>,
    stream: Rc<StreamCell>,
}

impl<'a> Ending<'a> {
    pub(crate) fn new(
        worker: &'a Worker,
        scene: &'a Scene,
        listener: &'a Arc<str>,
        stream: &'a Rc<StreamCell>,
    ) -> Self {
        Self {
            worker,
            scene,
            listener,
            stream,
            finished: false,
        }
    }

    /// Ends the exchange.
    pub(crate) fn finish(&mut self) {
        if std::mem::replace(&mut self.finished, true) {
            return;
        }
        self.stream.state().phase = Phase::Done;
        {
            let state = self.stream.state();
            if !state.picks.is_empty() {
                canary::count(&state);
            }
        }
        run::finish(self.stream);
        self.log();
    }

    fn log(&self) {
        {
            let state = self.stream.state();
            let status = state.response.status.as_u16();
            self.worker.counters.exchange(status, state.facts.flag);
        }
        let Some(log) = &self.worker.access_log else {
            return;
        };
        let state = self.stream.state();
        let facts = &state.facts;
        let headers = &state.request.headers;
        let bytes = |name| {
            headers
                .get(name)
                .map_or(&b""[..], http::HeaderValue::as_bytes)
        };
        log.record(
            self.scene.bind().access_log,
            &Record {
                unix_millis: facts.started_unix_nanos / 1_000_000,
                listener: self.listener,
                route: state.routed.as_ref().map_or("", |routed| &routed.rule.name),
                client: facts.client,
                method: state.request.method.as_str(),
                authority: state.request.authority.as_bytes(),
                path: state.request.path.as_bytes(),
                protocol: facts.version.as_str(),
                status: state.response.status.as_u16(),
                flag: facts.flag,
                details: &facts.details,
                received: facts.received,
                sent: facts.sent,
                duration: facts.started.elapsed(),
                backend: facts
                    .backend
                    .as_ref()
                    .map_or("", |state| state.backend.name.as_str()),
                endpoint: facts.endpoint,
                attempts: facts.attempts,
                request_id: bytes(&X_REQUEST_ID),
                user_agent: bytes(&USER_AGENT),
            },
        );
    }
}

impl LateEnding {
    /// Ends the exchange.
    pub(crate) fn finish(&self, worker: &Worker) {
        Ending::new(worker, &self.scene, &self.listener, &self.stream).finish();
    }
}

impl Drop for Ending<'_> {
    fn drop(&mut self) {
        if self.finished {
            return;
        }
        // The task was dropped in the middle: guests are entered later, by the worker.
        {
            let mut state = self.stream.state();
            if state.facts.flag.is_empty() {
                let verdict = Failure::DrainDeadline.verdict();
                state.facts.flag = verdict.flag;
                if state.phase < Phase::ResponseSent {
                    state.response.status = verdict.status;
                }
            }
        }
        let late = LateEnding {
            scene: self.scene.clone(),
            listener: Arc::clone(self.listener),
            stream: Rc::clone(self.stream),
        };
        if self.worker.finish_later(Late::Exchange(late)).is_err() {
            // The worker ends: no guest is entered any more.
            self.log();
        }
    }
}

/// What is known of a request that never became an exchange.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Asked<'a> {
    pub(crate) method: &'a str,
    pub(crate) target: &'a [u8],
    pub(crate) protocol: &'a str,
}

impl Asked<'_> {
    /// Its head could not be read.
    pub(crate) const NOTHING: Self = Self {
        method: "-",
        target: b"-",
        protocol: "-",
    };
}

/// Logs a request that never became an exchange.
pub(crate) fn log_refusal(
    down: &Downstream<'_>,
    bind: &Bind,
    failure: Failure,
    asked: &Asked<'_>,
    sent: u64,
) {
    let verdict = failure.verdict();
    let counters = &down.link.worker.counters;
    counters.exchange(verdict.status.as_u16(), verdict.flag);
    let Some(log) = &down.link.worker.access_log else {
        return;
    };
    log.record(
        bind.access_log,
        &Record {
            unix_millis: crate::clock::unix_nanos(std::time::SystemTime::now()) / 1_000_000,
            listener: &bind.name,
            route: "",
            client: down.link.peer.ip(),
            method: asked.method,
            authority: b"",
            path: asked.target,
            protocol: asked.protocol,
            status: verdict.status.as_u16(),
            flag: verdict.flag,
            details: b"",
            received: 0,
            sent,
            duration: down
                .head_started
                .map_or_else(Default::default, |since| since.elapsed()),
            backend: "",
            endpoint: None,
            attempts: 0,
            request_id: b"",
            user_agent: b"",
        },
    );
}
