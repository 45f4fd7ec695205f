//! Books every key once.

use oms_postgres::{Db, Error};
use sqlx::PgConnection;
use time::OffsetDateTime;

use crate::charge::{Asked, Charge, Operation, lifetime, refuse_authorization, refuse_dependent};
use crate::store;

/// What booking came to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Booked {
    /// It is in the ledger now.
    Fresh(Charge),
    /// The same request was booked before.
    Again(Charge),
    /// The key belongs to another request.
    Conflict,
}

/// Books a request under its key. `declined` refuses it with this code whatever the rules say.
pub(crate) async fn book(
    db: &Db,
    operation: Operation,
    key: &str,
    asked: &Asked,
    declined: Option<&'static str>,
) -> Result<Booked, Error> {
    let now = db.clock().now();
    db.run_tx("book_charge", |tx| {
        Box::pin(async move {
            let conn = tx.conn();
            if let Some(found) = store::find(conn, key).await? {
                return Ok(repeated(operation, asked, found));
            }
            let refusal = match declined {
                Some(code) => Some(code),
                None => refuse(conn, operation, asked, now).await?,
            };
            let ends = operation == Operation::Authorize && refusal.is_none();
            let charge = Charge {
                idempotency_key: key.to_owned(),
                kind: operation.kind().to_owned(),
                reference: operation.reference(key),
                parent_reference: asked.parent_reference.clone(),
                token: asked.token.clone(),
                amount: asked.amount,
                currency: asked.currency.clone(),
                approved: refusal.is_none(),
                decline_code: refusal.unwrap_or_default().to_owned(),
                created_at: now,
                expires_at: ends.then(|| now + lifetime(&asked.token)),
            };
            if store::insert(conn, &charge).await? {
                return Ok(Booked::Fresh(charge));
            }
            // Somebody booked the key meanwhile: theirs counts.
            let theirs = store::find(conn, key).await?.unwrap_or(charge);
            Ok(repeated(operation, asked, theirs))
        })
    })
    .await
}

fn repeated(operation: Operation, asked: &Asked, found: Charge) -> Booked {
    if found.is_of(operation, asked) {
        Booked::Again(found)
    } else {
        Booked::Conflict
    }
}

async fn refuse(
    conn: &mut PgConnection,
    operation: Operation,
    asked: &Asked,
    now: OffsetDateTime,
) -> Result<Option<&'static str>, Error> {
    if operation == Operation::Authorize {
        return Ok(refuse_authorization(&asked.token));
    }
    let Some(parent) = store::lock(conn, &asked.parent_reference).await? else {
        return Ok(Some("unknown_charge"));
    };
    let used = store::used(conn, &parent.reference).await?;
    Ok(refuse_dependent(operation, asked, &parent, used, now))
}
