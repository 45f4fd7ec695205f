//! What each step asks, and what it must see.

use std::time::Duration;

use oms_proto::common::v1::{FillPolicy, Money, ServiceLevel};
use oms_proto::fulfillment::v1::{
    FulfillmentOrder, FulfillmentOrderState, ListFulfillmentOrdersRequest,
};
use oms_proto::inventory::v1::{
    BatchGetAvailabilityRequest, ListReservationsRequest, ReservationState,
};
use oms_proto::order::v1::{
    AuthorizeStatus, CancelOrderRequest, Cancellation, GetOrderRequest, ListPaymentsRequest,
    NewOrder, NewOrderLine, Order, OrderState, PaymentKind, PaymentMethod, PaymentState,
    PaymentTransaction, PlaceOrderRequest, WaitFor,
};
use oms_proto::returns::v1::ListReturnsRequest;
use oms_proto::shipping::v1::{QuoteRatesRequest, RatePackage};

use super::calls::{Seen, answered, until};
use super::prepare::{self, address, fresh_id};
use super::{Failure, Plan};
use crate::clients::Clients;

/// Price of the unit in minor units.
const PRICE: i64 = 100;

/// Units at the location that nobody has taken.
pub(super) async fn free_units(clients: &Clients, plan: &Plan) -> Result<i64, Failure> {
    let request = BatchGetAvailabilityRequest {
        skus: vec![plan.sku.clone()],
        location_ids: vec![plan.location_id.clone()],
        channel_id: String::new(),
    };
    let answer = answered(plan.patience, async || {
        clients
            .stock()
            .batch_get_availability(request.clone())
            .await
    })
    .await?;
    Ok(answer.levels.iter().map(|level| level.available).sum())
}

/// There is a unit to sell.
pub(super) async fn stock(clients: &Clients, plan: &Plan) -> Result<String, Failure> {
    let (free, sku, location) = (
        free_units(clients, plan).await?,
        &plan.sku,
        &plan.location_id,
    );
    if free == 0 {
        return Err(Failure::unexpected(format!(
            "no unit of {sku} is free at {location}: receive one, or give --prepare"
        )));
    }
    Ok(format!("{free} free of {sku} at {location}"))
}

/// Places the order, and waits a while for its saga.
pub(super) async fn place(
    clients: &Clients,
    plan: &Plan,
    external_reference: &str,
) -> Result<Order, Failure> {
    let price = Money {
        currency_code: plan.currency_code.clone(),
        minor_units: PRICE,
    };
    let line = NewOrderLine {
        sku: plan.sku.clone(),
        quantity: 1,
        unit_price: Some(price),
        ..NewOrderLine::default()
    };
    let method = PaymentMethod {
        provider: plan.provider.clone(),
        token: plan.payment_token.clone(),
        amount: None,
    };
    let order = NewOrder {
        channel_id: plan.channel_id.clone(),
        external_reference: external_reference.to_owned(),
        currency_code: plan.currency_code.clone(),
        lines: vec![line],
        ship_to: Some(address()),
        payment_method: Some(method),
        service_level: ServiceLevel::Ground.into(),
        // All of it now, or nothing: a smoke test waits for no supplier.
        fill_policy: FillPolicy::FillOrKill.into(),
        instructions: "Smoke test: not to be picked".to_owned(),
        ..NewOrder::default()
    };
    let request = PlaceOrderRequest {
        request_id: fresh_id(),
        order: Some(order),
        wait_for: WaitFor::Confirmed.into(),
    };
    let answer = answered(plan.patience, async || {
        clients.orders().place_order(request.clone()).await
    })
    .await?;
    answer
        .order
        .ok_or_else(|| Failure::unexpected("no order was answered"))
}

/// The order in its channel, if it was placed.
pub(super) async fn find(
    clients: &Clients,
    plan: &Plan,
    external_reference: &str,
) -> Result<Option<Order>, Failure> {
    let request = GetOrderRequest {
        channel_id: plan.channel_id.clone(),
        external_reference: external_reference.to_owned(),
        ..GetOrderRequest::default()
    };
    let found = answered(plan.patience, async || {
        clients.orders().get_order(request.clone()).await
    })
    .await;
    match found {
        Ok(answer) => Ok(answer.order),
        Err(failure) if failure.is_not_found() => Ok(None),
        Err(failure) => Err(failure),
    }
}

/// Waits until the order is in one of the states.
pub(super) async fn order_in(
    clients: &Clients,
    patience: Duration,
    order_id: &str,
    wanted: &[OrderState],
) -> Result<Order, Failure> {
    let request = GetOrderRequest {
        order_id: order_id.to_owned(),
        ..GetOrderRequest::default()
    };
    let call = async || clients.orders().get_order(request.clone()).await;
    until(patience, call, |answer| {
        let order = answer.order.unwrap_or_default();
        let state = name(order.state().as_str_name(), "ORDER_STATE_");
        if wanted.contains(&order.state()) {
            return Ok(Seen::Done(order));
        }
        if is_over(&order) {
            let message = format!("the order is {state}");
            return Err(Failure::because(&order.state_reason, message));
        }
        let step = Some(&order.saga_step).filter(|step| !step.is_empty());
        let step = step.map_or(String::new(), |step| format!(" at the step {step}"));
        Ok(Seen::NotYet(format!("the order is {state}{step}")))
    })
    .await
}

/// Whether nothing happens to the order any more.
pub(super) fn is_over(order: &Order) -> bool {
    !matches!(
        order.state(),
        OrderState::Unspecified | OrderState::Pending | OrderState::Confirmed
    )
}

/// Waits until the order is over, and has neither units nor money set aside.
pub(super) async fn holds_nothing(
    clients: &Clients,
    patience: Duration,
    order_id: &str,
) -> Result<(), Failure> {
    let request = GetOrderRequest {
        order_id: order_id.to_owned(),
        ..GetOrderRequest::default()
    };
    let call = async || clients.orders().get_order(request.clone()).await;
    until(patience, call, |answer| {
        let order = answer.order.unwrap_or_default();
        let units: i64 = order.lines.iter().map(|line| line.held + line.allocated).sum();
        let authorized = order.totals.as_ref().and_then(|totals| totals.authorized.as_ref());
        let authorized = authorized.map_or(0, |money| money.minor_units);
        if is_over(&order) && units == 0 && authorized == 0 {
            return Ok(Seen::Done(()));
        }
        let state = name(order.state().as_str_name(), "ORDER_STATE_");
        Ok(Seen::NotYet(format!(
            "the order is {state}, {units} units and {authorized} minor units of money are set aside for it"
        )))
    })
    .await
}

/// Waits until every unit of the order is in this state; at the location, if it has one.
pub(super) async fn reserved_as(
    clients: &Clients,
    plan: &Plan,
    order_id: &str,
    wanted: ReservationState,
) -> Result<String, Failure> {
    let request = ListReservationsRequest {
        order_id: order_id.to_owned(),
    };
    let call = async || {
        clients
            .reservations()
            .list_reservations(request.clone())
            .await
    };
    until(plan.patience, call, |answer| {
        let lines = answer.reservations.iter().flat_map(|one| &one.lines);
        let lines: Vec<_> = lines.collect();
        let seen: Vec<String> = lines
            .iter()
            .map(|line| {
                let state = name(line.state().as_str_name(), "RESERVATION_STATE_");
                format!("{} {} at {}", line.quantity, state, line.location_id)
            })
            .collect();
        let seen = seen.join(", ");
        if lines.is_empty() {
            return Ok(Seen::NotYet("nothing is reserved".to_owned()));
        }
        if !lines.iter().all(|line| line.state() == wanted) {
            return Ok(Seen::NotYet(seen));
        }
        if let Some(line) = lines
            .iter()
            .find(|line| line.location_id != plan.location_id)
        {
            let (there, here) = (&line.location_id, &plan.location_id);
            let message = format!("{there} was chosen and not {here}: name it by --location");
            return Err(Failure::unexpected(message));
        }
        Ok(Seen::Done(seen))
    })
    .await
}

/// Waits until the whole amount is authorized.
pub(super) async fn authorized(
    clients: &Clients,
    plan: &Plan,
    order: &Order,
) -> Result<String, Failure> {
    if order.authorize_status() != AuthorizeStatus::Full {
        let status = order.authorize_status().as_str_name();
        return Err(Failure::unexpected(format!("the order is {status}")));
    }
    payment(clients, plan, &order.order_id, PaymentKind::Authorization).await
}

/// Waits until a transaction of this kind has succeeded and none is open.
pub(super) async fn payment(
    clients: &Clients,
    plan: &Plan,
    order_id: &str,
    wanted: PaymentKind,
) -> Result<String, Failure> {
    let request = ListPaymentsRequest {
        order_id: order_id.to_owned(),
    };
    let call = async || clients.payments().list_payments(request.clone()).await;
    until(plan.patience, call, |answer| {
        let told = |one: &PaymentTransaction| {
            let kind = name(one.kind().as_str_name(), "PAYMENT_KIND_");
            let state = name(one.state().as_str_name(), "PAYMENT_STATE_");
            format!("{kind} {state} {}", one.failure_code)
        };
        let seen: Vec<String> = answer.payments.iter().map(told).collect();
        let seen = seen.join(", ").trim_end().to_owned();
        let is_settled = |one: &PaymentTransaction| {
            matches!(one.state(), PaymentState::Succeeded | PaymentState::Failed)
        };
        let mut of_kind = answer.payments.iter().filter(|one| one.kind() == wanted);
        match of_kind.find(|one| one.state() == PaymentState::Succeeded) {
            Some(one) if answer.payments.iter().all(is_settled) => {
                let (provider, reference) = (&one.provider, &one.provider_reference);
                Ok(Seen::Done(format!("by {provider}, {reference}")))
            }
            _ => Ok(Seen::NotYet(seen)),
        }
    })
    .await
}

/// Waits until the order has fulfillment orders, and all of them are canceled if they are to be.
pub(super) async fn fulfillment(
    clients: &Clients,
    plan: &Plan,
    order_id: &str,
    canceled: bool,
) -> Result<String, Failure> {
    let request = ListFulfillmentOrdersRequest {
        order_id: order_id.to_owned(),
        ..ListFulfillmentOrdersRequest::default()
    };
    let call = async || {
        clients
            .fulfillment_orders()
            .list_fulfillment_orders(request.clone())
            .await
    };
    until(plan.patience, call, |answer| {
        let all = &answer.fulfillment_orders;
        let states = all.iter().map(FulfillmentOrder::state);
        let seen: Vec<&str> = states
            .clone()
            .map(|state| name(state.as_str_name(), "FULFILLMENT_ORDER_STATE_"))
            .collect();
        let seen = seen.join(", ");
        let mut open = states.filter(|state| *state != FulfillmentOrderState::Canceled);
        if all.is_empty() {
            return Ok(Seen::NotYet("there is no fulfillment order".to_owned()));
        }
        if canceled && open.next().is_some() {
            return Ok(Seen::NotYet(seen));
        }
        Ok(Seen::Done(format!(
            "{} fulfillment order, {seen}",
            all.len()
        )))
    })
    .await
}

/// What the way would cost: shipping, which asks inventory where the location is.
pub(super) async fn rates(
    clients: &Clients,
    plan: &Plan,
    order: &Order,
) -> Result<String, Failure> {
    let package = RatePackage {
        mass_grams: 100,
        dimensions: Some(prepare::dimensions()),
    };
    let request = QuoteRatesRequest {
        location_id: plan.location_id.clone(),
        destination: order.destination.clone(),
        packages: vec![package],
        ..QuoteRatesRequest::default()
    };
    let answer = answered(plan.patience, async || {
        clients.rates().quote_rates(request.clone()).await
    })
    .await?;
    Ok(format!("{} rates", answer.rates.len()))
}

/// Nothing of it came back.
pub(super) async fn returns(
    clients: &Clients,
    plan: &Plan,
    order_id: &str,
) -> Result<String, Failure> {
    let request = ListReturnsRequest {
        order_id: order_id.to_owned(),
        ..ListReturnsRequest::default()
    };
    let answer = answered(plan.patience, async || {
        clients.returns().list_returns(request.clone()).await
    })
    .await?;
    match answer.returns.len() {
        0 => Ok("none of this order".to_owned()),
        some => Err(Failure::unexpected(format!(
            "{some} returns of a new order"
        ))),
    }
}

/// Asks for the cancellation of the whole order, and waits for the end of it.
pub(super) async fn cancel(
    clients: &Clients,
    patience: Duration,
    order_id: &str,
) -> Result<String, Failure> {
    let request = CancelOrderRequest {
        request_id: fresh_id(),
        order_id: order_id.to_owned(),
        reason: "OTHER".to_owned(),
        note: "oms smoke".to_owned(),
        ..CancelOrderRequest::default()
    };
    answered(patience, async || {
        clients.orders().cancel_order(request.clone()).await
    })
    .await?;
    let order = order_in(clients, patience, order_id, &[OrderState::Canceled]).await?;
    let states = order.cancellations.iter().map(Cancellation::state);
    let states: Vec<&str> = states
        .map(|state| name(state.as_str_name(), "CANCELLATION_STATE_"))
        .collect();
    Ok(format!("cancellation {}", states.join(", ")))
}

fn name(of_enum: &'static str, prefix: &str) -> &'static str {
    of_enum.strip_prefix(prefix).unwrap_or(of_enum)
}
