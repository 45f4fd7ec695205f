//! The one reader of a process that serves all who watch.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use oms_core::Sku;
use oms_postgres::feed::{self, Batch, Filter};
use oms_postgres::{Db, Error};
use sqlx::PgConnection;
use tokio::sync::Notify;
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;
use uuid::Uuid;

use crate::domain::availability::Availability;
use crate::store;
use crate::store::availability::Ask;

use super::WatchError;

/// Changes are read and told at most this often, so that a hot SKU costs as much with many watchers as with one.
pub(super) const TELL_EVERY: Duration = Duration::from_millis(50);

/// Pause after the database could not be read.
const RETRY_AFTER: Duration = Duration::from_secs(1);

/// Most callers at a time in one process. Each holds at most one state for each of its SKUs.
const WATCHERS_MAX: usize = 1_000;

/// Batches of the feed that are looked through before what they changed is read.
const BATCHES_MAX: usize = 8;

/// SKUs read with one statement.
const READ_MAX: usize = 500;

/// Events after which a SKU is read again.
const TYPES: [&str; 3] = [
    "StockChanged",
    "StockPolicyChanged",
    "ExpectedSupplyChanged",
];

/// All who watch in this process. Cheap to clone.
#[derive(Clone)]
pub(crate) struct Watchers {
    db: Db,
    shared: Arc<Shared>,
}

#[derive(Default)]
struct Shared {
    state: Mutex<State>,
    /// Somebody came.
    woken: Notify,
}

#[derive(Default)]
struct State {
    watching: usize,
    by_sku: BTreeMap<Sku, Vec<Arc<Watcher>>>,
    /// What of the feed was looked through; `None` while nobody watches.
    position: Option<Position>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Position {
    epoch: Uuid,
    pos: i64,
}

/// Where changes are laid down for one caller.
#[derive(Default)]
struct Watcher {
    changed: Mutex<Changed>,
    woken: Notify,
}

#[derive(Default)]
struct Changed {
    states: BTreeMap<Sku, Arc<Availability>>,
    /// Versions mean something else from now on: the database was restored.
    is_over: bool,
}

impl Watchers {
    /// Nobody yet.
    pub(crate) fn new(db: Db) -> Self {
        Self {
            db,
            shared: Arc::default(),
        }
    }

    /// Starts the reader. It rests while nobody watches.
    pub(crate) fn spawn(&self, cancel: CancellationToken) -> JoinHandle<()> {
        tokio::spawn(self.clone().run(cancel))
    }

    /// Lays changes of these SKUs down from now on, until the watch is dropped.
    pub(super) async fn watch(&self, skus: BTreeSet<Sku>) -> Result<Watch, WatchError> {
        // Read before the caller reads its SKUs: whatever comes behind it is told.
        let head = {
            let mut conn = self.db.read().await?;
            feed::head(&mut conn).await?
        };
        let watcher = Arc::new(Watcher::default());
        {
            let mut state = self.shared.lock();
            if state.watching >= WATCHERS_MAX {
                return Err(WatchError::TooMany);
            }
            state.watching += 1;
            state.position.get_or_insert(Position {
                epoch: head.epoch,
                pos: head.pos,
            });
            for sku in &skus {
                let of_sku = state.by_sku.entry(sku.clone()).or_default();
                of_sku.push(Arc::clone(&watcher));
            }
        }
        self.shared.woken.notify_one();
        Ok(Watch {
            shared: Arc::clone(&self.shared),
            watcher,
            skus,
        })
    }

    async fn run(self, cancel: CancellationToken) {
        let mut heads = self.db.feed_head();
        while !cancel.is_cancelled() {
            let Some(position) = self.shared.position() else {
                tokio::select! {
                    () = cancel.cancelled() => {}
                    () = self.shared.woken.notified() => {}
                }
                continue;
            };
            // Before the read, so that what comes meanwhile wakes the wait below.
            heads.borrow_and_update();
            let pause = match self.follow(position).await {
                Ok(true) => TELL_EVERY,
                Ok(false) => {
                    tokio::select! {
                        () = cancel.cancelled() => {}
                        _ = heads.changed() => {}
                    }
                    continue;
                }
                Err(error) => {
                    tracing::warn!(%error, "changes cannot be read, trying again");
                    RETRY_AFTER
                }
            };
            tokio::select! {
                () = cancel.cancelled() => {}
                () = tokio::time::sleep(pause) => {}
            }
        }
    }

    /// Tells what the feed has behind this position; false when that is nothing.
    async fn follow(&self, position: Position) -> Result<bool, Error> {
        let mut conn = self.db.read().await?;
        let Some((reached, dirty)) = self.look_through(&mut conn, position).await? else {
            tracing::warn!("the feed was restored, those who watch have to begin anew");
            self.shared.end_all();
            return Ok(true);
        };
        let dirty: Vec<Sku> = dirty.into_iter().collect();
        for skus in dirty.chunks(READ_MAX) {
            let ask = Ask {
                skus,
                locations: None,
                waiting: false,
            };
            let states = store::availability::of(&mut conn, ask).await?;
            self.shared.lay_down(states);
        }
        // Only now: what could not be read is read again.
        self.shared.reach(reached);
        Ok(reached != position)
    }

    /// Where the feed was followed to, and which watched SKUs changed; `None` when the position is not kept in it.
    async fn look_through(
        &self,
        conn: &mut PgConnection,
        mut position: Position,
    ) -> Result<Option<(Position, BTreeSet<Sku>)>, Error> {
        let filter = Filter {
            types: TYPES.map(str::to_owned).to_vec(),
            ..Filter::default()
        };
        let mut dirty = BTreeSet::new();
        for _ in 0..BATCHES_MAX {
            let read = feed::read(conn, position.pos, 0, &filter).await;
            let batch = match read {
                Ok(batch) if batch.epoch == position.epoch => batch,
                Ok(_) | Err(Error::FeedPositionGone { .. }) => return Ok(None),
                Err(error) => return Err(error),
            };
            self.shared.collect(&batch, &mut dirty);
            position.pos = batch.through_pos;
            if batch.through_pos == batch.head_pos {
                break;
            }
        }
        Ok(Some((position, dirty)))
    }
}

impl Shared {
    fn lock(&self) -> MutexGuard<'_, State> {
        // Nothing in here panics half way.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// What of the feed was looked through; `None` when nobody watches.
    fn position(&self) -> Option<Position> {
        let mut state = self.lock();
        if state.watching == 0 {
            state.position = None;
        }
        state.position
    }

    fn reach(&self, position: Position) {
        self.lock().position = Some(position);
    }

    /// Ends all watches; the next one begins at the head of the feed.
    fn end_all(&self) {
        let mut state = self.lock();
        state.position = None;
        for watcher in std::mem::take(&mut state.by_sku).into_values().flatten() {
            watcher.changed().is_over = true;
            watcher.woken.notify_one();
        }
    }

    /// Adds the watched SKUs of a batch.
    fn collect(&self, batch: &Batch, dirty: &mut BTreeSet<Sku>) {
        let state = self.lock();
        let skus = batch
            .events
            .iter()
            .filter_map(|event| event.aggregate_id.parse::<Sku>().ok());
        dirty.extend(skus.filter(|sku| state.by_sku.contains_key(sku)));
    }

    /// Lays states down with all who watch their SKUs.
    fn lay_down(&self, states: Vec<Availability>) {
        let state = self.lock();
        for one in states {
            let one = Arc::new(one);
            for watcher in state.by_sku.get(&one.sku).into_iter().flatten() {
                watcher.lay_down(Arc::clone(&one));
            }
        }
    }
}

impl Watcher {
    fn changed(&self) -> MutexGuard<'_, Changed> {
        self.changed.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Over what lies there: the newest state is the one that counts.
    fn lay_down(&self, state: Arc<Availability>) {
        self.changed().states.insert(state.sku.clone(), state);
        self.woken.notify_one();
    }
}

/// One caller's place. Dropping it ends the watch.
pub(super) struct Watch {
    shared: Arc<Shared>,
    watcher: Arc<Watcher>,
    skus: BTreeSet<Sku>,
}

impl Watch {
    /// Waits for changes and takes them; `None` when nothing more will come. Stopped half way, it has taken nothing.
    pub(super) async fn changed(&self) -> Option<Vec<Arc<Availability>>> {
        loop {
            let taken = {
                let mut changed = self.watcher.changed();
                if changed.is_over {
                    return None;
                }
                std::mem::take(&mut changed.states)
            };
            if !taken.is_empty() {
                return Some(taken.into_values().collect());
            }
            self.watcher.woken.notified().await;
        }
    }
}

impl Drop for Watch {
    fn drop(&mut self) {
        let mut state = self.shared.lock();
        state.watching -= 1;
        for sku in &self.skus {
            let Some(of_sku) = state.by_sku.get_mut(sku) else {
                continue;
            };
            of_sku.retain(|one| !Arc::ptr_eq(one, &self.watcher));
            if of_sku.is_empty() {
                state.by_sku.remove(sku);
            }
        }
    }
}
