//! Counts that are compared before they are written, and moves between places.

use oms_proto::common::v1::FillPolicy;
use oms_proto::inventory::v1 as pb;
use oms_proto::inventory::v1::{LedgerEntryType as Type, StockAccount as Account, StockMeasure};
use oms_service::PeerError;
use tonic::Code;

use crate::rig::{EAST, Rig, WEST, allocate, answered, hold, id, refusal, rows};

fn count(measure: StockMeasure, expected: i64, quantity: i64) -> pb::SetStockRequest {
    pb::SetStockRequest {
        request_id: id(),
        sku: "A".to_owned(),
        location_id: EAST.to_owned(),
        lot: String::new(),
        measure: measure.into(),
        quantity,
        expected_quantity: Some(expected),
        reason: "FOUND".to_owned(),
    }
}

fn place(location_id: &str, lot: &str) -> pb::StockPlace {
    pb::StockPlace {
        location_id: location_id.to_owned(),
        lot: lot.to_owned(),
    }
}

fn move_of(quantity: i64, from: pb::StockPlace, to: pb::StockPlace) -> pb::MoveStockRequest {
    pb::MoveStockRequest {
        request_id: id(),
        sku: "A".to_owned(),
        quantity,
        from: Some(from),
        to: Some(to),
        reason: "REPLENISHMENT".to_owned(),
    }
}

impl Rig {
    async fn count(&self, request: pb::SetStockRequest) -> Result<pb::StockLevel, PeerError> {
        let answer = self.api.stock.clone().set_stock(request).await;
        answered(answer).map(|answer| answer.level.unwrap())
    }

    async fn moved(
        &self,
        request: pb::MoveStockRequest,
    ) -> Result<pb::MoveStockResponse, PeerError> {
        answered(self.api.stock.clone().move_stock(request).await)
    }

    /// Type, accounts, units and cause of the newest entries.
    async fn entries(
        &self,
        location_id: &str,
        most: i32,
    ) -> Vec<(Type, Account, Account, i64, String)> {
        let request = pb::ListLedgerRequest {
            sku: "A".to_owned(),
            location_id: location_id.to_owned(),
            page_size: most,
            page_token: String::new(),
        };
        let answer = self.api.stock.clone().list_ledger(request).await.unwrap();
        let entries = answer.into_inner().entries.into_iter();
        entries
            .map(|one| {
                (
                    one.r#type(),
                    one.from_account(),
                    one.to_account(),
                    one.quantity,
                    one.cause,
                )
            })
            .collect()
    }
}

#[tokio::test]
async fn a_count_is_written_when_nothing_has_changed() {
    let rig = Rig::start().await;
    rig.stock(&[("A", EAST, 10)]).await;
    let held = rig.reserve(hold(&[("A", 3)])).await.unwrap();
    let request = count(StockMeasure::Available, 7, 9);
    let cause = format!("count/{}", request.request_id);
    let level = rig.count(request).await.unwrap();
    assert_eq!((level.available, level.held, level.on_hand), (9, 3, 12));
    let entry = (
        Type::CountVariance,
        Account::Variance,
        Account::Available,
        2,
        cause,
    );
    assert_eq!(rig.entries(EAST, 1).await, [entry]);
    let stale = rig
        .count(count(StockMeasure::Available, 7, 4))
        .await
        .unwrap_err();
    assert_eq!(
        (stale.code(), stale.metadata("quantity")),
        (Code::Aborted, Some("9"))
    );
    assert!(
        !stale.retryable(),
        "the same count is as wrong the next time"
    );
    assert_eq!(refusal::<()>(Err(stale)), "Aborted QUANTITY_CHANGED");
    // The shelf as a whole, with what is held.
    let level = rig.count(count(StockMeasure::OnHand, 12, 5)).await.unwrap();
    assert_eq!((level.available, level.held, level.on_hand), (2, 3, 5));
    // Fewer than are held: one of them waits again.
    let level = rig.count(count(StockMeasure::OnHand, 5, 2)).await.unwrap();
    assert_eq!((level.available, level.held, level.on_hand), (0, 2, 2));
    let held = rig.get(&held.reservation_id).await;
    assert_eq!(rows(&held), [("BACKORDERED", "", 1), ("HELD", EAST, 2)]);
    // Nothing changes, nothing is written.
    let before = rig.told("A").await.len();
    let level = rig
        .count(count(StockMeasure::Unspecified, 0, 0))
        .await
        .unwrap();
    assert_eq!((level.available, rig.told("A").await.len()), (0, before));
    // A place that has had none yet.
    let mut first = count(StockMeasure::Available, 0, 4);
    first.location_id = WEST.to_owned();
    assert_eq!(rig.count(first).await.unwrap().on_hand, 4);
    rig.audit().await;
}

#[tokio::test]
async fn of_two_counts_at_once_one_is_written() {
    let rig = Rig::start_with(2, &oms_testkit::redis_url().await).await;
    rig.stock(&[("A", EAST, 10)]).await;
    let counts = (0..8).map(|n| {
        let mut client = rig.replicas[n % 2].stock.clone();
        let request = count(StockMeasure::Available, 10, 11 + i64::try_from(n).unwrap());
        async move { answered(client.set_stock(request).await) }
    });
    let written = futures::future::join_all(counts).await;
    let won: Vec<_> = written.iter().filter_map(|one| one.as_ref().ok()).collect();
    assert_eq!(won.len(), 1);
    let level = won[0].level.clone().unwrap();
    assert_eq!(rig.level("A", EAST).await, level);
    for lost in written.into_iter().filter(Result::is_err) {
        assert_eq!(refusal(lost), "Aborted QUANTITY_CHANGED");
    }
    rig.audit().await;
}

#[tokio::test]
async fn free_units_move_to_another_place() {
    let rig = Rig::start().await;
    rig.stock(&[("A", EAST, 10)]).await;
    rig.reserve(hold(&[("A", 3)])).await.unwrap();
    let request = move_of(4, place(EAST, ""), place(WEST, "L1"));
    let cause = format!("move/{}", request.request_id);
    let moved = rig.moved(request).await.unwrap();
    let short = |level: Option<pb::StockLevel>| {
        let level = level.unwrap();
        (level.location_id, level.lot, level.available, level.held)
    };
    assert_eq!(short(moved.from), (EAST.to_owned(), String::new(), 3, 3));
    assert_eq!(short(moved.to), (WEST.to_owned(), "L1".to_owned(), 4, 0));
    let left = (
        Type::TransferOut,
        Account::Available,
        Account::InTransit,
        4,
        cause.clone(),
    );
    let came = (
        Type::TransferIn,
        Account::InTransit,
        Account::Available,
        4,
        cause,
    );
    assert_eq!(rig.entries(EAST, 1).await, [left]);
    assert_eq!(rig.entries(WEST, 1).await, [came]);
    // From lot to lot.
    let moved = rig
        .moved(move_of(1, place(WEST, "L1"), place(WEST, "L2")))
        .await
        .unwrap();
    assert_eq!(moved.to.unwrap().available, 1);
    let committed = rig
        .moved(move_of(4, place(EAST, ""), place(WEST, "L1")))
        .await;
    assert_eq!(refusal(committed), "FailedPrecondition STOCK_COMMITTED");
    assert_eq!(rig.units("A", EAST).await, (3, 3, 0));
    rig.audit().await;
}

#[tokio::test]
async fn what_moves_away_from_safety_stock_serves_who_waits() {
    let rig = Rig::start().await;
    rig.stock(&[("A", EAST, 5)]).await;
    rig.keep(crate::policies::policy("A", 0, 5, 0))
        .await
        .unwrap();
    let request = pb::ReserveRequest {
        fill_policy: FillPolicy::FillAll.into(),
        ..allocate(&[("A", 2)])
    };
    let waits = rig.reserve(request).await.unwrap();
    rig.moved(move_of(3, place(EAST, ""), place(WEST, "")))
        .await
        .unwrap();
    let now = rig.get(&waits.reservation_id).await;
    assert_eq!(rows(&now), [("ALLOCATED", WEST, 2)]);
    assert_eq!(rig.units("A", WEST).await, (1, 0, 2));
    rig.audit().await;
}
