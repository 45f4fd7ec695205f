//! Addresses: the only table with personal data.

use oms_core::{AddressId, OrderId};
use sqlx::PgConnection;

use crate::domain::address::Address;

use super::StoreError;

/// Writes an address of an order.
pub(crate) async fn insert(
    conn: &mut PgConnection,
    order_id: OrderId,
    address_id: AddressId,
    address: &Address,
) -> Result<(), StoreError> {
    sqlx::query!(
        "INSERT INTO addresses (address_id, order_id, recipient, address_lines, locality,
             administrative_area, postal_code, country_code, phone, email)
         VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10)",
        address_id.uuid(),
        order_id.uuid(),
        address.recipient,
        &address.address_lines,
        address.locality,
        address.administrative_area,
        address.postal_code,
        address.country_code,
        address.phone,
        address.email,
    )
    .execute(conn)
    .await?;
    Ok(())
}

/// Reads an address.
pub(crate) async fn load(
    conn: &mut PgConnection,
    address_id: AddressId,
) -> Result<Option<Address>, StoreError> {
    let address = sqlx::query_as!(
        Address,
        "SELECT recipient, address_lines, locality, administrative_area, postal_code, country_code,
             phone, email
         FROM addresses WHERE address_id = $1",
        address_id.uuid()
    )
    .fetch_optional(conn)
    .await?;
    Ok(address)
}
