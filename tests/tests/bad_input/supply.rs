//! Stock policies, expected supply, counts and moves.

use oms_proto::common::v1::ErrorReason;
use oms_proto::inventory::v1 as i;
use oms_tests::fresh_id;
use tonic::Code;

use crate::table::{Table, invalid, not_found, plain, refused, stale};
use crate::world::World;

pub(crate) async fn cases(world: &World, table: &mut Table) {
    policies(world, table).await;
    expected(world, table).await;
    counts(world, table).await;
    moves(world, table).await;
    questions(world, table).await;
}

fn policy(sku: &str) -> i::StockPolicy {
    i::StockPolicy {
        sku: sku.to_owned(),
        safety_stock: 1,
        ..Default::default()
    }
}

async fn policies(world: &World, table: &mut Table) {
    let mut client = world.suite.clients.stock_policies();
    let mut wrong = policy("a");
    wrong.safety_stock = -1;
    wrong.channels = vec![i::ChannelStockPolicy {
        channel_id: "Web".to_owned(),
        buffer: i64::MAX,
        share_percent: 200,
    }];
    let request = i::UpsertStockPolicyRequest {
        request_id: "x".to_owned(),
        policy: Some(wrong),
    };
    let expected = invalid(&[
        "request_id FIELD_MALFORMED",
        "policy.safety_stock QUANTITY_INVALID",
        "policy.channels[0].channel_id FIELD_MALFORMED",
        "policy.channels[0].share_percent FIELD_OUT_OF_RANGE",
        "policy.channels[0].buffer QUANTITY_INVALID",
    ]);
    let answer = client.upsert_stock_policy(request).await;
    table.case("a policy all wrong", answer, &expected);
    let mut read = policy("a");
    read.etag = "7".to_owned();
    let request = i::BatchUpsertStockPoliciesRequest {
        request_id: fresh_id(),
        policies: vec![policy("b"), read],
    };
    let answer = client.batch_upsert_stock_policies(request).await;
    table.case("policies of which one was changed", answer, &stale());
    let request = i::BatchUpsertStockPoliciesRequest {
        request_id: fresh_id(),
        policies: vec![policy("b"), policy("nope")],
    };
    let expected = invalid(&["policies[1].sku SKU_UNKNOWN"]);
    let answer = client.batch_upsert_stock_policies(request).await;
    table.case("policies of which one is nobody's", answer, &expected);
    let request = i::GetStockPolicyRequest {
        sku: "a".to_owned(),
    };
    let expected = not_found("stock_policy");
    table.case(
        "no policy",
        client.get_stock_policy(request).await,
        &expected,
    );
}

async fn expected(world: &World, table: &mut Table) {
    let mut client = world.suite.clients.supply();
    let receipt = |sku: &str, etag: &str| i::UpsertExpectedReceiptRequest {
        request_id: fresh_id(),
        receipt: Some(i::ExpectedReceipt {
            reference: "PO-1".to_owned(),
            sku: sku.to_owned(),
            location_id: "west".to_owned(),
            quantity: 1,
            expect_time: Some(prost_types::Timestamp::default()),
            etag: etag.to_owned(),
            ..Default::default()
        }),
    };
    let answer = client.upsert_expected_receipt(receipt("nope", "")).await;
    let unknown = invalid(&["receipt.sku SKU_UNKNOWN"]);
    table.case("expecting what nobody knows", answer, &unknown);
    let answer = client.upsert_expected_receipt(receipt("a", "3")).await;
    table.case("changing what is not expected", answer, &stale());
    let request = i::UpsertExpectedReceiptRequest {
        request_id: fresh_id(),
        receipt: Some(i::ExpectedReceipt::default()),
    };
    let wrong = invalid(&[
        "receipt.reference FIELD_REQUIRED",
        "receipt.sku FIELD_REQUIRED",
        "receipt.location_id FIELD_REQUIRED",
        "receipt.quantity QUANTITY_INVALID",
        "receipt.expect_time FIELD_REQUIRED",
    ]);
    let answer = client.upsert_expected_receipt(request).await;
    table.case("expecting nothing", answer, &wrong);
    let request = i::CancelExpectedReceiptRequest {
        request_id: fresh_id(),
        reference: "PO-1".to_owned(),
        sku: "a".to_owned(),
        location_id: "west".to_owned(),
        etag: String::new(),
    };
    let answer = client.cancel_expected_receipt(request).await;
    table.case(
        "canceling what is not expected",
        answer,
        &not_found("expected_receipt"),
    );
}

async fn counts(world: &World, table: &mut Table) {
    let mut stock = world.suite.clients.stock();
    let count = |expected_quantity, quantity| i::SetStockRequest {
        request_id: fresh_id(),
        sku: "b".to_owned(),
        location_id: "west".to_owned(),
        quantity,
        expected_quantity,
        reason: "FOUND".to_owned(),
        ..Default::default()
    };
    let changed = plain(Code::Aborted, ErrorReason::QuantityChanged);
    let answer = stock.set_stock(count(Some(999), 1_000)).await;
    table.case("counting what has changed", answer, &changed);
    let wrong = invalid(&[
        "quantity QUANTITY_INVALID",
        "expected_quantity FIELD_REQUIRED",
    ]);
    let answer = stock.set_stock(count(None, -1)).await;
    table.case("counting less than nothing", answer, &wrong);
}

async fn moves(world: &World, table: &mut Table) {
    let mut stock = world.suite.clients.stock();
    let place = |location_id: &str| {
        Some(i::StockPlace {
            location_id: location_id.to_owned(),
            lot: String::new(),
        })
    };
    let moved = |quantity, to: &str| i::MoveStockRequest {
        request_id: fresh_id(),
        sku: "b".to_owned(),
        quantity,
        from: place("west"),
        to: place(to),
        reason: "RELOCATION".to_owned(),
    };
    let answer = stock.move_stock(moved(1_000, "east")).await;
    let committed = refused(ErrorReason::StockCommitted);
    table.case("moving more than is free", answer, &committed);
    let wrong = invalid(&["quantity QUANTITY_INVALID", "to DUPLICATE"]);
    let answer = stock.move_stock(moved(0, "west")).await;
    table.case("moving nothing nowhere", answer, &wrong);
    let answer = stock.move_stock(moved(1, "mars")).await;
    let nowhere = invalid(&["to.location_id REFERENCE_UNKNOWN"]);
    table.case("moving away from here", answer, &nowhere);
}

async fn questions(world: &World, table: &mut Table) {
    let mut stock = world.suite.clients.stock();
    let request = i::GetAvailabilityRequest {
        sku: "nope".to_owned(),
        channel_id: String::new(),
    };
    let answer = stock.get_availability(request).await;
    table.case("what there is of nothing", answer, &not_found("sku"));
    let request = i::WatchAvailabilityRequest {
        skus: vec!["a".to_owned(); 1_001],
        location_ids: vec!["Far West".to_owned()],
        channel_id: "Web".to_owned(),
    };
    let wrong = invalid(&[
        "skus FIELD_OUT_OF_RANGE",
        "location_ids[0] FIELD_MALFORMED",
        "channel_id FIELD_MALFORMED",
    ]);
    let answer = stock.watch_availability(request).await;
    table.case("watching too much", answer, &wrong);
    let mut supply = world.suite.clients.supply();
    let request = i::GetAvailableToPromiseRequest {
        sku: "nope".to_owned(),
        quantity: 1,
        ..Default::default()
    };
    let answer = supply.get_available_to_promise(request).await;
    table.case("promising nothing", answer, &not_found("sku"));
    let request = i::GetAvailableToPromiseRequest {
        times: vec![prost_types::Timestamp::default(); 367],
        ..Default::default()
    };
    let wrong = invalid(&[
        "sku FIELD_REQUIRED",
        "quantity QUANTITY_INVALID",
        "times FIELD_OUT_OF_RANGE",
    ]);
    let answer = supply.get_available_to_promise(request).await;
    table.case("promising for ever", answer, &wrong);
}
