//! What belongs to a plugin and outlives its streams: timers, numbers of metrics, caches.

use std::any::Any;
use std::cell::RefCell;
use std::rc::Rc;

use crate::runtime::timers::Timers;

/// What has this name; a filter has a few names, which are looked through.
pub(crate) fn named<T: Clone>(all: &RefCell<Vec<(String, T)>>, name: &str) -> Option<T> {
    let all = all.borrow();
    let found = all.iter().find(|it| same(it.0.as_bytes(), name.as_bytes()));
    found.map(|it| it.1.clone())
}

/// Whether they are equal: in few turns of a loop, which hosts count.
fn same(one: &[u8], other: &[u8]) -> bool {
    if one.len() != other.len() {
        return false;
    }
    let (eights, rest) = one.as_chunks::<8>();
    let (other_eights, other_rest) = other.as_chunks::<8>();
    let differ = |(a, b): (&[u8; 8], &[u8; 8])| u64::from_le_bytes(*a) != u64::from_le_bytes(*b);
    !eights.iter().zip(other_eights).any(differ) && rest.iter().zip(other_rest).all(|(a, b)| a == b)
}

/// A plugin's own context.
pub(crate) struct Root {
    id: u32,
    /// The filter's name, for messages.
    pub(crate) name: &'static str,
    pub(crate) timers: Timers,
    /// Numbers of metrics by name; `None` if the host refused one.
    pub(crate) metrics: RefCell<Vec<(String, Option<u32>)>>,
    /// Caches by name; each is what its first user made it.
    pub(crate) caches: RefCell<Vec<(String, Rc<dyn Any>)>>,
}

impl Root {
    pub(crate) fn new(id: u32, name: &'static str) -> Self {
        Self {
            id,
            name,
            timers: Timers::default(),
            metrics: RefCell::default(),
            caches: RefCell::default(),
        }
    }

    pub(crate) const fn id(&self) -> u32 {
        self.id
    }
}

#[cfg(test)]
mod tests {
    use super::same;

    #[test]
    fn names_are_the_same_if_every_byte_is() {
        let name = b"ip_filter_denied_ip_unknown";
        for length in 0..=name.len() {
            assert!(same(&name[..length], &name.to_vec()[..length]));
            assert!(!same(&name[..length], &[&name[..length], b"x"].concat()));
            for at in 0..length {
                let mut other = name[..length].to_vec();
                other[at] ^= 1;
                assert!(!same(&name[..length], &other), "byte {at} of {length}");
            }
        }
    }
}
