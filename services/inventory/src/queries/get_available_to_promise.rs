//! When how much of a SKU can be promised.

use oms_core::{ChannelId, Sku};
use oms_postgres::{Db, Error};
use time::OffsetDateTime;

use crate::domain::availability::Promise;
use crate::store;
use crate::store::availability::Ask;

/// What is to be promised.
#[derive(Debug)]
pub(crate) struct ToPromise {
    /// SKU.
    pub(crate) sku: Sku,
    /// Units, above zero.
    pub(crate) quantity: i64,
    /// Sales channel whose rule applies.
    pub(crate) channel: Option<ChannelId>,
    /// Times to look at.
    pub(crate) times: Vec<OffsetDateTime>,
}

/// When that can be promised, and the units of demand that waits; `None` when the SKU is not known.
pub(crate) async fn get_available_to_promise(
    db: &Db,
    asked: &ToPromise,
    now: OffsetDateTime,
) -> Result<Option<(Promise, i64)>, Error> {
    let mut conn = db.snapshot().await?;
    let ask = Ask {
        skus: std::slice::from_ref(&asked.sku),
        locations: None,
        waiting: true,
    };
    let found = store::availability::of(&mut conn, ask).await?;
    Ok(found.into_iter().next().map(|stock| {
        let promise = stock.promise(asked.quantity, asked.channel.as_ref(), &asked.times, now);
        (promise, stock.backordered)
    }))
}
