//! Orders with their lines and holds.

use std::collections::{BTreeMap, HashMap};

use oms_core::{AddressId, FulfillmentOrderId, OrderId, ShipmentId};
use sqlx::PgConnection;
use sqlx::types::Json;
use time::OffsetDateTime;
use uuid::Uuid;

use crate::domain::cancellation::Cancellation;
use crate::domain::order::{FillPolicy, Order, OrderLine, PaymentPolicy};
use crate::domain::pricing::Amounts;
use crate::domain::stage::{Deadlines, stage};
use crate::domain::state::OrderState;
use crate::domain::status::MoneyFacts;
use crate::domain::tender::Tender;
use crate::domain::timeline::TimelineRow;

use super::StoreError;
use super::cancellations::CancellationRow;
use super::holds::HoldRow;
use super::lines::{self, LineRow};

/// The next number of the sequence that all channels share.
pub(crate) async fn next_number(conn: &mut PgConnection) -> Result<i64, StoreError> {
    let number = sqlx::query_scalar!(r#"SELECT nextval('order_numbers') AS "number!""#)
        .fetch_one(conn)
        .await?;
    Ok(number)
}

/// Writes a new order with its lines; holds come through [`holds::insert`].
pub(crate) async fn insert(conn: &mut PgConnection, order: &Order) -> Result<(), StoreError> {
    // One tender that pays for everything stands in columns of its own.
    let first = order.tenders.first();
    let tenders = match order.tenders.as_slice() {
        [one] if one.amount.is_none() => &[],
        all => all,
    };
    let deadlines = order.deadlines;
    let (stage, due) = due(order);
    sqlx::query!(
        "INSERT INTO orders (order_id, order_number, channel_id, external_reference, customer_id, state,
             state_reason, currency, ship_address_id, bill_address_id, country_code, postal_code,
             service_level, fill_policy, splits_max, ship_complete, priority, instructions, custom_fields,
             payment_provider, payment_token, payment_policy, subtotal, discount, tax, shipping, total,
             version, timeline_sequence, placed_by, created_at, updated_at, tenders, authorize_by, release_by,
             pick_by, ship_by, stage, stage_since, stage_due)
         VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15, $16, $17, $18, $19,
             $20, $21, $22, $23, $24, $25, $26, $27, $28, $29, $30, $31, $32, $33, $34, $35, $36, $37, $38, $39, $40)",
        order.order_id.uuid(),
        order.order_number,
        order.channel_id,
        order.external_reference,
        order.customer_id,
        order.state.as_str(),
        order.state_reason,
        order.currency.code(),
        order.ship_address_id.uuid(),
        order.bill_address_id.uuid(),
        order.country_code,
        order.postal_code,
        order.service_level,
        order.fill_policy.as_str(),
        order.splits_max,
        order.ship_complete,
        order.priority,
        order.instructions,
        Json(&order.custom_fields) as _,
        first.map_or("", |tender| &tender.provider),
        first.map_or("", |tender| &tender.token),
        order.payment_policy.as_str(),
        order.totals.subtotal,
        order.totals.discount,
        order.totals.tax,
        order.totals.shipping,
        order.totals.total,
        order.version,
        order.timeline_sequence,
        order.placed_by,
        order.created_at,
        order.updated_at,
        Json(tenders) as _,
        deadlines.map(|all| all.authorize_by),
        deadlines.map(|all| all.release_by),
        deadlines.map(|all| all.pick_by),
        deadlines.map(|all| all.ship_by),
        stage,
        due.map(|_| order.created_at),
        due,
    )
    .execute(&mut *conn)
    .await?;
    lines::insert(conn, order).await
}

/// Writes what may change of orders (state, texts, version and stage), and the rows of their timelines that tell of it.
/// Counters come through [`lines::save_counters`].
pub(crate) async fn save(
    conn: &mut PgConnection,
    changed: &[(&Order, &[TimelineRow])],
) -> Result<(), StoreError> {
    let rows: Vec<(Uuid, &TimelineRow)> = changed
        .iter()
        .flat_map(|(order, rows)| rows.iter().map(|row| (order.order_id.uuid(), row)))
        .collect();
    let due: Vec<_> = changed.iter().map(|(order, _)| due(order)).collect();
    sqlx::query!(
        "WITH told AS (
             INSERT INTO timeline (order_id, sequence, occurred_at, actor, action, from_state, to_state,
                 detail, trace_id, linked_trace_id)
             SELECT * FROM unnest($11::uuid[], $12::int8[], $13::timestamptz[], $14::text[], $15::text[],
                 $16::text[], $17::text[], $18::text[], $19::text[], $20::text[]))
         UPDATE orders o SET state = n.state, state_reason = n.state_reason, instructions = n.instructions,
             custom_fields = n.custom_fields, version = n.version, timeline_sequence = n.timeline_sequence,
             updated_at = n.updated_at, stage = n.stage, stage_due = n.stage_due,
             stage_since = CASE WHEN n.stage_due IS NULL THEN NULL WHEN o.stage = n.stage THEN o.stage_since
                 ELSE n.updated_at END
         FROM unnest($1::uuid[], $2::text[], $3::text[], $4::text[], $5::jsonb[], $6::int8[], $7::int8[],
             $8::timestamptz[], $9::text[], $10::timestamptz[])
             AS n (order_id, state, state_reason, instructions, custom_fields, version, timeline_sequence,
                 updated_at, stage, stage_due)
         WHERE o.order_id = n.order_id",
        &column(changed, |order| order.order_id.uuid()),
        &column(changed, |order| order.state.as_str()) as &[&str],
        &column(changed, |order| order.state_reason.as_str()) as &[&str],
        &column(changed, |order| order.instructions.as_str()) as &[&str],
        &column(changed, |order| Json(&order.custom_fields)) as _,
        &column(changed, |order| order.version),
        &column(changed, |order| order.timeline_sequence),
        &column(changed, |order| order.updated_at),
        &due.iter().map(|(stage, _)| *stage).collect::<Vec<_>>() as &[&str],
        &due.iter().map(|(_, due)| *due).collect::<Vec<_>>() as &[Option<OffsetDateTime>],
        &told(&rows, |(order_id, _)| *order_id),
        &told(&rows, |(_, row)| row.sequence),
        &told(&rows, |(_, row)| row.occurred_at),
        &told(&rows, |(_, row)| row.actor.as_str()) as &[&str],
        &told(&rows, |(_, row)| row.action.as_str()) as &[&str],
        &told(&rows, |(_, row)| row.from_state.as_str()) as &[&str],
        &told(&rows, |(_, row)| row.to_state.as_str()) as &[&str],
        &told(&rows, |(_, row)| row.detail.as_str()) as &[&str],
        &told(&rows, |(_, row)| row.trace_id.as_str()) as &[&str],
        &told(&rows, |(_, row)| row.linked_trace_id.as_str()) as &[&str],
    )
    .execute(conn)
    .await?;
    Ok(())
}

/// A column of orders, to be written with one UNNEST.
fn column<'a, T>(changed: &[(&'a Order, &[TimelineRow])], of: impl Fn(&'a Order) -> T) -> Vec<T> {
    changed.iter().map(|(order, _)| of(order)).collect()
}

/// A column of rows of timelines.
fn told<'a, T>(
    rows: &[(Uuid, &'a TimelineRow)],
    of: impl Fn(&(Uuid, &'a TimelineRow)) -> T,
) -> Vec<T> {
    rows.iter().map(of).collect()
}

/// What the order waits for, and until when; nothing when it has no deadlines.
fn due(order: &Order) -> (&'static str, Option<OffsetDateTime>) {
    let due = order.deadlines.zip(stage(order));
    due.map_or(("", None), |(all, stage)| {
        (stage.as_str(), Some(all.of(stage)))
    })
}

/// Locks an order against every other writer and reads it. The key stays free, as it never changes: whoever writes a row
/// that refers to the order, such as a saga, does not wait for whoever has it locked and waits for the saga.
pub(crate) async fn lock(
    conn: &mut PgConnection,
    order_id: OrderId,
) -> Result<Option<Order>, StoreError> {
    let locked = sqlx::query_scalar!(
        "SELECT order_id FROM orders WHERE order_id = $1 FOR NO KEY UPDATE",
        order_id.uuid()
    )
    .fetch_optional(&mut *conn)
    .await?;
    match locked {
        // A second statement reads what the former holder of the lock committed.
        Some(_) => load(conn, order_id).await,
        None => Ok(None),
    }
}

/// Reads an order.
pub(crate) async fn load(
    conn: &mut PgConnection,
    order_id: OrderId,
) -> Result<Option<Order>, StoreError> {
    Ok(load_many(conn, &[order_id.uuid()]).await?.pop())
}

/// Locks those of these orders that exist against every other writer, in one order, so that two who lock many cannot lock
/// each other out.
pub(crate) async fn lock_all(
    conn: &mut PgConnection,
    order_ids: &[Uuid],
) -> Result<Vec<Uuid>, oms_postgres::Error> {
    let locked = sqlx::query_scalar!(
        "SELECT order_id FROM orders WHERE order_id = ANY($1) ORDER BY order_id FOR NO KEY UPDATE",
        order_ids
    )
    .fetch_all(conn)
    .await?;
    Ok(locked)
}

/// True when there is such an order.
pub(crate) async fn exists(conn: &mut PgConnection, order_id: OrderId) -> Result<bool, StoreError> {
    let found = sqlx::query_scalar!(
        r#"SELECT EXISTS (SELECT FROM orders WHERE order_id = $1) AS "found!""#,
        order_id.uuid()
    )
    .fetch_one(conn)
    .await?;
    Ok(found)
}

/// The token of the order's tender with this number, from 1.
pub(crate) async fn token(
    conn: &mut PgConnection,
    order_id: OrderId,
    tender: i32,
) -> Result<Option<String>, StoreError> {
    let token = sqlx::query_scalar!(
        "SELECT coalesce(tenders -> ($2::int4 - 1) ->> 'token', payment_token) AS \"token!\"
         FROM orders WHERE order_id = $1",
        order_id.uuid(),
        tender
    )
    .fetch_optional(conn)
    .await?;
    Ok(token)
}

/// The id of the order that has this external reference in its channel.
pub(crate) async fn find_by_external_reference(
    conn: &mut PgConnection,
    channel_id: &str,
    external_reference: &str,
) -> Result<Option<OrderId>, StoreError> {
    let found = sqlx::query_scalar!(
        "SELECT order_id FROM orders
         WHERE channel_id = $1 AND external_reference = $2 AND external_reference <> ''",
        channel_id,
        external_reference
    )
    .fetch_optional(conn)
    .await?;
    Ok(found.map(OrderId::new))
}

/// Reads orders with everything that belongs to them, in the order of the ids. One statement, so that all of an order is
/// of one moment. It is written so that its plan goes from each id through indexes, also while the tables are small;
/// orders are read more than anything else.
pub(crate) async fn load_many(
    conn: &mut PgConnection,
    order_ids: &[Uuid],
) -> Result<Vec<Order>, StoreError> {
    let rows = sqlx::query_as!(
        OrderRow,
        r#"SELECT o.order_id, order_number, channel_id, external_reference, customer_id, state,
             state_reason, currency, ship_address_id, bill_address_id, country_code, postal_code,
             service_level, fill_policy, splits_max, ship_complete, priority, instructions,
             custom_fields AS "custom_fields: Json<BTreeMap<String, String>>", payment_provider,
             payment_token, tenders AS "tenders: Json<Vec<Tender>>", payment_policy, subtotal, discount, tax, shipping, total, version,
             timeline_sequence, placed_by, created_at, updated_at, authorize_by, release_by, pick_by, ship_by,
             coalesce(CASE WHEN state = 'PENDING' THEN
                 (SELECT step FROM sagas s WHERE s.order_id = o.order_id) END, '') AS "saga_step!",
             ARRAY(SELECT fulfillment_order_id FROM fulfillment_orders f
                 WHERE f.order_id = o.order_id ORDER BY 1) AS "fulfillment_order_ids!",
             ARRAY(SELECT shipment_id FROM shipments h
                 WHERE h.order_id = o.order_id ORDER BY shipped_at, 1) AS "shipment_ids!",
             (SELECT ARRAY[coalesce(sum(amount) FILTER (WHERE kind = 'AUTHORIZATION'), 0)::int8,
                     coalesce(sum(amount) FILTER (WHERE kind = 'CAPTURE'), 0)::int8,
                     coalesce(sum(amount) FILTER (WHERE kind = 'VOID'), 0)::int8,
                     coalesce(sum(amount) FILTER (WHERE kind = 'REFUND'), 0)::int8]
                 FROM payments p WHERE p.order_id = o.order_id AND p.state = 'SUCCEEDED') AS "money!",
             (SELECT json_agg(l ORDER BY l.line_number) FROM order_lines l WHERE l.order_id = o.order_id)
                 AS "lines: Json<Vec<LineRow>>",
             (SELECT json_agg(h ORDER BY h.created_at, h.hold_id) FROM holds h WHERE h.order_id = o.order_id)
                 AS "holds: Json<Vec<HoldRow>>",
             (SELECT json_agg(json_build_object('cancellation_id', c.cancellation_id, 'state', c.state,
                     'reason', c.reason, 'note', c.note, 'actor', c.actor, 'created_at', c.created_at,
                     'lines', (SELECT json_agg(cl ORDER BY cl.order_line_id) FROM cancellation_lines cl
                         WHERE cl.cancellation_id = c.cancellation_id),
                     'legs', (SELECT json_agg(leg ORDER BY leg.name) FROM cancellation_legs leg
                         WHERE leg.cancellation_id = c.cancellation_id))
                     ORDER BY c.created_at, c.cancellation_id)
                 FROM cancellations c WHERE c.order_id = o.order_id)
                 AS "cancellations: Json<Vec<CancellationRow>>"
         FROM orders o WHERE order_id = ANY($1)"#,
        order_ids
    )
    .fetch_all(conn)
    .await?;
    let mut orders = rows
        .into_iter()
        .map(Order::try_from)
        .collect::<Result<Vec<_>, _>>()?;
    let places: HashMap<Uuid, usize> = order_ids.iter().copied().zip(0..).collect();
    orders.sort_by_key(|order| places.get(&order.order_id.uuid()));
    Ok(orders)
}

struct OrderRow {
    order_id: Uuid,
    order_number: String,
    channel_id: String,
    external_reference: String,
    customer_id: String,
    state: String,
    state_reason: String,
    currency: String,
    ship_address_id: Uuid,
    bill_address_id: Uuid,
    country_code: String,
    postal_code: String,
    service_level: String,
    fill_policy: String,
    splits_max: Option<i32>,
    ship_complete: bool,
    priority: i16,
    instructions: String,
    custom_fields: Json<BTreeMap<String, String>>,
    payment_provider: String,
    payment_token: String,
    tenders: Json<Vec<Tender>>,
    payment_policy: String,
    subtotal: i64,
    discount: i64,
    tax: i64,
    shipping: i64,
    total: i64,
    version: i64,
    timeline_sequence: i64,
    placed_by: String,
    created_at: OffsetDateTime,
    updated_at: OffsetDateTime,
    authorize_by: Option<OffsetDateTime>,
    release_by: Option<OffsetDateTime>,
    pick_by: Option<OffsetDateTime>,
    ship_by: Option<OffsetDateTime>,
    saga_step: String,
    fulfillment_order_ids: Vec<Uuid>,
    shipment_ids: Vec<Uuid>,
    /// Succeeded authorizations, captures, voids and refunds.
    money: Vec<i64>,
    lines: Option<Json<Vec<LineRow>>>,
    holds: Option<Json<Vec<HoldRow>>>,
    cancellations: Option<Json<Vec<CancellationRow>>>,
}

/// The rows of a `json_agg`, which is NULL when there are none.
fn all<T>(rows: Option<Json<Vec<T>>>) -> impl Iterator<Item = T> {
    rows.map_or_else(Vec::new, |rows| rows.0).into_iter()
}

fn tenders(provider: String, token: String, several: Vec<Tender>) -> Vec<Tender> {
    if !several.is_empty() || provider.is_empty() {
        return several;
    }
    vec![Tender {
        provider,
        token,
        amount: None,
    }]
}

impl TryFrom<OrderRow> for Order {
    type Error = StoreError;

    fn try_from(row: OrderRow) -> Result<Self, StoreError> {
        let unknown = |column| StoreError::inconsistent("orders", column, row.order_id);
        let first = row.authorize_by.zip(row.release_by);
        let deadlines = first.zip(row.pick_by.zip(row.ship_by)).map(
            |((authorize_by, release_by), (pick_by, ship_by))| Deadlines {
                authorize_by,
                release_by,
                pick_by,
                ship_by,
            },
        );
        Ok(Self {
            order_id: OrderId::new(row.order_id),
            state: OrderState::parse(&row.state).ok_or_else(|| unknown("state"))?,
            currency: row.currency.parse().map_err(|_| unknown("currency"))?,
            fill_policy: FillPolicy::parse(&row.fill_policy)
                .ok_or_else(|| unknown("fill_policy"))?,
            payment_policy: PaymentPolicy::parse(&row.payment_policy)
                .ok_or_else(|| unknown("payment_policy"))?,
            order_number: row.order_number,
            channel_id: row.channel_id,
            external_reference: row.external_reference,
            customer_id: row.customer_id,
            state_reason: row.state_reason,
            ship_address_id: AddressId::new(row.ship_address_id),
            bill_address_id: AddressId::new(row.bill_address_id),
            country_code: row.country_code,
            postal_code: row.postal_code,
            service_level: row.service_level,
            splits_max: row.splits_max,
            ship_complete: row.ship_complete,
            priority: row.priority,
            instructions: row.instructions,
            custom_fields: row.custom_fields.0,
            tenders: tenders(row.payment_provider, row.payment_token, row.tenders.0),
            totals: Amounts {
                subtotal: row.subtotal,
                discount: row.discount,
                tax: row.tax,
                shipping: row.shipping,
                total: row.total,
            },
            version: row.version,
            timeline_sequence: row.timeline_sequence,
            placed_by: row.placed_by,
            created_at: row.created_at,
            updated_at: row.updated_at,
            deadlines,
            lines: all(row.lines).map(OrderLine::from).collect(),
            holds: all(row.holds)
                .map(|hold| Ok(hold.into_hold()?.1))
                .collect::<Result<_, StoreError>>()?,
            cancellations: all(row.cancellations).map(Cancellation::from).collect(),
            money: MoneyFacts::from_sums(&row.money),
            saga_step: row.saga_step,
            fulfillment_order_ids: row
                .fulfillment_order_ids
                .into_iter()
                .map(FulfillmentOrderId::new)
                .collect(),
            shipment_ids: row.shipment_ids.into_iter().map(ShipmentId::new).collect(),
        })
    }
}
