//! Follows SKUs: first as they are, then as they change.
//!
//! One reader per process (`hub`) follows the service's own feed while anybody watches, reads what changed once for all
//! who watch it, at most every [`hub::TELL_EVERY`], and lays it down with each of them. There it waits, one state per SKU
//! and the newest only, until the caller takes it: a caller that is slow holds its own SKUs and nothing else. Nothing is
//! lost: a caller is known to the hub before it reads how its SKUs are, and every later change is in the feed.

mod hub;

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::sync::Arc;
use std::time::Duration;

use oms_core::Sku;
use oms_postgres::{Db, Error};
use tokio::time::Instant;

use crate::domain::availability::Availability;
use crate::store;
use crate::store::availability::Ask;

use hub::Watch;
pub(crate) use hub::Watchers;

/// A caller hears something at least this often.
const HEARTBEAT: Duration = Duration::from_secs(5);

/// SKUs read at a time for a caller that begins.
const READ_MAX: usize = 100;

/// An answer ends with the SKU that brings its levels to this number, far below the size that clients accept.
const LEVELS_MAX: usize = 5_000;

/// Why nothing can be followed.
#[derive(Debug, thiserror::Error)]
pub(crate) enum WatchError {
    /// As many watch as may.
    #[error("too many watch")]
    TooMany,
    /// The database was restored: what was told means nothing any more.
    #[error("the database was restored")]
    Over,
    /// These are kits: what there is of them changes with their components, which can be followed.
    #[error("{} of the SKUs are kits", .0.len())]
    Kits(Vec<Sku>),
    /// The database cannot be read.
    #[error(transparent)]
    Store(#[from] Error),
}

/// Begins to follow SKUs.
pub(crate) async fn watch_availability(
    db: &Db,
    watchers: &Watchers,
    skus: BTreeSet<Sku>,
) -> Result<Changes, WatchError> {
    let unread: VecDeque<Sku> = skus.iter().cloned().collect();
    refuse_kits(db, &skus).await?;
    // Known to the hub before anything is read: what changes between is told.
    let watch = watchers.watch(skus).await?;
    Ok(Changes {
        db: db.clone(),
        watch,
        unread,
        ready: VecDeque::new(),
        told: BTreeMap::new(),
        told_at: Instant::now(),
        is_complete: false,
    })
}

async fn refuse_kits(db: &Db, skus: &BTreeSet<Sku>) -> Result<(), WatchError> {
    let skus: Vec<Sku> = skus.iter().cloned().collect();
    let mut conn = db.read().await?;
    let kits = store::kits::get(&mut conn, &skus).await?;
    if kits.is_empty() {
        return Ok(());
    }
    Err(WatchError::Kits(
        kits.into_iter().map(|(sku, _)| sku).collect(),
    ))
}

/// What a caller hears, answer by answer.
pub(crate) struct Changes {
    db: Db,
    watch: Watch,
    /// SKUs that were not read yet.
    unread: VecDeque<Sku>,
    /// Read, and not told yet.
    ready: VecDeque<Arc<Availability>>,
    /// Version of each SKU that was told last.
    told: BTreeMap<Sku, i64>,
    told_at: Instant,
    is_complete: bool,
}

/// One answer.
#[derive(Debug)]
pub(crate) struct Told {
    /// SKUs as they are; none when the answer only says that the call lives.
    pub(crate) skus: Vec<Arc<Availability>>,
    /// Whether every SKU has been told of.
    pub(crate) is_complete: bool,
}

impl Changes {
    /// The next answer: at first all SKUs, as they are; then those that changed, as soon as one has, or none when it is
    /// time to say something.
    pub(crate) async fn next(&mut self) -> Result<Told, WatchError> {
        while self.ready.is_empty() {
            if self.unread.is_empty() {
                if !self.wait().await? {
                    break;
                }
            } else {
                self.read().await?;
                // An answer for each part that was read: the last says that this was all.
                break;
            }
        }
        Ok(self.tell())
    }

    /// Reads some of the SKUs that were not read yet.
    async fn read(&mut self) -> Result<(), Error> {
        let some = self.unread.len().min(READ_MAX);
        let skus: Vec<Sku> = self.unread.drain(..some).collect();
        let mut conn = self.db.read().await?;
        let ask = Ask {
            skus: &skus,
            locations: None,
            waiting: false,
        };
        let found = store::availability::of(&mut conn, ask).await?;
        self.take(found.into_iter().map(Arc::new));
        Ok(())
    }

    /// Until something changed; false when it is time to say something before.
    async fn wait(&mut self) -> Result<bool, WatchError> {
        let due = self.told_at + HEARTBEAT;
        let Ok(changed) = tokio::time::timeout_at(due, self.watch.changed()).await else {
            return Ok(false);
        };
        self.take(changed.ok_or(WatchError::Over)?.into_iter());
        Ok(true)
    }

    /// Takes what is newer than what was told. The hub and the first reading cross each other now and then.
    fn take(&mut self, states: impl Iterator<Item = Arc<Availability>>) {
        for state in states {
            let told = self.told.entry(state.sku.clone()).or_insert(-1);
            if state.version > *told {
                *told = state.version;
                self.ready.push_back(state);
            }
        }
    }

    fn tell(&mut self) -> Told {
        let mut skus = Vec::new();
        let mut levels = 0;
        while levels < LEVELS_MAX
            && let Some(next) = self.ready.pop_front()
        {
            levels += next.levels.len();
            skus.push(next);
        }
        self.told_at = Instant::now();
        self.is_complete |= self.unread.is_empty() && self.ready.is_empty();
        Told {
            skus,
            is_complete: self.is_complete,
        }
    }
}
