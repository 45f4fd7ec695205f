//! One database as it is at one moment: every query of a snapshot sees the same rows.

use std::collections::{HashMap, HashSet};

use anyhow::Context;
use futures::TryStreamExt;
use sqlx::{AssertSqlSafe, PgConnection, Row};
use uuid::Uuid;

use super::invariant::{Database, Rows};
use super::server::Databases;

/// Violations that are shown of one invariant.
pub(super) const EXAMPLES: usize = 5;

/// Whole tables are compared, often right after they were filled, when Postgres does not know yet how large they are: it
/// must not go through one of them once per row of the other.
const BEGIN: &str = "
    BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY;
    SET LOCAL timezone = 'UTC';
    SET LOCAL enable_nestloop = off;
    SET LOCAL work_mem = '64MB'";

/// A consumer's place in another service's feed.
#[derive(Debug, Clone, sqlx::FromRow)]
pub(super) struct Cursor {
    /// Service whose feed it reads.
    pub(super) source: String,
    /// Epoch of that feed.
    pub(super) epoch: Uuid,
    /// Last position that was applied.
    pub(super) pos: i64,
}

/// Where a feed ends.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, sqlx::FromRow)]
pub(super) struct Head {
    /// Epoch of the feed.
    pub(super) epoch: Uuid,
    /// Last position.
    pub(super) pos: i64,
}

/// How one query of one database went.
#[derive(Debug, Clone, Default)]
pub(super) struct Found {
    /// Rows judged.
    pub(super) checked: u64,
    /// Violations.
    pub(super) violations: u64,
    /// Some of them.
    pub(super) examples: Vec<String>,
}

/// An open snapshot.
pub(super) struct Snapshot {
    pub(super) database: Database,
    pub(super) conn: PgConnection,
    /// Places of this service in others' feeds.
    pub(super) cursors: Vec<Cursor>,
    /// Rows per table, as far as they were counted.
    counts: HashMap<&'static str, u64>,
}

impl Snapshot {
    /// Connects and fixes the moment.
    pub(super) async fn open(databases: &Databases, database: Database) -> anyhow::Result<Self> {
        let mut conn = databases.connect(database).await?;
        let failed = || {
            let service = database.service();
            format!(
                "cannot read the database of {service}: it has not been migrated, or this is another one"
            )
        };
        sqlx::raw_sql(BEGIN)
            .execute(&mut conn)
            .await
            .with_context(failed)?;
        let cursors = sqlx::query_as("SELECT source, epoch, pos FROM feed_cursors")
            .fetch_all(&mut conn)
            .await
            .with_context(failed)?;
        Ok(Self {
            database,
            conn,
            cursors,
            counts: HashMap::new(),
        })
    }

    /// Ends the snapshot and reads where the feed ends by now: no cursor read before may lie further.
    pub(super) async fn end(&mut self) -> anyhow::Result<Head> {
        sqlx::raw_sql("COMMIT").execute(&mut self.conn).await?;
        let head = sqlx::query_as("SELECT epoch, pos FROM feed_head")
            .fetch_one(&mut self.conn)
            .await?;
        Ok(head)
    }

    /// Asks a query for its violations. Those of orders that are on their way do not count where the invariant
    /// says so.
    pub(super) async fn find(
        &mut self,
        rows: &Rows,
        at_rest: bool,
        on_their_way: &HashSet<Uuid>,
    ) -> anyhow::Result<Found> {
        let mut found = Found {
            checked: self.count(rows.table).await?,
            ..Found::default()
        };
        let mut query = sqlx::query(rows.sql);
        if rows.sql.contains("$1") {
            query = query.bind(at_rest);
        }
        let mut violations = query.fetch(&mut self.conn);
        while let Some(row) = violations.try_next().await? {
            if rows.is_settled_only {
                let order: Option<Uuid> = row.try_get(1)?;
                if order.is_some_and(|order| on_their_way.contains(&order)) {
                    continue;
                }
            }
            found.violations += 1;
            if found.examples.len() < EXAMPLES {
                let what: Option<String> = row.try_get(0)?;
                let what = what.unwrap_or_else(|| "a row with empty columns".to_owned());
                found.examples.push(if rows.databases.len() > 1 {
                    format!("{}: {what}", self.database.service())
                } else {
                    what
                });
            }
        }
        Ok(found)
    }

    async fn count(&mut self, table: &'static str) -> anyhow::Result<u64> {
        if let Some(count) = self.counts.get(table) {
            return Ok(*count);
        }
        // The name of a table, from the list of invariants.
        let sql = AssertSqlSafe(format!("SELECT count(*) FROM {table}"));
        let count: i64 = sqlx::query_scalar(sql).fetch_one(&mut self.conn).await?;
        let count = u64::try_from(count).unwrap_or_default();
        self.counts.insert(table, count);
        Ok(count)
    }
}
