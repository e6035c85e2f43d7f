//! Counts the bytes that a pull takes, and says what it waits for.

use std::collections::HashMap;
use std::sync::Mutex;
use std::sync::PoisonError;

use tidegate_plugin_store::Digest;
use tidegate_plugin_store::progress::Progress;
use tidegate_plugin_store::progress::Step;

/// What is counted of one pull.
#[derive(Debug)]
pub(super) struct Counting {
    /// What is pulled, as people write it.
    shown: String,
    /// Bytes received, by layer.
    received: Mutex<HashMap<Digest, u64>>,
}

impl Counting {
    /// Of a pull of that.
    pub(super) fn of(shown: &str) -> Self {
        Self {
            shown: shown.to_owned(),
            received: Mutex::default(),
        }
    }

    /// All bytes that came.
    pub(super) fn bytes(&self) -> u64 {
        let received = self.received.lock();
        let received = received.unwrap_or_else(PoisonError::into_inner);
        received.values().sum()
    }
}

impl Progress for Counting {
    fn on(&self, step: Step) {
        match step {
            Step::Receiving { digest, bytes, .. } => {
                let received = self.received.lock();
                let mut received = received.unwrap_or_else(PoisonError::into_inner);
                received.insert(digest, bytes);
            }
            Step::Waiting { bytes, of } => {
                let (shown, wanted, all) = (&self.shown, mib(bytes), mib(of));
                tracing::info!(
                    "the pull of {shown} waits for {wanted} MiB of the {all} MiB of memory that all pulls have"
                );
            }
            _ => {}
        }
    }
}

/// Bytes in MiB, rounded up.
fn mib(bytes: u64) -> u64 {
    bytes.div_ceil(1 << 20)
}
