//! Orders with everything that is derived from them.

use oms_core::{Currency, FulfillmentOrderId, ShipmentId};
use oms_proto::common::v1 as common;
use oms_proto::order::v1 as pb;
use oms_proto::time_to_proto;

use super::stage::{deadlines, stage_of};
use super::{hold, money};
use crate::domain::cancellation::Cancellation;
use crate::domain::order::{FillPolicy, Order, OrderLine};
use crate::domain::state::{OrderAction, OrderState};
use crate::domain::status::{self, Coverage, FulfillmentStatus, ReturnStatus};

/// An order as clients see it.
pub(crate) fn order(order: &Order) -> pb::Order {
    pb::Order {
        order_id: order.order_id.to_string(),
        order_number: order.order_number.clone(),
        channel_id: order.channel_id.clone(),
        external_reference: order.external_reference.clone(),
        customer_id: order.customer_id.clone(),
        state: state(order.state).into(),
        saga_step: order.saga_step.clone(),
        state_reason: order.state_reason.clone(),
        authorize_status: authorize_status(order).into(),
        charge_status: charge_status(order).into(),
        fulfillment_status: fulfillment_status(order).into(),
        return_status: return_status(order).into(),
        phase: status::phase(order).to_owned(),
        lines: order
            .lines
            .iter()
            .map(|one| line(order.currency, one))
            .collect(),
        totals: Some(totals(order)),
        destination: Some(common::Destination {
            address_id: order.ship_address_id.to_string(),
            country_code: order.country_code.clone(),
            postal_code: order.postal_code.clone(),
        }),
        service_level: service_level(&order.service_level).into(),
        fill_policy: fill_policy(order.fill_policy).into(),
        priority: i32::from(order.priority),
        instructions: order.instructions.clone(),
        custom_fields: order.custom_fields.clone().into_iter().collect(),
        holds: order
            .holds
            .iter()
            .map(|one| hold(order.order_id, one))
            .collect(),
        cancellations: order.cancellations.iter().map(cancellation).collect(),
        etag: order.version.to_string(),
        create_time: Some(time_to_proto(order.created_at)),
        update_time: Some(time_to_proto(order.updated_at)),
        supported_actions: supported_actions(order),
        fulfillment_order_ids: texts(&order.fulfillment_order_ids, FulfillmentOrderId::to_string),
        shipment_ids: texts(&order.shipment_ids, ShipmentId::to_string),
        stage: stage_of(order).into(),
        deadlines: deadlines(order),
    }
}

fn texts<T>(ids: &[T], text: impl Fn(&T) -> String) -> Vec<String> {
    ids.iter().map(text).collect()
}

fn line(currency: Currency, line: &OrderLine) -> pb::OrderLine {
    let money = |minor| money(currency, minor);
    let counters = line.counters;
    pb::OrderLine {
        order_line_id: line.order_line_id.to_string(),
        line_reference: line.line_reference.clone(),
        sku: line.sku.clone(),
        name: line.name.clone(),
        ordered: line.ordered,
        unit_price: money(line.unit_price),
        price_per: line.price_per,
        discounts: line
            .discounts
            .iter()
            .map(|(code, amount)| pb::Discount {
                code: code.clone(),
                amount: money(*amount),
            })
            .collect(),
        subtotal: money(line.amounts.subtotal),
        discount_total: money(line.amounts.discount),
        tax: money(line.amounts.tax),
        shipping: money(line.amounts.shipping),
        total: money(line.amounts.total),
        held: counters.held,
        allocated: counters.allocated,
        backordered: counters.backordered,
        canceled: counters.canceled,
        picked: counters.picked,
        packed: counters.packed,
        shipped: counters.shipped,
        delivered: counters.delivered,
        return_requested: counters.return_requested,
        returned: counters.returned,
        refunded: counters.refunded,
        gift_message: line.gift_message.clone(),
        custom_fields: line.custom_fields.clone().into_iter().collect(),
    }
}

fn totals(order: &Order) -> pb::OrderTotals {
    let money = |minor| money(order.currency, minor);
    pb::OrderTotals {
        subtotal: money(order.totals.subtotal),
        discount: money(order.totals.discount),
        tax: money(order.totals.tax),
        shipping: money(order.totals.shipping),
        total: money(order.totals.total),
        canceled: money(order.totals.total - order.owed()),
        authorized: money(order.money.authorized),
        captured: money(order.money.captured),
        refunded: money(order.money.refunded),
    }
}

/// A cancellation as clients see it.
pub(crate) fn cancellation(cancellation: &Cancellation) -> pb::Cancellation {
    let state = format!("CANCELLATION_STATE_{}", cancellation.state);
    pb::Cancellation {
        cancellation_id: cancellation.cancellation_id.to_string(),
        state: pb::CancellationState::from_str_name(&state)
            .unwrap_or(pb::CancellationState::Unspecified)
            .into(),
        lines: cancellation
            .lines
            .iter()
            .map(|line| pb::CancellationLine {
                order_line_id: line.order_line_id.to_string(),
                quantity: line.quantity,
                canceled: line.canceled,
            })
            .collect(),
        reason: cancellation.reason.clone(),
        actor: cancellation.actor.clone(),
        legs: cancellation
            .legs
            .iter()
            .map(|leg| pb::CancellationLeg {
                name: leg.name.clone(),
                state: leg.state.clone(),
                detail: leg.detail.clone(),
            })
            .collect(),
        create_time: Some(time_to_proto(cancellation.created_at)),
    }
}

/// What clients may do now, and why not what they may not.
fn supported_actions(order: &Order) -> Vec<common::SupportedAction> {
    OrderAction::BY_CLIENTS
        .into_iter()
        .map(|action| {
            let reason = refusal(order, action);
            common::SupportedAction {
                action: action.as_str().to_owned(),
                allowed: reason.is_empty(),
                reason,
            }
        })
        .collect()
}

fn refusal(order: &Order, action: OrderAction) -> String {
    if order.state.after(action).is_none() {
        return format!("the order is {}", order.state.as_str());
    }
    let open: i64 = order.lines.iter().map(OrderLine::open).sum();
    match action {
        OrderAction::RequestCancellation if open == 0 => {
            "every unit is shipped or canceled".to_owned()
        }
        OrderAction::Refund if order.money.captured <= order.money.refunded => {
            "nothing is captured that is not refunded".to_owned()
        }
        _ => String::new(),
    }
}

fn state(state: OrderState) -> pb::OrderState {
    match state {
        OrderState::Pending => pb::OrderState::Pending,
        OrderState::Confirmed => pb::OrderState::Confirmed,
        OrderState::Completed => pb::OrderState::Completed,
        OrderState::Rejected => pb::OrderState::Rejected,
        OrderState::Canceled => pb::OrderState::Canceled,
        OrderState::Expired => pb::OrderState::Expired,
    }
}

/// What happens when stock is short.
pub(crate) fn fill_policy(policy: FillPolicy) -> common::FillPolicy {
    match policy {
        FillPolicy::FillOrKill => common::FillPolicy::FillOrKill,
        FillPolicy::FillAll => common::FillPolicy::FillAll,
        FillPolicy::FillAllAvailable => common::FillPolicy::FillAllAvailable,
    }
}

/// The service level by its stored name.
pub(crate) fn service_level(name: &str) -> common::ServiceLevel {
    common::ServiceLevel::from_str_name(&format!("SERVICE_LEVEL_{name}"))
        .unwrap_or(common::ServiceLevel::Ground)
}

fn authorize_status(order: &Order) -> pb::AuthorizeStatus {
    match status::authorize_status(order, order.money) {
        Coverage::None => pb::AuthorizeStatus::None,
        Coverage::Partial => pb::AuthorizeStatus::Partial,
        Coverage::Full | Coverage::Over => pb::AuthorizeStatus::Full,
    }
}

fn charge_status(order: &Order) -> pb::ChargeStatus {
    match status::charge_status(order, order.money) {
        Coverage::None => pb::ChargeStatus::None,
        Coverage::Partial => pb::ChargeStatus::Partial,
        Coverage::Full => pb::ChargeStatus::Full,
        Coverage::Over => pb::ChargeStatus::Overcharged,
    }
}

fn fulfillment_status(order: &Order) -> pb::FulfillmentStatus {
    match status::fulfillment_status(order) {
        FulfillmentStatus::Unfulfilled => pb::FulfillmentStatus::Unfulfilled,
        FulfillmentStatus::PartiallyFulfilled => pb::FulfillmentStatus::PartiallyFulfilled,
        FulfillmentStatus::Fulfilled => pb::FulfillmentStatus::Fulfilled,
        FulfillmentStatus::PartiallyDelivered => pb::FulfillmentStatus::PartiallyDelivered,
        FulfillmentStatus::Delivered => pb::FulfillmentStatus::Delivered,
        FulfillmentStatus::NotRequired => pb::FulfillmentStatus::NotRequired,
    }
}

fn return_status(order: &Order) -> pb::ReturnStatus {
    match status::return_status(order) {
        ReturnStatus::None => pb::ReturnStatus::None,
        ReturnStatus::Requested => pb::ReturnStatus::Requested,
        ReturnStatus::PartiallyReturned => pb::ReturnStatus::PartiallyReturned,
        ReturnStatus::Returned => pb::ReturnStatus::Returned,
    }
}
