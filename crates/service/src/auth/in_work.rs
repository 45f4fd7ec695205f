//! How many calls each caller may have in work at a time.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};

use oms_core::Principal;

type Counts = Arc<Mutex<HashMap<Principal, usize>>>;

/// The calls in work, by caller. Who has none is not remembered.
#[derive(Default)]
pub(crate) struct InWork(Counts);

/// The place of a call, until it is dropped.
#[must_use]
pub(crate) struct Place {
    counts: Counts,
    caller: Principal,
}

impl InWork {
    /// A place for one more call; `None` when the caller has as many as it may.
    pub(crate) fn enter(&self, most: usize, caller: &Principal) -> Option<Place> {
        let mut counts = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        match counts.get_mut(caller) {
            Some(count) if *count >= most => return None,
            Some(count) => *count += 1,
            None if most == 0 => return None,
            None => {
                counts.insert(caller.clone(), 1);
            }
        }
        Some(Place {
            counts: Arc::clone(&self.0),
            caller: caller.clone(),
        })
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        let mut counts = self.counts.lock().unwrap_or_else(PoisonError::into_inner);
        let Some(count) = counts.get_mut(&self.caller) else {
            return;
        };
        *count -= 1;
        if *count == 0 {
            counts.remove(&self.caller);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_caller_at_its_limit_takes_nothing_from_others_and_leaves_nothing_behind() {
        let in_work = InWork::default();
        let [acme, other] = ["partner:acme", "partner:other"].map(|name| name.parse().unwrap());
        let held: Vec<Place> = (0..3).filter_map(|_| in_work.enter(3, &acme)).collect();
        assert_eq!(held.len(), 3);
        assert!(in_work.enter(3, &acme).is_none());
        assert!(in_work.enter(3, &other).is_some());
        drop(held);
        assert!(in_work.enter(3, &acme).is_some());
        assert!(in_work.0.lock().unwrap().is_empty());
    }
}
