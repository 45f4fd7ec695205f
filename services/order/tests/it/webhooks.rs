//! What the payment provider tells by itself: hints that settle what is in doubt, and never anything else.

use std::time::Duration;

use bytes::Bytes;
use hmac::{Hmac, KeyInit, Mac};
use http::{Request, StatusCode};
use http_body_util::{BodyExt, Full};
use hyper_util::client::legacy::Client;
use hyper_util::rt::TokioExecutor;
use oms_core::Clock;
use oms_proto::order::v1::OrderState;
use oms_testkit::wait_for;
use serde_json::{Value, json};
use sha2::Sha256;

use crate::rig::{Rig, WEBHOOK_SECRET, new_order};

const PATH: &str = "/webhooks/payments/sandbox";
const SIGNATURE: &str = "sandbox-signature";
/// Nobody looks by itself: only webhooks lead to an answer.
pub(crate) const NOBODY_LOOKS: &str = "[payments]\nreconcile_poll_ms = 86400000";

/// Sends a body with a signature header, or none.
pub(crate) async fn send(
    rig: &Rig,
    path: &str,
    header: &str,
    signature: Option<&str>,
    body: &str,
) -> (StatusCode, Value) {
    let mut request = Request::post(format!("{}{path}", rig.url()));
    if let Some(signature) = signature {
        request = request.header(header, signature);
    }
    let request = request.body(Full::from(body.to_owned())).unwrap();
    let http = Client::builder(TokioExecutor::new()).build_http::<Full<Bytes>>();
    let response = http.request(request).await.unwrap();
    let status = response.status();
    let body = response.into_body().collect().await.unwrap().to_bytes();
    (status, serde_json::from_slice(&body).unwrap())
}

pub(crate) fn sign(secret: &str, at: i64, body: &str) -> String {
    let mut mac = Hmac::<Sha256>::new_from_slice(secret.as_bytes()).unwrap();
    mac.update(format!("{at}.{body}").as_bytes());
    format!("t={at},v1={}", hex::encode(mac.finalize().into_bytes()))
}

fn event(id: &str, key: &str) -> String {
    json!({ "id": id, "type": "charge.approved", "data": { "idempotency_key": key } }).to_string()
}

/// Sends an event as the provider would; answers what became of it.
async fn tell(rig: &Rig, id: &str, key: &str) -> Value {
    let body = event(id, key);
    let at = rig.clock.now().unix_timestamp();
    let signature = sign(WEBHOOK_SECRET, at, &body);
    let (status, answer) = send(rig, PATH, SIGNATURE, Some(&signature), &body).await;
    assert_eq!(status, StatusCode::OK, "{answer}");
    answer["result"].clone()
}

#[tokio::test]
async fn every_refusal_has_its_code_and_nothing_is_remembered() {
    let rig = Rig::start().await;
    let body = event("evt_1", "key");
    let now = rig.clock.now().unix_timestamp();
    let good = sign(WEBHOOK_SECRET, now, &body);
    let old = sign(WEBHOOK_SECRET, now - 301, &body);
    let foreign = sign("whsec_other", now, &body);
    let no_event = "{}";
    let huge = "x".repeat(300 * 1024);
    let signed = |body: &str| sign(WEBHOOK_SECRET, now, body);
    let cases = [
        (PATH, None, body.as_str(), 400, "SIGNATURE_MISSING"),
        (
            PATH,
            Some("v1=00".to_owned()),
            &body,
            400,
            "SIGNATURE_MALFORMED",
        ),
        (PATH, Some(foreign), &body, 400, "SIGNATURE_INVALID"),
        (PATH, Some(good.clone()), no_event, 400, "SIGNATURE_INVALID"),
        (PATH, Some(old), &body, 400, "SIGNATURE_EXPIRED"),
        (PATH, Some(signed(no_event)), no_event, 400, "MALFORMED"),
        (PATH, Some(signed(&huge)), &huge, 413, "BODY_TOO_LARGE"),
        (
            "/webhooks/payments/nobody",
            Some(good),
            &body,
            404,
            "UNKNOWN_PROVIDER",
        ),
    ];
    for (path, signature, body, status, code) in cases {
        let (answered, answer) = send(&rig, path, SIGNATURE, signature.as_deref(), body).await;
        assert_eq!(answer["error"]["code"], code);
        assert_eq!(answered.as_u16(), status, "{code}");
    }
    assert_eq!(rig.count("SELECT count(*) FROM webhook_events").await, 0);
}

#[tokio::test]
async fn without_a_secret_webhooks_are_refused() {
    let rig = Rig::start_with("[payments.sandbox]\nwebhook_secret = \"\"").await;
    let body = event("evt_1", "key");
    let signature = sign("", rig.clock.now().unix_timestamp(), &body);
    let (status, answer) = send(&rig, PATH, SIGNATURE, Some(&signature), &body).await;
    assert_eq!(answer["error"]["code"], "WEBHOOKS_NOT_CONFIGURED");
    assert_eq!(status, StatusCode::NOT_FOUND);
}

#[tokio::test]
async fn a_hint_settles_what_is_in_doubt_once_and_wakes_the_saga() {
    let rig = Rig::start_with(NOBODY_LOOKS).await;
    let placed = rig.place_only(new_order(&[("A", 1)], "tok_timeout")).await;
    wait_for("the provider to have booked", || async {
        match rig.charges().await {
            1 => Ok(()),
            _ => Err("no charge".to_owned()),
        }
    })
    .await;
    // As a crash leaves it: sent, with a saga that sleeps for years.
    let mut conn = rig.db.connect().await;
    sqlx::raw_sql(
        "UPDATE sagas SET state = 'WAITING', lease_holder = NULL, lease_until = NULL,
             next_run_at = now() + interval '10 years', attempt = attempt + 1;
         UPDATE effects SET state = 'SENT'; UPDATE payments SET state = 'PENDING'",
    )
    .execute(&mut conn)
    .await
    .unwrap();
    let key: String = sqlx::query_scalar("SELECT idempotency_key FROM effects")
        .fetch_one(&mut conn)
        .await
        .unwrap();
    assert_eq!(
        tell(&rig, "evt_other", &crate::rig::id()).await,
        "nothing_new"
    );
    assert_eq!(
        tell(&rig, "evt_no_id", "somebody else's").await,
        "nothing_new"
    );
    assert_eq!(tell(&rig, "evt_1", &key).await, "settled");
    let order = rig.until_done(&placed.order_id).await;
    assert_eq!(order.state(), OrderState::Confirmed);
    assert_eq!(tell(&rig, "evt_1", &key).await, "duplicate");
    assert_eq!(tell(&rig, "evt_2", &key).await, "nothing_new");
    assert_eq!(rig.charges().await, 1);
    rig.audit().await;
}

/// Nobody is there to be asked: the event is not remembered, so that its next delivery counts.
#[tokio::test]
async fn a_hint_is_to_be_told_again_while_the_provider_does_not_answer() {
    let nobody = format!("{NOBODY_LOOKS}\n[payments.sandbox]\nurl = \"http://127.0.0.1:9\"");
    let rig = Rig::start_with(&nobody).await;
    rig.place_only(new_order(&[("A", 1)], "tok_approve")).await;
    wait_for("the payment to be in doubt", || async {
        let doubt = "SELECT count(*) FROM effects WHERE state = 'IN_DOUBT'";
        match rig.count(doubt).await {
            1 => Ok(()),
            _ => Err("no doubt".to_owned()),
        }
    })
    .await;
    let mut conn = rig.db.connect().await;
    let key: String = sqlx::query_scalar("SELECT idempotency_key FROM effects")
        .fetch_one(&mut conn)
        .await
        .unwrap();
    let body = event("evt_1", &key);
    let signature = sign(WEBHOOK_SECRET, rig.clock.now().unix_timestamp(), &body);
    let (status, answer) = send(&rig, PATH, SIGNATURE, Some(&signature), &body).await;
    assert_eq!(answer["error"]["code"], "TRY_AGAIN");
    assert_eq!(status, StatusCode::SERVICE_UNAVAILABLE);
    assert_eq!(rig.count("SELECT count(*) FROM webhook_events").await, 0);
}

/// The provider does not know the key yet: the call may be on its way, and must not be sent again.
#[tokio::test]
async fn a_hint_at_what_the_provider_does_not_know_changes_nothing() {
    let rig = Rig::start_with(NOBODY_LOOKS).await;
    let placed = rig.place(new_order(&[("A", 1)], "tok_approve")).await;
    rig.until_done(&placed.order_id).await;
    let mut theirs = rig.provider.db.connect().await;
    let forget = sqlx::raw_sql("DELETE FROM charges");
    forget.execute(&mut theirs).await.unwrap();
    let mut conn = rig.db.connect().await;
    sqlx::raw_sql("UPDATE effects SET state = 'SENT'; UPDATE payments SET state = 'PENDING'")
        .execute(&mut conn)
        .await
        .unwrap();
    let key: String = sqlx::query_scalar("SELECT idempotency_key FROM effects")
        .fetch_one(&mut conn)
        .await
        .unwrap();
    assert_eq!(tell(&rig, "evt_1", &key).await, "nothing_new");
    let sent = "SELECT count(*) FROM effects WHERE state = 'SENT'";
    assert_eq!(rig.count(sent).await, 1);
}

#[tokio::test]
async fn webhooks_that_come_twice_late_or_out_of_order_change_nothing() {
    let rig = Rig::start_told().await;
    rig.provider
        .fault(json!({ "kind": "duplicate_webhook", "times": 2, "every": 2 }))
        .await;
    rig.provider
        .fault(json!({ "kind": "late_webhook", "times": 2, "ms": 200 }))
        .await;
    rig.provider
        .fault(json!({ "kind": "out_of_order_webhook", "times": 2 }))
        .await;
    for number in 0..8 {
        let token = if number % 2 == 0 {
            "tok_approve"
        } else {
            "tok_timeout"
        };
        let placed = rig.place_only(new_order(&[("A", 1)], token)).await;
        let order = rig.until_done(&placed.order_id).await;
        assert_eq!(order.state(), OrderState::Confirmed);
    }
    // The clock of the rig runs fast; a webhook is not older than its tolerance for that.
    wait_for("all webhooks to be taken", || async {
        match rig.count("SELECT count(*) FROM webhook_events").await {
            8 => Ok(()),
            taken => Err(format!("{taken} taken")),
        }
    })
    .await;
    assert_eq!(rig.charges().await, 8);
    rig.audit().await;
}

#[tokio::test]
async fn a_webhook_is_forgotten_after_a_month() {
    let rig = Rig::start().await;
    assert_eq!(tell(&rig, "evt_1", "key").await, "nothing_new");
    rig.clock.advance(Duration::from_hours(24 * 31));
    wait_for("the event to be forgotten", || async {
        match rig.count("SELECT count(*) FROM webhook_events").await {
            0 => Ok(()),
            kept => Err(format!("{kept} kept")),
        }
    })
    .await;
    assert_eq!(tell(&rig, "evt_1", "key").await, "nothing_new");
}
