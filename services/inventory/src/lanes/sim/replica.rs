//! A replica: a process that may be stopped, killed and started again.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use oms_core::IdSource;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use crate::lanes::{Lanes, LanesConfig};

use super::gate::{SimGate, SimRedis};
use super::tables::{SimBooks, Tables};
use super::world::{World, lock};

/// Whether a process runs. Everything that its lanes do outside of themselves waits here while it is stopped.
#[derive(Default)]
pub(super) struct Process {
    stopped_until: Mutex<Option<Instant>>,
    /// Canceled by a crash.
    pub(super) dead: CancellationToken,
}

impl Process {
    /// Returns when the process runs.
    pub(super) async fn runs(&self) {
        let until = *lock(&self.stopped_until);
        if let Some(until) = until {
            tokio::time::sleep_until(until).await;
        }
    }

    fn stop_for(&self, time: Duration) {
        *lock(&self.stopped_until) = Some(Instant::now() + time);
    }
}

/// One replica of the lanes and its life.
pub(super) struct Replica {
    world: Arc<World>,
    tables: Arc<Tables>,
    redis: Option<Arc<SimRedis>>,
    life: Mutex<Life>,
}

/// A replica between two crashes.
#[derive(Clone)]
pub(super) struct Life {
    pub(super) lanes: Lanes,
    pub(super) process: Arc<Process>,
    cancel: CancellationToken,
    work: Arc<tokio::task::JoinHandle<()>>,
}

impl Replica {
    pub(super) fn start(
        world: &Arc<World>,
        tables: &Arc<Tables>,
        redis: Option<&Arc<SimRedis>>,
    ) -> Self {
        Self {
            life: Mutex::new(begin(world, tables, redis)),
            world: Arc::clone(world),
            tables: Arc::clone(tables),
            redis: redis.map(Arc::clone),
        }
    }

    /// As it is now.
    pub(super) fn life(&self) -> Life {
        lock(&self.life).clone()
    }

    /// `kill -9`, and a new process after a while.
    pub(super) async fn crash(&self) {
        let life = self.life();
        life.work.abort();
        life.process.dead.cancel();
        self.world.time_passes(500_000).await;
        *lock(&self.life) = begin(&self.world, &self.tables, self.redis.as_ref());
    }

    /// SIGSTOP, and SIGCONT after a while, which may be longer than a lease lives.
    pub(super) async fn pause(&self) {
        let time = Duration::from_micros(self.world.below(4_000_000));
        self.life().process.stop_for(time);
        tokio::time::sleep(time).await;
    }

    /// Ends as SIGTERM does: what was begun is finished.
    pub(super) async fn end(&self) {
        let life = self.life();
        life.cancel.cancel();
        while !life.work.is_finished() {
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
    }
}

fn begin(world: &Arc<World>, tables: &Arc<Tables>, redis: Option<&Arc<SimRedis>>) -> Life {
    let process = Arc::new(Process::default());
    let books = SimBooks {
        world: Arc::clone(world),
        tables: Arc::clone(tables),
        process: Arc::clone(&process),
    };
    let gate = redis.map(|redis| {
        Arc::new(SimGate {
            redis: Arc::clone(redis),
            process: Arc::clone(&process),
            holder: IdSource::next(&**world),
        }) as _
    });
    let config = LanesConfig {
        runners: 2,
        queue_max: 64,
        batch_max: 8,
        lease_wait: Duration::from_millis(150),
        sweep_interval: Duration::from_secs(1),
        failpoint_before_begin: None,
    };
    let lanes = Lanes::of(Arc::new(books), gate, Arc::clone(world) as _, config);
    let cancel = CancellationToken::new();
    let work = Arc::new(lanes.spawn(cancel.clone()));
    Life {
        lanes,
        process,
        cancel,
        work,
    }
}
