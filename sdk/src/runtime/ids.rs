//! A map from numbers that are counted up, in little code.
//!
//! Entries are kept in order: new ones go to the end, and so do most that leave soon.

/// Values by number.
pub(crate) struct IdMap<T>(Vec<(u32, T)>);

impl<T> Default for IdMap<T> {
    fn default() -> Self {
        Self(Vec::new())
    }
}

impl<T> IdMap<T> {
    fn at(&self, id: u32) -> Result<usize, usize> {
        self.0.binary_search_by_key(&id, |entry| entry.0)
    }

    pub(crate) fn get(&self, id: u32) -> Option<&T> {
        let at = self.at(id).ok()?;
        self.0.get(at).map(|entry| &entry.1)
    }

    pub(crate) fn get_mut(&mut self, id: u32) -> Option<&mut T> {
        let at = self.at(id).ok()?;
        self.0.get_mut(at).map(|entry| &mut entry.1)
    }

    /// Sets the value and gives the one before it.
    pub(crate) fn insert(&mut self, id: u32, value: T) -> Option<T> {
        match self.at(id) {
            Ok(at) => {
                let entry = self.0.get_mut(at)?;
                Some(std::mem::replace(&mut entry.1, value))
            }
            Err(at) => {
                self.0.insert(at, (id, value));
                None
            }
        }
    }

    pub(crate) fn remove(&mut self, id: u32) -> Option<T> {
        let at = self.at(id).ok()?;
        Some(self.0.remove(at).1)
    }

    pub(crate) fn retain(&mut self, mut stays: impl FnMut(&mut T) -> bool) {
        self.0.retain_mut(|entry| stays(&mut entry.1));
    }

    pub(crate) fn len(&self) -> usize {
        self.0.len()
    }
}

#[cfg(test)]
mod tests {
    use super::IdMap;

    #[test]
    fn values_are_found_whatever_the_order_they_came_in() {
        let mut map = IdMap::default();
        for id in [5, 1, 9, 3, 7] {
            assert_eq!(map.insert(id, id * 10), None);
        }
        assert_eq!(map.insert(3, 33), Some(30));
        assert_eq!(map.remove(5), Some(50));
        assert_eq!(map.remove(5), None);
        assert_eq!(
            [1, 3, 5, 7, 9].map(|id| map.get(id).copied()),
            [Some(10), Some(33), None, Some(70), Some(90)]
        );
        map.retain(|value| *value > 40);
        assert_eq!(map.len(), 2);
    }
}
