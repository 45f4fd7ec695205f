//! Goods that are expected, and what their arrival means for what is still to come.

use std::fmt;

use oms_core::{LocationId, Sku};
use time::OffsetDateTime;

use super::board::Board;
use super::command::Receive;

/// What names an expected receipt: one SKU of a purchase order or transfer to one location.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) struct ExpectedKey {
    /// Purchase order or transfer.
    pub(crate) reference: String,
    /// SKU.
    pub(crate) sku: Sku,
    /// Location that will receive.
    pub(crate) location: LocationId,
}

impl fmt::Display for ExpectedKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}/{}", self.reference, self.sku, self.location)
    }
}

/// An expected receipt.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct ExpectedReceipt {
    /// Which one.
    pub(crate) key: ExpectedKey,
    /// Units expected in all.
    pub(crate) quantity: i64,
    /// Units that came; may be more.
    pub(crate) received: i64,
    /// From when on they can be promised.
    pub(crate) expected_at: OffsetDateTime,
    /// Nothing more will come.
    pub(crate) is_canceled: bool,
    /// Version; the etag.
    pub(crate) version: i64,
    /// When it was changed.
    pub(crate) updated_at: OffsetDateTime,
}

/// State of an expected receipt; follows from its units.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum ExpectedState {
    /// Units are still to come.
    Open,
    /// All has come.
    Received,
    /// Nothing more will come.
    Canceled,
}

impl ExpectedReceipt {
    /// Its state.
    pub(crate) fn state(&self) -> ExpectedState {
        if self.is_canceled {
            ExpectedState::Canceled
        } else if self.received < self.quantity {
            ExpectedState::Open
        } else {
            ExpectedState::Received
        }
    }

    /// Units still to come.
    pub(crate) fn open(&self) -> i64 {
        match self.state() {
            ExpectedState::Open => self.quantity - self.received,
            ExpectedState::Received | ExpectedState::Canceled => 0,
        }
    }

    /// After another change at this time.
    pub(crate) fn changed(mut self, now: OffsetDateTime) -> Self {
        self.version += 1;
        self.updated_at = now;
        self
    }
}

impl Board {
    /// What came is no longer expected. More than was expected is remembered and changes nothing else.
    pub(super) fn take_off_expected(&mut self, receive: &Receive) {
        for (key, units) in &receive.lines {
            let key = ExpectedKey {
                reference: receive.reference.clone(),
                sku: key.sku.clone(),
                location: key.location.clone(),
            };
            let now = self.now;
            self.expected.entry(key).and_modify(|one| {
                one.received = one.received.saturating_add(*units);
                *one = one.clone().changed(now);
            });
        }
    }

    /// Expected receipts that changed.
    pub(crate) fn changed_expected(&self) -> impl Iterator<Item = &ExpectedReceipt> {
        self.expected
            .values()
            .filter(|now| self.expected_before.get(&now.key) != Some(now))
    }
}
