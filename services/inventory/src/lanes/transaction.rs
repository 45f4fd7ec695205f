//! One transaction: lock the lanes, read, decide command after command, write, tell.

use std::collections::{BTreeMap, BTreeSet};
use std::ops::Range;

use oms_core::{Clock, IdSource, LocationId, ReservationId, Sku};
use oms_postgres::{NewTask, idempotency, outbox, tasks};
use sqlx::PgConnection;
use tracing::Instrument;

use crate::domain::board::{Board, Loaded};
use crate::domain::command::{Command, Locations};
use crate::domain::effect::Outcome;
use crate::domain::reservation::Reservation;
use crate::store;
use crate::store::events::Stamp;
use crate::store::lanes::{Fencing, Lane};

use super::Error;
use super::job::Job;

/// Rows of waiting demand that one transaction looks at, for each SKU. A task goes on where it ends.
const WAITING_MAX: i64 = 200;

/// Kind of the task that goes on with demand that waits.
pub(crate) const ALLOCATE_BACKORDERS: &str = "allocate_backorders";

/// Why a batch was rolled back.
#[derive(Debug)]
pub(super) enum Undecided {
    /// The database refused or is gone.
    Store(oms_postgres::Error),
    /// Lanes of these SKUs have seen a later lease.
    Fenced(Vec<Sku>),
    /// A reservation came to be after its SKUs were looked up.
    Moved,
}

impl From<oms_postgres::Error> for Undecided {
    fn from(error: oms_postgres::Error) -> Self {
        match error.constraint() {
            // Somebody made the same reservation, or its tombstone, under other lanes.
            Some("reservation_pkey") => Self::Moved,
            _ => Self::Store(error),
        }
    }
}

/// What is known of a command's call.
enum Call {
    New,
    Repeated,
    Reused,
}

/// Decides a batch. Refused commands change nothing; the others commit together.
pub(super) async fn decide(
    conn: &mut PgConnection,
    jobs: &[Job],
    fencing: Option<&Fencing>,
    clock: &dyn Clock,
    ids: &dyn IdSource,
) -> Result<Vec<Result<Outcome, Error>>, Undecided> {
    let lanes = lock_lanes(conn, jobs, fencing).await?;
    let mut calls = Vec::with_capacity(jobs.len());
    for job in jobs {
        calls.push(look_up(conn, job).await?);
    }
    let (loaded, backlog) = load(conn, jobs, &lanes).await?;
    let mut board = Board::new(clock.now(), loaded);
    let reservations = jobs
        .iter()
        .filter_map(|job| job.request.command.reservation());
    if !reservations.into_iter().all(|id| board.guards(id)) {
        return Err(Undecided::Moved);
    }
    let mut answers = Vec::with_capacity(jobs.len());
    let mut told: Vec<Range<usize>> = Vec::with_capacity(jobs.len());
    for (job, call) in jobs.iter().zip(&calls) {
        let from = board.facts().len();
        let command = &job.request.command;
        answers.push(match call {
            Call::New => board
                .decide(command, &job.request.actor.to_string())
                .map_err(Error::from),
            Call::Repeated => board.replay(command).map_err(Error::from),
            Call::Reused => Err(Error::RequestIdReused),
        });
        told.push(from..board.facts().len());
    }
    store::board::write(conn, &board, fencing).await?;
    tell(conn, jobs, &board, &told, &lanes, ids).await?;
    for ((job, call), answer) in jobs.iter().zip(&calls).zip(&answers) {
        if let (Some(key), Call::New, Ok(outcome)) = (&job.request.key, call, answer) {
            let resource = outcome
                .reservation()
                .map(|id| id.to_string())
                .unwrap_or_default();
            idempotency::record(conn, key, &resource).await?;
        }
    }
    go_on_with_backlog(conn, &board, &backlog, ids).await?;
    Ok(answers)
}

async fn lock_lanes(
    conn: &mut PgConnection,
    jobs: &[Job],
    fencing: Option<&Fencing>,
) -> Result<Vec<Lane>, Undecided> {
    let skus: BTreeSet<&Sku> = jobs.iter().flat_map(|job| &job.skus).collect();
    if skus.is_empty() {
        return Ok(Vec::new());
    }
    let skus: Vec<Sku> = skus.into_iter().cloned().collect();
    let lanes = store::lanes::lock(conn, &skus).await?;
    let stale = lanes
        .iter()
        .filter(|lane| fencing.is_some_and(|own| own.is_stale_for(lane)));
    let stale: Vec<Sku> = stale.map(|lane| lane.sku.clone()).collect();
    if stale.is_empty() {
        Ok(lanes)
    } else {
        Err(Undecided::Fenced(stale))
    }
}

/// Under the lane locks, so that a repeat of a call that is just being committed finds it.
async fn look_up(conn: &mut PgConnection, job: &Job) -> Result<Call, Undecided> {
    let Some(key) = &job.request.key else {
        return Ok(Call::New);
    };
    match idempotency::check(conn, key).await {
        Ok(None) => Ok(Call::New),
        Ok(Some(_)) => Ok(Call::Repeated),
        Err(oms_postgres::Error::RequestIdReused) => Ok(Call::Reused),
        Err(error) => Err(error.into()),
    }
}

/// Reads what the commands may need; also the SKUs of which more demand waits than is read.
async fn load(
    conn: &mut PgConnection,
    jobs: &[Job],
    lanes: &[Lane],
) -> Result<(Loaded, BTreeSet<Sku>), Undecided> {
    let commands = || jobs.iter().map(|job| &job.request.command);
    let mut ids: BTreeSet<ReservationId> = commands().filter_map(Command::reservation).collect();
    let freeing = jobs
        .iter()
        .filter(|job| job.request.command.may_free_stock());
    let freed: BTreeSet<&Sku> = freeing.flat_map(|job| &job.skus).collect();
    let freed: Vec<Sku> = freed.into_iter().cloned().collect();
    let mut backlog = BTreeSet::new();
    if !freed.is_empty() {
        let (waiting, more) = store::reservations::waiting(conn, &freed, WAITING_MAX).await?;
        // The lanes of a waiting reservation's other SKUs are not ours: its own lock keeps their writers out.
        let others: BTreeSet<ReservationId> = waiting.difference(&ids).copied().collect();
        store::reservations::lock(conn, &others).await?;
        ids.extend(others);
        backlog = more;
    }
    let reservations = store::reservations::load(conn, &ids).await?;
    let causes: Vec<String> = commands().filter_map(Command::outside_cause).collect();
    let booked = store::ledger::booked(conn, &causes).await?;
    let skus: Vec<Sku> = lanes.iter().map(|lane| lane.sku.clone()).collect();
    let places = places(jobs, &reservations);
    let levels = store::levels::of(conn, &skus, places.as_ref()).await?;
    let lanes = skus.into_iter().collect();
    Ok((
        Loaded {
            lanes,
            levels,
            reservations,
            booked,
        },
        backlog,
    ))
}

/// Locations whose levels the commands may need; `None` for all.
fn places(jobs: &[Job], reservations: &[Reservation]) -> Option<BTreeSet<LocationId>> {
    let rows = reservations.iter().flat_map(|one| one.rows.keys());
    let mut places: BTreeSet<LocationId> = rows
        .filter_map(|key| Some(key.place.as_ref()?.location.clone()))
        .collect();
    for job in jobs {
        match job.request.command.locations() {
            Locations::All => return None,
            Locations::These(these) => places.extend(these.into_iter().cloned()),
        }
    }
    Some(places)
}

/// Appends the events: of each command in its own span, so that every order keeps its own trace.
async fn tell(
    conn: &mut PgConnection,
    jobs: &[Job],
    board: &Board,
    told: &[Range<usize>],
    lanes: &[Lane],
    ids: &dyn IdSource,
) -> Result<(), Undecided> {
    let now = board.now();
    let last = jobs.len().saturating_sub(1);
    for (place, (job, range)) in jobs.iter().zip(told).enumerate() {
        let actor = job.request.actor.to_string();
        let stamp = Stamp {
            ids,
            actor: &actor,
            now,
        };
        let facts = board.facts().get(range.clone()).unwrap_or_default();
        let mut events = store::events::of_facts(stamp, facts);
        if place == last {
            let versions: BTreeMap<Sku, i64> = lanes
                .iter()
                .map(|lane| (lane.sku.clone(), lane.version))
                .collect();
            let levels = board.changed_levels().map(|(level, _)| level);
            events.extend(store::events::of_levels(stamp, levels, &versions));
        }
        let appended = outbox::append_all(conn, &events);
        match jobs.len() {
            1 => appended.await?,
            _ => appended.instrument(job.span.clone()).await?,
        }
    }
    Ok(())
}

async fn go_on_with_backlog(
    conn: &mut PgConnection,
    board: &Board,
    backlog: &BTreeSet<Sku>,
    ids: &dyn IdSource,
) -> Result<(), Undecided> {
    let tasks: Vec<NewTask> = backlog
        .iter()
        .filter(|sku| board.has_free(sku))
        .map(|sku| NewTask {
            id: ids.next(),
            kind: ALLOCATE_BACKORDERS,
            key: sku.to_string(),
            payload: Vec::new(),
            run_at: board.now(),
            actor: "service:inventory".to_owned(),
        })
        .collect();
    tasks::insert_all(conn, &tasks).await?;
    Ok(())
}
