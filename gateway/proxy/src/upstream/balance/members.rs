//! The endpoints of one backend on one worker, while they come and go.
//!
//! Owns their places. An endpoint that stays keeps its place and its load; the place of one that
//! went is given to another only some changes later, so that who holds a place for a moment, to
//! connect or to try others, means the same endpoint all the while.

use std::cell::Cell;
use std::collections::HashMap;
use std::net::SocketAddr;
use std::rc::Rc;

use tidegate_core::backend::Endpoint;
use tidegate_core::balance::Balancer;
use tidegate_core::balance::LoadBalancer;

/// Changes during which the place of an endpoint that went stays empty.
const REST: u64 = 8;

/// See the module.
#[derive(Debug, Default)]
pub(super) struct Members {
    slots: Vec<Slot>,
    /// By priority, the best first.
    tiers: Vec<Tier>,
    /// How often they have changed.
    changes: u64,
}

/// One place.
#[derive(Debug)]
struct Slot {
    address: SocketAddr,
    load: Rc<Load>,
    /// At which change it became empty.
    empty_since: Option<u64>,
}

/// Endpoints of one priority.
#[derive(Debug)]
struct Tier {
    endpoints: Vec<Endpoint>,
    /// Where each of them has its place.
    places: Vec<usize>,
    balancer: Balancer,
}

/// How busy an endpoint is.
#[derive(Debug, Default)]
pub(super) struct Load {
    exchanges: Cell<u32>,
    gone: Cell<bool>,
}

impl Load {
    pub(super) fn begin(&self) {
        self.exchanges.set(self.exchanges.get() + 1);
    }

    pub(super) fn end(&self) {
        self.exchanges.set(self.exchanges.get().saturating_sub(1));
    }

    pub(super) fn is_gone(&self) -> bool {
        self.gone.get()
    }
}

impl Members {
    /// Has these endpoints from now on; returns the addresses that went.
    pub(super) fn set(
        &mut self,
        policy: LoadBalancer,
        tiers: &[&[Endpoint]],
        seed: u64,
    ) -> Vec<SocketAddr> {
        self.changes += 1;
        let mut before: HashMap<SocketAddr, Vec<usize>> = HashMap::new();
        let mut free = Vec::new();
        for (place, slot) in self.slots.iter().enumerate().rev() {
            match slot.empty_since {
                None => before.entry(slot.address).or_default().push(place),
                Some(since) if self.changes - since > REST => free.push(place),
                Some(_) => {}
            }
        }
        self.tiers.clear();
        for endpoints in tiers {
            let places = endpoints.iter().map(|endpoint| {
                let known = before.get_mut(&endpoint.address).and_then(Vec::pop);
                known.unwrap_or_else(|| occupy(&mut self.slots, &mut free, endpoint.address))
            });
            let places = places.collect();
            self.tiers.push(Tier {
                endpoints: endpoints.to_vec(),
                places,
                balancer: Balancer::new(policy, endpoints, seed),
            });
        }
        let mut gone = Vec::new();
        for place in before.into_values().flatten() {
            if let Some(slot) = self.slots.get_mut(place) {
                slot.empty_since = Some(self.changes);
                slot.load.gone.set(true);
                gone.push(slot.address);
            }
        }
        gone
    }

    /// The place and the address for the next attempt; `None` if all have been tried.
    pub(super) fn pick(&mut self, draw: u64, tried: &[usize]) -> Option<(usize, SocketAddr)> {
        if let ([only], []) = (self.tiers.as_slice(), tried)
            && let ([endpoint], [place]) = (only.endpoints.as_slice(), only.places.as_slice())
        {
            return (endpoint.weight > 0).then_some((*place, endpoint.address));
        }
        let Self { slots, tiers, .. } = self;
        tiers
            .iter_mut()
            .find_map(|tier| tier.pick(slots, draw, tried))
    }

    /// Where an address has its place, if requests may go there.
    pub(super) fn place_of(&self, address: SocketAddr) -> Option<usize> {
        self.tiers.iter().find_map(|tier| {
            let mut all = tier.endpoints.iter().zip(&tier.places);
            let is_it = |one: &Endpoint| one.address == address && one.weight > 0;
            all.find(|(one, _)| is_it(one)).map(|(_, place)| *place)
        })
    }

    pub(super) fn load(&self, place: usize) -> Option<Rc<Load>> {
        Some(Rc::clone(&self.slots.get(place)?.load))
    }

    pub(super) fn endpoints(&self) -> impl Iterator<Item = &Endpoint> {
        self.tiers.iter().flat_map(|tier| &tier.endpoints)
    }
}

impl Tier {
    fn pick(&mut self, slots: &[Slot], draw: u64, tried: &[usize]) -> Option<(usize, SocketAddr)> {
        let places = &self.places;
        let load = |index: usize| {
            let slot = places.get(index).and_then(|place| slots.get(*place));
            slot.map_or(0, |slot| slot.load.exchanges.get())
        };
        let index = if tried.is_empty() {
            self.balancer.pick(&self.endpoints, &load, draw, &[])?
        } else {
            // Rare: somebody did not accept a connection.
            let tried: std::collections::HashSet<&usize> = tried.iter().collect();
            let here = places.iter().enumerate();
            let here = here.filter(|(_, place)| tried.contains(place));
            let here: Vec<usize> = here.map(|(index, _)| index).collect();
            self.balancer.pick(&self.endpoints, &load, draw, &here)?
        };
        Some((*places.get(index)?, self.endpoints.get(index)?.address))
    }
}

fn occupy(slots: &mut Vec<Slot>, free: &mut Vec<usize>, address: SocketAddr) -> usize {
    let slot = Slot {
        address,
        load: Rc::default(),
        empty_since: None,
    };
    let place = free.pop().filter(|place| *place < slots.len());
    match place {
        Some(place) => {
            if let Some(old) = slots.get_mut(place) {
                *old = slot;
            }
            place
        }
        None => {
            slots.push(slot);
            slots.len() - 1
        }
    }
}

#[cfg(test)]
mod tests {
    use std::net::SocketAddr;

    use tidegate_core::backend::Endpoint;
    use tidegate_core::balance::LoadBalancer;

    use super::Members;
    use super::REST;

    fn at(n: u8) -> SocketAddr {
        SocketAddr::from(([10, 0, 0, n], 80))
    }

    fn set(members: &mut Members, tiers: &[&[u8]]) -> Vec<SocketAddr> {
        let tiers: Vec<Vec<Endpoint>> = tiers
            .iter()
            .map(|tier| tier.iter().map(|n| Endpoint::from(at(*n))).collect())
            .collect();
        let tiers: Vec<&[Endpoint]> = tiers.iter().map(Vec::as_slice).collect();
        members.set(LoadBalancer::LeastRequest, &tiers, 7)
    }

    #[test]
    fn an_endpoint_that_stays_keeps_its_place_and_its_load() {
        let mut members = Members::default();
        set(&mut members, &[&[1, 2, 3]]);
        let place = members.place_of(at(3)).expect("it is there");
        let load = members.load(place).expect("it is there");
        load.begin();
        assert_eq!(set(&mut members, &[&[3, 4]]).len(), 2);
        assert_eq!(members.place_of(at(3)), Some(place));
        assert!(!load.is_gone());
        // The one with less to do is the new one, whichever two are drawn.
        for draw in 0..16 {
            assert_eq!(members.pick(draw, &[]).expect("one").1, at(4));
        }
        set(&mut members, &[&[4]]);
        assert!(load.is_gone());
    }

    #[test]
    fn a_place_is_not_given_to_another_at_once_and_they_do_not_grow_for_ever() {
        let mut members = Members::default();
        set(&mut members, &[&[1]]);
        let (tried, _) = members.pick(0, &[]).expect("one");
        set(&mut members, &[&[2]]);
        let (_, address) = members
            .pick(0, &[tried])
            .expect("the new one was not tried");
        assert_eq!(address, at(2));
        for n in 0..200 {
            set(&mut members, &[&[n]]);
        }
        assert!(members.slots.len() <= usize::try_from(REST).unwrap_or(0) + 2);
        assert_eq!(members.endpoints().count(), 1);
    }

    #[test]
    fn a_worse_priority_is_used_when_all_better_ones_were_tried() {
        let mut members = Members::default();
        set(&mut members, &[&[1, 2], &[3]]);
        let mut tried = Vec::new();
        let mut order = Vec::new();
        while let Some((place, address)) = members.pick(5, &tried) {
            tried.push(place);
            order.push(address);
        }
        assert_eq!((order.len(), order.last()), (3, Some(&at(3))));
    }

    #[test]
    fn without_endpoints_there_is_nothing_to_pick() {
        let mut members = Members::default();
        assert_eq!(members.pick(0, &[]), None);
        set(&mut members, &[&[]]);
        assert_eq!(members.pick(0, &[]), None);
        set(&mut members, &[&[1]]);
        assert_eq!(set(&mut members, &[]), [at(1)]);
        assert_eq!(members.pick(0, &[]), None);
    }
}
