//! What is looked at while a change waits: a version that fails must not serve on because another one
//! takes long to start.
//!
//! Owns the waits of a change that may be long. Each is cut into short ones; between them somebody is
//! asked whether to go on. What was begun for a change that does not come ends by itself.

use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use std::sync::atomic::Ordering;
use std::sync::mpsc::Receiver;
use std::sync::mpsc::RecvTimeoutError;
use std::sync::mpsc::channel;
use std::time::Duration;

use crate::gateway::Gateway;
use crate::gateway::StartError;
use crate::gateway::prepare::Prepared;
use crate::gateway::prepare::start_vms;
use crate::gateway::prepare::start_vms_unless;
use crate::generation::VmPlan;

/// How often it is asked.
const LOOK: Duration = Duration::from_millis(100);

/// Whether a change goes on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Meanwhile {
    /// It does.
    GoOn,
    /// Something else is to be done first: it ends with [`StartError::Interrupted`], and nothing has
    /// changed.
    Stop,
}

/// Waits until `next` gives something, which it may take so long for, and asks in between whether to
/// go on.
///
/// # Errors
///
/// [`StartError::Interrupted`].
pub(super) fn wait<T>(
    gateway: &mut Gateway,
    meanwhile: &mut dyn FnMut(&mut Gateway) -> Meanwhile,
    mut next: impl FnMut(Duration) -> Option<T>,
) -> Result<T, StartError> {
    loop {
        if let Some(found) = next(LOOK) {
            return Ok(found);
        }
        if meanwhile(gateway) == Meanwhile::Stop {
            return Err(StartError::Interrupted);
        }
    }
}

/// Instances that are being started, on a thread of their own.
#[derive(Debug)]
pub(super) struct Begun {
    ended: Receiver<Result<Prepared, StartError>>,
    /// Set when nobody wants them any more.
    is_over: Arc<AtomicBool>,
}

/// Begins to start new instances, for so many workers.
///
/// # Errors
///
/// [`StartError::Thread`].
pub(super) fn begin_vms(new: &[VmPlan], workers: usize) -> Result<Begun, StartError> {
    let (done, ended) = channel();
    let is_over = Arc::new(AtomicBool::new(false));
    let begun = Begun {
        ended,
        is_over: Arc::clone(&is_over),
    };
    if new.is_empty() {
        done.send(start_vms(new, workers)).ok();
        return Ok(begun);
    }
    let new = new.to_vec();
    let thread = std::thread::Builder::new().name("change-start".to_owned());
    thread.spawn(move || {
        let is_over = || is_over.load(Ordering::Relaxed);
        let prepared = start_vms_unless(&new, workers, is_over);
        // Whoever wanted them may have gone: then they end here.
        done.send(prepared).ok();
    })?;
    Ok(begun)
}

impl Begun {
    /// How that ended, if it does within so long.
    pub(super) fn ended_within(&self, patience: Duration) -> Option<Result<Prepared, StartError>> {
        match self.ended.recv_timeout(patience) {
            Ok(prepared) => Some(prepared),
            Err(RecvTimeoutError::Timeout) => None,
            Err(RecvTimeoutError::Disconnected) => {
                let panicked = std::io::Error::other("the thread that starts instances has failed");
                Some(Err(StartError::Thread(panicked)))
            }
        }
    }
}

impl Drop for Begun {
    fn drop(&mut self) {
        self.is_over.store(true, Ordering::Relaxed);
    }
}
