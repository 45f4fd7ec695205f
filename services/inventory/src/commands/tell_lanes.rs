//! Tells what was written under the locks of lanes by others than the lanes.

use std::collections::BTreeMap;

use oms_core::Sku;
use oms_postgres::outbox;
use sqlx::PgConnection;

use crate::domain::told::StockFact;
use crate::messages::{self, Stamp};
use crate::store;
use crate::store::lanes::Lane;

use super::{Call, Ctx, Error};

/// Appends the events; the versions of the lanes, which are locked, rise by as many.
pub(super) async fn tell_lanes(
    conn: &mut PgConnection,
    ctx: &Ctx,
    call: &Call,
    lanes: &[Lane],
    facts: &BTreeMap<Sku, Vec<StockFact>>,
) -> Result<(), Error> {
    let actor = call.principal.to_string();
    let stamp = Stamp {
        ids: &*ctx.ids,
        actor: &actor,
        now: ctx.clock.now(),
    };
    let versions = lanes.iter().map(|lane| (lane.sku.clone(), lane.version));
    let events = messages::of_stock(stamp, facts, &versions.collect());
    let told = facts.iter().map(|(sku, facts)| (sku, facts.len()));
    store::lanes::advance(conn, told).await?;
    Ok(outbox::append_all(conn, &events).await?)
}
