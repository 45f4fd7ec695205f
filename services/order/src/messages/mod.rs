//! Domain to protobuf: the words of the contract, for answers and for events. No rule lives here.

mod channel;
mod credit;
mod event;
mod hold;
mod invoice;
mod order;
mod payment;
mod privacy;
mod stage;
mod timeline;
mod webhook;

use oms_core::Currency;
use oms_proto::common::v1::Money;

pub(crate) use channel::channel;
pub(crate) use credit::{credit_account, store_credit};
pub(crate) use event::{Event, channel_event, event};
pub(crate) use hold::hold;
pub(crate) use invoice::{invoice, invoice_lines};
pub(crate) use order::{cancellation, fill_policy, order};
pub(crate) use payment::{collection, payment};
pub(crate) use privacy::{address, customer_erased};
pub(crate) use stage::{at_risk, backlog};
pub(crate) use timeline::{order_trace, timeline_entry};
pub(crate) use webhook::{
    webhook_attempt, webhook_delivery, webhook_endpoint, webhook_endpoint_event,
};

/// An amount of the order's currency.
#[expect(
    clippy::unnecessary_wraps,
    reason = "every message holds amounts as optional fields"
)]
pub(crate) fn money(currency: Currency, minor_units: i64) -> Option<Money> {
    Some(Money {
        currency_code: currency.code().to_owned(),
        minor_units,
    })
}
