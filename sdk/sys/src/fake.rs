//! The host of native tests: whatever the thread has installed.

use core::cell::RefCell;
use core::fmt;
use core::marker::PhantomData;
use std::rc::Rc;

use crate::host::Host;

thread_local! {
    static INSTALLED: RefCell<Option<Rc<dyn Host>>> = const { RefCell::new(None) };
}

/// Every call answers `UNIMPLEMENTED`.
struct NoHost;

impl Host for NoHost {}

/// The host of this thread; without one, calls answer `UNIMPLEMENTED`.
#[must_use]
pub fn host() -> impl Host {
    let installed = INSTALLED.with(|it| it.borrow().clone());
    installed.unwrap_or_else(|| Rc::new(NoHost) as Rc<dyn Host>)
}

/// Makes `host` this thread's until the guard is dropped; then the one before it is again.
#[must_use]
pub fn install(host: Rc<dyn Host>) -> Installed {
    Installed {
        before: INSTALLED.replace(Some(host)),
        of_this_thread: PhantomData,
    }
}

/// Keeps a host installed.
pub struct Installed {
    before: Option<Rc<dyn Host>>,
    of_this_thread: PhantomData<*const ()>,
}

impl fmt::Debug for Installed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Installed").finish_non_exhaustive()
    }
}

impl Drop for Installed {
    fn drop(&mut self) {
        INSTALLED.set(self.before.take());
    }
}
