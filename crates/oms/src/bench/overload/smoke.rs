//! The bench runs from end to end, small. Never a test of speed.

use super::*;
use crate::bench::own_engines;

#[tokio::test(flavor = "multi_thread")]
async fn a_small_bench_measures_overload_and_finds_nothing_wrong() {
    let engines = own_engines().await;
    let plan = Plan {
        rounds: 1,
        seconds: 1,
        times: 5,
        callers: vec![4],
    };
    let report = run(&plan, Arc::clone(&engines), true).await.unwrap();
    tokio::task::spawn_blocking(move || engines.stop())
        .await
        .unwrap();
    assert_eq!(report.violations, [] as [String; 0]);
    for measure in &report.measures {
        assert!(measure.ours.per_second > 0.0, "{measure:?}");
        let floor = measure.against.first().and_then(|against| against.floor);
        assert!(floor.unwrap().per_second > 0.0, "{measure:?}");
    }
}
