//! Creates or replaces an expected receipt.

use oms_postgres::idempotency;
use time::OffsetDateTime;

use crate::domain::expected::{ExpectedKey, ExpectedReceipt};

use super::check_references::check_references;
use super::write_expected::{lock_receipt, replayed, write_receipt};
use super::{Call, Ctx, Error};

/// A receipt to expect.
#[derive(Debug, Clone)]
pub(crate) struct UpsertExpectedReceipt {
    /// Which one.
    pub(crate) key: ExpectedKey,
    /// Units in all.
    pub(crate) quantity: i64,
    /// From when on they can be promised.
    pub(crate) expected_at: OffsetDateTime,
    /// Version that must be there; `None` for whatever is.
    pub(crate) etag: Option<i64>,
}

/// Writes the receipt and answers it as it is now. What came of it stays.
pub(crate) async fn upsert_expected_receipt(
    ctx: &Ctx,
    call: Call,
    upsert: UpsertExpectedReceipt,
) -> Result<ExpectedReceipt, Error> {
    let locations = [("receipt.location_id".to_owned(), &upsert.key.location)];
    let skus = [("receipt.sku".to_owned(), &upsert.key.sku)];
    check_references(ctx, &locations, &skus).await?;
    let (call, upsert) = (&call, &upsert);
    ctx.db
        .run_tx("upsert_expected_receipt", |tx| {
            Box::pin(async move {
                let key = call.key();
                if idempotency::check(tx, &key).await?.is_some() {
                    return replayed(tx, &upsert.key).await;
                }
                let field = "receipt.sku";
                let (lane, before) = lock_receipt(tx, &upsert.key, upsert.etag, field).await?;
                let now = ctx.clock.now();
                let receipt = ExpectedReceipt {
                    key: upsert.key.clone(),
                    quantity: upsert.quantity,
                    received: before.as_ref().map_or(0, |one| one.received),
                    expected_at: upsert.expected_at,
                    is_canceled: false,
                    version: before.map_or(0, |one| one.version),
                    updated_at: now,
                };
                let receipt = receipt.changed(now);
                write_receipt(tx, ctx, call, lane, &receipt).await?;
                idempotency::record(tx, &key, "").await?;
                Ok(receipt)
            })
        })
        .await
}
