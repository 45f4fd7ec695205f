//! Goods that are expected, and what can be promised of them by when.

use std::time::Duration;

use oms_core::Clock;
use oms_proto::common::v1::FillPolicy;
use oms_proto::inventory::v1 as pb;
use oms_proto::inventory::v1::ExpectedReceiptState as State;
use oms_proto::inventory::v1::inventory_event::Event;
use oms_proto::time_to_proto;
use oms_service::PeerError;
use prost_types::Timestamp;

use crate::policies::policy;
use crate::rig::{EAST, Rig, WEST, allocate, answered, id, receipt, refusal};

impl Rig {
    /// So many days from now.
    fn days(&self, days: i64) -> Timestamp {
        time_to_proto(self.clock.now() + time::Duration::days(days))
    }

    async fn expect(&self, receipt: pb::ExpectedReceipt) -> Result<pb::ExpectedReceipt, PeerError> {
        let request = pb::UpsertExpectedReceiptRequest {
            request_id: id(),
            receipt: Some(receipt),
        };
        let answer = self
            .api
            .supply
            .clone()
            .upsert_expected_receipt(request)
            .await;
        answered(answer).map(|answer| answer.receipt.unwrap())
    }

    async fn expect_units(
        &self,
        reference: &str,
        location_id: &str,
        quantity: i64,
        days: i64,
    ) -> pb::ExpectedReceipt {
        let receipt = pb::ExpectedReceipt {
            reference: reference.to_owned(),
            sku: "A".to_owned(),
            location_id: location_id.to_owned(),
            quantity,
            expect_time: Some(self.days(days)),
            ..Default::default()
        };
        self.expect(receipt).await.unwrap()
    }

    async fn arrive(&self, reference: &str, lines: &[(&str, i64)]) {
        let mut request = receipt(EAST, lines);
        request.reference = reference.to_owned();
        if lines.len() > 1 {
            request.lines[1].lot = "L2".to_owned();
        }
        self.api.stock.clone().receive_stock(request).await.unwrap();
    }

    async fn expected(
        &self,
        request: pb::ListExpectedReceiptsRequest,
    ) -> pb::ListExpectedReceiptsResponse {
        let answer = self
            .api
            .supply
            .clone()
            .list_expected_receipts(request)
            .await;
        answered(answer).unwrap()
    }

    /// What is still to come of `A`: reference, location, received, open.
    async fn open(&self) -> Vec<(String, String, i64, i64)> {
        let request = pb::ListExpectedReceiptsRequest {
            sku: "A".to_owned(),
            ..Default::default()
        };
        let receipts = self.expected(request).await.receipts.into_iter();
        receipts
            .map(|one| (one.reference, one.location_id, one.received, one.open))
            .collect()
    }

    async fn promise(
        &self,
        quantity: i64,
        channel_id: &str,
        days: &[i64],
    ) -> pb::GetAvailableToPromiseResponse {
        let request = pb::GetAvailableToPromiseRequest {
            sku: "A".to_owned(),
            quantity,
            channel_id: channel_id.to_owned(),
            times: days.iter().map(|days| self.days(*days)).collect(),
        };
        let answer = self
            .api
            .supply
            .clone()
            .get_available_to_promise(request)
            .await;
        answered(answer).unwrap()
    }
}

fn units(promise: &pb::GetAvailableToPromiseResponse) -> (i64, Vec<i64>) {
    let promises = promise.promises.iter();
    (
        promise.available_to_promise,
        promises.map(|one| one.available_to_promise).collect(),
    )
}

#[tokio::test]
async fn a_receipt_takes_off_what_was_expected_under_its_reference() {
    let rig = Rig::start().await;
    rig.items(&["A"]).await;
    let first = rig.expect_units("PO-7", EAST, 10, 3).await;
    assert_eq!(
        (first.state(), first.open, &*first.etag),
        (State::Open, 10, "1")
    );
    rig.expect_units("PO-7", WEST, 4, 3).await;
    rig.expect_units("PO-8", EAST, 5, 1).await;
    // Two lots of one delivery.
    rig.arrive("PO-7", &[("A", 2), ("A", 4)]).await;
    let open = |reference: &str, location: &str, received, open| {
        (reference.to_owned(), location.to_owned(), received, open)
    };
    let expected = [
        open("PO-8", EAST, 0, 5),
        open("PO-7", EAST, 6, 4),
        open("PO-7", WEST, 0, 4),
    ];
    assert_eq!(rig.open().await, expected);
    // More than was expected, and what was not expected at all.
    rig.arrive("PO-7", &[("A", 9)]).await;
    rig.arrive("PO-9", &[("A", 1)]).await;
    rig.receive("A", WEST, 1).await;
    let expected = [open("PO-8", EAST, 0, 5), open("PO-7", WEST, 0, 4)];
    assert_eq!(rig.open().await, expected);
    let all = rig
        .expected(pb::ListExpectedReceiptsRequest {
            reference: "PO-7".to_owned(),
            location_id: EAST.to_owned(),
            include_closed: true,
            ..Default::default()
        })
        .await;
    let closed = &all.receipts[0];
    assert_eq!(
        (closed.state(), closed.received, closed.open),
        (State::Received, 15, 0)
    );
    assert_eq!(rig.total("A", &[EAST], "").await.available, 16);
    // Told with the receipt, after the levels.
    let told = rig.told("A").await;
    let kinds: Vec<&str> = told.iter().map(|(kind, ..)| &**kind).collect();
    let expected = [
        "ExpectedSupplyChanged",
        "ExpectedSupplyChanged",
        "ExpectedSupplyChanged",
        "StockChanged",
        "ExpectedSupplyChanged",
        "BackInStock",
        "StockChanged",
        "ExpectedSupplyChanged",
        "StockChanged",
        "StockChanged",
    ];
    assert_eq!(kinds, expected);
    let Event::ExpectedSupplyChanged(changed) = &told[4].2 else {
        panic!("{told:?}");
    };
    assert_eq!(changed.receipt.as_ref().unwrap().open, 4);
    rig.audit().await;
}

#[tokio::test]
async fn a_repeated_receipt_takes_off_once() {
    let rig = Rig::start().await;
    rig.items(&["A"]).await;
    rig.expect_units("PO-1", EAST, 10, 3).await;
    let request = receipt(EAST, &[("A", 4)]);
    for _ in 0..3 {
        rig.api
            .stock
            .clone()
            .receive_stock(request.clone())
            .await
            .unwrap();
    }
    let open = rig.open().await;
    assert_eq!((open[0].2, open[0].3), (4, 6));
    // Receipts of several callers at once add up.
    let arrivals = (0..6).map(|_| rig.arrive("PO-1", &[("A", 1)]));
    futures::future::join_all(arrivals).await;
    assert_eq!(rig.open().await, []);
    assert_eq!(rig.level("A", EAST).await.available, 10);
    rig.audit().await;
}

#[tokio::test]
async fn an_expected_receipt_is_changed_canceled_and_expected_again() {
    let rig = Rig::start().await;
    rig.items(&["A"]).await;
    let mut receipt = rig.expect_units("PO-1", EAST, 10, 3).await;
    rig.arrive("PO-1", &[("A", 4)]).await;
    receipt.quantity = 6;
    let stale = rig.expect(receipt.clone()).await;
    assert_eq!(refusal(stale), "Aborted ETAG_MISMATCH");
    receipt.etag = "2".to_owned();
    let changed = rig.expect(receipt.clone()).await.unwrap();
    assert_eq!(
        (changed.received, changed.open, &*changed.etag),
        (4, 2, "3")
    );
    let cancel = |etag: &str, reference: &str| {
        let request = pb::CancelExpectedReceiptRequest {
            request_id: id(),
            reference: reference.to_owned(),
            sku: "A".to_owned(),
            location_id: EAST.to_owned(),
            etag: etag.to_owned(),
        };
        let mut client = rig.api.supply.clone();
        async move {
            let answer = client.cancel_expected_receipt(request).await;
            answered(answer).map(|answer| answer.receipt.unwrap())
        }
    };
    assert_eq!(refusal(cancel("1", "PO-1").await), "Aborted ETAG_MISMATCH");
    assert_eq!(refusal(cancel("", "PO-2").await), "NotFound NOT_FOUND");
    let canceled = cancel("3", "PO-1").await.unwrap();
    assert_eq!((canceled.state(), canceled.open), (State::Canceled, 0));
    assert_eq!(
        cancel("", "PO-1").await.unwrap(),
        canceled,
        "again is the same as once"
    );
    assert_eq!(rig.open().await, []);
    receipt.etag.clear();
    let again = rig.expect(receipt).await.unwrap();
    assert_eq!((again.state(), again.open), (State::Open, 2));
    rig.audit().await;
}

#[tokio::test]
async fn expected_receipts_are_listed_by_time() {
    let rig = Rig::start().await;
    rig.items(&["A", "B"]).await;
    for (reference, sku, days) in [
        ("PO-3", "B", 1),
        ("PO-1", "A", 2),
        ("PO-2", "A", 1),
        ("PO-1", "B", 2),
    ] {
        let receipt = pb::ExpectedReceipt {
            reference: reference.to_owned(),
            sku: sku.to_owned(),
            location_id: EAST.to_owned(),
            quantity: 1,
            expect_time: Some(rig.days(days)),
            ..Default::default()
        };
        rig.expect(receipt).await.unwrap();
    }
    let mut request = pb::ListExpectedReceiptsRequest {
        page_size: 3,
        ..Default::default()
    };
    let first = rig.expected(request.clone()).await;
    request.page_token.clone_from(&first.next_page_token);
    let last = rig.expected(request.clone()).await;
    let listed: Vec<String> = first
        .receipts
        .iter()
        .chain(&last.receipts)
        .map(|one| format!("{} {}", one.reference, one.sku))
        .collect();
    assert_eq!(listed, ["PO-2 A", "PO-3 B", "PO-1 A", "PO-1 B"]);
    assert_eq!(last.next_page_token, "");
    // A token belongs to its list.
    request.sku = "A".to_owned();
    let answer = rig.api.supply.clone().list_expected_receipts(request).await;
    assert_eq!(
        refusal(answered(answer)),
        "InvalidArgument PAGE_TOKEN_INVALID"
    );
    rig.audit().await;
}

#[tokio::test]
async fn supply_is_promised_from_its_date() {
    let rig = Rig::start().await;
    rig.stock(&[("A", EAST, 5), ("A", WEST, 2)]).await;
    rig.keep(policy("A", 1, 2, 3)).await.unwrap();
    rig.expect_units("PO-1", EAST, 10, 3).await;
    rig.expect_units("PO-2", WEST, 10, 7).await;
    // Seven, less one for the SKU and two at EAST.
    let promise = rig.promise(12, "", &[0, 3, 6, 7]).await;
    assert_eq!(units(&promise), (4, vec![4, 14, 14, 24]));
    assert_eq!(promise.earliest_time, Some(rig.days(3)));
    let promise = rig.promise(12, "web", &[3, 7]).await;
    assert_eq!(units(&promise), (1, vec![11, 21]));
    assert_eq!(promise.earliest_time, Some(rig.days(7)));
    assert_eq!(
        rig.promise(4, "", &[]).await.earliest_time,
        Some(rig.days(0))
    );
    assert_eq!(rig.promise(25, "", &[]).await.earliest_time, None);
    // Demand that waits comes first.
    let request = pb::ReserveRequest {
        fill_policy: FillPolicy::FillAll.into(),
        ..allocate(&[("A", 7)])
    };
    rig.reserve(request).await.unwrap();
    let promise = rig.promise(1, "", &[3, 7]).await;
    assert_eq!(
        (units(&promise), promise.backordered),
        ((0, vec![7, 17]), 3)
    );
    rig.audit().await;
}

#[tokio::test]
async fn what_is_overdue_is_promised_to_nobody() {
    let rig = Rig::start().await;
    rig.items(&["A"]).await;
    let mut late = rig.expect_units("PO-1", EAST, 10, 1).await;
    rig.expect_units("PO-2", EAST, 4, 9).await;
    rig.clock.advance(Duration::from_hours(48));
    let promise = rig.promise(5, "", &[30]).await;
    assert_eq!((units(&promise), promise.overdue), ((0, vec![4]), 10));
    assert_eq!(promise.earliest_time, None);
    late.expect_time = Some(rig.days(2));
    rig.expect(late).await.unwrap();
    let promise = rig.promise(5, "", &[30]).await;
    assert_eq!((units(&promise), promise.overdue), ((0, vec![14]), 0));
    assert_eq!(promise.earliest_time, Some(rig.days(2)));
    rig.audit().await;
}

#[tokio::test]
async fn incoming_units_are_told_beside_the_stock() {
    let rig = Rig::start().await;
    rig.stock(&[("A", EAST, 1)]).await;
    rig.expect_units("PO-1", EAST, 10, 3).await;
    rig.expect_units("PO-2", WEST, 5, 3).await;
    let incoming = async |locations: &[&str]| {
        let request = pb::BatchGetAvailabilityRequest {
            skus: vec!["A".to_owned()],
            location_ids: locations.iter().map(|id| (*id).to_owned()).collect(),
            channel_id: String::new(),
        };
        let answer = rig.api.stock.clone().batch_get_availability(request).await;
        let total = answered(answer).unwrap().totals.remove(0);
        (total.incoming, total.available_to_promise)
    };
    assert_eq!(incoming(&[]).await, (15, 1));
    assert_eq!(incoming(&[WEST]).await, (5, 0));
    rig.audit().await;
}
