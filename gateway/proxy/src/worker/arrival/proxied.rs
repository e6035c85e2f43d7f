//! The PROXY protocol header before all else that a client sends.
//!
//! Owns reading it: never a byte more than it has, so that whoever comes next finds the connection
//! as if it began there.

use std::net::SocketAddr;
use std::time::Duration;
use std::time::Instant;
use std::time::SystemTime;

use tidegate_core::failure::Failure;
use tidegate_core::proxy_protocol::Beginning;
use tidegate_core::proxy_protocol::Ends;
use tidegate_core::proxy_protocol::LONGEST;
use tidegate_core::proxy_protocol::decode;
use tidegate_core::snapshot::Bind;
use tokio::io::AsyncReadExt as _;

use crate::access_log::Record;
use crate::worker::arrival::Arrival;

/// How much of a header is looked at in one go: all but those with very many extensions.
const LOOK: usize = 512;

impl Arrival {
    /// Reads the header and takes the ends that it names for the connection's own. False if there
    /// is none: that is counted and logged.
    pub(super) async fn learn_ends(&mut self, bind: &Bind) -> bool {
        let began = Instant::now();
        let limit = bind.timeouts.header_read;
        match self.read_ends(limit).await {
            Ok(Some(ends)) => {
                let of = |end: SocketAddr| SocketAddr::new(end.ip().to_canonical(), end.port());
                self.peer = of(ends.source);
                self.local = of(ends.destination);
                true
            }
            Ok(None) => true,
            Err(failure) => {
                self.log_refusal(bind, failure, began);
                false
            }
        }
    }

    async fn read_ends(&mut self, limit: Duration) -> Result<Option<Ends>, Failure> {
        // The limit is for all of the header. A deadline of its own: nobody hurries it.
        let deadline = self.worker.wheel.deadline();
        match deadline.limit(limit, self.take_header()).await {
            Ok(read) => read,
            Err(_) => Err(Failure::ProxyHeaderTimeout),
        }
    }

    /// Looks at what has come, and takes as much of it as is of the header.
    async fn take_header(&mut self) -> Result<Option<Ends>, Failure> {
        let gone = |_| Failure::ClientClosed;
        let mut header = Vec::with_capacity(LOOK);
        loop {
            let taken = header.len();
            header.resize(taken + LOOK, 0);
            let place = header.get_mut(taken..).unwrap_or_default();
            let seen = self.stream.peek(place).await.map_err(gone)?;
            if seen == 0 {
                return Err(Failure::ClientClosed);
            }
            header.truncate(taken + seen);
            let beginning = decode(&header).map_err(|_| Failure::BadProxyHeader)?;
            let (end, ends) = match beginning {
                Beginning::Header { length, ends } => (length, Some(ends)),
                Beginning::Incomplete if header.len() < LONGEST => (header.len(), None),
                Beginning::Incomplete => return Err(Failure::BadProxyHeader),
            };
            let place = header.get_mut(taken..end).unwrap_or_default();
            self.stream.read_exact(place).await.map_err(gone)?;
            if let Some(ends) = ends {
                return Ok(ends);
            }
        }
    }

    fn log_refusal(&self, bind: &Bind, failure: Failure, began: Instant) {
        let verdict = failure.verdict();
        self.worker.counters.connection_flag(verdict.flag);
        let Some(log) = &self.worker.access_log else {
            return;
        };
        log.record(
            bind.access_log,
            &Record {
                unix_millis: crate::clock::unix_nanos(SystemTime::now()) / 1_000_000,
                listener: &bind.name,
                client: self.peer.ip(),
                flag: verdict.flag,
                duration: began.elapsed(),
                ..Record::of_connection()
            },
        );
    }
}
