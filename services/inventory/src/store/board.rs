//! Writes what a board decided.

use std::collections::{BTreeMap, BTreeSet};

use oms_core::{ChannelId, Sku};
use oms_postgres::Error;
use sqlx::PgConnection;
use time::OffsetDateTime;
use uuid::Uuid;

use crate::domain::board::Board;
use crate::domain::effect::Entry;
use crate::domain::level::Level;
use crate::domain::reservation::{Reservation, Row, RowKey};
use crate::domain::told::StockFact;

use super::lanes::Fencing;
use super::reservations::write_shortages;

/// What the lanes tell, by SKU.
pub(crate) type Told = BTreeMap<Sku, Vec<StockFact>>;

/// Writes entries, levels, reservations and lanes. Levels change by deltas; the rest is guarded by the lane locks, and
/// a row that is not as it was read is an error. The lanes' versions rise by as many events as they tell.
pub(crate) async fn write(
    conn: &mut PgConnection,
    board: &Board,
    told: &Told,
    fencing: Option<&Fencing>,
) -> Result<(), Error> {
    let changes = Changes {
        now: board.now(),
        headers: Headers::of(board),
        rows: Rows::of(board),
        entries: board.entries(),
        levels: Levels::of(board),
        lanes: Lanes::of(board, told, fencing),
    };
    if changes.is_empty() {
        return Ok(());
    }
    let [changed, vanished, moved, lanes] = send(conn, &changes).await?;
    expect("reservation", changes.headers.changed.id.len(), changed)?;
    expect("reservation_line", changes.rows.vanished.len(), vanished)?;
    expect("stock_level", changes.levels.known(), moved)?;
    expect("sku_lane", changes.lanes.skus.len(), lanes)
}

/// What a board changes, column by column.
struct Changes<'a> {
    now: OffsetDateTime,
    headers: Headers<'a>,
    rows: Rows<'a>,
    entries: &'a [Entry],
    levels: Levels,
    lanes: Lanes,
}

impl Changes<'_> {
    fn is_empty(&self) -> bool {
        self.headers.is_empty() && self.entries.is_empty() && self.levels.levels.is_empty()
    }
}

/// All of it in one statement. Answers how many headers, rows, levels and lanes were as they had been read.
async fn send(conn: &mut PgConnection, changes: &Changes<'_>) -> Result<[i64; 4], Error> {
    let (headers, rows, lanes) = (&changes.headers, &changes.rows, &changes.lanes);
    let row = sqlx::query_file!(
        "src/store/sql/write_board.sql",
        &headers.made.id,
        &headers.made.order as &[Option<Uuid>],
        &headers.made.fingerprint as &[Option<&[u8]>],
        &headers.made.state as &[&str],
        &headers.made.expires_at as &[Option<OffsetDateTime>],
        &headers.made.shortages as &[Option<serde_json::Value>],
        &headers.made.version,
        &headers.made.created_at,
        &headers.made.actor as &[&str],
        changes.now,
        &headers.changed.id,
        &headers.changed.state as &[&str],
        &headers.changed.expires_at as &[Option<OffsetDateTime>],
        &headers.changed.version,
        &headers.changed.version_before,
        &rows.vanished.reservation,
        &rows.vanished.order_line,
        &rows.vanished.location as &[&str],
        &rows.vanished.lot as &[&str],
        &rows.vanished.state as &[&str],
        &rows.kept.reservation,
        &rows.kept.order_line,
        &rows.kept.location as &[&str],
        &rows.kept.lot as &[&str],
        &rows.kept.state as &[&str],
        &rows.kept.sku as &[&str],
        &rows.kept_quantity,
        &rows.kept_queued_at,
        &texts(changes.entries, |entry| entry.entry.as_str()) as &[&str],
        &texts(changes.entries, |entry| entry.key.sku.as_str()) as &[&str],
        &texts(changes.entries, |entry| entry.key.location.as_str()) as &[&str],
        &texts(changes.entries, |entry| &entry.key.lot) as &[&str],
        &texts(changes.entries, |entry| entry.from.as_str()) as &[&str],
        &texts(changes.entries, |entry| entry.to.as_str()) as &[&str],
        &quantities(changes.entries),
        &texts(changes.entries, |entry| &entry.cause) as &[&str],
        &texts(changes.entries, |entry| &entry.line) as &[&str],
        &texts(changes.entries, |entry| &entry.reason) as &[&str],
        &texts(changes.entries, |entry| &entry.reference) as &[&str],
        &changes.levels.is_new,
        &texts(&changes.levels.levels, |level| level.key.sku.as_str()) as &[&str],
        &texts(&changes.levels.levels, |level| level.key.location.as_str()) as &[&str],
        &texts(&changes.levels.levels, |level| &level.key.lot) as &[&str],
        &changes.levels.deltas,
        &texts(&lanes.skus, Sku::as_str) as &[&str],
        &lanes.fences as &[Option<i64>],
        &lanes.holders as &[Option<Uuid>],
        &headers.changed.actor as &[&str],
        &texts(changes.entries, |entry| &entry.actor) as &[&str],
        &lanes.events,
        &lanes.available,
        &headers.made.channel as &[Option<&str>],
        &headers.made.class,
        &headers.made.promise_at as &[Option<OffsetDateTime>],
        &headers.made.ship_complete,
        &rows.vanished.sku as &[&str],
        &rows.kept_class,
        &rows.kept_promise_at as &[Option<OffsetDateTime>],
        &rows.kept_ship_complete,
        &lanes.backordered,
        &lanes.displaced,
    )
    .fetch_one(conn)
    .await?;
    Ok([row.changed, row.vanished, row.moved, row.lanes])
}

/// Every row that was read under the locks must still be there.
fn expect(table: &str, expected: usize, written: i64) -> Result<(), Error> {
    if i64::try_from(expected).is_ok_and(|expected| expected == written) {
        return Ok(());
    }
    let message = format!("{written} of {expected} rows of {table} were as they had been read");
    Err(sqlx::Error::Protocol(message).into())
}

fn quantities(entries: &[Entry]) -> Vec<i64> {
    entries.iter().map(|entry| entry.quantity).collect()
}

fn texts<T>(of: &[T], text: impl Fn(&T) -> &str) -> Vec<&str> {
    of.iter().map(text).collect()
}

/// Headers of reservations, column by column.
#[derive(Default)]
struct Headers<'a> {
    made: Made<'a>,
    changed: Changed<'a>,
}

#[derive(Default)]
struct Made<'a> {
    id: Vec<Uuid>,
    order: Vec<Option<Uuid>>,
    channel: Vec<Option<&'a str>>,
    fingerprint: Vec<Option<&'a [u8]>>,
    state: Vec<&'a str>,
    expires_at: Vec<Option<OffsetDateTime>>,
    shortages: Vec<Option<serde_json::Value>>,
    version: Vec<i64>,
    created_at: Vec<OffsetDateTime>,
    actor: Vec<&'a str>,
    class: Vec<i16>,
    promise_at: Vec<Option<OffsetDateTime>>,
    ship_complete: Vec<bool>,
}

#[derive(Default)]
struct Changed<'a> {
    id: Vec<Uuid>,
    state: Vec<&'a str>,
    expires_at: Vec<Option<OffsetDateTime>>,
    version: Vec<i64>,
    version_before: Vec<i64>,
    actor: Vec<&'a str>,
}

impl<'a> Headers<'a> {
    fn of(board: &'a Board) -> Self {
        let mut headers = Self::default();
        for now in board.changed_reservations() {
            match board.reservation_before(now.id) {
                Some(before) => headers.changed.push(before, now, board.changed_by(now.id)),
                None => headers.made.push(now, board.changed_by(now.id)),
            }
        }
        headers
    }

    fn is_empty(&self) -> bool {
        self.made.id.is_empty() && self.changed.id.is_empty()
    }
}

impl<'a> Made<'a> {
    fn push(&mut self, now: &'a Reservation, actor: &'a str) {
        self.id.push(now.id.uuid());
        self.order.push(now.order.map(Into::into));
        self.channel
            .push(now.channel.as_ref().map(ChannelId::as_str));
        self.fingerprint
            .push(now.fingerprint.as_ref().map(<[u8; 32]>::as_slice));
        self.state.push(now.state.as_str());
        self.expires_at.push(now.expires_at);
        self.shortages.push(write_shortages(&now.shortages));
        self.version.push(now.version);
        self.created_at.push(now.created_at);
        self.actor.push(actor);
        self.class.push(now.urgency.class);
        self.promise_at.push(now.urgency.promise_at);
        self.ship_complete.push(now.ship_complete);
    }
}

impl<'a> Changed<'a> {
    fn push(&mut self, before: &Reservation, now: &'a Reservation, actor: &'a str) {
        self.id.push(now.id.uuid());
        self.state.push(now.state.as_str());
        self.expires_at.push(now.expires_at);
        self.version.push(now.version);
        self.version_before.push(before.version);
        self.actor.push(actor);
    }
}

/// Rows of reservations, column by column.
#[derive(Default)]
struct Rows<'a> {
    vanished: Keys<'a>,
    kept: Keys<'a>,
    kept_quantity: Vec<i64>,
    kept_queued_at: Vec<OffsetDateTime>,
    kept_class: Vec<i16>,
    kept_promise_at: Vec<Option<OffsetDateTime>>,
    kept_ship_complete: Vec<bool>,
}

#[derive(Default)]
struct Keys<'a> {
    reservation: Vec<Uuid>,
    order_line: Vec<Uuid>,
    sku: Vec<&'a str>,
    location: Vec<&'a str>,
    lot: Vec<&'a str>,
    state: Vec<&'a str>,
}

impl<'a> Keys<'a> {
    fn len(&self) -> usize {
        self.reservation.len()
    }

    fn push(&mut self, reservation: Uuid, key: &'a RowKey) {
        let place = key.place.as_ref();
        self.reservation.push(reservation);
        self.order_line.push(key.order_line.uuid());
        self.sku.push(key.sku.as_str());
        self.location
            .push(place.map_or("", |place| place.location.as_str()));
        self.lot.push(place.map_or("", |place| &place.lot));
        self.state.push(key.state.as_str());
    }
}

impl<'a> Rows<'a> {
    fn of(board: &'a Board) -> Self {
        let mut rows = Self::default();
        for now in board.changed_reservations() {
            let before = board.reservation_before(now.id);
            for (key, row) in &now.rows {
                if before.and_then(|before| before.rows.get(key)) != Some(row) {
                    rows.keep(now, key, row);
                }
            }
            let gone = before.into_iter().flat_map(|before| before.rows.keys());
            for key in gone.filter(|key| !now.rows.contains_key(key)) {
                rows.vanished.push(now.id.uuid(), key);
            }
        }
        rows
    }

    fn keep(&mut self, reservation: &Reservation, key: &'a RowKey, row: &'a Row) {
        self.kept.push(reservation.id.uuid(), key);
        self.kept_quantity.push(row.quantity);
        self.kept_queued_at.push(row.queued_at);
        self.kept_class.push(reservation.urgency.class);
        self.kept_promise_at.push(reservation.urgency.promise_at);
        self.kept_ship_complete.push(reservation.ship_complete);
    }
}

/// Levels that changed, and eight deltas for each.
struct Levels {
    levels: Vec<Level>,
    deltas: Vec<i64>,
    is_new: Vec<bool>,
}

impl Levels {
    fn of(board: &Board) -> Self {
        let mut all = Self {
            levels: Vec::new(),
            deltas: Vec::new(),
            is_new: Vec::new(),
        };
        for (level, delta) in board.changed_levels() {
            all.is_new.push(delta.is_none());
            all.deltas.extend(delta.unwrap_or(level.buckets).0);
            all.levels.push(level);
        }
        all
    }

    fn known(&self) -> usize {
        self.is_new.iter().filter(|is_new| !**is_new).count()
    }
}

/// Lanes that tell something, or of which something else changed.
struct Lanes {
    skus: Vec<Sku>,
    events: Vec<i64>,
    /// What has to be added to the sums of free units.
    available: Vec<i64>,
    fences: Vec<Option<i64>>,
    holders: Vec<Option<Uuid>>,
    /// What has to be added to the numbers of units that wait.
    backordered: Vec<i64>,
    displaced: Vec<i64>,
}

impl Lanes {
    fn of(board: &Board, told: &Told, fencing: Option<&Fencing>) -> Self {
        let deltas = board.available_deltas();
        let queues = board.changed_queues();
        let skus: BTreeSet<&Sku> = told
            .keys()
            .chain(deltas.keys().copied())
            .chain(queues.keys().copied())
            .collect();
        let skus: Vec<Sku> = skus.into_iter().cloned().collect();
        let events = |sku: &Sku| told.get(sku).map_or(0, Vec::len);
        let token = |sku: &Sku| fencing.and_then(|fencing| fencing.tokens.get(sku).copied());
        let holder = fencing.map(|fencing| fencing.holder);
        let queue = |sku: &Sku| queues.get(sku).copied().unwrap_or_default();
        Self {
            fences: skus.iter().map(token).collect(),
            holders: skus.iter().map(|sku| token(sku).and(holder)).collect(),
            events: skus
                .iter()
                .map(|sku| i64::try_from(events(sku)).unwrap_or(i64::MAX))
                .collect(),
            available: skus
                .iter()
                .map(|sku| deltas.get(sku).copied().unwrap_or(0))
                .collect(),
            backordered: skus.iter().map(|sku| queue(sku).backordered).collect(),
            displaced: skus.iter().map(|sku| queue(sku).displaced).collect(),
            skus,
        }
    }
}
