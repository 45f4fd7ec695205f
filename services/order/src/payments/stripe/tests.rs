use std::collections::VecDeque;
use std::sync::{Arc, Mutex};

use axum::Router;
use axum::extract::{Request, State};
use axum::response::IntoResponse;
use http::StatusCode;
use http_body_util::BodyExt;
use oms_core::Money;
use serde_json::{Value, json};

use super::super::http_client::HttpAnswer;
use super::*;

const KEY_1: &str = "0190c6f4-0000-7000-8000-000000000001";

#[derive(Clone, Default)]
struct Script {
    answers: Arc<Mutex<VecDeque<(u16, Value)>>>,
    asked: Arc<Mutex<Vec<String>>>,
}

/// Answers what it was told to, in that order, and writes down what it was asked.
async fn answer(State(script): State<Script>, request: Request) -> impl IntoResponse {
    let (parts, body) = request.into_parts();
    let body = body.collect().await.unwrap().to_bytes();
    let body = String::from_utf8(body.to_vec()).unwrap();
    let header = |name: &str| parts.headers.get(name).map(|is| is.to_str().unwrap());
    assert_eq!(header("authorization"), Some("Bearer sk_test_1"));
    assert_eq!(header("stripe-version"), Some("2024-06-20"));
    let key = header("idempotency-key").unwrap_or_default();
    let step = key.strip_prefix(KEY_1).unwrap_or_default();
    let asked = format!("{} {} {step} {body}", parts.method, parts.uri);
    script.asked.lock().unwrap().push(asked);
    let (status, body) = script.answers.lock().unwrap().pop_front().unwrap();
    (StatusCode::from_u16(status).unwrap(), body.to_string())
}

async fn stripe(answers: &[(u16, Value)]) -> (Stripe, Script) {
    let script = Script::default();
    script
        .answers
        .lock()
        .unwrap()
        .extend(answers.iter().cloned());
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let config = json!({
        "url": format!("http://{}", listener.local_addr().unwrap()),
        "authorization_days": 7,
        "api_key": "sk_test_1",
        "webhook_secret": "",
    });
    let app = Router::new().fallback(answer).with_state(script.clone());
    tokio::spawn(async move { axum::serve(listener, app).await.unwrap() });
    let config: StripeConfig = serde_json::from_value(config).unwrap();
    let patience = Duration::from_secs(10);
    (Stripe::new(&config, patience).unwrap().unwrap(), script)
}

fn request(token: &str, parent: &str, minor: i64) -> ProviderRequest {
    ProviderRequest {
        idempotency_key: KEY_1.to_owned(),
        amount: Money::new("USD".parse().unwrap(), minor),
        token: token.to_owned(),
        parent_reference: parent.to_owned(),
    }
}

impl Script {
    fn asked(&self) -> Vec<String> {
        self.asked.lock().unwrap().clone()
    }
}

fn intent(status: &str) -> Value {
    json!({
        "id": "pi_1", "object": "payment_intent", "status": status, "metadata": {}, "amount": 1000,
        "amount_capturable": 1000, "payment_method": "pm_1", "customer": "cus_1", "cancellation_reason": null,
        "last_payment_error": null, "latest_charge": "ch_1",
    })
}

fn with(mut object: Value, name: &str, value: Value) -> Value {
    object[name] = value;
    object
}

/// An authorization on a card that may be captured several times, or not.
fn authorized(multicapture: &str) -> Value {
    let card = json!({ "multicapture": { "status": multicapture } });
    let charge = json!({ "id": "ch_1", "payment_method_details": { "card": card } });
    with(intent("requires_capture"), "latest_charge", charge)
}

const CREATE: &str = "amount=1000&currency=usd&payment_method=pm_1&payment_method_types%5B%5D=card\
     &metadata%5Boms_key%5D=0190c6f4-0000-7000-8000-000000000001&customer=cus_1";

#[tokio::test]
async fn an_authorization_is_created_and_then_confirmed() {
    let answers = [
        (200, intent("requires_confirmation")),
        (200, authorized("available")),
    ];
    let (stripe, script) = stripe(&answers).await;
    let answer = stripe.authorize(&request("cus_1/pm_1", "", 1000)).await;
    assert_eq!(answer, Ok(approved("pi_1")));
    let create = format!(
        "POST /v1/payment_intents -create {CREATE}&capture_method=manual\
         &payment_method_options%5Bcard%5D%5Brequest_multicapture%5D=if_available"
    );
    let confirm = "POST /v1/payment_intents/pi_1/confirm -confirm off_session=true&expand%5B%5D=latest_charge";
    assert_eq!(script.asked(), [create, confirm.to_owned()]);
}

#[tokio::test]
async fn a_capture_keeps_the_rest_only_where_stripe_can() {
    for (multicapture, minor, keeps) in [
        ("available", 400, "&final_capture=false"),
        ("available", 1000, ""),
        ("unavailable", 400, ""),
    ] {
        let answers = [(200, authorized(multicapture)), (200, intent("succeeded"))];
        let (stripe, script) = stripe(&answers).await;
        let answer = stripe.capture(&request("", "pi_1", minor)).await;
        assert_eq!(answer, Ok(approved("pi_1")));
        let capture = format!(
            "POST /v1/payment_intents/pi_1/capture -capture amount_to_capture={minor}\
             &metadata%5B{KEY_1}%5D={minor}&metadata%5Boms_capture%5D={KEY_1}{keeps}"
        );
        assert_eq!(script.asked()[1], capture);
    }
}

#[tokio::test]
async fn a_capture_whose_authorization_is_gone_is_a_payment_of_its_own() {
    let expired = with(
        intent("canceled"),
        "cancellation_reason",
        json!("automatic"),
    );
    for gone in [intent("succeeded"), expired] {
        let paid = with(intent("succeeded"), "id", json!("pi_2"));
        let made = with(intent("requires_confirmation"), "id", json!("pi_2"));
        let (stripe, script) = stripe(&[(200, gone), (200, made), (200, paid)]).await;
        let answer = stripe.capture(&request("", "pi_1", 1000)).await;
        assert_eq!(answer, Ok(approved("pi_2")));
        let create = format!("POST /v1/payment_intents -create {CREATE}&capture_method=automatic");
        assert_eq!(script.asked()[1], create);
    }
    // What a person has given up stays so.
    let fraud = with(
        intent("canceled"),
        "cancellation_reason",
        json!("fraudulent"),
    );
    let (stripe, _) = stripe(&[(200, fraud)]).await;
    let answer = stripe.capture(&request("", "pi_1", 1000)).await;
    assert_eq!(answer, Ok(declined("authorization_canceled")));
}

#[tokio::test]
async fn a_capture_that_was_made_is_never_made_again() {
    let made = with(
        authorized("available"),
        "metadata",
        json!({ KEY_1: "1000" }),
    );
    let answers = [(200, made.clone()), (200, made)];
    let (stripe, script) = stripe(&answers).await;
    let asked = request("", "pi_1", 1000);
    assert_eq!(stripe.capture(&asked).await, Ok(approved("pi_1")));
    let found = stripe.lookup(PaymentKind::Capture, &asked).await;
    assert_eq!(found, Ok(Some(approved("pi_1"))));
    assert!(script.asked().iter().all(|one| one.starts_with("GET ")));
}

#[tokio::test]
async fn a_charge_is_looked_up_by_search_and_then_by_its_key_and_is_never_made() {
    let state = |status| (200, intent(status));
    let nothing = || (200, json!({ "data": [], "has_more": false }));
    let one = || (200, json!({ "data": [intent("requires_confirmation")] }));
    let failed = with(
        intent("requires_payment_method"),
        "last_payment_error",
        json!({ "type": "card_error", "code": "card_declined", "decline_code": "lost_card" }),
    );
    let cases = [
        (
            vec![one(), state("requires_capture")],
            Ok(Some(approved("pi_1"))),
        ),
        (vec![one(), (200, failed)], Ok(Some(declined("lost_card")))),
        (vec![one(), state("requires_confirmation")], Ok(None)),
        (
            vec![
                nothing(),
                state("requires_confirmation"),
                state("requires_capture"),
            ],
            Ok(Some(approved("pi_1"))),
        ),
        (
            vec![
                nothing(),
                state("requires_confirmation"),
                state("requires_confirmation"),
            ],
            Ok(None),
        ),
    ];
    let asked = request("cus_1/pm_1", "", 1000);
    for (answers, expected) in cases {
        let (stripe, script) = stripe(&answers).await;
        let found = stripe.lookup(PaymentKind::Authorization, &asked).await;
        assert_eq!(found, expected);
        let search = "GET /v1/payment_intents/search?query=metadata%5B%27oms_key%27%5D%3A%27";
        assert!(script.asked()[0].starts_with(search));
        assert!(!script.asked().iter().any(|one| one.contains("/confirm")));
    }
    let (stripe, _) = stripe(&[one(), state("processing")]).await;
    let found = stripe.lookup(PaymentKind::Authorization, &asked).await;
    assert!(found.is_err(), "{found:?}");
}

fn refund(id: &str, key: &str, status: &str) -> Value {
    json!({ "id": id, "status": status, "metadata": { "oms_key": key } })
}

fn page(one: &Value, has_more: bool) -> (u16, Value) {
    (200, json!({ "data": [one], "has_more": has_more }))
}

/// It may fail on its way, days later.
#[tokio::test]
async fn a_refund_on_its_way_is_in_doubt_until_it_has_arrived_or_failed() {
    let failed = with(
        refund("re_1", KEY_1, "failed"),
        "failure_reason",
        json!("expired_or_canceled_card"),
    );
    let answers = [
        (200, refund("re_1", KEY_1, "pending")),
        page(&refund("re_1", KEY_1, "requires_action"), false),
        page(&refund("re_1", KEY_1, "succeeded"), false),
        page(&failed, false),
    ];
    let (stripe, _) = stripe(&answers).await;
    let asked = request("", "pi_1", 300);
    let pending = stripe.refund(&asked).await.unwrap_err();
    // It answered: that is no reason to leave it alone.
    assert!(!pending.is_silent && pending.detail.contains("pending"));
    let mut found = Vec::new();
    for _ in 0..3 {
        found.push(stripe.lookup(PaymentKind::Refund, &asked).await);
    }
    assert!(found[0].is_err());
    assert_eq!(found[1], Ok(Some(approved("re_1"))));
    assert_eq!(found[2], Ok(Some(declined("expired_or_canceled_card"))));
}

#[tokio::test]
async fn a_refund_names_its_payment_and_is_found_on_any_page() {
    let answers = [
        (200, refund("re_1", KEY_1, "succeeded")),
        page(&refund("re_2", "another", "succeeded"), true),
        page(&refund("re_1", KEY_1, "succeeded"), false),
    ];
    let (stripe, script) = stripe(&answers).await;
    let asked = request("", "pi_1", 300);
    assert_eq!(stripe.refund(&asked).await, Ok(approved("re_1")));
    let found = stripe.lookup(PaymentKind::Refund, &asked).await;
    assert_eq!(found, Ok(Some(approved("re_1"))));
    let refund = format!(
        "POST /v1/refunds -refund payment_intent=pi_1&amount=300&metadata%5Boms_key%5D={KEY_1}"
    );
    let asked = script.asked();
    assert_eq!(asked[0], refund);
    assert!(asked[2].contains("starting_after=re_2"), "{}", asked[2]);
}

#[tokio::test]
async fn what_is_over_needs_no_cancellation() {
    let answers = [
        (200, intent("succeeded")),
        (200, intent("requires_capture")),
        (200, intent("canceled")),
    ];
    let (stripe, script) = stripe(&answers).await;
    let asked = request("", "pi_1", 1000);
    assert_eq!(stripe.void(&asked).await, Ok(approved("pi_1")));
    assert_eq!(stripe.void(&asked).await, Ok(approved("pi_1")));
    let cancel = "POST /v1/payment_intents/pi_1/cancel -cancel ";
    assert_eq!(script.asked()[2], cancel);
}

#[tokio::test]
async fn what_captures_have_left_is_given_up_by_a_last_one_of_nothing() {
    let captured = with(authorized("available"), "amount_received", json!(400));
    let (stripe, script) = stripe(&[(200, captured), (200, intent("succeeded"))]).await;
    let asked = request("", "pi_1", 600);
    assert_eq!(stripe.void(&asked).await, Ok(approved("pi_1")));
    let release =
        "POST /v1/payment_intents/pi_1/capture -release amount_to_capture=0&final_capture=true";
    assert_eq!(script.asked()[1], release);
}

#[tokio::test]
async fn an_abandoned_authorization_is_canceled_before_it_can_come_true() {
    let found = |status: &str| {
        let page = json!({ "data": [intent("requires_confirmation")] });
        [
            (200, page),
            (200, intent(status)),
            (200, intent("canceled")),
        ]
    };
    let asked = request("cus_1/pm_1", "", 1000);
    let (adapter, script) = stripe(&found("requires_confirmation")).await;
    assert_eq!(adapter.abandon(&asked).await, Ok(()));
    let cancel = "POST /v1/payment_intents/pi_1/cancel -cancel ";
    assert_eq!(script.asked()[2], cancel);
    // It came true meanwhile: to be looked up again.
    for late in ["requires_capture", "processing"] {
        let (adapter, script) = stripe(&found(late)).await;
        assert!(adapter.abandon(&asked).await.is_err());
        assert_eq!(script.asked().len(), 2);
    }
}

#[tokio::test]
async fn nothing_is_asked_that_stripe_cannot_take() {
    let (stripe, script) = stripe(&[]).await;
    let mut asked = request("pm_1", "pi_1", 5_124);
    asked.amount = Money::new("KWD".parse().unwrap(), 5_124);
    let answer = stripe.authorize(&asked).await;
    assert_eq!(answer, Ok(declined("amount_not_representable")));
    asked.parent_reference = "../charges".to_owned();
    assert!(stripe.void(&asked).await.is_err());
    assert!(script.asked().is_empty());
}

fn classified(status: u16, body: &Value) -> Result<Reply<Value>, Unanswered> {
    api::reply(&HttpAnswer {
        status: StatusCode::from_u16(status).unwrap(),
        body: body.to_string().into(),
    })
}

fn error(kind: &str, code: &str) -> Value {
    json!({ "error": { "type": kind, "code": code, "message": "as Stripe words it" } })
}

#[test]
fn only_proof_that_nothing_happened_is_a_decline() {
    let mut card = error("card_error", "card_declined");
    card["error"]["decline_code"] = json!("insufficient_funds");
    let invalid = "invalid_request_error";
    for (status, body, code) in [
        (402, card, "insufficient_funds"),
        (402, error("card_error", "expired_card"), "expired_card"),
        (400, error(invalid, "amount_too_small"), "amount_too_small"),
        (404, error(invalid, "resource_missing"), "resource_missing"),
    ] {
        assert_eq!(
            classified(status, &body),
            Ok(Reply::Declined(code.to_owned()))
        );
    }
    for (status, body) in [
        (400, error(invalid, "payment_intent_unexpected_state")),
        (400, error(invalid, "charge_already_captured")),
        (400, error("idempotency_error", "")),
        (400, json!("not an answer of Stripe")),
        (404, json!("not an answer of Stripe")),
        (402, json!("not an answer of Stripe")),
        (401, error(invalid, "")),
        (403, error(invalid, "")),
        (409, error("idempotency_error", "idempotency_key_in_use")),
        (429, error(invalid, "rate_limit")),
        (500, error("api_error", "")),
        (503, json!({})),
        (302, json!({})),
    ] {
        let answer = classified(status, &body);
        assert!(answer.is_err(), "{status} {body}: {answer:?}");
    }
    assert!(matches!(classified(200, &json!({})), Ok(Reply::Done(_))));
}

#[test]
fn an_event_hints_at_the_key_that_its_object_carries() {
    let hint = |kind: &str, object: Value| {
        let event = json!({ "id": "evt_1", "type": kind, "data": { "object": object } });
        webhook::read(event.to_string().as_bytes())
            .unwrap()
            .idempotency_key
    };
    let metadata = json!({ "metadata": { "oms_key": "first", "oms_capture": "capture" } });
    let of = |text: &str| Some(text.to_owned());
    assert_eq!(
        hint("payment_intent.succeeded", metadata.clone()),
        of("capture")
    );
    assert_eq!(hint("charge.refunded", metadata.clone()), of("first"));
    assert_eq!(hint("refund.updated", metadata.clone()), of("first"));
    assert_eq!(hint("customer.created", metadata), None);
    assert_eq!(hint("charge.failed", json!({ "metadata": null })), None);
    assert_eq!(hint("charge.failed", json!({})), None);
    assert_eq!(webhook::read(b"{}"), Err(Refusal::Malformed));
}

#[test]
fn the_key_is_never_shown() {
    let config = json!({ "url": "https://x", "authorization_days": 7, "api_key": "sk_live_1", "webhook_secret": "whsec_1" });
    let config: StripeConfig = serde_json::from_value(config).unwrap();
    let shown = format!("{config:?}");
    assert!(
        !shown.contains("sk_live_1") && !shown.contains("whsec_1"),
        "{shown}"
    );
}
