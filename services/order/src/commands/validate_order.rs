//! Checks and prices an order without writing anything. [`super::place_order`] begins with the same.

use std::collections::HashMap;

use oms_core::{AddressId, OrderId, OrderLineId};
use uuid::Uuid;

use crate::ctx::Ctx;
use crate::domain::assemble::{NewIds, assemble};
use crate::domain::new_order::{self, Channel, Known, NewOrder, PricedOrder};
use crate::domain::order::Order;
use crate::error::Error;
use crate::store::channels;

/// A checked order with what was asked elsewhere for it.
pub(super) struct Checked {
    /// Channel it came by.
    pub(super) channel: Channel,
    /// Names of its SKUs.
    pub(super) item_names: HashMap<String, String>,
    /// Its prices.
    pub(super) priced: PricedOrder,
}

/// The order as it would be priced, without id and number.
pub(crate) async fn validate_order(ctx: &Ctx, new: &NewOrder) -> Result<Order, Error> {
    let checked = check(ctx, new).await?;
    let nobody = Uuid::nil();
    let ids = NewIds {
        order_id: OrderId::new(nobody),
        ship_address_id: AddressId::new(nobody),
        bill_address_id: AddressId::new(nobody),
        lines: vec![OrderLineId::new(nobody); new.lines.len()],
    };
    let (channel, names) = (&checked.channel, &checked.item_names);
    let mut order = assemble(
        new,
        &checked.priced,
        channel,
        names,
        &ids,
        String::new(),
        ctx.now(),
    );
    ctx.config.deadlines.set(&mut order, new.ship_by);
    Ok(order)
}

/// Asks for the channel and the items, then tells everything that is wrong at once.
pub(super) async fn check(ctx: &Ctx, new: &NewOrder) -> Result<Checked, Error> {
    let channel = {
        let mut conn = ctx.db.read().await?;
        channels::load(&mut conn, &new.channel_id).await?
    };
    let skus = new_order::skus(new);
    let item_names = if skus.is_empty() {
        HashMap::new()
    } else {
        let asked = ctx.inventory.item_names(&skus).await;
        asked.map_err(|source| Error::Peer {
            peer: "inventory",
            source,
        })?
    };
    let known = Known {
        channel: channel.as_ref(),
        item_names: &item_names,
        providers: &ctx.providers.names(),
    };
    let priced = new_order::check(new, &known)?;
    let Some(channel) = channel else {
        // An unknown channel is a violation, so the check has failed already.
        return Err(Error::NotFound {
            resource: "channel",
            id: new.channel_id.clone(),
        });
    };
    Ok(Checked {
        channel,
        item_names,
        priced,
    })
}
