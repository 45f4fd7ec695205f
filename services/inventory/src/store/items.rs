//! Items and their barcodes.

use std::collections::BTreeMap;

use oms_core::Sku;
use oms_postgres::Error;
use sqlx::PgConnection;
use time::OffsetDateTime;

use crate::domain::item::Item;

use super::{read, texts};

/// Of the barcodes of these items, those that belong to another SKU: barcode and owner.
pub(crate) async fn barcodes_of_others(
    conn: &mut PgConnection,
    items: &[Item],
) -> Result<BTreeMap<String, String>, Error> {
    let (barcodes, owners) = barcodes_of(items);
    let rows = sqlx::query!(
        "SELECT b.barcode, b.sku
         FROM unnest($1::text[], $2::text[]) AS w (barcode, sku)
         JOIN item_barcodes b ON b.barcode = w.barcode AND b.sku <> w.sku",
        &barcodes as &[&str],
        &owners as &[&str],
    )
    .fetch_all(conn)
    .await?;
    Ok(rows.into_iter().map(|row| (row.barcode, row.sku)).collect())
}

/// Creates or replaces items and answers their new versions. Barcodes are written apart.
pub(crate) async fn upsert(
    conn: &mut PgConnection,
    items: &[Item],
    now: OffsetDateTime,
) -> Result<BTreeMap<String, i64>, Error> {
    let skus: Vec<&str> = items.iter().map(|item| item.sku.as_str()).collect();
    let names: Vec<&str> = items.iter().map(|item| item.name.as_str()).collect();
    let [lengths, widths, heights] = [0, 1, 2].map(|side| {
        items
            .iter()
            .map(|item| side_of(item, side))
            .collect::<Vec<i64>>()
    });
    let masses: Vec<i64> = items.iter().map(|item| item.mass_grams).collect();
    let active: Vec<bool> = items.iter().map(|item| item.active).collect();
    // In the order of SKUs, so that two batches cannot wait for each other.
    let rows = sqlx::query!(
        "INSERT INTO items (sku, name, length_mm, width_mm, height_mm, mass_grams, active, version, updated_at)
         SELECT i.sku, i.name, i.length_mm, i.width_mm, i.height_mm, i.mass_grams, i.active, 1, $8::timestamptz
         FROM unnest($1::text[], $2::text[], $3::bigint[], $4::bigint[], $5::bigint[], $6::bigint[],
                     $7::boolean[]) AS i (sku, name, length_mm, width_mm, height_mm, mass_grams, active)
         ORDER BY i.sku
         ON CONFLICT (sku) DO UPDATE
         SET name = EXCLUDED.name, length_mm = EXCLUDED.length_mm, width_mm = EXCLUDED.width_mm,
             height_mm = EXCLUDED.height_mm, mass_grams = EXCLUDED.mass_grams, active = EXCLUDED.active,
             version = items.version + 1, updated_at = EXCLUDED.updated_at
         RETURNING sku, version",
        &skus as &[&str],
        &names as &[&str],
        &lengths,
        &widths,
        &heights,
        &masses,
        &active,
        now,
    )
    .fetch_all(conn)
    .await?;
    Ok(rows.into_iter().map(|row| (row.sku, row.version)).collect())
}

fn side_of(item: &Item, side: usize) -> i64 {
    item.dimensions_mm.get(side).copied().unwrap_or(0)
}

/// Takes away the barcodes that these items had and have no more.
pub(crate) async fn drop_barcodes(conn: &mut PgConnection, items: &[Item]) -> Result<(), Error> {
    let skus: Vec<&str> = items.iter().map(|item| item.sku.as_str()).collect();
    let (barcodes, owners) = barcodes_of(items);
    sqlx::query!(
        "DELETE FROM item_barcodes b WHERE b.sku = ANY($1)
         AND NOT EXISTS (SELECT FROM unnest($2::text[], $3::text[]) AS k (barcode, sku)
                         WHERE k.barcode = b.barcode AND k.sku = b.sku)",
        &skus as &[&str],
        &barcodes as &[&str],
        &owners as &[&str],
    )
    .execute(conn)
    .await?;
    Ok(())
}

/// Gives these items their barcodes.
pub(crate) async fn add_barcodes(conn: &mut PgConnection, items: &[Item]) -> Result<(), Error> {
    let (barcodes, owners) = barcodes_of(items);
    sqlx::query!(
        "INSERT INTO item_barcodes (barcode, sku)
         SELECT b.barcode, b.sku FROM unnest($1::text[], $2::text[]) AS b (barcode, sku)
         WHERE NOT EXISTS (SELECT FROM item_barcodes o WHERE o.barcode = b.barcode AND o.sku = b.sku)
         ORDER BY b.barcode",
        &barcodes as &[&str],
        &owners as &[&str],
    )
    .execute(conn)
    .await?;
    Ok(())
}

/// Barcodes and, in step, the SKUs they belong to.
fn barcodes_of(items: &[Item]) -> (Vec<&str>, Vec<&str>) {
    let pairs = items.iter().flat_map(|item| {
        item.barcodes
            .iter()
            .map(|barcode| (barcode.as_str(), item.sku.as_str()))
    });
    pairs.unzip()
}

/// Items of these SKUs, by SKU; those that are not known are missing.
pub(crate) async fn get(conn: &mut PgConnection, skus: &[Sku]) -> Result<Vec<Item>, Error> {
    let rows = sqlx::query_as!(
        ItemRow,
        r#"SELECT i.sku, i.name, i.length_mm, i.width_mm, i.height_mm, i.mass_grams, i.active, i.version,
                  l.backorder_max, l.available_from,
                  ARRAY(SELECT b.barcode FROM item_barcodes b WHERE b.sku = i.sku ORDER BY b.barcode) AS "barcodes!"
           FROM items i JOIN sku_lane l ON l.sku = i.sku WHERE i.sku = ANY($1) ORDER BY i.sku"#,
        &texts(skus) as &[&str],
    )
    .fetch_all(&mut *conn)
    .await?;
    with_parts(conn, rows).await
}

/// Up to `limit` items by SKU, after this one.
pub(crate) async fn list(
    conn: &mut PgConnection,
    after: &str,
    limit: i64,
) -> Result<Vec<Item>, Error> {
    let rows = sqlx::query_as!(
        ItemRow,
        r#"SELECT i.sku, i.name, i.length_mm, i.width_mm, i.height_mm, i.mass_grams, i.active, i.version,
                  l.backorder_max, l.available_from,
                  ARRAY(SELECT b.barcode FROM item_barcodes b WHERE b.sku = i.sku ORDER BY b.barcode) AS "barcodes!"
           FROM items i JOIN sku_lane l ON l.sku = i.sku WHERE i.sku > $1 ORDER BY i.sku LIMIT $2"#,
        after,
        limit,
    )
    .fetch_all(&mut *conn)
    .await?;
    with_parts(conn, rows).await
}

async fn with_parts(conn: &mut PgConnection, rows: Vec<ItemRow>) -> Result<Vec<Item>, Error> {
    let mut items: Vec<Item> = rows
        .into_iter()
        .map(Item::try_from)
        .collect::<Result<_, Error>>()?;
    let skus: Vec<Sku> = items.iter().map(|item| item.sku.clone()).collect();
    let mut parts = super::kits::parts_of(conn, &skus).await?;
    for item in &mut items {
        item.parts = parts.remove(&item.sku).unwrap_or_default();
    }
    Ok(items)
}

struct ItemRow {
    sku: String,
    name: String,
    length_mm: i64,
    width_mm: i64,
    height_mm: i64,
    mass_grams: i64,
    active: bool,
    version: i64,
    backorder_max: Option<i64>,
    available_from: Option<OffsetDateTime>,
    barcodes: Vec<String>,
}

impl TryFrom<ItemRow> for Item {
    type Error = Error;

    fn try_from(row: ItemRow) -> Result<Self, Error> {
        Ok(Self {
            sku: read(&row.sku, "items", "sku", &row.sku)?,
            name: row.name,
            barcodes: row.barcodes,
            dimensions_mm: [row.length_mm, row.width_mm, row.height_mm],
            mass_grams: row.mass_grams,
            active: row.active,
            parts: Vec::new(),
            backorder_max: row.backorder_max,
            available_from: row.available_from,
            version: row.version,
        })
    }
}
