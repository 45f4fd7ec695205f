//! Domain to protobuf: the words of the contract, for answers and for events. No rule lives here.

mod availability;
mod catalogue;
mod correction;
mod event;
mod outbox;
mod reservation;
mod stock;
mod supply;

pub(crate) use availability::{stock_policy, total};
pub(crate) use catalogue::{item, location};
pub(crate) use correction::{correction, verification};
pub(crate) use outbox::{Stamp, of_facts, of_items, of_location, of_stock};
pub(crate) use reservation::{reservation, shortage};
pub(crate) use stock::{ledger_entry, level};
pub(crate) use supply::{expected_receipt, promises};
