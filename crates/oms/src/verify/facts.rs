//! What relations between services compare: a few columns of each, read from the snapshots.

use sqlx::PgConnection;
use uuid::Uuid;

use super::invariant::Database;
use super::provider::{Charge, PAYMENTS, Payment};
use super::snapshot::{Cursor, Head};

/// Everything that is compared.
#[derive(Debug, Default)]
pub(super) struct Facts {
    pub(super) at_rest: bool,
    pub(super) feeds: [Feed; 5],
    pub(super) order: OrderFacts,
    pub(super) inventory: InventoryFacts,
    pub(super) fulfillment: FulfillmentFacts,
    pub(super) shipping: ShippingFacts,
    pub(super) returns: ReturnsFacts,
    /// The payment provider's ledger; `None` when it has none here.
    pub(super) charges: Option<Vec<Charge>>,
}

/// The rows of one database.
#[derive(Debug, Default)]
pub(super) enum OfDatabase {
    /// They were taken.
    #[default]
    Nothing,
    Order(OrderFacts),
    Inventory(InventoryFacts),
    Fulfillment(FulfillmentFacts),
    Shipping(ShippingFacts),
    Returns(ReturnsFacts),
}

impl Facts {
    /// Adds what one database has.
    pub(super) fn take(&mut self, database: Database, feed: Feed, rows: OfDatabase) {
        *self.feed_mut(database) = feed;
        match rows {
            OfDatabase::Nothing => {}
            OfDatabase::Order(rows) => self.order = rows,
            OfDatabase::Inventory(rows) => self.inventory = rows,
            OfDatabase::Fulfillment(rows) => self.fulfillment = rows,
            OfDatabase::Shipping(rows) => self.shipping = rows,
            OfDatabase::Returns(rows) => self.returns = rows,
        }
    }

    /// The feed of a service.
    pub(super) fn feed(&self, database: Database) -> &Feed {
        let [order, inventory, fulfillment, shipping, returns] = &self.feeds;
        match database {
            Database::Order => order,
            Database::Inventory => inventory,
            Database::Fulfillment => fulfillment,
            Database::Shipping => shipping,
            Database::Returns => returns,
        }
    }

    fn feed_mut(&mut self, database: Database) -> &mut Feed {
        let [order, inventory, fulfillment, shipping, returns] = &mut self.feeds;
        match database {
            Database::Order => order,
            Database::Inventory => inventory,
            Database::Fulfillment => fulfillment,
            Database::Shipping => shipping,
            Database::Returns => returns,
        }
    }
}

/// A service's feed, and its places in others'.
#[derive(Debug, Default)]
pub(super) struct Feed {
    /// Its end, read after all cursors.
    pub(super) head: Head,
    /// What it has read of others.
    pub(super) cursors: Vec<Cursor>,
    /// Positions of others in it after which the next event has waited for more than a minute.
    pub(super) late_after: Vec<i64>,
}

/// Of `oms_order`.
#[derive(Debug, Default)]
pub(super) struct OrderFacts {
    pub(super) lines: Vec<OrderLine>,
    pub(super) reservations: Vec<Reservation>,
    pub(super) work: Vec<Work>,
    pub(super) shipments: Vec<Child>,
    pub(super) refunds: Vec<Refund>,
    pub(super) payments: Vec<Payment>,
}

#[derive(Debug, sqlx::FromRow)]
pub(super) struct OrderLine {
    pub(super) order_id: Uuid,
    pub(super) order_line_id: Uuid,
    pub(super) state: String,
    pub(super) ordered: i64,
    pub(super) held: i64,
    pub(super) allocated: i64,
    pub(super) backordered: i64,
    pub(super) canceled: i64,
    pub(super) picked: i64,
    pub(super) packed: i64,
    pub(super) shipped: i64,
    pub(super) delivered: i64,
    pub(super) returned: i64,
    pub(super) refunded: i64,
}

/// A reservation, or the order's copy of it.
#[derive(Debug, sqlx::FromRow)]
pub(super) struct Reservation {
    pub(super) reservation_id: Uuid,
    /// None only on a tombstone of a reservation that nobody named an order for.
    pub(super) order_id: Option<Uuid>,
    pub(super) version: i64,
    pub(super) state: String,
    /// Some line is held, allocated or waits for stock.
    pub(super) is_live: bool,
    /// Its lines as one text; empty for a tombstone.
    pub(super) lines: String,
}

/// A fulfillment order, or the order's copy of it.
#[derive(Debug, sqlx::FromRow)]
pub(super) struct Work {
    pub(super) fulfillment_order_id: Uuid,
    pub(super) order_id: Uuid,
    pub(super) state: String,
}

/// Something that belongs to an order.
#[derive(Debug, sqlx::FromRow)]
pub(super) struct Child {
    pub(super) id: Uuid,
    pub(super) order_id: Uuid,
}

/// Money paid back for returns of an order.
#[derive(Debug, sqlx::FromRow)]
pub(super) struct Refund {
    pub(super) order_id: Uuid,
    pub(super) amount: i64,
}

/// Of `oms_inventory`.
#[derive(Debug, Default)]
pub(super) struct InventoryFacts {
    pub(super) reservations: Vec<Reservation>,
    /// Order line of each reservation line, and its consumed units.
    pub(super) lines: Vec<ReservedLine>,
    pub(super) issued: Vec<Issued>,
    pub(super) returned: Vec<ReturnedStock>,
}

#[derive(Debug, sqlx::FromRow)]
pub(super) struct ReservedLine {
    pub(super) order_id: Uuid,
    pub(super) order_line_id: Uuid,
    pub(super) consumed: i64,
}

/// Units that the ledger issued for a shipment; ids as the ledger has them.
#[derive(Debug, sqlx::FromRow)]
pub(super) struct Issued {
    pub(super) shipment_id: String,
    pub(super) order_line_id: String,
    pub(super) units: i64,
}

/// Units that the ledger moved for a return line.
#[derive(Debug, sqlx::FromRow)]
pub(super) struct ReturnedStock {
    pub(super) return_line_id: String,
    pub(super) received: i64,
    pub(super) restocked: i64,
    pub(super) quarantined: i64,
    pub(super) scrapped: i64,
}

/// Of `oms_fulfillment`.
#[derive(Debug, Default)]
pub(super) struct FulfillmentFacts {
    pub(super) work: Vec<Work>,
    pub(super) lines: Vec<WorkLine>,
    pub(super) sessions: Vec<Session>,
}

/// An order line over all fulfillment orders.
#[derive(Debug, sqlx::FromRow)]
pub(super) struct WorkLine {
    pub(super) order_id: Uuid,
    pub(super) order_line_id: Uuid,
    pub(super) picked: i64,
    pub(super) packed: i64,
    pub(super) shipped: i64,
    /// Units that are to ship or have.
    pub(super) live: i64,
    /// Short units that nobody has decided about.
    pub(super) open_short: i64,
}

/// A closed pack session.
#[derive(Debug, sqlx::FromRow)]
pub(super) struct Session {
    pub(super) pack_session_id: Uuid,
    pub(super) fulfillment_order_id: Uuid,
    pub(super) order_id: Uuid,
    /// Its contents as one text.
    pub(super) units: String,
}

/// Of `oms_shipping`.
#[derive(Debug, Default)]
pub(super) struct ShippingFacts {
    pub(super) shipments: Vec<Shipment>,
    pub(super) shipped: Vec<Shipped>,
    pub(super) sessions: Vec<Session>,
}

#[derive(Debug, sqlx::FromRow)]
pub(super) struct Shipment {
    pub(super) shipment_id: Uuid,
    pub(super) order_id: Uuid,
    pub(super) fulfillment_order_id: Option<Uuid>,
    pub(super) return_id: Option<Uuid>,
    pub(super) is_shipped: bool,
}

/// Units of an order line in a shipment to a customer that was handed over.
#[derive(Debug, sqlx::FromRow)]
pub(super) struct Shipped {
    pub(super) order_id: Uuid,
    pub(super) shipment_id: Uuid,
    pub(super) order_line_id: Uuid,
    pub(super) units: i64,
    pub(super) is_delivered: bool,
}

/// Of `oms_returns`.
#[derive(Debug, Default)]
pub(super) struct ReturnsFacts {
    pub(super) returns: Vec<Return>,
    pub(super) lines: Vec<ReturnLine>,
}

#[derive(Debug, sqlx::FromRow)]
pub(super) struct Return {
    pub(super) return_id: Uuid,
    pub(super) order_id: Uuid,
    pub(super) shipment_id: Option<Uuid>,
    pub(super) refunded: i64,
}

#[derive(Debug, sqlx::FromRow)]
pub(super) struct ReturnLine {
    pub(super) order_id: Uuid,
    pub(super) return_line_id: Uuid,
    pub(super) order_line_id: Uuid,
    pub(super) received: i64,
    pub(super) restocked: i64,
    pub(super) quarantined: i64,
    pub(super) scrapped: i64,
    pub(super) refund_paid: i64,
}

/// Reads the rows of a database.
pub(super) async fn read(conn: &mut PgConnection, database: Database) -> sqlx::Result<OfDatabase> {
    Ok(match database {
        Database::Order => OfDatabase::Order(order(conn).await?),
        Database::Inventory => OfDatabase::Inventory(inventory(conn).await?),
        Database::Fulfillment => OfDatabase::Fulfillment(fulfillment(conn).await?),
        Database::Shipping => OfDatabase::Shipping(shipping(conn).await?),
        Database::Returns => OfDatabase::Returns(returns(conn).await?),
    })
}

async fn order(conn: &mut PgConnection) -> sqlx::Result<OrderFacts> {
    Ok(OrderFacts {
        payments: sqlx::query_as(PAYMENTS).fetch_all(&mut *conn).await?,
        lines: sqlx::query_as(
            "SELECT order_id, order_line_id, o.state, ordered, held, allocated, backordered, canceled, picked, packed,
                 shipped, delivered, returned, refunded
             FROM order_lines JOIN orders o USING (order_id)",
        )
        .fetch_all(&mut *conn)
        .await?,
        reservations: sqlx::query_as(
            "SELECT reservation_id, order_id, version, r.state,
                 coalesce(bool_or(l.state IN ('HELD', 'ALLOCATED', 'BACKORDERED')), false) AS is_live,
                 coalesce(string_agg(concat_ws('/', order_line_id, location_id, lot, l.state, quantity), ' '
                     ORDER BY order_line_id, location_id COLLATE \"C\", lot COLLATE \"C\", l.state COLLATE \"C\"), '') AS lines
             FROM reservations r LEFT JOIN reservation_lines l USING (reservation_id)
             GROUP BY reservation_id",
        )
        .fetch_all(&mut *conn)
        .await?,
        work: sqlx::query_as("SELECT fulfillment_order_id, order_id, state FROM fulfillment_orders")
            .fetch_all(&mut *conn)
            .await?,
        shipments: sqlx::query_as("SELECT shipment_id AS id, order_id FROM shipments")
            .fetch_all(&mut *conn)
            .await?,
        refunds: sqlx::query_as(
            "SELECT order_id, sum(amount)::int8 AS amount FROM payments
             WHERE kind = 'REFUND' AND state = 'SUCCEEDED' AND cause LIKE 'return/%' GROUP BY order_id",
        )
        .fetch_all(&mut *conn)
        .await?,
    })
}

async fn inventory(conn: &mut PgConnection) -> sqlx::Result<InventoryFacts> {
    Ok(InventoryFacts {
        reservations: sqlx::query_as(
            "SELECT reservation_id, order_id, version, r.state,
                 coalesce(bool_or(l.state IN ('HELD', 'ALLOCATED', 'BACKORDERED')), false) AS is_live,
                 coalesce(string_agg(concat_ws('/', order_line_id, location_id, lot, l.state, quantity), ' '
                     ORDER BY order_line_id, location_id COLLATE \"C\", lot COLLATE \"C\", l.state COLLATE \"C\"), '') AS lines
             -- The order knows no components: those of a kit at one place are one line to it.
             FROM reservation r LEFT JOIN (SELECT reservation_id, order_line_id, location_id, lot, state, sum(quantity) AS quantity
                 FROM reservation_line GROUP BY reservation_id, order_line_id, location_id, lot, state) AS l USING (reservation_id)
             GROUP BY reservation_id",
        )
        .fetch_all(&mut *conn)
        .await?,
        lines: sqlx::query_as(
            "SELECT order_id, order_line_id,
                 coalesce(sum(quantity) FILTER (WHERE l.state = 'CONSUMED'), 0)::int8 AS consumed
             FROM reservation r JOIN reservation_line l USING (reservation_id)
             WHERE order_id IS NOT NULL GROUP BY order_id, order_line_id",
        )
        .fetch_all(&mut *conn)
        .await?,
        issued: sqlx::query_as(
            "SELECT split_part(cause, '/', 2) AS shipment_id, split_part(line, '/', 2) AS order_line_id,
                 sum(quantity)::int8 AS units
             FROM stock_ledger WHERE entry_type = 'ISSUE' GROUP BY 1, 2",
        )
        .fetch_all(&mut *conn)
        .await?,
        returned: sqlx::query_as(
            "SELECT line AS return_line_id,
                 coalesce(sum(quantity) FILTER (WHERE entry_type = 'RETURN_RECEIVE'), 0)::int8 AS received,
                 coalesce(sum(quantity) FILTER (WHERE entry_type = 'RESTOCK'), 0)::int8 AS restocked,
                 coalesce(sum(quantity) FILTER (WHERE entry_type = 'QUARANTINE_IN'), 0)::int8 AS quarantined,
                 coalesce(sum(quantity) FILTER (WHERE entry_type = 'SCRAP'), 0)::int8 AS scrapped
             FROM stock_ledger WHERE cause LIKE 'return/%' GROUP BY line",
        )
        .fetch_all(&mut *conn)
        .await?,
    })
}

async fn fulfillment(conn: &mut PgConnection) -> sqlx::Result<FulfillmentFacts> {
    Ok(FulfillmentFacts {
        work: sqlx::query_as("SELECT fulfillment_order_id, order_id, state FROM fulfillment_orders")
            .fetch_all(&mut *conn)
            .await?,
        lines: sqlx::query_as(
            "SELECT o.order_id, order_line_id, sum(picked)::int8 AS picked, sum(packed)::int8 AS packed,
                 sum(shipped)::int8 AS shipped, sum(total - l.short - canceled)::int8 AS live,
                 coalesce(sum(pending.units), 0)::int8 AS open_short
             FROM fulfillment_orders o JOIN fulfillment_order_lines l USING (fulfillment_order_id)
             LEFT JOIN (SELECT fulfillment_order_line_id, sum(quantity) AS units FROM shorts
                 WHERE state = 'PENDING' GROUP BY fulfillment_order_line_id) AS pending USING (fulfillment_order_line_id)
             GROUP BY o.order_id, order_line_id",
        )
        .fetch_all(&mut *conn)
        .await?,
        sessions: sqlx::query_as(
            "WITH units AS (
                 SELECT pack_session_id, l.order_line_id, l.reservation_id, l.lot, sum(p.quantity) AS quantity
                 FROM package_lines p JOIN packages USING (package_id)
                 JOIN fulfillment_order_lines l USING (fulfillment_order_line_id)
                 GROUP BY pack_session_id, l.order_line_id, l.reservation_id, l.lot
             )
             SELECT pack_session_id, fulfillment_order_id, o.order_id,
                 coalesce(string_agg(concat_ws('/', u.order_line_id, u.reservation_id, u.lot, u.quantity), ' '
                     ORDER BY u.order_line_id, u.reservation_id, u.lot COLLATE \"C\"), '') AS units
             FROM pack_sessions s JOIN fulfillment_orders o USING (fulfillment_order_id)
             LEFT JOIN units u USING (pack_session_id)
             WHERE s.state = 'CLOSED' GROUP BY pack_session_id, fulfillment_order_id, o.order_id",
        )
        .fetch_all(&mut *conn)
        .await?,
    })
}

async fn shipping(conn: &mut PgConnection) -> sqlx::Result<ShippingFacts> {
    Ok(ShippingFacts {
        shipments: sqlx::query_as(
            "SELECT shipment_id, order_id, fulfillment_order_id, return_id,
                 direction = 'OUTBOUND' AND state IN ('SHIPPED', 'DELIVERED', 'DELIVERY_FAILED') AS is_shipped
             FROM shipments",
        )
        .fetch_all(&mut *conn)
        .await?,
        shipped: sqlx::query_as(
            "WITH told AS (
                 SELECT aggregate_id AS id FROM feed WHERE event_type = 'ShipmentDelivered'
                 UNION SELECT aggregate_id FROM outbox WHERE event_type = 'ShipmentDelivered'
             )
             SELECT order_id, shipment_id, order_line_id, sum(quantity)::int8 AS units,
                 -- What was delivered once stays delivered to the order, whatever the carrier reports later.
                 s.state = 'DELIVERED' OR told.id IS NOT NULL AS is_delivered
             FROM shipments s JOIN packages USING (shipment_id) JOIN package_lines USING (package_id)
             LEFT JOIN told ON told.id = s.shipment_id::text
             WHERE direction = 'OUTBOUND' AND s.state IN ('SHIPPED', 'DELIVERED', 'DELIVERY_FAILED')
             GROUP BY shipment_id, order_line_id, told.id",
        )
        .fetch_all(&mut *conn)
        .await?,
        sessions: sqlx::query_as(
            "WITH units AS (
                 SELECT pack_session_id, order_line_id, reservation_id, lot, sum(quantity) AS quantity
                 FROM pack_session_lines GROUP BY pack_session_id, order_line_id, reservation_id, lot
             )
             SELECT pack_session_id, fulfillment_order_id, order_id,
                 coalesce(string_agg(concat_ws('/', u.order_line_id, u.reservation_id, u.lot, u.quantity), ' '
                     ORDER BY u.order_line_id, u.reservation_id, u.lot COLLATE \"C\"), '') AS units
             FROM pack_sessions LEFT JOIN units u USING (pack_session_id)
             GROUP BY pack_session_id, fulfillment_order_id, order_id",
        )
        .fetch_all(&mut *conn)
        .await?,
    })
}

async fn returns(conn: &mut PgConnection) -> sqlx::Result<ReturnsFacts> {
    Ok(ReturnsFacts {
        returns: sqlx::query_as("SELECT return_id, order_id, shipment_id, refunded FROM returns")
            .fetch_all(&mut *conn)
            .await?,
        lines: sqlx::query_as(
            "SELECT order_id, return_line_id, order_line_id, received, restocked, quarantined, scrapped, refund_paid
             FROM returns JOIN return_lines USING (return_id)",
        )
        .fetch_all(&mut *conn)
        .await?,
    })
}

/// Positions after which the next event has waited for more than a minute.
pub(super) async fn late_after(
    conn: &mut PgConnection,
    positions: &[i64],
) -> sqlx::Result<Vec<i64>> {
    sqlx::query_scalar(
        "SELECT read.pos FROM unnest($1::int8[]) AS read (pos)
         WHERE (SELECT relayed_at FROM feed WHERE feed.pos > read.pos ORDER BY feed.pos LIMIT 1)
             < now() - interval '60 seconds'",
    )
    .bind(positions)
    .fetch_all(conn)
    .await
}
