//! When a burst of events counts as one change.

use std::time::Duration;
use std::time::Instant;

/// Events that wait for the burst to end.
#[derive(Debug)]
pub(crate) struct Debounce {
    longest: Duration,
    /// The first event of the burst, and when it is over if no other comes.
    burst: Option<(Instant, Instant)>,
}

impl Debounce {
    /// A burst is due `longest` after its first event at the latest.
    pub(crate) fn new(longest: Duration) -> Self {
        Self {
            longest,
            burst: None,
        }
    }

    /// An event that ends the burst if none follows for `quiet`.
    pub(crate) fn on_event(&mut self, now: Instant, quiet: Duration) {
        let first = self.burst.map_or(now, |(first, _)| first);
        self.burst = Some((first, now + quiet));
    }

    /// When what came so far is due; `None` if nothing came.
    pub(crate) fn due(&self) -> Option<Instant> {
        self.burst
            .map(|(first, over)| over.min(first + self.longest))
    }

    /// Begins anew.
    pub(crate) fn clear(&mut self) {
        self.burst = None;
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;
    use std::time::Instant;

    use super::Debounce;

    #[test]
    fn a_burst_is_due_after_a_pause_and_never_later_than_the_limit() {
        let (ms, start) = (Duration::from_millis, Instant::now());
        let mut debounce = Debounce::new(ms(1_000));
        assert_eq!(debounce.due(), None);
        debounce.on_event(start, ms(100));
        assert_eq!(debounce.due(), Some(start + ms(100)));
        debounce.on_event(start + ms(60), ms(100));
        assert_eq!(debounce.due(), Some(start + ms(160)));
        debounce.on_event(start + ms(70), ms(20));
        assert_eq!(debounce.due(), Some(start + ms(90)), "the last one says");
        debounce.on_event(start + ms(990), ms(100));
        assert_eq!(debounce.due(), Some(start + ms(1_000)));
        debounce.clear();
        assert_eq!(debounce.due(), None);
    }
}
