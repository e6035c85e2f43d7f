//! Which backend of a rule gets an exchange, or a connection.
//!
//! Owns the share of each weight (Gateway API: `HTTPBackendRef.weight`), and what a filter may call a
//! backend that it chooses itself.

use super::Rule;
use super::WeightedBackend;
use crate::backend::BackendId;
use crate::tcp::TcpRule;

/// Which backend of a rule is meant.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Choice<'a> {
    /// By its place: 0 is the first.
    FromFront(usize),
    /// By its place from the end: 0 is the last.
    FromBack(usize),
    /// By its name ([`crate::backend::BackendName`]), with or without its namespace and port. The
    /// first of that name is meant.
    Named(&'a str),
}

impl Rule {
    /// The place of a backend that somebody chooses, whatever its weight; `None` if the rule has none
    /// like that. `name_of` says what a backend is called.
    pub fn place_of<'n>(
        &self,
        choice: Choice<'_>,
        name_of: impl Fn(BackendId) -> Option<&'n str>,
    ) -> Option<usize> {
        let count = self.backends.len();
        match choice {
            Choice::FromFront(place) => (place < count).then_some(place),
            Choice::FromBack(place) => count.checked_sub(place.checked_add(1)?),
            Choice::Named(wanted) => self.backends.iter().position(|it| {
                let name = it.backend.and_then(&name_of);
                name.is_some_and(|name| is_called(name, wanted))
            }),
        }
    }

    /// The place of the backend for one exchange, or `None` if no backend has a weight (the answer is
    /// 500).
    ///
    /// `draw` is 64 random bits, drawn once an exchange: the same draw on the same rule gives the
    /// same backend. Its upper half decides here; [`crate::filter::Mirror::takes`] looks at the
    /// lower half, and [`crate::balance`] scrambles what it is given, so that one draw may serve
    /// all three.
    pub fn pick(&self, draw: u64) -> Option<usize> {
        pick(&self.backends, draw)
    }
}

impl TcpRule {
    /// The backend for one connection, as [`Rule::pick`]; `None` if no backend has a weight.
    pub fn pick(&self, draw: u64) -> Option<&WeightedBackend> {
        self.backends.get(pick(&self.backends, draw)?)
    }
}

fn pick(backends: &[WeightedBackend], draw: u64) -> Option<usize> {
    let sum: u64 = backends.iter().map(|it| u64::from(it.weight)).sum();
    // The draw as a share of one, taken of the sum: below it by construction.
    let point = (u128::from(draw >> 32) * u128::from(sum)) >> 32;
    let mut below = 0;
    backends.iter().position(|it| {
        below += u128::from(it.weight);
        point < below
    })
}

/// Whether a backend has that name, or has it without its namespace, its port or both.
fn is_called(name: &str, wanted: &str) -> bool {
    let without_namespace = name.split_once('/').map_or(name, |(_, name)| name);
    [name, without_namespace].into_iter().any(|name| {
        let without_port = name.split_once(':').map_or(name, |(name, _)| name);
        name == wanted || without_port == wanted
    })
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use proptest::collection::vec;
    use proptest::prelude::any;
    use proptest::prelude::proptest;

    use super::Choice;
    use crate::backend::BackendId;
    use crate::route::RouteTimeouts;
    use crate::route::Rule;
    use crate::route::RuleId;
    use crate::route::WeightedBackend;
    use crate::upgrade::Upgrades;

    fn rule(weights: &[u32]) -> Rule {
        let backend = |weight: &u32| WeightedBackend {
            weight: *weight,
            backend: None,
            filters: Vec::new(),
        };
        Rule {
            id: RuleId(0),
            name: Arc::from("a"),
            filters: Vec::new(),
            backends: weights.iter().map(backend).collect(),
            timeouts: RouteTimeouts::default(),
            buffered_body_bytes: None,
            upgrades: Upgrades::default(),
        }
    }

    /// How many of `draws` draws, spread evenly over all there are, each backend gets.
    fn shares(weights: &[u32], draws: u64) -> Vec<u64> {
        let rule = rule(weights);
        let mut shares = vec![0; weights.len()];
        let step = u64::MAX / draws;
        for turn in 0..draws {
            shares[rule.pick(step * turn + step / 2).expect("some weight")] += 1;
        }
        shares
    }

    #[test]
    fn each_backend_gets_its_share() {
        assert_eq!(shares(&[1], 10), [10]);
        assert_eq!(shares(&[90, 10], 100), [90, 10]);
        assert_eq!(shares(&[1, 0, 3], 4000), [1000, 0, 3000]);
    }

    #[test]
    fn without_weight_there_is_no_backend() {
        for draw in [0, u64::MAX] {
            assert!(rule(&[]).pick(draw).is_none());
            assert!(rule(&[0, 0]).pick(draw).is_none());
        }
    }

    #[test]
    fn a_backend_without_weight_gets_not_even_the_last_draw() {
        for draw in [0, u64::MAX] {
            let rule = rule(&[0, 5, 0]);
            assert_eq!(rule.pick(draw), Some(1));
        }
    }

    #[test]
    fn a_backend_is_chosen_by_its_place_from_either_end_whatever_its_weight() {
        let place = |weights: &[u32], choice| rule(weights).place_of(choice, |_| None);
        for (choice, expected) in [
            (Choice::FromFront(0), Some(0)),
            (Choice::FromFront(2), Some(2)),
            (Choice::FromFront(3), None),
            (Choice::FromBack(0), Some(2)),
            (Choice::FromBack(2), Some(0)),
            (Choice::FromBack(3), None),
            (Choice::FromBack(usize::MAX), None),
        ] {
            assert_eq!(place(&[1, 0, 0], choice), expected, "{choice:?}");
            assert_eq!(place(&[], choice), None, "{choice:?}");
        }
    }

    #[test]
    fn a_backend_is_chosen_by_its_name_with_or_without_namespace_and_port() {
        let mut rule = rule(&[1, 0, 0, 1]);
        // The first leads nowhere.
        for (share, id) in rule.backends.iter_mut().skip(1).zip(0..) {
            share.backend = Some(BackendId(id));
        }
        let names = ["shop/web:8080", "shop/web:9090", "shop/api"];
        let name_of = |id: BackendId| names.get(id.0 as usize).copied();
        for (wanted, expected) in [
            ("web", Some(1)),
            ("shop/web", Some(1)),
            ("web:9090", Some(2)),
            ("shop/web:9090", Some(2)),
            ("api", Some(3)),
            ("shop/api", Some(3)),
            ("web:80", None),
            ("other/web", None),
            ("shop", None),
            ("shop/", None),
            ("8080", None),
            ("", None),
        ] {
            let place = rule.place_of(Choice::Named(wanted), name_of);
            assert_eq!(place, expected, "{wanted:?}");
        }
        assert_eq!(rule.place_of(Choice::Named("web"), |_| None), None);
    }

    #[test]
    fn the_largest_weights_do_not_overflow() {
        let [one, two, three] = shares(&[u32::MAX; 3], 3000)[..] else {
            panic!("three shares");
        };
        assert!(
            [one, two, three]
                .iter()
                .all(|share| share.abs_diff(1000) <= 1)
        );
    }

    proptest! {
        #[test]
        fn shares_follow_weights(weights in vec(0_u32..=1_000_000, 1..8), extra in 1_u32..1000) {
            let weights = [weights, vec![extra]].concat();
            let sum: u64 = weights.iter().copied().map(u64::from).sum();
            let draws = 2000;
            for (weight, share) in weights.iter().zip(shares(&weights, draws)) {
                let expected = draws * u64::from(*weight) / sum;
                assert!(share.abs_diff(expected) <= 1, "{weights:?}: {weight} got {share}");
            }
        }

        #[test]
        fn the_same_draw_gives_the_same_backend(draw in any::<u64>()) {
            let rule = rule(&[3, 4, 5]);
            assert_eq!(rule.pick(draw), rule.pick(draw));
            assert_eq!(rule.pick(draw), rule.pick(draw ^ 0xffff_ffff), "the lower half decides nothing");
        }
    }
}
