//! Reads the books of SKUs to their end.

use std::collections::BTreeMap;

use oms_core::Sku;

use crate::domain::books::Books;
use crate::domain::level::LevelKey;
use crate::store;
use crate::store::books::SkuRead;
use crate::store::checkpoints::{Checkpoint, Moved};

use super::{Ctx, Error};

/// Entries that one statement reads at most, so that none runs for long.
const ENTRIES_MAX: i64 = 100_000;

/// From where each SKU is read.
pub(super) type From = BTreeMap<Sku, Checkpoint>;

/// The books of a SKU.
#[derive(Debug, Clone)]
pub(super) struct SkuBooks {
    /// Entries that were read.
    pub(super) entries: i64,
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
}

/// Each SKU from its first entry.
pub(super) fn from_start(skus: &[Sku]) -> From {
    let skus = skus.iter().cloned();
    skus.map(|sku| (sku, Checkpoint::default())).collect()
}

/// Each SKU from its checkpoint.
pub(super) async fn from_checkpoints(ctx: &Ctx, skus: &[Sku]) -> Result<From, Error> {
    let mut conn = ctx.db.read().await?;
    let mut known = store::checkpoints::of(&mut conn, skus).await?;
    let skus = skus.iter().cloned();
    Ok(skus
        .map(|sku| {
            let checkpoint = known.remove(&sku).unwrap_or_default();
            (sku, checkpoint)
        })
        .collect())
}

/// Reads the books of SKUs without locking anything. Each SKU is compared in one snapshot, with all entries that can be
/// seen in it: a statement that finds fewer entries than it may read has seen the last one. What it does not see yet
/// gets a higher number, since numbers are drawn under the lock of the lane; so what was summed up stays summed up.
///
/// With `remember`, sums of SKUs with many entries are kept on the way, so that whoever is interrupted goes on there.
/// SKUs with more than `entries_max` entries are given up and missing in the answer.
pub(super) async fn read_books(
    ctx: &Ctx,
    from: From,
    remember: bool,
    entries_max: i64,
) -> Result<BTreeMap<Sku, SkuBooks>, Error> {
    let start = |(sku, checkpoint)| {
        let ledger = Ledger {
            entries: 0,
            checkpoint,
        };
        (sku, ledger)
    };
    let mut ledgers: BTreeMap<Sku, Ledger> = from.into_iter().map(start).collect();
    let mut done = BTreeMap::new();
    while !ledgers.is_empty() {
        let (limit, mut read) = read_on(ctx, &ledgers).await?;
        let mut unfinished = BTreeMap::new();
        for (sku, mut ledger) in ledgers {
            let read = read.remove(&sku).unwrap_or_default();
            ledger.add(&read);
            if read.entries < limit {
                done.insert(sku, ledger.close(&read));
            } else if ledger.entries <= entries_max {
                unfinished.insert(sku, ledger);
            }
        }
        ledgers = unfinished;
        if remember && !ledgers.is_empty() {
            keep_sums(ctx, &ledgers).await?;
        }
    }
    Ok(done)
}

/// One statement; answers the most entries it has read of each SKU, too.
async fn read_on(
    ctx: &Ctx,
    ledgers: &BTreeMap<Sku, Ledger>,
) -> Result<(i64, BTreeMap<Sku, SkuRead>), Error> {
    let count = i64::try_from(ledgers.len()).unwrap_or(i64::MAX);
    let limit = (ENTRIES_MAX / count).max(1);
    let (skus, after): (Vec<Sku>, Vec<i64>) = ledgers
        .iter()
        .map(|(sku, ledger)| (sku.clone(), ledger.checkpoint.entry_id))
        .unzip();
    let mut conn = ctx.db.read().await?;
    let read = store::books::read_all(&mut conn, &skus, &after, limit).await?;
    Ok((limit, read))
}

async fn keep_sums(ctx: &Ctx, ledgers: &BTreeMap<Sku, Ledger>) -> Result<(), Error> {
    let moved = ledgers.iter().map(|(sku, ledger)| {
        let moved = Moved {
            checkpoint: ledger.checkpoint.clone(),
            agrees: false,
        };
        (sku.clone(), moved)
    });
    let moved = &moved.collect();
    ctx.db
        .run_tx("verify_ledger", |tx| {
            Box::pin(async move { Ok(store::checkpoints::advance(tx, moved, false).await?) })
        })
        .await
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
            ledger: self.checkpoint,
        }
    }
}
