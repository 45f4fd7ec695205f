//! The lanes: the one writer path for stock and reservations.
//!
//! [`Lanes::submit`] queues a command. A runner takes the first command whose SKUs nobody in this process is working
//! on, with what can be decided beside it (`queue`), takes the leases of its SKUs in Redis (`lease`), decides and writes
//! everything in one transaction under the lane locks (`transaction`), gives the leases back and answers (`runner`).
//! The `sweeper` submits what ran out.
//!
//! The leases make one writer per SKU out of many replicas, so that Postgres need not queue connections on a hot row.
//! They are no proof of anything: a command that has waited too long for one goes without, a stale one is fenced off by
//! the number in the lane, and in the end the lock on the lane and the CHECKs of the levels decide.

mod books;
mod error;
mod failpoint;
mod job;
mod lease;
mod queue;
mod runner;
#[cfg(test)]
mod sim;
mod sweeper;
mod transaction;

use std::collections::BTreeSet;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use metrics::{Unit, describe_counter, describe_gauge, describe_histogram};
use oms_core::{Clock, IdSource, Principal, Sku};
use oms_lock::Leases;
use oms_postgres::Db;
use oms_postgres::idempotency::RequestKey;
use tokio::sync::oneshot;
use tokio::task::JoinHandle;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;
use tracing::Span;

use crate::domain::command::Command;
use crate::domain::effect::Outcome;

use books::{Books, PostgresBooks};
pub(crate) use error::Error;
use job::Job;
use lease::Gate;
use queue::Queue;
pub(crate) use transaction::{ALLOCATE_BACKORDERS, ALLOCATE_COMPLETE};

/// How lanes work.
#[derive(Debug, Clone)]
pub(crate) struct LanesConfig {
    /// Batches decided at the same time. Each takes a connection; about one per core is enough.
    pub(crate) runners: usize,
    /// Most commands that wait; more are refused.
    pub(crate) queue_max: usize,
    /// Most commands decided in one transaction.
    pub(crate) batch_max: usize,
    /// How long a command waits for leases before it goes without.
    pub(crate) lease_wait: Duration,
    /// How often what ran out is looked for.
    pub(crate) sweep_interval: Duration,
    /// For the crash suite; see `failpoint`.
    pub(crate) failpoint_before_begin: Option<PathBuf>,
}

/// What a lane needs to know of a command.
#[derive(Debug, Clone)]
pub(crate) struct Request {
    /// The command.
    pub(crate) command: Command,
    /// Makes a repeated call the same call; `None` for commands that are the same however often they run.
    pub(crate) key: Option<RequestKey>,
    /// Who asks.
    pub(crate) actor: Principal,
}

/// Tells the metrics recorder what the metrics of the lanes mean.
pub(crate) fn describe_metrics() {
    describe_counter!(lease::BYPASS, "commands decided without a lease, by reason");
    describe_counter!(
        lease::YIELDS,
        "batches after which another replica was let go first"
    );
    describe_counter!(
        runner::FENCED,
        "batches refused because a lane has seen a later lease"
    );
    describe_histogram!(runner::BATCH_SIZE, "commands decided in one transaction");
    describe_histogram!(
        runner::LANE_WAIT,
        Unit::Seconds,
        "wait of a command from its arrival to the transaction that decides it"
    );
    describe_counter!(
        runner::LANE_COMMANDS,
        "commands decided, by whether their batch held leases"
    );
    describe_gauge!(queue::QUEUE_DEPTH, "commands that wait for their lanes");
}

/// The lanes of this process. Cheap to clone.
#[derive(Clone)]
pub(crate) struct Lanes {
    shared: Arc<Shared>,
}

struct Shared {
    books: Arc<dyn Books>,
    /// `None` when this installation runs without leases.
    gate: Option<Arc<dyn Gate>>,
    ids: Arc<dyn IdSource>,
    config: LanesConfig,
    queue: Queue,
}

impl Lanes {
    /// Lanes without runners: [`Lanes::spawn`] starts them.
    pub(crate) fn new(
        db: Db,
        clock: Arc<dyn Clock>,
        ids: Arc<dyn IdSource>,
        config: LanesConfig,
        leases: Option<Leases>,
    ) -> Self {
        let books = PostgresBooks {
            db,
            clock,
            ids: Arc::clone(&ids),
        };
        let gate = leases.map(|leases| Arc::new(leases) as Arc<dyn Gate>);
        Self::of(Arc::new(books), gate, ids, config)
    }

    fn of(
        books: Arc<dyn Books>,
        gate: Option<Arc<dyn Gate>>,
        ids: Arc<dyn IdSource>,
        config: LanesConfig,
    ) -> Self {
        let queue = Queue::new(config.queue_max);
        Self {
            shared: Arc::new(Shared {
                books,
                gate,
                ids,
                config,
                queue,
            }),
        }
    }

    /// Has a command decided. Once it was begun it is finished, whether or not the caller still waits.
    pub(crate) async fn submit(&self, request: Request) -> Result<Outcome, Error> {
        // A reservation that is being made says itself which SKUs it needs.
        let skus = match &request.command {
            Command::Reserve(_) => request.command.skus(),
            command => self.shared.skus_of(command).await?,
        };
        let (answer, answered) = oneshot::channel();
        let job = Job {
            request,
            skus,
            span: Span::current(),
            since: Instant::now(),
            lease_since: None,
            looked: 0,
            answer,
        };
        self.shared.queue.push(job)?;
        answered.await.unwrap_or(Err(Error::Stopped))
    }

    /// Starts the runners and the sweeper.
    pub(crate) fn spawn(&self, cancel: CancellationToken) -> JoinHandle<()> {
        let mut work = tokio::task::JoinSet::new();
        for _ in 0..self.shared.config.runners {
            work.spawn(runner::run(Arc::clone(&self.shared), cancel.clone()));
        }
        work.spawn(sweeper::run(self.clone(), cancel));
        let shared = Arc::clone(&self.shared);
        tokio::spawn(async move {
            while let Some(ended) = work.join_next().await {
                // Commands would wait for ever: end the program with the panic of the runner.
                if let Err(Ok(panic)) = ended.map_err(tokio::task::JoinError::try_into_panic) {
                    std::panic::resume_unwind(panic);
                }
            }
            shared.queue.close();
        })
    }
}

impl Shared {
    /// The SKUs whose lanes the command needs, those of its reservation as it is stored included.
    async fn skus_of(&self, command: &Command) -> Result<BTreeSet<Sku>, Error> {
        let mut skus = command.skus();
        if let Some(id) = command.reservation() {
            skus.extend(self.books.skus_of(id).await?);
        }
        Ok(skus)
    }
}
