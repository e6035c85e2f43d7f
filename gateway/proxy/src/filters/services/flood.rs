//! A bound on log lines.

use std::sync::atomic::AtomicU64;
use std::sync::atomic::Ordering;

/// Counts lines: a filter must not drown the gateway's log.
#[derive(Debug)]
pub(super) struct Flood {
    /// Lines of one second that pass.
    limit: u64,
    /// The second in the upper half, its lines in the lower.
    window: AtomicU64,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Admission {
    Pass,
    /// The first that is too many: says so.
    Last,
    Drop,
}

impl Flood {
    pub(super) fn of(limit: u64) -> Self {
        Self {
            limit,
            window: AtomicU64::new(0),
        }
    }

    pub(super) fn admit(&self, second: u64) -> Admission {
        let before = self.window.load(Ordering::Relaxed);
        if before >> 32 != second {
            // Workers that race here let a few lines more pass.
            self.window.store((second << 32) + 1, Ordering::Relaxed);
            return Admission::Pass;
        }
        let lines = self.window.fetch_add(1, Ordering::Relaxed) & u64::from(u32::MAX);
        match lines.cmp(&self.limit) {
            std::cmp::Ordering::Less => Admission::Pass,
            std::cmp::Ordering::Equal => Admission::Last,
            std::cmp::Ordering::Greater => Admission::Drop,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::Admission;
    use super::Flood;

    #[test]
    fn a_flood_of_guest_lines_is_cut_with_one_remark_and_the_next_second_is_free() {
        let flood = Flood::of(100);
        let admit = |second| flood.admit(second);
        let passed = (0..100).filter(|_| admit(7) == Admission::Pass).count();
        assert_eq!(passed, 100);
        assert_eq!(admit(7), Admission::Last);
        assert_eq!(admit(7), Admission::Drop);
        assert_eq!(admit(8), Admission::Pass);
    }
}
