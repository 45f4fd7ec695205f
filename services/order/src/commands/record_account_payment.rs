//! Records that a customer on terms has paid, which lowers what is owed.

use oms_core::{Money, Violations};
use oms_postgres::idempotency;
use sqlx::PgConnection;

use crate::ctx::{Caller, Ctx};
use crate::domain::credit::{Book, Credit};
use crate::error::Error;
use crate::store::StoreError;
use crate::store::credits::{self, CreditEntry};

const METHOD: &str = "RecordAccountPayment";

/// A payment that came in.
#[derive(Debug)]
pub(crate) struct RecordAccountPayment {
    /// Reference of the account.
    pub(crate) reference: String,
    /// Amount, above zero.
    pub(crate) amount: Money,
}

/// Lowers what the account owes; below zero when the customer pays ahead.
pub(crate) async fn record_account_payment(
    ctx: &Ctx,
    caller: &Caller,
    command: &RecordAccountPayment,
) -> Result<Credit, Error> {
    ctx.db
        .run_tx("record_account_payment", |tx| {
            Box::pin(async move { pay(ctx, tx.conn(), caller, command).await })
        })
        .await
}

async fn pay(
    ctx: &Ctx,
    conn: &mut PgConnection,
    caller: &Caller,
    command: &RecordAccountPayment,
) -> Result<Credit, Error> {
    let key = caller.key(METHOD);
    let reference = command.reference.as_str();
    if idempotency::check(conn, &key).await?.is_some() {
        let found = credits::load(conn, Book::Terms, reference).await?;
        return found.ok_or_else(|| {
            StoreError::inconsistent("idempotency", "resource_id", reference).into()
        });
    }
    let locked = credits::lock(conn, Book::Terms, reference).await?;
    let mut account = locked.ok_or_else(|| Error::NotFound {
        resource: "credit account",
        id: reference.to_owned(),
    })?;
    let mut violations = Violations::default();
    violations.check(
        command.amount.currency == account.currency,
        "amount.currency_code",
        "CURRENCY_MIXED",
        format!("the account is in {}", account.currency),
    );
    let used = account.used.checked_sub(command.amount.minor);
    violations.check(
        used.is_some(),
        "amount.minor_units",
        "AMOUNT_OVERFLOW",
        "is more than an account can hold",
    );
    violations.into_result()?;
    account.used = used.unwrap_or_default();
    account.updated_at = ctx.now();
    credits::save(conn, &account).await?;
    let entry = CreditEntry {
        key: &ctx.id().to_string(),
        kind: "PAYMENT",
        parent: "",
        amount: command.amount.minor,
        actor: &caller.actor(),
        at: ctx.now(),
    };
    credits::append(conn, &account, &entry).await?;
    idempotency::record(conn, &key, reference).await?;
    Ok(account)
}
