//! The one end of a connection that is passed on as bytes.
//!
//! Owns the line in the access log, the listener's numbers and the end of filters' contexts: each
//! exactly once, in whatever way the connection ended. If its task is dropped (a drain deadline),
//! guests are entered later, by the worker.

use std::rc::Rc;
use std::sync::Arc;
use std::time::Instant;
use std::time::SystemTime;

use tidegate_core::failure::Failure;
use tidegate_core::snapshot::AccessLog as Format;
use tidegate_core::tcp::TcpRule;
use tidegate_host_abi::PeerType;

use crate::access_log::Record;
use crate::tcp::TcpClient;
use crate::tcp::filters;
use crate::tcp::relay::End;
use crate::tcp::stream::ConnectionCell;
use crate::tcp::stream::ConnectionState;
use crate::tcp::stream::Facts;
use crate::tcp::stream::Tally;
use crate::worker::Late;
use crate::worker::Scene;
use crate::worker::Worker;

/// Ends its connection once, at the latest when it is dropped.
#[derive(Debug)]
pub(super) struct Ending<'a> {
    worker: &'a Worker,
    format: Format,
    pub(super) stream: Rc<ConnectionCell>,
    finished: bool,
}

/// The end of a connection whose task was dropped.
#[derive(Debug)]
pub(crate) struct LateEnding {
    format: Format,
    stream: Rc<ConnectionCell>,
}

impl<'a> Ending<'a> {
    /// A connection begins.
    pub(super) fn new(
        worker: &'a Worker,
        scene: &Scene,
        rule: &Arc<TcpRule>,
        client: &TcpClient,
    ) -> Self {
        let listener = worker.counters.tcp(&rule.listener);
        listener.opened();
        let facts = Facts {
            rule: Arc::clone(rule),
            peer: client.peer,
            local: client.local,
            id: client.id,
            server_name: client.server_name.clone(),
            secured: client.secured.clone(),
            started: Instant::now(),
            started_unix_nanos: crate::clock::unix_nanos(SystemTime::now()),
            backend: None,
            endpoint: None,
            origin_local: None,
            attempts: 0,
            tally: Rc::new(Tally::new(listener)),
            flag: "",
            closed_by: PeerType::Unknown,
            details: String::new(),
        };
        Self {
            worker,
            format: scene.bind().access_log,
            stream: Rc::new(ConnectionCell::new(ConnectionState::new(facts))),
            finished: false,
        }
    }

    /// Where its bytes are counted.
    pub(super) fn tally(&self) -> Rc<Tally> {
        Rc::clone(&self.stream.state().facts.tally)
    }

    /// The connection has ended: by both peers' word, or by a failure.
    pub(super) fn finish(&mut self, end: End) {
        if std::mem::replace(&mut self.finished, true) {
            return;
        }
        note(&self.stream, end);
        filters::finish(&self.stream);
        log(self.worker, self.format, &self.stream);
    }
}

impl LateEnding {
    /// Ends the connection.
    pub(crate) fn finish(&self, worker: &Worker) {
        filters::finish(&self.stream);
        log(worker, self.format, &self.stream);
    }
}

impl Drop for Ending<'_> {
    fn drop(&mut self) {
        if self.finished {
            return;
        }
        note(&self.stream, End::Failed(Failure::DrainDeadline));
        let late = LateEnding {
            format: self.format,
            stream: Rc::clone(&self.stream),
        };
        if self.worker.finish_later(Late::Connection(late)).is_err() {
            // The worker ends: no guest is entered any more.
            log(self.worker, self.format, &self.stream);
        }
    }
}

fn note(stream: &ConnectionCell, end: End) {
    let mut state = stream.state();
    let failure = match end {
        End::Client | End::Origin => None,
        End::Failed(failure) => Some(failure),
    };
    state.facts.flag = failure.map_or("", |failure| failure.verdict().flag);
    state.facts.closed_by = match end {
        End::Client | End::Failed(Failure::ClientClosed) => PeerType::Remote,
        End::Origin | End::Failed(_) => PeerType::Local,
    };
    if !failure.is_some_and(Failure::is_of_plugin) {
        state.facts.details.clear();
    }
    state.facts.tally.listener.closed();
}

fn log(worker: &Worker, format: Format, stream: &ConnectionCell) {
    let state = stream.state();
    if !state.facts.flag.is_empty() {
        worker.counters.connection_flag(state.facts.flag);
    }
    if let Some(log) = &worker.access_log {
        log.record(format, &record(&state.facts));
    }
}

fn record(facts: &Facts) -> Record<'_> {
    let Facts {
        rule,
        peer,
        server_name,
        started,
        started_unix_nanos,
        backend,
        endpoint,
        attempts,
        tally,
        flag,
        details,
        local: _,
        id: _,
        closed_by: _,
        secured: _,
        origin_local: _,
    } = facts;
    let backend = backend.as_ref();
    Record {
        unix_millis: started_unix_nanos / 1_000_000,
        listener: &rule.listener,
        route: &rule.name,
        client: peer.ip(),
        authority: server_name.as_ref().map_or(b"", |name| name.as_bytes()),
        flag,
        details: details.as_bytes(),
        received: tally.received(),
        sent: tally.sent(),
        duration: started.elapsed(),
        backend: backend.map_or("", |state| state.backend.name.as_str()),
        endpoint: *endpoint,
        attempts: *attempts,
        ..Record::of_connection()
    }
}
