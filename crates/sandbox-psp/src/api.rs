//! HTTP and JSON. An error has the body `{"error": {"code": .., "message": .., "violations": [..]}}`.

use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::body::Body;
use axum::extract::{DefaultBodyLimit, RawQuery, State};
use axum::http::header::CONTENT_TYPE;
use axum::http::{HeaderMap, StatusCode};
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post};
use bytes::Bytes;
use oms_postgres::{Db, Error};
use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::json;

use crate::charge::{Asked, Charge, Operation, TOKEN_TIMEOUT, Violation};
use crate::faults::{Fault, FaultKind, Faults};
use crate::ledger::{self, Booked};
use crate::store;
use crate::webhooks::Sender;

/// Largest body in bytes.
const BODY_MAX: usize = 16 * 1024;
/// Charges on a page of the listing.
const PAGE: i64 = 1_000;

/// What requests work with.
pub(crate) struct Shop {
    pub(crate) db: Db,
    pub(crate) faults: Faults,
    /// Tells about charges, if anybody wants to know.
    pub(crate) webhooks: Option<Sender>,
}

type Shared = State<Arc<Shop>>;

/// The routes of the API.
pub(crate) fn router(shop: Arc<Shop>) -> Router {
    Router::new()
        .route("/livez", get(|| async { "ok" }))
        .route("/v1/authorizations", post(authorize))
        .route("/v1/captures", post(capture))
        .route("/v1/voids", post(void))
        .route("/v1/refunds", post(refund))
        .route("/v1/charges", get(charges))
        .route("/v1/faults", post(order_fault).delete(clear_faults))
        .layer(DefaultBodyLimit::max(BODY_MAX))
        .with_state(shop)
}

async fn authorize(State(shop): Shared, headers: HeaderMap, body: Bytes) -> Response {
    serve(&shop, Operation::Authorize, &headers, &body).await
}

async fn capture(State(shop): Shared, headers: HeaderMap, body: Bytes) -> Response {
    serve(&shop, Operation::Capture, &headers, &body).await
}

async fn void(State(shop): Shared, headers: HeaderMap, body: Bytes) -> Response {
    serve(&shop, Operation::Void, &headers, &body).await
}

async fn refund(State(shop): Shared, headers: HeaderMap, body: Bytes) -> Response {
    serve(&shop, Operation::Refund, &headers, &body).await
}

async fn serve(shop: &Shop, operation: Operation, headers: &HeaderMap, body: &Bytes) -> Response {
    let asked: Asked = match parse(body) {
        Ok(asked) => asked,
        Err(refused) => return refused,
    };
    let key = headers.get("idempotency-key");
    let key = key.and_then(|key| key.to_str().ok()).unwrap_or_default();
    let violations = asked.violations(operation, key);
    if !violations.is_empty() {
        return invalid(&violations);
    }
    let fault = shop.faults.hit(operation);
    let kind = fault.as_ref().map(|fault| fault.kind);
    if kind == Some(FaultKind::ErrorBefore) {
        return error(StatusCode::SERVICE_UNAVAILABLE, "fault", "as ordered");
    }
    let declined = (kind == Some(FaultKind::Decline)).then_some("card_declined");
    let (charge, fresh) = match ledger::book(&shop.db, operation, key, &asked, declined).await {
        Ok(Booked::Fresh(charge)) => (charge, true),
        Ok(Booked::Again(charge)) => (charge, false),
        Ok(Booked::Conflict) => {
            let message = "the key belongs to another request";
            return error(StatusCode::CONFLICT, "idempotency_conflict", message);
        }
        Err(failure) => return unavailable(&failure),
    };
    if fresh && let Some(webhooks) = &shop.webhooks {
        let fault = shop.faults.hit_webhook(operation);
        webhooks.tell(&charge, fault.as_ref());
    }
    if fresh && operation == Operation::Authorize && charge.token == TOKEN_TIMEOUT {
        return lost();
    }
    match kind {
        Some(FaultKind::LoseReply) => lost(),
        Some(FaultKind::ErrorAfterSuccess) => {
            error(StatusCode::INTERNAL_SERVER_ERROR, "fault", "as ordered")
        }
        Some(FaultKind::StallMs) => {
            let ms = fault.map(|fault| fault.ms).unwrap_or_default();
            tokio::time::sleep(Duration::from_millis(ms)).await;
            answer(&charge)
        }
        _ => answer(&charge),
    }
}

/// 200 for what was done, 402 for what was declined.
fn answer(charge: &Charge) -> Response {
    let status = if charge.approved {
        StatusCode::OK
    } else {
        StatusCode::PAYMENT_REQUIRED
    };
    json_response(status, charge)
}

/// A response whose body breaks off: the connection ends before anything intelligible was said.
fn lost() -> Response {
    let broken = futures::stream::once(async { Err::<Bytes, _>(std::io::Error::other("lost")) });
    Response::new(Body::from_stream(broken))
}

/// `?key=` answers the charge with that key, if there is one; without it, a page of all in the order of
/// their keys, after `?after=`.
async fn charges(State(shop): Shared, RawQuery(query): RawQuery) -> Response {
    let query = query.unwrap_or_default();
    let parameter = |name: &str| {
        let mut pairs = url::form_urlencoded::parse(query.as_bytes());
        pairs.find_map(|(key, value)| (key == name).then(|| value.into_owned()))
    };
    let found = async {
        let mut conn = shop.db.read().await?;
        match parameter("key") {
            Some(key) => Ok(Vec::from_iter(store::find(&mut conn, &key).await?)),
            None => store::list(&mut conn, &parameter("after").unwrap_or_default(), PAGE).await,
        }
    };
    let found: Result<Vec<Charge>, Error> = found.await;
    match found {
        Ok(charges) => json_response(StatusCode::OK, &json!({ "charges": charges })),
        Err(failure) => unavailable(&failure),
    }
}

async fn order_fault(State(shop): Shared, body: Bytes) -> Response {
    let fault: Fault = match parse(&body) {
        Ok(fault) => fault,
        Err(refused) => return refused,
    };
    let violations = fault.violations();
    if !violations.is_empty() {
        return invalid(&violations);
    }
    shop.faults.order(fault);
    StatusCode::NO_CONTENT.into_response()
}

async fn clear_faults(State(shop): Shared) -> StatusCode {
    shop.faults.clear();
    StatusCode::NO_CONTENT
}

#[expect(
    clippy::result_large_err,
    reason = "the error is the response, and is made once per bad request"
)]
fn parse<T: DeserializeOwned>(body: &Bytes) -> Result<T, Response> {
    serde_json::from_slice(body).map_err(|malformed| {
        let message = malformed.to_string();
        error(StatusCode::BAD_REQUEST, "malformed", &message)
    })
}

fn invalid(violations: &[Violation]) -> Response {
    let body = json!({ "error": {
        "code": "invalid_request", "message": "the request is not valid", "violations": violations,
    } });
    json_response(StatusCode::BAD_REQUEST, &body)
}

fn unavailable(failure: &Error) -> Response {
    tracing::warn!(error = %failure, "the ledger cannot be used");
    let message = "the ledger cannot be used";
    error(StatusCode::SERVICE_UNAVAILABLE, "unavailable", message)
}

fn error(status: StatusCode, code: &str, message: &str) -> Response {
    json_response(
        status,
        &json!({ "error": { "code": code, "message": message } }),
    )
}

fn json_response(status: StatusCode, body: &impl Serialize) -> Response {
    match serde_json::to_vec(body) {
        Ok(bytes) => (status, [(CONTENT_TYPE, "application/json")], bytes).into_response(),
        Err(failure) => {
            tracing::error!(error = %failure, "an answer cannot be written");
            StatusCode::INTERNAL_SERVER_ERROR.into_response()
        }
    }
}
