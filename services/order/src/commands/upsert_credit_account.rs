//! Creates an account on terms, or changes its limit, its days to pay and its channels.

use oms_core::{Currency, Violations};
use oms_postgres::idempotency;
use sqlx::PgConnection;

use crate::ctx::{Caller, Ctx};
use crate::domain::credit::{Book, Credit};
use crate::error::{Error, check_etag};
use crate::store::{StoreError, credits};

use super::webhook_filters::check_filters;

const METHOD: &str = "UpsertCreditAccount";

/// The settings of an account.
#[derive(Debug)]
pub(crate) struct UpsertCreditAccount {
    /// Reference of the account.
    pub(crate) reference: String,
    /// Version that the caller read.
    pub(crate) etag: Option<i64>,
    /// Currency; stays.
    pub(crate) currency: Currency,
    /// Credit limit in minor units, not negative.
    pub(crate) limit: i64,
    /// Days from the invoice until it is due.
    pub(crate) net_days: i32,
    /// Channels whose orders it pays for; empty for all.
    pub(crate) channel_ids: Vec<String>,
}

/// Creates the account or replaces its settings; what is authorized and owed stays.
pub(crate) async fn upsert_credit_account(
    ctx: &Ctx,
    caller: &Caller,
    command: &UpsertCreditAccount,
) -> Result<Credit, Error> {
    ctx.db
        .run_tx("upsert_credit_account", |tx| {
            Box::pin(async move { upsert(ctx, tx.conn(), caller, command).await })
        })
        .await
}

async fn upsert(
    ctx: &Ctx,
    conn: &mut PgConnection,
    caller: &Caller,
    command: &UpsertCreditAccount,
) -> Result<Credit, Error> {
    let key = caller.key(METHOD);
    let reference = command.reference.as_str();
    if idempotency::check(conn, &key).await?.is_some() {
        let found = credits::load(conn, Book::Terms, reference).await?;
        return found.ok_or_else(|| {
            StoreError::inconsistent("idempotency", "resource_id", reference).into()
        });
    }
    check_filters(conn, "account.", &command.channel_ids).await?;
    let now = ctx.now();
    let mut account = Credit {
        book: Book::Terms,
        reference: reference.to_owned(),
        currency: command.currency,
        ceiling: command.limit,
        authorized: 0,
        used: 0,
        net_days: command.net_days,
        channel_ids: command.channel_ids.clone(),
        version: 1,
        created_at: now,
        updated_at: now,
    };
    // No row to lock and somebody else inserting at the same time: then there is a row to lock.
    let mut existing = credits::lock(conn, Book::Terms, reference).await?;
    if existing.is_none() && !credits::insert(conn, &account).await? {
        existing = credits::lock(conn, Book::Terms, reference).await?;
    }
    match existing {
        Some(existing) => {
            check_etag(command.etag, existing.version)?;
            check_currency(command.currency, &existing)?;
            account = Credit {
                ceiling: command.limit,
                net_days: command.net_days,
                channel_ids: command.channel_ids.clone(),
                version: existing.version + 1,
                updated_at: now,
                ..existing
            };
            credits::save(conn, &account).await?;
        }
        None => check_etag(command.etag, 0)?,
    }
    idempotency::record(conn, &key, reference).await?;
    Ok(account)
}

fn check_currency(given: Currency, existing: &Credit) -> Result<(), Error> {
    let mut violations = Violations::default();
    violations.check(
        given == existing.currency,
        "account.credit_limit.currency_code",
        "CURRENCY_MIXED",
        format!("the account's currency is {} and stays", existing.currency),
    );
    Ok(violations.into_result()?)
}
