//! A map from numbers that hosts count up, in little code and one step, however much is in it.
//!
//! One table, which knows no types, says where in a list a number's value is.

/// Entries of a table at first: a power of two, as every later number is.
const LEAST: usize = 8;
/// 2^32 divided by the golden ratio: numbers that are counted up are spread evenly by it, so that
/// searches are short (Knuth, volume 3, 6.4).
const GOLDEN: u32 = 0x9e37_79b9;

/// Values by number.
pub(crate) struct IdMap<T> {
    index: Index,
    values: Vec<Option<(u32, T)>>,
}

impl<T> Default for IdMap<T> {
    fn default() -> Self {
        Self {
            index: Index::default(),
            values: Vec::new(),
        }
    }
}

impl<T> IdMap<T> {
    #[inline]
    pub(crate) fn get(&self, id: u32) -> Option<&T> {
        let place = self.index.find(id)?;
        Some(&self.values.get(place)?.as_ref()?.1)
    }

    pub(crate) fn get_mut(&mut self, id: u32) -> Option<&mut T> {
        let place = self.index.find(id)?;
        Some(&mut self.values.get_mut(place)?.as_mut()?.1)
    }

    /// Sets the value and gives the one before it.
    pub(crate) fn insert(&mut self, id: u32, value: T) -> Option<T> {
        let place = self.index.insert(id);
        if let Some(it) = self.values.get_mut(place) {
            return it.replace((id, value)).map(|it| it.1);
        }
        // Places are counted up: it is the one behind the last.
        self.values.push(Some((id, value)));
        None
    }

    pub(crate) fn remove(&mut self, id: u32) -> Option<T> {
        let place = self.index.remove(id)?;
        Some(self.values.get_mut(place)?.take()?.1)
    }

    pub(crate) fn retain(&mut self, mut stays: impl FnMut(&mut T) -> bool) {
        for place in &mut self.values {
            if let Some((id, value)) = place
                && !stays(value)
            {
                self.index.remove(*id);
                *place = None;
            }
        }
    }

    pub(crate) const fn len(&self) -> usize {
        self.index.taken as usize
    }
}

/// Places by number: a table with open addressing.
#[derive(Default)]
struct Index {
    /// At most half of them are taken, so that a search meets an empty one soon.
    entries: Vec<Entry>,
    taken: u32,
    /// Places that were given out and are free again.
    free: Vec<u32>,
}

/// A number and its place; none if that is 0, so that the first place is 1.
#[derive(Clone, Copy, Default)]
struct Entry {
    id: u32,
    place: u32,
}

impl Index {
    /// The entry of a number, or the empty one where it would be.
    #[inline]
    fn entry(&self, id: u32) -> Option<(usize, Entry)> {
        let mut at = self.home(id);
        loop {
            let entry = *self.entries.get(at)?;
            if entry.id == id || entry.place == 0 {
                return Some((at, entry));
            }
            at = self.after(at);
        }
    }

    #[inline]
    fn find(&self, id: u32) -> Option<usize> {
        let (_, entry) = self.entry(id)?;
        (entry.place as usize).checked_sub(1)
    }

    /// The place of a number, which may be a new one.
    fn insert(&mut self, id: u32) -> usize {
        if self.taken as usize * 2 >= self.entries.len() {
            self.grow();
        }
        if let Some(place) = self.find(id) {
            return place;
        }
        self.taken += 1;
        let place = self.free.pop().unwrap_or(self.taken);
        self.put(Entry { id, place });
        place as usize - 1
    }

    /// Frees the place of a number.
    fn remove(&mut self, id: u32) -> Option<usize> {
        let (mut empty, entry) = self.entry(id)?;
        if entry.place == 0 {
            return None;
        }
        self.taken -= 1;
        self.free.push(entry.place);
        // Those behind it that could not have its entry, or one that is emptied so, move up.
        let mut at = empty;
        loop {
            at = self.after(at);
            let next = *self.entries.get(at)?;
            let is_last = next.place == 0;
            if is_last || self.distance(self.home(next.id), at) >= self.distance(empty, at) {
                let moved = if is_last { Entry::default() } else { next };
                *self.entries.get_mut(empty)? = moved;
                empty = at;
            }
            if is_last {
                return Some(entry.place as usize - 1);
            }
        }
    }

    #[cold]
    fn grow(&mut self) {
        let size = (self.entries.len() * 2).max(LEAST);
        let before = std::mem::replace(&mut self.entries, vec![Entry::default(); size]);
        for entry in before {
            if entry.place != 0 {
                self.put(entry);
            }
        }
    }

    /// Puts an entry of a new number where it belongs.
    fn put(&mut self, entry: Entry) {
        if let Some((at, _)) = self.entry(entry.id)
            && let Some(empty) = self.entries.get_mut(at)
        {
            *empty = entry;
        }
    }

    #[inline]
    const fn home(&self, id: u32) -> usize {
        let spread = id.wrapping_mul(GOLDEN).rotate_left(16);
        spread as usize & self.entries.len().wrapping_sub(1)
    }

    #[inline]
    const fn after(&self, at: usize) -> usize {
        (at + 1) & (self.entries.len() - 1)
    }

    /// How many entries `to` is after `from`.
    const fn distance(&self, from: usize, to: usize) -> usize {
        to.wrapping_sub(from) & (self.entries.len() - 1)
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::IdMap;

    #[test]
    fn values_are_found_whatever_the_order_they_came_in() {
        let mut map = IdMap::default();
        assert_eq!(map.get(0), None);
        assert_eq!(map.remove(0), None);
        for id in [5, 0, 9, 3, u32::MAX] {
            assert_eq!(map.insert(id, u64::from(id) * 10), None);
        }
        assert_eq!(map.insert(3, 33), Some(30));
        assert_eq!(map.remove(5), Some(50));
        assert_eq!(map.remove(5), None);
        assert_eq!(
            [0, 3, 5, 7, 9].map(|id| map.get(id).copied()),
            [Some(0), Some(33), None, None, Some(90)]
        );
        map.retain(|value| *value > 40);
        assert_eq!(map.len(), 2);
        assert_eq!(map.get(3), None);
    }

    #[test]
    fn values_stay_whatever_else_comes_and_goes() {
        for step in [1, 8, 4_096, 1 << 20] {
            let mut map = IdMap::default();
            let mut model = BTreeMap::new();
            let mut random = 7_u32;
            for turn in 0..20_000 {
                random = random.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
                let id = (random >> 16) % 97 * step;
                if random >> 31 == 0 {
                    assert_eq!(map.insert(id, turn), model.insert(id, turn));
                } else {
                    assert_eq!(map.remove(id), model.remove(&id));
                }
                assert_eq!(map.len(), model.len());
                let other = turn % 97 * step;
                assert_eq!(map.get(other), model.get(&other));
            }
            map.retain(|value| *value % 2 == 0);
            model.retain(|_, value| *value % 2 == 0);
            assert_eq!(map.len(), model.len());
            assert!(model.iter().all(|(id, value)| map.get(*id) == Some(value)));
            assert!(map.values.len() <= 97);
        }
    }
}
