//! Reads the books of SKUs to their end.

use std::collections::BTreeMap;

use oms_core::Sku;

use crate::domain::books::{Books, Sums};
use crate::domain::level::LevelKey;
use crate::store;
use crate::store::books::SkuRead;
use crate::store::checkpoints::Checkpoint;

use super::{Ctx, Error};

/// Entries that one statement reads at most, so that none runs for long.
const ENTRIES_MAX: i64 = 100_000;

/// Where reading begins.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum From {
    /// Where the books of each SKU last agreed.
    Checkpoint,
    /// Before the first entry.
    Start,
}

/// The books of a SKU.
#[derive(Debug, Clone)]
pub(super) struct SkuBooks {
    /// Entries that were read.
    pub(super) entries: i64,
    /// Whether there were entries after where reading began.
    pub(super) has_more: bool,
    /// The ledger up to its end.
    pub(super) ledger: Checkpoint,
    /// The books per level, as they were together at one moment.
    pub(super) levels: BTreeMap<LevelKey, Books>,
}

impl SkuBooks {
    /// Whether the books agree.
    pub(super) fn agree(&self) -> bool {
        self.levels.values().all(|books| books.drifts().is_empty())
    }

    /// Sums of the ledger of a level.
    pub(super) fn sums(&self, key: &LevelKey) -> Sums {
        self.ledger.sums.get(key).copied().unwrap_or_default()
    }
}

/// Reads the books of SKUs without locking anything. Each is compared in one snapshot, with all entries that can be
/// seen in it: a statement that finds fewer entries than it may read has seen the last one. What it does not see yet
/// gets a higher number, since numbers are drawn under the lock of the lane; so what was summed up stays summed up.
pub(super) async fn read_books(
    ctx: &Ctx,
    skus: &[Sku],
    from: From,
) -> Result<BTreeMap<Sku, SkuBooks>, Error> {
    let mut ledgers: BTreeMap<Sku, Ledger> = BTreeMap::new();
    let mut conn = ctx.db.read().await?;
    let known = match from {
        From::Checkpoint => store::checkpoints::of(&mut conn, skus).await?,
        From::Start => BTreeMap::new(),
    };
    for sku in skus {
        let checkpoint = known.get(sku).cloned().unwrap_or_default();
        ledgers.insert(
            sku.clone(),
            Ledger {
                entries: 0,
                checkpoint,
            },
        );
    }
    let mut done = BTreeMap::new();
    while !ledgers.is_empty() {
        let count = i64::try_from(ledgers.len()).unwrap_or(i64::MAX);
        let limit = (ENTRIES_MAX / count).max(1);
        let (skus, after): (Vec<Sku>, Vec<i64>) = ledgers
            .iter()
            .map(|(sku, ledger)| (sku.clone(), ledger.checkpoint.entry_id))
            .unzip();
        let mut read = store::books::read_all(&mut conn, &skus, &after, limit).await?;
        for sku in skus {
            let (Some(mut ledger), Some(read)) = (ledgers.remove(&sku), read.remove(&sku)) else {
                continue;
            };
            let is_last = read.entries < limit;
            ledger.add(&read);
            if is_last {
                done.insert(sku, ledger.close(&read));
            } else {
                ledgers.insert(sku, ledger);
            }
        }
    }
    Ok(done)
}

/// The ledger of a SKU as far as it was read.
struct Ledger {
    entries: i64,
    checkpoint: Checkpoint,
}

impl Ledger {
    fn add(&mut self, read: &SkuRead) {
        self.entries += read.entries;
        self.checkpoint.entry_id = self.checkpoint.entry_id.max(read.last_entry_id);
        for (key, books) in &read.levels {
            let sums = self.checkpoint.sums.entry(key.clone()).or_default();
            for (sum, more) in sums.iter_mut().zip(books.ledger) {
                *sum = sum.saturating_add(more);
            }
        }
    }

    /// The books at the moment of the last read.
    fn close(self, last: &SkuRead) -> SkuBooks {
        let sums = self.checkpoint.sums.iter();
        let levels = sums.map(|(key, sums)| {
            let read = last.levels.get(key).copied().unwrap_or_default();
            let books = Books {
                ledger: *sums,
                ..read
            };
            (key.clone(), books)
        });
        SkuBooks {
            levels: levels.collect(),
            entries: self.entries,
            has_more: self.entries > 0,
            ledger: self.checkpoint,
        }
    }
}
