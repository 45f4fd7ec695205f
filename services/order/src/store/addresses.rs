//! Addresses: personal data, sealed. Rows of before stand in clear until the service has sealed them.

use oms_core::{AddressId, OrderId};
use oms_seal::WrappedKey;
use sqlx::PgConnection;
use uuid::Uuid;

use crate::domain::address::Address;
use crate::domain::erasure::Subject;

use super::StoreError;
use super::data_keys::StoredKey;

/// An address as it stands in its row.
#[derive(Debug)]
pub(crate) enum StoredAddress {
    /// Not sealed yet.
    Clear(Address),
    /// Sealed under a key that is in use.
    Sealed {
        /// The key.
        key: StoredKey,
        /// The sealed address.
        sealed: Vec<u8>,
    },
    /// Sealed under a key that is gone.
    Erased,
}

/// An address that is not sealed yet, with whose it is.
#[derive(Debug)]
pub(crate) struct ClearAddress {
    /// Address.
    pub(crate) address_id: AddressId,
    /// Whose.
    pub(crate) subject: Subject,
    /// What it says.
    pub(crate) address: Address,
}

/// Writes an address of an order.
pub(crate) async fn insert(
    conn: &mut PgConnection,
    order_id: OrderId,
    address_id: AddressId,
    key_id: Uuid,
    sealed: &[u8],
) -> Result<(), StoreError> {
    sqlx::query!(
        "INSERT INTO addresses (address_id, order_id, key_id, sealed) VALUES ($1, $2, $3, $4)",
        address_id.uuid(),
        order_id.uuid(),
        key_id,
        sealed
    )
    .execute(conn)
    .await?;
    Ok(())
}

/// Reads an address.
pub(crate) async fn load(
    conn: &mut PgConnection,
    address_id: AddressId,
) -> Result<Option<StoredAddress>, StoreError> {
    let row = sqlx::query!(
        r#"SELECT recipient, address_lines, locality, administrative_area, postal_code, country_code, phone, email,
             a.key_id, sealed, k.master_key_id AS "master_key_id?", k.wrapped AS "wrapped?"
         FROM addresses a LEFT JOIN data_keys k ON k.key_id = a.key_id WHERE address_id = $1"#,
        address_id.uuid()
    )
    .fetch_optional(conn)
    .await?;
    let Some(row) = row else {
        return Ok(None);
    };
    let (Some(key_id), Some(sealed)) = (row.key_id, row.sealed) else {
        return Ok(Some(StoredAddress::Clear(Address {
            recipient: row.recipient.unwrap_or_default(),
            address_lines: row.address_lines.unwrap_or_default(),
            locality: row.locality.unwrap_or_default(),
            administrative_area: row.administrative_area.unwrap_or_default(),
            postal_code: row.postal_code.unwrap_or_default(),
            country_code: row.country_code.unwrap_or_default(),
            phone: row.phone.unwrap_or_default(),
            email: row.email.unwrap_or_default(),
        })));
    };
    let (Some(master_key_id), Some(bytes)) = (row.master_key_id, row.wrapped) else {
        return Ok(Some(StoredAddress::Erased));
    };
    let wrapped = WrappedKey {
        master_key_id,
        bytes,
    };
    let key = StoredKey { key_id, wrapped };
    Ok(Some(StoredAddress::Sealed { key, sealed }))
}

/// Locks some addresses that are not sealed yet, of everybody or of one subject; rows that others have locked are left
/// for later.
pub(crate) async fn lock_clear(
    conn: &mut PgConnection,
    of: Option<&Subject>,
    limit: i64,
) -> Result<Vec<ClearAddress>, StoreError> {
    let (customer_id, order_id) = match of {
        None => (None, None),
        Some(Subject::Customer(customer_id)) => (Some(customer_id), None),
        Some(Subject::Order(order_id)) => (None, Some(order_id.uuid())),
    };
    let rows = sqlx::query!(
        r#"SELECT address_id, a.order_id, o.customer_id, recipient AS "recipient!",
             address_lines AS "address_lines!", locality AS "locality!",
             administrative_area AS "administrative_area!", a.postal_code AS "postal_code!",
             a.country_code AS "country_code!", phone AS "phone!", email AS "email!"
         FROM addresses a JOIN orders o ON o.order_id = a.order_id
         WHERE sealed IS NULL AND ($1::text IS NULL OR o.customer_id = $1)
             AND ($2::uuid IS NULL OR a.order_id = $2)
         LIMIT $3 FOR UPDATE OF a SKIP LOCKED"#,
        customer_id,
        order_id,
        limit
    )
    .fetch_all(conn)
    .await?;
    let clear = rows.into_iter().map(|row| ClearAddress {
        address_id: AddressId::new(row.address_id),
        subject: Subject::of(OrderId::new(row.order_id), &row.customer_id),
        address: Address {
            recipient: row.recipient,
            address_lines: row.address_lines,
            locality: row.locality,
            administrative_area: row.administrative_area,
            postal_code: row.postal_code,
            country_code: row.country_code,
            phone: row.phone,
            email: row.email,
        },
    });
    Ok(clear.collect())
}

/// Locks the addresses of a subject that are not sealed yet, also those that somebody is about to seal.
pub(crate) async fn lock_clear_of(
    conn: &mut PgConnection,
    subject: &Subject,
) -> Result<(), StoreError> {
    let (customer_id, order_id) = subject.columns();
    sqlx::query!(
        "SELECT FROM addresses a JOIN orders o ON o.order_id = a.order_id
         WHERE sealed IS NULL AND ((o.customer_id = $1 AND o.customer_id <> '') OR o.order_id = $2)
         FOR UPDATE OF a",
        customer_id,
        order_id
    )
    .execute(conn)
    .await?;
    Ok(())
}

/// Replaces a clear address that this transaction has locked by its sealed form.
pub(crate) async fn seal(
    conn: &mut PgConnection,
    address_id: AddressId,
    key_id: Uuid,
    sealed: &[u8],
) -> Result<(), StoreError> {
    sqlx::query!(
        "UPDATE addresses SET key_id = $2, sealed = $3, recipient = NULL, address_lines = NULL, locality = NULL,
             administrative_area = NULL, postal_code = NULL, country_code = NULL, phone = NULL, email = NULL
         WHERE address_id = $1",
        address_id.uuid(),
        key_id,
        sealed
    )
    .execute(conn)
    .await?;
    Ok(())
}
