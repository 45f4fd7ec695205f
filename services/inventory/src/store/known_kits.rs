//! Kits that were seen. What one is made of may have changed since: the lanes compare its version and say so. A SKU that
//! is not here is taken for no kit, which the lanes check as well, so that orders without kits look at nothing.

use std::collections::HashMap;
use std::sync::{PoisonError, RwLock};

use oms_core::Sku;

use crate::domain::kit::Kit;

/// See the module.
#[derive(Debug, Default)]
pub(crate) struct KnownKits {
    seen: RwLock<HashMap<Sku, Kit>>,
}

impl KnownKits {
    /// What a SKU is made of, as far as is known.
    pub(crate) fn get(&self, sku: &Sku) -> Option<Kit> {
        let seen = self.seen.read().unwrap_or_else(PoisonError::into_inner);
        seen.get(sku).cloned()
    }

    /// Of these SKUs, these are kits and the others are not.
    pub(crate) fn see<'a>(&self, asked: impl Iterator<Item = &'a Sku>, kits: Vec<(Sku, Kit)>) {
        let mut seen = self.seen.write().unwrap_or_else(PoisonError::into_inner);
        for sku in asked {
            seen.remove(sku);
        }
        seen.extend(kits);
    }
}
