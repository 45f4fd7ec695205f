//! One file per read.

pub(crate) mod channel_of;
pub(crate) mod export_customer_data;
pub(crate) mod get_backlog;
pub(crate) mod get_credit_account;
pub(crate) mod get_invoice_document;
pub(crate) mod get_order;
pub(crate) mod get_order_address;
pub(crate) mod get_order_timeline;
pub(crate) mod get_order_trace;
pub(crate) mod get_store_credit;
pub(crate) mod get_webhook_delivery;
pub(crate) mod get_webhook_endpoint;
pub(crate) mod list_at_risk;
pub(crate) mod list_channels;
pub(crate) mod list_exceptions;
pub(crate) mod list_holds;
pub(crate) mod list_invoices;
pub(crate) mod list_orders;
pub(crate) mod list_payments;
pub(crate) mod list_webhook_deliveries;
pub(crate) mod list_webhook_endpoints;

use oms_core::OrderId;
use sqlx::PgConnection;

use crate::error::Error;
use crate::store::orders;

/// Fails unless there is such an order.
async fn known(conn: &mut PgConnection, order_id: OrderId) -> Result<(), Error> {
    if orders::exists(conn, order_id).await? {
        return Ok(());
    }
    Err(Error::order_not_found(order_id))
}
