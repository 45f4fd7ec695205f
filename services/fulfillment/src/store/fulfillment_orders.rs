//! Fulfillment orders.

use oms_core::{AddressId, FulfillmentOrderId, LocationId, OrderId, ProposalId};
use oms_postgres::Error;
use sqlx::types::Json;
use sqlx::{PgConnection, Postgres, QueryBuilder};
use time::OffsetDateTime;
use uuid::Uuid;

use super::lines::{self, LineRow};
use super::{Page, named, typed};
use crate::domain::fulfillment_order::{Destination, FulfillmentOrder, Line};
use crate::domain::machine::Named as _;
use crate::domain::state::State;

/// A row of `fulfillment_orders`.
struct OrderRow {
    fulfillment_order_id: Uuid,
    order_id: Uuid,
    order_number: String,
    channel_id: String,
    location_id: String,
    batch_id: Uuid,
    proposal_id: Option<Uuid>,
    state: String,
    floor_stage: String,
    hold_reason: String,
    address_id: Uuid,
    country_code: String,
    postal_code: String,
    service_level: String,
    fill_policy: String,
    priority: i16,
    instructions: String,
    version: i64,
    event_sequence: i64,
    created_by: String,
    created_at: OffsetDateTime,
    updated_at: OffsetDateTime,
    lines: Option<Json<Vec<LineRow>>>,
}

impl OrderRow {
    fn into_order(self) -> Result<FulfillmentOrder, Error> {
        // NULL when there are none.
        let lines = self.lines.map_or_else(Vec::new, |lines| lines.0);
        let lines = lines.into_iter().map(LineRow::into_line).collect();
        Ok(FulfillmentOrder {
            id: FulfillmentOrderId::new(self.fulfillment_order_id),
            order_id: OrderId::new(self.order_id),
            order_number: self.order_number,
            channel_id: self.channel_id,
            location_id: typed("location_id", &self.location_id)?,
            batch_id: self.batch_id,
            proposal_id: self.proposal_id.map(ProposalId::new),
            state: named("state", &self.state)?,
            stage: named("floor_stage", &self.floor_stage)?,
            hold_reason: self.hold_reason,
            destination: Destination {
                address_id: AddressId::new(self.address_id),
                country_code: self.country_code,
                postal_code: self.postal_code,
            },
            service_level: named("service_level", &self.service_level)?,
            fill_policy: named("fill_policy", &self.fill_policy)?,
            priority: self.priority,
            instructions: self.instructions,
            version: self.version,
            event_sequence: self.event_sequence,
            created_by: self.created_by,
            created_at: self.created_at,
            updated_at: self.updated_at,
            lines,
        })
    }
}

/// Inserts new fulfillment orders with their lines.
pub(crate) async fn insert_all(
    conn: &mut PgConnection,
    orders: &[FulfillmentOrder],
) -> Result<(), Error> {
    for order in orders {
        insert(conn, order).await?;
    }
    lines::insert_all(conn, orders).await
}

async fn insert(conn: &mut PgConnection, order: &FulfillmentOrder) -> Result<(), Error> {
    sqlx::query!(
        "INSERT INTO fulfillment_orders
            (fulfillment_order_id, order_id, order_number, channel_id, location_id, batch_id,
             proposal_id, state, floor_stage, hold_reason, address_id, country_code, postal_code,
             service_level, fill_policy, priority, instructions, version, event_sequence, created_by,
             created_at, updated_at)
         VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15, $16, $17, $18, $19,
             $20, $21, $22)",
        order.id.uuid(),
        order.order_id.uuid(),
        order.order_number,
        order.channel_id,
        order.location_id.as_str(),
        order.batch_id,
        order.proposal_id.map(ProposalId::uuid),
        order.state.name(),
        order.stage.name(),
        order.hold_reason,
        order.destination.address_id.uuid(),
        order.destination.country_code,
        order.destination.postal_code,
        order.service_level.name(),
        order.fill_policy.name(),
        order.priority,
        order.instructions,
        order.version,
        order.event_sequence,
        order.created_by,
        order.created_at,
        order.updated_at,
    )
    .execute(conn)
    .await?;
    Ok(())
}

/// One fulfillment order.
pub(crate) async fn get(
    conn: &mut PgConnection,
    id: FulfillmentOrderId,
) -> Result<Option<FulfillmentOrder>, Error> {
    Ok(get_many(conn, &[id.uuid()]).await?.pop())
}

/// Fulfillment orders with their lines, of one moment, oldest first. Unknown ids are left out.
pub(crate) async fn get_many(
    conn: &mut PgConnection,
    ids: &[Uuid],
) -> Result<Vec<FulfillmentOrder>, Error> {
    let rows = sqlx::query_as!(
        OrderRow,
        r#"SELECT fulfillment_order_id, order_id, order_number, channel_id, location_id, batch_id,
             proposal_id, state, floor_stage, hold_reason, address_id, country_code, postal_code,
             service_level, fill_policy, priority, instructions, version, event_sequence, created_by,
             created_at, updated_at,
             (SELECT json_agg(l ORDER BY l.line_number) FROM fulfillment_order_lines l
                 WHERE l.fulfillment_order_id = o.fulfillment_order_id)
                 AS "lines: Json<Vec<LineRow>>"
         FROM fulfillment_orders o
         WHERE fulfillment_order_id = ANY($1)
         ORDER BY created_at, fulfillment_order_id"#,
        ids,
    )
    .fetch_all(conn)
    .await?;
    rows.into_iter().map(OrderRow::into_order).collect()
}

/// One fulfillment order, locked until the transaction ends.
pub(crate) async fn lock(
    conn: &mut PgConnection,
    id: FulfillmentOrderId,
) -> Result<Option<FulfillmentOrder>, Error> {
    Ok(lock_many(conn, &[id.uuid()]).await?.pop())
}

/// Fulfillment orders, locked in the order of their ids.
pub(crate) async fn lock_many(
    conn: &mut PgConnection,
    ids: &[Uuid],
) -> Result<Vec<FulfillmentOrder>, Error> {
    let locked = sqlx::query_scalar!(
        "SELECT fulfillment_order_id FROM fulfillment_orders
         WHERE fulfillment_order_id = ANY($1) ORDER BY fulfillment_order_id FOR NO KEY UPDATE",
        ids,
    )
    .fetch_all(&mut *conn)
    .await?;
    // Read after the lock was won, so that nothing older is seen.
    get_many(conn, &locked).await
}

/// Writes state, stage and counters; the caller holds the lock and has moved the version.
pub(crate) async fn save(conn: &mut PgConnection, order: &FulfillmentOrder) -> Result<(), Error> {
    let ids: Vec<Uuid> = order.lines.iter().map(|line| line.id).collect();
    let column = |counter: fn(&Line) -> i64| order.lines.iter().map(counter).collect::<Vec<i64>>();
    sqlx::query!(
        "WITH counted AS (
             UPDATE fulfillment_order_lines AS l
             SET picked = n.picked, packing = n.packing, packed = n.packed, shipped = n.shipped,
                 short = n.short, canceled = n.canceled
             FROM unnest($8::uuid[], $9::bigint[], $10::bigint[], $11::bigint[], $12::bigint[],
                         $13::bigint[], $14::bigint[])
                  AS n (id, picked, packing, packed, shipped, short, canceled)
             WHERE l.fulfillment_order_line_id = n.id
               AND (l.picked, l.packing, l.packed, l.shipped, l.short, l.canceled)
                   IS DISTINCT FROM (n.picked, n.packing, n.packed, n.shipped, n.short, n.canceled))
         UPDATE fulfillment_orders
         SET state = $2, floor_stage = $3, hold_reason = $4, version = $5, event_sequence = $6,
             updated_at = $7
         WHERE fulfillment_order_id = $1",
        order.id.uuid(),
        order.state.name(),
        order.stage.name(),
        order.hold_reason,
        order.version,
        order.event_sequence,
        order.updated_at,
        &ids,
        &column(|line| line.picked),
        &column(|line| line.packing),
        &column(|line| line.packed),
        &column(|line| line.shipped),
        &column(|line| line.short),
        &column(|line| line.canceled),
    )
    .execute(conn)
    .await?;
    Ok(())
}

/// The fulfillment orders that one request or one short created, by location.
pub(crate) async fn of_batch(
    conn: &mut PgConnection,
    batch_id: Uuid,
) -> Result<Vec<FulfillmentOrder>, Error> {
    let ids = sqlx::query_scalar!(
        "SELECT fulfillment_order_id FROM fulfillment_orders WHERE batch_id = $1",
        batch_id,
    )
    .fetch_all(&mut *conn)
    .await?;
    let mut orders = get_many(conn, &ids).await?;
    orders.sort_by(|one, other| one.location_id.cmp(&other.location_id));
    Ok(orders)
}

/// Locks the next ones that wait for a wave: the most urgent, then the oldest. Those that another
/// wave is taking right now are passed over.
pub(crate) async fn lock_waiting(
    conn: &mut PgConnection,
    location_id: &LocationId,
    limit: i64,
) -> Result<Vec<FulfillmentOrder>, Error> {
    let ids = sqlx::query_scalar!(
        "SELECT fulfillment_order_id FROM fulfillment_orders
         WHERE location_id = $1 AND state = 'OPEN' AND floor_stage = 'NONE'
         ORDER BY priority, created_at, fulfillment_order_id
         LIMIT $2
         FOR UPDATE SKIP LOCKED",
        location_id.as_str(),
        limit,
    )
    .fetch_all(&mut *conn)
    .await?;
    let mut orders = get_many(conn, &ids).await?;
    orders.sort_by_key(|order| (order.priority, order.created_at, order.id));
    Ok(orders)
}

/// Selects fulfillment orders of a list; empty and `None` mean all.
#[derive(Debug, Clone, Default)]
pub(crate) struct Filter {
    /// Only of these locations.
    pub(crate) locations: Option<Vec<String>>,
    /// Only of this order.
    pub(crate) order_id: Option<OrderId>,
    /// Only in these states.
    pub(crate) states: Vec<State>,
}

/// A page, oldest first.
pub(crate) async fn list(
    conn: &mut PgConnection,
    filter: &Filter,
    page: Page,
) -> Result<Vec<FulfillmentOrder>, Error> {
    let mut query: QueryBuilder<Postgres> =
        QueryBuilder::new("SELECT fulfillment_order_id FROM fulfillment_orders WHERE true");
    if let Some(order_id) = filter.order_id {
        query.push(" AND order_id = ").push_bind(order_id.uuid());
    }
    if let Some(locations) = &filter.locations {
        super::push_locations(&mut query, locations);
    }
    if !filter.states.is_empty() {
        let names: Vec<&str> = filter.states.iter().map(|state| state.name()).collect();
        query.push(" AND state = ANY(").push_bind(names).push(")");
        if filter.states.iter().all(|state| !state.is_final()) {
            // In the words of the partial indexes, so that the list does not read what has ended.
            query.push(" AND state IN ('OPEN', 'ON_HOLD', 'IN_PROGRESS')");
        }
    }
    if let Some((created_at, id)) = page.after {
        query
            .push(" AND (created_at, fulfillment_order_id) > (")
            .push_bind(created_at);
        query.push(", ").push_bind(id).push(")");
    }
    query
        .push(" ORDER BY created_at, fulfillment_order_id LIMIT ")
        .push_bind(page.limit);
    let ids: Vec<Uuid> = query.build_query_scalar().fetch_all(&mut *conn).await?;
    get_many(conn, &ids).await
}
