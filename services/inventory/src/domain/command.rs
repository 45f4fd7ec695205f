//! What can be asked of a lane. One writer path: whatever changes stock or reservations is one of these.

use std::collections::BTreeSet;

use oms_core::{
    ChannelId, CorrectionId, LocationId, OrderId, OrderLineId, ReservationId, ShipmentId, Sku,
};
use time::Duration;

use super::account::EntryType;
use super::books::{Resolution, Sums};
use super::expected::ExpectedKey;
use super::fit::Demand;
use super::level::LevelKey;
use super::move_reservation::MoveReservation;
use super::reservation::{Place, Urgency};

/// A command to the lanes of its SKUs.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Command {
    /// Takes stock for an order.
    Reserve(Reserve),
    /// Moves the expiry.
    Extend {
        /// Reservation.
        reservation: ReservationId,
        /// Time to live from now.
        time_to_live: Duration,
    },
    /// Turns held units into allocated ones.
    Confirm {
        /// Reservation.
        reservation: ReservationId,
    },
    /// Gives units back.
    Release(Release),
    /// Ends what ran out before it was confirmed.
    Expire {
        /// Reservation.
        reservation: ReservationId,
    },
    /// Takes units that a picker did not find out of the reservation.
    ReportShort(ReportShort),
    /// Turns allocated units into shipped ones.
    Issue(Issue),
    /// Takes units from another place instead.
    Move(MoveReservation),
    /// Books goods in.
    Receive(Receive),
    /// Corrects stock.
    Adjust(Adjust),
    /// Moves returned goods.
    MoveReturned(MoveReturned),
    /// Sets stock to what was counted.
    SetStock(SetStock),
    /// Moves free stock to another place.
    MoveStock(MoveStock),
    /// Allocates what waits for the SKU from what is free.
    AllocateBackorders {
        /// SKU.
        sku: Sku,
    },
    /// Allocates all that waits of a reservation that ships complete, if one location has it.
    AllocateComplete {
        /// Reservation.
        reservation: ReservationId,
    },
    /// Applies a correction.
    Correct(Correct),
}

/// See [`Command::Reserve`].
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Reserve {
    /// Id, made by the caller.
    pub(crate) reservation: ReservationId,
    /// Order that takes the stock.
    pub(crate) order: OrderId,
    /// Sales channel of the order, whose rule applies.
    pub(crate) channel: Option<ChannelId>,
    /// Hash of the request; the same id with another hash is refused.
    pub(crate) fingerprint: [u8; 32],
    /// What becomes of units that can be taken.
    pub(crate) mode: Mode,
    /// What to do when stock is short.
    pub(crate) fill: Fill,
    /// How urgent the order is.
    pub(crate) urgency: Urgency,
    /// Order lines in step with `demands`.
    pub(crate) lines: Vec<OrderLineId>,
    /// What each line needs.
    pub(crate) demands: Vec<Demand>,
    /// Where to look, in which way.
    pub(crate) wishes: super::fit::Wishes,
}

/// What becomes of units that can be taken.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Mode {
    /// Held for this long.
    Hold(Duration),
    /// Allocated at once.
    Allocate,
    /// Nothing is taken; the demand only queues.
    Queue,
}

/// What to do when stock is short.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Fill {
    /// Everything or nothing.
    OrKill,
    /// The rest waits as a backorder.
    All,
    /// The rest is dropped.
    AllAvailable,
}

/// Units of one order line of a reservation.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Units {
    /// Order line.
    pub(crate) order_line: OrderLineId,
    /// SKU; `None` where the line has only one.
    pub(crate) sku: Option<Sku>,
    /// Where they stand; `None` for demand that waits.
    pub(crate) place: Option<Place>,
    /// Units, above zero.
    pub(crate) quantity: i64,
}

/// See [`Command::Release`].
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Release {
    /// Reservation.
    pub(crate) reservation: ReservationId,
    /// Order, kept on a tombstone.
    pub(crate) order: Option<OrderId>,
    /// Units to give back; empty for all that are live.
    pub(crate) units: Vec<Units>,
}

/// See [`Command::ReportShort`].
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct ReportShort {
    /// Reservation.
    pub(crate) reservation: ReservationId,
    /// Units that were not found.
    pub(crate) units: Units,
    /// Reason code of the picker.
    pub(crate) reason: String,
}

/// See [`Command::Issue`].
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Issue {
    /// Reservation.
    pub(crate) reservation: ReservationId,
    /// Shipment the units left with; each of its lines is issued once.
    pub(crate) shipment: ShipmentId,
    /// Units that left.
    pub(crate) units: Vec<Units>,
}

/// See [`Command::Receive`].
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Receive {
    /// What arrived, line by line.
    pub(crate) lines: Vec<(LevelKey, i64)>,
    /// Cause in the ledger, such as `receipt/<request>`.
    pub(crate) cause: String,
    /// Delivery note or purchase order.
    pub(crate) reference: String,
}

/// See [`Command::Adjust`].
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Adjust {
    /// Level.
    pub(crate) key: LevelKey,
    /// Units to add, or to take when negative; not zero.
    pub(crate) delta: i64,
    /// Reason code.
    pub(crate) reason: String,
    /// Cause in the ledger, such as `adjustment/<request>`.
    pub(crate) cause: String,
}

/// See [`Command::SetStock`].
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct SetStock {
    /// Level.
    pub(crate) key: LevelKey,
    /// What of it was counted.
    pub(crate) measure: Measure,
    /// Units that are there, at or above zero.
    pub(crate) quantity: i64,
    /// Units that the caller saw before.
    pub(crate) expected: i64,
    /// Reason code.
    pub(crate) reason: String,
    /// Cause in the ledger, such as `count/<request>`.
    pub(crate) cause: String,
}

/// What of a level is counted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Measure {
    /// Free units.
    Available,
    /// All units on the shelf.
    OnHand,
}

/// See [`Command::MoveStock`].
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct MoveStock {
    /// Where the units are.
    pub(crate) from: LevelKey,
    /// Where they come; another place of the same SKU.
    pub(crate) to: LevelKey,
    /// Units, above zero.
    pub(crate) quantity: i64,
    /// Reason code.
    pub(crate) reason: String,
    /// Cause in the ledger, such as `move/<request>`.
    pub(crate) cause: String,
}

impl SetStock {
    /// Whether less may have been counted than is promised. Free units alone never take what is.
    pub(crate) fn may_displace(&self) -> bool {
        self.measure == Measure::OnHand && self.quantity < self.expected
    }
}

impl MoveStock {
    /// Both levels.
    pub(crate) fn keys(&self) -> BTreeSet<LevelKey> {
        [self.from.clone(), self.to.clone()].into()
    }
}

/// See [`Command::MoveReturned`].
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct MoveReturned {
    /// Location.
    pub(crate) location: LocationId,
    /// Moves; each is booked once for the cause.
    pub(crate) moves: Vec<ReturnedUnits>,
    /// Cause in the ledger: `return/<return>/<event>`.
    pub(crate) cause: String,
}

/// One move of returned units.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct ReturnedUnits {
    /// Why they move.
    pub(crate) entry: EntryType,
    /// Return line.
    pub(crate) line: String,
    /// SKU.
    pub(crate) sku: Sku,
    /// Units, above zero.
    pub(crate) quantity: i64,
}

/// See [`Command::Correct`].
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Correct {
    /// Correction.
    pub(crate) correction: CorrectionId,
    /// Its level.
    pub(crate) key: LevelKey,
    /// Version that the caller has read; `None` for any.
    pub(crate) version: Option<i64>,
    /// Which book is right; `None` for what is proposed.
    pub(crate) resolution: Option<Resolution>,
    /// Why, in words.
    pub(crate) note: String,
    /// Last entry that was read of the SKU, and the sums of the level up to it: the lane only adds what came after.
    pub(crate) read: (i64, Sums),
}

impl Command {
    /// Name of the transaction and the span.
    pub(crate) fn name(&self) -> &'static str {
        match self {
            Self::Reserve(_) => "reserve",
            Self::Extend { .. } => "extend_reservation",
            Self::Confirm { .. } => "confirm_reservation",
            Self::Release(_) => "release_reservation",
            Self::Expire { .. } => "expire_reservation",
            Self::ReportShort(_) => "report_short",
            Self::Issue(_) => "issue_reservation",
            Self::Move(_) => "move_reservation",
            Self::Receive(_) => "receive_stock",
            Self::Adjust(_) => "adjust_stock",
            Self::MoveReturned(_) => "move_returned_stock",
            Self::SetStock(_) => "set_stock",
            Self::MoveStock(_) => "move_stock",
            Self::AllocateBackorders { .. } => "allocate_backorders",
            Self::Correct(_) => "approve_correction",
            Self::AllocateComplete { .. } => "allocate_complete",
        }
    }

    /// The reservation it is about.
    pub(crate) fn reservation(&self) -> Option<ReservationId> {
        match self {
            Self::Reserve(Reserve { reservation, .. })
            | Self::Extend { reservation, .. }
            | Self::Confirm { reservation }
            | Self::Release(Release { reservation, .. })
            | Self::Expire { reservation }
            | Self::ReportShort(ReportShort { reservation, .. })
            | Self::Issue(Issue { reservation, .. })
            | Self::Move(MoveReservation { reservation, .. })
            | Self::AllocateComplete { reservation } => Some(*reservation),
            Self::Receive(_)
            | Self::Adjust(_)
            | Self::MoveReturned(_)
            | Self::SetStock(_)
            | Self::MoveStock(_)
            | Self::AllocateBackorders { .. }
            | Self::Correct(_) => None,
        }
    }

    /// The correction it applies.
    pub(crate) fn correct(&self) -> Option<&Correct> {
        match self {
            Self::Correct(correct) => Some(correct),
            _ => None,
        }
    }

    /// The SKUs it names itself; those of its reservation come on top.
    pub(crate) fn skus(&self) -> BTreeSet<Sku> {
        match self {
            Self::Reserve(reserve) => reserve
                .demands
                .iter()
                .flat_map(|demand| demand.parts().map(|(sku, _)| sku.clone()))
                .collect(),
            Self::Receive(receive) => receive
                .lines
                .iter()
                .map(|(key, _)| key.sku.clone())
                .collect(),
            Self::Adjust(adjust) => [adjust.key.sku.clone()].into(),
            Self::MoveReturned(moved) => moved.moves.iter().map(|one| one.sku.clone()).collect(),
            Self::SetStock(set) => [set.key.sku.clone()].into(),
            Self::MoveStock(moved) => [moved.from.sku.clone()].into(),
            Self::AllocateBackorders { sku } => [sku.clone()].into(),
            Self::Correct(correct) => [correct.key.sku.clone()].into(),
            Self::Extend { .. }
            | Self::Confirm { .. }
            | Self::Release(_)
            | Self::Expire { .. }
            | Self::ReportShort(_)
            | Self::Issue(_)
            | Self::Move(_)
            | Self::AllocateComplete { .. } => BTreeSet::new(),
        }
    }

    /// Locations whose levels it needs besides those of its reservation.
    pub(crate) fn locations(&self) -> Locations<'_> {
        match self {
            Self::Reserve(reserve) if reserve.mode == Mode::Queue => Locations::All,
            Self::Reserve(reserve) => Locations::These(reserve.wishes.ranked.iter().collect()),
            Self::Receive(receive) => {
                Locations::These(receive.lines.iter().map(|(key, _)| &key.location).collect())
            }
            Self::Adjust(adjust) if adjust.delta > 0 => {
                Locations::These(vec![&adjust.key.location])
            }
            Self::Move(moved) => {
                Locations::These(moved.moves.iter().map(|one| &one.to.location).collect())
            }
            Self::MoveReturned(moved) => Locations::These(vec![&moved.location]),
            Self::SetStock(set) if !set.may_displace() => Locations::These(vec![&set.key.location]),
            Self::MoveStock(moved) => {
                Locations::These(vec![&moved.from.location, &moved.to.location])
            }
            // What is displaced here may be had elsewhere. A repair sees the SKU as a whole.
            Self::Adjust(_)
            | Self::SetStock(_)
            | Self::AllocateBackorders { .. }
            | Self::AllocateComplete { .. }
            | Self::Correct(_) => Locations::All,
            Self::Extend { .. }
            | Self::Confirm { .. }
            | Self::Release(_)
            | Self::Expire { .. }
            | Self::ReportShort(_)
            | Self::Issue(_) => Locations::These(Vec::new()),
        }
    }

    /// Whether it may free stock, or queues for what may be free, so that demand that waits has to be looked at.
    pub(crate) fn may_free_stock(&self) -> bool {
        match self {
            Self::Reserve(reserve) => reserve.mode == Mode::Queue,
            Self::Release(_)
            | Self::Expire { .. }
            | Self::Receive(_)
            | Self::Move(_)
            | Self::MoveStock(_)
            // Downwards, what is displaced here may be had elsewhere.
            | Self::Adjust(_)
            | Self::AllocateBackorders { .. }
            | Self::Correct(_) => true,
            Self::SetStock(set) => set.quantity > set.expected || set.may_displace(),
            Self::MoveReturned(moved) => moved
                .moves
                .iter()
                .any(|one| one.entry == EntryType::Restock),
            Self::Extend { .. }
            | Self::Confirm { .. }
            | Self::ReportShort(_)
            | Self::Issue(_)
            | Self::AllocateComplete { .. } => false,
        }
    }

    /// Expected receipts that it may be the arrival of.
    pub(crate) fn may_be_expected(&self) -> Vec<ExpectedKey> {
        match self {
            Self::Receive(receive) if !receive.reference.is_empty() => receive
                .lines
                .iter()
                .map(|(key, _)| ExpectedKey {
                    reference: receive.reference.clone(),
                    sku: key.sku.clone(),
                    location: key.location.clone(),
                })
                .collect(),
            _ => Vec::new(),
        }
    }

    /// A level at which it may find fewer units than are promised, and how many fewer at most.
    pub(crate) fn may_displace(&self) -> Option<(&LevelKey, i64)> {
        match self {
            Self::Adjust(adjust) if adjust.delta < 0 => {
                Some((&adjust.key, adjust.delta.saturating_abs()))
            }
            Self::SetStock(set) if set.may_displace() => {
                Some((&set.key, set.expected.saturating_sub(set.quantity)))
            }
            _ => None,
        }
    }

    /// Kits that it names.
    pub(crate) fn kits(&self) -> impl Iterator<Item = &Sku> {
        let demands = match self {
            Self::Reserve(reserve) => reserve.demands.as_slice(),
            _ => &[],
        };
        let kits = demands.iter().filter(|demand| demand.kit.is_some());
        kits.map(|demand| &demand.sku)
    }

    /// A cause from outside whose entries may be booked already, since events may come twice.
    pub(crate) fn outside_cause(&self) -> Option<String> {
        match self {
            Self::Issue(issue) => Some(issue.cause()),
            Self::MoveReturned(moved) => Some(moved.cause.clone()),
            _ => None,
        }
    }
}

/// Which levels of its SKUs a command needs.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Locations<'a> {
    /// Those at these locations.
    These(Vec<&'a LocationId>),
    /// All.
    All,
}

impl Issue {
    /// Cause in the ledger.
    pub(crate) fn cause(&self) -> String {
        format!("shipment/{}", self.shipment)
    }
}
