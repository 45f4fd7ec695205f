//! One file per read.

mod batch_get_availability;
mod batch_get_items;
mod get_availability;
mod get_available_to_promise;
mod get_location;
mod get_reservation;
mod get_stock_policy;
mod list_corrections;
mod list_expected_receipts;
mod list_items;
mod list_ledger;
mod list_locations;
mod list_reservations;
mod list_stock_policies;
mod watch_availability;

pub(crate) use crate::store::expected_receipts::ReceiptFilter;
pub(crate) use batch_get_availability::batch_get_availability;
pub(crate) use batch_get_items::batch_get_items;
pub(crate) use get_availability::get_availability;
pub(crate) use get_available_to_promise::{ToPromise, get_available_to_promise};
pub(crate) use get_location::get_location;
pub(crate) use get_reservation::get_reservation;
pub(crate) use get_stock_policy::get_stock_policy;
pub(crate) use list_corrections::list_corrections;
pub(crate) use list_expected_receipts::{Position, list_expected_receipts};
pub(crate) use list_items::list_items;
pub(crate) use list_ledger::{LedgerFilter, list_ledger};
pub(crate) use list_locations::list_locations;
pub(crate) use list_reservations::list_reservations;
pub(crate) use list_stock_policies::list_stock_policies;
pub(crate) use watch_availability::{Changes, WatchError, Watchers, watch_availability};

/// A page of a list and where the next one begins.
#[derive(Debug)]
pub(crate) struct Page<T, P> {
    /// What is on it.
    pub(crate) rows: Vec<T>,
    /// Position of its last row; `None` on the last page.
    pub(crate) next: Option<P>,
}

impl<T, P> Page<T, P> {
    /// Makes a page of up to `size` of rows that were read one beyond it.
    fn cut(mut rows: Vec<T>, size: i64, position: impl Fn(&T) -> P) -> Self {
        let size = usize::try_from(size).unwrap_or(usize::MAX);
        let has_more = rows.len() > size;
        rows.truncate(size);
        let next = rows.last().filter(|_| has_more).map(position);
        Self { rows, next }
    }
}
