//! Health and reflection: open to everybody, so within limits of their own.

use std::net::IpAddr;
use std::sync::Arc;

use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use crate::auth::failures::network;
use crate::auth::{InWork, Place};

/// One address may have this part of all places, so that a stranger does not keep a probe out.
const SHARES: usize = 4;

/// The places of those who ask for health, beside those of calls.
pub(crate) struct Plumbing {
    places: Arc<Semaphore>,
    /// Most of one address; `None` where all come from one.
    per_address_max: Option<usize>,
    addresses: InWork<IpAddr>,
}

/// The place of one call, until its answer is over.
pub(crate) type PlumbingPlace = (OwnedSemaphorePermit, Option<Place<IpAddr>>);

impl Plumbing {
    /// So many places; `shared` between addresses.
    pub(crate) fn new(places: usize, shared: bool) -> Self {
        Self {
            places: Arc::new(Semaphore::new(places)),
            per_address_max: shared.then_some((places / SHARES).max(1)),
            addresses: InWork::default(),
        }
    }

    /// A place for a call from there; `None` when there is none.
    pub(crate) fn enter(&self, addr: Option<IpAddr>) -> Option<PlumbingPlace> {
        let of_address = match (self.per_address_max, addr) {
            (Some(most), Some(addr)) => Some(self.addresses.enter(most, &network(addr))?),
            _ => None,
        };
        let place = Arc::clone(&self.places).try_acquire_owned().ok()?;
        Some((place, of_address))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_address_leaves_room_for_others() {
        let plumbing = Plumbing::new(8, true);
        let at = |text: &str| text.parse().ok();
        let held: Vec<_> = (0..9)
            .filter_map(|_| plumbing.enter(at("192.0.2.1")))
            .collect();
        assert_eq!(held.len(), 2);
        assert!(plumbing.enter(at("192.0.2.2")).is_some());
        drop(held);
        assert!(plumbing.enter(at("192.0.2.1")).is_some());

        // Behind a gateway all are one.
        let plumbing = Plumbing::new(8, false);
        let held: Vec<_> = (0..9)
            .filter_map(|_| plumbing.enter(at("192.0.2.1")))
            .collect();
        assert_eq!(held.len(), 8);
    }
}
