//! Orders, holds, payments and channels.

use anyhow::Context;
use oms_proto::common::v1::{ErrorReason, Money, PostalAddress};
use oms_proto::order::v1 as o;
use oms_tests::shop::{channel, new_order};
use oms_tests::{fresh_id, usd};
use tonic::{Code, Response, Status};

use crate::table::{Table, illegal, invalid, plain, refused, reused, stale};
use crate::world::{TAKEN_REFERENCE, World};

type Change = fn(&mut o::NewOrder);

pub(crate) async fn cases(world: &World, table: &mut Table) -> anyhow::Result<()> {
    for (name, change, violations) in new_orders() {
        let mut order = new_order(&[("a", 1), ("b", 2)]);
        change(&mut order);
        table.case(
            name,
            place(world, order.clone()).await,
            &invalid(violations),
        );
        let request = o::ValidateOrderRequest { order: Some(order) };
        let answer = world.suite.clients.orders().validate_order(request).await;
        table.case(&format!("{name}, validated"), answer, &invalid(violations));
    }
    placing(world, table).await;
    changing(world, table).await?;
    holds(world, table).await;
    refunds(world, table).await;
    channels(world, table).await;
    Ok(())
}

async fn place(
    world: &World,
    order: o::NewOrder,
) -> Result<Response<o::PlaceOrderResponse>, Status> {
    let request = o::PlaceOrderRequest {
        request_id: fresh_id(),
        order: Some(order),
        wait_for: o::WaitFor::Confirmed.into(),
    };
    world.suite.clients.orders().place_order(request).await
}

fn euro(minor_units: i64) -> Money {
    Money {
        currency_code: "EUR".to_owned(),
        minor_units,
    }
}

fn discount(minor_units: i64) -> o::Discount {
    o::Discount {
        code: "SUMMER".to_owned(),
        amount: Some(usd(minor_units)),
    }
}

/// Orders that cannot be right, and everything that is wrong with each.
fn new_orders() -> Vec<(&'static str, Change, &'static [&'static str])> {
    let mut all = goods();
    all.extend(money());
    all.extend(people());
    all
}

fn goods() -> Vec<(&'static str, Change, &'static [&'static str])> {
    vec![
        (
            "an unknown SKU",
            |o| o.lines[1].sku = "nope".to_owned(),
            &["lines[1].sku SKU_UNKNOWN"],
        ),
        (
            "a SKU of spaces",
            |o| o.lines[0].sku = "a b".to_owned(),
            &["lines[0].sku FIELD_MALFORMED"],
        ),
        (
            "no SKU",
            |o| o.lines[0].sku.clear(),
            &["lines[0].sku FIELD_REQUIRED"],
        ),
        (
            "no units",
            |o| o.lines[0].quantity = 0,
            &["lines[0].quantity QUANTITY_INVALID"],
        ),
        (
            "negative units",
            |o| o.lines[0].quantity = -1,
            &["lines[0].quantity QUANTITY_INVALID"],
        ),
        (
            "more units than there are numbers for",
            |o| o.lines[0].quantity = i64::MAX,
            &["lines[0].quantity QUANTITY_INVALID"],
        ),
        ("no lines", |o| o.lines.clear(), &["lines FIELD_REQUIRED"]),
        (
            "10 000 lines",
            |o| o.lines = vec![o.lines[0].clone(); 10_000],
            &["lines FIELD_OUT_OF_RANGE"],
        ),
        (
            "two lines with one reference",
            |o| {
                o.lines[0].line_reference = "1".to_owned();
                o.lines[1].line_reference = "1".to_owned();
            },
            &["lines[1].line_reference DUPLICATE"],
        ),
        (
            "several things at once",
            |o| {
                o.channel_id = "nowhere".to_owned();
                o.lines[0].quantity = 0;
                o.lines[1].sku = "nope".to_owned();
                o.lines[1].unit_price = None;
                o.ship_to = None;
                o.payment_method = None;
            },
            &[
                "channel_id CHANNEL_UNKNOWN",
                "payment_method.provider FIELD_REQUIRED",
                "payment_method.token FIELD_REQUIRED",
                "ship_to FIELD_REQUIRED",
                "lines[0].quantity QUANTITY_INVALID",
                "lines[1].sku SKU_UNKNOWN",
                "lines[1].unit_price FIELD_REQUIRED",
            ],
        ),
    ]
}

fn money() -> Vec<(&'static str, Change, &'static [&'static str])> {
    vec![
        (
            "amounts in two currencies",
            |o| o.lines[1].unit_price = Some(euro(100)),
            &["lines[1].unit_price CURRENCY_MIXED"],
        ),
        (
            "a currency that does not exist",
            |o| o.lines[0].unit_price.as_mut().unwrap().currency_code = "XXQ".to_owned(),
            &["lines[0].unit_price CURRENCY_UNKNOWN"],
        ),
        (
            "an order in a currency that does not exist",
            |o| o.currency_code = "DOLLARS".to_owned(),
            &["currency_code CURRENCY_UNKNOWN"],
        ),
        (
            "an order in another currency than its channel",
            |o| {
                o.currency_code = "EUR".to_owned();
                o.lines.truncate(1);
                o.lines[0].unit_price = Some(euro(1));
                o.shipping_charge = None;
            },
            &["currency_code CURRENCY_MIXED"],
        ),
        (
            "a negative price",
            |o| o.lines[0].unit_price = Some(usd(-1)),
            &["lines[0].unit_price AMOUNT_NEGATIVE"],
        ),
        (
            "a negative shipping charge",
            |o| o.shipping_charge = Some(usd(-1)),
            &["shipping_charge AMOUNT_NEGATIVE"],
        ),
        (
            "a price that does not fit",
            |o| {
                o.lines[0].unit_price = Some(usd(i64::MAX));
                o.lines[0].quantity = 1_000_000;
            },
            &["lines[0].unit_price AMOUNT_OVERFLOW"],
        ),
        (
            "a discount above the price",
            |o| o.lines[0].discounts = vec![discount(2_000)],
            &["lines[0].discounts DISCOUNT_EXCEEDS_PRICE"],
        ),
        (
            "a discount above the order",
            |o| o.discounts = vec![discount(1_000_000)],
            &["discounts DISCOUNT_EXCEEDS_PRICE"],
        ),
        (
            "a negative discount",
            |o| o.lines[0].discounts = vec![discount(-5)],
            &["lines[0].discounts AMOUNT_NEGATIVE"],
        ),
        (
            "a card number as payment token",
            |o| o.payment_method.as_mut().unwrap().token = "4242424242424242".to_owned(),
            &["payment_method.token CARD_NUMBER_REFUSED"],
        ),
        (
            "a card number in a note",
            |o| o.instructions = "charge 4242 4242 4242 4242".to_owned(),
            &["instructions CARD_NUMBER_REFUSED"],
        ),
        (
            "a provider that nobody set up",
            |o| o.payment_method.as_mut().unwrap().provider = "barter".to_owned(),
            &["payment_method.provider REFERENCE_UNKNOWN"],
        ),
    ]
}

fn people() -> Vec<(&'static str, Change, &'static [&'static str])> {
    vec![
        (
            "no address",
            |o| o.ship_to = None,
            &["ship_to FIELD_REQUIRED"],
        ),
        (
            "an empty address",
            |o| o.ship_to = Some(PostalAddress::default()),
            &[
                "ship_to.recipient ADDRESS_INVALID",
                "ship_to.locality ADDRESS_INVALID",
                "ship_to.address_lines ADDRESS_INVALID",
                "ship_to.country_code ADDRESS_INVALID",
            ],
        ),
        (
            "a postal code that is none",
            |o| o.ship_to.as_mut().unwrap().postal_code = "ABC".to_owned(),
            &["ship_to.postal_code ADDRESS_INVALID"],
        ),
        (
            "a country that does not exist",
            |o| o.ship_to.as_mut().unwrap().country_code = "XX".to_owned(),
            &["ship_to.country_code COUNTRY_UNKNOWN"],
        ),
        (
            "an unknown channel",
            |o| o.channel_id = "mars".to_owned(),
            &["channel_id CHANNEL_UNKNOWN"],
        ),
        (
            "no channel",
            |o| o.channel_id.clear(),
            &["channel_id FIELD_REQUIRED"],
        ),
        (
            "a priority that is none",
            |o| o.priority = Some(10),
            &["priority FIELD_OUT_OF_RANGE"],
        ),
        (
            "a service level that is none",
            |o| o.service_level = 99,
            &["service_level FIELD_MALFORMED"],
        ),
        (
            "control characters",
            |o| o.lines[0].gift_message = "hello\u{0}".to_owned(),
            &["lines[0].gift_message FIELD_MALFORMED"],
        ),
        (
            "a reference that is too long",
            |o| o.external_reference = "x".repeat(101),
            &["external_reference FIELD_OUT_OF_RANGE"],
        ),
    ]
}

async fn placing(world: &World, table: &mut Table) {
    let mut taken = new_order(&[("a", 1)]);
    taken.external_reference = TAKEN_REFERENCE.to_owned();
    table.case(
        "an external reference that is taken",
        place(world, taken).await,
        &plain(Code::AlreadyExists, ErrorReason::ExternalReferenceTaken),
    );
    let mut orders = world.suite.clients.orders();
    let mut again = world.open_request.clone();
    if let Some(line) = again
        .order
        .as_mut()
        .and_then(|order| order.lines.first_mut())
    {
        line.quantity += 1;
    }
    table.case(
        "a request id with another order",
        orders.place_order(again).await,
        &reused(),
    );
    for (name, request_id, violation) in [
        (
            "an order without request id",
            "",
            "request_id FIELD_REQUIRED",
        ),
        (
            "a request id that is none",
            "once",
            "request_id FIELD_MALFORMED",
        ),
    ] {
        let request = o::PlaceOrderRequest {
            request_id: request_id.to_owned(),
            order: Some(new_order(&[("a", 1)])),
            ..Default::default()
        };
        table.case(
            name,
            orders.place_order(request).await,
            &invalid(&[violation]),
        );
    }
    let empty = o::PlaceOrderRequest::default();
    table.case(
        "an empty request",
        orders.place_order(empty).await,
        &invalid(&["request_id FIELD_REQUIRED", "order FIELD_REQUIRED"]),
    );
    let empty = o::ValidateOrderRequest::default();
    table.case(
        "nothing to validate",
        orders.validate_order(empty).await,
        &invalid(&["order FIELD_REQUIRED"]),
    );
}

async fn changing(world: &World, table: &mut Table) -> anyhow::Result<()> {
    let mut orders = world.suite.clients.orders();
    let cancel = |order: &o::Order| o::CancelOrderRequest {
        request_id: fresh_id(),
        order_id: order.order_id.clone(),
        reason: "CUSTOMER".to_owned(),
        ..Default::default()
    };
    let update = |order: &o::Order| o::UpdateOrderRequest {
        request_id: fresh_id(),
        order_id: order.order_id.clone(),
        ..Default::default()
    };
    for (order, state) in [(&world.canceled, "CANCELED"), (&world.done, "COMPLETED")] {
        let name = format!("canceling what is {state}");
        let expected = illegal("order", state, "cancel");
        table.case(&name, orders.cancel_order(cancel(order)).await, &expected);
    }
    let request = o::CancelOrderRequest {
        etag: "1".to_owned(),
        ..cancel(&world.open)
    };
    table.case(
        "canceling an old version",
        orders.cancel_order(request).await,
        &stale(),
    );
    let request = o::UpdateOrderRequest {
        etag: "1".to_owned(),
        ..update(&world.open)
    };
    table.case(
        "updating an old version",
        orders.update_order(request).await,
        &stale(),
    );
    let request = o::UpdateOrderRequest {
        etag: "newest".to_owned(),
        ..update(&world.open)
    };
    let expected = invalid(&["etag FIELD_MALFORMED"]);
    table.case(
        "an etag that is none",
        orders.update_order(request).await,
        &expected,
    );
    let line_id = &world.open.lines.first().context("no line")?.order_line_id;
    let line = |order_line_id: &str, quantity| o::CancelOrderLine {
        order_line_id: order_line_id.to_owned(),
        quantity,
    };
    let request = o::CancelOrderRequest {
        lines: vec![line(line_id, 3)],
        ..cancel(&world.open)
    };
    let expected = refused(ErrorReason::QuantityExceedsOpen);
    table.case(
        "canceling more than was ordered",
        orders.cancel_order(request).await,
        &expected,
    );
    let request = o::CancelOrderRequest {
        lines: vec![
            line(&fresh_id(), 0),
            line(line_id, 1),
            line(line_id, -1),
            line("x", 1),
        ],
        reason: "BORED".to_owned(),
        note: "5555-5555-5555-4444".to_owned(),
        ..cancel(&world.open)
    };
    let expected = invalid(&[
        "note CARD_NUMBER_REFUSED",
        "lines[3].order_line_id FIELD_MALFORMED",
        "reason FIELD_MALFORMED",
        "lines[0].quantity QUANTITY_INVALID",
        "lines[2].order_line_id DUPLICATE",
        "lines[2].quantity QUANTITY_INVALID",
        "lines[0].order_line_id REFERENCE_UNKNOWN",
    ]);
    table.case(
        "a cancellation all wrong",
        orders.cancel_order(request).await,
        &expected,
    );
    Ok(())
}

async fn holds(world: &World, table: &mut Table) {
    let mut holds = world.suite.clients.holds();
    let hold = |order: &o::Order| o::PlaceHoldRequest {
        request_id: fresh_id(),
        order_id: order.order_id.clone(),
        reason: o::HoldReason::Manual.into(),
        ..Default::default()
    };
    for (order, state) in [(&world.canceled, "CANCELED"), (&world.done, "COMPLETED")] {
        let name = format!("holding what is {state}");
        let expected = illegal("order", state, "place_hold");
        table.case(&name, holds.place_hold(hold(order)).await, &expected);
    }
    let request = o::ReleaseHoldRequest {
        request_id: fresh_id(),
        hold_id: world.ended_hold.hold_id.clone(),
        note: String::new(),
    };
    let expected = illegal("hold", "RELEASED", "release");
    table.case(
        "ending a hold twice",
        holds.release_hold(request).await,
        &expected,
    );
    let request = o::PlaceHoldRequest {
        request_id: String::new(),
        etag: "x".to_owned(),
        order_line_id: "x".to_owned(),
        reason: 0,
        blocks: vec![o::HoldBlock::Confirm.into(), 99],
        note: "4242424242424242".to_owned(),
        ..hold(&world.open)
    };
    let expected = invalid(&[
        "request_id FIELD_REQUIRED",
        "etag FIELD_MALFORMED",
        "order_line_id FIELD_MALFORMED",
        "note CARD_NUMBER_REFUSED",
        "reason FIELD_REQUIRED",
        "blocks[1] FIELD_MALFORMED",
    ]);
    table.case(
        "a hold all wrong",
        holds.place_hold(request).await,
        &expected,
    );
    let request = o::PlaceHoldRequest {
        order_line_id: fresh_id(),
        ..hold(&world.open)
    };
    let expected = invalid(&["order_line_id REFERENCE_UNKNOWN"]);
    table.case(
        "a hold on a line of nobody",
        holds.place_hold(request).await,
        &expected,
    );
    let request = o::PlaceHoldRequest {
        etag: "1".to_owned(),
        ..hold(&world.open)
    };
    table.case(
        "holding an old version",
        holds.place_hold(request).await,
        &stale(),
    );
}

async fn refunds(world: &World, table: &mut Table) {
    let mut payments = world.suite.clients.payments();
    let refund = |order: &o::Order, amount: Option<Money>| o::RefundPaymentRequest {
        request_id: fresh_id(),
        order_id: order.order_id.clone(),
        amount,
        reason: "goodwill".to_owned(),
        ..Default::default()
    };
    let request = refund(&world.done, Some(usd(1_000_000)));
    let expected = refused(ErrorReason::RefundExceedsCaptured);
    table.case(
        "refunding more than was paid",
        payments.refund_payment(request).await,
        &expected,
    );
    let request = refund(&world.open, Some(usd(1)));
    table.case(
        "refunding what was not captured",
        payments.refund_payment(request).await,
        &expected,
    );
    for (name, amount, violation) in [
        (
            "refunding nothing",
            Some(usd(0)),
            "amount.minor_units FIELD_OUT_OF_RANGE",
        ),
        (
            "refunding less than nothing",
            Some(usd(-1)),
            "amount.minor_units AMOUNT_NEGATIVE",
        ),
        ("refunding no amount", None, "amount FIELD_REQUIRED"),
        (
            "refunding another currency",
            Some(euro(1)),
            "amount.currency_code CURRENCY_MIXED",
        ),
    ] {
        let request = refund(&world.done, amount);
        let expected = invalid(&[violation]);
        table.case(name, payments.refund_payment(request).await, &expected);
    }
    let request = o::RefundPaymentRequest {
        etag: "1".to_owned(),
        ..refund(&world.done, Some(usd(1)))
    };
    table.case(
        "refunding on an old version",
        payments.refund_payment(request).await,
        &stale(),
    );
    let empty = o::RefundPaymentRequest::default();
    let expected = invalid(&[
        "request_id FIELD_REQUIRED",
        "order_id FIELD_REQUIRED",
        "amount FIELD_REQUIRED",
        "reason FIELD_REQUIRED",
    ]);
    table.case(
        "an empty refund",
        payments.refund_payment(empty).await,
        &expected,
    );
}

async fn channels(world: &World, table: &mut Table) {
    let mut channels = world.suite.clients.channels();
    let empty = o::UpsertChannelRequest::default();
    let expected = invalid(&["request_id FIELD_REQUIRED", "channel FIELD_REQUIRED"]);
    table.case(
        "no channel to write",
        channels.upsert_channel(empty).await,
        &expected,
    );
    let mut wrong = channel("web", o::PaymentPolicy::AuthThenCaptureOnShip);
    wrong.channel_id = "WEB SHOP".to_owned();
    wrong.currency_code = "XXQ".to_owned();
    wrong.tax_rate_ppm = -1;
    let request = o::UpsertChannelRequest {
        request_id: fresh_id(),
        channel: Some(wrong),
    };
    let expected = invalid(&[
        "channel.channel_id FIELD_MALFORMED",
        "channel.currency_code CURRENCY_UNKNOWN",
        "channel.tax_rate_ppm FIELD_OUT_OF_RANGE",
    ]);
    table.case(
        "a channel all wrong",
        channels.upsert_channel(request).await,
        &expected,
    );
    let mut old = channel("web", o::PaymentPolicy::AuthThenCaptureOnShip);
    old.etag = "99".to_owned();
    let request = o::UpsertChannelRequest {
        request_id: fresh_id(),
        channel: Some(old),
    };
    table.case(
        "writing over a newer channel",
        channels.upsert_channel(request).await,
        &stale(),
    );
}
