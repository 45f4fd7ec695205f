//! Pick lists and their lines.

use oms_core::{FulfillmentOrderId, LocationId, PickLineId, PickListId, WaveId};
use oms_postgres::Error;
use serde::Deserialize;
use sqlx::types::Json;
use sqlx::{PgConnection, Postgres, QueryBuilder};
use time::OffsetDateTime;
use uuid::Uuid;

use super::{Page, named, typed};
use crate::domain::fulfillment_order::{Dimensions, Item};
use crate::domain::machine::Named as _;
use crate::domain::picking::{PickLine, PickList, PickListState};

/// Inserts new pick lists with their lines.
pub(crate) async fn insert_all(conn: &mut PgConnection, lists: &[PickList]) -> Result<(), Error> {
    for list in lists {
        sqlx::query!(
            "INSERT INTO pick_lists
                (pick_list_id, wave_id, location_id, state, assignee, version, created_at, updated_at)
             VALUES ($1, $2, $3, $4, $5, $6, $7, $7)",
            list.id.uuid(),
            list.wave_id.uuid(),
            list.location_id.as_str(),
            list.state.name(),
            list.assignee,
            list.version,
            list.created_at,
        )
        .execute(&mut *conn)
        .await?;
        insert_lines(conn, list).await?;
    }
    Ok(())
}

async fn insert_lines(conn: &mut PgConnection, list: &PickList) -> Result<(), Error> {
    let ids: Vec<Uuid> = list.lines.iter().map(|line| line.id.uuid()).collect();
    let orders: Vec<Uuid> = list
        .lines
        .iter()
        .map(|line| line.fulfillment_order_id.uuid())
        .collect();
    let order_lines: Vec<Uuid> = list
        .lines
        .iter()
        .map(|line| line.fulfillment_order_line_id)
        .collect();
    let quantities: Vec<i64> = list.lines.iter().map(|line| line.quantity).collect();
    sqlx::query!(
        "INSERT INTO pick_lines
            (pick_line_id, pick_list_id, line_number, fulfillment_order_id,
             fulfillment_order_line_id, quantity, state)
         SELECT n.id, $1, n.place, n.order_id, n.line_id, n.quantity, 'PENDING'
         FROM unnest($2::uuid[], $3::uuid[], $4::uuid[], $5::bigint[]) WITH ORDINALITY
              AS n (id, order_id, line_id, quantity, place)",
        list.id.uuid(),
        &ids,
        &orders,
        &order_lines,
        &quantities,
    )
    .execute(conn)
    .await?;
    Ok(())
}

struct ListRow {
    pick_list_id: Uuid,
    wave_id: Uuid,
    location_id: String,
    state: String,
    assignee: String,
    version: i64,
    created_at: OffsetDateTime,
    lines: Option<Json<Vec<LineRow>>>,
}

/// One pick list.
pub(crate) async fn get(
    conn: &mut PgConnection,
    id: PickListId,
) -> Result<Option<PickList>, Error> {
    Ok(get_many(conn, &[id.uuid()]).await?.pop())
}

/// Pick lists with their lines, of one moment, oldest first. Unknown ids are left out.
pub(crate) async fn get_many(
    conn: &mut PgConnection,
    ids: &[Uuid],
) -> Result<Vec<PickList>, Error> {
    let rows = sqlx::query_as!(
        ListRow,
        r#"SELECT pick_list_id, wave_id, location_id, state, assignee, version, created_at,
             (SELECT json_agg(line ORDER BY line.line_number) FROM (
                 SELECT p.line_number, p.pick_line_id, p.fulfillment_order_id, p.fulfillment_order_line_id,
                     p.quantity, p.picked, p.short, p.canceled, p.picked_by,
                     l.sku, l.name, l.barcodes, l.mass_grams, l.length_mm, l.width_mm, l.height_mm,
                     l.item_version
                 FROM pick_lines p JOIN fulfillment_order_lines l USING (fulfillment_order_line_id)
                 WHERE p.pick_list_id = o.pick_list_id) line) AS "lines: Json<Vec<LineRow>>"
         FROM pick_lists o WHERE pick_list_id = ANY($1) ORDER BY created_at, pick_list_id"#,
        ids,
    )
    .fetch_all(conn)
    .await?;
    rows.into_iter()
        .map(|row| {
            // NULL when there are none.
            let lines = row.lines.map_or_else(Vec::new, |lines| lines.0);
            Ok(PickList {
                id: PickListId::new(row.pick_list_id),
                wave_id: WaveId::new(row.wave_id),
                location_id: typed("location_id", &row.location_id)?,
                state: named("state", &row.state)?,
                assignee: row.assignee,
                version: row.version,
                created_at: row.created_at,
                lines: lines.into_iter().map(LineRow::into_line).collect(),
            })
        })
        .collect()
}

/// A pick line with what is picked, as `json_agg` gives it.
#[derive(Debug, Deserialize)]
struct LineRow {
    pick_line_id: PickLineId,
    fulfillment_order_id: FulfillmentOrderId,
    fulfillment_order_line_id: Uuid,
    quantity: i64,
    picked: i64,
    short: i64,
    canceled: i64,
    picked_by: String,
    sku: String,
    name: String,
    barcodes: Vec<String>,
    mass_grams: i64,
    length_mm: i64,
    width_mm: i64,
    height_mm: i64,
    item_version: i64,
}

impl LineRow {
    fn into_line(self) -> PickLine {
        PickLine {
            id: self.pick_line_id,
            fulfillment_order_id: self.fulfillment_order_id,
            fulfillment_order_line_id: self.fulfillment_order_line_id,
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
            quantity: self.quantity,
            picked: self.picked,
            short: self.short,
            canceled: self.canceled,
            picked_by: self.picked_by,
        }
    }
}

/// One pick list, locked until the transaction ends. Pick lists are locked before fulfillment
/// orders, everywhere.
pub(crate) async fn lock(
    conn: &mut PgConnection,
    id: PickListId,
) -> Result<Option<PickList>, Error> {
    Ok(lock_many(conn, &[id.uuid()]).await?.pop())
}

async fn lock_many(conn: &mut PgConnection, ids: &[Uuid]) -> Result<Vec<PickList>, Error> {
    let locked = sqlx::query_scalar!(
        "SELECT pick_list_id FROM pick_lists
         WHERE pick_list_id = ANY($1) ORDER BY pick_list_id FOR NO KEY UPDATE",
        ids,
    )
    .fetch_all(&mut *conn)
    .await?;
    get_many(conn, &locked).await
}

/// The pick lists that a fulfillment order is on, locked.
pub(crate) async fn lock_of_order(
    conn: &mut PgConnection,
    order: FulfillmentOrderId,
) -> Result<Vec<PickList>, Error> {
    let ids = sqlx::query_scalar!(
        "SELECT DISTINCT pick_list_id FROM pick_lines WHERE fulfillment_order_id = $1",
        order.uuid(),
    )
    .fetch_all(&mut *conn)
    .await?;
    lock_many(conn, &ids).await
}

/// Writes a pick list and its lines; the caller holds the lock and has moved the version.
pub(crate) async fn save(
    conn: &mut PgConnection,
    list: &PickList,
    now: OffsetDateTime,
) -> Result<(), Error> {
    let ids: Vec<Uuid> = list.lines.iter().map(|line| line.id.uuid()).collect();
    let column =
        |counter: fn(&PickLine) -> i64| list.lines.iter().map(counter).collect::<Vec<i64>>();
    let states: Vec<&str> = list.lines.iter().map(|line| line.state().name()).collect();
    let pickers: Vec<&str> = list
        .lines
        .iter()
        .map(|line| line.picked_by.as_str())
        .collect();
    sqlx::query!(
        "WITH counted AS (
             UPDATE pick_lines AS l
             SET picked = n.picked, short = n.short, canceled = n.canceled, state = n.state,
                 picked_by = n.picked_by
             FROM unnest($6::uuid[], $7::bigint[], $8::bigint[], $9::bigint[], $10::text[], $11::text[])
                  AS n (id, picked, short, canceled, state, picked_by)
             WHERE l.pick_line_id = n.id
               AND (l.picked, l.short, l.canceled) IS DISTINCT FROM (n.picked, n.short, n.canceled))
         UPDATE pick_lists SET state = $2, assignee = $3, version = $4, updated_at = $5
         WHERE pick_list_id = $1",
        list.id.uuid(),
        list.state.name(),
        list.assignee,
        list.version,
        now,
        &ids,
        &column(|line| line.picked),
        &column(|line| line.short),
        &column(|line| line.canceled),
        &states as &[&str],
        &pickers as &[&str],
    )
    .execute(conn)
    .await?;
    Ok(())
}

/// A page of a location's pick lists, oldest first; empty `states` means all.
pub(crate) async fn list(
    conn: &mut PgConnection,
    location_id: &LocationId,
    states: &[PickListState],
    page: Page,
) -> Result<Vec<PickList>, Error> {
    let mut query: QueryBuilder<Postgres> =
        QueryBuilder::new("SELECT pick_list_id FROM pick_lists WHERE location_id = ");
    query.push_bind(location_id.to_string());
    if !states.is_empty() {
        let names: Vec<&str> = states.iter().map(|state| state.name()).collect();
        query.push(" AND state = ANY(").push_bind(names).push(")");
        let is_live = |state: &PickListState| {
            !matches!(state, PickListState::Completed | PickListState::Canceled)
        };
        if states.iter().all(is_live) {
            // In the words of the partial index, so that the list does not read what has ended.
            query.push(" AND state IN ('CREATED', 'ASSIGNED', 'IN_PROGRESS')");
        }
    }
    if let Some((created_at, id)) = page.after {
        query
            .push(" AND (created_at, pick_list_id) > (")
            .push_bind(created_at);
        query.push(", ").push_bind(id).push(")");
    }
    query
        .push(" ORDER BY created_at, pick_list_id LIMIT ")
        .push_bind(page.limit);
    let ids: Vec<Uuid> = query.build_query_scalar().fetch_all(&mut *conn).await?;
    get_many(conn, &ids).await
}
