//! What a guest may use up: memory, table elements, time, and the host's memory on its behalf.
//!
//! Owns the numbers and the wasmtime hook that enforces the first two. Time is enforced by
//! `budget`, the rest by the host call it concerns.

use std::time::Duration;

use wasmtime::ResourceLimiter;

/// The limits of one instance.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Limits {
    /// Linear memory in bytes.
    pub memory_bytes: usize,
    /// Elements of each table.
    pub table_elements: usize,
    /// CPU time of one callback.
    pub call_timeout: Duration,
    /// CPU time of instantiation, start and configuration of all plugins of an instance.
    pub start_timeout: Duration,
    /// HTTP calls of one plugin that wait for an answer.
    pub open_calls: usize,
    /// Instances of a plugin with [`crate::Isolation::Stream`] that may exist at once. This crate
    /// only keeps it.
    pub instances: usize,
    /// Bytes of HTTP calls that wait to be taken by the embedder, and of one body a guest edits.
    pub buffered_bytes: usize,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            memory_bytes: 64 << 20,
            // Go puts every function into its table: Coraza has more than 10,000.
            table_elements: 1 << 16,
            call_timeout: Duration::from_millis(10),
            start_timeout: Duration::from_secs(10),
            open_calls: 1024,
            instances: 256,
            buffered_bytes: 64 << 20,
        }
    }
}

/// The hook of one store.
#[derive(Debug)]
pub(crate) struct ResourceUse {
    memory_bytes: usize,
    table_elements: usize,
    /// Whether memory was refused since the guest was entered: a trap after that is most probably
    /// its allocator giving up.
    pub(crate) memory_refused: bool,
}

impl ResourceUse {
    pub(crate) const fn new(limits: &Limits) -> Self {
        Self {
            memory_bytes: limits.memory_bytes,
            table_elements: limits.table_elements,
            memory_refused: false,
        }
    }
}

impl ResourceLimiter for ResourceUse {
    fn memory_growing(
        &mut self,
        _current: usize,
        desired: usize,
        maximum: Option<usize>,
    ) -> wasmtime::Result<bool> {
        let allowed = desired <= self.memory_bytes && maximum.is_none_or(|most| desired <= most);
        self.memory_refused |= !allowed;
        Ok(allowed)
    }

    fn table_growing(
        &mut self,
        _current: usize,
        desired: usize,
        _maximum: Option<usize>,
    ) -> wasmtime::Result<bool> {
        Ok(desired <= self.table_elements)
    }
}
