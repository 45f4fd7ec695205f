//! Lines of fulfillment orders and the copies of items on them.

use oms_core::{FulfillmentOrderId, OrderLineId, ReservationId};
use oms_postgres::Error;
use serde::{Deserialize, Serialize};
use sqlx::PgConnection;
use uuid::Uuid;

use crate::domain::fulfillment_order::{Dimensions, FulfillmentOrder, Item, Line};

/// A row of `fulfillment_order_lines`, also as `json_agg` gives it.
#[derive(Debug, Serialize, Deserialize)]
pub(super) struct LineRow {
    fulfillment_order_line_id: Uuid,
    fulfillment_order_id: Uuid,
    line_number: i32,
    order_line_id: Uuid,
    sku: String,
    lot: String,
    reservation_id: Uuid,
    name: String,
    barcodes: Vec<String>,
    mass_grams: i64,
    length_mm: i64,
    width_mm: i64,
    height_mm: i64,
    item_version: i64,
    total: i64,
    picked: i64,
    packing: i64,
    packed: i64,
    shipped: i64,
    short: i64,
    canceled: i64,
}

impl LineRow {
    fn of(order: FulfillmentOrderId, line_number: i32, line: &Line) -> Self {
        let Item {
            sku,
            name,
            barcodes,
            mass_grams,
            dimensions,
            version,
        } = line.item.clone();
        Self {
            fulfillment_order_line_id: line.id,
            fulfillment_order_id: order.uuid(),
            line_number,
            order_line_id: line.order_line_id.uuid(),
            sku,
            lot: line.lot.clone(),
            reservation_id: line.reservation_id.uuid(),
            name,
            barcodes,
            mass_grams,
            length_mm: dimensions.length_mm,
            width_mm: dimensions.width_mm,
            height_mm: dimensions.height_mm,
            item_version: version,
            total: line.total,
            picked: line.picked,
            packing: line.packing,
            packed: line.packed,
            shipped: line.shipped,
            short: line.short,
            canceled: line.canceled,
        }
    }

    pub(super) fn into_line(self) -> Line {
        Line {
            id: self.fulfillment_order_line_id,
            order_line_id: OrderLineId::new(self.order_line_id),
            item: Item {
                sku: self.sku,
                name: self.name,
                barcodes: self.barcodes,
                mass_grams: self.mass_grams,
                dimensions: Dimensions {
                    length_mm: self.length_mm,
                    width_mm: self.width_mm,
                    height_mm: self.height_mm,
                },
                version: self.item_version,
            },
            lot: self.lot,
            reservation_id: ReservationId::new(self.reservation_id),
            total: self.total,
            picked: self.picked,
            packing: self.packing,
            packed: self.packed,
            shipped: self.shipped,
            short: self.short,
            canceled: self.canceled,
        }
    }
}

/// Inserts the lines of new fulfillment orders with one statement.
pub(super) async fn insert_all(
    conn: &mut PgConnection,
    orders: &[FulfillmentOrder],
) -> Result<(), Error> {
    let rows: Vec<LineRow> = orders
        .iter()
        .flat_map(|order| {
            (1..)
                .zip(&order.lines)
                .map(|(number, line)| LineRow::of(order.id, number, line))
        })
        .collect();
    // As JSON, since arrays of arrays (barcodes) cannot be unnested by row.
    sqlx::query!(
        "INSERT INTO fulfillment_order_lines
            (fulfillment_order_line_id, fulfillment_order_id, line_number, order_line_id, sku, lot,
             reservation_id, name, barcodes, mass_grams, length_mm, width_mm, height_mm, item_version,
             total, picked, packing, packed, shipped, short, canceled)
         SELECT fulfillment_order_line_id, fulfillment_order_id, line_number, order_line_id, sku, lot,
             reservation_id, name, barcodes, mass_grams, length_mm, width_mm, height_mm, item_version,
             total, picked, packing, packed, shipped, short, canceled
         FROM jsonb_to_recordset($1::jsonb) AS l (
             fulfillment_order_line_id uuid, fulfillment_order_id uuid, line_number integer,
             order_line_id uuid, sku text, lot text, reservation_id uuid, name text, barcodes text[],
             mass_grams bigint, length_mm bigint, width_mm bigint, height_mm bigint,
             item_version bigint, total bigint, picked bigint, packing bigint, packed bigint,
             shipped bigint, short bigint, canceled bigint)",
        sqlx::types::Json(&rows) as _,
    )
    .execute(conn)
    .await?;
    Ok(())
}
