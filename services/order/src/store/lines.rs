//! Order lines and their counters.

use std::collections::BTreeMap;

use oms_core::OrderLineId;
use serde::Deserialize;
use sqlx::PgConnection;
use sqlx::types::Json;

use crate::domain::order::{Counters, Order, OrderLine};
use crate::domain::pricing::Amounts;

use super::StoreError;

/// A column of the lines, to be written with one UNNEST.
fn column<T>(lines: &[&OrderLine], of: impl Fn(&OrderLine) -> T) -> Vec<T> {
    lines.iter().map(|line| of(line)).collect()
}

/// Writes the lines of a new order.
pub(crate) async fn insert(conn: &mut PgConnection, order: &Order) -> Result<(), StoreError> {
    let lines: &Vec<&OrderLine> = &order.lines.iter().collect();
    sqlx::query!(
        "INSERT INTO order_lines (order_id, order_line_id, line_number, line_reference, sku, name, ordered,
             unit_price, price_per, discounts, subtotal, discount_total, tax, shipping, total,
             gift_message, custom_fields)
         SELECT $1, * FROM unnest($2::uuid[], $3::int4[], $4::text[], $5::text[], $6::text[], $7::int8[],
             $8::int8[], $9::int8[], $10::jsonb[], $11::int8[], $12::int8[], $13::int8[], $14::int8[],
             $15::int8[], $16::text[], $17::jsonb[])",
        order.order_id.uuid(),
        &column(lines, |line| line.order_line_id.uuid()),
        &column(lines, |line| line.line_number),
        &column(lines, |line| line.line_reference.clone()),
        &column(lines, |line| line.sku.clone()),
        &column(lines, |line| line.name.clone()),
        &column(lines, |line| line.ordered),
        &column(lines, |line| line.unit_price),
        &column(lines, |line| line.price_per),
        &column(lines, |line| Json(line.discounts.clone())) as _,
        &column(lines, |line| line.amounts.subtotal),
        &column(lines, |line| line.amounts.discount),
        &column(lines, |line| line.amounts.tax),
        &column(lines, |line| line.amounts.shipping),
        &column(lines, |line| line.amounts.total),
        &column(lines, |line| line.gift_message.clone()),
        &column(lines, |line| Json(line.custom_fields.clone())) as _,
    )
    .execute(conn)
    .await?;
    Ok(())
}

/// Writes the counters of lines. The caller holds the locks of their orders.
pub(crate) async fn save_counters(
    conn: &mut PgConnection,
    lines: &[&OrderLine],
) -> Result<(), StoreError> {
    sqlx::query!(
        "UPDATE order_lines l SET held = n.held, allocated = n.allocated, backordered = n.backordered,
             canceled = n.canceled, picked = n.picked, packed = n.packed, shipped = n.shipped,
             delivered = n.delivered, return_requested = n.return_requested, returned = n.returned,
             refunded = n.refunded
         FROM unnest($1::uuid[], $2::int8[], $3::int8[], $4::int8[], $5::int8[], $6::int8[], $7::int8[],
             $8::int8[], $9::int8[], $10::int8[], $11::int8[], $12::int8[])
             AS n (order_line_id, held, allocated, backordered, canceled, picked, packed, shipped,
                 delivered, return_requested, returned, refunded)
         WHERE l.order_line_id = n.order_line_id
             AND (l.held, l.allocated, l.backordered, l.canceled, l.picked, l.packed, l.shipped,
                 l.delivered, l.return_requested, l.returned, l.refunded)
             IS DISTINCT FROM (n.held, n.allocated, n.backordered, n.canceled, n.picked, n.packed,
                 n.shipped, n.delivered, n.return_requested, n.returned, n.refunded)",
        &column(lines, |line| line.order_line_id.uuid()),
        &column(lines, |line| line.counters.held),
        &column(lines, |line| line.counters.allocated),
        &column(lines, |line| line.counters.backordered),
        &column(lines, |line| line.counters.canceled),
        &column(lines, |line| line.counters.picked),
        &column(lines, |line| line.counters.packed),
        &column(lines, |line| line.counters.shipped),
        &column(lines, |line| line.counters.delivered),
        &column(lines, |line| line.counters.return_requested),
        &column(lines, |line| line.counters.returned),
        &column(lines, |line| line.counters.refunded),
    )
    .execute(conn)
    .await?;
    Ok(())
}

/// A line as `json_agg` gives it.
#[derive(Debug, Deserialize)]
pub(super) struct LineRow {
    order_line_id: OrderLineId,
    line_number: i32,
    line_reference: String,
    sku: String,
    name: String,
    ordered: i64,
    unit_price: i64,
    price_per: i64,
    discounts: Vec<(String, i64)>,
    subtotal: i64,
    discount_total: i64,
    tax: i64,
    shipping: i64,
    total: i64,
    gift_message: String,
    custom_fields: BTreeMap<String, String>,
    held: i64,
    allocated: i64,
    backordered: i64,
    canceled: i64,
    picked: i64,
    packed: i64,
    shipped: i64,
    delivered: i64,
    return_requested: i64,
    returned: i64,
    refunded: i64,
}

impl From<LineRow> for OrderLine {
    fn from(row: LineRow) -> Self {
        Self {
            order_line_id: row.order_line_id,
            line_number: row.line_number,
            line_reference: row.line_reference,
            sku: row.sku,
            name: row.name,
            ordered: row.ordered,
            unit_price: row.unit_price,
            price_per: row.price_per,
            discounts: row.discounts,
            amounts: Amounts {
                subtotal: row.subtotal,
                discount: row.discount_total,
                tax: row.tax,
                shipping: row.shipping,
                total: row.total,
            },
            gift_message: row.gift_message,
            custom_fields: row.custom_fields,
            counters: Counters {
                held: row.held,
                allocated: row.allocated,
                backordered: row.backordered,
                canceled: row.canceled,
                picked: row.picked,
                packed: row.packed,
                shipped: row.shipped,
                delivered: row.delivered,
                return_requested: row.return_requested,
                returned: row.returned,
                refunded: row.refunded,
            },
        }
    }
}
