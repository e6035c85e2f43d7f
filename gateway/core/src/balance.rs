//! Which endpoint an attempt goes to.
//!
//! Owns the policies and the state that one worker keeps for one backend. Time is not asked and
//! dice are not thrown here: a draw of random bits is an argument. All bits of a draw are scrambled
//! first, so that it may be one that decided something else before.

use crate::backend::Endpoint;

mod round_robin;
mod shares;

use round_robin::RoundRobin;
use shares::Shares;

/// How an endpoint is picked.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum LoadBalancer {
    /// The one with fewer exchanges of two picked at random, by weight.
    #[default]
    LeastRequest,
    /// Each in turn, as often as its weight says.
    RoundRobin,
    /// Any, by weight.
    Random,
}

/// What one worker knows of one backend's endpoints.
#[derive(Debug)]
pub struct Balancer {
    policy: Policy,
}

#[derive(Debug)]
enum Policy {
    LeastRequest(Shares),
    RoundRobin(RoundRobin),
    Random(Shares),
}

impl Balancer {
    /// A balancer that starts at a place decided by `seed`, so that workers do not march in step.
    pub fn new(policy: LoadBalancer, endpoints: &[Endpoint], seed: u64) -> Self {
        let shares = Shares::new(endpoints);
        let policy = match policy {
            LoadBalancer::LeastRequest => Policy::LeastRequest(shares),
            LoadBalancer::RoundRobin => {
                Policy::RoundRobin(RoundRobin::new(endpoints, &shares, scramble(seed)))
            }
            LoadBalancer::Random => Policy::Random(shares),
        };
        Self { policy }
    }

    /// The endpoint for an attempt, or `None` if all that have a weight have been tried.
    ///
    /// `endpoints` are those that the balancer was made for. `load` is the number of exchanges that
    /// an endpoint has on this worker, `draw` 64 random bits, `tried` the places of endpoints that
    /// this exchange has tried already.
    pub fn pick(
        &mut self,
        endpoints: &[Endpoint],
        load: &dyn Fn(usize) -> u32,
        draw: u64,
        tried: &[usize],
    ) -> Option<usize> {
        let draw = scramble(draw);
        let place = match &mut self.policy {
            Policy::Random(shares) => shares.pick(draw, &distinct(tried)),
            Policy::RoundRobin(turns) => turns.pick(tried),
            Policy::LeastRequest(shares) => {
                let weight = |place: usize| endpoints.get(place).map_or(0, |it| it.weight);
                less_loaded(shares, &weight, load, draw, tried)
            }
        };
        place.filter(|place| *place < endpoints.len())
    }
}

/// Of two endpoints drawn by weight the one with less to do for its weight; the first if both have
/// the same, so that idle endpoints too are picked by weight.
fn less_loaded(
    shares: &Shares,
    weight: &dyn Fn(usize) -> u32,
    load: &dyn Fn(usize) -> u32,
    draw: u64,
    tried: &[usize],
) -> Option<usize> {
    let another = scramble(draw);
    let (one, other) = if tried.is_empty() {
        let one = shares.pick(draw, &[])?;
        (one, shares.pick(another, &[one]))
    } else {
        let mut excluded = distinct(tried);
        let one = shares.pick(draw, &excluded)?;
        excluded.insert(excluded.partition_point(|place| *place < one), one);
        (one, shares.pick(another, &excluded))
    };
    let Some(other) = other else {
        return Some(one);
    };
    // load(one) / weight(one) > load(other) / weight(other), without division.
    let cost = |place, rival| u64::from(load(place)) * u64::from(weight(rival));
    Some(if cost(one, other) > cost(other, one) {
        other
    } else {
        one
    })
}

/// Places in ascending order, each once. Allocates only if there are any.
fn distinct(places: &[usize]) -> Vec<usize> {
    let mut places = places.to_vec();
    places.sort_unstable();
    places.dedup();
    places
}

/// Spreads every bit over all others (the last step of the SplitMix64 generator).
pub(crate) const fn scramble(bits: u64) -> u64 {
    let bits = bits.wrapping_add(0x9e37_79b9_7f4a_7c15);
    let bits = (bits ^ (bits >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    let bits = (bits ^ (bits >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    bits ^ (bits >> 31)
}

#[cfg(test)]
mod tests;
