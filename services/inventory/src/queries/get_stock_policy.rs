//! The stock policy of a SKU.

use oms_core::Sku;
use oms_postgres::{Db, Error};

use crate::domain::policy::StockPolicy;
use crate::store;

/// The policy; `None` when none was ever written.
pub(crate) async fn get_stock_policy(db: &Db, sku: &Sku) -> Result<Option<StockPolicy>, Error> {
    let mut conn = db.read().await?;
    let stored = store::policies::stored(&mut conn, std::slice::from_ref(sku)).await?;
    Ok(stored.into_values().next())
}
