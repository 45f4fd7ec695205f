//! Issues a store credit or a gift card.

use oms_core::Money;
use oms_postgres::idempotency;
use sqlx::PgConnection;

use crate::ctx::{Caller, Ctx};
use crate::domain::credit::{Book, Credit};
use crate::error::Error;
use crate::store::StoreError;
use crate::store::credits::{self, CreditEntry};

const METHOD: &str = "IssueStoreCredit";

/// A store credit to be issued.
#[derive(Debug)]
pub(crate) struct IssueStoreCredit {
    /// Code: who knows it may spend it.
    pub(crate) code: String,
    /// What it is worth, above zero.
    pub(crate) amount: Money,
}

/// Issues it; a code is issued once.
pub(crate) async fn issue_store_credit(
    ctx: &Ctx,
    caller: &Caller,
    command: &IssueStoreCredit,
) -> Result<Credit, Error> {
    ctx.db
        .run_tx("issue_store_credit", |tx| {
            Box::pin(async move { issue(ctx, tx.conn(), caller, command).await })
        })
        .await
}

async fn issue(
    ctx: &Ctx,
    conn: &mut PgConnection,
    caller: &Caller,
    command: &IssueStoreCredit,
) -> Result<Credit, Error> {
    let key = caller.key(METHOD);
    let code = command.code.as_str();
    if idempotency::check(conn, &key).await?.is_some() {
        let found = credits::load(conn, Book::StoreCredit, code).await?;
        return found
            .ok_or_else(|| StoreError::inconsistent("idempotency", "resource_id", "code").into());
    }
    let now = ctx.now();
    let credit = Credit {
        book: Book::StoreCredit,
        reference: code.to_owned(),
        currency: command.amount.currency,
        ceiling: command.amount.minor,
        authorized: 0,
        used: 0,
        net_days: 0,
        channel_ids: Vec::new(),
        version: 1,
        created_at: now,
        updated_at: now,
    };
    if !credits::insert(conn, &credit).await? {
        return Err(Error::StoreCreditExists);
    }
    let entry_key = ctx.id().to_string();
    let entry = CreditEntry {
        key: &entry_key,
        kind: "ISSUE",
        parent: "",
        amount: credit.ceiling,
        actor: &caller.actor(),
        at: now,
    };
    credits::append(conn, &credit, &entry).await?;
    // What is recorded here stays in the audit log for ever, and who reads the code may spend it: the entry of the ledger
    // stands for it.
    idempotency::record(conn, &key, &entry_key).await?;
    Ok(credit)
}
