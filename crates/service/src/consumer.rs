//! Reads a peer's feed and applies its events, each exactly once.

mod apply;
mod session;

use std::collections::HashMap;
use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use futures::future::BoxFuture;
use metrics::{counter, gauge};
use oms_postgres::{Db, Error, ErrorKind};
use oms_proto::events::v1::Event;
use sqlx::PgConnection;
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

use crate::client::PeerChannel;
use crate::error::Chain;
use crate::names;
use session::Ended;

const RECONNECT_WAIT_FIRST: Duration = Duration::from_millis(100);
const RECONNECT_WAIT_MOST: Duration = Duration::from_secs(5);

/// The events of one transaction, on whose connection all of this runs. It is dropped when the transaction fails, and
/// another one begins with the next try.
pub trait Batch: Send {
    /// What is done with an event: change own rows, or insert a task keyed by the event's id. So no RPC, no Redis, no sleep.
    fn apply<'t>(
        &'t mut self,
        conn: &'t mut PgConnection,
        event: &'t Event,
    ) -> BoxFuture<'t, Result<(), ApplyError>>;

    /// Writes what was kept for the end.
    fn finish(self: Box<Self>, conn: &mut PgConnection) -> BoxFuture<'_, Result<(), ApplyError>>;
}

/// What begins a batch.
type Begin = Box<
    dyn for<'t> Fn(
            &'t mut PgConnection,
            &'t [Event],
        ) -> BoxFuture<'t, Result<Box<dyn Batch>, Error>>
        + Send
        + Sync,
>;

/// What is done with each event on its own.
type Apply = Arc<
    dyn for<'t> Fn(&'t mut PgConnection, &'t Event) -> BoxFuture<'t, Result<(), ApplyError>>
        + Send
        + Sync,
>;

/// A batch whose events have nothing to do with each other.
struct OneByOne(Apply);

impl Batch for OneByOne {
    fn apply<'t>(
        &'t mut self,
        conn: &'t mut PgConnection,
        event: &'t Event,
    ) -> BoxFuture<'t, Result<(), ApplyError>> {
        (self.0)(conn, event)
    }

    fn finish(self: Box<Self>, _: &mut PgConnection) -> BoxFuture<'_, Result<(), ApplyError>> {
        Box::pin(async { Ok(()) })
    }
}

/// An event could not be applied.
#[derive(Debug, thiserror::Error)]
pub enum ApplyError {
    /// The database failed. When it is not available, the event is tried again for as long as it
    /// takes.
    #[error("{}", Chain(.0))]
    Database(#[from] oms_postgres::Error),
    /// The event makes no sense here: its payload cannot be read, or it contradicts what we have.
    #[error("{0}")]
    Rejected(String),
}

impl ApplyError {
    /// The event makes no sense here.
    pub fn rejected(reason: impl fmt::Display) -> Self {
        Self::Rejected(reason.to_string())
    }

    /// Whether the event itself is at fault, not the moment.
    fn is_poison(&self) -> bool {
        match self {
            Self::Database(error) => error.kind() == ErrorKind::Database,
            Self::Rejected(_) => true,
        }
    }
}

impl From<sqlx::Error> for ApplyError {
    fn from(error: sqlx::Error) -> Self {
        Self::Database(error.into())
    }
}

impl From<prost::DecodeError> for ApplyError {
    fn from(error: prost::DecodeError) -> Self {
        Self::rejected(error)
    }
}

/// What happens when the peer's feed has another epoch, or does not keep our position any more: its
/// database was restored, and events may be missing or doubled.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum EpochPolicy {
    /// Stop with an alarm until an operator has decided (metric `oms.feed.stopped`).
    #[default]
    Stop,
    /// Read the feed again from its beginning. Only for consumers that can apply everything again.
    Resync,
}

/// Subscribes to a peer's feed where the stored cursor stands and applies its events in order, some
/// dozens in one transaction with the cursor.
///
/// An event that cannot be applied is tried a few times, then parked with an error in the log; only
/// later events of its aggregate wait behind it. Parked events are tried again now and then.
pub struct FeedConsumer {
    db: Db,
    channel: PeerChannel,
    /// The consuming service; also the name of the cursor.
    service: &'static str,
    source: &'static str,
    types: Vec<String>,
    policy: EpochPolicy,
    begin: Begin,
}

impl FeedConsumer {
    /// A consumer in `service` of the feed of `source`; [`crate::Setup::consumer`] is shorter.
    pub fn new(db: Db, channel: PeerChannel, service: &'static str, source: &'static str) -> Self {
        Self {
            db,
            channel,
            service,
            source,
            types: Vec::new(),
            policy: EpochPolicy::default(),
            begin: one_by_one(Arc::new(|_, _| Box::pin(async { Ok(()) }))),
        }
    }

    /// Only events of these types; others are passed over on the peer's side.
    #[must_use]
    pub fn types(mut self, types: &[&str]) -> Self {
        self.types = types.iter().map(|name| (*name).to_owned()).collect();
        self
    }

    /// What to do when the peer's feed has another epoch.
    #[must_use]
    pub fn on_epoch_change(mut self, policy: EpochPolicy) -> Self {
        self.policy = policy;
        self
    }

    /// What is done with an event: change own rows, or insert a task keyed by the event's id. Runs in
    /// the cursor's transaction, possibly several times; so no RPC, no Redis, no sleep.
    #[must_use]
    pub fn apply<F>(mut self, apply: F) -> Self
    where
        F: for<'t> Fn(&'t mut PgConnection, &'t Event) -> BoxFuture<'t, Result<(), ApplyError>>
            + Send
            + Sync
            + 'static,
    {
        self.begin = one_by_one(Arc::new(apply));
        self
    }

    /// Instead of [`FeedConsumer::apply`], where the events of a transaction have something in common: rows that are locked
    /// in one order before the first (the transactions of two feeds that change the same rows would lock each other out
    /// otherwise), read once, and written once.
    #[must_use]
    pub fn batches<F>(mut self, begin: F) -> Self
    where
        F: for<'t> Fn(
                &'t mut PgConnection,
                &'t [Event],
            ) -> BoxFuture<'t, Result<Box<dyn Batch>, Error>>
            + Send
            + Sync
            + 'static,
    {
        self.begin = Box::new(begin);
        self
    }

    /// Consumes until the token is canceled.
    pub fn spawn(self, cancel: CancellationToken) -> JoinHandle<()> {
        let consumer = Consumer {
            db: self.db,
            channel: self.channel,
            service: self.service,
            source: self.source,
            types: self.types,
            begin: self.begin,
        };
        let policy = self.policy;
        tokio::spawn(async move { consumer.run(policy, cancel).await })
    }
}

fn one_by_one(apply: Apply) -> Begin {
    Box::new(move |_, _| {
        let batch: Box<dyn Batch> = Box::new(OneByOne(Arc::clone(&apply)));
        Box::pin(async { Ok(batch) })
    })
}

impl fmt::Debug for FeedConsumer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("FeedConsumer")
            .field("service", &self.service)
            .field("source", &self.source)
            .field("types", &self.types)
            .finish_non_exhaustive()
    }
}

struct Consumer {
    db: Db,
    channel: PeerChannel,
    service: &'static str,
    source: &'static str,
    types: Vec<String>,
    begin: Begin,
}

/// How often each event failed, by position. Lost at a restart, which only means more tries.
type Failures = HashMap<i64, u32>;

/// Kind and id of the aggregate behind which the next look at parked events goes on; empty ones stand before all.
type ParkedAfter = (String, String);

impl Consumer {
    async fn run(self, policy: EpochPolicy, cancel: CancellationToken) {
        let this = Arc::new(self);
        let mut failures = Failures::new();
        let mut parked_after = ParkedAfter::default();
        let mut wait = RECONNECT_WAIT_FIRST;
        this.say_stopped(false);
        loop {
            let ended = tokio::select! {
                () = cancel.cancelled() => return,
                ended = this.session(&mut failures, &mut parked_after) => ended,
            };
            let (service, source) = (this.service, this.source);
            let is_broken = !matches!(ended, Ended::ByPeer);
            match ended {
                // The peer drains or the stream grew old: another one answers at once. That is no failure.
                Ended::ByPeer => wait = RECONNECT_WAIT_FIRST,
                Ended::Failed { reason, has_worked } => {
                    if has_worked {
                        wait = RECONNECT_WAIT_FIRST;
                    }
                    tracing::warn!(
                        service,
                        source,
                        reason,
                        "feed is not readable, trying again"
                    );
                }
                Ended::EpochChanged { epoch } if policy == EpochPolicy::Resync => {
                    tracing::error!(
                        service,
                        source,
                        ?epoch,
                        "feed was restored, reading it again"
                    );
                    if let Err(error) = this.resync(epoch).await {
                        tracing::warn!(error = %Chain(&error), "cursor could not be reset");
                    }
                }
                Ended::EpochChanged { epoch } => {
                    tracing::error!(service, source, ?epoch, "feed was restored, consumer stops");
                    this.say_stopped(true);
                    return cancel.cancelled().await;
                }
            }
            if is_broken {
                counter!(names::FEED_RECONNECTS, "service" => service, "source" => source)
                    .increment(1);
            }
            tokio::select! {
                () = cancel.cancelled() => return,
                () = tokio::time::sleep(wait) => {}
            }
            wait = (wait * 2).min(RECONNECT_WAIT_MOST);
        }
    }

    #[expect(clippy::cast_precision_loss, reason = "gauges are floating point")]
    fn say_lag(&self, events: i64) {
        gauge!(names::FEED_LAG, "service" => self.service, "source" => self.source)
            .set(events as f64);
    }

    fn say_stopped(&self, is_stopped: bool) {
        gauge!(names::FEED_STOPPED, "service" => self.service, "source" => self.source)
            .set(if is_stopped { 1.0 } else { 0.0 });
    }
}
