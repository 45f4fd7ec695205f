//! Accounts on terms and store credits, and the ledger of what moved on them.

use sqlx::PgConnection;
use time::OffsetDateTime;

use crate::domain::credit::{Book, Credit};

use super::StoreError;

/// A row of the ledger. Append-only.
#[derive(Debug)]
pub(crate) struct CreditEntry<'a> {
    /// Key by which a repeat is recognized; also the reference of the entry.
    pub(crate) key: &'a str,
    /// `ISSUE`, `AUTHORIZATION`, `CAPTURE`, `VOID`, `REFUND`, or `PAYMENT` of what was owed.
    pub(crate) kind: &'a str,
    /// Entry of the authorization of a capture or void, of the capture of a refund; empty otherwise.
    pub(crate) parent: &'a str,
    /// Amount in minor units, above zero.
    pub(crate) amount: i64,
    /// Who.
    pub(crate) actor: &'a str,
    /// When.
    pub(crate) at: OffsetDateTime,
}

/// Creates an account or a store credit. False when it exists.
pub(crate) async fn insert(conn: &mut PgConnection, credit: &Credit) -> Result<bool, StoreError> {
    let inserted = sqlx::query!(
        "INSERT INTO credits (book, reference, currency, ceiling, authorized, used, net_days, version,
             created_at, updated_at, channel_ids)
         VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11)
         ON CONFLICT ON CONSTRAINT credits_pkey DO NOTHING",
        credit.book.as_str(),
        credit.reference,
        credit.currency.code(),
        credit.ceiling,
        credit.authorized,
        credit.used,
        credit.net_days,
        credit.version,
        credit.created_at,
        credit.updated_at,
        &credit.channel_ids,
    )
    .execute(conn)
    .await?;
    Ok(inserted.rows_affected() == 1)
}

/// Reads one.
pub(crate) async fn load(
    conn: &mut PgConnection,
    book: Book,
    reference: &str,
) -> Result<Option<Credit>, StoreError> {
    let row = sqlx::query_as!(
        CreditRow,
        "SELECT book, reference, currency, ceiling, authorized, used, net_days, version, created_at,
             updated_at, channel_ids
         FROM credits WHERE book = $1 AND reference = $2",
        book.as_str(),
        reference
    )
    .fetch_optional(conn)
    .await?;
    row.map(Credit::try_from).transpose()
}

/// Locks one against every other writer and reads it.
pub(crate) async fn lock(
    conn: &mut PgConnection,
    book: Book,
    reference: &str,
) -> Result<Option<Credit>, StoreError> {
    let locked = sqlx::query_scalar!(
        "SELECT 1 FROM credits WHERE book = $1 AND reference = $2 FOR UPDATE",
        book.as_str(),
        reference
    )
    .fetch_optional(&mut *conn)
    .await?;
    // A second statement reads what the former holder of the lock committed.
    // One that came to be between the two statements is not locked, so it is as if it were not there.
    match locked {
        Some(_) => load(conn, book, reference).await,
        None => Ok(None),
    }
}

/// Writes settings and balances. The caller holds the lock.
pub(crate) async fn save(conn: &mut PgConnection, credit: &Credit) -> Result<(), StoreError> {
    sqlx::query!(
        "UPDATE credits SET ceiling = $3, authorized = $4, used = $5, net_days = $6, version = $7,
             updated_at = $8, channel_ids = $9
         WHERE book = $1 AND reference = $2",
        credit.book.as_str(),
        credit.reference,
        credit.ceiling,
        credit.authorized,
        credit.used,
        credit.net_days,
        credit.version,
        credit.updated_at,
        &credit.channel_ids,
    )
    .execute(conn)
    .await?;
    Ok(())
}

/// Appends to the ledger.
pub(crate) async fn append(
    conn: &mut PgConnection,
    credit: &Credit,
    entry: &CreditEntry<'_>,
) -> Result<(), StoreError> {
    let parent = (!entry.parent.is_empty()).then_some(entry.parent);
    sqlx::query!(
        "INSERT INTO credit_entries (entry_key, book, reference, kind, parent_key, amount, actor, created_at)
         VALUES ($1, $2, $3, $4, $5, $6, $7, $8)",
        entry.key,
        credit.book.as_str(),
        credit.reference,
        entry.kind,
        parent,
        entry.amount,
        entry.actor,
        entry.at,
    )
    .execute(conn)
    .await?;
    Ok(())
}

/// True when the ledger has an entry of this book under this key.
pub(crate) async fn has_entry(
    conn: &mut PgConnection,
    book: Book,
    key: &str,
) -> Result<bool, StoreError> {
    let found = sqlx::query_scalar!(
        r#"SELECT EXISTS (SELECT FROM credit_entries WHERE entry_key = $1 AND book = $2) AS "found!""#,
        key,
        book.as_str()
    )
    .fetch_one(conn)
    .await?;
    Ok(found)
}

/// What is left of an authorization for captures and voids, or of a capture for refunds. `None` when the credit has no
/// such entry. The caller holds the credit's lock.
pub(crate) async fn left(
    conn: &mut PgConnection,
    credit: &Credit,
    kind: &str,
    key: &str,
) -> Result<Option<i64>, StoreError> {
    let left = sqlx::query_scalar!(
        r#"SELECT (e.amount - coalesce((SELECT sum(c.amount) FROM credit_entries c
                 WHERE c.parent_key = e.entry_key), 0))::int8 AS "left!"
         FROM credit_entries e
         WHERE e.entry_key = $1 AND e.book = $2 AND e.reference = $3 AND e.kind = $4"#,
        key,
        credit.book.as_str(),
        credit.reference,
        kind
    )
    .fetch_optional(conn)
    .await?;
    Ok(left)
}

struct CreditRow {
    book: String,
    reference: String,
    currency: String,
    ceiling: i64,
    authorized: i64,
    used: i64,
    net_days: i32,
    version: i64,
    created_at: OffsetDateTime,
    updated_at: OffsetDateTime,
    channel_ids: Vec<String>,
}

impl TryFrom<CreditRow> for Credit {
    type Error = StoreError;

    fn try_from(row: CreditRow) -> Result<Self, StoreError> {
        let unknown = |column| StoreError::inconsistent("credits", column, &row.reference);
        Ok(Self {
            book: Book::parse(&row.book).ok_or_else(|| unknown("book"))?,
            currency: row.currency.parse().map_err(|_| unknown("currency"))?,
            reference: row.reference,
            ceiling: row.ceiling,
            authorized: row.authorized,
            used: row.used,
            net_days: row.net_days,
            channel_ids: row.channel_ids,
            version: row.version,
            created_at: row.created_at,
            updated_at: row.updated_at,
        })
    }
}
