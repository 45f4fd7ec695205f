//! The audit log as the databases have it.

use futures::TryStreamExt;
use sqlx::Connection;

use super::line::{Head, Line, Row};
use crate::verify::{Database, Databases};

/// Head and rows as they are at one moment, however long reading takes.
const BEGIN: &str = "BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY; SET LOCAL timezone = 'UTC'";

/// Tells the head of a database's log, then its rows in order.
pub(super) async fn each_line(
    databases: &Databases,
    database: Database,
    mut told: impl FnMut(&Line) -> anyhow::Result<()>,
) -> anyhow::Result<()> {
    let mut conn = databases.connect(database).await?;
    sqlx::raw_sql(BEGIN).execute(&mut conn).await?;
    let service = database.service().to_owned();
    let head: Head = sqlx::query_as(
        "SELECT seq, encode(hash, 'hex') AS hash, first_seq, encode(first_prev_hash, 'hex') AS first_prev_hash
         FROM audit_head",
    )
    .fetch_one(&mut conn)
    .await?;
    told(&Line::Head(Head {
        service: service.clone(),
        ..head
    }))?;
    let mut rows = sqlx::query_as::<_, Row>(
        "SELECT seq, epoch, kind, at, principal, method, object_type, object_id, object_version,
             encode(content_hash, 'hex') AS content_hash, reason, entry_id, traceparent, recorded_at,
             encode(hash, 'hex') AS hash
         FROM audit_log ORDER BY seq",
    )
    .fetch(&mut conn);
    while let Some(row) = rows.try_next().await? {
        told(&Line::Row(Box::new(Row {
            service: service.clone(),
            ..row
        })))?;
    }
    drop(rows);
    conn.close().await?;
    Ok(())
}
