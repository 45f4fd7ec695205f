//! Named transactions: retried, measured, traced.

use std::fmt;
use std::marker::PhantomData;
use std::ops::{Deref, DerefMut};
use std::sync::Arc;
use std::time::{Duration, Instant};

use futures::future::BoxFuture;
use metrics::{counter, histogram};
use oms_telemetry::mark_failed;
use sqlx::pool::PoolConnection;
use sqlx::{PgConnection, Postgres, SqlSafeStr, Transaction};
use tracing::Instrument;

use crate::scope::Scope;
use crate::{Db, Error, jitter, names, scope};

/// Attempts of one transaction, the first included.
const ATTEMPTS_MAX: u32 = 12;
const RETRY_WAIT_FIRST: Duration = Duration::from_millis(2);
const RETRY_WAIT_MOST: Duration = Duration::from_millis(200);

/// An open transaction. Dereferences to its connection, so store functions take `tx` as it is.
///
/// The lifetime is that of what the body borrows from outside; nobody needs to write it.
pub struct Tx<'env> {
    inner: Transaction<'static, Postgres>,
    after_commit: Vec<Box<dyn FnOnce() + Send>>,
    env: PhantomData<&'env ()>,
}

impl Tx<'_> {
    /// The connection, for functions of `store/`.
    pub fn conn(&mut self) -> &mut PgConnection {
        &mut self.inner
    }

    /// Runs something quick when, and only when, the transaction has committed: a wake-up of the
    /// own process. It is lost when the process dies, so it must not matter.
    pub fn after_commit(&mut self, run: impl FnOnce() + Send + 'static) {
        self.after_commit.push(Box::new(run));
    }
}

impl Deref for Tx<'_> {
    type Target = PgConnection;

    fn deref(&self) -> &PgConnection {
        &self.inner
    }
}

impl DerefMut for Tx<'_> {
    fn deref_mut(&mut self) -> &mut PgConnection {
        &mut self.inner
    }
}

impl fmt::Debug for Tx<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Tx").finish_non_exhaustive()
    }
}

/// How one attempt ended.
enum Attempt<T, E> {
    Committed(T),
    Failed(E),
    /// The body or the commit met another transaction, or the connection was dead at BEGIN.
    Again(E),
}

/// Begins a transaction, whatever becomes of the caller: a BEGIN that nobody waits for any more would leave its connection
/// inside of a transaction, without a word, for whoever gets it next.
pub(crate) async fn begin(
    conn: PoolConnection<Postgres>,
    statement: Option<&'static str>,
) -> Result<Transaction<'static, Postgres>, Error> {
    let statement = statement.map(SqlSafeStr::into_sql_str);
    let begun = tokio::spawn(Transaction::begin(conn, statement)).await;
    // It neither panics nor is it aborted, but for the end of the runtime.
    Ok(begun.unwrap_or(Err(sqlx::Error::WorkerCrashed))?)
}

impl Db {
    /// Runs the body in a READ COMMITTED transaction and commits when it answers `Ok`.
    ///
    /// **The body may run several times**: after a serialization failure or a deadlock it is rolled
    /// back and run again. So it does nothing but work on the connection: no RPC, no Redis, no
    /// sleep, no channel.
    ///
    /// `name` is the name of the use case, such as `"place_order"`: of the span `tx.<name>` and of
    /// the label of the metrics.
    ///
    /// The body may borrow from its surroundings; what it moves must be a reference or cheap to
    /// clone, as it may run again.
    ///
    /// # Errors
    /// What the body answered; else [`Error`] of BEGIN or COMMIT. When COMMIT fails because the
    /// connection broke, it is unknown whether it happened: repeat the call with its request id.
    pub async fn run_tx<'env, T, E, F>(&self, name: &'static str, body: F) -> Result<T, E>
    where
        F: for<'t> FnMut(&'t mut Tx<'env>) -> BoxFuture<'t, Result<T, E>> + Send,
        E: From<Error>,
    {
        let span = tracing::info_span!(
            "tx",
            otel.name = format_args!("tx.{name}"),
            oms.tx.attempts = tracing::field::Empty,
        );
        self.retrying(name, body).instrument(span).await
    }

    /// [`Db::run_tx`] without a span, for background loops, whose transactions would fill the traces.
    pub async fn run_tx_quiet<'env, T, E, F>(&self, name: &'static str, body: F) -> Result<T, E>
    where
        F: for<'t> FnMut(&'t mut Tx<'env>) -> BoxFuture<'t, Result<T, E>> + Send,
        E: From<Error>,
    {
        self.retrying(name, body)
            .instrument(tracing::Span::none())
            .await
    }

    async fn retrying<'env, T, E, F>(&self, name: &'static str, mut body: F) -> Result<T, E>
    where
        F: for<'t> FnMut(&'t mut Tx<'env>) -> BoxFuture<'t, Result<T, E>> + Send,
        E: From<Error>,
    {
        let mut attempt = 1;
        loop {
            let started = Instant::now();
            let ended = self.attempt(name, &mut body).await;
            let outcome = match &ended {
                Attempt::Committed(_) => "committed",
                Attempt::Failed(_) => "failed",
                Attempt::Again(_) => "conflict",
            };
            histogram!(names::TX_DURATION, "name" => name, "outcome" => outcome)
                .record(started.elapsed());
            match ended {
                Attempt::Committed(value) => {
                    if attempt > 1 {
                        tracing::Span::current().record("oms.tx.attempts", attempt);
                    }
                    return Ok(value);
                }
                Attempt::Again(_) if attempt < ATTEMPTS_MAX => {
                    counter!(names::TX_RETRIES, "name" => name).increment(1);
                    let wait = jitter::backoff(RETRY_WAIT_FIRST, RETRY_WAIT_MOST, attempt);
                    tokio::time::sleep(wait).await;
                    attempt += 1;
                }
                Attempt::Failed(error) | Attempt::Again(error) => {
                    tracing::Span::current().record("oms.tx.attempts", attempt);
                    return Err(error);
                }
            }
        }
    }

    async fn attempt<'env, T, E, F>(&self, name: &'static str, body: &mut F) -> Attempt<T, E>
    where
        F: for<'t> FnMut(&'t mut Tx<'env>) -> BoxFuture<'t, Result<T, E>> + Send,
        E: From<Error>,
    {
        let conn = match self.acquire(name).await {
            Ok(conn) => conn,
            Err(error) => return failed(name, error),
        };
        let inner = match begin(conn, None).await {
            Ok(inner) => inner,
            // The connection died while it was idle; another one may live.
            Err(error @ Error::Unavailable { .. }) => return Attempt::Again(E::from(error)),
            Err(error) => return failed(name, error),
        };
        let mut tx = Tx {
            inner,
            after_commit: Vec::new(),
            env: PhantomData,
        };
        let scope = Arc::new(Scope::default());
        let answer = scope::with(Arc::clone(&scope), body(&mut tx)).await;
        match answer {
            Ok(value) => self.commit(name, tx, &scope, value).await,
            Err(error) => {
                // Rolled back here and not on drop, so that no lock outlives the answer.
                let _ = tx.inner.rollback().await;
                if scope.is_transient() {
                    return Attempt::Again(error);
                }
                if scope.has_failed() {
                    mark_failed(&tracing::Span::current(), "a statement failed");
                }
                Attempt::Failed(error)
            }
        }
    }

    async fn commit<T, E: From<Error>>(
        &self,
        name: &'static str,
        mut tx: Tx<'_>,
        scope: &Scope,
        value: T,
    ) -> Attempt<T, E> {
        // A body that went on after a failed statement: Postgres would answer its COMMIT with a
        // silent ROLLBACK. Any statement tells the two apart.
        if scope.has_failed()
            && let Err(error) = sqlx::query("select 1").execute(tx.conn()).await
        {
            let _ = tx.inner.rollback().await;
            if scope.is_transient() {
                return Attempt::Again(E::from(Error::from(error)));
            }
            return failed(name, Error::from(error));
        }
        let Tx {
            inner,
            after_commit,
            ..
        } = tx;
        match inner.commit().await.map_err(Error::from) {
            Ok(()) => {}
            Err(error @ Error::Transient { .. }) => return Attempt::Again(E::from(error)),
            Err(error) => return failed(name, error),
        }
        if scope.has_tasks() {
            self.wake_tasks();
        }
        if scope.has_events() {
            self.wake_relay();
        }
        for run in after_commit {
            run();
        }
        Attempt::Committed(value)
    }
}

fn failed<T, E: From<Error>>(name: &'static str, error: Error) -> Attempt<T, E> {
    mark_failed(&tracing::Span::current(), &error);
    tracing::warn!(
        tx = name,
        error = %error,
        cause = std::error::Error::source(&error).map(tracing::field::display),
        "transaction failed"
    );
    Attempt::Failed(E::from(error))
}
