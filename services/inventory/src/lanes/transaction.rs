//! One transaction: lock the lanes, read, decide command after command, write, tell.

use std::collections::{BTreeMap, BTreeSet};
use std::ops::Range;

use oms_core::{Clock, IdSource, LocationId, ReservationId, Sku};
use oms_postgres::idempotency::{self, Found, RequestKey};
use oms_postgres::outbox::NewEvent;
use oms_postgres::{NewTask, batch, tasks};
use oms_telemetry::TraceContext;
use sqlx::PgConnection;

use crate::domain::board::{Board, Loaded};
use crate::domain::command::{Command, Correct, Locations};
use crate::domain::effect::Outcome;
use crate::domain::expected::ExpectedKey;
use crate::domain::policy::Policy;
use crate::domain::reservation::Reservation;
use crate::messages::{self, Stamp};
use crate::store;
use crate::store::lanes::{Fencing, Lane};

use super::Error;
use super::books::Answers;
use super::job::Job;

/// Rows of waiting demand that one transaction looks at, for each SKU. A task goes on where it ends.
const WAITING_MAX: i64 = 200;

/// Kind of the task that looks at a reservation which ships complete under all of its lanes.
pub(crate) const ALLOCATE_COMPLETE: &str = "allocate_complete";

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
    /// A command needs to be decided without the others.
    Apart,
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

/// Whether a batch may be taken as new: it only makes reservations. A call that has succeeded left its reservation
/// behind, so that a look for those stands for the look for calls.
pub(super) fn may_be_new(jobs: &[Job]) -> bool {
    let mut commands = jobs.iter().map(|job| &job.request.command);
    commands.all(|command| matches!(command, Command::Reserve(_)))
}

/// Decides a batch. Refused commands change nothing; the others commit together. Two round trips are saved when it is
/// taken as new; a request id that came before with another body then fails the attempt as transient.
pub(super) async fn decide(
    conn: &mut PgConnection,
    jobs: &[Job],
    fencing: Option<&Fencing>,
    as_new: bool,
    (clock, ids): (&dyn Clock, &dyn IdSource),
) -> Result<Answers, Undecided> {
    let lanes = lock_lanes(conn, jobs, fencing).await?;
    let new = if as_new {
        load_new(conn, jobs, &lanes).await?
    } else {
        None
    };
    let (calls, (loaded, backlog)) = match new {
        Some(loaded) => (vec![Found::Nothing; jobs.len()], (loaded, BTreeSet::new())),
        None => (look_up(conn, jobs).await?, load(conn, jobs, &lanes).await?),
    };
    let mut board = Board::new(clock.now(), loaded);
    let reservations = jobs
        .iter()
        .filter_map(|job| job.request.command.reservation());
    if !reservations.into_iter().all(|id| board.guards(id)) {
        return Err(Undecided::Moved);
    }
    let (answers, told) = decide_all(&mut board, jobs, &calls);
    if board.is_short_sighted() && jobs.len() > 1 {
        return Err(Undecided::Apart);
    }
    let stock = board.stock_facts();
    store::board::write(conn, &board, &stock, fencing).await?;
    store::corrections::write(conn, board.decided_corrections()).await?;
    let expected: Vec<_> = board.changed_expected().collect();
    store::expected_receipts::write(conn, &expected).await?;
    let spans = spans(jobs);
    let (events, causes) = events((jobs, &spans), &board, (&told, &stock), &lanes, ids);
    let new = new_calls((jobs, &spans), &calls, &answers);
    batch::leave(conn, &events, &causes, &new).await?;
    go_on_with_backlog(conn, &board, &backlog, ids).await?;
    Ok(answers)
}

/// Decides command after command, each on what those before it left. Answers what came of each, and which facts each
/// added to the board.
pub(super) fn decide_all(
    board: &mut Board,
    jobs: &[Job],
    calls: &[Found],
) -> (Answers, Vec<Range<usize>>) {
    let mut answers = Vec::with_capacity(jobs.len());
    let mut told = Vec::with_capacity(jobs.len());
    for (job, call) in jobs.iter().zip(calls) {
        let from = board.facts().len();
        let command = &job.request.command;
        answers.push(match call {
            Found::Nothing => board
                .decide(command, &job.request.actor.to_string())
                .map_err(Error::from),
            Found::Success(_) => board.replay(command).map_err(Error::from),
            Found::OtherBody => Err(Error::RequestIdReused),
        });
        told.push(from..board.facts().len());
    }
    (answers, told)
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
async fn look_up(conn: &mut PgConnection, jobs: &[Job]) -> Result<Vec<Found>, Undecided> {
    let keyed = || jobs.iter().filter_map(|job| job.request.key.as_ref());
    let keys: Vec<&RequestKey> = keyed().collect();
    let mut found = idempotency::find_all(conn, &keys).await?.into_iter();
    let calls = jobs.iter().map(|job| match job.request.key {
        Some(_) => found.next().unwrap_or(Found::Nothing),
        None => Found::Nothing,
    });
    Ok(calls.collect())
}

/// The calls that succeed with this transaction for the first time, and the ids of what they made or changed.
fn new_calls<'a>(
    (jobs, spans): (&'a [Job], &'a [TraceContext]),
    calls: &[Found],
    answers: &[Result<Outcome, Error>],
) -> Vec<batch::Call<'a>> {
    let mut new = Vec::new();
    for (((job, cause), call), answer) in jobs.iter().zip(spans).zip(calls).zip(answers) {
        if let (Some(key), Found::Nothing, Ok(outcome)) = (&job.request.key, call, answer) {
            let resource = outcome.reservation().map(|id| id.to_string());
            new.push(batch::Call {
                key,
                resource_id: resource.unwrap_or_default(),
                cause,
            });
        }
    }
    new
}

/// Reads what commands need that make reservations; `None` when one of those is there already.
async fn load_new(
    conn: &mut PgConnection,
    jobs: &[Job],
    lanes: &[Lane],
) -> Result<Option<Loaded>, Undecided> {
    let commands = || jobs.iter().map(|job| &job.request.command);
    let policies = policies(conn, lanes).await?;
    let skus: Vec<Sku> = lanes.iter().map(|lane| lane.sku.clone()).collect();
    let places = places(jobs, &[], &policies);
    let ids: Vec<ReservationId> = commands().filter_map(Command::reservation).collect();
    let levels = store::levels::for_new(conn, &skus, places.as_ref(), &ids).await?;
    let Some(levels) = levels else {
        return Ok(None);
    };
    let kits: Vec<Sku> = commands().flat_map(Command::kits).cloned().collect();
    let kits = store::kits::versions(conn, &kits).await?;
    Ok(Some(Loaded {
        has_all_levels: places.is_none(),
        kits,
        levels,
        policies,
        ..of_lanes(lanes)
    }))
}

/// What the lanes tell themselves.
fn of_lanes(lanes: &[Lane]) -> Loaded {
    let available = lanes.iter().map(|lane| (lane.sku.clone(), lane.available));
    let states = lanes.iter().map(|lane| (lane.sku.clone(), lane.state));
    Loaded {
        available_of: available.collect(),
        lanes: states.collect(),
        ..Loaded::default()
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
    let missing: Vec<_> = commands().filter_map(Command::may_displace).collect();
    let mut others = store::reservations::displaceable(conn, &missing).await?;
    let freeing = jobs
        .iter()
        .filter(|job| job.request.command.may_free_stock());
    let freed: BTreeSet<&Sku> = freeing.flat_map(|job| &job.skus).collect();
    let freed: Vec<Sku> = freed.into_iter().cloned().collect();
    let mut backlog = BTreeSet::new();
    if !freed.is_empty() {
        let (waiting, more) = store::reservations::waiting(conn, &freed, WAITING_MAX).await?;
        others.extend(waiting);
        backlog = more;
    }
    // The lanes of their other SKUs are not ours: their own lock keeps other writers out.
    others.retain(|id| !ids.contains(id));
    store::reservations::lock(conn, &others).await?;
    ids.extend(others);
    let reservations = store::reservations::load(conn, &ids).await?;
    let causes: Vec<String> = commands().filter_map(Command::outside_cause).collect();
    let booked = store::ledger::booked(conn, &causes).await?;
    let corrects: Vec<&Correct> = commands().filter_map(Command::correct).collect();
    let corrections = store::corrections::open(conn, &corrects).await?;
    let skus: Vec<Sku> = lanes.iter().map(|lane| lane.sku.clone()).collect();
    let policies = policies(conn, lanes).await?;
    let expected: BTreeSet<ExpectedKey> = commands().flat_map(Command::may_be_expected).collect();
    let expected = store::expected_receipts::get(conn, &expected).await?;
    let places = places(jobs, &reservations, &policies);
    let levels = store::levels::of(conn, &skus, places.as_ref()).await?;
    let kits: Vec<Sku> = commands().flat_map(Command::kits).cloned().collect();
    let kits = store::kits::versions(conn, &kits).await?;
    Ok((
        Loaded {
            has_all_levels: places.is_none(),
            kits,
            levels,
            reservations,
            booked,
            corrections,
            policies,
            expected,
            ..of_lanes(lanes)
        },
        backlog,
    ))
}

/// Policies of the SKUs that have one. Read under the locks of the lanes, under which they are written.
async fn policies(
    conn: &mut PgConnection,
    lanes: &[Lane],
) -> Result<BTreeMap<Sku, Policy>, Undecided> {
    let with_policy = lanes.iter().filter(|lane| lane.has_policy);
    let skus: Vec<Sku> = with_policy.map(|lane| lane.sku.clone()).collect();
    Ok(store::policies::of(conn, &skus).await?)
}

/// Locations whose levels the commands may need, and those with rules of their own; `None` for all.
fn places(
    jobs: &[Job],
    reservations: &[Reservation],
    policies: &BTreeMap<Sku, Policy>,
) -> Option<BTreeSet<LocationId>> {
    let rows = reservations.iter().flat_map(|one| one.rows.keys());
    let mut places: BTreeSet<LocationId> = rows
        .filter_map(|key| Some(key.place.as_ref()?.location.clone()))
        .chain(
            policies
                .values()
                .flat_map(|one| one.locations.keys().cloned()),
        )
        .collect();
    for job in jobs {
        match job.request.command.locations() {
            Locations::All => return None,
            Locations::These(these) => places.extend(these.into_iter().cloned()),
        }
    }
    Some(places)
}

/// The spans of the commands.
fn spans(jobs: &[Job]) -> Vec<TraceContext> {
    match jobs {
        // The transaction is the command's own.
        [_] => vec![TraceContext::current()],
        _ => jobs.iter().map(|job| TraceContext::of(&job.span)).collect(),
    }
}

/// The events, each with the span of its command as its cause, so that every order keeps its own trace.
fn events<'a>(
    (jobs, spans): (&[Job], &'a [TraceContext]),
    board: &Board,
    (told, stock): (&[Range<usize>], &store::board::Told),
    lanes: &[Lane],
    ids: &dyn IdSource,
) -> (Vec<NewEvent>, Vec<&'a TraceContext>) {
    let now = board.now();
    let mut events = Vec::new();
    let mut causes = Vec::new();
    for ((job, span), range) in jobs.iter().zip(spans).zip(told) {
        let actor = job.request.actor.to_string();
        let actor = &actor;
        let facts = board.facts().get(range.clone()).unwrap_or_default();
        events.extend(messages::of_facts(Stamp { ids, actor, now }, facts));
        causes.resize(events.len(), span);
    }
    if let (Some(job), Some(span)) = (jobs.last(), spans.last()) {
        let versions = lanes.iter().map(|lane| (lane.sku.clone(), lane.version));
        let actor = &job.request.actor.to_string();
        let stamp = Stamp { ids, actor, now };
        events.extend(messages::of_stock(stamp, stock, &versions.collect()));
        causes.resize(events.len(), span);
    }
    (events, causes)
}

async fn go_on_with_backlog(
    conn: &mut PgConnection,
    board: &Board,
    backlog: &BTreeSet<Sku>,
    ids: &dyn IdSource,
) -> Result<(), Undecided> {
    let with_free = backlog.iter().filter(|sku| board.may_serve_more(sku));
    let backlog = with_free.map(|sku| (ALLOCATE_BACKORDERS, sku.to_string()));
    let complete = board.to_complete().iter();
    let complete = complete.map(|id| (ALLOCATE_COMPLETE, id.to_string()));
    let tasks: Vec<NewTask> = backlog
        .chain(complete)
        .map(|(kind, key)| NewTask {
            id: ids.next(),
            kind,
            key,
            payload: Vec::new(),
            run_at: board.now(),
            actor: "service:inventory".to_owned(),
        })
        .collect();
    tasks::insert_all(conn, &tasks).await?;
    Ok(())
}
