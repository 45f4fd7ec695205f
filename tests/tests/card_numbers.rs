//! What looks like a card number is refused in every text of an order (the texts are found in the contract, so that a new
//! field is here by itself) and in what people write at the other services.

#![allow(clippy::unwrap_used, reason = "helpers of a test may panic")]

use anyhow::ensure;
use oms_proto::common::v1::PostalAddress;
use oms_proto::fulfillment::v1 as f;
use oms_proto::inventory::v1 as i;
use oms_proto::order::v1 as o;
use oms_proto::returns::v1 as r;
use oms_proto::shipping::v1 as s;
use oms_service::PeerError;
use oms_tests::shop::new_order;
use oms_tests::suite::{Actor, TestSuite};
use oms_tests::{fresh_id, usd};
use prost::Message;
use prost_reflect::{DescriptorPool, DynamicMessage, MapKey, ReflectMessage, Value};
use tonic::Status;

/// As people write it, with what belongs to it.
const CARD: &str = "4242 4242-4242 4242 12/26";
/// Texts that are names of something known: another text is refused because there is no such thing.
const NAMES: [&str; 7] = [
    "channel_id",
    "currency_code",
    "sku",
    "country_code",
    "provider",
    "order_id",
    "request_id",
];

/// An order with something in every text.
fn full() -> o::NewOrder {
    let mut order = new_order(&[("a", 1)]);
    let person = PostalAddress {
        phone: "1".to_owned(),
        email: "a@b".to_owned(),
        ..order.ship_to.clone().unwrap()
    };
    let discount = o::Discount {
        code: "TEN".to_owned(),
        amount: Some(usd(10)),
    };
    order.ship_to = Some(person.clone());
    order.bill_to = Some(person);
    order.discounts = vec![discount.clone()];
    order
        .custom_fields
        .insert("key".to_owned(), "value".to_owned());
    let line = &mut order.lines[0];
    line.discounts = vec![discount];
    line.custom_fields
        .insert("key".to_owned(), "value".to_owned());
    order
}

/// Writes the card number into one text after the other; answers every such message with the name of the field.
fn every_text(message: &impl Message, name: &str) -> Vec<(String, Vec<u8>)> {
    let pool = DescriptorPool::decode(oms_proto::FILE_DESCRIPTOR_SET).unwrap();
    let descriptor = pool.get_message_by_name(name).unwrap();
    let given = DynamicMessage::decode(descriptor, message.encode_to_vec().as_slice()).unwrap();
    let mut all = Vec::new();
    for number in 0.. {
        let mut changed = given.clone();
        let mut left = number;
        match write(&mut changed, &mut left) {
            Some(field) => all.push((field, changed.encode_to_vec())),
            None => break,
        }
    }
    all
}

/// Writes into the text with this number, counted down; its field, or `None` when there are not so many.
fn write(message: &mut DynamicMessage, left: &mut usize) -> Option<String> {
    let fields: Vec<_> = message.descriptor().fields().collect();
    for field in fields {
        let is_text = matches!(field.kind(), prost_reflect::Kind::String);
        let is_one_text = is_text && !field.is_list() && !field.is_map();
        if !(is_one_text || message.has_field(&field)) {
            continue;
        }
        let written = match message.get_field_mut(&field) {
            Value::String(text) => put(text, left),
            Value::Message(inner) => {
                if let Some(path) = write(inner, left) {
                    return Some(format!("{}.{path}", field.name()));
                }
                false
            }
            Value::List(items) => {
                for item in items {
                    let path = match item {
                        Value::Message(inner) => write(inner, left),
                        Value::String(text) => put(text, left).then(String::new),
                        _ => None,
                    };
                    if let Some(path) = path {
                        return Some(format!("{}.{path}", field.name()));
                    }
                }
                false
            }
            Value::Map(entries) => {
                let mut value = "value".to_owned();
                let mut key = "key".to_owned();
                let changed = put(&mut value, left) || put(&mut key, left);
                if changed {
                    entries.clear();
                    entries.insert(MapKey::String(key), Value::String(value));
                }
                changed
            }
            _ => false,
        };
        if written {
            return Some(field.name().to_owned());
        }
    }
    None
}

fn put(text: &mut String, left: &mut usize) -> bool {
    if *left > 0 {
        *left -= 1;
        return false;
    }
    CARD.clone_into(text);
    true
}

/// The refusal names the field and does not say the number.
fn judge(field: &str, refused: &PeerError) -> Option<String> {
    let name = field.rsplit('.').next().unwrap_or(field);
    let violations = refused.violations();
    let told = violations
        .iter()
        .any(|one| one.reason == "CARD_NUMBER_REFUSED" && one.field.contains(name));
    let is_name = NAMES.contains(&name) && !violations.is_empty();
    let is_said = format!("{refused:?}").contains("4242");
    (!is_name && (!told || is_said)).then(|| format!("{field}: {refused:?}"))
}

/// What is wrong with the answers to texts in these fields.
fn judge_all(
    answers: impl IntoIterator<Item = (&'static str, Option<Status>)>,
    wrong: &mut Vec<String>,
) {
    for (field, answer) in answers {
        match answer {
            None => wrong.push(format!("{field}: taken")),
            Some(status) => wrong.extend(judge(field, &PeerError::from(status))),
        }
    }
}

async fn orders(actor: &Actor, wrong: &mut Vec<String>) -> usize {
    let texts = every_text(&full(), "oms.order.v1.NewOrder");
    let count = texts.len();
    for (field, bytes) in texts {
        let order = o::NewOrder::decode(bytes.as_slice()).unwrap();
        let request = o::PlaceOrderRequest {
            request_id: fresh_id(),
            order: Some(order),
            ..o::PlaceOrderRequest::default()
        };
        match actor.clients.orders().place_order(request).await {
            Ok(_) => wrong.push(format!("{field}: taken")),
            Err(status) => wrong.extend(judge(&field, &PeerError::from(status))),
        }
    }
    count
}

async fn notes(actor: &Actor, order_id: &str, wrong: &mut Vec<String>) {
    let (order_id, note) = (order_id.to_owned(), CARD.to_owned());
    let update = o::UpdateOrderRequest {
        request_id: fresh_id(),
        order_id: order_id.clone(),
        instructions: Some(note.clone()),
        custom_fields: [("key".to_owned(), note.clone())].into(),
        ..o::UpdateOrderRequest::default()
    };
    let hold = o::PlaceHoldRequest {
        request_id: fresh_id(),
        order_id: order_id.clone(),
        reason: o::HoldReason::Manual.into(),
        note: note.clone(),
        ..o::PlaceHoldRequest::default()
    };
    let release = o::ReleaseHoldRequest {
        request_id: fresh_id(),
        hold_id: fresh_id(),
        note: note.clone(),
    };
    let cancel = o::CancelOrderRequest {
        request_id: fresh_id(),
        order_id: order_id.clone(),
        reason: "CUSTOMER".to_owned(),
        note: note.clone(),
        ..o::CancelOrderRequest::default()
    };
    let refund = o::RefundPaymentRequest {
        request_id: fresh_id(),
        order_id,
        amount: Some(usd(1)),
        reason: note.clone(),
        ..o::RefundPaymentRequest::default()
    };
    let retry = o::RetryExceptionRequest {
        request_id: fresh_id(),
        exception_id: fresh_id(),
        note,
    };
    let clients = &actor.clients;
    let answers = [
        (
            "instructions",
            clients.orders().update_order(update).await.err(),
        ),
        ("note", clients.holds().place_hold(hold).await.err()),
        ("note", clients.holds().release_hold(release).await.err()),
        ("note", clients.orders().cancel_order(cancel).await.err()),
        (
            "reason",
            clients.payments().refund_payment(refund).await.err(),
        ),
        (
            "note",
            clients.exceptions().retry_exception(retry).await.err(),
        ),
    ];
    judge_all(answers, wrong);
}

/// What people write at the other services. The text is looked at before it is asked whether the thing exists.
async fn reasons(actor: &Actor, wrong: &mut Vec<String>) {
    let reason = CARD.to_owned();
    let hold = f::HoldFulfillmentOrderRequest {
        request_id: fresh_id(),
        fulfillment_order_id: fresh_id(),
        reason: reason.clone(),
        ..f::HoldFulfillmentOrderRequest::default()
    };
    let decline = r::DeclineReturnRequest {
        request_id: fresh_id(),
        return_id: fresh_id(),
        reason: reason.clone(),
        ..r::DeclineReturnRequest::default()
    };
    let cancel = s::CancelShipmentRequest {
        request_id: fresh_id(),
        shipment_id: fresh_id(),
        reason: reason.clone(),
        ..s::CancelShipmentRequest::default()
    };
    let reject = i::RejectCorrectionRequest {
        request_id: fresh_id(),
        correction_id: fresh_id(),
        note: reason.clone(),
        ..i::RejectCorrectionRequest::default()
    };
    let scan = s::RecordTrackingEventRequest {
        request_id: fresh_id(),
        carrier_id: "table_rate".to_owned(),
        tracking_number: "OM000000000000000000".to_owned(),
        description: reason,
        ..s::RecordTrackingEventRequest::default()
    };
    let clients = &actor.clients;
    let mut work = clients.fulfillment_orders();
    let answers = [
        ("reason", work.hold_fulfillment_order(hold).await.err()),
        (
            "reason",
            clients.returns().decline_return(decline).await.err(),
        ),
        (
            "reason",
            clients.shipments().cancel_shipment(cancel).await.err(),
        ),
        (
            "note",
            clients.corrections().reject_correction(reject).await.err(),
        ),
        (
            "description",
            clients.tracking().record_tracking_event(scan).await.err(),
        ),
    ];
    judge_all(answers, wrong);
}

#[tokio::test(flavor = "multi_thread")]
async fn card_numbers_are_refused_in_every_text_of_an_order() -> anyhow::Result<()> {
    let suite = TestSuite::start().await?;
    suite.set_up(&["a"]).await?;
    suite.receive("west", "a", 5).await?;
    let order = suite.place(full()).await?;
    let mut wrong = Vec::new();
    let count = orders(&suite, &mut wrong).await;
    ensure!(count >= 30, "{count} texts of an order were found");
    notes(&suite, &order.order_id, &mut wrong).await;
    reasons(&suite, &mut wrong).await;
    ensure!(wrong.is_empty(), "{wrong:#?}");
    suite.finish().await
}
