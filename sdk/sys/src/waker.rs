//! A waker that is a number: waking it calls one function with the number.
//!
//! No allocation and no counting. A module has one thread, so that who is woken can be looked up
//! where the number means something; natively that is the thread that wakes.

#![expect(unsafe_code, reason = "the vtable of a waker is unsafe to make")]

use core::cell::Cell;
use core::ptr;
use core::task::{RawWaker, RawWakerVTable, Waker};

thread_local! {
    static ON_WAKE: Cell<fn(u32)> = const { Cell::new(ignore) };
}

static VTABLE: RawWakerVTable = RawWakerVTable::new(raw, wake, wake, forget);

/// Sets what wakers of this thread call.
pub fn on_wake(call: fn(u32)) {
    ON_WAKE.set(call);
}

/// The waker that calls with `number`.
#[must_use]
pub fn waker(number: u32) -> Waker {
    // SAFETY: no function of the vtable reads through the pointer, all are safe on any thread,
    // and `raw` is the whole of a clone.
    unsafe { Waker::from_raw(raw(ptr::without_provenance(number as usize))) }
}

/// Whether a waker calls with `number`. It may say false of one that does.
#[must_use]
pub fn calls_with(waker: &Waker, number: u32) -> bool {
    ptr::eq(waker.vtable(), &raw const VTABLE) && waker.data().addr() == number as usize
}

fn ignore(_: u32) {}

fn raw(data: *const ()) -> RawWaker {
    RawWaker::new(data, &VTABLE)
}

fn wake(data: *const ()) {
    if let Ok(number) = u32::try_from(data.addr()) {
        ON_WAKE.get()(number);
    }
}

fn forget(_: *const ()) {}

#[cfg(test)]
mod tests {
    use core::task::Waker;

    use super::{calls_with, waker};

    #[test]
    fn a_waker_is_known_by_its_number_and_others_are_not() {
        assert!(calls_with(&waker(7), 7));
        assert!(!calls_with(&waker(7), 8));
        assert!(!calls_with(Waker::noop(), 0));
    }
}
