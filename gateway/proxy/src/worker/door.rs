//! One address that a worker listens on, from the first connection to the last.
//!
//! Owns whether it is open. One that is closed accepts nothing new; its connections end after the
//! exchange they are in, under the last generation that had the address.

use std::cell::Cell;
use std::cell::RefCell;
use std::rc::Rc;

use tidegate_core::snapshot::Bind;
use tokio::sync::Notify;

use crate::generation::BindId;
use crate::worker::Generation;
use crate::worker::Worker;

/// One address that a worker listens on.
#[derive(Debug)]
pub(crate) struct Door {
    pub(crate) id: BindId,
    closed: Cell<bool>,
    closing: Notify,
    /// The last generation that had the address, once it is gone from the configuration.
    last: RefCell<Option<Rc<Generation>>>,
}

/// What an exchange on a connection sees.
#[derive(Debug, Clone)]
pub(crate) struct Scene {
    pub(crate) generation: Rc<Generation>,
    /// Its place among those of the plan.
    bind: usize,
}

impl Scene {
    /// The address that the connection came to.
    pub(crate) fn bind(&self) -> &Bind {
        self.generation.bind_at(self.bind)
    }
}

impl Door {
    pub(crate) fn new(id: BindId) -> Rc<Self> {
        Rc::new(Self {
            id,
            closed: Cell::new(false),
            closing: Notify::new(),
            last: RefCell::default(),
        })
    }

    /// Whether connections should end when they can.
    pub(crate) fn is_closed(&self) -> bool {
        self.closed.get()
    }

    /// Closes it; `last` is given if the address is no longer configured.
    pub(crate) fn close(&self, last: Option<Rc<Generation>>) {
        if let Some(last) = last {
            *self.last.borrow_mut() = Some(last);
        }
        self.closed.set(true);
        self.closing.notify_waiters();
    }

    /// Resolves when it closes.
    pub(crate) async fn until_closed(&self) {
        if !self.is_closed() {
            self.closing.notified().await;
        }
    }

    /// What a new exchange on one of its connections sees; `None` only if nothing was ever
    /// configured here.
    pub(crate) fn scene(&self, worker: &Worker) -> Option<Scene> {
        let of = |generation: Rc<Generation>| {
            let bind = generation.plan.place_of(self.id)?;
            Some(Scene { generation, bind })
        };
        of(worker.generation()).or_else(|| of(self.last.borrow().clone()?))
    }
}
