//! What kits are made of, and how much demand may wait. Written under the lanes of the kits and of their components.

use std::collections::BTreeMap;

use oms_core::Sku;
use oms_postgres::Error;
use sqlx::PgConnection;

use crate::domain::item::Item;
use crate::domain::kit::{Kit, Part};

use super::{read, texts};

/// Components of these items, by kit; items that are none are missing.
pub(crate) async fn parts_of(
    conn: &mut PgConnection,
    skus: &[Sku],
) -> Result<BTreeMap<Sku, Vec<Part>>, Error> {
    let rows = sqlx::query!(
        "SELECT kit_sku, component_sku, quantity FROM item_components
         WHERE kit_sku = ANY($1) ORDER BY kit_sku, component_sku",
        &texts(skus) as &[&str],
    )
    .fetch_all(conn)
    .await?;
    let mut parts: BTreeMap<Sku, Vec<Part>> = BTreeMap::new();
    for row in rows {
        let kit = read(&row.kit_sku, "item_components", "kit_sku", &row.kit_sku)?;
        parts.entry(kit).or_default().push(Part {
            sku: read(
                &row.component_sku,
                "item_components",
                "component_sku",
                &row.kit_sku,
            )?,
            quantity: row.quantity,
        });
    }
    Ok(parts)
}

/// Those of these SKUs that are kits, with what they are made of, all of one moment.
pub(crate) async fn get(conn: &mut PgConnection, skus: &[Sku]) -> Result<Vec<(Sku, Kit)>, Error> {
    let rows = sqlx::query!(
        "SELECT l.sku, l.kit_version, c.component_sku, c.quantity
         FROM sku_lane l JOIN item_components c ON c.kit_sku = l.sku
         WHERE l.sku = ANY($1) AND l.kit_version > 0 ORDER BY l.sku, c.component_sku",
        &texts(skus) as &[&str],
    )
    .fetch_all(conn)
    .await?;
    let mut kits: BTreeMap<Sku, Kit> = BTreeMap::new();
    for row in rows {
        let sku: Sku = read(&row.sku, "sku_lane", "sku", &row.sku)?;
        let kit = kits.entry(sku).or_insert_with(|| Kit {
            version: row.kit_version,
            parts: Vec::new(),
        });
        kit.parts.push(Part {
            sku: read(
                &row.component_sku,
                "item_components",
                "component_sku",
                &row.sku,
            )?,
            quantity: row.quantity,
        });
    }
    Ok(kits.into_iter().collect())
}

/// Versions of these SKUs as kits; 0 for what is none.
pub(crate) async fn versions(
    conn: &mut PgConnection,
    skus: &[Sku],
) -> Result<BTreeMap<Sku, i64>, Error> {
    if skus.is_empty() {
        return Ok(BTreeMap::new());
    }
    let rows = sqlx::query!(
        "SELECT sku, kit_version FROM sku_lane WHERE sku = ANY($1)",
        &texts(skus) as &[&str],
    )
    .fetch_all(conn)
    .await?;
    let versions = rows.into_iter().map(|row| {
        let sku = read(&row.sku, "sku_lane", "sku", &row.sku)?;
        Ok((sku, row.kit_version))
    });
    versions.collect()
}

/// Writes what these items are made of and how much of them may wait. Units that wait beyond it already may go on.
pub(crate) async fn write(conn: &mut PgConnection, items: &[&Item]) -> Result<(), Error> {
    let skus: Vec<&str> = items.iter().map(|item| item.sku.as_str()).collect();
    sqlx::query!(
        "DELETE FROM item_components WHERE kit_sku = ANY($1)",
        &skus as &[&str],
    )
    .execute(&mut *conn)
    .await?;
    let parts: Vec<(&str, &Part)> = items
        .iter()
        .flat_map(|item| item.parts.iter().map(|part| (item.sku.as_str(), part)))
        .collect();
    let kits: Vec<&str> = parts.iter().map(|(kit, _)| *kit).collect();
    let components: Vec<&str> = parts.iter().map(|(_, part)| part.sku.as_str()).collect();
    let quantities: Vec<i64> = parts.iter().map(|(_, part)| part.quantity).collect();
    sqlx::query!(
        "INSERT INTO item_components (kit_sku, component_sku, quantity)
         SELECT c.kit_sku, c.component_sku, c.quantity
         FROM unnest($1::text[], $2::text[], $3::bigint[]) AS c (kit_sku, component_sku, quantity)",
        &kits as &[&str],
        &components as &[&str],
        &quantities,
    )
    .execute(&mut *conn)
    .await?;
    let versions: Vec<i64> = items.iter().map(|item| item.kit_version()).collect();
    let caps: Vec<Option<i64>> = items.iter().map(|item| item.backorder_max).collect();
    let dates: Vec<_> = items.iter().map(|item| item.available_from).collect();
    sqlx::query!(
        "UPDATE sku_lane t
         SET kit_version = n.kit_version, backorder_max = n.backorder_max, available_from = n.available_from,
             backorder_excess = GREATEST(0, t.backordered - n.backorder_max)
         FROM unnest($1::text[], $2::bigint[], $3::bigint[], $4::timestamptz[])
              AS n (sku, kit_version, backorder_max, available_from)
         WHERE t.sku = n.sku",
        &skus as &[&str],
        &versions,
        &caps as &[Option<i64>],
        &dates as &[Option<time::OffsetDateTime>],
    )
    .execute(conn)
    .await?;
    Ok(())
}

/// Of these SKUs, those that have a kit for a component or are the component of one although they are kits.
pub(crate) async fn nested(conn: &mut PgConnection, skus: &[Sku]) -> Result<Vec<String>, Error> {
    let found = sqlx::query_scalar!(
        r#"SELECT DISTINCT s.sku AS "sku!" FROM unnest($1::text[]) AS s (sku)
           JOIN item_components own ON own.kit_sku = s.sku
           WHERE EXISTS (SELECT FROM item_components inner_kit WHERE inner_kit.kit_sku = own.component_sku)
              OR EXISTS (SELECT FROM item_components outer_kit WHERE outer_kit.component_sku = s.sku)"#,
        &texts(skus) as &[&str],
    )
    .fetch_all(conn)
    .await?;
    Ok(found)
}

/// Of these SKUs, those with stock or open reservations of their own.
pub(crate) async fn stocked(conn: &mut PgConnection, skus: &[Sku]) -> Result<Vec<String>, Error> {
    let found = sqlx::query_scalar!(
        "SELECT l.sku FROM sku_lane l
         WHERE l.sku = ANY($1)
           AND (l.backordered > 0
                OR EXISTS (SELECT FROM stock_level s WHERE s.sku = l.sku
                           AND s.available + s.held + s.allocated + s.count_pending + s.quarantine + s.qc + s.damaged
                               + s.refurb > 0))",
        &texts(skus) as &[&str],
    )
    .fetch_all(conn)
    .await?;
    Ok(found)
}
