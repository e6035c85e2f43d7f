//! What the shadows of one plugin may use on one worker.
//!
//! Owns the bounds: a share of the streams and of the time, so many at once, so many bytes.

use std::cell::Cell;
use std::cell::RefCell;
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;
use std::time::Instant;

use tidegate_core::rollout::shadow::Dropped;
use tidegate_core::rollout::shadow::budget::Budget;
use tidegate_core::rollout::shadow::is_picked;
use tidegate_host_abi::Plugin;
use tidegate_host_abi::Shadow;

/// What the shadows of one plugin may use on one worker, and what they use.
#[derive(Debug)]
pub(crate) struct Gate {
    settings: Shadow,
    running: Cell<usize>,
    held: Cell<usize>,
    budget: RefCell<Budget>,
}

/// Whether a stream gets a shadow.
#[derive(Debug)]
pub(crate) enum Admission {
    /// It does.
    Admitted(Slot),
    /// It is not among those that are looked at.
    NotPicked,
    /// It would, if there were room.
    Dropped(Dropped),
}

/// The right of one shadow to be under way.
#[derive(Debug)]
pub(crate) struct Slot(Rc<Gate>);

impl Drop for Slot {
    fn drop(&mut self) {
        let running = &self.0.running;
        running.set(running.get().saturating_sub(1));
    }
}

impl Slot {
    pub(crate) fn gate(&self) -> &Rc<Gate> {
        &self.0
    }
}

impl Gate {
    /// The gate of a plugin that only looks on.
    pub(crate) fn of(plugin: &Arc<Plugin>) -> Option<Rc<Self>> {
        let settings = plugin.spec().shadow.clone()?;
        Some(Rc::new(Self {
            running: Cell::new(0),
            held: Cell::new(0),
            budget: RefCell::new(Budget::new(settings.cpu_percent, Instant::now())),
            settings,
        }))
    }

    /// The plugin's name, as its resource has it.
    pub(crate) fn plugin(&self) -> &str {
        &self.settings.of
    }

    /// Whether calls to that backend are made, by its full name.
    pub(crate) fn may_call(&self, backend: &str) -> bool {
        self.settings.backends.iter().any(|known| known == backend)
    }

    /// Decides about a stream with these random bits.
    pub(super) fn admit(self: &Rc<Self>, draw: u64) -> Admission {
        if !is_picked(self.settings.percent, draw) {
            return Admission::NotPicked;
        }
        if self.running.get() >= self.settings.concurrent {
            return Admission::Dropped(Dropped::Concurrency);
        }
        if !self.budget.borrow_mut().has_left(Instant::now()) {
            return Admission::Dropped(Dropped::Budget);
        }
        self.running.set(self.running.get() + 1);
        Admission::Admitted(Slot(Rc::clone(self)))
    }

    /// The filter was in use for so long.
    pub(crate) fn spend(&self, time: Duration) {
        self.budget.borrow_mut().spend(time);
    }

    /// Whether shadows have used so much more than their share that none may go on.
    pub(super) fn is_overdrawn(&self) -> bool {
        self.budget.borrow_mut().is_overdrawn(Instant::now())
    }

    /// Takes room for so many bytes, if there is.
    pub(super) fn hold(&self, bytes: usize) -> bool {
        let held = self.held.get().saturating_add(bytes);
        let fits = held <= self.settings.memory_bytes;
        if fits {
            self.held.set(held);
        }
        fits
    }

    /// Gives room back.
    pub(super) fn free(&self, bytes: usize) {
        self.held.set(self.held.get().saturating_sub(bytes));
    }
}
