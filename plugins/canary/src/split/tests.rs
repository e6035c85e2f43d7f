//! Shares, ramps and hashes, with fixed seeds.

use proptest::collection::vec;
use proptest::prelude::*;

use super::*;

fn counts(split: &Split, versions: usize) -> Vec<u16> {
    let mut counts = vec![0; versions];
    for bucket in 0..BUCKETS {
        counts[split.version(bucket)] += 1;
    }
    counts
}

/// Shares for a first version and later ones, of numbers of which only the proportions count.
fn shares(proportions: &[u32]) -> Vec<u16> {
    let sum: u32 = proportions.iter().sum::<u32>().max(1);
    let share = |it: &u32| u16::try_from(it * u32::from(BUCKETS) / sum).unwrap();
    let mut shares: Vec<u16> = proportions.iter().map(share).collect();
    shares[0] += BUCKETS - shares.iter().sum::<u16>();
    shares
}

#[test]
fn buckets_are_those_of_the_documentation() {
    // Python: xxhash.xxh64_intdigest(key, seed=xxhash.xxh64_intdigest(salt)) % 10000
    for (salt, key, bucket) in VECTORS {
        assert_eq!(
            Salt::new(salt).bucket(key.as_bytes()),
            *bucket,
            "{salt} {key}"
        );
    }
    // The hash is the published one (github.com/Cyan4973/xxHash, doc/xxhash_spec.md).
    assert_eq!(xxh64(b"", 0), 0xef46_db37_51d8_e999);
    assert_eq!(xxh64(b"abc", 0), 0x44bc_2cf5_ad77_0999);
    // Numbers of cookies: 6,921 and 883 places on.
    assert_eq!(Salt::new("").moved(17), 6_938);
    assert_eq!(Salt::new("checkout-v2").moved(9_999), 882);
}

const LONG: &str = "3f1c9a52-6b1e-4b8e-9a53-0c2f0c7c3d11 and more than thirty-two bytes";

const VECTORS: &[(&str, &str, u16)] = &[
    ("", "alice", 6_726),
    ("", "bob", 1_787),
    ("", "42", 8_546),
    ("", "2001:db8:1:2::/64", 4_388),
    ("", "größe", 5_070),
    ("", LONG, 8_559),
    ("checkout-v2", "alice", 2_750),
    ("checkout-v2", "bob", 2_844),
    ("checkout-v2", "42", 7_325),
    ("checkout-v2", "2001:db8:1:2::/64", 8_132),
    ("checkout-v2", "größe", 9_146),
    ("checkout-v2", LONG, 6_054),
];

#[test]
fn two_versions_share_one_interval() {
    let split = Split::new(&[9_500, 500]);
    for (bucket, version) in [(0, 1), (499, 1), (500, 0), (9_999, 0)] {
        assert_eq!(split.version(bucket), version, "{bucket}");
    }
    assert_eq!(counts(&Split::new(&[0, 10_000]), 2), [0, 10_000]);
    assert_eq!(counts(&Split::new(&[10_000, 0]), 2), [10_000, 0]);
    assert_eq!(counts(&Split::new(&[10_000]), 1), [10_000]);
}

#[test]
fn three_versions_grow_towards_each_other() {
    let split = Split::new(&[4_000, 500, 5_500]);
    let edges = [
        (0, 1),
        (499, 1),
        (500, 0),
        (4_499, 0),
        (4_500, 2),
        (9_999, 2),
    ];
    for (bucket, version) in edges {
        assert_eq!(split.version(bucket), version, "{bucket}");
    }
}

#[test]
fn a_ramp_from_nothing_to_all_moves_each_bucket_once() {
    let mut moves = 0;
    let mut before = Split::new(&[BUCKETS, 0]);
    for share in (25..=BUCKETS).step_by(25) {
        let after = Split::new(&[BUCKETS - share, share]);
        for bucket in 0..BUCKETS {
            let (old, new) = (before.version(bucket), after.version(bucket));
            assert!(new >= old, "{bucket} goes back at {share}");
            moves += usize::from(new != old);
        }
        before = after;
    }
    assert_eq!(moves, usize::from(BUCKETS));
}

/// The same cases in each run.
fn seeded() -> ProptestConfig {
    ProptestConfig {
        cases: 24,
        rng_seed: prop::test_runner::RngSeed::Fixed(8),
        ..ProptestConfig::default()
    }
}

proptest! {
    #![proptest_config(seeded())]

    #[test]
    fn every_version_has_its_share_exactly(proportions in vec(0_u32..1000, 2..16)) {
        let shares = shares(&proportions);
        prop_assert_eq!(counts(&Split::new(&shares), shares.len()), shares);
    }

    /// Whatever the weights were and become: where a version grows, nobody leaves it, and where it
    /// shrinks, nobody comes.
    #[test]
    fn with_three_versions_only_those_move_whom_a_change_is_about(
        before in vec(0_u32..1000, 3), after in vec(0_u32..1000, 3),
    ) {
        let (before, after) = (shares(&before), shares(&after));
        let (old, new) = (Split::new(&before), Split::new(&after));
        for bucket in 0..BUCKETS {
            let (from, to) = (old.version(bucket), new.version(bucket));
            if from != to {
                prop_assert!(from == 0 || after[from] < before[from], "{bucket} leaves {from}");
                prop_assert!(to == 0 || after[to] > before[to], "{bucket} comes to {to}");
            }
        }
    }

    #[test]
    fn a_version_within_its_part_keeps_its_buckets_whatever_the_others_do(
        own in 0_u16..=2_500, others in vec(0_u16..=2_500, 3), later in vec(0_u16..=2_500, 3),
        at in 0_usize..4,
    ) {
        let split = |others: &[u16]| {
            let mut shares = vec![0];
            shares.extend(others);
            shares.insert(at + 1, own);
            Split::new(&shares)
        };
        let (old, new) = (split(&others), split(&later));
        for bucket in 0..BUCKETS {
            prop_assert_eq!(old.version(bucket) == at + 1, new.version(bucket) == at + 1);
        }
    }

    #[test]
    fn a_growing_version_keeps_its_clients_for_any_sequence_of_weights(
        weights in vec(0_u16..=BUCKETS, 2..12), keys in vec("[a-z0-9-]{1,40}", 20), salt in ".{0,8}",
    ) {
        let salt = Salt::new(&salt);
        for key in keys {
            let bucket = salt.bucket(key.as_bytes());
            for pair in weights.windows(2) {
                let version = |weight| Split::new(&[BUCKETS - weight, weight]).version(bucket);
                let (old, new) = (version(pair[0]), version(pair[1]));
                prop_assert!(old == new || (new > old) == (pair[1] > pair[0]));
            }
        }
    }

    #[test]
    fn numbers_of_cookies_are_one_bucket_each(salt in ".{0,16}") {
        let salt = Salt::new(&salt);
        let mut seen = vec![false; usize::from(BUCKETS)];
        for number in 0..BUCKETS {
            let bucket = usize::from(salt.moved(number));
            prop_assert!(!std::mem::replace(&mut seen[bucket], true));
        }
    }
}

/// Pearson's χ² of counts against expected ones.
fn chi_squared(counts: &[u64], expected: &[f64]) -> f64 {
    let terms = counts.iter().zip(expected);
    terms
        .map(|(count, expected)| {
            let off = f64::from(u32::try_from(*count).unwrap()) - expected;
            off * off / expected
        })
        .sum()
}

/// A sort of keys: its name, and how one is made of a number.
type Sort = (&'static str, fn(u32) -> String);

#[test]
fn keys_of_all_sorts_are_spread_evenly() {
    // 100 classes of 100 buckets: 99 degrees of freedom, 148.2 at p = 0.001.
    let sorts: [Sort; 4] = [
        ("numbers", |at| at.to_string()),
        ("names", |at| format!("user-{at}@shop.test")),
        ("addresses", |at| {
            std::net::Ipv4Addr::from(0x0a00_0000 + at).to_string()
        }),
        ("ids", |at| format!("00000000-0000-4000-8000-{at:012x}")),
    ];
    for (sort, key) in sorts {
        for salt in ["", "checkout", "search"] {
            let mut classes = [0; 100];
            for at in 0..20_000 {
                let bucket = Salt::new(salt).bucket(key(at).as_bytes());
                classes[usize::from(bucket / 100)] += 1;
            }
            let chi = chi_squared(&classes, &[200.0; 100]);
            assert!(chi < 148.2, "{sort} with {salt:?}: {chi}");
        }
    }
}

#[test]
fn versions_get_their_shares_of_keys() {
    let weights = [7_000, 500, 1_500, 1_000];
    let split = Split::new(&weights);
    let mut got = [0; 4];
    for at in 0..20_000 {
        let bucket = Salt::new("shares").bucket(format!("user-{at}").as_bytes());
        got[split.version(bucket)] += 1;
    }
    // 3 degrees of freedom, 16.27 at p = 0.001.
    let chi = chi_squared(&got, &weights.map(|it| f64::from(it) * 2.0));
    assert!(chi < 16.27, "{got:?}: {chi}");
}

#[test]
fn other_salts_choose_others() {
    // Of those that one split gives a tenth, a tenth is in another's too.
    let (one, other) = (Salt::new("one"), Salt::new("other"));
    let keys = (0..40_000).map(|at| format!("user-{at}"));
    let is_in = |salt: Salt, key: &str| salt.bucket(key.as_bytes()) < 1_000;
    let both = keys.filter(|key| is_in(one, key) && is_in(other, key));
    let both = both.count();
    // Binomial: 400 expected, a standard deviation of 19.9.
    assert!(both.abs_diff(400) < 66, "{both}");
    assert_ne!(one.moved(0), other.moved(0));
}
