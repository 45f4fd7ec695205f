//! Where a thing is, for callers who may see some locations only.

use std::fmt;

use oms_core::{FulfillmentOrderId, LocationId, PackSessionId, PickListId, WaveId};

use crate::ctx::Ctx;
use crate::error::Error;
use crate::store;

/// A thing that stays at the location it was made for.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Thing {
    /// A fulfillment order.
    FulfillmentOrder(FulfillmentOrderId),
    /// A pick list.
    PickList(PickListId),
    /// A wave.
    Wave(WaveId),
    /// A pack session.
    PackSession(PackSessionId),
}

impl Thing {
    /// The word for it in errors.
    pub(crate) fn resource(self) -> &'static str {
        match self {
            Self::FulfillmentOrder(_) => "fulfillment_order",
            Self::PickList(_) => "pick_list",
            Self::Wave(_) => "wave",
            Self::PackSession(_) => "pack_session",
        }
    }
}

/// The id.
impl fmt::Display for Thing {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::FulfillmentOrder(id) => id.fmt(f),
            Self::PickList(id) => id.fmt(f),
            Self::Wave(id) => id.fmt(f),
            Self::PackSession(id) => id.fmt(f),
        }
    }
}

/// The location of a thing; `None` when there is no such thing.
pub(crate) async fn location_of(ctx: &Ctx, thing: Thing) -> Result<Option<LocationId>, Error> {
    let mut conn = ctx.db.read().await?;
    let found = match thing {
        Thing::FulfillmentOrder(id) => store::locations::of_order(&mut conn, id).await,
        Thing::PickList(id) => store::locations::of_pick_list(&mut conn, id).await,
        Thing::Wave(id) => store::locations::of_wave(&mut conn, id).await,
        Thing::PackSession(id) => store::locations::of_pack_session(&mut conn, id).await,
    };
    Ok(found?)
}
