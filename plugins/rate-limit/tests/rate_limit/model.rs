//! What the script does in Redis, as a server of tests does it.
//!
//! That it does the same as the script in a real Redis is a test of the gateway's
//! (gateway/tests/gateway/shared_limits.rs), which reads this file, too.

#![expect(
    clippy::cast_possible_truncation,
    reason = "as Redis makes whole numbers of those of Lua"
)]

use std::collections::BTreeMap;

/// The keys of a server.
#[derive(Debug, Default)]
pub(crate) struct Model {
    /// The level of each, and since when in microseconds.
    keys: BTreeMap<Vec<u8>, (f64, u64)>,
}

/// What is wanted of one key: requests, window, burst, want, least.
type Wanted = [f64; 5];

/// What came of one key: admitted, taken, remaining, wait, full.
pub(crate) type Answer = [i64; 5];

impl Model {
    /// Runs the script with these words behind `EVALSHA SHA`; `None` if they are not its arguments.
    pub(crate) fn run(&mut self, words: &[Vec<u8>], now: u64) -> Option<Vec<Answer>> {
        let (count, words) = words.split_first()?;
        let count: usize = text(count)?.parse().ok()?;
        let (keys, words) = words.split_at_checked(count)?;
        let (mode, numbers) = words.split_first()?;
        let numbers: Option<Vec<f64>> = numbers.iter().map(|it| text(it)?.parse().ok()).collect();
        let numbers = numbers?;
        let (wanted, rest) = numbers.as_chunks::<5>();
        if !rest.is_empty() || wanted.len() != count {
            return None;
        }
        Some(self.ask(text(mode)?, keys, wanted, now))
    }

    fn ask(&mut self, mode: &str, keys: &[Vec<u8>], wanted: &[Wanted], now: u64) -> Vec<Answer> {
        let level = |key: &Vec<u8>, [requests, window, ..]: &Wanted| match self.keys.get(key) {
            Some((level, since)) => {
                let passed = now.saturating_sub(*since) as f64;
                (level - passed * requests / window).max(0.0)
            }
            None => 0.0,
        };
        let levels: Vec<f64> = keys
            .iter()
            .zip(wanted)
            .map(|(key, it)| level(key, it))
            .collect();
        let admits = |(level, wanted): (&f64, &Wanted)| wanted[2] - level >= wanted[4];
        let all = levels.iter().zip(wanted).all(admits);
        let mut answers = Vec::new();
        for ((key, before), wanted) in keys.iter().zip(levels).zip(wanted) {
            let [requests, window, burst, want, least] = *wanted;
            let free = burst - before;
            let mut admitted = free >= least;
            let mut taken = 0.0;
            let mut level = before;
            match mode {
                "charge" => {
                    admitted = true;
                    level = (level + want).min(level.max(3.0 * burst));
                }
                "refund" => {
                    admitted = true;
                    level = (level - want).max(0.0);
                }
                "lease" if admitted => taken = want.min(free.floor()),
                "take" if all => taken = want,
                _ => {}
            }
            level += taken;
            if level == 0.0 {
                self.keys.remove(key);
            } else if level.total_cmp(&before).is_ne() {
                self.keys.insert(key.clone(), (level, now));
            }
            let wait = match admitted {
                true => 0.0,
                false if least > burst => -1.0,
                false => ((least - free) * window / requests).ceil(),
            };
            let remaining = (burst - level).floor().max(0.0);
            let full = (level * window / requests).ceil();
            let whole = |number: f64| number as i64;
            answers.push([
                i64::from(admitted),
                whole(taken),
                whole(remaining),
                whole(wait),
                whole(full),
            ]);
        }
        answers
    }
}

fn text(bytes: &[u8]) -> Option<&str> {
    std::str::from_utf8(bytes).ok()
}
