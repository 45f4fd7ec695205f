//! Redis as the lease uses it: leases that expire, counters, generations; and all of it may be lost at any moment.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use futures::FutureExt;
use futures::future::BoxFuture;
use oms_core::Sku;
use tokio::time::Instant;
use uuid::Uuid;

use crate::lanes::lease::{Gate, Grip};
use crate::store::lanes::Fencing;

use super::replica::Process;
use super::tables::Tables;
use super::world::{World, lock};

/// How long a lease lives.
const TTL: Duration = Duration::from_secs(2);

/// The server.
pub(super) struct SimRedis {
    pub(super) world: Arc<World>,
    pub(super) tables: Arc<Tables>,
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    names: BTreeMap<Sku, Name>,
    gone_until: Option<Instant>,
    /// Its clock runs so many times as fast as ours.
    haste: u32,
}

/// The three keys of a SKU.
#[derive(Default)]
struct Name {
    /// Token of the holder, and when the lease expires.
    lease: Option<(i64, Instant)>,
    /// Somebody was refused it since it was taken.
    waited_for: bool,
    counter: i64,
    generation: Option<i64>,
}

impl SimRedis {
    pub(super) fn new(world: &Arc<World>, tables: &Arc<Tables>) -> Self {
        Self {
            world: Arc::clone(world),
            tables: Arc::clone(tables),
            state: Mutex::default(),
        }
    }

    /// Everything it knew is gone: FLUSHALL, or a restart without its data.
    pub(super) fn forget(&self) {
        lock(&self.state).names.clear();
    }

    /// Nobody reaches it for a while.
    pub(super) fn vanish(&self) {
        let time = Duration::from_micros(self.world.below(2_000_000));
        lock(&self.state).gone_until = Some(Instant::now() + time);
    }

    /// A failover to a replica that lagged behind: counters fall back, leases are forgotten.
    pub(super) fn fall_back(&self) {
        for name in lock(&self.state).names.values_mut() {
            name.lease = None;
            name.counter = (name.counter - 3).max(0);
        }
    }

    /// Leases expire sooner than their holders think.
    pub(super) fn hurry(&self) {
        lock(&self.state).haste = u32::try_from(self.world.below(8)).unwrap();
    }

    fn is_gone(&self) -> bool {
        let gone_until = lock(&self.state).gone_until;
        gone_until.is_some_and(|until| Instant::now() < until)
    }

    /// Names that need a generation from the database, with the one that was seen.
    fn stale(&self, skus: &[Sku]) -> Vec<(Sku, Option<i64>)> {
        let state = lock(&self.state);
        let seen = skus.iter().map(|sku| {
            let generation = state.names.get(sku).and_then(|name| name.generation);
            (sku.clone(), generation)
        });
        seen.filter(|(_, generation)| generation.is_none())
            .collect()
    }

    /// Compare and set.
    fn renew(&self, sku: &Sku, seen: Option<i64>, next: i64) {
        let mut state = lock(&self.state);
        let name = state.names.entry(sku.clone()).or_default();
        if name.generation == seen && seen.is_none_or(|seen| next > seen) {
            name.generation = Some(next);
            name.counter = 0;
        }
    }

    /// Takes those that are free.
    fn take(&self, skus: &[Sku]) -> BTreeMap<Sku, i64> {
        let mut state = lock(&self.state);
        let ttl = TTL / state.haste.max(1);
        let now = Instant::now();
        let mut taken = BTreeMap::new();
        for sku in skus {
            let Some(name) = state.names.get_mut(sku) else {
                continue;
            };
            let is_held = name.lease.is_some_and(|(_, until)| now < until);
            name.waited_for = is_held;
            let (false, Some(generation)) = (is_held, name.generation) else {
                continue;
            };
            name.counter += 1;
            let token = (generation << 32) | name.counter;
            name.lease = Some((token, now + ttl));
            taken.insert(sku.clone(), token);
        }
        taken
    }

    /// Answers whether somebody waits for one of them.
    fn release(&self, tokens: &BTreeMap<Sku, i64>) -> bool {
        let mut state = lock(&self.state);
        let mut waited_for = false;
        for (sku, token) in tokens {
            if let Some(name) = state.names.get_mut(sku)
                && name.lease.is_some_and(|(held, _)| held == *token)
            {
                name.lease = None;
                waited_for |= name.waited_for;
            }
        }
        waited_for
    }
}

/// What a replica sees of it.
pub(super) struct SimGate {
    pub(super) redis: Arc<SimRedis>,
    pub(super) process: Arc<Process>,
    pub(super) holder: Uuid,
}

impl SimGate {
    async fn trip(&self) -> Result<(), &'static str> {
        self.process.runs().await;
        self.redis.world.time_passes(300).await;
        if self.redis.is_gone() {
            self.redis.world.saw("redis gone");
            return Err("connect");
        }
        Ok(())
    }

    async fn next_generation(&self) -> i64 {
        self.process.runs().await;
        self.redis.world.time_passes(500).await;
        self.redis.tables.next_generation()
    }
}

impl Gate for SimGate {
    fn take<'a>(&'a self, skus: &'a [Sku]) -> BoxFuture<'a, Result<Grip, &'static str>> {
        async move {
            let asked = Instant::now();
            self.trip().await?;
            for _ in 0..3 {
                let stale = self.redis.stale(skus);
                if stale.is_empty() {
                    break;
                }
                let next = self.next_generation().await;
                self.trip().await?;
                for (sku, seen) in &stale {
                    self.redis.renew(sku, *seen, next);
                }
            }
            let tokens = self.redis.take(skus);
            let world = &self.redis.world;
            if world.happens(world.chaos().lost_lease, "lost lease") {
                return Err("timeout");
            }
            self.trip().await?;
            if tokens.len() < skus.len() {
                world.saw("busy lease");
            }
            Ok(Grip {
                fencing: Fencing {
                    holder: self.holder,
                    tokens,
                },
                fresh_until: asked + TTL * 2 / 3,
                cut_off: BTreeSet::new(),
                lease: None,
            })
        }
        .boxed()
    }

    fn give_back(&self, grip: Grip) -> BoxFuture<'_, bool> {
        async move {
            let waited_for = self.trip().await.is_ok() && self.redis.release(&grip.fencing.tokens);
            if waited_for {
                self.redis.world.saw("yield");
            }
            waited_for
        }
        .boxed()
    }

    fn begin_generation<'a>(&'a self, sku: &'a Sku, token: i64) -> BoxFuture<'a, ()> {
        async move {
            let next = self.next_generation().await;
            if self.trip().await.is_ok() {
                self.redis.renew(sku, Some(token >> 32), next);
            }
        }
        .boxed()
    }
}
