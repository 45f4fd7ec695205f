//! Bad input of every kind: the right code, the right reason, everything at once, nothing half done.

#![expect(
    clippy::assigning_clones,
    clippy::semicolon_if_nothing_returned,
    reason = "a table reads best when every case is one expression"
)]

use oms_proto::common::v1::{ErrorReason, Money, PostalAddress};
use oms_proto::order::v1 as pb;
use oms_proto::order::v1::HoldReason;
use oms_service::PeerError;
use prost_types::Timestamp;
use tonic::Code;

use crate::rig::{Rig, answered, id, new_order, request, usd, web};

/// What is done to a good order, the field that is told, and the reason.
type CaseOf<T> = (fn(&mut T), &'static str, &'static str);
type Case = CaseOf<pb::NewOrder>;

#[expect(
    clippy::unnecessary_wraps,
    reason = "what the field of a message takes"
)]
fn money(currency_code: &str, minor_units: i64) -> Option<Money> {
    let currency_code = currency_code.to_owned();
    Some(Money {
        currency_code,
        minor_units,
    })
}

fn discount(minor_units: i64) -> pb::Discount {
    pb::Discount {
        code: "SPRING".to_owned(),
        amount: usd(minor_units),
    }
}

fn ship_to(order: &mut pb::NewOrder) -> &mut PostalAddress {
    order.ship_to.as_mut().unwrap()
}

fn payment(order: &mut pb::NewOrder) -> &mut pb::PaymentMethod {
    order.payment_method.as_mut().unwrap()
}

const HEADER: [Case; 17] = [
    (|o| o.channel_id.clear(), "channel_id", "FIELD_REQUIRED"),
    (
        |o| o.channel_id = "nope".to_owned(),
        "channel_id",
        "CHANNEL_UNKNOWN",
    ),
    (
        |o| o.external_reference = "x".repeat(101),
        "external_reference",
        "FIELD_OUT_OF_RANGE",
    ),
    (
        |o| o.customer_id = "a\u{7}b".to_owned(),
        "customer_id",
        "FIELD_MALFORMED",
    ),
    (
        |o| o.instructions = "x".repeat(1_001),
        "instructions",
        "FIELD_OUT_OF_RANGE",
    ),
    (
        |o| o.instructions = "card 4242424242424242".to_owned(),
        "instructions",
        "CARD_NUMBER_REFUSED",
    ),
    (|o| o.priority = Some(10), "priority", "FIELD_OUT_OF_RANGE"),
    (
        |o| o.splits_max = Some(-1),
        "splits_max",
        "FIELD_OUT_OF_RANGE",
    ),
    (|o| o.service_level = 99, "service_level", "FIELD_MALFORMED"),
    (|o| o.fill_policy = 99, "fill_policy", "FIELD_MALFORMED"),
    (
        |o| o.payment_method = None,
        "payment_method.provider",
        "FIELD_REQUIRED",
    ),
    (
        |o| payment(o).provider = "paypal".to_owned(),
        "payment_method.provider",
        "REFERENCE_UNKNOWN",
    ),
    (
        |o| payment(o).token.clear(),
        "payment_method.token",
        "FIELD_REQUIRED",
    ),
    (
        |o| payment(o).token = "5555555555554444".to_owned(),
        "payment_method.token",
        "CARD_NUMBER_REFUSED",
    ),
    (
        |o| {
            o.external_order_time = Some(Timestamp {
                seconds: i64::MAX,
                nanos: 0,
            })
        },
        "external_order_time",
        "FIELD_OUT_OF_RANGE",
    ),
    (
        |o| o.custom_fields = (0..51).map(|n| (n.to_string(), "x".to_owned())).collect(),
        "custom_fields",
        "FIELD_OUT_OF_RANGE",
    ),
    (
        |o| o.custom_fields = [("k".repeat(65), String::new())].into_iter().collect(),
        "custom_fields[kkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkk]",
        "FIELD_OUT_OF_RANGE",
    ),
];

const LINES: [Case; 17] = [
    (|o| o.lines.clear(), "lines", "FIELD_REQUIRED"),
    (
        |o| o.lines = vec![o.lines[0].clone(); 10_000],
        "lines",
        "FIELD_OUT_OF_RANGE",
    ),
    (|o| o.lines[0].sku.clear(), "lines[0].sku", "FIELD_REQUIRED"),
    (
        |o| o.lines[0].sku = "A 1".to_owned(),
        "lines[0].sku",
        "FIELD_MALFORMED",
    ),
    (
        |o| o.lines[0].sku = "NOPE".to_owned(),
        "lines[0].sku",
        "SKU_UNKNOWN",
    ),
    (
        |o| o.lines[0].sku = "OLD-1".to_owned(),
        "lines[0].sku",
        "SKU_UNKNOWN",
    ),
    (
        |o| o.lines[0].sku = "KIT-1".to_owned(),
        "lines[0].sku",
        "SKU_UNKNOWN",
    ),
    (
        |o| o.lines[0].quantity = 0,
        "lines[0].quantity",
        "QUANTITY_INVALID",
    ),
    (
        |o| o.lines[0].quantity = -1,
        "lines[0].quantity",
        "QUANTITY_INVALID",
    ),
    (
        |o| o.lines[0].quantity = i64::MAX,
        "lines[0].quantity",
        "QUANTITY_INVALID",
    ),
    (
        |o| o.lines[0].quantity = i64::MIN,
        "lines[0].quantity",
        "QUANTITY_INVALID",
    ),
    (
        |o| o.lines[0].unit_price = None,
        "lines[0].unit_price",
        "FIELD_REQUIRED",
    ),
    (
        |o| o.lines[0].price_per = -1,
        "lines[0].price_per",
        "FIELD_OUT_OF_RANGE",
    ),
    (
        |o| o.lines[0].gift_message = "x".repeat(501),
        "lines[0].gift_message",
        "FIELD_OUT_OF_RANGE",
    ),
    (
        |o| {
            o.lines.push(o.lines[0].clone());
            o.lines
                .iter_mut()
                .for_each(|line| line.line_reference = "one".to_owned());
        },
        "lines[1].line_reference",
        "DUPLICATE",
    ),
    (
        |o| {
            o.lines[0].discounts = vec![pb::Discount {
                code: String::new(),
                amount: usd(1),
            }]
        },
        "lines[0].discounts[0].code",
        "FIELD_REQUIRED",
    ),
    (
        |o| {
            o.lines[0].discounts = vec![pb::Discount {
                code: "X".to_owned(),
                amount: None,
            }]
        },
        "lines[0].discounts[0].amount",
        "FIELD_REQUIRED",
    ),
];

const AMOUNTS: [Case; 12] = [
    (
        |o| o.currency_code = "XXQ".to_owned(),
        "currency_code",
        "CURRENCY_UNKNOWN",
    ),
    (
        |o| o.currency_code = "EUR".to_owned(),
        "currency_code",
        "CURRENCY_MIXED",
    ),
    (
        |o| o.lines[0].unit_price = money("EUR", 1),
        "lines[0].unit_price",
        "CURRENCY_MIXED",
    ),
    (
        |o| o.lines[0].tax = money("usd", 1),
        "lines[0].tax",
        "CURRENCY_UNKNOWN",
    ),
    (
        |o| o.shipping_charge = money("JPY", 1),
        "shipping_charge",
        "CURRENCY_MIXED",
    ),
    (
        |o| o.lines[0].unit_price = usd(-1),
        "lines[0].unit_price",
        "AMOUNT_NEGATIVE",
    ),
    (
        |o| o.lines[0].tax = usd(-1),
        "lines[0].tax",
        "AMOUNT_NEGATIVE",
    ),
    (
        |o| o.shipping_charge = usd(-1),
        "shipping_charge",
        "AMOUNT_NEGATIVE",
    ),
    (
        |o| o.lines[0].discounts = vec![discount(-1)],
        "lines[0].discounts",
        "AMOUNT_NEGATIVE",
    ),
    (
        |o| o.lines[0].discounts = vec![discount(2_001)],
        "lines[0].discounts",
        "DISCOUNT_EXCEEDS_PRICE",
    ),
    (
        |o| o.discounts = vec![discount(2_001)],
        "discounts",
        "DISCOUNT_EXCEEDS_PRICE",
    ),
    (
        |o| o.lines[0].unit_price = usd(i64::MAX),
        "lines[0].unit_price",
        "AMOUNT_OVERFLOW",
    ),
];

const ADDRESSES: [Case; 9] = [
    (|o| o.ship_to = None, "ship_to", "FIELD_REQUIRED"),
    (
        |o| ship_to(o).recipient.clear(),
        "ship_to.recipient",
        "ADDRESS_INVALID",
    ),
    (
        |o| ship_to(o).address_lines.clear(),
        "ship_to.address_lines",
        "ADDRESS_INVALID",
    ),
    (
        |o| ship_to(o).locality = " ".to_owned(),
        "ship_to.locality",
        "ADDRESS_INVALID",
    ),
    (
        |o| ship_to(o).postal_code = "4242".to_owned(),
        "ship_to.postal_code",
        "ADDRESS_INVALID",
    ),
    (
        |o| ship_to(o).country_code = "XX".to_owned(),
        "ship_to.country_code",
        "COUNTRY_UNKNOWN",
    ),
    (
        |o| ship_to(o).country_code.clear(),
        "ship_to.country_code",
        "ADDRESS_INVALID",
    ),
    (
        |o| ship_to(o).email = "nobody".to_owned(),
        "ship_to.email",
        "ADDRESS_INVALID",
    ),
    (
        |o| o.bill_to = Some(PostalAddress::default()),
        "bill_to.recipient",
        "ADDRESS_INVALID",
    ),
];

fn assert_told(error: &PeerError, field: &str, reason: &str) {
    assert_eq!(error.code(), Code::InvalidArgument, "{field}: {error}");
    let told: Vec<(&str, &str)> = error
        .violations()
        .iter()
        .map(|violation| (violation.field.as_str(), violation.reason.as_str()))
        .collect();
    assert!(
        told.contains(&(field, reason)),
        "{field} {reason} not in {told:?}"
    );
    assert!(error.reason().is_some(), "{error}");
}

#[tokio::test]
async fn an_order_with_one_thing_wrong_is_refused_for_it() {
    let rig = Rig::start().await;
    rig.peers.stock("OLD-1", 1);
    rig.peers.stock("KIT-1", 1);
    let cases = [&HEADER[..], &LINES, &AMOUNTS, &ADDRESSES].concat();
    for (spoil, field, reason) in cases {
        let mut order = new_order(&[("A", 2)], "tok_approve");
        spoil(&mut order);
        let placed = rig
            .try_place(request(order.clone(), pb::WaitFor::Pending))
            .await;
        assert_told(&placed.unwrap_err(), field, reason);
        // ValidateOrder says the same.
        let validate = pb::ValidateOrderRequest { order: Some(order) };
        let validated = answered(rig.api.orders.clone().validate_order(validate).await);
        assert_told(&validated.unwrap_err(), field, reason);
    }
    assert_eq!(rig.count("SELECT count(*) FROM orders").await, 0);
    assert_eq!(rig.count("SELECT count(*) FROM addresses").await, 0);
    let recorded = "SELECT count(*) FROM idempotency WHERE method = 'PlaceOrder'";
    assert_eq!(rig.count(recorded).await, 0);
}

#[tokio::test]
async fn everything_that_is_wrong_is_told_at_once() {
    let rig = Rig::start().await;
    let mut order = new_order(&[("A", 0), ("NOPE", 1)], "");
    order.lines[1].unit_price = usd(-5);
    ship_to(&mut order).country_code = "XX".to_owned();
    order.priority = Some(11);
    let mut all = request(order, pb::WaitFor::Pending);
    all.request_id = "not-a-uuid".to_owned();
    let error = rig.try_place(all).await.unwrap_err();
    let told: Vec<&str> = error
        .violations()
        .iter()
        .map(|v| v.field.as_str())
        .collect();
    for field in [
        "request_id",
        "priority",
        "payment_method.token",
        "ship_to.country_code",
        "lines[0].quantity",
        "lines[1].sku",
        "lines[1].unit_price",
    ] {
        assert!(told.contains(&field), "{field} not in {told:?}");
    }
}

#[tokio::test]
async fn requests_without_substance_are_refused() {
    let rig = Rig::start().await;
    let good = || new_order(&[("A", 1)], "tok_approve");
    let mut no_id = request(good(), pb::WaitFor::Pending);
    no_id.request_id.clear();
    assert_told(
        &rig.try_place(no_id).await.unwrap_err(),
        "request_id",
        "FIELD_REQUIRED",
    );
    let mut wrong_id = request(good(), pb::WaitFor::Pending);
    wrong_id.request_id = "0190f7b47f2a7c3e8a511d2e3f405162".to_owned();
    assert_told(
        &rig.try_place(wrong_id).await.unwrap_err(),
        "request_id",
        "FIELD_MALFORMED",
    );
    let mut no_order = request(good(), pb::WaitFor::Pending);
    no_order.order = None;
    assert_told(
        &rig.try_place(no_order).await.unwrap_err(),
        "order",
        "FIELD_REQUIRED",
    );
    let mut wait = request(good(), pb::WaitFor::Pending);
    wait.wait_for = 77;
    assert_told(
        &rig.try_place(wait).await.unwrap_err(),
        "wait_for",
        "FIELD_MALFORMED",
    );
}

#[tokio::test]
async fn unknown_and_malformed_ids() {
    let rig = Rig::start().await;
    let mut orders = rig.api.orders.clone();
    let get = |order_id: &str| pb::GetOrderRequest {
        order_id: order_id.to_owned(),
        ..pb::GetOrderRequest::default()
    };
    let error = answered(orders.get_order(get(&id())).await).unwrap_err();
    assert_eq!(
        (error.code(), error.reason()),
        (Code::NotFound, Some(ErrorReason::NotFound))
    );
    assert_eq!(error.metadata("resource"), Some("order"));
    let error = answered(orders.get_order(get("x")).await).unwrap_err();
    assert_told(&error, "order_id", "FIELD_MALFORMED");
    let error = answered(orders.get_order(get("")).await).unwrap_err();
    assert_told(&error, "order_id", "FIELD_REQUIRED");
    let by_reference = pb::GetOrderRequest {
        external_reference: "r".to_owned(),
        ..pb::GetOrderRequest::default()
    };
    let error = answered(orders.get_order(by_reference.clone()).await).unwrap_err();
    assert_told(&error, "channel_id", "FIELD_REQUIRED");
    let nowhere = pb::GetOrderRequest {
        channel_id: "web".to_owned(),
        ..by_reference
    };
    let error = answered(orders.get_order(nowhere).await).unwrap_err();
    assert_eq!(error.code(), Code::NotFound);

    let address = pb::GetOrderAddressRequest { address_id: id() };
    let error = answered(orders.get_order_address(address).await).unwrap_err();
    assert_eq!(error.code(), Code::NotFound);
    let timeline = pb::GetOrderTimelineRequest {
        order_id: id(),
        ..Default::default()
    };
    let error = answered(orders.get_order_timeline(timeline).await).unwrap_err();
    assert_eq!(error.code(), Code::NotFound);
    let traces = pb::GetOrderTraceRequest {
        order_id: id(),
        ..Default::default()
    };
    let error = answered(orders.get_order_trace(traces).await).unwrap_err();
    assert_eq!(error.code(), Code::NotFound);
    let update = pb::UpdateOrderRequest {
        request_id: id(),
        order_id: id(),
        ..pb::UpdateOrderRequest::default()
    };
    let error = answered(orders.update_order(update).await).unwrap_err();
    assert_eq!(error.code(), Code::NotFound);
    assert_eq!(
        rig.release_hold(&id()).await.unwrap_err().code(),
        Code::NotFound
    );
    assert_told(
        &rig.release_hold("7").await.unwrap_err(),
        "hold_id",
        "FIELD_MALFORMED",
    );
}

#[tokio::test]
async fn holds_that_make_no_sense() {
    let rig = Rig::start().await;
    let placed = rig.place(new_order(&[("A", 1)], "tok_approve")).await;
    let order = rig.until_done(&placed.order_id).await;
    let good = pb::PlaceHoldRequest {
        request_id: id(),
        order_id: order.order_id.clone(),
        reason: HoldReason::Manual.into(),
        ..pb::PlaceHoldRequest::default()
    };
    let cases: [CaseOf<pb::PlaceHoldRequest>; 8] = [
        (|h| h.reason = 0, "reason", "FIELD_REQUIRED"),
        (|h| h.reason = 99, "reason", "FIELD_MALFORMED"),
        (|h| h.blocks = vec![1, 99], "blocks[1]", "FIELD_MALFORMED"),
        (|h| h.blocks = vec![0], "blocks[0]", "FIELD_MALFORMED"),
        (|h| h.note = "x".repeat(501), "note", "FIELD_OUT_OF_RANGE"),
        (
            |h| h.order_line_id = "x".to_owned(),
            "order_line_id",
            "FIELD_MALFORMED",
        ),
        (
            |h| h.order_line_id = id(),
            "order_line_id",
            "REFERENCE_UNKNOWN",
        ),
        (
            |h| h.release_at = Some(Timestamp::default()),
            "release_at",
            "FIELD_OUT_OF_RANGE",
        ),
    ];
    for (spoil, field, reason) in cases {
        let mut hold = good.clone();
        spoil(&mut hold);
        assert_told(&rig.hold(hold).await.unwrap_err(), field, reason);
    }
    let mut etag = good;
    etag.etag = "now".to_owned();
    assert_told(
        &rig.hold(etag).await.unwrap_err(),
        "etag",
        "FIELD_MALFORMED",
    );
    assert_eq!(rig.get(&order.order_id).await, order);
}

const CHANNELS: [CaseOf<pb::Channel>; 11] = [
    (
        |c| c.channel_id.clear(),
        "channel.channel_id",
        "FIELD_REQUIRED",
    ),
    (
        |c| c.channel_id = "Web".to_owned(),
        "channel.channel_id",
        "FIELD_MALFORMED",
    ),
    (
        |c| c.name = " ".to_owned(),
        "channel.name",
        "FIELD_REQUIRED",
    ),
    (
        |c| c.currency_code = "XYZ".to_owned(),
        "channel.currency_code",
        "CURRENCY_UNKNOWN",
    ),
    (
        |c| c.number_prefix = "toolongprefix".to_owned(),
        "channel.number_prefix",
        "FIELD_MALFORMED",
    ),
    (
        |c| c.payment_policy = 99,
        "channel.payment_policy",
        "FIELD_MALFORMED",
    ),
    (
        |c| c.tax_rate_ppm = 1_000_001,
        "channel.tax_rate_ppm",
        "FIELD_OUT_OF_RANGE",
    ),
    (
        |c| c.tax_rounding = 99,
        "channel.tax_rounding",
        "FIELD_MALFORMED",
    ),
    (
        |c| c.default_fill_policy = 99,
        "channel.default_fill_policy",
        "FIELD_MALFORMED",
    ),
    (
        |c| c.outlier_quantity = -1,
        "channel.outlier_quantity",
        "FIELD_OUT_OF_RANGE",
    ),
    (
        |c| c.etag = "one".to_owned(),
        "channel.etag",
        "FIELD_MALFORMED",
    ),
];

#[tokio::test]
async fn channels_that_make_no_sense() {
    let rig = Rig::start().await;
    for (spoil, field, reason) in CHANNELS {
        let mut channel = web();
        spoil(&mut channel);
        let request = pb::UpsertChannelRequest {
            request_id: id(),
            channel: Some(channel),
        };
        let answer = rig.api.channels.clone().upsert_channel(request).await;
        assert_told(&answered(answer).unwrap_err(), field, reason);
    }
    let nothing = pb::UpsertChannelRequest {
        request_id: id(),
        channel: None,
    };
    let answer = rig.api.channels.clone().upsert_channel(nothing).await;
    assert_told(&answered(answer).unwrap_err(), "channel", "FIELD_REQUIRED");
}

#[tokio::test]
async fn lists_that_make_no_sense() {
    let rig = Rig::start().await;
    let cases: [CaseOf<pb::ListOrdersRequest>; 5] = [
        (|l| l.page_size = -1, "page_size", "FIELD_OUT_OF_RANGE"),
        (
            |l| l.page_token = "!!!".to_owned(),
            "page_token",
            "PAGE_TOKEN_INVALID",
        ),
        (|l| l.states = vec![0], "states[0]", "FIELD_MALFORMED"),
        (|l| l.states = vec![1, 99], "states[1]", "FIELD_MALFORMED"),
        (
            |l| {
                l.created_after = Some(Timestamp {
                    seconds: 0,
                    nanos: -1,
                })
            },
            "created_after",
            "FIELD_OUT_OF_RANGE",
        ),
    ];
    for (spoil, field, reason) in cases {
        let mut list = pb::ListOrdersRequest::default();
        spoil(&mut list);
        let error = answered(rig.api.orders.clone().list_orders(list).await).unwrap_err();
        assert_told(&error, field, reason);
    }
    let holds = pb::ListHoldsRequest {
        order_id: "x".to_owned(),
        page_size: -5,
        ..pb::ListHoldsRequest::default()
    };
    let error = answered(rig.api.holds.clone().list_holds(holds).await).unwrap_err();
    assert_told(&error, "order_id", "FIELD_MALFORMED");
    assert_told(&error, "page_size", "FIELD_OUT_OF_RANGE");
}

#[tokio::test]
async fn updates_that_make_no_sense() {
    let rig = Rig::start().await;
    let placed = rig.place(new_order(&[("A", 1)], "tok_decline")).await;
    let order = rig.until_done(&placed.order_id).await;
    let good = pb::UpdateOrderRequest {
        request_id: id(),
        order_id: order.order_id.clone(),
        ..pb::UpdateOrderRequest::default()
    };
    let mut long = good.clone();
    long.instructions = Some("x".repeat(1_001));
    let error = answered(rig.api.orders.clone().update_order(long).await).unwrap_err();
    assert_told(&error, "instructions", "FIELD_OUT_OF_RANGE");
    let mut illegal = good;
    illegal.instructions = Some("too late".to_owned());
    let error = answered(rig.api.orders.clone().update_order(illegal).await).unwrap_err();
    assert_eq!(error.code(), Code::FailedPrecondition);
    assert_eq!(error.reason(), Some(ErrorReason::IllegalTransition));
    let illegal = error.illegal_transition().unwrap();
    assert_eq!(illegal.state, "REJECTED");
    assert!(illegal.supported_actions.is_empty());
    assert_eq!(rig.get(&order.order_id).await, order);
}
