//! Channels of orders and of what belongs to them.

use oms_core::{AddressId, HoldId, InvoiceId, OrderId, PaymentId};
use sqlx::PgConnection;

use super::StoreError;

/// Channel of an order.
pub(crate) async fn of_order(
    conn: &mut PgConnection,
    id: OrderId,
) -> Result<Option<String>, StoreError> {
    let found = sqlx::query_scalar!(
        "SELECT channel_id FROM orders WHERE order_id = $1",
        id.uuid()
    );
    Ok(found.fetch_optional(conn).await?)
}

/// Channel of the order of a hold.
pub(crate) async fn of_hold(
    conn: &mut PgConnection,
    id: HoldId,
) -> Result<Option<String>, StoreError> {
    let found = sqlx::query_scalar!(
        "SELECT o.channel_id FROM holds AS h JOIN orders AS o USING (order_id) WHERE h.hold_id = $1",
        id.uuid()
    );
    Ok(found.fetch_optional(conn).await?)
}

/// Channel of the order of an address.
pub(crate) async fn of_address(
    conn: &mut PgConnection,
    id: AddressId,
) -> Result<Option<String>, StoreError> {
    let found = sqlx::query_scalar!(
        "SELECT o.channel_id FROM addresses AS a JOIN orders AS o USING (order_id)
         WHERE a.address_id = $1",
        id.uuid()
    );
    Ok(found.fetch_optional(conn).await?)
}

/// Channel of the order of an invoice.
pub(crate) async fn of_invoice(
    conn: &mut PgConnection,
    id: InvoiceId,
) -> Result<Option<String>, StoreError> {
    let found = sqlx::query_scalar!(
        "SELECT o.channel_id FROM invoices AS i JOIN orders AS o USING (order_id)
         WHERE i.invoice_id = $1",
        id.uuid()
    );
    Ok(found.fetch_optional(conn).await?)
}

/// Channel of the order of a payment.
pub(crate) async fn of_payment(
    conn: &mut PgConnection,
    id: PaymentId,
) -> Result<Option<String>, StoreError> {
    let found = sqlx::query_scalar!(
        "SELECT o.channel_id FROM payments AS p JOIN orders AS o USING (order_id)
         WHERE p.payment_id = $1",
        id.uuid()
    );
    Ok(found.fetch_optional(conn).await?)
}
