//! Waits until nothing is under way any more.

use std::time::{Duration, Instant};

use futures::future::try_join_all;
use sqlx::PgConnection;

use super::invariant::Database;
use super::server::Databases;

/// Pause between two looks.
const PAUSE: Duration = Duration::from_millis(50);
/// Nothing moved for this long: it will not come to rest by itself. Longer than a feed is silent.
const STANDSTILL: Duration = Duration::from_secs(8);
/// It moves, but does not come to rest.
const PATIENCE: Duration = Duration::from_mins(1);

/// What of one service is under way.
#[derive(Debug, Clone, PartialEq, Eq, sqlx::FromRow)]
struct Pulse {
    /// Events on their way out, tasks that are due soon, tried again or worked on, and sagas that are due.
    open: i64,
    /// End of the feed.
    head: i64,
    /// Moves with every task that is claimed.
    claims: i64,
    /// Consumers' places.
    sources: Vec<String>,
    places: Vec<i64>,
}

const PULSE: &str = "
    SELECT (SELECT count(*) FROM outbox)
        + (SELECT count(*) FROM tasks WHERE state = 'READY' AND (lease_holder IS NOT NULL OR run_at <= now()
            + CASE WHEN failures > 0 THEN interval '30 seconds' ELSE interval '2 seconds' END)) AS open,
        (SELECT pos FROM feed_head) AS head,
        (SELECT coalesce(sum(attempt), 0)::int8 FROM tasks WHERE state = 'READY') AS claims,
        coalesce((SELECT array_agg(source ORDER BY source) FROM feed_cursors), '{}') AS sources,
        coalesce((SELECT array_agg(pos ORDER BY source) FROM feed_cursors), '{}') AS places";

const OPEN_SAGAS: &str = "
    SELECT count(*) FROM sagas
    WHERE state IN ('RUNNING', 'UNDOING') OR (state = 'WAITING' AND next_run_at <= now())";

/// Waits until events are read, tasks done and sagas at rest, or until that has stopped to come nearer.
pub(super) async fn wait(databases: &Databases) -> anyhow::Result<()> {
    let connect = Database::ALL.map(|database| databases.connect(database));
    let mut connections = try_join_all(connect).await?;
    let begun = Instant::now();
    let mut last = Vec::new();
    let mut moved_at = Instant::now();
    loop {
        let now = look(&mut connections).await?;
        if is_quiet(&now) {
            return Ok(());
        }
        if now != last {
            (last, moved_at) = (now, Instant::now());
        }
        if moved_at.elapsed() > STANDSTILL || begun.elapsed() > PATIENCE {
            return Ok(());
        }
        tokio::time::sleep(PAUSE).await;
    }
}

async fn look(connections: &mut [PgConnection]) -> sqlx::Result<Vec<Pulse>> {
    let looks = connections
        .iter_mut()
        .zip(Database::ALL)
        .map(|(conn, database)| pulse(conn, database));
    try_join_all(looks).await
}

async fn pulse(conn: &mut PgConnection, database: Database) -> sqlx::Result<Pulse> {
    let mut pulse: Pulse = sqlx::query_as(PULSE).fetch_one(&mut *conn).await?;
    if database == Database::Order {
        let sagas: i64 = sqlx::query_scalar(OPEN_SAGAS).fetch_one(conn).await?;
        pulse.open += sagas;
    }
    Ok(pulse)
}

fn is_quiet(pulses: &[Pulse]) -> bool {
    let head_of = |source: &String| {
        let mut services = Database::ALL.iter().zip(pulses);
        let (_, pulse) = services.find(|(database, _)| database.service() == source)?;
        Some(pulse.head)
    };
    pulses.iter().all(|pulse| {
        let mut places = pulse.sources.iter().zip(&pulse.places);
        pulse.open == 0 && places.all(|(source, place)| head_of(source) == Some(*place))
    })
}
