//! Domain to protobuf: the words of the contract, for answers and for events. No rule lives here.

mod catalogue;
mod correction;
mod event;
mod outbox;
mod reservation;
mod stock;

pub(crate) use catalogue::{item, location};
pub(crate) use correction::{correction, verification};
pub(crate) use outbox::{Stamp, of_facts, of_items, of_levels, of_location};
pub(crate) use reservation::{reservation, shortage};
pub(crate) use stock::{ledger_entry, level};
