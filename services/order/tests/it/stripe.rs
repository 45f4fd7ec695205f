//! Orders that are paid by Stripe: the adapter against localstripe.

use std::collections::BTreeMap;
use std::time::Duration;

use oms_core::Clock;
use oms_order::Order;
use oms_proto::order::v1 as pb;
use oms_proto::order::v1::{CancellationState, OrderState, PaymentKind, PaymentState};
use oms_service::{AnyProgram, Layers};
use oms_testkit::wait_for;
use serde_json::{Value, json};

use crate::money::{captured, refunded, total, uneven};
use crate::rig::{Rig, new_order, usd};
use crate::stripe_front::{Faults, StripeFront};
use crate::webhooks::{NOBODY_LOOKS, send, sign};

const SECRET: &str = "whsec_stripe";
const PATH: &str = "/webhooks/payments/stripe";
const SIGNATURE: &str = "stripe-signature";
/// A card that pays.
const GOOD: &str = "pm_card_visa";
/// A card whose charges are declined.
const DECLINED: &str = "pm_card_chargeCustomerFail";

/// Requests of an order in two shipments and all refunded: two intents with a confirmation each, the capture of
/// the first, a refund of either.
const POSTS: usize = 7;

async fn start(more: &str) -> (Rig, StripeFront) {
    let stripe = StripeFront::start().await;
    let config = format!("{}\n{more}", stripe.config(SECRET));
    (Rig::start_with(&config).await, stripe)
}

fn by_stripe(mut order: pb::NewOrder) -> pb::NewOrder {
    order.payment_method.as_mut().unwrap().provider = "stripe".to_owned();
    order
}

/// Minor units by reference.
type Sums = BTreeMap<String, i64>;

/// What our ledger says was captured or refunded, by the provider's reference.
async fn ours(rig: &Rig, order_id: &str, kind: PaymentKind) -> Sums {
    let mut sums = Sums::new();
    for one in rig.payments(order_id).await {
        if one.kind() == kind && one.state() == PaymentState::Succeeded {
            let amount = one.amount.unwrap().minor_units;
            *sums.entry(one.provider_reference).or_default() += amount;
        }
    }
    sums
}

/// What localstripe has charged: the captured part of every intent. What a capture releases, localstripe
/// books as a refund without metadata.
async fn theirs_captured(stripe: &StripeFront) -> Sums {
    let mut sums = Sums::new();
    for intent in stripe.intents().await {
        if intent["status"] != "succeeded" {
            continue;
        }
        let id = intent["id"].as_str().unwrap();
        let refunds = refunds(stripe, id).await;
        let released = refunds.iter().filter(|one| one["metadata"] == json!({}));
        let released: i64 = released.map(|one| one["amount"].as_i64().unwrap()).sum();
        let amount = intent["amount"].as_i64().unwrap();
        sums.insert(id.to_owned(), amount - released);
    }
    sums
}

/// What localstripe has refunded on our demand.
async fn theirs_refunded(stripe: &StripeFront) -> Sums {
    let mut sums = Sums::new();
    for id in theirs_captured(stripe).await.into_keys() {
        for one in refunds(stripe, &id).await {
            if one["metadata"] != json!({}) {
                let amount = one["amount"].as_i64().unwrap();
                sums.insert(one["id"].as_str().unwrap().to_owned(), amount);
            }
        }
    }
    sums
}

async fn refunds(stripe: &StripeFront, intent: &str) -> Vec<Value> {
    let path = format!("/v1/refunds?payment_intent={intent}&limit=100");
    stripe.get(&path).await["data"].as_array().unwrap().clone()
}

/// Ships in two parts, delivers, takes everything back; the books agree.
async fn to_cash_and_back(rig: &Rig, stripe: &StripeFront) {
    let placed = rig.place_only(by_stripe(uneven(GOOD))).await;
    let order = rig.until_done(&placed.order_id).await;
    let id = &order.order_id;
    assert_eq!(order.state(), OrderState::Confirmed);
    let all = total(&order);
    assert_eq!(order.totals.as_ref().unwrap().authorized, usd(all));
    let (first, _) = rig.ship(&order, &[2, 1]);
    rig.until(id, "the first capture", |order| captured(order) > 0)
        .await;
    let (second, _) = rig.ship(&order, &[1, 1]);
    rig.until(id, "the second capture", |order| captured(order) == all)
        .await;
    rig.tell_shipping(&first, true);
    rig.tell_shipping(&second, true);
    let is_over = |order: &pb::Order| order.state() == OrderState::Completed;
    rig.until(id, "the order to be completed", is_over).await;
    rig.bring_back(&order, &[3, 2]);
    rig.until(id, "the refunds", |order| {
        refunded(order) == captured(order)
    })
    .await;
    rig.rest().await;
    let captures = ours(rig, id, PaymentKind::Capture).await;
    assert_eq!(captures.values().sum::<i64>(), all);
    // localstripe has no multicapture: the second shipment is a payment of its own.
    assert_eq!(captures.len(), 2);
    assert_eq!(captures, theirs_captured(stripe).await);
    let back = ours(rig, id, PaymentKind::Refund).await;
    assert_eq!(back, theirs_refunded(stripe).await);
    assert_eq!(back.values().sum::<i64>(), captured(&rig.get(id).await));
    stripe.assert_well_behaved();
}

#[test]
fn the_key_goes_over_tls_or_stays_on_the_machine_of_a_developer() {
    let checked = |url: &str, is_dev: bool| {
        let text = format!("insecure_dev = {is_dev}\n[payments.stripe]\nurl = {url:?}");
        let checked = Order.check_config(&Layers::of_text(text));
        checked.map(|_| ()).map_err(|error| error.to_string())
    };
    assert_eq!(checked("https://api.stripe.com", false), Ok(()));
    assert_eq!(checked("http://127.0.0.1:8420", true), Ok(()));
    for (url, is_dev) in [
        ("http://127.0.0.1:8420", false),
        ("ftp://x", true),
        ("", true),
    ] {
        let error = checked(url, is_dev).unwrap_err();
        assert!(error.contains("payments.stripe.url"), "{url}: {error}");
    }
}

#[tokio::test]
async fn an_order_is_captured_per_shipment_and_refunded() {
    let (rig, stripe) = start("").await;
    to_cash_and_back(&rig, &stripe).await;
    let intents = "/v1/payment_intents";
    assert_eq!(
        stripe.posts()[..5],
        [
            intents.to_owned(),
            format!("{intents}/*/confirm"),
            format!("{intents}/*/capture"),
            intents.to_owned(),
            format!("{intents}/*/confirm"),
        ]
    );
}

/// The first answer to everything is lost, and search does not know of it yet: keys tell.
#[tokio::test]
async fn lost_answers_are_found_by_their_keys_and_charge_nothing_twice() {
    let (rig, stripe) = start("").await;
    stripe.set(Faults {
        loses_answers: true,
        search_lags: true,
        ..Faults::default()
    });
    to_cash_and_back(&rig, &stripe).await;
    assert_eq!(stripe.losses(), POSTS);
    // The second capture's intent included, each was made once.
    assert_eq!(stripe.posts().len(), POSTS);
}

/// The same a day later: Stripe has forgotten the keys, and search tells.
#[tokio::test]
async fn lost_answers_are_found_by_search_when_keys_are_forgotten() {
    let (rig, stripe) = start("").await;
    stripe.set(Faults {
        loses_answers: true,
        forgets_keys: true,
        ..Faults::default()
    });
    to_cash_and_back(&rig, &stripe).await;
    assert_eq!(stripe.losses(), POSTS);
}

/// An order of 16.00 that is captured, with 5.00 of it on their way back.
async fn order_with_refund_on_its_way(rig: &Rig, stripe: &StripeFront) -> pb::Order {
    let placed = rig
        .place_only(by_stripe(new_order(&[("A", 1)], GOOD)))
        .await;
    let order = rig.until_done(&placed.order_id).await;
    rig.ship(&order, &[1]);
    let order = rig
        .until(&order.order_id, "the capture", |order| captured(order) > 0)
        .await;
    set_refunds(stripe, Some("pending"));
    rig.refund(&order.order_id, 500).await.unwrap();
    wait_for("the refund to be in doubt", || async {
        let query = "SELECT count(*) FROM effects WHERE kind = 'REFUND' AND state = 'IN_DOUBT'";
        match rig.count(query).await {
            1 => Ok(()),
            _ => Err("not yet".to_owned()),
        }
    })
    .await;
    order
}

fn set_refunds(stripe: &StripeFront, refunds_are: Option<&'static str>) {
    stripe.set(Faults {
        refunds_are,
        ..Faults::default()
    });
}

/// As many looks as a refund that takes days would have had by now.
async fn park_refund(rig: &Rig) {
    let mut conn = rig.db.connect().await;
    sqlx::query(
        "UPDATE tasks SET state = 'STUCK', ended_at = now(), lease_holder = NULL
         WHERE kind = 'refund_payment'",
    )
    .execute(&mut conn)
    .await
    .unwrap();
}

#[tokio::test]
async fn a_refund_on_its_way_counts_when_it_has_arrived_and_nobody_has_to_help() {
    let (rig, stripe) = start("").await;
    let order = order_with_refund_on_its_way(&rig, &stripe).await;
    let id = &order.order_id;
    assert_eq!(refunded(&rig.get(id).await), 0);
    park_refund(&rig).await;
    rig.exception("refund_payment").await;
    set_refunds(&stripe, None);
    rig.clock.advance(Duration::from_mins(2));
    rig.until(id, "the refund", |order| refunded(order) == 500)
        .await;
    // With the memo that the task writes at its end.
    rig.invoices(id, 2).await;
    assert!(rig.exceptions().await.is_empty());
    let back = ours(&rig, id, PaymentKind::Refund).await;
    assert_eq!(back, theirs_refunded(&stripe).await);
    stripe.assert_well_behaved();
}

#[tokio::test]
async fn a_refund_that_fails_on_its_way_is_left_to_a_person_and_can_be_made_again() {
    let (rig, stripe) = start("").await;
    let order = order_with_refund_on_its_way(&rig, &stripe).await;
    let id = &order.order_id;
    set_refunds(&stripe, Some("failed"));
    rig.clock.advance(Duration::from_mins(2));
    let parked = rig.exception("refund_payment").await;
    assert!(parked.reason.contains("refund_failed"), "{parked:?}");
    assert_eq!(refunded(&rig.get(id).await), 0);
    set_refunds(&stripe, None);
    rig.retry(&parked.exception_id).await.unwrap();
    rig.until(id, "the second attempt", |order| refunded(order) == 500)
        .await;
    let mut states: Vec<PaymentState> = Vec::new();
    for one in rig.payments(id).await {
        if one.kind() == PaymentKind::Refund {
            states.push(one.state());
        }
    }
    assert_eq!(states, [PaymentState::Failed, PaymentState::Succeeded]);
    stripe.assert_well_behaved();
}

#[tokio::test]
async fn a_canceled_order_gives_its_authorization_up_also_when_that_answer_is_lost() {
    let (rig, stripe) = start("").await;
    let order = rig.place(by_stripe(new_order(&[("A", 1)], GOOD))).await;
    rig.until_done(&order.order_id).await;
    stripe.set(Faults {
        loses_answers: true,
        ..Faults::default()
    });
    rig.cancel(&order, &[]).await.unwrap();
    rig.until_canceled(&order.order_id, CancellationState::Completed)
        .await;
    rig.until(&order.order_id, "the authorization to be voided", |order| {
        order.totals.as_ref().unwrap().authorized == usd(0)
    })
    .await;
    let intents = stripe.intents().await;
    assert_eq!(intents.len(), 1);
    assert_eq!(intents[0]["status"], "canceled");
    let voided = rig.payments(&order.order_id).await;
    let voided = voided.iter().find(|one| one.kind() == PaymentKind::Void);
    assert_eq!(voided.unwrap().state(), PaymentState::Succeeded);
    stripe.assert_well_behaved();
}

/// Whether it is still under way nobody knows: what is given up is canceled, so that it cannot come true.
#[tokio::test]
async fn a_canceled_order_whose_authorization_never_arrived_leaves_none_behind() {
    let (rig, stripe) = start("").await;
    stripe.set(Faults {
        drops_confirmations: true,
        ..Faults::default()
    });
    let order = rig
        .place_only(by_stripe(new_order(&[("A", 1)], GOOD)))
        .await;
    let id = &order.order_id;
    wait_for("the authorization to be in doubt", || async {
        match rig
            .count("SELECT count(*) FROM effects WHERE state = 'IN_DOUBT'")
            .await
        {
            1 => Ok(()),
            _ => Err(rig.saga_row(id).await),
        }
    })
    .await;
    rig.cancel(&order, &[]).await.unwrap();
    rig.clock.advance(Duration::from_mins(2));
    let order = rig.until_done(id).await;
    assert_eq!(order.state(), OrderState::Canceled);
    assert_eq!(rig.payments(id).await[0].state(), PaymentState::Failed);
    let intents = stripe.intents().await;
    assert_eq!(intents.len(), 1);
    assert_eq!(intents[0]["status"], "canceled");
    stripe.assert_well_behaved();
}

#[tokio::test]
async fn a_declined_card_rejects_the_order() {
    let (rig, stripe) = start("").await;
    let placed = rig
        .place_only(by_stripe(new_order(&[("A", 2)], DECLINED)))
        .await;
    let order = rig.until_done(&placed.order_id).await;
    assert_eq!(order.state(), OrderState::Rejected);
    assert_eq!(order.state_reason, "PAYMENT_DECLINED");
    assert_eq!(rig.peers.free("A"), 100);
    let payments = rig.payments(&order.order_id).await;
    assert_eq!(payments.len(), 1);
    assert_eq!(payments[0].failure_code, "card_declined");
    let intents = stripe.intents().await;
    assert_eq!(intents[0]["status"], "requires_payment_method");
    stripe.assert_well_behaved();
}

/// Nobody is there to confirm it: the intent is given up, so that it cannot come true after the rejection.
#[tokio::test]
async fn a_card_that_asks_for_its_owner_rejects_the_order_for_good() {
    let (rig, stripe) = start("").await;
    let card = [
        ("type", "card"),
        ("card[number]", "4000002500003155"),
        ("card[exp_month]", "12"),
        ("card[exp_year]", "2040"),
        ("card[cvc]", "123"),
    ];
    let method = stripe.post("/v1/payment_methods", &card).await;
    let token = method["id"].as_str().unwrap();
    let placed = rig
        .place_only(by_stripe(new_order(&[("A", 1)], token)))
        .await;
    let order = rig.until_done(&placed.order_id).await;
    assert_eq!(order.state(), OrderState::Rejected);
    let payments = rig.payments(&order.order_id).await;
    assert_eq!(payments[0].failure_code, "authentication_required");
    assert_eq!(stripe.intents().await[0]["status"], "canceled");
}

#[tokio::test]
async fn a_token_that_stripe_does_not_know_rejects_the_order_and_charges_nothing() {
    let (rig, stripe) = start("").await;
    let placed = rig
        .place_only(by_stripe(new_order(&[("A", 1)], "pm_nobodys")))
        .await;
    let order = rig.until_done(&placed.order_id).await;
    assert_eq!(order.state_reason, "PAYMENT_DECLINED");
    assert!(stripe.intents().await.is_empty());
}

/// As a crash leaves it: sent, with a saga that sleeps for years.
async fn forget_answer(rig: &Rig) -> String {
    let mut conn = rig.db.connect().await;
    sqlx::raw_sql(
        "UPDATE sagas SET state = 'WAITING', lease_holder = NULL, lease_until = NULL,
             next_run_at = now() + interval '10 years', attempt = attempt + 1;
         UPDATE effects SET state = 'SENT'; UPDATE payments SET state = 'PENDING'",
    )
    .execute(&mut conn)
    .await
    .unwrap();
    sqlx::query_scalar("SELECT idempotency_key FROM effects")
        .fetch_one(&mut conn)
        .await
        .unwrap()
}

#[tokio::test]
async fn a_signed_webhook_settles_what_is_in_doubt_and_no_other_does() {
    let (rig, stripe) = start(NOBODY_LOOKS).await;
    let placed = rig.place(by_stripe(new_order(&[("A", 1)], GOOD))).await;
    rig.until_done(&placed.order_id).await;
    let key = forget_answer(&rig).await;
    let intent = stripe.intents().await.remove(0);
    assert_eq!(intent["metadata"]["oms_key"], key);
    let event = json!({
        "id": "evt_1", "type": "payment_intent.amount_capturable_updated", "data": { "object": intent },
    });
    let body = event.to_string();
    let now = rig.clock.now().unix_timestamp();
    let foreign = sign("whsec_other", now, &body);
    let (status, refused) = send(&rig, PATH, SIGNATURE, Some(&foreign), &body).await;
    assert_eq!(
        (status.as_u16(), &refused["error"]["code"]),
        (400, &json!("SIGNATURE_INVALID"))
    );
    let (status, refused) = send(&rig, PATH, SIGNATURE, None, &body).await;
    assert_eq!(
        (status.as_u16(), &refused["error"]["code"]),
        (400, &json!("SIGNATURE_MISSING"))
    );
    let sent = "SELECT count(*) FROM effects WHERE state = 'SENT'";
    assert_eq!(rig.count(sent).await, 1);
    let good = sign(SECRET, now, &body);
    for expected in ["settled", "duplicate"] {
        let (status, answer) = send(&rig, PATH, SIGNATURE, Some(&good), &body).await;
        assert_eq!(
            (status.as_u16(), &answer["result"]),
            (200, &json!(expected))
        );
    }
    assert_eq!(rig.count(sent).await, 0);
    assert_eq!(stripe.intents().await.len(), 1);
}

/// The signature is that of another maker's implementation.
#[tokio::test]
async fn webhooks_that_localstripe_sends_are_taken() {
    let (rig, stripe) = start("").await;
    #[expect(
        clippy::disallowed_methods,
        reason = "localstripe signs with the real time"
    )]
    rig.clock.set(time::OffsetDateTime::now_utc());
    let url = format!("{}{PATH}", rig.url());
    let webhook = [("url", url.as_str()), ("secret", SECRET)];
    stripe.post("/_config/webhooks/oms", &webhook).await;
    let order = rig.place(by_stripe(new_order(&[("A", 1)], GOOD))).await;
    rig.ship(&order, &[1]);
    wait_for("the webhook of the capture", || async {
        match rig.count("SELECT count(*) FROM webhook_events").await {
            0 => Err("none".to_owned()),
            _ => Ok(()),
        }
    })
    .await;
}
