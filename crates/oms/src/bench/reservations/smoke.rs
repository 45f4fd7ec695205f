//! The bench works, and what it asserts of stock holds. Never a test of speed.

use std::collections::BTreeMap;
use std::sync::Arc;

use sqlx::PgConnection;

use super::callers::{Pick, Until};
use super::catalogue::HOT;
use super::floors::Floor;
use super::rig::Rig;
use super::{Measure, Plan, Sale, run};
use crate::bench::pgbench::Length;
use crate::bench::{store, test_engines};

fn name() -> String {
    format!("bench_{}", oms_testkit::unique())
}

#[tokio::test(flavor = "multi_thread")]
async fn exactly_what_is_there_is_sold_and_the_books_are_right() {
    let engines = test_engines().await;
    let plan = Plan {
        rounds: 1,
        seconds: 1,
        warm_up: 0,
        callers: 4,
        skus: 20,
        replicas: 3,
        few: Sale {
            units: 50,
            callers: 200,
        },
        flash: Sale {
            units: 300,
            callers: 60,
        },
        measures: Measure::ALL.to_vec(),
    };
    let report = run(&plan, Arc::clone(&engines), &name(), true)
        .await
        .unwrap();
    assert_eq!(report.violations, Vec::<String>::new());
    assert!(report.invariants > 5, "{} invariants", report.invariants);
    let told = |measure: &str, what: &str| {
        let measure = report.measures.iter().find(|one| one.name == measure);
        let told = measure.unwrap().against.iter().find(|one| one.with == what);
        (told.unwrap().value, told.unwrap().met)
    };
    assert_eq!(told("buyers", "sold"), (50.0, Some(true)));
    assert_eq!(
        told("buyers", "refused with a shortage"),
        (150.0, Some(true))
    );
    assert_eq!(told("flash", "sold"), (300.0, Some(true)));
    for measure in &report.measures {
        assert!(measure.ours.per_second > 0.0, "{measure:?}");
    }
}

/// Rows and bytes by table; events count wherever they are by now.
const FOOTPRINT: &str = "
    SELECT 'idempotency' AS name, count(*) AS rows, sum(pg_column_size(t.*))::bigint AS bytes FROM idempotency t
    UNION ALL SELECT 'reservation', count(*), sum(pg_column_size(t.*))::bigint FROM reservation t
    UNION ALL SELECT 'reservation_line', count(*), sum(pg_column_size(t.*))::bigint FROM reservation_line t
    UNION ALL SELECT 'stock_ledger', count(*), sum(pg_column_size(t.*))::bigint FROM stock_ledger t
    UNION ALL SELECT 'events', count(*), sum(pg_column_size(t.*))::bigint FROM (
        SELECT aggregate_type, aggregate_id, event_type, payload, actor, traceparent FROM outbox
        UNION ALL SELECT aggregate_type, aggregate_id, event_type, payload, actor, traceparent FROM feed) t
    UNION ALL SELECT 'lane versions', sum(version)::bigint, 0 FROM sku_lane
    UNION ALL SELECT 'units held', sum(held)::bigint, 0 FROM stock_level
    UNION ALL SELECT 'units taken', -sum(available)::bigint, 0 FROM stock_level";

type Footprint = BTreeMap<String, (i64, i64)>;

async fn footprint(conn: &mut PgConnection) -> Footprint {
    let rows: Vec<(String, i64, i64)> = sqlx::query_as(FOOTPRINT).fetch_all(conn).await.unwrap();
    rows.into_iter()
        .map(|(name, rows, bytes)| (name, (rows, bytes)))
        .collect()
}

/// What came between.
fn less(after: &Footprint, before: &Footprint) -> Footprint {
    let change = |name: &String| {
        (
            after[name].0 - before[name].0,
            after[name].1 - before[name].1,
        )
    };
    after
        .keys()
        .map(|name| (name.clone(), change(name)))
        .collect()
}

/// Row for row: else the ratio of ours to the floor would say nothing.
#[tokio::test(flavor = "multi_thread")]
async fn the_floors_write_what_the_service_writes() {
    const CALLS: u32 = 10;
    let mut rig = Rig::start(test_engines().await, &name(), 1, 1)
        .await
        .unwrap();
    let before = footprint(&mut rig.conn).await;
    let mut caller = rig.callers(1).await.unwrap();
    caller
        .buy(&Pick::One(HOT.to_owned()), Until::Calls(CALLS))
        .await
        .unwrap();
    let ours = less(&footprint(&mut rig.conn).await, &before);
    assert_eq!(ours["reservation"].0, i64::from(CALLS));

    let mut conn = store::connect(&rig.floor_url()).await.unwrap();
    for floor in [
        Floor::classic(),
        Floor::single_statement(),
        Floor::single_statement_spread(1),
    ] {
        let before = footprint(&mut conn).await;
        rig.floor
            .run(floor.script(), 1, Length::Transactions(CALLS))
            .await
            .unwrap();
        let theirs = less(&footprint(&mut conn).await, &before);
        for (name, (rows, bytes)) in &ours {
            let (their_rows, their_bytes) = theirs[name];
            assert_eq!(their_rows, *rows, "{name} of {floor:?}");
            let close = (bytes * 9 / 10)..=(bytes * 11 / 10);
            assert!(
                close.contains(&their_bytes),
                "{name} of {floor:?}: {their_bytes} bytes, ours {bytes}"
            );
        }
    }
    rig.stop().await.unwrap();
}
