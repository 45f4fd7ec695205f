//! Creates or replaces items.

use std::collections::BTreeMap;

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
    check_barcodes(
        &items,
        &store::items::barcodes_of_others(conn, &items).await?,
    )?;
    store::items::add_barcodes(conn, &items).await?;
    let skus: Vec<Sku> = items.iter().map(|item| item.sku.clone()).collect();
    store::lanes::open(conn, &skus).await?;
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
fn check_barcodes(items: &[Item], owners: &BTreeMap<String, String>) -> Result<(), Refusal> {
    let mut violations = Violations::default();
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
    violations.into_result().map_err(Refusal::Invalid)
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
