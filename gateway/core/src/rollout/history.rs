//! The versions of a plugin that have served, and those that may not serve again by themselves.
//!
//! Owns the order, the bound, and the choice of what a bad version goes back to. What a version is,
//! and what is kept of it, is the caller's: `V` tells versions apart, `D` is what is noted of one.

use crate::rollout::probation::Counts;

/// Versions that are remembered, the one that serves included.
pub const MOST_VERSIONS: usize = 20;
/// Versions that may not serve again; beyond it the oldest may.
pub const MOST_BARRED: usize = 8;

/// Why a version was taken back.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Why {
    /// It failed on probation: what it met within so many milliseconds.
    Faults {
        /// What it met.
        counts: Counts,
        /// Within how long.
        millis: u64,
    },
    /// Somebody asked for it.
    ByHand,
}

impl Why {
    /// As one word, for metrics.
    #[must_use]
    pub const fn as_str(&self) -> &'static str {
        match self {
            Self::Faults { counts, .. } if counts.deadlines > counts.traps => "deadline",
            Self::Faults { .. } => "trap",
            Self::ByHand => "by_hand",
        }
    }
}

/// Why a version does not serve any more.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum End {
    /// Another one was wanted.
    Replaced,
    /// It was taken back.
    RolledBack(Why),
    /// Its plugin is gone.
    Removed,
}

/// A version that served, or serves.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Entry<V, D> {
    /// Counts the plugin's versions from 1; one that comes back is counted again.
    pub number: u64,
    /// Which one.
    pub version: V,
    /// What is noted of it.
    pub detail: D,
    /// Since when it serves, in seconds since 1970.
    pub began: u64,
    /// Whether it has stood its probation.
    pub proven: bool,
    /// When and why it ended; `None` while it serves.
    pub ended: Option<(u64, End)>,
}

/// A version that may not serve by itself.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Bar<V> {
    /// Which one.
    pub version: V,
    /// Since when, in seconds since 1970.
    pub at: u64,
    /// Why.
    pub why: Why,
}

/// See the module.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct History<V, D> {
    /// The oldest first.
    entries: Vec<Entry<V, D>>,
    barred: Vec<Bar<V>>,
}

impl<V, D> Default for History<V, D> {
    fn default() -> Self {
        Self {
            entries: Vec::new(),
            barred: Vec::new(),
        }
    }
}

impl<V: PartialEq + Clone, D> History<V, D> {
    /// A history as it was before a restart. What is too much of it is left out.
    #[must_use]
    pub fn restored(mut entries: Vec<Entry<V, D>>, mut barred: Vec<Bar<V>>) -> Self {
        entries.sort_by_key(|entry| entry.number);
        keep_last(&mut entries, MOST_VERSIONS);
        keep_last(&mut barred, MOST_BARRED);
        Self { entries, barred }
    }

    /// All versions, the oldest first.
    #[must_use]
    pub fn entries(&self) -> &[Entry<V, D>] {
        &self.entries
    }

    /// All that may not serve by themselves.
    #[must_use]
    pub fn bars(&self) -> &[Bar<V>] {
        &self.barred
    }

    /// The one that serves.
    #[must_use]
    pub fn current(&self) -> Option<&Entry<V, D>> {
        self.entries.last().filter(|entry| entry.ended.is_none())
    }

    /// Notes which version serves now; says whether it is another one than before. What is noted of
    /// one that serves already is replaced.
    pub fn serves(&mut self, version: &V, detail: D, now: u64) -> bool {
        let number = self.entries.last().map_or(1, |last| last.number + 1);
        if let Some(last) = self.entries.last_mut()
            && last.ended.is_none()
        {
            if last.version == *version {
                last.detail = detail;
                return false;
            }
            let bar = self.barred.iter().find(|bar| bar.version == last.version);
            let end = bar.map_or(End::Replaced, |bar| End::RolledBack(bar.why));
            last.ended = Some((now, end));
        }
        // One that stood its time once need not do it again when it comes back.
        let proven = self
            .entries
            .iter()
            .any(|entry| entry.proven && entry.version == *version);
        self.entries.push(Entry {
            number,
            version: version.clone(),
            detail,
            began: now,
            proven,
            ended: None,
        });
        keep_last(&mut self.entries, MOST_VERSIONS);
        true
    }

    /// The version that serves has stood its probation.
    pub fn proved(&mut self) {
        if let Some(last) = self.entries.last_mut() {
            last.proven = true;
        }
    }

    /// The plugin is gone.
    pub fn removed(&mut self, now: u64) {
        if let Some(last) = self.entries.last_mut() {
            last.ended.get_or_insert((now, End::Removed));
        }
    }

    /// Bars a version.
    pub fn bar(&mut self, version: &V, why: Why, now: u64) {
        self.barred.retain(|bar| bar.version != *version);
        self.barred.push(Bar {
            version: version.clone(),
            at: now,
            why,
        });
        keep_last(&mut self.barred, MOST_BARRED);
    }

    /// Why a version may not serve by itself; `None` if it may.
    #[must_use]
    pub fn barred(&self, version: &V) -> Option<&Bar<V>> {
        self.barred.iter().find(|bar| bar.version == *version)
    }

    /// Lets all versions serve again; says whether one was barred.
    pub fn lift(&mut self) -> bool {
        !std::mem::take(&mut self.barred).is_empty()
    }

    /// Bars these again, and no others.
    pub fn bar_only(&mut self, bars: Vec<Bar<V>>) {
        self.barred = bars;
        keep_last(&mut self.barred, MOST_BARRED);
    }

    /// Lets one serve again.
    pub fn unbar(&mut self, version: &V) {
        self.barred.retain(|bar| bar.version != *version);
    }

    /// What may be gone back to from a version: all others that are not barred, the newest first.
    pub fn behind(&self, version: &V) -> impl Iterator<Item = &Entry<V, D>> {
        let others = self.entries.iter().rev();
        others
            .filter(move |entry| entry.version != *version && self.barred(&entry.version).is_none())
    }

    /// Forgets the oldest versions while all together are larger than `most`; the newest stays.
    pub fn keep_within(&mut self, most: usize, size: impl Fn(&V) -> usize) {
        let mut left = most;
        let fitting = self.entries.iter().rev().take_while(|entry| {
            let fits = left.checked_sub(size(&entry.version));
            left = fits.unwrap_or(0);
            fits.is_some()
        });
        let count = fitting.count().max(1);
        keep_last(&mut self.entries, count);
    }

    /// Changes what is noted, from the newest version to the oldest.
    pub fn details(&mut self) -> impl Iterator<Item = (&V, &mut D)> {
        let entries = self.entries.iter_mut().rev();
        entries.map(|entry| (&entry.version, &mut entry.detail))
    }
}

fn keep_last<T>(list: &mut Vec<T>, most: usize) {
    let excess = list.len().saturating_sub(most);
    list.drain(..excess);
}

#[cfg(test)]
mod tests {
    use super::Counts;
    use super::End;
    use super::History;
    use super::MOST_BARRED;
    use super::MOST_VERSIONS;
    use super::Why;

    const BAD: Why = Why::Faults {
        counts: Counts {
            streams: 100,
            traps: 5,
            deadlines: 0,
        },
        millis: 1_000,
    };

    fn of(versions: &[char]) -> History<char, ()> {
        let mut history = History::default();
        for (version, now) in versions.iter().zip(1..) {
            history.serves(version, (), now);
        }
        history
    }

    fn before(history: &History<char, ()>, version: char) -> Option<char> {
        Some(history.behind(&version).next()?.version)
    }

    #[test]
    fn a_bad_version_goes_back_to_the_one_before_and_that_one_to_the_one_before_it() {
        let mut history = of(&['a', 'b', 'c']);
        assert_eq!(before(&history, 'c'), Some('b'));
        history.bar(&'c', BAD, 4);
        assert!(history.serves(&'b', (), 4));
        assert_eq!(before(&history, 'b'), Some('a'), "never to what was bad");
        history.bar(&'b', BAD, 5);
        history.serves(&'a', (), 5);
        assert_eq!(before(&history, 'a'), None);
        let ends: Vec<_> = history.entries().iter().map(|one| one.ended).collect();
        let bad = End::RolledBack(BAD);
        let expected = [
            Some((2, End::Replaced)),
            Some((3, End::Replaced)),
            Some((4, bad)),
            Some((5, bad)),
            None,
        ];
        assert_eq!(ends, expected);
        let numbers: Vec<_> = history.entries().iter().map(|one| one.number).collect();
        assert_eq!(numbers, [1, 2, 3, 4, 5]);
    }

    #[test]
    fn versions_that_are_too_large_together_are_forgotten_from_the_oldest() {
        let mut history = of(&['a', 'b', 'c', 'd']);
        history.keep_within(30, |_| 10);
        assert_eq!(history.entries().len(), 3);
        history.keep_within(29, |_| 10);
        assert_eq!(history.entries().len(), 2);
        history.keep_within(5, |_| 10);
        assert_eq!(history.current().map(|one| one.version), Some('d'));
    }

    #[test]
    fn a_version_that_serves_already_is_not_noted_twice() {
        let mut history = of(&['a', 'a', 'b', 'b', 'a']);
        assert_eq!(history.entries().len(), 3);
        assert!(!history.serves(&'a', (), 9));
        history.removed(10);
        assert_eq!(history.current(), None);
        assert!(history.serves(&'a', (), 11), "it came back");
        assert_eq!(history.entries().len(), 4);
    }

    #[test]
    fn what_stood_its_probation_once_is_proven_when_it_comes_back() {
        let mut history = of(&['a']);
        history.proved();
        history.serves(&'b', (), 2);
        assert_eq!(history.current().map(|one| one.proven), Some(false));
        history.serves(&'a', (), 3);
        assert_eq!(history.current().map(|one| one.proven), Some(true));
    }

    #[test]
    fn bars_hold_until_they_are_lifted_and_are_bounded() {
        let mut history = of(&['a']);
        for version in 'b'..='z' {
            history.bar(&version, Why::ByHand, 2);
        }
        assert_eq!(history.bars().len(), MOST_BARRED);
        assert!(history.barred(&'z').is_some() && history.barred(&'b').is_none());
        history.unbar(&'z');
        assert!(history.barred(&'z').is_none() && history.barred(&'y').is_some());
        assert!(history.lift() && !history.lift());
        assert!(history.barred(&'y').is_none());
    }

    #[test]
    fn only_the_last_versions_are_remembered_and_their_numbers_go_on() {
        let mut history = History::default();
        for version in 1..=1_000_u64 {
            history.serves(&version, (), version);
        }
        assert_eq!(history.entries().len(), MOST_VERSIONS);
        assert_eq!(history.current().map(|one| one.number), Some(1_000));
        let again = History::restored(history.entries().to_vec(), Vec::new());
        assert_eq!(again, history);
    }
}
