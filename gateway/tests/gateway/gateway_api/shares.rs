//! How requests are spread: over the shares of a rule, and as copies.

use std::collections::BTreeMap;
use std::ops::RangeInclusive;

use tidegate_testkit::eventually;

use super::cases::Ask;
use super::replay::Origins;
use super::replay::Outcome;

/// How many standard deviations a share may be off: more are seen once in a million runs.
const DEVIATIONS: f64 = 5.0;

/// Everything that is wrong with the shares of a request that was sent often, and with its copies.
pub(crate) fn check(ask: &Ask, outcomes: &[Outcome], origins: &Origins, id: &str) -> Vec<String> {
    let mut answered: BTreeMap<String, usize> = BTreeMap::new();
    let mut served: BTreeMap<&str, usize> = BTreeMap::new();
    for outcome in outcomes {
        let who = match (outcome.origin(), outcome) {
            (Some(origin), _) => {
                *served.entry(origin).or_default() += 1;
                origin.to_owned()
            }
            (None, Outcome::Answer(answer)) => answer.status().to_string(),
            (None, Outcome::Cut) => "cut".to_owned(),
        };
        *answered.entry(who).or_default() += 1;
    }
    let mut wrong = Vec::new();
    if !ask.shares.is_empty() {
        let found = answered.iter().map(|(name, count)| (name.as_str(), *count));
        wrong.extend(compare("answers", &ask.shares, found, outcomes.len()));
    }
    if ask.stall.is_none() {
        wrong.extend(check_copies(ask, &served, outcomes.len(), origins, id));
    }
    wrong
}

/// Copies go on their way unseen: waits until those that must come have come.
fn check_copies(
    ask: &Ask,
    served: &BTreeMap<&str, usize>,
    sent: usize,
    origins: &Origins,
    id: &str,
) -> Vec<String> {
    let copies = || -> Vec<(String, usize)> {
        let reads = origins.reads(id).into_iter();
        let copies = reads.map(|(name, count)| {
            let own = served.get(name).copied().unwrap_or_default();
            (name.to_owned(), count.saturating_sub(own))
        });
        copies.filter(|(_, count)| *count > 0).collect()
    };
    let enough = |found: &[(String, usize)]| {
        ask.mirrors.iter().all(|(name, share)| {
            let found = found.iter().find(|(one, _)| one == name);
            let count = found.map_or(0, |(_, count)| *count);
            percent(count, sent) >= *range(*share, sent).start()
        })
    };
    let found = eventually("copies of requests", || {
        let found = copies();
        enough(&found).then_some(found)
    });
    let found = found.iter().map(|(name, count)| (name.as_str(), *count));
    compare("copies", &ask.mirrors, found, sent)
        .into_iter()
        .collect()
}

fn compare<'a>(
    what: &str,
    expected: &BTreeMap<String, f64>,
    found: impl Iterator<Item = (&'a str, usize)>,
    sent: usize,
) -> Option<String> {
    let found: BTreeMap<&str, f64> = found
        .map(|(name, count)| (name, percent(count, sent)))
        .collect();
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
