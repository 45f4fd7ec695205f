//! What the benches read of the databases, with SQL of their own.

use anyhow::Context;
use serde::Serialize;
use sqlx::postgres::PgConnectOptions;
use sqlx::{AssertSqlSafe, ConnectOptions, PgConnection};

/// What figures depend on in Postgres.
#[derive(Debug, Clone, Serialize, sqlx::FromRow)]
pub(crate) struct Settings {
    /// Version.
    pub(crate) version: String,
    /// `on` when a commit survives a power cut.
    pub(crate) fsync: String,
    /// `on` when the caller is answered after that.
    pub(crate) synchronous_commit: String,
}

impl Settings {
    /// Whether what was answered survives a power cut.
    pub(crate) fn is_durable(&self) -> bool {
        self.fsync == "on" && self.synchronous_commit != "off"
    }
}

/// Units of one SKU as three tables tell them.
#[derive(Debug, Clone, Copy, PartialEq, Eq, sqlx::FromRow)]
pub(crate) struct Books {
    /// Units left, by the stock levels.
    pub(crate) available: i64,
    /// Units taken, by the stock levels.
    pub(crate) held: i64,
    /// Units taken, by the lines of reservations.
    pub(crate) reserved: i64,
    /// Units taken, by the ledger.
    pub(crate) booked: i64,
    /// Reservations.
    pub(crate) reservations: i64,
}

/// Sizes of the events of a reservation in bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, sqlx::FromRow)]
pub(crate) struct EventBytes {
    /// Of `ReservationChanged`.
    pub(crate) reservation_changed: i64,
    /// Of `StockChanged`.
    pub(crate) stock_changed: i64,
}

/// Connects to a database.
pub(crate) async fn connect(url: &str) -> anyhow::Result<PgConnection> {
    let options: PgConnectOptions = url.parse().context("address of Postgres")?;
    options.connect().await.context("cannot reach Postgres")
}

/// Asks a server for its settings.
pub(crate) async fn settings(url: &str) -> anyhow::Result<Settings> {
    let sql = "SELECT split_part(current_setting('server_version'), ' ', 1) AS version,
                      current_setting('fsync') AS fsync, current_setting('synchronous_commit') AS synchronous_commit";
    Ok(sqlx::query_as(sql)
        .fetch_one(&mut connect(url).await?)
        .await?)
}

/// Makes a database anew, as a copy of another one that nobody is connected to.
pub(crate) async fn copy_database(
    conn: &mut PgConnection,
    from: &str,
    to: &str,
) -> anyhow::Result<()> {
    drop_database(conn, to).await?;
    // Names of databases, made by the bench itself.
    let copy = AssertSqlSafe(format!("CREATE DATABASE {to} TEMPLATE {from}"));
    sqlx::raw_sql(copy)
        .execute(conn)
        .await
        .with_context(|| format!("cannot copy database {from}"))?;
    Ok(())
}

/// Drops a database if it is there.
pub(crate) async fn drop_database(conn: &mut PgConnection, name: &str) -> anyhow::Result<()> {
    let drop = AssertSqlSafe(format!("DROP DATABASE IF EXISTS {name} WITH (FORCE)"));
    sqlx::raw_sql(drop)
        .execute(conn)
        .await
        .with_context(|| format!("cannot drop database {name}"))?;
    Ok(())
}

/// Tells the planner how large the tables are, and leaves nothing to write later.
pub(crate) async fn tidy_up(conn: &mut PgConnection) -> anyhow::Result<()> {
    sqlx::raw_sql("VACUUM ANALYZE").execute(&mut *conn).await?;
    sqlx::raw_sql("CHECKPOINT").execute(conn).await?;
    Ok(())
}

/// Average sizes of events that were sent.
pub(crate) async fn event_bytes(conn: &mut PgConnection) -> anyhow::Result<EventBytes> {
    let sql =
        "SELECT avg(octet_length(payload)) FILTER (WHERE event_type = 'ReservationChanged')::bigint
                          AS reservation_changed,
                      avg(octet_length(payload)) FILTER (WHERE event_type = 'StockChanged'
                          AND aggregate_version > 1)::bigint AS stock_changed
               FROM feed";
    sqlx::query_as(sql)
        .fetch_one(conn)
        .await
        .context("no events of reservations were sent")
}

/// Events that wait for the relay.
pub(crate) async fn waiting_events(conn: &mut PgConnection) -> anyhow::Result<i64> {
    Ok(sqlx::query_scalar("SELECT count(*) FROM outbox")
        .fetch_one(conn)
        .await?)
}

/// Puts events into the outbox, of a thousand aggregates in turn; `round` tells them from those of other rounds.
pub(crate) async fn fill_outbox(
    conn: &mut PgConnection,
    round: u32,
    events: u32,
) -> anyhow::Result<()> {
    let sql = "INSERT INTO outbox (event_id, aggregate_type, aggregate_id, aggregate_version, event_type, payload, actor,
                                   occurred_at, traceparent)
               SELECT gen_random_uuid(), 'bench', $1::bigint || '/' || n % 1000, n / 1000 + 1, 'BenchHappened',
                      convert_to(repeat('x', 300), 'UTF8'), 'user:bench', now(), ''
               FROM generate_series(0, $2::bigint - 1) AS n ORDER BY n";
    sqlx::query(sql)
        .bind(i64::from(round))
        .bind(i64::from(events))
        .execute(conn)
        .await?;
    Ok(())
}

/// Makes room in the feed for as many events as a bench may move.
pub(crate) async fn add_partition(conn: &mut PgConnection) -> anyhow::Result<()> {
    let sql = "CREATE TABLE feed_more PARTITION OF feed FOR VALUES FROM (1000001) TO (1000000001)";
    sqlx::raw_sql(sql).execute(conn).await?;
    Ok(())
}

/// All reservations.
pub(crate) async fn reservations(conn: &mut PgConnection) -> anyhow::Result<i64> {
    Ok(sqlx::query_scalar("SELECT count(*) FROM reservation")
        .fetch_one(conn)
        .await?)
}

/// All orders.
pub(crate) async fn orders(conn: &mut PgConnection) -> anyhow::Result<i64> {
    Ok(sqlx::query_scalar("SELECT count(*) FROM orders")
        .fetch_one(conn)
        .await?)
}

/// The books of one SKU.
pub(crate) async fn books(conn: &mut PgConnection, sku: &str) -> anyhow::Result<Books> {
    let sql = "SELECT (SELECT coalesce(sum(available), 0)::bigint FROM stock_level WHERE sku = $1) AS available,
                      (SELECT coalesce(sum(held), 0)::bigint FROM stock_level WHERE sku = $1) AS held,
                      (SELECT coalesce(sum(quantity), 0)::bigint FROM reservation_line
                       WHERE sku = $1 AND state = 'HELD') AS reserved,
                      (SELECT coalesce(sum(quantity), 0)::bigint FROM stock_ledger
                       WHERE sku = $1 AND from_account = 'AVAILABLE' AND to_account = 'HELD') AS booked,
                      (SELECT count(DISTINCT reservation_id) FROM reservation_line WHERE sku = $1) AS reservations";
    Ok(sqlx::query_as(sql).bind(sku).fetch_one(conn).await?)
}
