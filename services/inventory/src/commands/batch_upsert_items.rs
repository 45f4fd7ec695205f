//! Creates or replaces items.

use std::collections::{BTreeMap, BTreeSet};

use oms_core::{Sku, Violations};
use oms_postgres::{idempotency, outbox};
use sqlx::PgConnection;

use crate::domain::item::Item;
use crate::domain::refusal::Refusal;
use crate::messages::{self, Stamp};
use crate::store;

use super::{Call, Ctx, Error};

/// Writes the items in one transaction and answers them as they are now, in the order of the request.
pub(crate) async fn batch_upsert_items(
    ctx: &Ctx,
    call: Call,
    items: Vec<Item>,
) -> Result<Vec<Item>, Error> {
    let (call, items) = (&call, &items);
    let written = ctx
        .db
        .run_tx("batch_upsert_items", |tx| {
            Box::pin(async move {
                let key = call.key();
                if idempotency::check(tx, &key).await?.is_none() {
                    write(tx, ctx, call, items.clone()).await?;
                    idempotency::record(tx, &key, "").await?;
                }
                let skus: Vec<Sku> = items.iter().map(|item| item.sku.clone()).collect();
                Ok::<_, Error>(store::items::get(tx, &skus).await?)
            })
        })
        .await;
    let mut written: BTreeMap<Sku, Item> = taken_meanwhile(written)?
        .into_iter()
        .map(|item| (item.sku.clone(), item))
        .collect();
    Ok(items
        .iter()
        .filter_map(|item| written.remove(&item.sku))
        .collect())
}

async fn write(
    conn: &mut PgConnection,
    ctx: &Ctx,
    call: &Call,
    mut items: Vec<Item>,
) -> Result<(), Error> {
    let now = ctx.clock.now();
    let versions = store::items::upsert(conn, &items, now).await?;
    for item in &mut items {
        item.version = versions.get(item.sku.as_str()).copied().unwrap_or(1);
    }
    store::items::drop_barcodes(conn, &items).await?;
    let mut violations = Violations::default();
    let owners = store::items::barcodes_of_others(conn, &items).await?;
    check_barcodes(&items, &owners, &mut violations);
    let skus: Vec<Sku> = items.iter().map(|item| item.sku.clone()).collect();
    store::lanes::open(conn, &skus).await?;
    write_selling(conn, &items, &skus, &mut violations).await?;
    violations.into_result().map_err(Refusal::Invalid)?;
    store::items::add_barcodes(conn, &items).await?;
    let actor = call.principal.to_string();
    let stamp = Stamp {
        ids: &*ctx.ids,
        actor: &actor,
        now,
    };
    outbox::append_all(conn, &messages::of_items(stamp, &items)).await?;
    Ok(())
}

/// `owners` holds the barcodes that belong to other SKUs.
fn check_barcodes(items: &[Item], owners: &BTreeMap<String, String>, violations: &mut Violations) {
    for (number, item) in items.iter().enumerate() {
        for (place, barcode) in item.barcodes.iter().enumerate() {
            let owner = owners.get(barcode);
            violations.check(
                owner.is_none(),
                format!("items[{number}].barcodes[{place}]"),
                "DUPLICATE",
                format!(
                    "{barcode} belongs to {}",
                    owner.map_or("another SKU", String::as_str)
                ),
            );
        }
    }
}

/// Writes kits and what may wait, under the lanes of the items where that changes and of their components. What is
/// wrong with it is added to the violations, for which the caller gives up.
async fn write_selling(
    conn: &mut PgConnection,
    items: &[Item],
    skus: &[Sku],
    violations: &mut Violations,
) -> Result<(), Error> {
    let stored = store::items::get(conn, skus).await?;
    let stored: BTreeMap<&Sku, &Item> = stored.iter().map(|item| (&item.sku, item)).collect();
    let is_new = |item: &&Item| {
        let stored = stored.get(&item.sku);
        stored.is_none_or(|stored| !stored.sells_like(item))
    };
    let changed: Vec<&Item> = items.iter().filter(is_new).collect();
    if changed.is_empty() {
        return Ok(());
    }
    let components = changed.iter().flat_map(|item| &item.parts);
    let components = components.map(|part| part.sku.clone());
    let lanes: BTreeSet<Sku> = changed
        .iter()
        .map(|item| item.sku.clone())
        .chain(components)
        .collect();
    let lanes: Vec<Sku> = lanes.into_iter().collect();
    let locked = store::lanes::lock(conn, &lanes).await?;
    let known: BTreeSet<&Sku> = locked.iter().map(|lane| &lane.sku).collect();
    if !check_components(items, &known, violations) {
        return Ok(());
    }
    store::kits::write(conn, &changed).await?;
    let kits: Vec<Sku> = changed
        .iter()
        .filter(|item| !item.parts.is_empty())
        .map(|item| item.sku.clone())
        .collect();
    let nested = store::kits::nested(conn, &kits).await?;
    let stocked = store::kits::stocked(conn, &kits).await?;
    for (number, item) in items.iter().enumerate() {
        let is_in = |found: &[String]| found.iter().any(|sku| sku == item.sku.as_str());
        let field = format!("items[{number}].components");
        let message = "a kit is neither made of kits nor part of one";
        violations.check(!is_in(&nested), &field, "KIT_NESTED", message);
        let message = "an item with stock or open reservations is no kit";
        violations.check(!is_in(&stocked), &field, "SKU_HAS_STOCK", message);
    }
    Ok(())
}

/// False when a component is not known. Only those of items that change were looked up.
fn check_components(items: &[Item], known: &BTreeSet<&Sku>, violations: &mut Violations) -> bool {
    let mut all_known = true;
    for (number, item) in items.iter().enumerate() {
        let parts = item.parts.iter().enumerate();
        for (place, part) in parts.filter(|_| known.contains(&item.sku)) {
            all_known &= violations.check(
                known.contains(&part.sku),
                format!("items[{number}].components[{place}].sku"),
                "SKU_UNKNOWN",
                format!("{} is not known", part.sku),
            );
        }
    }
    all_known
}

/// A barcode that another call gave away between our look and our write.
fn taken_meanwhile<T>(written: Result<T, Error>) -> Result<T, Error> {
    match written {
        Err(Error::Store(error)) if error.constraint() == Some("item_barcodes_pkey") => {
            Err(Error::Conflict)
        }
        other => other,
    }
}
