//! Randomness: the operating system's for guests and seeds, a quick generator for request ids.

use std::cell::Cell;

use rustix::rand::GetRandomFlags;
use rustix::rand::getrandom;

/// Fills `bytes` from the operating system.
///
/// The source cannot fail once the system is up; if it does, the bytes stay zero and an error is
/// logged.
pub(crate) fn fill(bytes: &mut [u8]) {
    let mut filled = 0;
    while let Some(rest) = bytes.get_mut(filled..).filter(|rest| !rest.is_empty()) {
        match getrandom(rest, GetRandomFlags::empty()) {
            Ok(count) => filled += count,
            Err(rustix::io::Errno::INTR) => {}
            Err(err) => {
                tracing::error!(%err, "the system has no randomness");
                return;
            }
        }
    }
}

/// A generator for ids (SplitMix64): quick, well spread, not for keys.
#[derive(Debug)]
pub(crate) struct IdSource(Cell<u64>);

impl IdSource {
    pub(crate) fn seeded() -> Self {
        let mut seed = [0; 8];
        fill(&mut seed);
        Self(Cell::new(u64::from_ne_bytes(seed)))
    }

    /// 128 more bits.
    pub(crate) fn next(&self) -> u128 {
        u128::from(self.next_half()) << 64 | u128::from(self.next_half())
    }

    /// 64 more bits, for choices.
    pub(crate) fn draw(&self) -> u64 {
        self.next_half()
    }

    fn next_half(&self) -> u64 {
        let state = self.0.get().wrapping_add(0x9e37_79b9_7f4a_7c15);
        self.0.set(state);
        let mixed = (state ^ state >> 30).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let mixed = (mixed ^ mixed >> 27).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ mixed >> 31
    }
}
