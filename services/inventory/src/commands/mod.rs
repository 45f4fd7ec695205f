//! One file per use case. Commands that touch stock or reservations are handed to the lanes; the catalogue is written
//! here, as are policies and expected receipts, under the locks of the lanes.

mod adjust_stock;
mod allocate_backorders;
mod allocate_complete;
mod approve_correction;
mod batch_upsert_items;
mod batch_upsert_stock_policies;
mod cancel_expected_receipt;
mod check_references;
mod confirm_reservation;
mod extend_reservation;
mod issue_reservation;
mod move_reservation;
mod move_returned_stock;
mod move_stock;
mod read_books;
mod receive_stock;
mod reject_correction;
mod release_reservation;
mod report_short;
mod reserve;
mod set_stock;
mod tell_lanes;
mod upsert_expected_receipt;
mod upsert_location;
mod upsert_stock_policy;
mod verify_ledger;
mod write_expected;
mod write_policies;

use crate::ctx::{Call, Ctx};
use crate::domain::effect::Outcome;
use crate::domain::level::Level;
use crate::domain::reservation::{Reservation, Shortage};

pub(crate) use crate::lanes::Error;
pub(crate) use adjust_stock::{AdjustStock, adjust_stock};
pub(crate) use allocate_backorders::allocate_backorders;
pub(crate) use allocate_complete::allocate_complete;
pub(crate) use approve_correction::{ApproveCorrection, approve_correction};
pub(crate) use batch_upsert_items::batch_upsert_items;
pub(crate) use batch_upsert_stock_policies::batch_upsert_stock_policies;
pub(crate) use cancel_expected_receipt::cancel_expected_receipt;
pub(crate) use confirm_reservation::confirm_reservation;
pub(crate) use extend_reservation::extend_reservation;
pub(crate) use issue_reservation::issue_reservation;
pub(crate) use move_reservation::move_reservation;
pub(crate) use move_returned_stock::move_returned_stock;
pub(crate) use move_stock::{MoveStock, move_stock};
pub(crate) use receive_stock::{ReceiveStock, receive_stock};
pub(crate) use reject_correction::{RejectCorrection, reject_correction};
pub(crate) use release_reservation::release_reservation;
pub(crate) use report_short::report_short;
pub(crate) use reserve::reserve;
pub(crate) use set_stock::{SetStock, set_stock};
pub(crate) use upsert_expected_receipt::{UpsertExpectedReceipt, upsert_expected_receipt};
pub(crate) use upsert_location::upsert_location;
pub(crate) use upsert_stock_policy::upsert_stock_policy;
pub(crate) use verify_ledger::{VerifyLedger, verify_ledger};
pub(crate) use write_policies::PolicyWrite;

/// The reservation of an outcome. Commands about reservations have no other.
fn reservation_of(outcome: Outcome) -> Result<(Reservation, Vec<Shortage>), Error> {
    match outcome {
        Outcome::Reservation {
            reservation,
            shortages,
        } => Ok((*reservation, shortages)),
        Outcome::Levels(_) | Outcome::Correction(_) => Err(Error::Conflict),
    }
}

/// The levels of an outcome. Commands about stock have no other.
fn levels_of(outcome: Outcome) -> Result<Vec<Level>, Error> {
    match outcome {
        Outcome::Levels(levels) => Ok(levels),
        Outcome::Reservation { .. } | Outcome::Correction(_) => Err(Error::Conflict),
    }
}
