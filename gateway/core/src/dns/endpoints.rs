//! From answers to endpoints.
//!
//! Owns order, weights and the bound: the same answers in any order come to the same endpoints, and
//! of too many always the same ones are taken.

use std::net::IpAddr;
use std::net::SocketAddr;

use crate::backend::Endpoint;
use crate::balance::scramble;
use crate::dns::MOST_ENDPOINTS;

/// An address that names have led to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Target {
    /// Where to connect.
    pub address: SocketAddr,
    /// Lower ones are used first (RFC 2782); 0 without SRV records.
    pub priority: u16,
    /// Its share among those of the same priority.
    pub weight: u32,
}

/// The endpoints that a source has now.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Resolved {
    /// By priority, the best first; in each, by address. None is empty.
    pub tiers: Vec<Vec<Endpoint>>,
}

impl Resolved {
    /// The endpoints that these targets are, and how many targets were too many.
    ///
    /// Which are taken of too many is decided by `seed`: a gateway takes the same ones every time,
    /// and not the same ones as its neighbours.
    pub fn of(mut targets: Vec<Target>, seed: u64) -> (Self, usize) {
        targets.sort_unstable_by_key(|one| (one.address, one.priority, u32::MAX - one.weight));
        targets.dedup_by_key(|one| one.address);
        let left_out = targets.len().saturating_sub(MOST_ENDPOINTS);
        if left_out > 0 {
            targets.sort_by_key(|one| (one.priority, place(one.address, seed)));
            targets.truncate(MOST_ENDPOINTS);
        }
        targets.sort_unstable_by_key(|one| (one.priority, one.address));
        let tiers = targets.chunk_by(|one, next| one.priority == next.priority);
        let tiers = tiers.map(|tier| tier.iter().map(endpoint).collect());
        let resolved = Self {
            tiers: tiers.collect(),
        };
        (resolved, left_out)
    }

    /// All of them, the best first.
    pub fn endpoints(&self) -> impl Iterator<Item = &Endpoint> {
        self.tiers.iter().flatten()
    }

    /// How many there are.
    pub fn count(&self) -> usize {
        self.tiers.iter().map(Vec::len).sum()
    }
}

fn endpoint(target: &Target) -> Endpoint {
    Endpoint {
        address: target.address,
        weight: target.weight,
    }
}

/// A random place that an address always has.
fn place(address: SocketAddr, seed: u64) -> u64 {
    let bits = match address.ip() {
        IpAddr::V4(ip) => u128::from(ip.to_bits()),
        IpAddr::V6(ip) => ip.to_bits(),
    };
    let half = |bits: u128| u64::try_from(bits & u128::from(u64::MAX)).unwrap_or(0);
    let high = scramble(seed ^ half(bits >> 64));
    scramble(high ^ half(bits) ^ (u64::from(address.port()) << 40))
}

/// The weight of one of so many addresses of an SRV record's host: they share its weight. A record
/// of weight 0 has a very small share beside others (RFC 2782).
pub fn share(weight: u16, addresses: usize) -> u32 {
    let addresses = u32::try_from(addresses.max(1)).unwrap_or(u32::MAX);
    (u32::from(weight) * 1000 / addresses).max(1)
}

#[cfg(test)]
mod tests {
    use std::net::SocketAddr;

    use super::MOST_ENDPOINTS;
    use super::Resolved;
    use super::Target;
    use super::share;

    fn target(n: u16, priority: u16, weight: u32) -> Target {
        let [high, low] = n.to_be_bytes();
        Target {
            address: SocketAddr::from(([10, 0, high, low], 80)),
            priority,
            weight,
        }
    }

    #[test]
    fn order_and_repetition_of_answers_do_not_matter() {
        let (one, _) = Resolved::of(vec![target(1, 0, 1), target(2, 0, 1)], 1);
        let (other, _) = Resolved::of(vec![target(2, 0, 1), target(1, 0, 1), target(2, 0, 1)], 1);
        assert_eq!((one.count(), &one), (2, &other));
    }

    #[test]
    fn priorities_are_tiers_and_the_best_comes_first() {
        let targets = vec![target(1, 20, 5), target(2, 10, 7), target(3, 20, 1)];
        let (resolved, left_out) = Resolved::of(targets, 1);
        let sizes: Vec<usize> = resolved.tiers.iter().map(Vec::len).collect();
        assert_eq!((sizes, left_out), (vec![1, 2], 0));
        assert_eq!(resolved.tiers[0][0].weight, 7);
    }

    #[test]
    fn of_too_many_always_the_same_ones_are_taken_and_the_better_first() {
        let all: Vec<Target> = (0..1000)
            .map(|n| target(n, u16::from(n >= 10), 1))
            .collect();
        let (resolved, left_out) = Resolved::of(all.clone(), 1);
        assert_eq!(
            (resolved.count(), left_out),
            (MOST_ENDPOINTS, 1000 - MOST_ENDPOINTS)
        );
        assert_eq!(resolved.tiers[0].len(), 10);
        let (again, _) = Resolved::of(all.iter().rev().copied().collect(), 1);
        assert_eq!(resolved, again);
        let (neighbour, _) = Resolved::of(all.clone(), 2);
        assert_ne!(resolved, neighbour);
        // One that goes takes none of the others with it.
        let gone = resolved.tiers[1][0].address;
        let fewer = all.into_iter().filter(|one| one.address != gone).collect();
        let (fewer, _) = Resolved::of(fewer, 1);
        let stay = |one: &&super::Endpoint| resolved.endpoints().any(|it| it == *one);
        assert_eq!(fewer.endpoints().filter(stay).count(), MOST_ENDPOINTS - 1);
    }

    #[test]
    fn addresses_of_a_host_share_its_weight() {
        assert_eq!(share(10, 2), 5000);
        assert_eq!((share(0, 1), share(0, 3)), (1, 1));
        assert_eq!(share(u16::MAX, 1), 65_535_000);
    }
}
