//! The inventory database: locks, transactions and the constraints that refuse what must never be.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::atomic::{AtomicI64, Ordering};
use std::sync::{Arc, Mutex};

use futures::FutureExt;
use futures::future::BoxFuture;
use oms_core::{Clock, ReservationId, Sku};
use oms_postgres::idempotency::Found;
use tokio::sync::{Mutex as RowLock, OwnedMutexGuard};
use uuid::Uuid;

use crate::domain::account::Account;
use crate::domain::board::{Board, Loaded};
use crate::domain::command::Command;
use crate::domain::effect::{Entry, EntryKey};
use crate::domain::lane::LaneState;
use crate::domain::level::{Buckets, Level, LevelKey};
use crate::domain::reservation::{Reservation, ReservationState};
use crate::lanes::Error;
use crate::lanes::books::{Answers, Books};
use crate::lanes::job::Job;
use crate::lanes::transaction::{Undecided, decide_all};
use crate::store::lanes::{Fencing, Lane};

use super::replica::Process;
use super::world::{Sabotage, World, lock};

/// Reason of an adjustment that the database refuses, as it would something that no rule foresaw.
pub(super) const POISON: &str = "POISON";

type Held = Vec<OwnedMutexGuard<()>>;

/// Committed rows and the locks on them.
pub(super) struct Tables {
    rows: Mutex<Rows>,
    lanes: BTreeMap<Sku, Arc<RowLock<()>>>,
    reservations: Mutex<BTreeMap<ReservationId, Arc<RowLock<()>>>>,
    generation: AtomicI64,
}

#[derive(Clone)]
pub(super) struct Rows {
    pub(super) lanes: BTreeMap<Sku, Lane>,
    pub(super) levels: BTreeMap<LevelKey, Buckets>,
    pub(super) reservations: BTreeMap<ReservationId, Reservation>,
    pub(super) ledger: Vec<Entry>,
    /// By cause.
    booked: BTreeMap<String, BTreeSet<(EntryKey, Account)>>,
    calls: BTreeMap<(String, &'static str, Uuid), [u8; 32]>,
    /// Number of the last event of each reservation.
    pub(super) events: BTreeMap<ReservationId, i64>,
}

impl Tables {
    /// Lanes without stock.
    pub(super) fn new(skus: &[Sku]) -> Self {
        let lane = |sku: &Sku| {
            let lane = Lane {
                sku: sku.clone(),
                fence: 0,
                holder: None,
                version: 0,
                available: 0,
                has_policy: false,
                state: LaneState::default(),
            };
            (sku.clone(), lane)
        };
        Self {
            rows: Mutex::new(Rows {
                lanes: skus.iter().map(lane).collect(),
                levels: BTreeMap::new(),
                reservations: BTreeMap::new(),
                ledger: Vec::new(),
                booked: BTreeMap::new(),
                calls: BTreeMap::new(),
                events: BTreeMap::new(),
            }),
            lanes: skus
                .iter()
                .map(|sku| (sku.clone(), Arc::default()))
                .collect(),
            reservations: Mutex::default(),
            generation: AtomicI64::new(0),
        }
    }

    /// `nextval` of the sequence of generations.
    pub(super) fn next_generation(&self) -> i64 {
        self.generation.fetch_add(1, Ordering::Relaxed) + 1
    }

    /// All rows as they are committed now.
    pub(super) fn rows(&self) -> Rows {
        lock(&self.rows).clone()
    }

    async fn lock_lanes(&self, skus: &BTreeSet<Sku>) -> Held {
        let mut held = Vec::new();
        for row in skus.iter().filter_map(|sku| self.lanes.get(sku)) {
            held.push(Arc::clone(row).lock_owned().await);
        }
        held
    }

    async fn lock_reservations(&self, ids: &BTreeSet<ReservationId>) -> Held {
        let mut held = Vec::new();
        for id in ids {
            let row = Arc::clone(lock(&self.reservations).entry(*id).or_default());
            held.push(row.lock_owned().await);
        }
        held
    }
}

/// What a replica sees of the database.
pub(super) struct SimBooks {
    pub(super) world: Arc<World>,
    pub(super) tables: Arc<Tables>,
    pub(super) process: Arc<Process>,
}

impl SimBooks {
    /// A statement there and back; the connection may break.
    async fn round_trip(&self) -> Result<(), oms_postgres::Error> {
        self.process.runs().await;
        self.world.time_passes(400).await;
        let chance = self.world.chaos().broken_connection;
        if self.world.happens(chance, "broken connection") {
            return Err(broken());
        }
        Ok(())
    }

    async fn decide_in(
        &self,
        jobs: &[Job],
        fencing: Option<&Fencing>,
    ) -> Result<Answers, Undecided> {
        self.round_trip().await?;
        let skus: BTreeSet<Sku> = jobs.iter().flat_map(|job| job.skus.clone()).collect();
        let _lanes = match self.world.sabotage {
            Some(Sabotage::NoLocks) => Vec::new(),
            _ => self.tables.lock_lanes(&skus).await,
        };
        self.round_trip().await?;
        self.check_fence(&skus, fencing)?;
        let calls: Vec<Found> = jobs.iter().map(|job| self.found(job)).collect();
        let (loaded, _waiting) = self.load(jobs, &skus).await;
        let mut board = Board::new(self.world.now(), loaded);
        let mut reservations = jobs
            .iter()
            .filter_map(|job| job.request.command.reservation());
        if !reservations.all(|id| board.guards(id)) {
            self.world.saw("moved");
            return Err(Undecided::Moved);
        }
        self.round_trip().await?;
        let (answers, _told) = decide_all(&mut board, jobs, &calls);
        if board.entries().iter().any(|entry| entry.reason == POISON) {
            self.world.saw("poison");
            return Err(refused("poison"));
        }
        self.round_trip().await?;
        self.commit(&board, jobs, &calls, &answers, fencing)?;
        let chance = self.world.chaos().lost_commit;
        if self.world.happens(chance, "lost commit") {
            return Err(broken().into());
        }
        self.process.runs().await;
        Ok(answers)
    }

    fn check_fence(
        &self,
        skus: &BTreeSet<Sku>,
        fencing: Option<&Fencing>,
    ) -> Result<(), Undecided> {
        let rows = lock(&self.tables.rows);
        let lanes = skus.iter().filter_map(|sku| rows.lanes.get(sku));
        let stale = lanes.filter(|lane| fencing.is_some_and(|own| own.is_stale_for(lane)));
        let stale: Vec<Sku> = stale.map(|lane| lane.sku.clone()).collect();
        if stale.is_empty() {
            return Ok(());
        }
        self.world.saw("fenced");
        Err(Undecided::Fenced(stale))
    }

    fn found(&self, job: &Job) -> Found {
        let Some(key) = &job.request.key else {
            return Found::Nothing;
        };
        if self.world.sabotage == Some(Sabotage::ForgetCalls) {
            return Found::Nothing;
        }
        let call = (key.principal.clone(), key.method, key.request_id);
        match lock(&self.tables.rows).calls.get(&call) {
            None => Found::Nothing,
            Some(hash) if *hash == key.hash => Found::Success(String::new()),
            Some(_) => Found::OtherBody,
        }
    }

    async fn load(&self, jobs: &[Job], skus: &BTreeSet<Sku>) -> (Loaded, Held) {
        let commands = || jobs.iter().map(|job| &job.request.command);
        let own: BTreeSet<ReservationId> = commands().filter_map(Command::reservation).collect();
        let freeing = jobs
            .iter()
            .filter(|job| job.request.command.may_free_stock());
        let freed: BTreeSet<Sku> = freeing.flat_map(|job| job.skus.clone()).collect();
        let losing: Vec<&LevelKey> = commands()
            .filter_map(Command::may_displace)
            .map(|(level, _)| level)
            .collect();
        let waiting: BTreeSet<ReservationId> = {
            let rows = lock(&self.tables.rows);
            let waits = |one: &&Reservation| {
                one.rows.keys().any(|key| {
                    key.state == ReservationState::Backordered && freed.contains(&key.sku)
                }) || losing.iter().any(|level| holds(one, level))
            };
            let waiting = rows.reservations.values().filter(waits).map(|one| one.id);
            waiting.filter(|id| !own.contains(id)).collect()
        };
        let held = self.tables.lock_reservations(&waiting).await;
        let causes: Vec<String> = commands().filter_map(Command::outside_cause).collect();
        let rows = lock(&self.tables.rows);
        let read = |id: &ReservationId| rows.reservations.get(id).cloned();
        let levels = rows
            .levels
            .iter()
            .filter(|(key, _)| skus.contains(&key.sku));
        let loaded = Loaded {
            lanes: skus
                .iter()
                .filter_map(|sku| Some((sku.clone(), rows.lanes.get(sku)?.state)))
                .collect(),
            kits: BTreeMap::new(),
            levels: levels
                .map(|(key, buckets)| Level {
                    key: key.clone(),
                    buckets: *buckets,
                })
                .collect(),
            reservations: own.union(&waiting).filter_map(read).collect(),
            booked: causes
                .iter()
                .flat_map(|cause| rows.booked_for(cause))
                .collect(),
            has_all_levels: true,
            ..Loaded::default()
        };
        drop(rows);
        (loaded, held)
    }

    /// All of it or nothing, as `write_board.sql` and the constraints have it.
    fn commit(
        &self,
        board: &Board,
        jobs: &[Job],
        calls: &[Found],
        answers: &Answers,
        fencing: Option<&Fencing>,
    ) -> Result<(), Undecided> {
        let mut rows = lock(&self.tables.rows);
        let mut wrong = Vec::new();
        for now in board.changed_reservations() {
            let stored = rows.reservations.get(&now.id).map(|one| one.version);
            let read = board.reservation_before(now.id).map(|one| one.version);
            if read.is_none() && stored.is_some() {
                self.world.saw("moved");
                return Err(Undecided::Moved);
            }
            if stored != read {
                wrong.push(format!("{} is not as it was read", now.id));
            }
        }
        // From here on nothing is refused but what must never be, and then the seed has failed anyway.
        for now in board.changed_reservations() {
            rows.reservations.insert(now.id, now.clone());
        }
        wrong.extend(rows.book(board));
        rows.open_lanes(board, fencing);
        for ((job, call), answer) in jobs.iter().zip(calls).zip(answers) {
            if let (Some(key), Found::Nothing, Ok(_)) = (&job.request.key, call, answer) {
                let id = (key.principal.clone(), key.method, key.request_id);
                if rows.calls.insert(id, key.hash).is_some() {
                    wrong.push(format!("{} was done twice", key.method));
                }
            }
        }
        let refusal = wrong.first().map(|first| refused(first));
        for what in wrong {
            self.world.violation(what);
        }
        refusal.map_or(Ok(()), Err)
    }
}

impl Rows {
    fn booked_for(&self, cause: &str) -> impl Iterator<Item = EntryKey> {
        let of_cause = self.booked.get(cause).into_iter().flatten();
        of_cause.map(|(key, _)| key.clone())
    }

    /// Entries, levels and events; answers what the constraints refuse.
    fn book(&mut self, board: &Board) -> Vec<String> {
        let mut wrong = Vec::new();
        for entry in board.entries() {
            let of_cause = self.booked.entry(entry.cause.clone()).or_default();
            if !of_cause.insert((entry.entry_key(), entry.from)) {
                wrong.push(format!("{entry:?} is booked twice"));
            }
            self.ledger.push(entry.clone());
        }
        for (level, delta) in board.changed_levels() {
            let stored = self.levels.entry(level.key.clone()).or_default();
            for (units, delta) in stored.0.iter_mut().zip(delta.unwrap_or(level.buckets).0) {
                *units += delta;
            }
            if stored.0.iter().any(|units| *units < 0) {
                wrong.push(format!("{:?} below zero: {stored:?}", level.key));
            }
        }
        for fact in board.facts() {
            let reservation = fact.reservation();
            let last = self.events.entry(reservation.id).or_default();
            if reservation.version != *last + 1 {
                wrong.push(format!("event {last} of {} has a gap", reservation.id));
            }
            *last = reservation.version;
        }
        wrong
    }

    fn open_lanes(&mut self, board: &Board, fencing: Option<&Fencing>) {
        for (sku, change) in board.changed_queues() {
            if let Some(lane) = self.lanes.get_mut(sku) {
                lane.state.backordered += change.backordered;
            }
        }
        let changed: BTreeSet<Sku> = board
            .changed_levels()
            .map(|(level, _)| level.key.sku)
            .collect();
        for sku in changed {
            let Some(lane) = self.lanes.get_mut(&sku) else {
                continue;
            };
            lane.version += 1;
            if let Some(fencing) = fencing
                && let Some(token) = fencing.tokens.get(&sku)
            {
                lane.fence = *token;
                lane.holder = Some(fencing.holder);
            }
        }
    }
}

impl Books for SimBooks {
    fn decide<'a>(
        &'a self,
        jobs: &'a [Job],
        fencing: Option<&'a Fencing>,
    ) -> BoxFuture<'a, Result<Answers, Undecided>> {
        self.decide_in(jobs, fencing).boxed()
    }

    fn skus_of(&self, reservation: ReservationId) -> BoxFuture<'_, Result<BTreeSet<Sku>, Error>> {
        async move {
            self.round_trip().await?;
            let rows = lock(&self.tables.rows);
            let found = rows.reservations.get(&reservation);
            Ok(found.map_or_else(BTreeSet::new, |one| {
                one.skus().into_iter().cloned().collect()
            }))
        }
        .boxed()
    }

    fn due(&self, limit: i64) -> BoxFuture<'_, Result<Vec<ReservationId>, Error>> {
        async move {
            self.round_trip().await?;
            let (now, rows) = (self.world.now(), lock(&self.tables.rows));
            let due = rows.reservations.values();
            let due = due.filter(|one| one.expires_at.is_some_and(|at| at <= now));
            let limit = usize::try_from(limit).unwrap();
            Ok(due.map(|one| one.id).take(limit).collect())
        }
        .boxed()
    }
}

/// Whether it holds units of a level.
fn holds(one: &Reservation, level: &LevelKey) -> bool {
    one.rows.keys().any(|key| {
        let place = key.place.as_ref();
        key.state.is_live() && place.is_some_and(|place| place.level(&key.sku) == *level)
    })
}

fn broken() -> oms_postgres::Error {
    let gone = std::io::Error::from(std::io::ErrorKind::ConnectionReset);
    sqlx::Error::Io(gone).into()
}

fn refused(why: &str) -> Undecided {
    Undecided::Store(sqlx::Error::Protocol(why.to_owned()).into())
}
