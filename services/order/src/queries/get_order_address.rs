//! The full address for printing. Personal data: it goes nowhere but into the answer.

use oms_core::AddressId;

use crate::ctx::Ctx;
use crate::domain::address::Address;
use crate::error::Error;
use crate::privacy;
use crate::store::addresses;

/// Reads an address.
pub(crate) async fn get_order_address(ctx: &Ctx, address_id: AddressId) -> Result<Address, Error> {
    let mut conn = ctx.db.read().await?;
    let stored = addresses::load(&mut conn, address_id).await?;
    let stored = stored.ok_or_else(|| Error::NotFound {
        resource: "address",
        id: address_id.to_string(),
    })?;
    privacy::open_address(ctx, address_id, stored)
}
