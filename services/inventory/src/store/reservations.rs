//! Reservations and their rows. Written by `board`.

use std::collections::{BTreeMap, BTreeSet};

use oms_core::{OrderId, OrderLineId, ReservationId, Sku};
use oms_postgres::Error;
use serde::{Deserialize, Serialize};
use sqlx::PgConnection;
use time::OffsetDateTime;
use uuid::Uuid;

use crate::domain::level::LevelKey;
use crate::domain::reservation::{
    Place, Reservation, ReservationState, Row, RowKey, Shortage, Urgency,
};

use super::{inconsistent, read, texts};

const TABLE: &str = "reservation";
const LINES: &str = "reservation_line";

/// The SKUs of a reservation's rows: the lanes that guard it. They never change. Empty for what is not there.
pub(crate) async fn skus_of(
    conn: &mut PgConnection,
    id: ReservationId,
) -> Result<BTreeSet<Sku>, Error> {
    let skus = sqlx::query_scalar!(
        "SELECT DISTINCT sku FROM reservation_line WHERE reservation_id = $1",
        id.uuid(),
    )
    .fetch_all(conn)
    .await?;
    skus.iter().map(|sku| read(sku, LINES, "sku", id)).collect()
}

/// Reservations by id; those that are not there are missing.
pub(crate) async fn load(
    conn: &mut PgConnection,
    ids: &BTreeSet<ReservationId>,
) -> Result<Vec<Reservation>, Error> {
    if ids.is_empty() {
        return Ok(Vec::new());
    }
    let ids: Vec<Uuid> = ids.iter().map(|id| id.uuid()).collect();
    let rows = sqlx::query_as!(
        JoinedRow,
        r#"SELECT r.reservation_id AS "reservation_id!", r.order_id, r.channel_id, r.fingerprint, r.state AS "state!", r.expires_at,
                  r.shortages, r.version AS "version!", r.created_at AS "created_at!", r.priority AS "priority!",
                  r.promise_at, r.ship_complete AS "ship_complete!", l.order_line_id AS "order_line_id?", l.location_id AS "location_id?",
                  l.lot AS "lot?", l.state AS "row_state?", l.sku AS "sku?", l.quantity AS "quantity?",
                  l.queued_at AS "queued_at?"
           FROM reservation r LEFT JOIN reservation_line l USING (reservation_id)
           WHERE r.reservation_id = ANY($1)"#,
        &ids,
    )
    .fetch_all(conn)
    .await?;
    fold(rows)
}

/// The reservations of an order, oldest first.
pub(crate) async fn of_order(
    conn: &mut PgConnection,
    order: OrderId,
) -> Result<Vec<Reservation>, Error> {
    let rows = sqlx::query_as!(
        JoinedRow,
        r#"SELECT r.reservation_id AS "reservation_id!", r.order_id, r.channel_id, r.fingerprint, r.state AS "state!", r.expires_at,
                  r.shortages, r.version AS "version!", r.created_at AS "created_at!", r.priority AS "priority!",
                  r.promise_at, r.ship_complete AS "ship_complete!", l.order_line_id AS "order_line_id?", l.location_id AS "location_id?",
                  l.lot AS "lot?", l.state AS "row_state?", l.sku AS "sku?", l.quantity AS "quantity?",
                  l.queued_at AS "queued_at?"
           FROM reservation r LEFT JOIN reservation_line l USING (reservation_id)
           WHERE r.order_id = $1"#,
        order.uuid(),
    )
    .fetch_all(conn)
    .await?;
    let mut found = fold(rows)?;
    found.sort_by_key(|one| (one.created_at, one.id));
    Ok(found)
}

/// Reservations with demand that waits for these SKUs, looking at the `limit` most urgent rows of each; and the SKUs
/// that may have more. As many again of those that ship complete are looked at apart, since they may have to be passed
/// over.
pub(crate) async fn waiting(
    conn: &mut PgConnection,
    skus: &[Sku],
    limit: i64,
) -> Result<(BTreeSet<ReservationId>, BTreeSet<Sku>), Error> {
    let rows = sqlx::query!(
        r#"SELECT s.sku AS "sku!", w.reservation_id AS "reservation_id!", w.ship_complete AS "ship_complete!"
           FROM unnest($1::text[]) AS s (sku)
           CROSS JOIN LATERAL (
               (SELECT l.reservation_id, l.ship_complete FROM reservation_line l
                WHERE l.state = 'BACKORDERED' AND NOT l.ship_complete AND l.sku = s.sku
                ORDER BY l.priority, l.promise_at, l.queued_at, l.reservation_id, l.order_line_id LIMIT $2)
               UNION ALL
               (SELECT l.reservation_id, l.ship_complete FROM reservation_line l
                WHERE l.state = 'BACKORDERED' AND l.ship_complete AND l.sku = s.sku
                ORDER BY l.priority, l.promise_at, l.queued_at, l.reservation_id, l.order_line_id LIMIT $2)
           ) AS w"#,
        &texts(skus) as &[&str],
        limit,
    )
    .fetch_all(conn)
    .await?;
    let mut ids = BTreeSet::new();
    let mut seen: BTreeMap<String, i64> = BTreeMap::new();
    for row in rows {
        ids.insert(ReservationId::new(row.reservation_id));
        *seen.entry(row.sku).or_default() += i64::from(!row.ship_complete);
    }
    let more = seen.into_iter().filter(|(_, rows)| *rows >= limit);
    let more = more
        .map(|(sku, _)| read(&sku, LINES, "sku", &sku))
        .collect::<Result<_, Error>>()?;
    Ok((ids, more))
}

/// Reservations that lose their stock first when up to so many units of each of these levels are not there.
pub(crate) async fn displaceable(
    conn: &mut PgConnection,
    levels: &[(&LevelKey, i64)],
) -> Result<BTreeSet<ReservationId>, Error> {
    if levels.is_empty() {
        return Ok(BTreeSet::new());
    }
    let keys = || levels.iter().map(|(key, _)| key);
    let skus: Vec<&str> = keys().map(|key| key.sku.as_str()).collect();
    let locations: Vec<&str> = keys().map(|key| key.location.as_str()).collect();
    let lots: Vec<&str> = keys().map(|key| key.lot.as_str()).collect();
    let units: Vec<i64> = levels.iter().map(|(_, units)| *units).collect();
    // The order is that of `Board::victims`.
    let ids = sqlx::query_scalar!(
        r#"SELECT v.reservation_id AS "reservation_id!"
           FROM unnest($1::text[], $2::text[], $3::text[], $4::bigint[]) AS k (sku, location_id, lot, units)
           CROSS JOIN LATERAL (
               SELECT l.reservation_id, sum(l.quantity) OVER (
                          ORDER BY l.priority DESC, l.promise_at DESC NULLS FIRST, l.state = 'ALLOCATED',
                                   l.queued_at DESC, l.reservation_id DESC, l.order_line_id DESC
                          ROWS UNBOUNDED PRECEDING) - l.quantity AS before
               FROM reservation_line l
               WHERE l.sku = k.sku AND l.location_id = k.location_id AND l.lot = k.lot
                 AND l.state IN ('HELD', 'ALLOCATED')
           ) AS v
           WHERE v.before < k.units"#,
        &skus as &[&str],
        &locations as &[&str],
        &lots as &[&str],
        &units,
    )
    .fetch_all(conn)
    .await?;
    Ok(ids.into_iter().map(ReservationId::new).collect())
}

/// Locks reservations in their order. Needed for those whose SKUs are not all locked: another lane may give them
/// stock at the same time.
pub(crate) async fn lock(
    conn: &mut PgConnection,
    ids: &BTreeSet<ReservationId>,
) -> Result<(), Error> {
    if ids.is_empty() {
        return Ok(());
    }
    let ids: Vec<Uuid> = ids.iter().map(|id| id.uuid()).collect();
    sqlx::query!(
        "SELECT reservation_id FROM reservation WHERE reservation_id = ANY($1)
         ORDER BY reservation_id FOR UPDATE",
        &ids,
    )
    .fetch_all(conn)
    .await?;
    Ok(())
}

/// Up to `limit` reservations whose time has run out, the longest due first.
pub(crate) async fn due(
    conn: &mut PgConnection,
    now: OffsetDateTime,
    limit: i64,
) -> Result<Vec<ReservationId>, Error> {
    let ids = sqlx::query_scalar!(
        "SELECT reservation_id FROM reservation WHERE expires_at <= $1 ORDER BY expires_at LIMIT $2",
        now,
        limit,
    )
    .fetch_all(conn)
    .await?;
    Ok(ids.into_iter().map(ReservationId::new).collect())
}

struct JoinedRow {
    reservation_id: Uuid,
    order_id: Option<Uuid>,
    channel_id: Option<String>,
    fingerprint: Option<Vec<u8>>,
    state: String,
    expires_at: Option<OffsetDateTime>,
    shortages: Option<serde_json::Value>,
    version: i64,
    created_at: OffsetDateTime,
    priority: i16,
    promise_at: Option<OffsetDateTime>,
    ship_complete: bool,
    order_line_id: Option<Uuid>,
    location_id: Option<String>,
    lot: Option<String>,
    row_state: Option<String>,
    sku: Option<String>,
    quantity: Option<i64>,
    queued_at: Option<OffsetDateTime>,
}

/// Gathers the rows of each reservation.
fn fold(rows: Vec<JoinedRow>) -> Result<Vec<Reservation>, Error> {
    let mut found: BTreeMap<Uuid, Reservation> = BTreeMap::new();
    for row in rows {
        let part = part(&row)?;
        let id = row.reservation_id;
        let reservation = match found.entry(id) {
            std::collections::btree_map::Entry::Occupied(entry) => entry.into_mut(),
            std::collections::btree_map::Entry::Vacant(entry) => entry.insert(header(row)?),
        };
        if let Some((key, row)) = part {
            reservation.rows.insert(key, row);
        }
    }
    Ok(found.into_values().collect())
}

fn header(row: JoinedRow) -> Result<Reservation, Error> {
    let id = row.reservation_id;
    let channel = row.channel_id.as_deref();
    let channel = channel.map(|channel| read(channel, TABLE, "channel_id", id));
    let fingerprint = row.fingerprint.map(<[u8; 32]>::try_from).transpose();
    Ok(Reservation {
        id: ReservationId::new(id),
        order: row.order_id.map(OrderId::new),
        channel: channel.transpose()?,
        fingerprint: fingerprint.map_err(|_| inconsistent(TABLE, "fingerprint", id))?,
        state: state(&row.state, TABLE, id)?,
        expires_at: row.expires_at,
        urgency: Urgency {
            class: row.priority,
            promise_at: row.promise_at,
        },
        ship_complete: row.ship_complete,
        shortages: match row.shortages {
            Some(stored) => read_shortages(stored, id)?,
            None => Vec::new(),
        },
        version: row.version,
        created_at: row.created_at,
        rows: BTreeMap::new(),
    })
}

/// The row beside the header; `None` when the reservation has none.
fn part(row: &JoinedRow) -> Result<Option<(RowKey, Row)>, Error> {
    let JoinedRow {
        order_line_id: Some(order_line),
        location_id: Some(location),
        lot: Some(lot),
        row_state: Some(row_state),
        sku: Some(sku),
        quantity: Some(quantity),
        queued_at: Some(queued_at),
        reservation_id: id,
        ..
    } = row
    else {
        return Ok(None);
    };
    let place = if location.is_empty() {
        None
    } else {
        Some(Place {
            location: read(location, LINES, "location_id", id)?,
            lot: lot.clone(),
        })
    };
    let key = RowKey {
        order_line: OrderLineId::new(*order_line),
        sku: read(sku, LINES, "sku", id)?,
        place,
        state: state(row_state, LINES, *id)?,
    };
    let row = Row {
        quantity: *quantity,
        queued_at: *queued_at,
    };
    Ok(Some((key, row)))
}

fn state(name: &str, table: &str, id: Uuid) -> Result<ReservationState, Error> {
    ReservationState::parse(name).ok_or_else(|| inconsistent(table, "state", id))
}

/// A shortage as it is kept in `reservation.shortages`.
#[derive(Serialize, Deserialize)]
struct StoredShortage {
    order_line_id: Uuid,
    sku: Sku,
    requested: i64,
    available: i64,
    /// When more was expected, in seconds of Unix time.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    next_supply: Option<i64>,
}

fn read_shortages(stored: serde_json::Value, id: Uuid) -> Result<Vec<Shortage>, Error> {
    let stored: Vec<StoredShortage> =
        serde_json::from_value(stored).map_err(|_| inconsistent(TABLE, "shortages", id))?;
    let read = stored.into_iter().map(|one| Shortage {
        order_line: OrderLineId::new(one.order_line_id),
        sku: one.sku,
        location: None,
        requested: one.requested,
        available: one.available,
        next_supply: one
            .next_supply
            .and_then(|at| OffsetDateTime::from_unix_timestamp(at).ok()),
    });
    Ok(read.collect())
}

/// Shortages as they are kept; `None` when there are none.
pub(super) fn write_shortages(shortages: &[Shortage]) -> Option<serde_json::Value> {
    if shortages.is_empty() {
        return None;
    }
    let stored: Vec<StoredShortage> = shortages
        .iter()
        .map(|one| StoredShortage {
            order_line_id: one.order_line.uuid(),
            sku: one.sku.clone(),
            requested: one.requested,
            available: one.available,
            next_supply: one.next_supply.map(OffsetDateTime::unix_timestamp),
        })
        .collect();
    // Plain fields only: this cannot fail.
    serde_json::to_value(stored).ok()
}
