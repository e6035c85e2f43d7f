//! Who is picked how often.

use std::net::SocketAddr;

use proptest::collection::vec;
use proptest::prelude::any;
use proptest::prelude::proptest;
use proptest::sample::select;

use super::Balancer;
use super::LoadBalancer;
use super::scramble;
use crate::backend::Endpoint;

const POLICIES: [LoadBalancer; 3] = [
    LoadBalancer::LeastRequest,
    LoadBalancer::RoundRobin,
    LoadBalancer::Random,
];

fn endpoints(weights: &[u32]) -> Vec<Endpoint> {
    let endpoint = |weight: &u32| Endpoint {
        weight: *weight,
        ..Endpoint::from(SocketAddr::from(([127, 0, 0, 1], 80)))
    };
    weights.iter().map(endpoint).collect()
}

const fn idle(_: usize) -> u32 {
    0
}

/// How often each endpoint is picked in `rounds` picks by draws that follow each other.
fn shares(policy: LoadBalancer, weights: &[u32], rounds: u64, tried: &[usize]) -> Vec<u64> {
    let endpoints = endpoints(weights);
    let mut balancer = Balancer::new(policy, &endpoints, 7);
    let mut shares = vec![0; weights.len()];
    for draw in 0..rounds {
        let place = balancer.pick(&endpoints, &idle, draw, tried);
        shares[place.expect("an endpoint")] += 1;
    }
    shares
}

#[track_caller]
fn near(shares: &[u64], expected: &[u64], tolerance: u64) {
    let pairs = shares.iter().zip(expected);
    let all = pairs
        .clone()
        .all(|(got, wanted)| got.abs_diff(*wanted) <= tolerance);
    assert!(all, "{shares:?}, not {expected:?}");
}

#[test]
fn idle_endpoints_are_picked_by_weight() {
    for policy in POLICIES {
        near(
            &shares(policy, &[1, 1, 1], 9000, &[]),
            &[3000, 3000, 3000],
            200,
        );
        near(
            &shares(policy, &[1, 0, 3], 8000, &[]),
            &[2000, 0, 6000],
            200,
        );
        near(
            &shares(policy, &[5, 3, 2], 10_000, &[]),
            &[5000, 3000, 2000],
            200,
        );
    }
}

#[test]
fn the_others_share_what_a_tried_one_would_get() {
    for policy in POLICIES {
        near(
            &shares(policy, &[1, 1, 1, 1], 9000, &[1]),
            &[3000, 0, 3000, 3000],
            200,
        );
        near(
            &shares(policy, &[6, 1, 3], 8000, &[0]),
            &[0, 2000, 6000],
            200,
        );
    }
}

#[test]
fn nobody_is_picked_when_all_were_tried_or_none_has_a_weight() {
    for policy in POLICIES {
        for (weights, tried) in [
            (&[][..], &[][..]),
            (&[0, 0], &[]),
            (&[1, 1], &[1, 0]),
            (&[1, 0, 2], &[2, 0, 2]),
        ] {
            let endpoints = endpoints(weights);
            let mut balancer = Balancer::new(policy, &endpoints, 7);
            let pick = balancer.pick(&endpoints, &idle, 1, tried);
            assert_eq!(pick, None, "{policy:?} {weights:?} {tried:?}");
        }
    }
}

#[test]
fn turns_go_round_whatever_the_draw() {
    let endpoints = endpoints(&[1, 1, 1]);
    let mut balancer = Balancer::new(LoadBalancer::RoundRobin, &endpoints, 7);
    let mut turn = || {
        balancer
            .pick(&endpoints, &idle, 0, &[])
            .expect("an endpoint")
    };
    let first: Vec<usize> = (0..3).map(|_| turn()).collect();
    let second: Vec<usize> = (0..3).map(|_| turn()).collect();
    assert_eq!(first, second);
    let mut sorted = first;
    sorted.sort_unstable();
    assert_eq!(sorted, [0, 1, 2]);
}

#[test]
fn workers_with_other_seeds_begin_elsewhere() {
    let endpoints = endpoints(&[1; 8]);
    let first = |seed| {
        let mut balancer = Balancer::new(LoadBalancer::RoundRobin, &endpoints, seed);
        balancer.pick(&endpoints, &idle, 0, &[])
    };
    let mut starts: Vec<_> = (0..64).map(first).collect();
    starts.sort_unstable();
    starts.dedup();
    assert_eq!(starts.len(), 8);
}

#[test]
fn a_heavy_endpoint_has_no_burst_of_turns() {
    let endpoints = endpoints(&[3, 1, 1, 1]);
    let mut balancer = Balancer::new(LoadBalancer::RoundRobin, &endpoints, 7);
    let picks: Vec<_> = (0..60)
        .map(|_| balancer.pick(&endpoints, &idle, 0, &[]))
        .collect();
    let burst = picks.windows(3).any(|three| three == [Some(0); 3]);
    assert!(!burst, "{picks:?}");
}

#[test]
fn a_tried_endpoint_keeps_its_turn() {
    let endpoints = endpoints(&[2, 1]);
    let mut balancer = Balancer::new(LoadBalancer::RoundRobin, &endpoints, 7);
    let mut twin = Balancer::new(LoadBalancer::RoundRobin, &endpoints, 7);
    let due = twin.pick(&endpoints, &idle, 0, &[]).expect("an endpoint");
    let other = balancer
        .pick(&endpoints, &idle, 0, &[due])
        .expect("an endpoint");
    assert_ne!(other, due);
    assert_eq!(balancer.pick(&endpoints, &idle, 0, &[]), Some(due));
}

#[test]
fn the_less_loaded_of_two_is_picked() {
    let endpoints = endpoints(&[1, 1]);
    let mut balancer = Balancer::new(LoadBalancer::LeastRequest, &endpoints, 7);
    let load = |place| if place == 0 { 5 } else { 4 };
    for draw in 0..100 {
        assert_eq!(balancer.pick(&endpoints, &load, draw, &[]), Some(1));
    }
}

#[test]
fn the_most_loaded_of_all_is_never_picked() {
    let endpoints = endpoints(&[1; 10]);
    let mut balancer = Balancer::new(LoadBalancer::LeastRequest, &endpoints, 7);
    let load = |place| u32::from(place == 3);
    for draw in 0..1000 {
        assert_ne!(
            balancer.pick(&endpoints, &load, draw, &[]),
            Some(3),
            "two picks differ"
        );
    }
}

#[test]
fn load_is_compared_by_weight() {
    let endpoints = endpoints(&[1, 4]);
    let mut balancer = Balancer::new(LoadBalancer::LeastRequest, &endpoints, 7);
    let load = |place| if place == 0 { 2 } else { 7 };
    for draw in 0..100 {
        assert_eq!(balancer.pick(&endpoints, &load, draw, &[]), Some(1));
    }
}

#[test]
fn loads_settle_by_weight() {
    let endpoints = endpoints(&[1, 2, 5]);
    let mut balancer = Balancer::new(LoadBalancer::LeastRequest, &endpoints, 7);
    let mut loads = [0_u32; 3];
    for draw in 0..800 {
        let load = |place: usize| loads[place];
        let place = balancer.pick(&endpoints, &load, draw, &[]);
        loads[place.expect("an endpoint")] += 1;
    }
    near(&loads.map(u64::from), &[100, 200, 500], 10);
}

#[test]
fn a_draw_that_chose_the_backend_may_choose_the_endpoint() {
    let endpoints = endpoints(&[1; 4]);
    let mut balancer = Balancer::new(LoadBalancer::Random, &endpoints, 7);
    let mut shares = [0_u64; 4];
    for draw in 0..4000_u64 {
        // Only draws of the upper tenth, as a backend with such a share would see.
        let upper = u64::MAX - (scramble(draw) / 10);
        let place = balancer.pick(&endpoints, &idle, upper, &[]);
        shares[place.expect("an endpoint")] += 1;
    }
    near(&shares, &[1000; 4], 120);
}

proptest! {
    #[test]
    fn a_pick_has_a_weight_and_was_not_tried(
        weights in vec(select(&[0, 1, 1, 7, u32::MAX][..]), 0..12),
        tried in vec(0_usize..14, 0..6),
        policy in select(&POLICIES[..]),
        draws in vec(any::<u64>(), 1..20),
        seed in any::<u64>(),
    ) {
        let endpoints = endpoints(&weights);
        let mut balancer = Balancer::new(policy, &endpoints, seed);
        let free = |place: &usize| weights[*place] > 0 && !tried.contains(place);
        let any_left = (0..weights.len()).any(|place| free(&place));
        for draw in draws {
            let load = |place: usize| u32::try_from(place).expect("few") ^ 3;
            let pick = balancer.pick(&endpoints, &load, draw, &tried);
            assert_eq!(pick.is_some(), any_left);
            assert!(pick.is_none_or(|place| free(&place)), "{pick:?} {weights:?} {tried:?}");
        }
    }

    #[test]
    fn turns_follow_weights_exactly(weights in vec(0_u32..20, 1..10), seed in any::<u64>()) {
        let sum: u32 = weights.iter().sum();
        let endpoints = endpoints(&weights);
        let mut balancer = Balancer::new(LoadBalancer::RoundRobin, &endpoints, seed);
        let mut turns = vec![0_u32; weights.len()];
        for _ in 0..sum * 3 {
            let place = balancer.pick(&endpoints, &idle, 0, &[]);
            turns[place.expect("an endpoint")] += 1;
        }
        let expected: Vec<u32> = weights.iter().map(|weight| weight * 3).collect();
        assert_eq!(turns, expected);
    }
}
