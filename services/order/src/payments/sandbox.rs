//! The built-in payment provider: deterministic, with books of its own.
//!
//! What it answers follows from the token of the authorization: `tok_approve` and unknown `tok_*` tokens
//! approve, `tok_decline` and `tok_insufficient_funds` decline, `tok_capture_fails` approves and then declines
//! captures, `tok_timeout` does it and loses the answer once. It never lets more be captured or voided than
//! was authorized, nor more refunded than was captured.

use std::sync::Arc;

use async_trait::async_trait;
use oms_core::Clock;
use oms_postgres::Db;
use sqlx::PgConnection;
use uuid::Uuid;

use super::{Provider, ProviderRequest, Unanswered};
use crate::domain::payment::{Answer, PaymentKind};
use crate::store::StoreError;
use crate::store::sandbox::{self, Charge};

const NAME: &str = "sandbox";
/// The token whose authorization loses its answer.
const TOKEN_TIMEOUT: &str = "tok_timeout";

/// The sandbox provider.
pub(crate) struct Sandbox {
    db: Db,
    clock: Arc<dyn Clock>,
}

impl Sandbox {
    /// A sandbox that keeps its books in this database, in transactions of its own.
    pub(crate) fn new(db: Db, clock: Arc<dyn Clock>) -> Self {
        Self { db, clock }
    }

    /// Books a request once. The second value is false when the key was known.
    async fn book(
        &self,
        kind: PaymentKind,
        request: &ProviderRequest,
    ) -> Result<(Answer, bool), Unanswered> {
        let now = self.clock.now();
        let booked = self
            .db
            .run_tx("sandbox_charge", |tx| {
                Box::pin(async move {
                    let conn = tx.conn();
                    if let Some(charge) = sandbox::find(conn, &request.idempotency_key).await? {
                        return Ok((charge, false));
                    }
                    let charge = decide(conn, kind, request).await?;
                    if sandbox::insert(conn, &charge, now).await? {
                        return Ok((charge, true));
                    }
                    // Somebody booked the key meanwhile: theirs counts.
                    let theirs = sandbox::find(conn, &request.idempotency_key).await?;
                    Ok((theirs.unwrap_or(charge), false))
                })
            })
            .await;
        match booked {
            Ok((charge, fresh)) => Ok((answer(&charge), fresh)),
            Err(error) => Err(unanswered::<StoreError>(&error)),
        }
    }
}

fn unanswered<E: std::error::Error>(error: &E) -> Unanswered {
    Unanswered {
        provider: NAME,
        detail: error.to_string(),
    }
}

fn answer(charge: &Charge) -> Answer {
    if charge.approved {
        return Answer::Approved {
            reference: charge.reference.clone(),
        };
    }
    Answer::Declined {
        code: charge.decline_code.clone(),
    }
}

async fn decide(
    conn: &mut PgConnection,
    kind: PaymentKind,
    request: &ProviderRequest,
) -> Result<Charge, StoreError> {
    let refusal = match kind {
        PaymentKind::Authorization => refuse_authorization(&request.token),
        PaymentKind::Capture | PaymentKind::Void | PaymentKind::Refund => {
            refuse_dependent(conn, kind, request).await?
        }
    };
    Ok(Charge {
        idempotency_key: request.idempotency_key.clone(),
        kind: kind.as_str().to_owned(),
        reference: reference(kind, &request.idempotency_key),
        parent_reference: request.parent_reference.clone(),
        token: request.token.clone(),
        amount: request.amount.minor,
        currency: request.amount.currency.code().to_owned(),
        approved: refusal.is_none(),
        decline_code: refusal.unwrap_or_default().to_owned(),
    })
}

/// The same key gives the same reference.
fn reference(kind: PaymentKind, idempotency_key: &str) -> String {
    let prefix = match kind {
        PaymentKind::Authorization => "sbx_auth",
        PaymentKind::Capture => "sbx_cap",
        PaymentKind::Void => "sbx_void",
        PaymentKind::Refund => "sbx_ref",
    };
    let id = Uuid::new_v5(&Uuid::NAMESPACE_OID, idempotency_key.as_bytes());
    format!("{prefix}_{}", id.simple())
}

fn refuse_authorization(token: &str) -> Option<&'static str> {
    match token {
        "tok_decline" => Some("card_declined"),
        "tok_insufficient_funds" => Some("insufficient_funds"),
        known if known.starts_with("tok_") => None,
        _ => Some("unknown_token"),
    }
}

async fn refuse_dependent(
    conn: &mut PgConnection,
    kind: PaymentKind,
    request: &ProviderRequest,
) -> Result<Option<&'static str>, StoreError> {
    let Some(parent) = sandbox::lock(conn, &request.parent_reference).await? else {
        return Ok(Some("unknown_charge"));
    };
    let wanted = match kind {
        PaymentKind::Refund => PaymentKind::Capture,
        _ => PaymentKind::Authorization,
    };
    if parent.kind != wanted.as_str() || !parent.approved {
        return Ok(Some("wrong_charge"));
    }
    if parent.currency != request.amount.currency.code() {
        return Ok(Some("wrong_currency"));
    }
    if kind == PaymentKind::Capture && parent.token == "tok_capture_fails" {
        return Ok(Some("capture_declined"));
    }
    let left = parent.amount - sandbox::used(conn, &parent.reference).await?;
    Ok((request.amount.minor > left).then_some("amount_exceeds_charge"))
}

#[async_trait]
impl Provider for Sandbox {
    fn name(&self) -> &'static str {
        NAME
    }

    async fn authorize(&self, request: &ProviderRequest) -> Result<Answer, Unanswered> {
        let (answer, fresh) = self.book(PaymentKind::Authorization, request).await?;
        if fresh && request.token == TOKEN_TIMEOUT {
            return Err(Unanswered {
                provider: NAME,
                detail: "the token asks for a lost answer".to_owned(),
            });
        }
        Ok(answer)
    }

    async fn capture(&self, request: &ProviderRequest) -> Result<Answer, Unanswered> {
        Ok(self.book(PaymentKind::Capture, request).await?.0)
    }

    async fn void(&self, request: &ProviderRequest) -> Result<Answer, Unanswered> {
        Ok(self.book(PaymentKind::Void, request).await?.0)
    }

    async fn refund(&self, request: &ProviderRequest) -> Result<Answer, Unanswered> {
        Ok(self.book(PaymentKind::Refund, request).await?.0)
    }

    async fn lookup(&self, idempotency_key: &str) -> Result<Option<Answer>, Unanswered> {
        let found = async {
            let mut conn = self.db.read().await?;
            sandbox::find(&mut conn, idempotency_key).await
        };
        let found: Result<Option<Charge>, StoreError> = found.await;
        match found {
            Ok(charge) => Ok(charge.as_ref().map(answer)),
            Err(error) => Err(unanswered(&error)),
        }
    }
}
