//! Domain to protobuf: the words of the contract, for answers and for events. No rule lives here.

mod catalogue;
mod event;
mod reservation;
mod stock;

pub(crate) use catalogue::{item, location};
pub(crate) use event::{fact, item_upserted, location_upserted, stock_changed};
pub(crate) use reservation::{reservation, shortage};
pub(crate) use stock::{ledger_entry, level};
