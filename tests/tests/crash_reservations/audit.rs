//! Compares what buyers were told with levels, ledger, reservations and events, by SQL of its own.

use std::collections::{BTreeMap, HashMap};

use anyhow::Context;
use oms_proto::inventory::v1::inventory_event::Event;
use oms_proto::inventory::v1::{InventoryEvent, ReservationState as State};
use oms_tests::suite::wait_for;
use prost::Message;
use sqlx::{Connection, FromRow, PgConnection};

use crate::buyer::{Answer, Record};
use crate::plan::Order;
use crate::report::Outcome;

/// SKU, location, lot.
type Place = (String, String, String);

/// Units in the buckets that a sale moves.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
struct Units {
    available: i64,
    held: i64,
    allocated: i64,
}

/// Units of one order line in one state.
#[derive(Debug, FromRow)]
struct Line {
    reservation_id: String,
    reservation_state: String,
    order_line_id: String,
    sku: String,
    state: String,
    quantity: i64,
}

/// What the database says.
#[derive(Debug, Default)]
pub(crate) struct Books {
    levels: BTreeMap<Place, Units>,
    lines: HashMap<String, Vec<Line>>,
    /// What a consumer of the feed takes the levels to be, and what its reservations take.
    told: Told,
    /// What contradicts itself, and of that what was done twice.
    contradictions: Vec<String>,
    doubled: Vec<String>,
}

#[derive(Debug, Default)]
struct Told {
    levels: BTreeMap<Place, Units>,
    reserved: BTreeMap<Place, Units>,
}

/// Every query finds what contradicts the books.
const CONTRADICTIONS: [(&str, &str); 8] = [
    (
        "a level is not the sum of the ledger",
        "WITH moves AS (
             SELECT sku, location_id, lot, from_account AS account, -quantity AS units FROM stock_ledger
             UNION ALL SELECT sku, location_id, lot, to_account, quantity FROM stock_ledger
         ), sums AS (
             SELECT sku, location_id, lot, coalesce(sum(units) FILTER (WHERE account = 'AVAILABLE'), 0) AS available,
                 coalesce(sum(units) FILTER (WHERE account = 'HELD'), 0) AS held,
                 coalesce(sum(units) FILTER (WHERE account = 'ALLOCATED'), 0) AS allocated
             FROM moves GROUP BY sku, location_id, lot
         )
         SELECT concat(l::text, ' <> ', s::text) FROM stock_level l FULL JOIN sums s USING (sku, location_id, lot)
         WHERE (l.available, l.held, l.allocated) IS DISTINCT FROM (s.available, s.held, s.allocated)",
    ),
    (
        "a bucket is not what the open reservations take",
        "WITH taken AS (
             SELECT sku, location_id, lot, coalesce(sum(quantity) FILTER (WHERE state = 'HELD'), 0) AS held,
                 coalesce(sum(quantity) FILTER (WHERE state = 'ALLOCATED'), 0) AS allocated
             FROM reservation_line GROUP BY sku, location_id, lot
         )
         SELECT concat(l::text, ' <> ', t::text) FROM stock_level l FULL JOIN taken t USING (sku, location_id, lot)
         WHERE (coalesce(l.held, 0), coalesce(l.allocated, 0)) <> (coalesce(t.held, 0), coalesce(t.allocated, 0))",
    ),
    (
        "a bucket is below zero",
        "SELECT l::text FROM stock_level l
         WHERE least(available, held, allocated, count_pending, quarantine, qc, damaged, refurb) < 0",
    ),
    (
        "a reservation is in another state than its lines",
        "SELECT concat(r.state, ' with a line that is ', l.state, ': ', r.reservation_id)
         FROM reservation r JOIN reservation_line l USING (reservation_id) WHERE r.state <> l.state",
    ),
    (
        "events of an aggregate have gaps or repeats",
        "SELECT concat(aggregate_type, '/', aggregate_id, ' has ', count(*), ' events up to ', max(aggregate_version))
         FROM feed GROUP BY aggregate_type, aggregate_id
         HAVING count(*) <> max(aggregate_version) OR count(DISTINCT aggregate_version) <> count(*)",
    ),
    (
        "an aggregate has another number of events than its version says",
        "WITH own AS (
             SELECT 'reservation' AS aggregate_type, reservation_id::text AS aggregate_id, version FROM reservation
             UNION ALL SELECT 'stock', sku, version FROM sku_lane WHERE version > 0
         ), told AS (
             SELECT aggregate_type, aggregate_id, max(aggregate_version) AS version FROM feed
             WHERE aggregate_type IN ('reservation', 'stock') GROUP BY aggregate_type, aggregate_id
         )
         SELECT concat(own::text, ' <> ', told::text) FROM own FULL JOIN told USING (aggregate_type, aggregate_id)
         WHERE own.version IS DISTINCT FROM told.version",
    ),
    (
        "positions of the feed have gaps",
        "SELECT concat(count(*), ' events up to ', max(pos)) FROM feed HAVING count(*) <> max(pos)",
    ),
    (
        "a task is stuck",
        "SELECT concat(kind, ' ', key, ': ', last_error) FROM tasks WHERE state = 'STUCK'",
    ),
];

/// Every query finds what was done more than once.
const DOUBLED: [(&str, &str); 3] = [
    (
        "two reservations for one order",
        "SELECT order_id::text FROM reservation GROUP BY order_id HAVING count(*) > 1",
    ),
    (
        "units were held more often than a reservation has them",
        "WITH held AS (
             SELECT split_part(cause, '/', 2) AS reservation_id, sum(quantity) AS units FROM stock_ledger
             WHERE entry_type = 'HOLD' GROUP BY 1
         ), had AS (
             SELECT reservation_id::text, sum(quantity) AS units FROM reservation_line GROUP BY 1
         )
         SELECT concat(held::text, ' <> ', had::text) FROM held FULL JOIN had USING (reservation_id)
         WHERE held.units IS DISTINCT FROM had.units",
    ),
    (
        "a cause was booked twice",
        "SELECT concat(cause, ' ', entry_type, ' ', line, ' ', count(*)) FROM stock_ledger
         GROUP BY cause, entry_type, line, sku, location_id, lot, from_account HAVING count(*) > 1",
    ),
];

impl Books {
    /// Reads the books as this connection sees them.
    pub(crate) async fn read(conn: &mut PgConnection) -> anyhow::Result<Self> {
        let mut books = Self {
            contradictions: found(conn, &CONTRADICTIONS).await?,
            doubled: found(conn, &DOUBLED).await?,
            told: Told::read(conn).await?,
            ..Self::default()
        };
        let levels: Vec<(String, String, String, i64, i64, i64)> = sqlx::query_as(
            "SELECT sku, location_id, lot, available, held, allocated FROM stock_level",
        )
        .fetch_all(&mut *conn)
        .await?;
        for (sku, location, lot, available, held, allocated) in levels {
            let units = Units {
                available,
                held,
                allocated,
            };
            books.levels.insert((sku, location, lot), units);
        }
        let lines: Vec<Line> = sqlx::query_as(
            "SELECT r.reservation_id::text, r.state AS reservation_state, l.order_line_id::text, l.sku, l.state,
                 l.quantity
             FROM reservation r JOIN reservation_line l USING (reservation_id)",
        )
        .fetch_all(&mut *conn)
        .await?;
        for line in lines {
            let of = books.lines.entry(line.reservation_id.clone()).or_default();
            of.push(line);
        }
        Ok(books)
    }

    /// Units of a SKU that somebody has.
    fn sold(&self, sku: &str) -> i64 {
        let levels = self.levels.iter().filter(|((of, ..), _)| of == sku);
        levels.map(|(_, units)| units.held + units.allocated).sum()
    }

    /// Whether an order's reservation is there as it was acknowledged.
    fn has(&self, order: &Order, state: State) -> Result<(), String> {
        let Some(lines) = self.lines.get(&order.reservation_id()) else {
            return Err("is not there".to_owned());
        };
        let state = state.as_str_name().trim_start_matches("RESERVATION_STATE_");
        let is_in_state = |line: &Line| line.state == state && line.reservation_state == state;
        if !lines.iter().all(is_in_state) {
            return Err(format!("is not {state}: {lines:?}"));
        }
        for asked in order.reserve("").lines {
            let got = lines
                .iter()
                .filter(|line| line.order_line_id == asked.order_line_id && line.sku == asked.sku);
            let got: i64 = got.map(|line| line.quantity).sum();
            if got != asked.quantity {
                return Err(format!("has {got} units where {asked:?} were asked for"));
            }
        }
        Ok(())
    }
}

/// Waits until the relay has moved all events to the feed.
pub(crate) async fn until_told(database_url: &str) -> anyhow::Result<()> {
    wait_for("all events to be in the feed", || async {
        let mut conn = PgConnection::connect(database_url).await?;
        let left: i64 = sqlx::query_scalar("SELECT count(*) FROM outbox")
            .fetch_one(&mut conn)
            .await?;
        conn.close().await?;
        Ok(if left == 0 {
            Ok(())
        } else {
            Err(format!("{left} are left in the outbox"))
        })
    })
    .await
}

async fn found(
    conn: &mut PgConnection,
    queries: &[(&'static str, &'static str)],
) -> anyhow::Result<Vec<String>> {
    let mut found = Vec::new();
    for (what, query) in queries {
        let rows: Vec<String> = sqlx::query_scalar(*query)
            .fetch_all(&mut *conn)
            .await
            .context(*what)?;
        found.extend(rows.iter().map(|row| format!("{what}: {row}")));
    }
    Ok(found)
}

impl Told {
    async fn read(conn: &mut PgConnection) -> anyhow::Result<Self> {
        let payloads: Vec<Vec<u8>> = sqlx::query_scalar("SELECT payload FROM feed ORDER BY pos")
            .fetch_all(conn)
            .await?;
        let mut told = Self::default();
        let mut reservations = HashMap::new();
        for payload in payloads {
            match InventoryEvent::decode(&*payload)?.event {
                Some(Event::StockChanged(changed)) => {
                    for level in changed.levels {
                        let units = Units {
                            available: level.available,
                            held: level.held,
                            allocated: level.allocated,
                        };
                        told.levels
                            .insert((level.sku, level.location_id, level.lot), units);
                    }
                }
                Some(Event::ReservationChanged(changed)) => {
                    let reservation = changed.reservation.context("no reservation")?;
                    reservations.insert(reservation.reservation_id.clone(), reservation);
                }
                _ => {}
            }
        }
        for line in reservations.into_values().flat_map(|one| one.lines) {
            let state = line.state();
            let place = (line.sku, line.location_id, line.lot);
            let units: &mut Units = told.reserved.entry(place).or_default();
            match state {
                State::Held => units.held += line.quantity,
                State::Allocated => units.allocated += line.quantity,
                _ => {}
            }
        }
        Ok(told)
    }

    fn contradictions(&self, levels: &BTreeMap<Place, Units>) -> Vec<String> {
        let mut found = Vec::new();
        if self.levels != *levels {
            found.push(format!(
                "events tell of other levels: {:?}, not {levels:?}",
                self.levels
            ));
        }
        for (place, units) in levels {
            let told = self.reserved.get(place).copied().unwrap_or_default();
            if (told.held, told.allocated) != (units.held, units.allocated) {
                found.push(format!(
                    "events tell of other reservations at {place:?}: {told:?}, not {units:?}"
                ));
            }
        }
        found
    }
}

/// What a sale was about and what its buyers were told.
#[derive(Debug)]
pub(crate) struct Story {
    /// Units of each SKU.
    pub(crate) stock: BTreeMap<String, i64>,
    pub(crate) records: Vec<Record>,
    /// The first so many had to be served, because there was enough for all of them.
    pub(crate) must_be_served: usize,
}

/// Puts what the audit found into the outcome.
pub(crate) fn compare(outcome: &mut Outcome, story: &Story, books: &Books) {
    outcome.other.extend(books.contradictions.iter().cloned());
    outcome
        .other
        .extend(books.told.contradictions(&books.levels));
    outcome.doubled.extend(books.doubled.iter().cloned());
    for (sku, units) in &story.stock {
        let sold = books.sold(sku);
        outcome.sold += sold;
        outcome.oversold += (sold - units).max(0);
        outcome.undersold += (units - sold).max(0);
    }
    let mut known = 0;
    for (number, record) in story.records.iter().enumerate() {
        let name = &record.order.name;
        let is_there = books.lines.contains_key(&record.order.reservation_id());
        known += usize::from(is_there);
        match &record.answer {
            Answer::Acknowledged(state) => {
                if let Err(why) = books.has(&record.order, *state) {
                    outcome.missing.push(format!("{name} {why}"));
                }
            }
            Answer::Refused => {
                outcome.refused += 1;
                if is_there {
                    outcome
                        .other
                        .push(format!("{name} was refused and is there"));
                }
                if number < story.must_be_served {
                    let what = format!("{name} was refused though there was enough");
                    outcome.other.push(what);
                }
            }
            Answer::Wrong(why) => outcome.other.push(format!("{name} was answered {why}")),
        }
        let is_acknowledged = |answer: &Answer| matches!(answer, Answer::Acknowledged(_));
        if let Some(twin) = &record.twin
            && is_acknowledged(twin) != is_acknowledged(&record.answer)
        {
            let what = format!("{name} was answered {:?} and {twin:?}", record.answer);
            outcome.other.push(what);
        }
    }
    if known < books.lines.len() {
        let strangers = books.lines.len() - known;
        outcome
            .other
            .push(format!("{strangers} reservations are nobody's"));
    }
}
