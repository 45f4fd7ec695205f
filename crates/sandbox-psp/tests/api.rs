//! The provider over HTTP: what it books, what it refuses, and the faults that can be ordered.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "a test fails by panicking"
)]

use std::sync::Arc;

use axum::http::{Request, StatusCode};
use bytes::Bytes;
use http_body_util::{BodyExt, Full};
use hyper_util::client::legacy::Client;
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::rt::TokioExecutor;
use oms_core::SystemClock;
use oms_sandbox_psp::{MIGRATOR, SandboxPsp};
use oms_testkit::{TestDb, template_key};
use serde_json::{Value, json};

struct Rig {
    http: Client<HttpConnector, Full<Bytes>>,
    psp: SandboxPsp,
    db: TestDb,
}

/// An answer, or `None` when the connection broke before there was one.
type Answered = Option<(StatusCode, Value)>;

impl Rig {
    async fn start() -> Self {
        let key = template_key("psp", &[&oms_postgres::MIGRATOR, &MIGRATOR]);
        let migrate = |url: String| async move { oms_postgres::migrate_url(&url, &MIGRATOR).await };
        let db = TestDb::create(&key, migrate).await;
        Self {
            http: Client::builder(TokioExecutor::new()).build_http(),
            psp: provider(&db).await,
            db,
        }
    }

    async fn send(&self, method: &str, path: &str, key: &str, body: &Value) -> Answered {
        let request = Request::builder()
            .method(method)
            .uri(format!("{}{path}", self.psp.url()))
            .header("idempotency-key", key)
            .body(Full::from(body.to_string()))
            .unwrap();
        let response = self.http.request(request).await.ok()?;
        let status = response.status();
        let body = response.into_body().collect().await.ok()?.to_bytes();
        Some((status, serde_json::from_slice(&body).unwrap_or_default()))
    }

    async fn post(&self, path: &str, key: &str, body: &Value) -> (StatusCode, Value) {
        self.send("POST", path, key, body).await.expect("an answer")
    }

    async fn fault(&self, fault: Value) {
        let (status, body) = self.post("/v1/faults", "", &fault).await;
        assert_eq!(status, StatusCode::NO_CONTENT, "{body}");
    }

    async fn charges(&self, query: &str) -> Vec<Value> {
        let path = format!("/v1/charges{query}");
        let (_, body) = self.send("GET", &path, "", &Value::Null).await.unwrap();
        body["charges"].as_array().unwrap().clone()
    }
}

async fn provider(db: &TestDb) -> SandboxPsp {
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let clock = Arc::new(SystemClock);
    SandboxPsp::start(db.url(), listener, clock, None)
        .await
        .unwrap()
}

fn authorization(token: &str) -> Value {
    json!({ "amount": 1_000, "currency": "USD", "token": token })
}

fn of(parent: &Value, amount: i64) -> Value {
    json!({ "amount": amount, "currency": "USD", "parent_reference": parent["reference"] })
}

const AUTHORIZE: &str = "/v1/authorizations";

#[tokio::test]
async fn the_same_key_is_the_same_charge_and_never_another_one() {
    let rig = Rig::start().await;
    let asked = authorization("tok_approve");
    let (status, first) = rig.post(AUTHORIZE, "a", &asked).await;
    assert_eq!(status, StatusCode::OK);
    assert_eq!(
        rig.post(AUTHORIZE, "a", &asked).await,
        (status, first.clone())
    );
    let other = json!({ "amount": 999, "currency": "USD", "token": "tok_approve" });
    let (status, body) = rig.post(AUTHORIZE, "a", &other).await;
    assert_eq!(status, StatusCode::CONFLICT);
    assert_eq!(body["error"]["code"], "idempotency_conflict");
    let (status, _) = rig.post("/v1/voids", "a", &of(&first, 1_000)).await;
    assert_eq!(status, StatusCode::CONFLICT);
    assert_eq!(rig.charges("").await, std::slice::from_ref(&first));
    assert_eq!(rig.charges("?key=a").await, [first]);
    assert_eq!(rig.charges("?key=b").await, [Value::Null; 0]);
}

#[tokio::test]
async fn the_same_key_at_the_same_time_is_booked_once() {
    let rig = Rig::start().await;
    let asked = authorization("tok_approve");
    let (_, parent) = rig.post(AUTHORIZE, "parent", &asked).await;
    let capture = of(&parent, 600);
    let calls = (0..8).map(|_| rig.post("/v1/captures", "capture", &capture));
    let answers = futures::future::join_all(calls).await;
    assert!(answers.iter().all(|answer| *answer == answers[0]));
    assert_eq!(answers[0].0, StatusCode::OK);
    // Two keys for what is left once: one of them is too much.
    let rest = of(&parent, 400);
    let calls = ["x", "y"].map(|key| rig.post("/v1/captures", key, &rest));
    let answers = futures::future::join_all(calls).await;
    let declined: Vec<&Value> = answers
        .iter()
        .filter(|(status, _)| *status == StatusCode::PAYMENT_REQUIRED)
        .map(|(_, charge)| &charge["decline_code"])
        .collect();
    assert_eq!(declined, ["amount_exceeds_charge"]);
}

#[tokio::test]
async fn money_goes_from_authorized_to_captured_to_refunded_and_the_rest_is_voided() {
    let rig = Rig::start().await;
    let (_, parent) = rig
        .post(AUTHORIZE, "a", &authorization("tok_approve"))
        .await;
    let (status, capture) = rig.post("/v1/captures", "c", &of(&parent, 700)).await;
    assert_eq!(status, StatusCode::OK);
    let (status, void) = rig.post("/v1/voids", "v", &of(&parent, 301)).await;
    assert_eq!(status, StatusCode::PAYMENT_REQUIRED, "{void}");
    let (status, _) = rig.post("/v1/voids", "v2", &of(&parent, 300)).await;
    assert_eq!(status, StatusCode::OK);
    let (status, _) = rig.post("/v1/refunds", "r", &of(&capture, 700)).await;
    assert_eq!(status, StatusCode::OK);
    let (status, refused) = rig.post("/v1/refunds", "r2", &of(&capture, 1)).await;
    assert_eq!(status, StatusCode::PAYMENT_REQUIRED);
    assert_eq!(refused["decline_code"], "amount_exceeds_charge");
    let (_, unknown) = rig
        .post(
            "/v1/captures",
            "u",
            &of(&json!({ "reference": "nobody" }), 1),
        )
        .await;
    assert_eq!(unknown["decline_code"], "unknown_charge");
}

#[tokio::test]
async fn a_bad_request_is_told_everything_at_once_and_books_nothing() {
    let rig = Rig::start().await;
    let bad = json!({ "amount": 0, "currency": "ABC", "parent_reference": "x" });
    let (status, body) = rig.post(AUTHORIZE, "", &bad).await;
    assert_eq!(status, StatusCode::BAD_REQUEST);
    let fields: Vec<&str> = body["error"]["violations"]
        .as_array()
        .unwrap()
        .iter()
        .map(|one| one["field"].as_str().unwrap())
        .collect();
    let expected = [
        "Idempotency-Key",
        "token",
        "parent_reference",
        "amount",
        "currency",
    ];
    assert_eq!(fields, expected);
    let typo = json!({ "amount": 1, "currency": "USD", "tokn": "tok_approve" });
    let (status, body) = rig.post(AUTHORIZE, "k", &typo).await;
    assert_eq!(status, StatusCode::BAD_REQUEST);
    assert_eq!(body["error"]["code"], "malformed");
    let (status, _) = rig
        .post("/v1/faults", "", &json!({ "kind": "flood" }))
        .await;
    assert_eq!(status, StatusCode::BAD_REQUEST);
    let huge = json!({ "amount": 1, "currency": "USD", "token": "t".repeat(20_000) });
    let (status, _) = rig.post(AUTHORIZE, "k", &huge).await;
    assert_eq!(status, StatusCode::PAYLOAD_TOO_LARGE);
    assert_eq!(rig.charges("").await.len(), 0);
}

#[tokio::test]
async fn a_lost_answer_is_in_the_ledger_and_an_error_before_is_not() {
    let rig = Rig::start().await;
    let asked = authorization("tok_approve");
    rig.fault(json!({ "kind": "lose_reply", "operation": "authorize" }))
        .await;
    assert_eq!(rig.send("POST", AUTHORIZE, "lost", &asked).await, None);
    rig.fault(json!({ "kind": "error_after_success" })).await;
    let (status, _) = rig.post(AUTHORIZE, "after", &asked).await;
    assert_eq!(status, StatusCode::INTERNAL_SERVER_ERROR);
    rig.fault(json!({ "kind": "error_before" })).await;
    let (status, _) = rig.post(AUTHORIZE, "before", &asked).await;
    assert_eq!(status, StatusCode::SERVICE_UNAVAILABLE);
    rig.fault(json!({ "kind": "stall_ms", "ms": 5 })).await;
    let (status, _) = rig.post(AUTHORIZE, "late", &asked).await;
    assert_eq!(status, StatusCode::OK);
    let timeout = authorization("tok_timeout");
    assert_eq!(rig.send("POST", AUTHORIZE, "token", &timeout).await, None);
    let (status, _) = rig.post(AUTHORIZE, "token", &timeout).await;
    assert_eq!(status, StatusCode::OK, "once");
    for (key, count) in [
        ("lost", 1),
        ("after", 1),
        ("before", 0),
        ("late", 1),
        ("token", 1),
    ] {
        let found = rig.charges(&format!("?key={key}")).await;
        assert_eq!(found.len(), count, "{key}");
    }
}

#[tokio::test]
async fn an_ordered_decline_stays_one_and_faults_can_be_taken_back() {
    let rig = Rig::start().await;
    let asked = authorization("tok_approve");
    rig.fault(json!({ "kind": "decline", "times": 5 })).await;
    let (status, declined) = rig.post(AUTHORIZE, "a", &asked).await;
    assert_eq!(status, StatusCode::PAYMENT_REQUIRED);
    assert_eq!(declined["decline_code"], "card_declined");
    let gone = rig.send("DELETE", "/v1/faults", "", &Value::Null).await;
    assert_eq!(gone.unwrap().0, StatusCode::NO_CONTENT);
    assert_eq!(rig.post(AUTHORIZE, "a", &asked).await, (status, declined));
    let (status, _) = rig.post(AUTHORIZE, "b", &asked).await;
    assert_eq!(status, StatusCode::OK);
}

#[tokio::test]
async fn the_ledger_outlives_the_process() {
    let mut rig = Rig::start().await;
    let asked = authorization("tok_approve");
    let (_, first) = rig.post(AUTHORIZE, "a", &asked).await;
    let again = provider(&rig.db).await;
    std::mem::replace(&mut rig.psp, again).stop().await.unwrap();
    assert_eq!(rig.post(AUTHORIZE, "a", &asked).await.1, first);
    assert_eq!(rig.charges("?after=").await.len(), 1);
    assert_eq!(rig.charges("?after=a").await.len(), 0);
}
