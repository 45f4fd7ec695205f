//! `POST /webhooks/carriers/{carrier}`, on the port of gRPC: what carriers tell by themselves.
//!
//! 200 comes after the commit; a carrier delivers everything else again. Whoever did not sign is told nothing but that.

use std::sync::Arc;

use axum::Router;
use axum::extract::rejection::BytesRejection;
use axum::extract::{DefaultBodyLimit, Path, State};
use axum::response::{IntoResponse, Response};
use axum::routing::post;
use bytes::Bytes;
use http::header::CONTENT_TYPE;
use http::{HeaderMap, StatusCode};
use metrics::{counter, describe_counter};
use oms_core::Violations;
use oms_service::Unproved;
use serde_json::{Value, json};

use crate::commands::Context;
use crate::commands::receive_carrier_webhook::{Refusal, receive_carrier_webhook};

/// Where they come in.
const PATH: &str = "/webhooks/carriers/{carrier}";
/// Largest body in bytes.
const BODY_MAX: usize = 64 * 1024;
/// Counts them.
const WEBHOOKS: &str = "oms.shipping.carrier_webhooks";

/// Tells the metrics recorder what the metrics of this module mean.
pub(crate) fn describe_metrics() {
    describe_counter!(WEBHOOKS, "webhooks of carriers, by what became of them");
}

/// The route, for the server.
pub(crate) fn router(ctx: Arc<Context>) -> Router {
    Router::new()
        .route(PATH, post(receive))
        .layer(DefaultBodyLimit::max(BODY_MAX))
        .with_state(ctx)
}

async fn receive(
    State(ctx): State<Arc<Context>>,
    Path(carrier): Path<String>,
    headers: HeaderMap,
    body: Result<Bytes, BytesRejection>,
) -> Response {
    let answer = async {
        let body = body.map_err(|rejected| match rejected.status() {
            StatusCode::PAYLOAD_TOO_LARGE => Refusal::BodyTooLarge,
            _ => Refusal::Unsigned,
        })?;
        receive_carrier_webhook(&ctx, &carrier, &headers, &body).await
    };
    match answer.await {
        Ok(event) => {
            counter!(WEBHOOKS, "outcome" => "recorded").increment(1);
            let body = json!({ "result": "recorded", "applied": event.applied });
            respond(StatusCode::OK, &body)
        }
        Err(refusal) => {
            let (status, code) = answered(&refusal);
            counter!(WEBHOOKS, "outcome" => code.to_lowercase()).increment(1);
            let mut error = json!({ "code": code, "message": refusal.to_string() });
            if let Refusal::Invalid(violations) = &refusal {
                tracing::warn!(%violations, "a carrier's event is wrong");
                error["violations"] = listed(violations);
            }
            let mut response = respond(status, &json!({ "error": error }));
            if refusal == Refusal::Unsigned {
                response.extensions_mut().insert(Unproved);
            }
            response
        }
    }
}

fn answered(refusal: &Refusal) -> (StatusCode, &'static str) {
    match refusal {
        Refusal::Unsigned => (StatusCode::UNAUTHORIZED, "UNSIGNED"),
        Refusal::BodyTooLarge => (StatusCode::PAYLOAD_TOO_LARGE, "BODY_TOO_LARGE"),
        Refusal::Invalid(_) => (StatusCode::BAD_REQUEST, "INVALID"),
        Refusal::NumberUnknown => (StatusCode::NOT_FOUND, "TRACKING_NUMBER_UNKNOWN"),
        Refusal::IdReused => (StatusCode::CONFLICT, "ID_REUSED"),
        Refusal::TryAgain => (StatusCode::SERVICE_UNAVAILABLE, "TRY_AGAIN"),
    }
}

fn listed(violations: &Violations) -> Value {
    let one = |violation: &oms_core::Violation| {
        json!({
            "field": violation.field,
            "reason": violation.reason,
            "message": violation.message,
        })
    };
    violations.iter().map(one).collect()
}

fn respond(status: StatusCode, body: &Value) -> Response {
    let json = [(CONTENT_TYPE, "application/json")];
    (status, json, body.to_string()).into_response()
}
