//! A defect shows in the metrics of `oms verify --watch`, and goes when it is mended.

use std::time::Duration;

use oms::verify::{self, Database, Watch};
use oms_testkit::wait_for;
use tokio_util::sync::CancellationToken;

use crate::world::World;

const VIOLATIONS: &str = "oms_invariant_violations{invariant=\"stock.lanes_know_free_units\"}";

/// Waits for a line of the metrics.
async fn shown(line: &str) {
    wait_for(line, || async {
        let text = oms_telemetry::metrics().render();
        let found = text.lines().any(|one| one == line);
        if found { Ok(()) } else { Err(text) }
    })
    .await;
}

#[tokio::test]
async fn violations_are_metrics_until_they_are_mended() {
    let world = World::new().await;
    let databases = world.databases();
    let stop = CancellationToken::new();
    let watching = {
        let stop = stop.clone();
        tokio::spawn(async move {
            let how = Watch {
                every: Duration::from_millis(10),
                metrics_listen: None,
                json: true,
            };
            verify::watch(&databases, &how, &stop).await
        })
    };
    shown(&format!("{VIOLATIONS} 0")).await;
    let bend = "UPDATE sku_lane SET available = available + 1 WHERE sku = 'lamp'";
    world.plant(Database::Inventory, bend).await;
    shown(&format!("{VIOLATIONS} 1")).await;
    let mend = "UPDATE sku_lane SET available = available - 1 WHERE sku = 'lamp'";
    world.plant(Database::Inventory, mend).await;
    shown(&format!("{VIOLATIONS} 0")).await;
    stop.cancel();
    assert!(watching.await.unwrap().unwrap(), "the last round counts");
}
