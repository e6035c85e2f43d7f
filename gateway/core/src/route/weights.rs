//! Which backend of a rule gets an exchange, or a connection.
//!
//! Owns the share of each weight (Gateway API: `HTTPBackendRef.weight`).

use super::Rule;
use super::WeightedBackend;
use crate::tcp::TcpRule;

impl Rule {
    /// The backend for one exchange, or `None` if no backend has a weight (the answer is 500).
    ///
    /// `draw` is 64 random bits, drawn once an exchange: the same draw on the same rule gives the
    /// same backend. Its upper half decides here; [`crate::filter::Mirror::takes`] looks at the
    /// lower half, and [`crate::balance`] scrambles what it is given, so that one draw may serve
    /// all three.
    pub fn pick(&self, draw: u64) -> Option<&WeightedBackend> {
        pick(&self.backends, draw)
    }
}

impl TcpRule {
    /// The backend for one connection, as [`Rule::pick`]; `None` if no backend has a weight.
    pub fn pick(&self, draw: u64) -> Option<&WeightedBackend> {
        pick(&self.backends, draw)
    }
}

fn pick(backends: &[WeightedBackend], draw: u64) -> Option<&WeightedBackend> {
    let sum: u64 = backends.iter().map(|it| u64::from(it.weight)).sum();
    // The draw as a share of one, taken of the sum: below it by construction.
    let point = (u128::from(draw >> 32) * u128::from(sum)) >> 32;
    let mut below = 0;
    backends.iter().find(|it| {
        below += u128::from(it.weight);
        point < below
    })
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use proptest::collection::vec;
    use proptest::prelude::any;
    use proptest::prelude::proptest;

    use crate::route::RouteTimeouts;
    use crate::route::Rule;
    use crate::route::RuleId;
    use crate::route::WeightedBackend;

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
        }
    }

    /// How many of `draws` draws, spread evenly over all there are, each backend gets.
    fn shares(weights: &[u32], draws: u64) -> Vec<u64> {
        let rule = rule(weights);
        let mut shares = vec![0; weights.len()];
        let step = u64::MAX / draws;
        for turn in 0..draws {
            let picked = rule.pick(step * turn + step / 2).expect("some weight");
            let place = rule.backends.iter().position(|it| std::ptr::eq(it, picked));
            shares[place.expect("one of them")] += 1;
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
            assert_eq!(rule.pick(draw).map(|it| it.weight), Some(5));
        }
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
            let pick = |draw| rule.pick(draw).map(|it| it.weight);
            assert_eq!(pick(draw), pick(draw));
            assert_eq!(pick(draw), pick(draw ^ 0xffff_ffff), "the lower half decides nothing");
        }
    }
}
