//! That bets are fair: what they are worth on average if the version is not worse.

use crate::rollout::counts::GROUPS;
use crate::rollout::evidence::Block;
use crate::rollout::evidence::Excess;
use crate::rollout::evidence::Of;
use crate::rollout::evidence::Rate;

/// How likely each number of hits is.
fn binomial(streams: u64, rate: f64) -> Vec<f64> {
    let mut chances = vec![1.0];
    for _ in 0..streams {
        let mut next = vec![0.0; chances.len() + 1];
        for (hits, chance) in chances.iter().enumerate() {
            next[hits] += chance * (1.0 - rate);
            next[hits + 1] += chance * rate;
        }
        chances = next;
    }
    chances
}

/// A bettor who knows that the stable version's rate is about this.
fn knowing(margin: f64, hits: u64) -> Excess {
    let mut excess = Excess::new(margin);
    let mut blocks = [Block::default(); GROUPS];
    blocks[0].stable = Of {
        hits,
        streams: 1_000,
    };
    excess.add(&blocks);
    excess
}

/// What evidence from one block is worth on average, at those rates.
fn average(margin: f64, known: u64, stable: (u64, f64), canary: (u64, f64)) -> f64 {
    let mut average = 0.0;
    for (hits, chance) in binomial(stable.0, stable.1).into_iter().enumerate() {
        for (others, other_chance) in binomial(canary.0, canary.1).into_iter().enumerate() {
            let mut excess = knowing(margin, known);
            let mut blocks = [Block::default(); GROUPS];
            blocks[1] = Block {
                stable: Of {
                    hits: hits as u64,
                    streams: stable.0,
                },
                canary: Of {
                    hits: others as u64,
                    streams: canary.0,
                },
            };
            excess.add(&blocks);
            average += chance * other_chance * excess.all_but_the_first().exp();
        }
    }
    average
}

#[test]
fn a_bet_on_a_version_that_is_not_worse_wins_nothing_on_average() {
    for margin in [0.0, 0.005, 0.05] {
        for stable in [0.0, 0.01, 0.2, 0.6, 0.95 - margin] {
            for known in [0, 10, 200, 600, 990] {
                let worth = average(margin, known, (12, stable), (5, stable + margin));
                assert!(worth <= 1.0 + 1e-9, "{margin} {stable} {known}: {worth}");
                let better = average(margin, known, (12, stable), (5, stable));
                assert!(better <= 1.0 + 1e-9, "{margin} {stable} {known}: {better}");
            }
        }
    }
}

#[test]
fn a_bet_on_a_version_that_is_worse_wins() {
    let worth = average(0.005, 50, (40, 0.05), (20, 0.4));
    assert!(worth > 3.0, "{worth}");
}

#[test]
fn a_rate_that_is_kept_wins_nothing_on_average() {
    for limit in [0.001, 0.05, 0.5] {
        for rate in [0.0, limit / 2.0, limit] {
            let mut worth = 0.0;
            for (hits, chance) in binomial(40, rate).into_iter().enumerate() {
                let mut bettor = Rate::new(limit);
                bettor.add(Of {
                    hits: hits as u64,
                    streams: 40,
                });
                worth += chance * bettor.logarithm().exp();
            }
            assert!(worth <= 1.0 + 1e-9, "{limit} {rate}: {worth}");
        }
    }
}

#[test]
fn limits_at_their_ends_are_no_numbers_out_of_place() {
    let all = Of {
        hits: 10,
        streams: 10,
    };
    let none = Of {
        hits: 0,
        streams: 10,
    };
    let mut never = Rate::new(0.0);
    never.add(none);
    assert!(never.logarithm() < 1e-9);
    never.add(all);
    assert_eq!(never.logarithm(), f64::INFINITY, "one is too many");
    never.add(none);
    assert_eq!(never.logarithm(), f64::INFINITY);
    let mut always = Rate::new(1.0);
    always.add(all);
    assert!(always.logarithm().abs() < 1e-9);
    for margin in [0.0, 0.999, 1.0, 7.0, -1.0] {
        for known in [0, 1_000] {
            let mut excess = knowing(margin, known);
            for (stable, canary) in [(all, none), (none, all), (all, all), (none, none)] {
                excess.add(&[Block { stable, canary }; GROUPS]);
                let logarithm = excess.logarithm();
                assert!(logarithm.is_finite(), "{margin} {known}: {logarithm}");
            }
        }
    }
}

#[test]
fn one_group_of_clients_alone_is_no_evidence() {
    let mut excess = knowing(0.005, 50);
    let mut blocks = [Block {
        stable: Of {
            hits: 5,
            streams: 100,
        },
        canary: Of {
            hits: 1,
            streams: 20,
        },
    }; GROUPS];
    blocks[3].canary = Of {
        hits: 400,
        streams: 400,
    };
    for _ in 0..10 {
        excess.add(&blocks);
    }
    assert!(excess.logarithm() < 1.0, "{}", excess.logarithm());
    blocks[4].canary = Of {
        hits: 400,
        streams: 400,
    };
    excess.add(&blocks);
    assert!(excess.logarithm() > 6.0, "two of them are");
}

#[test]
fn a_version_that_turns_bad_late_is_found_out() {
    let block = |hits| {
        let stable = Of {
            hits: 5,
            streams: 100,
        };
        [Block {
            stable,
            canary: Of { hits, streams: 20 },
        }; GROUPS]
    };
    let mut excess = knowing(0.005, 50);
    for _ in 0..1_000 {
        excess.add(&block(1));
    }
    let mut blocks = 0;
    while excess.logarithm() < 6.0 {
        excess.add(&block(3));
        blocks += 1;
        assert!(blocks < 30, "{}", excess.logarithm());
    }
}
