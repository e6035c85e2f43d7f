//! What belongs to a plugin and outlives its streams: timers, numbers of metrics, caches.

use std::any::Any;
use std::cell::RefCell;
use std::rc::Rc;

use crate::runtime::timers::Timers;

/// What has this name; a filter has a few names, which are looked through.
pub(crate) fn named<T: Clone>(all: &RefCell<Vec<(String, T)>>, name: &str) -> Option<T> {
    let all = all.borrow();
    all.iter().find(|it| it.0 == name).map(|it| it.1.clone())
}

/// A plugin's own context.
pub(crate) struct Root {
    id: u32,
    /// The filter's name, for messages.
    pub(crate) name: &'static str,
    pub(crate) timers: Timers,
    /// Numbers of metrics by name; `None` if the host refused one.
    pub(crate) metrics: RefCell<Vec<(String, Option<u32>)>>,
    /// Caches by name; each is what its first user made it.
    pub(crate) caches: RefCell<Vec<(String, Rc<dyn Any>)>>,
}

impl Root {
    pub(crate) fn new(id: u32, name: &'static str) -> Self {
        Self {
            id,
            name,
            timers: Timers::default(),
            metrics: RefCell::default(),
            caches: RefCell::default(),
        }
    }

    pub(crate) const fn id(&self) -> u32 {
        self.id
    }
}
