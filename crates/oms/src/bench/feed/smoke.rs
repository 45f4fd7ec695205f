//! The bench works, and the feed is right afterwards. Never a test of speed.

use std::sync::Arc;

use super::{Plan, run};
use crate::bench::test_engines;

#[tokio::test(flavor = "multi_thread")]
async fn events_are_moved_and_arrive_and_the_feed_is_right() {
    let engines = test_engines().await;
    let plan = Plan {
        rounds: 1,
        seconds: 1,
        events: 3_000,
        callers: 3,
    };
    let name = format!("bench_{}", oms_testkit::unique());
    let report = run(&plan, Arc::clone(&engines), &name, true).await.unwrap();
    assert_eq!(report.violations, Vec::<String>::new());
    assert!(report.invariants > 5, "{} invariants", report.invariants);
    for measure in &report.measures {
        assert!(measure.ours.per_second > 0.0, "{measure:?}");
    }
    let relay = report.measures.iter().find(|one| one.name == "relay");
    let relay = relay.unwrap();
    let floor = relay.against.first().unwrap().floor.unwrap();
    assert!(floor.per_second > 0.0, "{relay:?}");
}
