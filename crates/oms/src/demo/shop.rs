//! The shop that places orders, many at the same time.

use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::Context;
use futures::stream::{self, StreamExt, TryStreamExt};
use hdrhistogram::Histogram;
use oms_proto::common::v1::{FillPolicy, Money, PostalAddress, ServiceLevel};
use oms_proto::order::v1::{
    Discount, NewOrder, NewOrderLine, PaymentMethod, PlaceOrderRequest, WaitFor,
};

use super::retail::{RetailLine, RetailOrder, hash};
use super::setup::{CHANNEL, request_id};
use super::{Bars, World};

/// What placing all orders took.
#[derive(Debug)]
pub(crate) struct Placed {
    /// From the first call to the last answer.
    pub(crate) elapsed: Duration,
    /// Latency of each PlaceOrder until the order is confirmed or refused, in microseconds.
    pub(crate) latency_us: Histogram<u64>,
}

/// Places all orders, so many at the same time.
pub(crate) async fn place_all(
    world: &Arc<World>,
    callers: usize,
    bars: &Bars,
) -> anyhow::Result<Placed> {
    let started = Instant::now();
    let latencies: Vec<Duration> = stream::iter(&world.retail.orders)
        .map(|order| place(world, order, bars))
        .buffer_unordered(callers.max(1))
        .try_collect()
        .await?;
    let mut latency_us = Histogram::new(3)?;
    for latency in latencies {
        latency_us.record(u64::try_from(latency.as_micros()).unwrap_or(u64::MAX))?;
    }
    world.board.all_placed();
    Ok(Placed {
        elapsed: started.elapsed(),
        latency_us,
    })
}

async fn place(world: &World, order: &RetailOrder, bars: &Bars) -> anyhow::Result<Duration> {
    let request = PlaceOrderRequest {
        request_id: request_id(&order.order_id),
        order: Some(new_order(order, token(order))),
        wait_for: WaitFor::Confirmed.into(),
    };
    let started = Instant::now();
    world
        .clients
        .orders()
        .place_order(request)
        .await
        .with_context(|| format!("order {}", order.order_id))?;
    bars.placed.inc(1);
    Ok(started.elapsed())
}

/// The order as the API wants it, paid with this card.
pub(super) fn new_order(order: &RetailOrder, token: &str) -> NewOrder {
    NewOrder {
        channel_id: CHANNEL.to_owned(),
        external_reference: order.order_id.clone(),
        customer_id: order.customer_id.clone(),
        currency_code: "USD".to_owned(),
        lines: order.lines.iter().map(new_line).collect(),
        ship_to: Some(address(order)),
        bill_to: None,
        discounts: Vec::new(),
        shipping_charge: Some(usd(shipping_charge(order))),
        payment_method: Some(PaymentMethod {
            provider: "sandbox".to_owned(),
            token: token.to_owned(),
            ..PaymentMethod::default()
        }),
        service_level: service_level(&order.ship_mode).into(),
        fill_policy: FillPolicy::FillAll.into(),
        ..Default::default()
    }
}

fn new_line(line: &RetailLine) -> NewOrderLine {
    let discount = Discount {
        code: "PROMO".to_owned(),
        amount: Some(usd(line.discount)),
    };
    NewOrderLine {
        line_reference: line.row_id.clone(),
        sku: line.sku.clone(),
        quantity: line.quantity,
        unit_price: Some(usd(line.unit_price)),
        discounts: if line.discount > 0 {
            vec![discount]
        } else {
            Vec::new()
        },
        ..Default::default()
    }
}

fn usd(minor_units: i64) -> Money {
    Money {
        currency_code: "USD".to_owned(),
        minor_units,
    }
}

fn address(order: &RetailOrder) -> PostalAddress {
    PostalAddress {
        recipient: order.customer_name.clone(),
        address_lines: vec![order.street.clone()],
        locality: order.city.clone(),
        administrative_area: order.state.clone(),
        postal_code: order.postal_code.clone(),
        country_code: "US".to_owned(),
        ..Default::default()
    }
}

/// One order in sixty has a card that is declined, one in a hundred one whose answer is lost.
fn token(order: &RetailOrder) -> &'static str {
    let number = hash(&format!("card/{}", order.order_id));
    match () {
        () if number.is_multiple_of(60) => "tok_decline",
        () if number.is_multiple_of(101) => "tok_timeout",
        () => "tok_approve",
    }
}

fn service_level(ship_mode: &str) -> ServiceLevel {
    match ship_mode {
        "Same Day" => ServiceLevel::SameDay,
        "First Class" => ServiceLevel::Overnight,
        "Second Class" => ServiceLevel::TwoDay,
        _ => ServiceLevel::Ground,
    }
}

/// What the shop charges for the ride, in cents.
fn shipping_charge(order: &RetailOrder) -> i64 {
    match service_level(&order.ship_mode) {
        ServiceLevel::SameDay => 2_499,
        ServiceLevel::Overnight => 1_499,
        ServiceLevel::TwoDay => 899,
        _ => 499,
    }
}
