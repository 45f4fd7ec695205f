//! Chance, time and what goes wrong: all of it follows from the seed.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use oms_core::{Clock, IdSource};
use time::OffsetDateTime;
use tokio::time::Instant;
use uuid::Uuid;

/// A defect that is put in on purpose: a simulation that cannot fail shows nothing.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Sabotage {
    /// The database locks no lanes.
    NoLocks,
    /// Repeated calls are not recognised.
    ForgetCalls,
}

/// How often what happens, of a thousand times it could.
#[derive(Debug, Clone, Copy)]
pub(super) struct Chaos {
    /// A round trip to the database finds the connection broken.
    pub(super) broken_connection: u64,
    /// A commit happens and its answer is lost.
    pub(super) lost_commit: u64,
    /// Redis does what it is asked and its answer is lost.
    pub(super) lost_lease: u64,
    /// A call is sent twice at once.
    pub(super) doubled_call: u64,
    /// The caller gives up and asks again elsewhere.
    pub(super) impatience: u64,
    /// Pauses, crashes, and losses of Redis, each after up to a second.
    pub(super) accidents: u64,
}

impl Chaos {
    /// Nothing goes wrong.
    pub(super) const NONE: Self = Self {
        broken_connection: 0,
        lost_commit: 0,
        lost_lease: 0,
        doubled_call: 0,
        impatience: 0,
        accidents: 0,
    };
}

/// The world of one seed.
pub(super) struct World {
    random: AtomicU64,
    ids: AtomicU64,
    started: Instant,
    chaos: Chaos,
    calm: AtomicBool,
    pub(super) sabotage: Option<Sabotage>,
    seen: Mutex<BTreeMap<&'static str, u64>>,
    broken: Mutex<Vec<String>>,
}

impl World {
    /// Some seeds are quiet, some are wild.
    pub(super) fn new(seed: u64, sabotage: Option<Sabotage>) -> Self {
        let mut world = Self {
            random: AtomicU64::new(seed),
            ids: AtomicU64::new(0),
            started: Instant::now(),
            chaos: Chaos::NONE,
            calm: AtomicBool::new(false),
            sabotage,
            seen: Mutex::default(),
            broken: Mutex::default(),
        };
        if !seed.is_multiple_of(10) {
            world.chaos = Chaos {
                broken_connection: world.below(30),
                lost_commit: world.below(60),
                lost_lease: world.below(60),
                doubled_call: world.below(100),
                impatience: world.below(40),
                accidents: world.below(12),
            };
        }
        world
    }

    /// How wild this seed is.
    pub(super) fn chaos(&self) -> Chaos {
        if self.calm.load(Ordering::Relaxed) {
            return Chaos::NONE;
        }
        self.chaos
    }

    /// From now on nothing goes wrong any more.
    pub(super) fn calm_down(&self) {
        self.calm.store(true, Ordering::Relaxed);
    }

    /// The next number: SplitMix64 of Sebastiano Vigna.
    fn next(&self) -> u64 {
        let step = 0x9e37_79b9_7f4a_7c15_u64;
        let state = self.random.fetch_add(step, Ordering::Relaxed);
        let mut mixed = state.wrapping_add(step);
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    }

    /// A number below `end`.
    pub(super) fn below(&self, end: u64) -> u64 {
        self.next() % end.max(1)
    }

    /// One of these.
    pub(super) fn pick<'a, T>(&self, of: &'a [T]) -> &'a T {
        &of[usize::try_from(self.below(of.len() as u64)).unwrap()]
    }

    /// Whether something happens, of a thousand times that it could. Counted by name.
    pub(super) fn happens(&self, per_mille: u64, what: &'static str) -> bool {
        let happens = per_mille > 0 && self.below(1_000) < per_mille;
        if happens {
            self.saw(what);
        }
        happens
    }

    /// Counts something that happened.
    pub(super) fn saw(&self, what: &'static str) {
        *lock(&self.seen).entry(what).or_default() += 1;
    }

    /// What happened how often.
    pub(super) fn seen(&self) -> BTreeMap<&'static str, u64> {
        lock(&self.seen).clone()
    }

    /// Something that must never be.
    pub(super) fn violation(&self, what: String) {
        lock(&self.broken).push(what);
    }

    /// All that must never be and was.
    pub(super) fn violations(&self) -> Vec<String> {
        lock(&self.broken).clone()
    }

    /// Time passes, up to so many microseconds.
    pub(super) async fn time_passes(&self, micros: u64) {
        tokio::time::sleep(Duration::from_micros(self.below(micros) + 1)).await;
    }
}

impl Clock for World {
    fn now(&self) -> OffsetDateTime {
        OffsetDateTime::UNIX_EPOCH + self.started.elapsed()
    }
}

impl IdSource for World {
    fn next(&self) -> Uuid {
        let number = self.ids.fetch_add(1, Ordering::Relaxed);
        Uuid::from_u64_pair(number, Self::next(self))
    }
}

/// Nothing in here panics while it holds a lock.
pub(super) fn lock<T>(of: &Mutex<T>) -> MutexGuard<'_, T> {
    of.lock().unwrap_or_else(PoisonError::into_inner)
}
