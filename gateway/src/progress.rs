//! A line on a terminal about work that takes long.
//!
//! Owns when it is shown: on a terminal alone, not at once, and not more often than an eye can see.
//! It is gone at the end; what is to stay is printed by whoever works.

use std::cell::Cell;
use std::io::IsTerminal as _;
use std::io::Write as _;
use std::time::Duration;
use std::time::Instant;

/// Nothing is shown of work that is done sooner.
const PATIENCE: Duration = Duration::from_millis(300);
/// How often the line changes.
const PACE: Duration = Duration::from_millis(100);
/// Cells of the bar.
const CELLS: u64 = 24;
/// Bytes of a KiB, as it is shown.
const KIB: u64 = 1 << 10;

/// See the module. Standard error is written to.
#[derive(Debug)]
pub(crate) struct Progress {
    is_terminal: bool,
    next: Cell<Instant>,
    is_shown: Cell<bool>,
}

impl Progress {
    /// Work begins.
    pub(crate) fn new() -> Self {
        Self {
            is_terminal: std::io::stderr().is_terminal(),
            next: Cell::new(Instant::now() + PATIENCE),
            is_shown: Cell::new(false),
        }
    }

    /// Several things go on.
    pub(crate) fn show(&self, what: &[String]) {
        if let [first, others @ ..] = what {
            let more = match others.len() {
                0 => String::new(),
                more => format!(" and {more} more"),
            };
            self.line(|| format!("pulling {first}{more}"));
        }
    }

    /// So many bytes of all are done, if it is known how many there are.
    pub(crate) fn bytes(&self, what: &str, done: u64, all: Option<u64>) {
        self.line(|| bar(what, done, all));
    }

    fn line(&self, text: impl FnOnce() -> String) {
        let now = Instant::now();
        if !self.is_terminal || now < self.next.get() {
            return;
        }
        self.next.set(now + PACE);
        self.is_shown.set(true);
        // To the beginning, and away with what was there.
        write!(std::io::stderr(), "\r\x1b[K{}", text()).ok();
    }

    /// It is done: the line goes.
    pub(crate) fn end(&self) {
        if self.is_shown.replace(false) {
            write!(std::io::stderr(), "\r\x1b[K").ok();
        }
    }
}

impl Drop for Progress {
    fn drop(&mut self) {
        self.end();
    }
}

fn bar(what: &str, done: u64, all: Option<u64>) -> String {
    let kib = |bytes: u64| bytes.div_ceil(KIB);
    match all {
        Some(all) if all > 0 => {
            let done = done.min(all);
            let full = done.saturating_mul(CELLS) / all;
            let cells: String = (0..CELLS)
                .map(|cell| if cell < full { '#' } else { '.' })
                .collect();
            format!("{what} [{cells}] {} of {} KiB", kib(done), kib(all))
        }
        _ => format!("{what} {} KiB", kib(done)),
    }
}

#[cfg(test)]
mod tests {
    use super::bar;

    #[test]
    fn a_bar_has_what_is_done_and_never_more_than_all() {
        assert_eq!(
            bar("x", 512 << 10, Some(1 << 20)),
            "x [############............] 512 of 1024 KiB"
        );
        assert_eq!(
            bar("x", 2 << 20, Some(1 << 20)),
            bar("x", 1 << 20, Some(1 << 20))
        );
        assert_eq!(bar("x", 1, None), "x 1 KiB");
        assert_eq!(bar("x", 1, Some(0)), "x 1 KiB");
    }
}
