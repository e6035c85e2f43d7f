//! How many connections the admin API has at a time, and what each may be used for.

use std::sync::Arc;

use tokio::sync::OwnedSemaphorePermit;
use tokio::sync::Semaphore;

/// Connections at a time that may ask for everything.
const MAX_CONNECTIONS: usize = 64;
/// Connections beyond those, which may ask only whether the gateway is ready and alive: whoever
/// decides on that whether it is restarted must not have to wait for others.
const MAX_PROBES: usize = 16;

/// A place among the connections.
#[derive(Debug)]
pub(crate) struct Place {
    /// Whether everything may be asked; else only `/ready` and `/live`, once.
    pub(crate) is_full: bool,
    _permit: OwnedSemaphorePermit,
}

/// All places.
#[derive(Debug)]
pub(crate) struct Places {
    full: Arc<Semaphore>,
    probes: Arc<Semaphore>,
}

impl Default for Places {
    fn default() -> Self {
        Self {
            full: Arc::new(Semaphore::new(MAX_CONNECTIONS)),
            probes: Arc::new(Semaphore::new(MAX_PROBES)),
        }
    }
}

impl Places {
    /// A place once there is one; `None` never, for there is always one in the end.
    pub(crate) async fn next(&self) -> Option<Place> {
        let (is_full, permit) = tokio::select! {
            biased;
            permit = Arc::clone(&self.full).acquire_owned() => (true, permit),
            permit = Arc::clone(&self.probes).acquire_owned() => (false, permit),
        };
        let permit = permit.ok()?;
        Some(Place {
            is_full,
            _permit: permit,
        })
    }

    /// A better place, if one has become free meanwhile.
    pub(crate) fn better(&self, place: Place) -> Place {
        match Arc::clone(&self.full).try_acquire_owned() {
            Ok(permit) if !place.is_full => Place {
                is_full: true,
                _permit: permit,
            },
            _ => place,
        }
    }
}
