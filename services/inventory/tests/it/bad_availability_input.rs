//! Bad input about policies, supply, counts, moves and watching: everything that is wrong at once, nothing half done.

use oms_proto::inventory::v1 as pb;

use crate::bad_input::wrong;
use crate::policies::policy;
use crate::rig::{EAST, Rig, answered, hold, id, refusal};

#[tokio::test]
async fn policies_are_checked_as_a_whole() {
    let rig = Rig::start().await;
    rig.stock(&[("A", EAST, 5)]).await;
    let upsert = |policy: Option<pb::StockPolicy>| {
        let mut client = rig.api.policies.clone();
        let request = pb::UpsertStockPolicyRequest {
            request_id: id(),
            policy,
        };
        async move { wrong(answered(client.upsert_stock_policy(request).await)) }
    };
    assert_eq!(upsert(None).await, ["policy FIELD_REQUIRED"]);
    let mut bad = policy("A B", -1, 1_000_000_001, -3);
    bad.low_stock_threshold = i64::MIN;
    bad.locations.push(bad.locations[0].clone());
    bad.locations[1].safety_stock = 0;
    bad.channels.push(pb::ChannelStockPolicy {
        channel_id: "Web Shop".to_owned(),
        buffer: 0,
        share_percent: 101,
    });
    bad.etag = "one".to_owned();
    let expected = [
        "policy.sku FIELD_MALFORMED",
        "policy.safety_stock QUANTITY_INVALID",
        "policy.low_stock_threshold QUANTITY_INVALID",
        "policy.locations[0].safety_stock QUANTITY_INVALID",
        "policy.locations[1].location_id DUPLICATE",
        "policy.channels[0].buffer QUANTITY_INVALID",
        "policy.channels[1].channel_id FIELD_MALFORMED",
        "policy.channels[1].share_percent FIELD_OUT_OF_RANGE",
        "policy.etag FIELD_MALFORMED",
    ];
    assert_eq!(upsert(Some(bad)).await, expected);
    assert_eq!(
        upsert(Some(policy("UNKNOWN", 1, 0, 0))).await,
        ["policy.sku SKU_UNKNOWN"]
    );
    let mut nowhere = policy("UNKNOWN", 1, 0, 0);
    nowhere.locations[0].location_id = "nowhere".to_owned();
    let expected = [
        "policy.sku SKU_UNKNOWN",
        "policy.locations REFERENCE_UNKNOWN",
    ];
    assert_eq!(upsert(Some(nowhere)).await, expected);
    rig.audit().await;
}

#[tokio::test]
async fn many_policies_are_checked_as_a_whole() {
    let rig = Rig::start().await;
    rig.stock(&[("A", EAST, 5)]).await;
    let request = pb::BatchUpsertStockPoliciesRequest {
        request_id: "x".to_owned(),
        policies: vec![policy("A", 1, 0, 0), policy("A", -1, 0, 0)],
    };
    let answer = rig
        .api
        .policies
        .clone()
        .batch_upsert_stock_policies(request)
        .await;
    let expected = [
        "request_id FIELD_MALFORMED",
        "policies[1].safety_stock QUANTITY_INVALID",
        "policies[1].sku DUPLICATE",
    ];
    assert_eq!(wrong(answered(answer)), expected);
    let request = pb::BatchUpsertStockPoliciesRequest {
        request_id: id(),
        policies: vec![policy("A", 1, 0, 0), policy("UNKNOWN", 1, 0, 0)],
    };
    let answer = rig
        .api
        .policies
        .clone()
        .batch_upsert_stock_policies(request)
        .await;
    assert_eq!(wrong(answered(answer)), ["policies[1].sku SKU_UNKNOWN"]);
    let request = pb::GetStockPolicyRequest {
        sku: "A".to_owned(),
    };
    let answer = rig.api.policies.clone().get_stock_policy(request).await;
    assert_eq!(
        refusal(answered(answer)),
        "NotFound NOT_FOUND",
        "nothing was written"
    );
    rig.audit().await;
}

#[tokio::test]
async fn expected_receipts_are_checked_as_a_whole() {
    let rig = Rig::start().await;
    rig.items(&["A"]).await;
    let mut client = rig.api.supply.clone();
    let answer = client
        .upsert_expected_receipt(pb::UpsertExpectedReceiptRequest::default())
        .await;
    assert_eq!(
        wrong(answered(answer)),
        ["request_id FIELD_REQUIRED", "receipt FIELD_REQUIRED"]
    );
    let upsert = |receipt: pb::ExpectedReceipt| pb::UpsertExpectedReceiptRequest {
        request_id: id(),
        receipt: Some(receipt),
    };
    let bad = pb::ExpectedReceipt {
        reference: "x".repeat(101),
        sku: String::new(),
        location_id: "US".to_owned(),
        quantity: 0,
        expect_time: Some(prost_types::Timestamp {
            seconds: i64::MAX,
            nanos: 0,
        }),
        etag: "x".to_owned(),
        ..Default::default()
    };
    let expected = [
        "receipt.reference FIELD_OUT_OF_RANGE",
        "receipt.sku FIELD_REQUIRED",
        "receipt.location_id FIELD_MALFORMED",
        "receipt.quantity QUANTITY_INVALID",
        "receipt.expect_time FIELD_MALFORMED",
        "receipt.etag FIELD_MALFORMED",
    ];
    let answer = client.upsert_expected_receipt(upsert(bad)).await;
    assert_eq!(wrong(answered(answer)), expected);
    rig.audit().await;
}

#[tokio::test]
async fn expected_receipts_are_of_what_is_known() {
    let rig = Rig::start().await;
    rig.items(&["A"]).await;
    let mut client = rig.api.supply.clone();
    let upsert = |receipt: pb::ExpectedReceipt| pb::UpsertExpectedReceiptRequest {
        request_id: id(),
        receipt: Some(receipt),
    };
    let good = pb::ExpectedReceipt {
        reference: "PO-1".to_owned(),
        sku: "A".to_owned(),
        location_id: EAST.to_owned(),
        quantity: 1,
        expect_time: Some(prost_types::Timestamp::default()),
        ..Default::default()
    };
    let mut dateless = good.clone();
    dateless.expect_time = None;
    let answer = client.upsert_expected_receipt(upsert(dateless)).await;
    assert_eq!(
        wrong(answered(answer)),
        ["receipt.expect_time FIELD_REQUIRED"]
    );
    let mut unknown = good.clone();
    unknown.sku = "UNKNOWN".to_owned();
    let answer = client
        .upsert_expected_receipt(upsert(unknown.clone()))
        .await;
    assert_eq!(wrong(answered(answer)), ["receipt.sku SKU_UNKNOWN"]);
    unknown.location_id = "nowhere".to_owned();
    let answer = client.upsert_expected_receipt(upsert(unknown)).await;
    let expected = [
        "receipt.sku SKU_UNKNOWN",
        "receipt.location_id REFERENCE_UNKNOWN",
    ];
    assert_eq!(wrong(answered(answer)), expected);
    rig.audit().await;
}

#[tokio::test]
async fn questions_about_supply_are_checked_as_a_whole() {
    let rig = Rig::start().await;
    let mut client = rig.api.supply.clone();
    let answer = client
        .cancel_expected_receipt(pb::CancelExpectedReceiptRequest::default())
        .await;
    let expected = [
        "request_id FIELD_REQUIRED",
        "reference FIELD_REQUIRED",
        "sku FIELD_REQUIRED",
        "location_id FIELD_REQUIRED",
    ];
    assert_eq!(wrong(answered(answer)), expected);
    let request = pb::ListExpectedReceiptsRequest {
        sku: "A B".to_owned(),
        location_id: "US".to_owned(),
        reference: "x\u{7}".to_owned(),
        page_size: -1,
        ..Default::default()
    };
    let expected = [
        "page_size FIELD_OUT_OF_RANGE",
        "sku FIELD_MALFORMED",
        "location_id FIELD_MALFORMED",
        "reference FIELD_MALFORMED",
    ];
    let answer = client.list_expected_receipts(request).await;
    assert_eq!(wrong(answered(answer)), expected);
    let request = pb::GetAvailableToPromiseRequest {
        sku: String::new(),
        quantity: -1,
        channel_id: "Web Shop".to_owned(),
        times: vec![prost_types::Timestamp {
            seconds: 0,
            nanos: -1,
        }],
    };
    let expected = [
        "sku FIELD_REQUIRED",
        "quantity QUANTITY_INVALID",
        "channel_id FIELD_MALFORMED",
        "times[0] FIELD_MALFORMED",
    ];
    let answer = client.get_available_to_promise(request).await;
    assert_eq!(wrong(answered(answer)), expected);
    let request = pb::GetAvailableToPromiseRequest {
        sku: "UNKNOWN".to_owned(),
        quantity: 1,
        ..Default::default()
    };
    let answer = client.get_available_to_promise(request).await;
    assert_eq!(refusal(answered(answer)), "NotFound NOT_FOUND");
    rig.audit().await;
}

#[tokio::test]
async fn counts_are_checked_as_a_whole() {
    let rig = Rig::start().await;
    rig.stock(&[("A", EAST, 5)]).await;
    let mut client = rig.api.stock.clone();
    let answer = client.set_stock(pb::SetStockRequest::default()).await;
    let expected = [
        "request_id FIELD_REQUIRED",
        "sku FIELD_REQUIRED",
        "location_id FIELD_REQUIRED",
        "expected_quantity FIELD_REQUIRED",
        "reason FIELD_REQUIRED",
    ];
    assert_eq!(wrong(answered(answer)), expected);
    let bad = pb::SetStockRequest {
        request_id: id(),
        sku: "A".to_owned(),
        location_id: EAST.to_owned(),
        lot: "x".repeat(65),
        measure: 9,
        quantity: -1,
        expected_quantity: Some(1_000_000_001),
        reason: "BECAUSE".to_owned(),
    };
    let expected = [
        "lot FIELD_OUT_OF_RANGE",
        "measure FIELD_MALFORMED",
        "quantity QUANTITY_INVALID",
        "expected_quantity QUANTITY_INVALID",
        "reason FIELD_MALFORMED",
    ];
    assert_eq!(wrong(answered(client.set_stock(bad).await)), expected);
    let unknown = pb::SetStockRequest {
        request_id: id(),
        sku: "UNKNOWN".to_owned(),
        location_id: EAST.to_owned(),
        expected_quantity: Some(0),
        reason: "FOUND".to_owned(),
        ..Default::default()
    };
    assert_eq!(
        wrong(answered(client.set_stock(unknown).await)),
        ["sku SKU_UNKNOWN"]
    );
    assert_eq!(rig.units("A", EAST).await, (5, 0, 0));
    rig.audit().await;
}

#[tokio::test]
async fn moves_are_checked_as_a_whole() {
    let rig = Rig::start().await;
    rig.stock(&[("A", EAST, 5)]).await;
    let mut client = rig.api.stock.clone();
    let answer = client.move_stock(pb::MoveStockRequest::default()).await;
    let expected = [
        "request_id FIELD_REQUIRED",
        "sku FIELD_REQUIRED",
        "quantity QUANTITY_INVALID",
        "from FIELD_REQUIRED",
        "to FIELD_REQUIRED",
        "reason FIELD_REQUIRED",
    ];
    assert_eq!(wrong(answered(answer)), expected);
    let place = |location_id: &str| {
        Some(pb::StockPlace {
            location_id: location_id.to_owned(),
            lot: String::new(),
        })
    };
    let moved = |sku: &str, to: &str| pb::MoveStockRequest {
        request_id: id(),
        sku: sku.to_owned(),
        quantity: 1,
        from: place(EAST),
        to: place(to),
        reason: "OTHER".to_owned(),
    };
    let answer = client.move_stock(moved("A", EAST)).await;
    assert_eq!(wrong(answered(answer)), ["to DUPLICATE"]);
    let answer = client.move_stock(moved("UNKNOWN", "nowhere")).await;
    let expected = ["sku SKU_UNKNOWN", "to.location_id REFERENCE_UNKNOWN"];
    assert_eq!(wrong(answered(answer)), expected);
    assert_eq!(rig.units("A", EAST).await, (5, 0, 0));
    rig.audit().await;
}

#[tokio::test]
async fn questions_are_checked_as_a_whole() {
    let rig = Rig::start().await;
    rig.stock(&[("A", EAST, 5)]).await;
    let mut client = rig.api.stock.clone();
    let answer = client.get_availability(pb::GetAvailabilityRequest {
        sku: String::new(),
        channel_id: "WEB".to_owned(),
    });
    let expected = ["sku FIELD_REQUIRED", "channel_id FIELD_MALFORMED"];
    assert_eq!(wrong(answered(answer.await)), expected);
    let ask = pb::BatchGetAvailabilityRequest {
        skus: Vec::new(),
        location_ids: vec![EAST.to_owned(), EAST.to_owned()],
        channel_id: "WEB".to_owned(),
    };
    let expected = [
        "skus FIELD_REQUIRED",
        "location_ids[1] DUPLICATE",
        "channel_id FIELD_MALFORMED",
    ];
    assert_eq!(
        wrong(answered(client.batch_get_availability(ask.clone()).await)),
        expected
    );
    let watch = pb::WatchAvailabilityRequest {
        skus: ask.skus,
        location_ids: ask.location_ids,
        channel_id: ask.channel_id,
    };
    let answer = client.watch_availability(watch).await;
    assert_eq!(wrong(answered(answer)), expected);
    let mut of_no_channel = hold(&[("A", 1)]);
    of_no_channel.channel_id = "Web Shop".to_owned();
    assert_eq!(
        wrong(rig.reserve(of_no_channel).await),
        ["channel_id FIELD_MALFORMED"]
    );
    rig.audit().await;
}
