//! The channel of a thing, for callers who may see some channels only.

use std::fmt;

use oms_core::{AddressId, HoldId, InvoiceId, OrderId};

use crate::ctx::Ctx;
use crate::error::Error;
use crate::store::order_channels;

/// Something of an order, which stays in the channel it was placed in.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Thing {
    /// The order.
    Order(OrderId),
    /// A hold.
    Hold(HoldId),
    /// An address.
    Address(AddressId),
    /// An invoice or a credit memo.
    Invoice(InvoiceId),
}

impl Thing {
    /// The word for it in errors.
    pub(crate) fn resource(self) -> &'static str {
        match self {
            Self::Order(_) => "order",
            Self::Hold(_) => "hold",
            Self::Address(_) => "address",
            Self::Invoice(_) => "invoice",
        }
    }
}

/// The id.
impl fmt::Display for Thing {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Order(id) => id.fmt(f),
            Self::Hold(id) => id.fmt(f),
            Self::Address(id) => id.fmt(f),
            Self::Invoice(id) => id.fmt(f),
        }
    }
}

/// The channel of a thing; `None` when there is no such thing.
pub(crate) async fn channel_of(ctx: &Ctx, thing: Thing) -> Result<Option<String>, Error> {
    let mut conn = ctx.db.read().await?;
    let found = match thing {
        Thing::Order(id) => order_channels::of_order(&mut conn, id).await,
        Thing::Hold(id) => order_channels::of_hold(&mut conn, id).await,
        Thing::Address(id) => order_channels::of_address(&mut conn, id).await,
        Thing::Invoice(id) => order_channels::of_invoice(&mut conn, id).await,
    };
    Ok(found?)
}
