//! Counts the bytes that a pull takes.

use std::collections::HashMap;
use std::sync::Mutex;
use std::sync::PoisonError;

use tidegate_plugin_store::Digest;
use tidegate_plugin_store::progress::Progress;
use tidegate_plugin_store::progress::Step;

/// Bytes received, by layer.
#[derive(Debug, Default)]
pub(super) struct Counting(Mutex<HashMap<Digest, u64>>);

impl Counting {
    /// All of them.
    pub(super) fn bytes(&self) -> u64 {
        let received = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        received.values().sum()
    }
}

impl Progress for Counting {
    fn on(&self, step: Step) {
        if let Step::Receiving { digest, bytes, .. } = step {
            let mut received = self.0.lock().unwrap_or_else(PoisonError::into_inner);
            received.insert(digest, bytes);
        }
    }
}
