//! The only SQL of the service: functions whose first argument is the connection.
//!
//! - [`items`], [`kits`], [`locations`]: the catalogue.
//! - [`lanes`]: the rows that serialise writers of a SKU, and the fence in them.
//! - [`levels`], [`reservations`], [`ledger`], [`policies`], [`expected_receipts`]: what the lanes read.
//! - [`availability`]: what may be promised of SKUs.
//! - [`board`]: writes what a board decided, in one statement.
//! - [`books`], [`checkpoints`], [`ledger_runs`], [`corrections`]: verification of the ledger.
//! - [`known_locations`]: what was seen once and is there for good; [`known_kits`]: what was seen and may have changed.
//!
//! A row that cannot be read as what the domain knows is an error that names table, column and row, never a guess.

pub(crate) mod availability;
pub(crate) mod board;
pub(crate) mod books;
pub(crate) mod checkpoints;
pub(crate) mod corrections;
pub(crate) mod expected_receipts;
pub(crate) mod items;
pub(crate) mod kits;
pub(crate) mod known_kits;
pub(crate) mod known_locations;
pub(crate) mod lanes;
pub(crate) mod ledger;
pub(crate) mod ledger_runs;
pub(crate) mod levels;
pub(crate) mod locations;
pub(crate) mod policies;
pub(crate) mod reservations;

use std::fmt::Display;
use std::str::FromStr;

use oms_postgres::Error;

/// An error about a row that the domain cannot read: a defect, or a hand in the database.
fn inconsistent(table: &str, column: &str, row: impl Display) -> Error {
    let message = format!("{table} {row} holds an unknown {column}");
    Error::from(sqlx::Error::Decode(message.into()))
}

/// Reads a typed value of a row.
fn read<T: FromStr>(
    text: &str,
    table: &'static str,
    column: &'static str,
    row: impl Display,
) -> Result<T, Error> {
    text.parse().map_err(|_| inconsistent(table, column, row))
}

/// SKUs as a parameter.
fn texts(skus: &[oms_core::Sku]) -> Vec<&str> {
    skus.iter().map(oms_core::Sku::as_str).collect()
}
