//! Numbers of the connections that are passed on as bytes, by listener.

use std::sync::atomic::AtomicU64;
use std::sync::atomic::Ordering;

use super::add;

/// The connections of a listener that are passed on as bytes.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct TcpNumbers {
    /// Those that came.
    pub connections: u64,
    /// Those that are open now.
    pub open: u64,
    /// Bytes from clients.
    pub received: u64,
    /// Bytes to clients.
    pub sent: u64,
}

/// What one worker counts of a listener's connections that are passed on as bytes.
#[derive(Debug, Default)]
pub(crate) struct TcpCounters {
    connections: AtomicU64,
    open: AtomicU64,
    received: AtomicU64,
    sent: AtomicU64,
}

impl TcpCounters {
    /// A connection came.
    pub(crate) fn opened(&self) {
        add(&self.connections, 1);
        add(&self.open, 1);
    }

    /// A connection ended.
    pub(crate) fn closed(&self) {
        let open = self.open.load(Ordering::Relaxed);
        self.open.store(open.saturating_sub(1), Ordering::Relaxed);
    }

    /// So many bytes more came from a client.
    pub(crate) fn received(&self, bytes: u64) {
        add(&self.received, bytes);
    }

    /// So many bytes more went to a client.
    pub(crate) fn sent(&self, bytes: u64) {
        add(&self.sent, bytes);
    }

    /// Adds what was counted to a sum.
    pub(super) fn add_to(&self, sum: &mut TcpNumbers) {
        sum.connections += self.connections.load(Ordering::Relaxed);
        sum.open += self.open.load(Ordering::Relaxed);
        sum.received += self.received.load(Ordering::Relaxed);
        sum.sent += self.sent.load(Ordering::Relaxed);
    }
}
