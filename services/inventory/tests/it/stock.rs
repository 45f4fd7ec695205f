//! Receipts, corrections, the ledger.

use oms_proto::inventory::v1 as pb;
use oms_proto::inventory::v1::{LedgerEntryType as Type, StockAccount as Account};

use crate::rig::{EAST, Rig, WEST, allocate, answered, hold, id, receipt, refusal};

fn adjustment(sku: &str, delta: i64) -> pb::AdjustStockRequest {
    pb::AdjustStockRequest {
        request_id: id(),
        sku: sku.to_owned(),
        location_id: EAST.to_owned(),
        lot: String::new(),
        delta,
        reason: "LOST".to_owned(),
    }
}

#[tokio::test]
async fn goods_are_booked_in_by_lot() {
    let rig = Rig::start().await;
    rig.items(&["A", "B"]).await;
    let mut request = receipt(EAST, &[("A", 5), ("A", 2), ("B", 1)]);
    request.lines[1].lot = "L1".to_owned();
    let answer = rig
        .api
        .stock
        .clone()
        .receive_stock(request)
        .await
        .unwrap()
        .into_inner();
    let levels: Vec<_> = answer
        .levels
        .iter()
        .map(|level| (&*level.sku, &*level.lot, level.available, level.on_hand))
        .collect();
    assert_eq!(
        levels,
        [("A", "", 5, 5), ("A", "L1", 2, 2), ("B", "", 1, 1)]
    );
    // An order may take from both lots.
    let held = rig.reserve(hold(&[("A", 6)])).await.unwrap();
    let lots: Vec<_> = held
        .lines
        .iter()
        .map(|line| (&*line.lot, line.quantity))
        .collect();
    assert_eq!(lots, [("", 5), ("L1", 1)]);
    rig.audit().await;
}

#[tokio::test]
async fn a_correction_takes_no_more_than_is_free_held_or_allocated() {
    let rig = Rig::start().await;
    rig.stock(&[("A", EAST, 5)]).await;
    rig.reserve(hold(&[("A", 2)])).await.unwrap();
    let allocated = rig.reserve(allocate(&[("A", 1)])).await.unwrap();
    rig.report_short(&allocated, 1).await.unwrap();
    // One of the five waits for a count.
    let refused = rig.adjust("A", -5).await.unwrap_err();
    assert_eq!(refused.metadata("available"), Some("4"));
    assert_eq!(
        refusal::<()>(Err(refused)),
        "FailedPrecondition STOCK_COMMITTED"
    );
    assert_eq!(rig.adjust("A", -2).await.unwrap().available, 0);
    assert_eq!(rig.adjust("A", 4).await.unwrap().on_hand, 7);
    rig.audit().await;
}

#[tokio::test]
async fn the_ledger_tells_everything_newest_first() {
    let rig = Rig::start().await;
    rig.stock(&[("A", EAST, 5), ("A", WEST, 1)]).await;
    let allocated = rig.reserve(allocate(&[("A", 2)])).await.unwrap();
    rig.release(&allocated.reservation_id, Vec::new())
        .await
        .unwrap();
    rig.api
        .stock
        .clone()
        .adjust_stock(adjustment("A", -1))
        .await
        .unwrap();
    let mut request = pb::ListLedgerRequest {
        sku: "A".to_owned(),
        location_id: EAST.to_owned(),
        page_size: 3,
        page_token: String::new(),
    };
    let first = rig
        .api
        .stock
        .clone()
        .list_ledger(request.clone())
        .await
        .unwrap()
        .into_inner();
    request.page_token.clone_from(&first.next_page_token);
    let last = rig
        .api
        .stock
        .clone()
        .list_ledger(request.clone())
        .await
        .unwrap()
        .into_inner();
    assert_eq!(last.next_page_token, "");
    let entries: Vec<_> = first
        .entries
        .iter()
        .chain(&last.entries)
        .map(|entry| {
            (
                entry.r#type(),
                entry.from_account(),
                entry.to_account(),
                entry.quantity,
            )
        })
        .collect();
    assert_eq!(
        entries,
        [
            (Type::Adjust, Account::Available, Account::Variance, 1),
            (Type::Deallocate, Account::Allocated, Account::Available, 2),
            (Type::Allocate, Account::Available, Account::Allocated, 2),
            (Type::Receive, Account::Supplier, Account::Available, 5),
        ]
    );
    assert_eq!(first.entries[0].reason, "LOST");
    assert_eq!(first.entries[0].actor, "user:dev");
    let cause = format!("reservation/{}/1", allocated.reservation_id);
    assert_eq!(first.entries[2].cause, cause);
    // A token belongs to its list.
    request.location_id = WEST.to_owned();
    let other = answered(rig.api.stock.clone().list_ledger(request).await);
    assert_eq!(refusal(other), "InvalidArgument PAGE_TOKEN_INVALID");
    rig.audit().await;
}

#[tokio::test]
async fn availability_over_all_or_some_locations() {
    let rig = Rig::start().await;
    rig.stock(&[("A", EAST, 5), ("A", WEST, 1), ("B", WEST, 2)])
        .await;
    let ask = |locations: &[&str]| {
        let request = pb::BatchGetAvailabilityRequest {
            skus: ["B", "A", "C"].map(str::to_owned).to_vec(),
            location_ids: locations.iter().map(|id| (*id).to_owned()).collect(),
            channel_id: String::new(),
        };
        let mut client = rig.api.stock.clone();
        async move {
            let levels = client
                .batch_get_availability(request)
                .await
                .unwrap()
                .into_inner()
                .levels;
            let short = |level: pb::StockLevel| {
                format!("{} {} {}", level.sku, level.location_id, level.available)
            };
            levels.into_iter().map(short).collect::<Vec<_>>()
        }
    };
    assert_eq!(
        ask(&[]).await,
        ["A us-east 5", "A us-west 1", "B us-west 2"]
    );
    assert_eq!(ask(&[EAST]).await, ["A us-east 5"]);
}

#[tokio::test]
async fn the_database_itself_refuses_an_oversell() {
    let rig = Rig::start().await;
    rig.stock(&[("A", EAST, 5)]).await;
    let mut conn = rig.db.connect().await;
    let oversell = sqlx::query("UPDATE stock_level SET available = available - 6, held = held + 6")
        .execute(&mut conn)
        .await
        .unwrap_err();
    let constraint = oversell
        .as_database_error()
        .and_then(|error| error.constraint());
    assert_eq!(constraint, Some("stock_level_available_not_negative"));
}
