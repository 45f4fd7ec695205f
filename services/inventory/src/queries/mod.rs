//! One file per read.

mod batch_get_availability;
mod batch_get_items;
mod get_location;
mod get_reservation;
mod list_corrections;
mod list_items;
mod list_ledger;
mod list_locations;
mod list_reservations;

pub(crate) use batch_get_availability::batch_get_availability;
pub(crate) use batch_get_items::batch_get_items;
pub(crate) use get_location::get_location;
pub(crate) use get_reservation::get_reservation;
pub(crate) use list_corrections::list_corrections;
pub(crate) use list_items::list_items;
pub(crate) use list_ledger::{LedgerFilter, list_ledger};
pub(crate) use list_locations::list_locations;
pub(crate) use list_reservations::list_reservations;

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
