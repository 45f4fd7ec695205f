//! The bench works, and nobody who behaves well is refused. Never a test of speed.

use std::sync::Arc;

use super::{Plan, run};
use crate::bench::test_engines;

#[tokio::test(flavor = "multi_thread")]
async fn callers_are_answered_beside_every_attack() {
    let engines = test_engines().await;
    let plan = Plan {
        rounds: 1,
        seconds: 1,
        callers: 2,
        force: 10,
    };
    let name = format!("bench_{}", oms_testkit::unique());
    let report = run(&plan, Arc::clone(&engines), &name, None, true)
        .await
        .unwrap();
    assert_eq!(report.violations, Vec::<String>::new());
    assert_eq!(report.measures.len(), 3);
    for measure in &report.measures {
        assert!(measure.ours.per_second > 0.0, "{measure:?}");
        let quiet = measure.against.first().unwrap().floor.unwrap();
        assert!(quiet.per_second > 0.0, "{measure:?}");
        let sent = measure.against.iter().find(|one| one.with == "attackers");
        assert!(sent.unwrap().value > 0.0, "{measure:?}");
    }
    // The attack that is refused at once, whatever the machine does.
    let resets = &report.measures[1];
    let closed = resets.against.iter().find(|one| one.with == "of them");
    assert!(closed.unwrap().value > 0.0, "{resets:?}");
}
