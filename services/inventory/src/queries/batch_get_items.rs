//! Items by SKU.

use std::collections::BTreeSet;

use oms_core::Sku;
use oms_postgres::{Db, Error};

use crate::domain::item::Item;
use crate::store;

/// The items, and which of the SKUs are not known.
pub(crate) async fn batch_get_items(
    db: &Db,
    skus: &BTreeSet<Sku>,
) -> Result<(Vec<Item>, Vec<Sku>), Error> {
    let asked: Vec<Sku> = skus.iter().cloned().collect();
    let mut conn = db.snapshot().await?;
    let items = store::items::get(&mut conn, &asked).await?;
    let known: BTreeSet<&Sku> = items.iter().map(|item| &item.sku).collect();
    let unknown = asked
        .into_iter()
        .filter(|sku| !known.contains(sku))
        .collect();
    Ok((items, unknown))
}
