//! What the floor reads and makes in the databases, with SQL of its own.

use sqlx::{AssertSqlSafe, PgConnection};

/// Schema of the samples.
const SCHEMA: &str = "bench_rows";
/// Rows of tables with fewer per hundred orders are few and everybody's: heads, cursors, counters.
const PER_HUNDRED_LEAST: i64 = 50;

/// Writes into a table since the database was made.
#[derive(Debug, Clone, PartialEq, Eq, sqlx::FromRow)]
pub(super) struct Count {
    pub(super) table: String,
    pub(super) inserted: i64,
    pub(super) updated: i64,
}

/// Rows of a table that are written again.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Sample {
    table: String,
    columns: String,
    /// Columns of the primary key.
    key: String,
    /// A column that is no part of the key.
    other: Option<String>,
    rows: i64,
    orders: i64,
    /// Times that a row is written after its insert.
    updates: i64,
}

/// What was written so far. Postgres counts a transaction a moment after its commit.
pub(super) async fn counts(conn: &mut PgConnection) -> anyhow::Result<Vec<Count>> {
    let sql = "SELECT relname::text AS table, n_tup_ins AS inserted, n_tup_upd AS updated
               FROM pg_stat_user_tables WHERE schemaname = 'public' ORDER BY relname";
    Ok(sqlx::query_as(sql).fetch_all(conn).await?)
}

/// Copies the rows that orders left, numbered.
pub(super) async fn sample(
    conn: &mut PgConnection,
    before: &[Count],
    orders: i64,
) -> anyhow::Result<Vec<Sample>> {
    execute(
        conn,
        &format!("DROP SCHEMA IF EXISTS {SCHEMA} CASCADE; CREATE SCHEMA {SCHEMA}"),
    )
    .await?;
    let mut samples = Vec::new();
    for now in counts(conn).await? {
        let then = before.iter().find(|count| count.table == now.table);
        let inserted = now.inserted - then.map_or(0, |count| count.inserted);
        let updated = now.updated - then.map_or(0, |count| count.updated);
        // The outbox is empty again: what went through it stands in the feed.
        if now.table == "outbox" || inserted * 100 < orders * PER_HUNDRED_LEAST {
            continue;
        }
        samples.push(sample_table(conn, now.table, (inserted, updated, orders)).await?);
    }
    Ok(samples)
}

async fn sample_table(
    conn: &mut PgConnection,
    table: String,
    (inserted, updated, orders): (i64, i64, i64),
) -> anyhow::Result<Sample> {
    let sql = "SELECT string_agg(quote_ident(a.attname), ', ' ORDER BY a.attnum) AS columns,
                      coalesce(string_agg(quote_ident(a.attname), ', ' ORDER BY a.attnum)
                          FILTER (WHERE a.attnum = ANY(i.indkey::smallint[])), '') AS key,
                      min(quote_ident(a.attname)) FILTER (WHERE NOT a.attnum = ANY(coalesce(i.indkey::smallint[], '{}')))
                          AS other
               FROM pg_attribute a LEFT JOIN pg_index i ON i.indrelid = a.attrelid AND i.indisprimary
               WHERE a.attrelid = $1::text::regclass AND a.attnum > 0 AND NOT a.attisdropped AND a.attgenerated = ''";
    let (columns, key, other): (String, String, Option<String>) = sqlx::query_as(sql)
        .bind(&table)
        .fetch_one(&mut *conn)
        .await?;
    // The last ones are those of the orders, as far as the key knows time: ids begin with the time.
    let copy = format!(
        "CREATE TABLE {SCHEMA}.{table} AS
             SELECT row_number() OVER () AS bench_row, {columns} FROM (
                 SELECT {columns} FROM {table} ORDER BY ctid DESC LIMIT {inserted}) AS newest;
         ALTER TABLE {SCHEMA}.{table} ADD PRIMARY KEY (bench_row)"
    );
    execute(conn, &copy).await?;
    let count = format!("SELECT count(*) FROM {SCHEMA}.{table}");
    let rows: i64 = sqlx::query_scalar(AssertSqlSafe(count))
        .fetch_one(conn)
        .await?;
    Ok(Sample {
        updates: (updated + rows / 2) / rows.max(1),
        table,
        columns,
        key,
        other,
        rows,
        orders,
    })
}

impl Sample {
    /// The table.
    pub(super) fn table(&self) -> &str {
        &self.table
    }

    /// Only so many rows of each order, which are not written again.
    pub(super) fn first(&self, per_order: i64) -> Self {
        Self {
            rows: (self.orders * per_order).min(self.rows),
            updates: 0,
            ..self.clone()
        }
    }

    /// Statements that write the rows of order number `:i`, the insert first.
    pub(super) fn statements(&self) -> Vec<String> {
        let Self {
            table,
            columns,
            key,
            other,
            rows,
            orders,
            updates,
        } = self;
        let these = format!(
            "bench_row > (:i - 1) * {rows} / {orders} AND bench_row <= :i * {rows} / {orders}"
        );
        let insert = format!(
            "INSERT INTO {table} ({columns}) OVERRIDING SYSTEM VALUE SELECT {columns} FROM {SCHEMA}.{table} WHERE {these};"
        );
        let mut all = vec![insert];
        if let Some(other) = other.as_ref().filter(|_| !key.is_empty()) {
            let update = format!(
                "UPDATE {table} SET {other} = {other} WHERE ({key}) IN (SELECT {key} FROM {SCHEMA}.{table} WHERE {these});"
            );
            all.extend((0..*updates).map(|_| update.clone()));
        }
        all
    }
}

/// Empties the tables, so that their rows can be written again: in a copy, so that the guard of the audit log may sleep.
pub(super) async fn empty(conn: &mut PgConnection, samples: &[Sample]) -> anyhow::Result<()> {
    let tables: Vec<&str> = samples.iter().map(Sample::table).collect();
    execute(
        conn,
        &format!(
            "SET session_replication_role = replica; TRUNCATE {} CASCADE; SET session_replication_role = origin;
             DROP SEQUENCE IF EXISTS {SCHEMA}.number; CREATE SEQUENCE {SCHEMA}.number",
            tables.join(", ")
        ),
    )
    .await
}

/// Sagas and tasks of the order service that have something left to do.
pub(super) async fn open_work(conn: &mut PgConnection) -> anyhow::Result<i64> {
    let sql = "SELECT (SELECT count(*) FROM sagas WHERE state IN ('RUNNING', 'UNDOING'))
                    + (SELECT count(*) FROM tasks WHERE state = 'READY' AND run_at < now() + interval '1 hour')
                    + (SELECT count(*) FROM outbox)";
    Ok(sqlx::query_scalar(sql).fetch_one(conn).await?)
}

/// Takes the number of the next order into the variable `i` of a script.
pub(super) fn next_number() -> String {
    format!("SELECT nextval('{SCHEMA}.number') AS i \\gset")
}

async fn execute(conn: &mut PgConnection, sql: &str) -> anyhow::Result<()> {
    // Names of tables and columns, as Postgres told them.
    sqlx::raw_sql(AssertSqlSafe(sql.to_owned()))
        .execute(conn)
        .await?;
    Ok(())
}
