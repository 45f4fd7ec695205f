//! Says that nothing more comes of an expected receipt.

use oms_postgres::idempotency;

use crate::domain::expected::{ExpectedKey, ExpectedReceipt};
use crate::domain::refusal::Refusal;

use super::write_expected::{lock_receipt, replayed, write_receipt};
use super::{Call, Ctx, Error};

/// Cancels and answers the receipt as it is now. `etag` is the version that must be there; `None` for whatever is.
pub(crate) async fn cancel_expected_receipt(
    ctx: &Ctx,
    call: Call,
    receipt: ExpectedKey,
    etag: Option<i64>,
) -> Result<ExpectedReceipt, Error> {
    let (call, receipt) = (&call, &receipt);
    ctx.db
        .run_tx("cancel_expected_receipt", |tx| {
            Box::pin(async move {
                let key = call.key();
                if idempotency::check(tx, &key).await?.is_some() {
                    return replayed(tx, receipt).await;
                }
                let (lane, before) = lock_receipt(tx, receipt, etag, "sku").await?;
                let before = before.ok_or_else(|| Refusal::UnknownReceipt(receipt.clone()))?;
                let after = if before.is_canceled {
                    before
                } else {
                    let canceled = ExpectedReceipt {
                        is_canceled: true,
                        ..before
                    };
                    let canceled = canceled.changed(ctx.clock.now());
                    write_receipt(tx, ctx, call, lane, &canceled).await?;
                    canceled
                };
                idempotency::record(tx, &key, "").await?;
                Ok(after)
            })
        })
        .await
}
