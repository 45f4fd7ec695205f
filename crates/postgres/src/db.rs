//! The pool of connections to one database.

use std::fmt;
use std::str::FromStr;
use std::sync::Arc;
use std::time::{Duration, Instant};

use metrics::histogram;
use oms_core::Clock;
use serde::Deserialize;
use sqlx::pool::PoolConnection;
use sqlx::postgres::{PgConnectOptions, PgPoolOptions};
use sqlx::{ConnectOptions, Connection, PgPool, Postgres};
use tokio::sync::watch;
use uuid::Uuid;

use crate::feed::Head;
use crate::{Error, names, scope};

/// A connection that was not used for this long is asked whether it still lives.
const IDLE_BEFORE_PING: Duration = Duration::from_secs(2);
/// Connections are replaced at this age, so that a failover or a new password is noticed.
const CONNECTION_AGE_MAX: Duration = Duration::from_mins(30);

/// Where the database is and what is asked of it. Times are in milliseconds.
#[derive(Clone, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct DbConfig {
    /// `postgres://user:password@host:port/database`. Never shown by `Debug`.
    pub url: String,
    /// Shown in `pg_stat_activity`; the name of the service.
    pub application_name: String,
    /// Most connections of this process. More than about 8 per two cores loses throughput.
    pub max_connections: u32,
    /// Longest wait for a connection.
    pub acquire_timeout_ms: u64,
    /// Longest run of one statement.
    pub statement_timeout_ms: u64,
    /// Longest wait for a row or table lock.
    pub lock_timeout_ms: u64,
    /// Longest pause between two statements of a transaction.
    pub idle_in_transaction_timeout_ms: u64,
    /// How long [`Db::connect`] waits for a server that is still starting.
    pub startup_timeout_ms: u64,
}

impl Default for DbConfig {
    fn default() -> Self {
        Self {
            url: String::new(),
            application_name: "oms".to_owned(),
            max_connections: 8,
            acquire_timeout_ms: 5_000,
            statement_timeout_ms: 10_000,
            lock_timeout_ms: 5_000,
            idle_in_transaction_timeout_ms: 15_000,
            startup_timeout_ms: 60_000,
        }
    }
}

impl DbConfig {
    /// The defaults for an address and a service.
    pub fn new(url: impl Into<String>, application_name: impl Into<String>) -> Self {
        Self {
            url: url.into(),
            application_name: application_name.into(),
            ..Self::default()
        }
    }

    fn connect_options(&self) -> Result<PgConnectOptions, Error> {
        // Statements are few, static and prepared, and their arrays are of any length. Planned once they cost a
        // third; planned for every call, writing a reservation spends longer in the planner than in the executor.
        // Such a plan must not depend on how small a table was when it was made, so tables are not read from end
        // to end where an index serves, and nothing is compiled for a plan that merely looks expensive.
        let plans = [
            ("plan_cache_mode", "force_generic_plan"),
            ("enable_seqscan", "off"),
            ("jit", "off"),
        ];
        let timeouts = [
            ("statement_timeout", self.statement_timeout_ms.to_string()),
            ("lock_timeout", self.lock_timeout_ms.to_string()),
            (
                "idle_in_transaction_session_timeout",
                self.idle_in_transaction_timeout_ms.to_string(),
            ),
        ];
        let options = PgConnectOptions::from_str(&self.url)?
            .application_name(&self.application_name)
            .options(plans)
            .options(timeouts);
        Ok(options)
    }
}

impl fmt::Debug for DbConfig {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("DbConfig")
            .field("url", &"[redacted]")
            .field("application_name", &self.application_name)
            .field("max_connections", &self.max_connections)
            .finish_non_exhaustive()
    }
}

/// A service's database. Cheap to clone.
#[derive(Clone)]
pub struct Db {
    inner: Arc<Inner>,
}

struct Inner {
    pool: PgPool,
    options: PgConnectOptions,
    clock: Arc<dyn Clock>,
    /// Label of metrics, as services may share a process.
    service: Arc<str>,
    /// Counts wake-ups; every runner has a receiver of its own.
    tasks: watch::Sender<u64>,
    relay: watch::Sender<u64>,
    head: watch::Sender<Head>,
}

impl Db {
    /// Connects, waiting for a server that is still starting up.
    ///
    /// # Errors
    /// [`Error::Config`] for an unusable address, [`Error::Unavailable`] when no server answered
    /// in time.
    pub async fn connect(config: &DbConfig, clock: Arc<dyn Clock>) -> Result<Self, Error> {
        let db = Self::lazy(config, clock)?;
        db.wait_until_up(Duration::from_millis(config.startup_timeout_ms))
            .await?;
        Ok(db)
    }

    /// Makes the pool without connecting; the first use connects. Needs a tokio runtime.
    pub fn lazy(config: &DbConfig, clock: Arc<dyn Clock>) -> Result<Self, Error> {
        let options = config.connect_options()?;
        let pool = PgPoolOptions::new()
            .max_connections(config.max_connections)
            .acquire_timeout(Duration::from_millis(config.acquire_timeout_ms))
            .max_lifetime(CONNECTION_AGE_MAX)
            // A ping before every use would cost a round trip; one after a pause is enough, since
            // run_tx begins again when BEGIN finds the connection dead.
            .test_before_acquire(false)
            .before_acquire(|conn, meta| {
                Box::pin(async move {
                    if meta.idle_for > IDLE_BEFORE_PING {
                        conn.ping().await?;
                    }
                    Ok(true)
                })
            })
            .connect_lazy_with(options.clone());
        Ok(Self {
            inner: Arc::new(Inner {
                pool,
                options,
                clock,
                service: Arc::from(config.application_name.as_str()),
                tasks: watch::Sender::new(0),
                relay: watch::Sender::new(0),
                head: watch::Sender::new(Head::default()),
            }),
        })
    }

    async fn wait_until_up(&self, patience: Duration) -> Result<(), Error> {
        let started = Instant::now();
        loop {
            let error = match self.inner.pool.acquire().await {
                Ok(_) => return Ok(()),
                Err(error) => Error::from(error),
            };
            if !matches!(error, Error::Unavailable { .. }) || started.elapsed() >= patience {
                return Err(error);
            }
            tracing::warn!(
                error = %std::error::Error::source(&error).map(ToString::to_string).unwrap_or_default(),
                "database does not answer yet"
            );
            tokio::time::sleep(Duration::from_millis(200)).await;
        }
    }

    /// A connection for one statement that reads, or for several that need not agree: each sees what was committed
    /// when it began. For several that must agree there is [`Db::snapshot`].
    ///
    /// # Errors
    /// [`Error::Nested`] inside of `run_tx`: read on the transaction's connection there.
    pub async fn read(&self) -> Result<PoolConnection<Postgres>, Error> {
        self.acquire("read").await
    }

    pub(crate) async fn acquire(
        &self,
        name: &'static str,
    ) -> Result<PoolConnection<Postgres>, Error> {
        if scope::is_inside() {
            return Err(Error::Nested);
        }
        let started = Instant::now();
        let acquired = self.inner.pool.acquire().await;
        histogram!(names::TX_POOL_WAIT, "name" => name).record(started.elapsed());
        Ok(acquired?)
    }

    /// Connections of the pool: idle ones, all that there are, and the most there may be.
    pub(crate) fn pool_use(&self) -> (u32, u32, u32) {
        let pool = &self.inner.pool;
        let idle = u32::try_from(pool.num_idle()).unwrap_or(u32::MAX);
        (idle, pool.size(), pool.options().get_max_connections())
    }

    /// A connection of its own outside the pool and without a statement timeout, for migrations.
    pub(crate) async fn dedicated(&self) -> Result<sqlx::PgConnection, Error> {
        let options = self.inner.options.clone();
        let options = options.options([("statement_timeout", "0")]);
        Ok(options.connect().await?)
    }

    /// Asks again and again whether the database answers.
    pub fn pulse(&self) -> Pulse {
        Pulse {
            db: self.clone(),
            conn: None,
        }
    }

    /// The clock that all times in this database are taken from.
    pub fn clock(&self) -> &Arc<dyn Clock> {
        &self.inner.clock
    }

    pub(crate) fn service(&self) -> Arc<str> {
        Arc::clone(&self.inner.service)
    }

    /// Makes the task runners of this process look for due tasks now.
    pub fn wake_tasks(&self) {
        self.inner
            .tasks
            .send_modify(|count| *count = count.wrapping_add(1));
    }

    /// Makes the relay of this process look into the outbox now.
    pub fn wake_relay(&self) {
        self.inner
            .relay
            .send_modify(|count| *count = count.wrapping_add(1));
    }

    /// Changes with every [`Db::wake_tasks`] and every commit that inserted a task.
    pub fn task_wakes(&self) -> watch::Receiver<u64> {
        self.inner.tasks.subscribe()
    }

    pub(crate) fn relay_wakes(&self) -> watch::Receiver<u64> {
        self.inner.relay.subscribe()
    }

    /// The end of this database's feed as the relay of this process last saw it. Until the relay
    /// has run it is [`Head::default`] with a nil epoch.
    pub fn feed_head(&self) -> watch::Receiver<Head> {
        self.inner.head.subscribe()
    }

    pub(crate) fn publish_head(&self, head: Head) {
        self.inner.head.send_if_modified(|seen| {
            let is_newer =
                seen.epoch != head.epoch || seen.pos < head.pos || seen.first_pos < head.first_pos;
            if is_newer {
                *seen = head;
            }
            is_newer
        });
    }

    /// Closes all connections after their current use.
    pub async fn close(&self) {
        self.inner.pool.close().await;
    }
}

/// Asks whether the database answers, on a connection of its own: a pool that is all in use says nothing of the database.
#[derive(Debug)]
pub struct Pulse {
    db: Db,
    conn: Option<sqlx::PgConnection>,
}

impl Pulse {
    /// Answers when the database does. May be given up while it waits.
    pub async fn feel(&mut self) -> Result<(), Error> {
        // Put back only if it is good: who is given up in the middle, or fails, connects anew.
        let mut conn = match self.conn.take() {
            Some(conn) => conn,
            None => self.db.inner.options.connect().await?,
        };
        conn.ping().await?;
        self.conn = Some(conn);
        Ok(())
    }
}

impl fmt::Debug for Db {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Db")
            .field("connections", &self.inner.pool.size())
            .finish_non_exhaustive()
    }
}

impl Head {
    pub(crate) fn new(epoch: Uuid, first_pos: i64, pos: i64) -> Self {
        Self {
            epoch,
            pos,
            first_pos,
        }
    }
}

#[cfg(test)]
mod tests {
    use oms_core::SystemClock;

    use super::*;

    #[test]
    fn debug_shows_no_password() {
        let config = DbConfig::new("postgres://oms:secret@db/oms_order", "order");
        assert!(!format!("{config:?}").contains("secret"));
    }

    #[tokio::test]
    async fn an_unusable_address_is_refused_and_not_repeated() {
        let config = DbConfig::new("postgres://oms:secret@db:not-a-port/oms", "order");
        let error = Db::connect(&config, Arc::new(SystemClock))
            .await
            .unwrap_err();
        assert!(matches!(error, Error::Config { .. }));
        assert!(!error.to_string().contains("secret"));
    }

    #[tokio::test]
    async fn a_server_that_does_not_answer_in_time_is_unavailable() {
        let config = DbConfig {
            acquire_timeout_ms: 20,
            startup_timeout_ms: 20,
            // Nothing listens on port 1.
            ..DbConfig::new("postgres://127.0.0.1:1/oms", "order")
        };
        let error = Db::connect(&config, Arc::new(SystemClock))
            .await
            .unwrap_err();
        assert!(matches!(error, Error::Unavailable { .. }));
    }
}
