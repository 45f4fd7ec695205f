//! `POST /webhooks/payments/{provider}`, on the port of gRPC: what providers tell by themselves.
//!
//! A webhook is a hint and nothing more. It names the key of an effect, and the reconciler then asks the
//! provider about exactly that effect. So webhooks that come twice, late, out of order, or not at all change
//! nothing but how soon an answer is known. An event that was dealt with is remembered by its id, so that a
//! repeat costs no question.
//!
//! Every refusal has a code, in `{"error": {"code": .., "message": ..}}`.

use std::sync::Arc;

use axum::Router;
use axum::extract::rejection::BytesRejection;
use axum::extract::{DefaultBodyLimit, Path, State};
use axum::response::{IntoResponse, Response};
use axum::routing::post;
use bytes::Bytes;
use http::header::CONTENT_TYPE;
use http::{HeaderMap, StatusCode};
use oms_service::Unproved;
use serde_json::json;

use super::reconciler::{self, Looked};
use super::{Hint, Refusal};
use crate::ctx::Ctx;
use crate::error::Error;
use crate::store::webhooks;

/// Where they come in.
pub(crate) const PATH: &str = "/webhooks/payments/{provider}";
/// Largest body in bytes.
const BODY_MAX: usize = 256 * 1024;

/// What became of a webhook.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Taken {
    /// It led to an answer that was not known.
    Settled,
    /// There was nothing to learn.
    NothingNew,
    /// The event was dealt with before.
    Duplicate,
}

/// The route, for the server.
pub(crate) fn router(ctx: Arc<Ctx>) -> Router {
    Router::new()
        .route(PATH, post(receive))
        .layer(DefaultBodyLimit::max(BODY_MAX))
        .with_state(ctx)
}

async fn receive(
    State(ctx): State<Arc<Ctx>>,
    Path(provider): Path<String>,
    headers: HeaderMap,
    body: Result<Bytes, BytesRejection>,
) -> Response {
    let answer = async {
        let body = body.map_err(|rejected| match rejected.status() {
            StatusCode::PAYLOAD_TOO_LARGE => Refusal::BodyTooLarge,
            _ => Refusal::Malformed,
        })?;
        let adapter = ctx.providers.get(&provider);
        let adapter = adapter.ok_or(Refusal::UnknownProvider)?.provider();
        let hint = adapter.webhook(&headers, &body, ctx.now())?;
        take(&ctx, adapter.name(), &hint).await
    };
    match answer.await {
        Ok(taken) => {
            let result = match taken {
                Taken::Settled => "settled",
                Taken::NothingNew => "nothing_new",
                Taken::Duplicate => "duplicate",
            };
            respond(StatusCode::OK, &json!({ "result": result }))
        }
        Err(refusal) => {
            tracing::warn!(provider, code = refusal.code(), "webhook refused");
            let error = json!({ "code": refusal.code(), "message": refusal.to_string() });
            let mut response = respond(refusal.status(), &json!({ "error": error }));
            if refusal.is_unproved() {
                response.extensions_mut().insert(Unproved);
            }
            response
        }
    }
}

/// The event is remembered last: if anything fails before, the provider delivers it again.
async fn take(ctx: &Ctx, provider: &'static str, hint: &Hint) -> Result<Taken, Refusal> {
    let failed = |error: Error| {
        tracing::warn!(error = %error, "webhook could not be dealt with");
        Refusal::TryAgain
    };
    let event_id = hint.event_id.as_str();
    let seen = async {
        let mut conn = ctx.db.read().await?;
        Ok(webhooks::is_known(&mut conn, provider, event_id).await?)
    };
    if seen.await.map_err(failed)? {
        return Ok(Taken::Duplicate);
    }
    let looked = match &hint.idempotency_key {
        Some(key) => reconciler::look_into(ctx, provider, key)
            .await
            .map_err(failed)?,
        None => Looked::NothingNew,
    };
    let taken = match looked {
        Looked::Settled => Taken::Settled,
        Looked::NothingNew => Taken::NothingNew,
        Looked::Unanswered => return Err(Refusal::TryAgain),
    };
    let now = ctx.now();
    let remembered = ctx.db.run_tx("remember_webhook", |tx| {
        Box::pin(async move {
            Ok::<_, Error>(webhooks::insert(tx.conn(), provider, event_id, now).await?)
        })
    });
    remembered.await.map_err(failed)?;
    Ok(taken)
}

impl Refusal {
    /// Whether its sender did not prove to be the provider.
    fn is_unproved(self) -> bool {
        matches!(
            self,
            Self::UnknownProvider
                | Self::NotConfigured
                | Self::SignatureMissing
                | Self::SignatureMalformed
                | Self::SignatureInvalid
                | Self::SignatureExpired
        )
    }

    fn status(self) -> StatusCode {
        match self {
            Self::UnknownProvider | Self::NotConfigured => StatusCode::NOT_FOUND,
            Self::BodyTooLarge => StatusCode::PAYLOAD_TOO_LARGE,
            Self::TryAgain => StatusCode::SERVICE_UNAVAILABLE,
            Self::SignatureMissing
            | Self::SignatureMalformed
            | Self::SignatureInvalid
            | Self::SignatureExpired
            | Self::Malformed => StatusCode::BAD_REQUEST,
        }
    }
}

fn respond(status: StatusCode, body: &serde_json::Value) -> Response {
    let json = [(CONTENT_TYPE, "application/json")];
    (status, json, body.to_string()).into_response()
}
