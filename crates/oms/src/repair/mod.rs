//! `oms repair`: what an operator does after a database was restored from a backup.

mod reservations;
mod store;

pub(crate) use reservations::command;
pub use reservations::{MADE_AGAIN, Repair, Repaired, reservations};
