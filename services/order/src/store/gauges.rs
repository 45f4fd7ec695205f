//! Counts for operators. They look at what is open only, and at 10 000 rows of it at most.

use sqlx::PgConnection;
use time::OffsetDateTime;

use super::StoreError;

/// Open sagas at one step, in one state.
#[derive(Debug)]
pub(crate) struct OpenSagas {
    pub(crate) step: String,
    pub(crate) state: String,
    pub(crate) count: i64,
    /// When the oldest of them began.
    pub(crate) oldest: OffsetDateTime,
    /// The earliest time at which one of them has something to do.
    pub(crate) due: OffsetDateTime,
}

/// Effects that are not settled, in one state.
#[derive(Debug)]
pub(crate) struct OpenEffects {
    pub(crate) state: String,
    pub(crate) count: i64,
    /// When the oldest of them was planned.
    pub(crate) oldest: OffsetDateTime,
}

/// The open sagas.
pub(crate) async fn sagas(conn: &mut PgConnection) -> Result<Vec<OpenSagas>, StoreError> {
    let rows = sqlx::query_as!(
        OpenSagas,
        r#"SELECT step AS "step!", state AS "state!", count(*) AS "count!",
                  min(started_at) AS "oldest!", min(next_run_at) AS "due!"
           FROM ((SELECT step, state, started_at, next_run_at FROM sagas
                  WHERE state IN ('RUNNING', 'WAITING', 'UNDOING') ORDER BY next_run_at LIMIT 10000)
                 UNION ALL
                 (SELECT step, state, started_at, next_run_at FROM sagas
                  WHERE state = 'STUCK' ORDER BY stuck_since LIMIT 10000)) open
           GROUP BY step, state"#
    )
    .fetch_all(conn)
    .await?;
    Ok(rows)
}

/// The open effects of payments.
pub(crate) async fn effects(conn: &mut PgConnection) -> Result<Vec<OpenEffects>, StoreError> {
    let rows = sqlx::query_as!(
        OpenEffects,
        r#"SELECT state AS "state!", count(*) AS "count!", min(created_at) AS "oldest!"
           FROM (SELECT state, created_at FROM effects
                 WHERE state IN ('PLANNED', 'SENT', 'IN_DOUBT') ORDER BY updated_at LIMIT 10000) open
           GROUP BY state"#
    )
    .fetch_all(conn)
    .await?;
    Ok(rows)
}
