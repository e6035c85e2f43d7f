//! What is counted of a version of a filter: how its streams ended, and how long they took.
//!
//! Streams are counted in groups of clients, so that one client that asks a lot can be told from a
//! version that is worse. Adding up is all that happens here.

use std::time::Duration;

use crate::rollout::split::Bucket;

/// How many groups clients are counted in.
pub const GROUPS: usize = 8;

/// Places of a [`Histogram`]: 16 for each power of two, from a microsecond to 67 seconds.
const PLACES: usize = 16 + 22 * 16;

/// How a stream ended, as far as its filter is concerned.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Ending {
    /// It passed, and the answer was no error.
    Good,
    /// It passed, and the answer was a 5xx or none.
    Error,
    /// The filter answered it.
    Denied,
    /// The filter trapped in it, or ran out of time.
    Fault,
}

/// What is known about a version, by groups of clients.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Counts([Tally; GROUPS]);

/// What is known about the streams of one group, or of all.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Tally {
    /// Streams that passed without an error.
    pub good: u64,
    /// Streams that passed and ended with a 5xx.
    pub errors: u64,
    /// Streams that the filter answered.
    pub denied: u64,
    /// Streams that a trap or a time-out of the filter ended.
    pub faults: u64,
    /// How long those that passed waited for their answer's head.
    pub latency: Histogram,
}

/// Times in places of at most a sixteenth of their value.
#[derive(Clone, PartialEq, Eq)]
pub struct Histogram(Box<[u32; PLACES]>);

impl Counts {
    /// Counts a stream. `latency` is the time until the head of its answer, if it passed.
    pub fn add(&mut self, bucket: Bucket, ending: Ending, latency: Option<Duration>) {
        self.add_many(bucket, ending, latency, 1);
    }

    /// Counts streams that ended alike.
    pub fn add_many(
        &mut self,
        bucket: Bucket,
        ending: Ending,
        latency: Option<Duration>,
        times: u32,
    ) {
        let group = usize::from(bucket.number()) % GROUPS;
        if let Some(tally) = self.0.get_mut(group) {
            tally.add(ending, latency, times);
        }
    }

    /// Adds what somebody else has counted.
    pub fn merge(&mut self, other: &Self) {
        for (ours, theirs) in self.0.iter_mut().zip(&other.0) {
            ours.merge(theirs);
        }
    }

    /// The groups.
    pub fn groups(&self) -> &[Tally; GROUPS] {
        &self.0
    }

    /// All groups together.
    pub fn total(&self) -> Tally {
        let mut total = Tally::default();
        for tally in &self.0 {
            total.merge(tally);
        }
        total
    }

    /// How many streams there were.
    pub fn streams(&self) -> u64 {
        self.0.iter().map(Tally::streams).sum()
    }

    /// Whether there were none.
    pub fn is_empty(&self) -> bool {
        self.streams() == 0
    }
}

impl Tally {
    fn add(&mut self, ending: Ending, latency: Option<Duration>, times: u32) {
        let count = match ending {
            Ending::Good => &mut self.good,
            Ending::Error => &mut self.errors,
            Ending::Denied => &mut self.denied,
            Ending::Fault => &mut self.faults,
        };
        *count = count.saturating_add(u64::from(times));
        if let Some(latency) = latency {
            self.latency.add(latency, times);
        }
    }

    /// Adds another one.
    pub fn merge(&mut self, other: &Self) {
        let counts = [
            (&mut self.good, other.good),
            (&mut self.errors, other.errors),
            (&mut self.denied, other.denied),
            (&mut self.faults, other.faults),
        ];
        for (ours, theirs) in counts {
            *ours = ours.saturating_add(theirs);
        }
        self.latency.merge(&other.latency);
    }

    /// How many streams there were.
    pub fn streams(&self) -> u64 {
        let passed = self.passed();
        passed
            .saturating_add(self.denied)
            .saturating_add(self.faults)
    }

    /// How many of them passed the filter.
    pub fn passed(&self) -> u64 {
        self.good.saturating_add(self.errors)
    }
}

impl Default for Histogram {
    fn default() -> Self {
        Self(Box::new([0; PLACES]))
    }
}

impl std::fmt::Debug for Histogram {
    fn fmt(&self, out: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(out, "Histogram of {}", self.count())
    }
}

impl Histogram {
    /// Counts a time so many times.
    pub fn add(&mut self, time: Duration, times: u32) {
        if let Some(count) = self.0.get_mut(place(micros(time))) {
            *count = count.saturating_add(times);
        }
    }

    /// Adds another one.
    pub fn merge(&mut self, other: &Self) {
        for (ours, theirs) in self.0.iter_mut().zip(other.0.iter()) {
            *ours = ours.saturating_add(*theirs);
        }
    }

    /// How many times are in it.
    pub fn count(&self) -> u64 {
        self.0.iter().map(|count| u64::from(*count)).sum()
    }

    /// Forgets half of what is in it.
    pub fn halve(&mut self) {
        for count in self.0.iter_mut() {
            *count /= 2;
        }
    }

    /// The end of the place in which the time is that so many of 1,000 do not exceed; `None` if
    /// it is empty or the time is longer than what is told apart.
    pub fn quantile(&self, of_1000: u64) -> Option<Duration> {
        let wanted = (self.count() * of_1000).div_ceil(1_000).max(1);
        let mut seen = 0;
        let found = self.0.iter().position(|count| {
            seen += u64::from(*count);
            seen >= wanted
        })?;
        end_of(found).map(Duration::from_micros)
    }

    /// The shortest end of a place that is at least this long: what [`Histogram::over`] can tell.
    /// `None` beyond the longest.
    pub fn rounded_up(time: Duration) -> Option<Duration> {
        let wanted = micros(time);
        // The end of the place before it may be exactly what is asked for.
        let at = place(wanted.saturating_sub(1));
        end_of(at).map(Duration::from_micros)
    }

    /// How many are longer than the end of a place.
    pub fn over(&self, end: Duration) -> u64 {
        let first = place(micros(end));
        let longer = self.0.get(first..).unwrap_or_default();
        longer.iter().map(|count| u64::from(*count)).sum()
    }
}

fn micros(time: Duration) -> u64 {
    u64::try_from(time.as_micros()).unwrap_or(u64::MAX)
}

/// Where a time belongs: 16 places of equal length between a power of two and the next.
fn place(micros: u64) -> usize {
    if micros < 16 {
        return usize::try_from(micros).unwrap_or(0);
    }
    let power = micros.ilog2();
    let part = (micros >> (power - 4)) & 15;
    let at = 16 + u64::from(power - 4) * 16 + part;
    usize::try_from(at).unwrap_or(PLACES).min(PLACES - 1)
}

/// Where the place after this one begins; nobody knows for the last.
fn end_of(at: usize) -> Option<u64> {
    let next = u64::try_from(at + 1).ok()?;
    if at + 1 >= PLACES {
        return None;
    }
    if next < 16 {
        return Some(next);
    }
    let (power, part) = ((next - 16) / 16, next % 16);
    Some((16 + part) << power)
}
