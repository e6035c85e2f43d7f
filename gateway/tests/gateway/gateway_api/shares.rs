//! How requests are spread: over the shares of a rule, and as copies.
//!
//! That a copy came is known when it is there; that none came, when all connections of the gateway
//! have ended.

use std::collections::BTreeMap;
use std::ops::RangeInclusive;

use tidegate_testkit::eventually;

use super::cases::Ask;
use super::replay::Origins;
use super::replay::Outcome;

/// How many standard deviations a share may be off: more are seen once in a million runs.
const DEVIATIONS: f64 = 5.0;

/// What was sent often, or may have been copied.
#[derive(Debug)]
pub(crate) struct Sent<'a> {
    pub(crate) ask: &'a Ask,
    /// By which it is known to origins.
    id: String,
    count: usize,
    /// How many answers came from which origin.
    served: BTreeMap<String, usize>,
    /// How many answers came from which origin, or had which status.
    answered: BTreeMap<String, usize>,
}

impl<'a> Sent<'a> {
    pub(crate) fn new(ask: &'a Ask, id: String, outcomes: &[Outcome]) -> Self {
        let mut sent = Self {
            ask,
            id,
            count: outcomes.len(),
            served: BTreeMap::new(),
            answered: BTreeMap::new(),
        };
        for outcome in outcomes {
            let who = match (outcome.origin(), outcome) {
                (Some(origin), _) => {
                    *sent.served.entry(origin.to_owned()).or_default() += 1;
                    origin.to_owned()
                }
                (None, Outcome::Answer(answer)) => answer.status().to_string(),
                (None, Outcome::Cut) => "cut".to_owned(),
            };
            *sent.answered.entry(who).or_default() += 1;
        }
        sent
    }

    /// What is wrong with the shares of the answers.
    pub(crate) fn check_answers(&self) -> Option<String> {
        let Self {
            ask,
            answered,
            count,
            ..
        } = self;
        (!ask.shares.is_empty())
            .then(|| compare("answers", &ask.shares, answered, *count))
            .flatten()
    }

    /// Copies go on their way unseen: waits until those that must come have come.
    pub(crate) fn wait_for_copies(&self, origins: &Origins) {
        eventually("copies of requests", || {
            let copies = self.copies(origins);
            let has_come = |(name, share): (&String, &f64)| {
                let found = copies.get(name).copied().unwrap_or_default();
                percent(found, self.count) >= *range(*share, self.count).start()
            };
            self.ask.mirrors.iter().all(has_come).then_some(())
        });
    }

    /// What is wrong with the copies, once no more can come.
    pub(crate) fn check_copies(&self, origins: &Origins) -> Option<String> {
        let Self { ask, count, .. } = self;
        // Who has read a request that was not answered is not known.
        ask.stall
            .is_none()
            .then(|| compare("copies", &ask.mirrors, &self.copies(origins), *count))
            .flatten()
    }

    /// How many requests each origin has read beside those that it answered.
    fn copies(&self, origins: &Origins) -> BTreeMap<String, usize> {
        let reads = origins.reads(&self.id).into_iter();
        let copies = reads.map(|(name, count)| {
            let own = self.served.get(name).copied().unwrap_or_default();
            (name.to_owned(), count.saturating_sub(own))
        });
        copies.filter(|(_, count)| *count > 0).collect()
    }
}

fn compare(
    what: &str,
    expected: &BTreeMap<String, f64>,
    found: &BTreeMap<String, usize>,
    sent: usize,
) -> Option<String> {
    let found = found
        .iter()
        .map(|(name, count)| (name.as_str(), percent(*count, sent)));
    let found: BTreeMap<&str, f64> = found.collect();
    let is_near = expected.iter().all(|(name, share)| {
        let found = found.get(name.as_str()).copied().unwrap_or_default();
        range(*share, sent).contains(&found)
    });
    let is_expected = found.keys().all(|name| expected.contains_key(*name));
    (!is_near || !is_expected)
        .then(|| format!("expected {what} in percent {expected:?}, got {found:?}"))
}

/// The percents that a share may come to. All and nothing are meant exactly.
fn range(share: f64, sent: usize) -> RangeInclusive<f64> {
    let part = share / 100.0;
    let deviation = 100.0 * (part * (1.0 - part) / number(sent)).sqrt();
    share - DEVIATIONS * deviation..=share + DEVIATIONS * deviation
}

fn percent(count: usize, of: usize) -> f64 {
    100.0 * number(count) / number(of)
}

fn number(count: usize) -> f64 {
    f64::from(u32::try_from(count).expect("few requests"))
}
