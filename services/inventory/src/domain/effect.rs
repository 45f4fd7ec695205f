//! What decisions leave behind: entries for the ledger and facts for the feed.

use oms_core::{LocationId, OrderLineId, ReservationId, Sku};

use super::account::{Account, EntryType};
use super::correction::Correction;
use super::level::{Level, LevelKey};
use super::reservation::{Reservation, Shortage};

/// An entry for the ledger.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Entry {
    /// Why units moved.
    pub(crate) entry: EntryType,
    /// Where.
    pub(crate) key: LevelKey,
    /// Account they left.
    pub(crate) from: Account,
    /// Account they entered.
    pub(crate) to: Account,
    /// Units, above zero.
    pub(crate) quantity: i64,
    /// What caused it.
    pub(crate) cause: String,
    /// Line of the cause.
    pub(crate) line: String,
    /// Reason code; empty when none.
    pub(crate) reason: String,
    /// Paper of a receipt; empty when none.
    pub(crate) reference: String,
    /// Who caused it; set by the board.
    pub(crate) actor: String,
}

/// What tells an entry of a cause from the others.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct EntryKey {
    /// Type.
    pub(crate) entry: EntryType,
    /// Cause.
    pub(crate) cause: String,
    /// Line of the cause.
    pub(crate) line: String,
    /// Level.
    pub(crate) key: LevelKey,
}

impl Entry {
    /// Its key.
    pub(crate) fn entry_key(&self) -> EntryKey {
        EntryKey {
            entry: self.entry,
            cause: self.cause.clone(),
            line: self.line.clone(),
            key: self.key.clone(),
        }
    }
}

/// Something that happened to a reservation. Its version is the number of the event.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Fact {
    /// It was made or changed.
    Changed {
        /// As it is after the change.
        reservation: Reservation,
        /// What was done.
        action: &'static str,
    },
    /// Stock came for units of a confirmed order that waited.
    BackorderAllocated {
        /// Reservation as it is after the change.
        reservation: Reservation,
        /// What was allocated just now.
        allocated: Vec<Allocated>,
    },
}

/// Units that were allocated just now.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Allocated {
    /// Order line.
    pub(crate) order_line: OrderLineId,
    /// SKU.
    pub(crate) sku: Sku,
    /// Location.
    pub(crate) location: LocationId,
    /// Lot.
    pub(crate) lot: String,
    /// Units.
    pub(crate) quantity: i64,
}

impl Fact {
    /// The reservation as it is after the change.
    pub(crate) fn reservation(&self) -> &Reservation {
        match self {
            Self::Changed { reservation, .. } | Self::BackorderAllocated { reservation, .. } => {
                reservation
            }
        }
    }
}

/// Answer to a command.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Outcome {
    /// A reservation as it is now.
    Reservation {
        /// The reservation.
        reservation: Box<Reservation>,
        /// What it could not take when it was made.
        shortages: Vec<Shortage>,
    },
    /// Levels as they are now.
    Levels(Vec<Level>),
    /// A correction as it is now.
    Correction(Box<Correction>),
}

impl Outcome {
    /// The reservation answered, if it is one.
    pub(crate) fn reservation(&self) -> Option<ReservationId> {
        match self {
            Self::Reservation { reservation, .. } => Some(reservation.id),
            Self::Levels(_) | Self::Correction(_) => None,
        }
    }
}
