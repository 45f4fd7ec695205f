//! How many calls each caller, and how many connections each address, may have at a time.

use std::collections::HashMap;
use std::hash::Hash;
use std::sync::{Arc, Mutex, PoisonError};

type Counts<K> = Arc<Mutex<HashMap<K, usize>>>;

/// The calls or connections there are, by whose they are. Who has none is not remembered.
pub(crate) struct InWork<K>(Counts<K>);

/// The place of a call or connection, until it is dropped.
#[must_use]
pub(crate) struct Place<K: Eq + Hash> {
    counts: Counts<K>,
    whose: K,
}

impl<K> Default for InWork<K> {
    fn default() -> Self {
        Self(Arc::default())
    }
}

impl<K: Clone + Eq + Hash> InWork<K> {
    /// A place for one more; `None` when there are as many of this one as may be.
    pub(crate) fn enter(&self, most: usize, whose: &K) -> Option<Place<K>> {
        let mut counts = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        match counts.get_mut(whose) {
            Some(count) if *count >= most => return None,
            Some(count) => *count += 1,
            None if most == 0 => return None,
            None => {
                counts.insert(whose.clone(), 1);
            }
        }
        Some(Place {
            counts: Arc::clone(&self.0),
            whose: whose.clone(),
        })
    }
}

impl<K: Eq + Hash> Drop for Place<K> {
    fn drop(&mut self) {
        let mut counts = self.counts.lock().unwrap_or_else(PoisonError::into_inner);
        let Some(count) = counts.get_mut(&self.whose) else {
            return;
        };
        *count -= 1;
        if *count == 0 {
            counts.remove(&self.whose);
        }
    }
}

#[cfg(test)]
mod tests {
    use oms_core::Principal;

    use super::*;

    #[test]
    fn a_caller_at_its_limit_takes_nothing_from_others_and_leaves_nothing_behind() {
        let in_work = InWork::<Principal>::default();
        let [acme, other] = ["partner:acme", "partner:other"].map(|name| name.parse().unwrap());
        let held: Vec<_> = (0..3).filter_map(|_| in_work.enter(3, &acme)).collect();
        assert_eq!(held.len(), 3);
        assert!(in_work.enter(3, &acme).is_none());
        assert!(in_work.enter(3, &other).is_some());
        drop(held);
        assert!(in_work.enter(3, &acme).is_some());
        assert!(in_work.0.lock().unwrap().is_empty());
    }
}
