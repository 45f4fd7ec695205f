//! The append-only stock ledger. Written by `board`.

use std::collections::BTreeSet;

use oms_core::Sku;
use oms_postgres::Error;
use sqlx::PgConnection;
use time::OffsetDateTime;

use crate::domain::account::{Account, EntryType};
use crate::domain::effect::{Entry, EntryKey};
use crate::domain::level::LevelKey;

use super::{inconsistent, read};

/// Entries that the ledger holds for these causes.
pub(crate) async fn booked(
    conn: &mut PgConnection,
    causes: &[String],
) -> Result<BTreeSet<EntryKey>, Error> {
    if causes.is_empty() {
        return Ok(BTreeSet::new());
    }
    let rows = sqlx::query!(
        "SELECT entry_id, entry_type, cause, line, sku, location_id, lot FROM stock_ledger WHERE cause = ANY($1)",
        causes,
    )
    .fetch_all(conn)
    .await?;
    let keys = rows.into_iter().map(|row| {
        Ok(EntryKey {
            entry: EntryType::parse(&row.entry_type)
                .ok_or_else(|| inconsistent("stock_ledger", "entry_type", row.entry_id))?,
            cause: row.cause,
            line: row.line,
            key: LevelKey {
                sku: read(&row.sku, "stock_ledger", "sku", row.entry_id)?,
                location: read(
                    &row.location_id,
                    "stock_ledger",
                    "location_id",
                    row.entry_id,
                )?,
                lot: row.lot,
            },
        })
    });
    keys.collect()
}

/// An entry as it stands in the ledger.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Booked {
    /// Number of the entry.
    pub(crate) entry_id: i64,
    /// What it says.
    pub(crate) entry: Entry,
    /// When it was written.
    pub(crate) created_at: OffsetDateTime,
}

/// Up to `limit` entries of a SKU, newest first, before this number; at one location, or at all.
pub(crate) async fn list(
    conn: &mut PgConnection,
    sku: &Sku,
    locations: Option<&[String]>,
    before: i64,
    limit: i64,
) -> Result<Vec<Booked>, Error> {
    let rows = sqlx::query_as!(
        LedgerRow,
        "SELECT entry_id, entry_type, sku, location_id, lot, from_account, to_account, quantity, cause, line, reason,
                reference, actor, created_at
         FROM stock_ledger
         WHERE sku = $1 AND entry_id < $2 AND ($3::text[] IS NULL OR location_id = ANY($3))
         ORDER BY entry_id DESC LIMIT $4",
        sku.as_str(),
        before,
        locations,
        limit,
    )
    .fetch_all(conn)
    .await?;
    rows.into_iter().map(Booked::try_from).collect()
}

struct LedgerRow {
    entry_id: i64,
    entry_type: String,
    sku: String,
    location_id: String,
    lot: String,
    from_account: String,
    to_account: String,
    quantity: i64,
    cause: String,
    line: String,
    reason: String,
    reference: String,
    actor: String,
    created_at: OffsetDateTime,
}

impl TryFrom<LedgerRow> for Booked {
    type Error = Error;

    fn try_from(row: LedgerRow) -> Result<Self, Error> {
        let id = row.entry_id;
        let account = |name: &str, column| {
            Account::parse(name).ok_or_else(|| inconsistent("stock_ledger", column, id))
        };
        Ok(Self {
            entry_id: id,
            entry: Entry {
                entry: EntryType::parse(&row.entry_type)
                    .ok_or_else(|| inconsistent("stock_ledger", "entry_type", id))?,
                key: LevelKey {
                    sku: read(&row.sku, "stock_ledger", "sku", id)?,
                    location: read(&row.location_id, "stock_ledger", "location_id", id)?,
                    lot: row.lot,
                },
                from: account(&row.from_account, "from_account")?,
                to: account(&row.to_account, "to_account")?,
                quantity: row.quantity,
                cause: row.cause,
                line: row.line,
                reason: row.reason,
                reference: row.reference,
                actor: row.actor,
            },
            created_at: row.created_at,
        })
    }
}
