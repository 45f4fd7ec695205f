//! Locations that were seen. They are never deleted, so what was seen once is there for good, and a command with known
//! locations needs no look into the database.

use std::collections::{BTreeSet, HashSet};
use std::sync::{PoisonError, RwLock};

use oms_core::LocationId;

/// See the module.
#[derive(Debug, Default)]
pub(crate) struct KnownLocations {
    seen: RwLock<HashSet<String>>,
}

impl KnownLocations {
    /// Of these locations, those that were not seen.
    pub(crate) fn unseen<'a>(
        &self,
        ids: impl Iterator<Item = &'a LocationId>,
    ) -> BTreeSet<&'a LocationId> {
        let seen = self.seen.read().unwrap_or_else(PoisonError::into_inner);
        ids.filter(|id| !seen.contains(id.as_str())).collect()
    }

    /// These exist.
    pub(crate) fn see(&self, ids: &[String]) {
        self.seen
            .write()
            .unwrap_or_else(PoisonError::into_inner)
            .extend(ids.iter().cloned());
    }
}
