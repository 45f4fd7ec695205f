//! Items, locations, stock and reservations.

use anyhow::Context;
use oms_proto::common::v1::{ErrorReason, FillPolicy};
use oms_proto::inventory::v1 as i;
use oms_tests::shop::item;
use oms_tests::{fresh_id, seconds};

use crate::table::{Table, illegal, invalid, refused, reused};
use crate::world::World;

pub(crate) async fn cases(world: &World, table: &mut Table) -> anyhow::Result<()> {
    catalogue(world, table).await?;
    levels(world, table).await;
    verifying(world, table).await;
    reserving(world, table).await;
    reservations(world, table).await
}

async fn catalogue(world: &World, table: &mut Table) -> anyhow::Result<()> {
    let mut items = world.suite.clients.items();
    let mut wrong = item("a");
    wrong.sku = "a b".to_owned();
    wrong.name.clear();
    wrong.mass_grams = -1;
    let request = i::BatchUpsertItemsRequest {
        request_id: fresh_id(),
        items: vec![item("c"), wrong, item("c")],
    };
    let expected = invalid(&[
        "items[1].sku FIELD_MALFORMED",
        "items[1].name FIELD_REQUIRED",
        "items[1].mass_grams FIELD_OUT_OF_RANGE",
        "items[2].sku DUPLICATE",
        "items[2].barcodes[0] DUPLICATE",
    ]);
    table.case(
        "items all wrong",
        items.batch_upsert_items(request).await,
        &expected,
    );
    let part = |sku: &str, quantity| i::ItemComponent {
        sku: sku.to_owned(),
        quantity,
    };
    let kit = i::Item {
        components: vec![part("k", 1), part("a", 0)],
        backorder_max: Some(1),
        ..item("k")
    };
    let request = |kit| i::BatchUpsertItemsRequest {
        request_id: fresh_id(),
        items: vec![kit],
    };
    let expected = invalid(&[
        "items[0].components[0].sku KIT_NESTED",
        "items[0].components[1].quantity QUANTITY_INVALID",
        "items[0].backorder_max FIELD_MALFORMED",
    ]);
    let answer = items.batch_upsert_items(request(kit)).await;
    table.case("a kit of itself", answer, &expected);
    let kit = i::Item {
        components: vec![part("a", 1), part("nope", 1)],
        ..item("k")
    };
    let expected = invalid(&["items[0].components[1].sku SKU_UNKNOWN"]);
    let answer = items.batch_upsert_items(request(kit)).await;
    table.case("a kit of nothing that is known", answer, &expected);
    let stocked = i::Item {
        components: vec![part("b", 1)],
        ..item("a")
    };
    let expected = invalid(&["items[0].components SKU_HAS_STOCK"]);
    let answer = items.batch_upsert_items(request(stocked)).await;
    table.case("a kit of what has stock", answer, &expected);
    let request = i::BatchUpsertItemsRequest::default();
    let expected = invalid(&["request_id FIELD_REQUIRED", "items FIELD_REQUIRED"]);
    table.case(
        "no items",
        items.batch_upsert_items(request).await,
        &expected,
    );
    let request = i::BatchGetItemsRequest {
        skus: vec!["x".to_owned(); 1_001],
    };
    let expected = invalid(&["skus FIELD_OUT_OF_RANGE"]);
    table.case(
        "too many SKUs",
        items.batch_get_items(request).await,
        &expected,
    );
    let mut locations = world.suite.clients.locations();
    let request = i::ListLocationsRequest::default();
    let all = locations
        .list_locations(request)
        .await?
        .into_inner()
        .locations;
    let mut wrong = all.first().context("no location")?.clone();
    wrong.location_id = "Far West".to_owned();
    wrong.latitude = 91.0;
    if let Some(address) = wrong.address.as_mut() {
        address.country_code = "XX".to_owned();
    }
    let request = i::UpsertLocationRequest {
        request_id: fresh_id(),
        location: Some(wrong),
    };
    let expected = invalid(&[
        "location.location_id FIELD_MALFORMED",
        "location.address.country_code COUNTRY_UNKNOWN",
        "location.latitude FIELD_OUT_OF_RANGE",
    ]);
    table.case(
        "a location all wrong",
        locations.upsert_location(request).await,
        &expected,
    );
    Ok(())
}

async fn levels(world: &World, table: &mut Table) {
    let mut stock = world.suite.clients.stock();
    let line = |sku: &str, quantity| i::ReceiveStockLine {
        sku: sku.to_owned(),
        quantity,
        lot: String::new(),
    };
    let receive = |location: &str, lines| i::ReceiveStockRequest {
        request_id: fresh_id(),
        location_id: location.to_owned(),
        lines,
        reference: "test".to_owned(),
    };
    let request = receive("mars", vec![line("nope", 1)]);
    let expected = invalid(&["lines[0].sku SKU_UNKNOWN", "location_id REFERENCE_UNKNOWN"]);
    table.case(
        "goods of nobody to nowhere",
        stock.receive_stock(request).await,
        &expected,
    );
    let request = receive("west", vec![line("a", 0), line("a", i64::MAX), line("", 1)]);
    let expected = invalid(&[
        "lines[0].quantity QUANTITY_INVALID",
        "lines[1].quantity QUANTITY_INVALID",
        "lines[2].sku FIELD_REQUIRED",
    ]);
    table.case(
        "goods that cannot be counted",
        stock.receive_stock(request).await,
        &expected,
    );
    let request = receive("west", Vec::new());
    let expected = invalid(&["lines FIELD_REQUIRED"]);
    table.case(
        "a delivery of nothing",
        stock.receive_stock(request).await,
        &expected,
    );
    let adjust = |delta, reason: &str| i::AdjustStockRequest {
        request_id: fresh_id(),
        sku: "a".to_owned(),
        location_id: "west".to_owned(),
        delta,
        reason: reason.to_owned(),
        ..Default::default()
    };
    let expected = refused(ErrorReason::StockCommitted);
    let answer = stock.adjust_stock(adjust(-1_000, "LOST")).await;
    table.case("losing more than there is", answer, &expected);
    let expected = invalid(&["delta QUANTITY_INVALID", "reason FIELD_MALFORMED"]);
    let answer = stock.adjust_stock(adjust(0, "MAGIC")).await;
    table.case("a correction by nothing", answer, &expected);
}

async fn verifying(world: &World, table: &mut Table) {
    let mut stock = world.suite.clients.stock();
    let verify = |request_id: String, skus: Vec<&str>| i::VerifyLedgerRequest {
        request_id,
        full: true,
        skus: skus.into_iter().map(str::to_owned).collect(),
    };
    let request = verify(String::new(), vec!["a", "a b"]);
    let expected = invalid(&["request_id FIELD_REQUIRED", "skus[1] FIELD_MALFORMED"]);
    let answer = stock.verify_ledger(request).await;
    table.case("books of what is no SKU", answer, &expected);
    let expected = invalid(&["skus FIELD_OUT_OF_RANGE"]);
    let answer = stock.verify_ledger(verify(fresh_id(), vec!["a"; 1_001]));
    table.case("books of too many SKUs", answer.await, &expected);
    let expected = invalid(&["skus SKU_UNKNOWN"]);
    let answer = stock.verify_ledger(verify(fresh_id(), vec!["a", "nope"]));
    table.case("books of an unknown SKU", answer.await, &expected);
    let mut corrections = world.suite.clients.corrections();
    let request = i::ApproveCorrectionRequest {
        request_id: "x".to_owned(),
        etag: "new".to_owned(),
        resolution: 9,
        note: "x".repeat(501),
        ..Default::default()
    };
    let expected = invalid(&[
        "request_id FIELD_MALFORMED",
        "correction_id FIELD_REQUIRED",
        "etag FIELD_MALFORMED",
        "resolution FIELD_MALFORMED",
        "note FIELD_OUT_OF_RANGE",
    ]);
    let answer = corrections.approve_correction(request).await;
    table.case("an approval all wrong", answer, &expected);
    let request = i::RejectCorrectionRequest::default();
    let expected = invalid(&[
        "request_id FIELD_REQUIRED",
        "correction_id FIELD_REQUIRED",
        "note FIELD_REQUIRED",
    ]);
    let answer = corrections.reject_correction(request).await;
    table.case("a rejection of nothing", answer, &expected);
    let request = i::ListCorrectionsRequest {
        state: 9,
        sku: "a b".to_owned(),
        ..Default::default()
    };
    let expected = invalid(&["state FIELD_MALFORMED", "sku FIELD_MALFORMED"]);
    let answer = corrections.list_corrections(request).await;
    table.case("corrections in no state", answer, &expected);
}

fn reserve(sku: &str, quantity: i64) -> i::ReserveRequest {
    i::ReserveRequest {
        request_id: fresh_id(),
        reservation_id: fresh_id(),
        order_id: fresh_id(),
        mode: i::ReservationState::Held.into(),
        fill_policy: FillPolicy::FillOrKill.into(),
        time_to_live: Some(seconds(60)),
        lines: vec![i::ReserveLine {
            order_line_id: fresh_id(),
            sku: sku.to_owned(),
            quantity,
            eligible_location_ids: Vec::new(),
        }],
        ranked_location_ids: vec!["west".to_owned(), "east".to_owned()],
        splits_max: 1,
        single_node_within_rank: 2,
        ..Default::default()
    }
}

async fn reserving(world: &World, table: &mut Table) {
    let mut reservations = world.suite.clients.reservations();
    let expected = refused(ErrorReason::OutOfStock);
    let answer = reservations.reserve(reserve("a", 1_000)).await;
    table.case("reserving more than there is", answer, &expected);
    let expected = invalid(&["lines[0].sku SKU_UNKNOWN"]);
    let answer = reservations.reserve(reserve("nope", 1)).await;
    table.case("reserving an unknown SKU", answer, &expected);
    let mut wrong = reserve("a", 0);
    wrong.reservation_id = "mine".to_owned();
    wrong.order_id.clear();
    wrong.mode = i::ReservationState::Released.into();
    wrong.time_to_live = Some(seconds(7_200));
    let expected = invalid(&[
        "reservation_id FIELD_MALFORMED",
        "order_id FIELD_REQUIRED",
        "mode FIELD_MALFORMED",
        "lines[0].quantity QUANTITY_INVALID",
    ]);
    table.case(
        "a reservation all wrong",
        reservations.reserve(wrong).await,
        &expected,
    );
    let mut unsure = reserve("a", 1);
    unsure.priority = Some(10);
    unsure.ship_complete = true;
    unsure.fill_policy = FillPolicy::FillAllAvailable.into();
    let expected = invalid(&[
        "priority FIELD_OUT_OF_RANGE",
        "ship_complete FIELD_MALFORMED",
    ]);
    table.case(
        "a reservation of no class",
        reservations.reserve(unsure).await,
        &expected,
    );
    let mut apart = reserve("a", 1_000);
    apart.ship_complete = true;
    let expected = refused(ErrorReason::OutOfStock);
    table.case(
        "shipping complete what no location has",
        reservations.reserve(apart).await,
        &expected,
    );
    let mut long = reserve("a", 1);
    long.time_to_live = Some(seconds(7_200));
    let expected = invalid(&["time_to_live FIELD_OUT_OF_RANGE"]);
    table.case(
        "a reservation for hours",
        reservations.reserve(long).await,
        &expected,
    );
}

/// The order's own reservation.
async fn of_order(world: &World, order_id: &str) -> anyhow::Result<i::Reservation> {
    let request = i::ListReservationsRequest {
        order_id: order_id.to_owned(),
    };
    let mut client = world.suite.clients.reservations();
    let mut all = client
        .list_reservations(request)
        .await?
        .into_inner()
        .reservations;
    all.pop().context("no reservation")
}

async fn reservations(world: &World, table: &mut Table) -> anyhow::Result<()> {
    let mut client = world.suite.clients.reservations();
    let live = of_order(world, &world.open.order_id).await?;
    let ended = of_order(world, &world.canceled.order_id).await?;
    let extend = |id: &str, ttl| i::ExtendReservationRequest {
        request_id: fresh_id(),
        reservation_id: id.to_owned(),
        time_to_live: Some(seconds(ttl)),
    };
    let answer = client
        .extend_reservation(extend(&live.reservation_id, 60))
        .await;
    let expected = illegal("reservation", "ALLOCATED", "extend");
    table.case("extending what is allocated", answer, &expected);
    let answer = client
        .extend_reservation(extend(&live.reservation_id, 0))
        .await;
    let expected = invalid(&["time_to_live FIELD_OUT_OF_RANGE"]);
    table.case("extending by nothing", answer, &expected);
    let request = i::ConfirmReservationRequest {
        request_id: fresh_id(),
        reservation_id: ended.reservation_id.clone(),
    };
    let expected = refused(ErrorReason::ReservationExpired);
    table.case(
        "confirming what was given back",
        client.confirm_reservation(request).await,
        &expected,
    );
    let line = live.lines.first().context("no line")?;
    let units = |quantity| i::ReservationQuantity {
        order_line_id: line.order_line_id.clone(),
        location_id: line.location_id.clone(),
        quantity,
        lot: line.lot.clone(),
        ..Default::default()
    };
    let request = i::IssueReservationRequest {
        request_id: fresh_id(),
        reservation_id: live.reservation_id.clone(),
        lines: vec![units(100)],
        shipment_id: fresh_id(),
    };
    let expected = refused(ErrorReason::QuantityExceedsOpen);
    table.case(
        "issuing more than is allocated",
        client.issue_reservation(request).await,
        &expected,
    );
    let request = i::ReportShortRequest {
        request_id: fresh_id(),
        reservation_id: live.reservation_id.clone(),
        line: Some(units(100)),
        reason: "NOT_FOUND".to_owned(),
    };
    table.case(
        "missing more than is allocated",
        client.report_short(request).await,
        &expected,
    );
    let request = |units, to_location_id: &str| i::MoveReservationRequest {
        request_id: fresh_id(),
        reservation_id: live.reservation_id.clone(),
        lines: vec![i::MoveReservationLine {
            units: Some(units),
            to_location_id: to_location_id.to_owned(),
            to_lot: "L9".to_owned(),
        }],
    };
    let answer = client.move_reservation(request(units(100), "east")).await;
    table.case("moving more than is allocated", answer, &expected);
    let expected = refused(ErrorReason::OutOfStock);
    let answer = client.move_reservation(request(units(1), "east")).await;
    table.case("moving to where nothing is", answer, &expected);
    let expected = invalid(&["lines[0].to_location_id REFERENCE_UNKNOWN"]);
    let answer = client.move_reservation(request(units(1), "mars")).await;
    table.case("moving to nowhere", answer, &expected);
    let request = i::ReleaseReservationRequest {
        request_id: "x".to_owned(),
        reservation_id: String::new(),
        lines: vec![units(0)],
        order_id: "x".to_owned(),
    };
    let expected = invalid(&[
        "request_id FIELD_MALFORMED",
        "reservation_id FIELD_REQUIRED",
        "order_id FIELD_MALFORMED",
        "lines[0].quantity QUANTITY_INVALID",
    ]);
    table.case(
        "giving back, all wrong",
        client.release_reservation(request).await,
        &expected,
    );
    another_body(world, table).await
}

async fn another_body(world: &World, table: &mut Table) -> anyhow::Result<()> {
    let request = i::BatchUpsertItemsRequest {
        request_id: world.items_request_id.clone(),
        items: vec![item("d")],
    };
    let answer = world
        .suite
        .clients
        .items()
        .batch_upsert_items(request)
        .await;
    table.case("a request id with other items", answer, &reused());
    Ok(())
}
