//! The order that a checked and priced new order becomes.

use std::collections::HashMap;

use oms_core::{AddressId, OrderId, OrderLineId};
use time::OffsetDateTime;

use super::address::Address;
use super::new_order::{Channel, GivenDiscount, NewLine, NewOrder, PricedOrder};
use super::order::{Counters, Order, OrderLine, PaymentPolicy};
use super::pricing::Amounts;
use super::saga::Step;
use super::state::OrderState;
use super::status::MoneyFacts;
use super::tender::tenders;

/// Ids that a new order is made with.
#[derive(Debug, Clone)]
pub(crate) struct NewIds {
    /// Of the order.
    pub(crate) order_id: OrderId,
    /// Of the address the goods go to.
    pub(crate) ship_address_id: AddressId,
    /// Of the address the invoice goes to, when it is another one.
    pub(crate) bill_address_id: AddressId,
    /// Of the lines, one for each.
    pub(crate) lines: Vec<OrderLineId>,
}

/// The order that a checked and priced new order becomes: PENDING, without number, version, deadlines and events.
pub(crate) fn assemble(
    new: &NewOrder,
    priced: &PricedOrder,
    channel: &Channel,
    item_names: &HashMap<String, String>,
    ids: &NewIds,
    placed_by: String,
    now: OffsetDateTime,
) -> Order {
    let ship_to = new.ship_to.as_ref();
    let part = |of: fn(&Address) -> &String| ship_to.map(of).cloned().unwrap_or_default();
    let lines = new.lines.iter().zip(&priced.lines).zip(&ids.lines);
    Order {
        order_id: ids.order_id,
        order_number: String::new(),
        channel_id: channel.channel_id.clone(),
        external_reference: new.external_reference.clone(),
        customer_id: new.customer_id.clone(),
        state: OrderState::Pending,
        state_reason: String::new(),
        currency: priced.currency,
        ship_address_id: ids.ship_address_id,
        bill_address_id: ids.bill_address_id,
        country_code: part(|address| &address.country_code),
        postal_code: part(|address| &address.postal_code),
        service_level: new.service_level.clone().unwrap_or_default(),
        fill_policy: priced.fill_policy,
        splits_max: new.splits_max,
        ship_complete: new.ship_complete,
        priority: new
            .priority
            .and_then(|priority| i16::try_from(priority).ok())
            .unwrap_or(5),
        instructions: new.instructions.clone(),
        custom_fields: new.custom_fields.clone(),
        tenders: match channel.payment_policy {
            PaymentPolicy::None => Vec::new(),
            _ => tenders(new),
        },
        payment_policy: channel.payment_policy,
        totals: priced.totals,
        version: 0,
        timeline_sequence: 0,
        placed_by,
        created_at: now,
        updated_at: now,
        deadlines: None,
        lines: lines
            .zip(1..)
            .map(|(((line, amounts), id), number)| {
                let name = item_names.get(&line.sku).cloned().unwrap_or_default();
                assemble_line(line, *amounts, *id, number, name)
            })
            .collect(),
        holds: Vec::new(),
        cancellations: Vec::new(),
        money: MoneyFacts::default(),
        saga_step: Step::Screen.as_str().to_owned(),
        fulfillment_order_ids: Vec::new(),
        shipment_ids: Vec::new(),
    }
}

fn assemble_line(
    line: &NewLine,
    amounts: Amounts,
    order_line_id: OrderLineId,
    line_number: i32,
    name: String,
) -> OrderLine {
    let discount = |given: &GivenDiscount| {
        let minor = given.amount.as_ref().map_or(0, |money| money.minor);
        (given.code.clone(), minor)
    };
    OrderLine {
        order_line_id,
        line_number,
        line_reference: line.line_reference.clone(),
        sku: line.sku.clone(),
        name,
        ordered: line.quantity,
        unit_price: line.unit_price.as_ref().map_or(0, |money| money.minor),
        price_per: line.price_per.max(1),
        discounts: line.discounts.iter().map(discount).collect(),
        amounts,
        gift_message: line.gift_message.clone(),
        custom_fields: line.custom_fields.clone(),
        counters: Counters::default(),
    }
}
