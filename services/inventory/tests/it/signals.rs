//! A SKU that is low, out or back in stock is told of once, with the change that did it.

use oms_proto::inventory::v1 as pb;
use oms_proto::inventory::v1::inventory_event::Event;

use crate::rig::{EAST, Rig, WEST, hold, id};

impl Rig {
    /// What was told of the SKU, in order, since so many events.
    async fn heard(&self, sku: &str, since: usize) -> Vec<String> {
        let told = self.told(sku).await.into_iter().skip(since);
        told.map(|(kind, location, event)| match event {
            Event::LowStock(low) => {
                assert_eq!(low.location_id, location);
                let (units, threshold) = (low.available_to_promise, low.low_stock_threshold);
                format!("{kind} {location} {units}/{threshold}")
            }
            Event::BackInStock(back) => {
                assert_eq!(back.location_id, location);
                format!("{kind} {location} {}", back.available_to_promise)
            }
            Event::OutOfStock(out) => {
                assert_eq!(out.location_id, location);
                format!("{kind} {location}")
            }
            _ => kind,
        })
        .collect()
    }
}

fn warned(sku: &str, safety_stock: i64, low_stock_threshold: i64) -> pb::StockPolicy {
    pb::StockPolicy {
        sku: sku.to_owned(),
        safety_stock,
        low_stock_threshold,
        ..Default::default()
    }
}

#[tokio::test]
async fn every_sku_tells_when_it_is_out_and_when_it_is_back() {
    let rig = Rig::start().await;
    rig.stock(&[("A", EAST, 2), ("A", WEST, 1)]).await;
    // The second location is no news.
    assert_eq!(
        rig.heard("A", 0).await,
        ["StockChanged", "BackInStock  2", "StockChanged"]
    );
    let held = rig.reserve(hold(&[("A", 2)])).await.unwrap();
    assert_eq!(
        rig.heard("A", 3).await,
        ["StockChanged"],
        "one is left elsewhere"
    );
    rig.reserve(hold(&[("A", 1)])).await.unwrap();
    assert_eq!(rig.heard("A", 4).await, ["StockChanged", "OutOfStock "]);
    rig.release(&held.reservation_id, Vec::new()).await.unwrap();
    assert_eq!(rig.heard("A", 6).await, ["StockChanged", "BackInStock  2"]);
    rig.audit().await;
}

#[tokio::test]
async fn low_is_told_by_what_may_be_promised() {
    let rig = Rig::start().await;
    rig.stock(&[("A", EAST, 10)]).await;
    rig.keep(warned("A", 2, 5)).await.unwrap();
    assert_eq!(rig.heard("A", 2).await, ["StockPolicyChanged"]);
    rig.reserve(hold(&[("A", 2)])).await.unwrap();
    assert_eq!(rig.heard("A", 3).await, ["StockChanged"]);
    let held = rig.reserve(hold(&[("A", 1)])).await.unwrap();
    assert_eq!(rig.heard("A", 4).await, ["StockChanged", "LowStock  5/5"]);
    rig.reserve(hold(&[("A", 1)])).await.unwrap();
    assert_eq!(rig.heard("A", 6).await, ["StockChanged"], "low was told");
    rig.reserve(hold(&[("A", 4)])).await.unwrap();
    assert_eq!(
        rig.heard("A", 7).await,
        ["StockChanged", "OutOfStock "],
        "two are kept back"
    );
    rig.release(&held.reservation_id, Vec::new()).await.unwrap();
    let expected = ["StockChanged", "BackInStock  1", "LowStock  1/5"];
    assert_eq!(rig.heard("A", 9).await, expected);
    rig.audit().await;
}

#[tokio::test]
async fn a_policy_that_is_written_tells_how_it_stands() {
    let rig = Rig::start().await;
    rig.stock(&[("A", EAST, 4), ("A", WEST, 9)]).await;
    rig.keep(warned("A", 0, 20)).await.unwrap();
    assert_eq!(
        rig.heard("A", 3).await,
        ["StockPolicyChanged", "LowStock  13/20"]
    );
    let mut watched = warned("A", 13, 0);
    watched.locations.push(pb::LocationStockPolicy {
        location_id: EAST.to_owned(),
        safety_stock: 1,
        low_stock_threshold: 3,
    });
    rig.keep(watched).await.unwrap();
    let expected = ["StockPolicyChanged", "OutOfStock ", "LowStock us-east 3/3"];
    assert_eq!(rig.heard("A", 5).await, expected);
    rig.keep(warned("A", 0, 0)).await.unwrap();
    assert_eq!(
        rig.heard("A", 8).await,
        ["StockPolicyChanged", "BackInStock  13"]
    );
    rig.audit().await;
}

#[tokio::test]
async fn a_location_with_a_threshold_is_told_of_for_itself() {
    let rig = Rig::start().await;
    rig.stock(&[("A", EAST, 5), ("A", WEST, 9)]).await;
    let mut watched = warned("A", 0, 0);
    watched.locations.push(pb::LocationStockPolicy {
        location_id: EAST.to_owned(),
        safety_stock: 0,
        low_stock_threshold: 2,
    });
    rig.keep(watched).await.unwrap();
    let from_east = |units| pb::ReserveRequest {
        ranked_location_ids: vec![EAST.to_owned()],
        ..hold(&[("A", units)])
    };
    rig.reserve(from_east(3)).await.unwrap();
    assert_eq!(
        rig.heard("A", 4).await,
        ["StockChanged", "LowStock us-east 2/2"]
    );
    rig.reserve(from_east(2)).await.unwrap();
    assert_eq!(
        rig.heard("A", 6).await,
        ["StockChanged", "OutOfStock us-east"]
    );
    rig.receive("A", EAST, 5).await;
    assert_eq!(
        rig.heard("A", 8).await,
        ["StockChanged", "BackInStock us-east 5"]
    );
    rig.audit().await;
}

#[tokio::test]
async fn many_at_once_tell_it_once() {
    let rig = Rig::start().await;
    rig.stock(&[("A", EAST, 20)]).await;
    let buyers = (0..40).map(|_| rig.reserve(hold(&[("A", 1)])));
    let bought = futures::future::join_all(buyers).await;
    assert_eq!(bought.into_iter().flatten().count(), 20);
    let told = rig.heard("A", 2).await;
    let out: Vec<_> = told.iter().filter(|kind| *kind != "StockChanged").collect();
    assert_eq!(out, ["OutOfStock "]);
    assert_eq!(told.last().map(String::as_str), Some("OutOfStock "));
    // The feed hands them out in that order, too.
    let mut conn = rig.db.connect().await;
    let request = pb::AdjustStockRequest {
        request_id: id(),
        sku: "A".to_owned(),
        location_id: EAST.to_owned(),
        lot: String::new(),
        delta: 1,
        reason: "FOUND".to_owned(),
    };
    rig.api.stock.clone().adjust_stock(request).await.unwrap();
    oms_testkit::wait_for("the relay", || async {
        let left: i64 = sqlx::query_scalar("SELECT count(*) FROM outbox")
            .fetch_one(&mut rig.db.connect().await)
            .await
            .unwrap();
        if left == 0 {
            Ok(())
        } else {
            Err(format!("{left} left"))
        }
    })
    .await;
    let versions: Vec<i64> = sqlx::query_scalar(
        "SELECT aggregate_version FROM feed WHERE aggregate_type = 'stock' ORDER BY pos",
    )
    .fetch_all(&mut conn)
    .await
    .unwrap();
    let dense: Vec<i64> = (1..).take(versions.len()).collect();
    assert_eq!(versions, dense);
    rig.audit().await;
}
