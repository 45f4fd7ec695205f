//! Erases a customer's personal data.

use oms_postgres::idempotency;
use sqlx::PgConnection;

use crate::ctx::{Caller, Ctx};
use crate::domain::erasure::{Erasure, Subject};
use crate::error::Error;
use crate::privacy::erase::erase;
use crate::store::{StoreError, data_keys};

const METHOD: &str = "EraseCustomer";

/// Erases a customer's personal data, or that of an order without a customer.
pub(crate) async fn erase_customer(
    ctx: &Ctx,
    caller: &Caller,
    subject: &Subject,
) -> Result<Erasure, Error> {
    ctx.db
        .run_tx("erase_customer", |tx| {
            Box::pin(async move { erase_once(ctx, tx.conn(), caller, subject).await })
        })
        .await
}

async fn erase_once(
    ctx: &Ctx,
    conn: &mut PgConnection,
    caller: &Caller,
    subject: &Subject,
) -> Result<Erasure, Error> {
    let key = caller.key(METHOD);
    if idempotency::check(conn, &key).await?.is_some() {
        let before = data_keys::erasures(conn, subject).await?;
        return before.ok_or_else(|| {
            StoreError::inconsistent("idempotency", "resource_id", subject.id()).into()
        });
    }
    let erasure = erase(ctx, conn, &caller.actor(), subject).await?;
    idempotency::record(conn, &key, &subject.id()).await?;
    Ok(erasure)
}
