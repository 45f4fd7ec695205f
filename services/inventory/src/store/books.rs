//! What ledger, levels and open reservations say, compared at one moment.

use std::collections::BTreeMap;

use oms_core::Sku;
use oms_postgres::Error;
use sqlx::PgConnection;

use crate::domain::account::Account;
use crate::domain::books::{self, Books};
use crate::domain::level::LevelKey;

use super::{inconsistent, read, texts};

/// What was read of a SKU.
#[derive(Debug, Clone, Default)]
pub(crate) struct SkuRead {
    /// Entries that were read.
    pub(crate) entries: i64,
    /// The last of them; 0 when there were none.
    pub(crate) last_entry_id: i64,
    /// The books per level; of the ledger only what was read just now.
    pub(crate) levels: BTreeMap<LevelKey, Books>,
}

/// Reads the books of SKUs, each with the entry after which to read and up to `limit` entries. Who has read fewer
/// has read all that there were at this moment.
pub(crate) async fn read_all(
    conn: &mut PgConnection,
    skus: &[Sku],
    after: &[i64],
    limit: i64,
) -> Result<BTreeMap<Sku, SkuRead>, Error> {
    let rows = sqlx::query_file!(
        "src/store/sql/read_books.sql",
        &texts(skus) as &[&str],
        after,
        limit
    )
    .fetch_all(conn)
    .await?;
    let mut found: BTreeMap<Sku, SkuRead> = skus
        .iter()
        .map(|sku| (sku.clone(), SkuRead::default()))
        .collect();
    for row in rows {
        let sku: Sku = read(&row.sku, "stock_ledger", "sku", &row.sku)?;
        let of_sku = found.entry(sku.clone()).or_default();
        if row.book == "READ" {
            of_sku.entries = row.units;
            of_sku.last_entry_id = row.entry_id;
            continue;
        }
        let id = format!("{}/{}/{}", row.sku, row.location_id, row.lot);
        let key = LevelKey {
            sku,
            location: read(&row.location_id, "stock_ledger", "location_id", &id)?,
            lot: row.lot,
        };
        let account = Account::parse(&row.account)
            .ok_or_else(|| inconsistent("stock_ledger", "account", &id))?;
        let of_level = of_sku.levels.entry(key).or_default();
        let book = match row.book.as_str() {
            "LEDGER" => &mut of_level.ledger,
            "STORED" => &mut of_level.stored,
            _ => &mut of_level.reserved,
        };
        books::add(book, account, row.units);
    }
    Ok(found)
}
