//! Rows of every table and the head of every feed: what must be the same after all cases as before.

use std::collections::BTreeMap;
use std::str::FromStr;

use oms::suite::SERVICES;
use oms_tests::suite::{Actor, wait_for};
use sqlx::postgres::PgConnectOptions;
use sqlx::{AssertSqlSafe, Connection, PgConnection};

pub(crate) type Census = BTreeMap<String, i64>;

/// Counts the rows of every table of the five databases, and reads the heads of the feeds.
pub(crate) async fn take(actor: &Actor) -> anyhow::Result<Census> {
    let mut census = Census::new();
    for (service, _) in SERVICES {
        let options = PgConnectOptions::from_str(&actor.postgres_url)?;
        let options = options.database(&format!("oms_{service}"));
        let mut conn = PgConnection::connect_with(&options).await?;
        let tables: Vec<String> = sqlx::query_scalar(
            "SELECT table_name::text FROM information_schema.tables
             WHERE table_schema = 'public' AND table_type = 'BASE TABLE' AND table_name NOT LIKE 'audit%'",
        )
        .fetch_all(&mut conn)
        .await?;
        for table in tables {
            let query = AssertSqlSafe(format!("SELECT count(*) FROM \"{table}\""));
            let rows = sqlx::query_scalar(query).fetch_one(&mut conn).await?;
            census.insert(format!("{service}.{table}"), rows);
        }
        // Wherever a call stands: the auditor moves it.
        let calls = sqlx::query_scalar(
            "SELECT (SELECT count(*) FROM audit_pending) + (SELECT count(*) FROM audit_log WHERE kind = 'CALL')",
        );
        let calls = calls.fetch_one(&mut conn).await?;
        census.insert(format!("{service} audited calls"), calls);
        let head = sqlx::query_scalar("SELECT pos FROM feed_head");
        census.insert(format!("{service} head"), head.fetch_one(&mut conn).await?);
        conn.close().await?;
    }
    Ok(census)
}

/// Waits until nothing moves any more.
pub(crate) async fn at_rest(actor: &Actor) -> anyhow::Result<Census> {
    actor.verify().await?;
    wait_for("the suite to be at rest", || async {
        let (first, second) = (take(actor).await?, take(actor).await?);
        Ok(if first == second {
            Ok(second)
        } else {
            Err(format!("{:?}", differences(&first, &second)))
        })
    })
    .await
}

/// What differs, with both counts.
pub(crate) fn differences<'a>(
    before: &'a Census,
    after: &'a Census,
) -> Vec<(&'a str, Option<i64>, Option<i64>)> {
    let names = before
        .keys()
        .chain(after.keys().filter(|key| !before.contains_key(*key)));
    names
        .map(|name| {
            (
                name.as_str(),
                before.get(name).copied(),
                after.get(name).copied(),
            )
        })
        .filter(|(_, before, after)| before != after)
        .collect()
}
