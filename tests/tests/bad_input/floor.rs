//! Sourcing, fulfillment orders, waves, picking and packing.

use anyhow::Context;
use oms_proto::common::v1::{Destination, Dimensions, ErrorReason};
use oms_proto::fulfillment::v1 as f;
use oms_tests::fresh_id;
use oms_tests::shop::barcode;

use crate::table::{Table, illegal, invalid, refused, stale};
use crate::world::World;

pub(crate) async fn cases(world: &World, table: &mut Table) -> anyhow::Result<()> {
    work(world, table).await;
    sourcing(world, table).await;
    waves(world, table).await;
    picking(world, table).await?;
    packing(world, table).await;
    Ok(())
}

fn units_of(work: &f::FulfillmentOrder, quantity: i64) -> Vec<f::CancelLine> {
    let line = |line: &f::FulfillmentOrderLine| f::CancelLine {
        order_line_id: line.order_line_id.clone(),
        quantity,
    };
    work.lines.iter().map(line).collect()
}

async fn work(world: &World, table: &mut Table) {
    let mut orders = world.suite.clients.fulfillment_orders();
    let hold = |work: &f::FulfillmentOrder, etag: &str| f::HoldFulfillmentOrderRequest {
        request_id: fresh_id(),
        fulfillment_order_id: work.fulfillment_order_id.clone(),
        etag: etag.to_owned(),
        reason: "why".to_owned(),
    };
    let answer = orders
        .hold_fulfillment_order(hold(&world.canceled_work, ""))
        .await;
    let expected = illegal("fulfillment_order", "CANCELED", "hold");
    table.case("holding canceled work", answer, &expected);
    let answer = orders
        .hold_fulfillment_order(hold(&world.picking_work, ""))
        .await;
    let expected = illegal("fulfillment_order", "IN_PROGRESS", "hold");
    table.case("holding work that has started", answer, &expected);
    let answer = orders
        .hold_fulfillment_order(hold(&world.open_work, "99"))
        .await;
    table.case("holding old work", answer, &stale());
    let request = f::ReleaseFulfillmentOrderHoldRequest {
        request_id: fresh_id(),
        fulfillment_order_id: world.open_work.fulfillment_order_id.clone(),
        etag: String::new(),
    };
    let answer = orders.release_fulfillment_order_hold(request).await;
    let expected = illegal("fulfillment_order", "OPEN", "release_hold");
    table.case("ending a hold that is none", answer, &expected);
    let cancel = |work: &f::FulfillmentOrder, lines| f::CancelFulfillmentOrderRequest {
        request_id: fresh_id(),
        fulfillment_order_id: work.fulfillment_order_id.clone(),
        lines,
        ..Default::default()
    };
    let answer = orders
        .cancel_fulfillment_order(cancel(&world.canceled_work, Vec::new()))
        .await;
    let expected = illegal("fulfillment_order", "CANCELED", "cancel");
    table.case("canceling canceled work", answer, &expected);
    let mut lines = units_of(&world.open_work, 0);
    lines.push(f::CancelLine {
        order_line_id: "x".to_owned(),
        quantity: 1,
    });
    let answer = orders
        .cancel_fulfillment_order(cancel(&world.open_work, lines))
        .await;
    let expected = invalid(&[
        "lines[0].quantity QUANTITY_INVALID",
        "lines[1].order_line_id FIELD_MALFORMED",
    ]);
    table.case("canceling no units", answer, &expected);
}

async fn sourcing(world: &World, table: &mut Table) {
    let request = f::ProposeSourcingRequest {
        request_id: fresh_id(),
        order_id: fresh_id(),
        destination: Some(Destination {
            address_id: fresh_id(),
            country_code: "XX".to_owned(),
            postal_code: "1".to_owned(),
        }),
        lines: vec![f::SourcingLine {
            order_line_id: "x".to_owned(),
            sku: "a b".to_owned(),
            quantity: -1,
        }],
        ..Default::default()
    };
    let answer = world
        .suite
        .clients
        .sourcing()
        .propose_sourcing(request)
        .await;
    let expected = invalid(&[
        "destination.country_code COUNTRY_UNKNOWN",
        "lines[0].order_line_id FIELD_MALFORMED",
        "lines[0].sku FIELD_MALFORMED",
        "lines[0].quantity QUANTITY_INVALID",
    ]);
    table.case("a demand all wrong", answer, &expected);
    let mut orders = world.suite.clients.fulfillment_orders();
    let answer = orders
        .create_fulfillment_orders(f::CreateFulfillmentOrdersRequest::default())
        .await;
    let expected = invalid(&[
        "request_id FIELD_REQUIRED",
        "lines FIELD_REQUIRED",
        "order_id FIELD_REQUIRED",
        "order_number FIELD_REQUIRED",
        "destination FIELD_REQUIRED",
    ]);
    table.case("work for nothing", answer, &expected);
}

async fn waves(world: &World, table: &mut Table) {
    let mut waves = world.suite.clients.waves();
    let wave = |ids: Vec<String>| f::CreateWaveRequest {
        request_id: fresh_id(),
        location_id: "west".to_owned(),
        fulfillment_order_ids: ids,
        ..Default::default()
    };
    let request = wave(vec![fresh_id()]);
    let expected = invalid(&["fulfillment_order_ids[0] REFERENCE_UNKNOWN"]);
    table.case(
        "a wave of work that does not exist",
        waves.create_wave(request).await,
        &expected,
    );
    let request = wave(vec![world.canceled_work.fulfillment_order_id.clone()]);
    let expected = illegal("fulfillment_order", "CANCELED", "create_wave");
    table.case(
        "a wave of canceled work",
        waves.create_wave(request).await,
        &expected,
    );
    let request = f::CreateWaveRequest {
        location_id: "West Side".to_owned(),
        orders_max: -1,
        method: 99,
        ..wave(vec!["x".to_owned()])
    };
    let expected = invalid(&[
        "location_id FIELD_MALFORMED",
        "fulfillment_order_ids[0] FIELD_MALFORMED",
        "orders_max FIELD_OUT_OF_RANGE",
        "method FIELD_MALFORMED",
    ]);
    table.case(
        "a wave all wrong",
        waves.create_wave(request).await,
        &expected,
    );
}

async fn picking(world: &World, table: &mut Table) -> anyhow::Result<()> {
    let mut picking = world.suite.clients.picking();
    let line = world.picking.lines.first().context("no line")?;
    let scan = |list: &f::PickList, barcode: String, quantity| f::ScanPickRequest {
        request_id: fresh_id(),
        pick_list_id: list.pick_list_id.clone(),
        pick_line_id: String::new(),
        barcode,
        quantity,
    };
    let request = scan(&world.picking, barcode("b"), 1);
    let expected = refused(ErrorReason::BarcodeMismatch);
    table.case(
        "picking another item",
        picking.scan_pick(request).await,
        &expected,
    );
    let request = f::ScanPickRequest {
        pick_line_id: line.pick_line_id.clone(),
        ..scan(&world.picking, "no-code".to_owned(), 1)
    };
    table.case(
        "a code that nothing has",
        picking.scan_pick(request).await,
        &expected,
    );
    let request = scan(&world.picking, barcode("a"), 2);
    let expected = refused(ErrorReason::QuantityExceedsOpen);
    table.case(
        "picking too many",
        picking.scan_pick(request).await,
        &expected,
    );
    let short =
        |list: &f::PickList, line_id: &str, quantity, reason: &str| f::ReportShortPickRequest {
            request_id: fresh_id(),
            pick_list_id: list.pick_list_id.clone(),
            pick_line_id: line_id.to_owned(),
            quantity,
            reason: reason.to_owned(),
        };
    let request = short(&world.picking, &line.pick_line_id, 2, "NOT_FOUND");
    table.case(
        "missing too many",
        picking.report_short_pick(request).await,
        &expected,
    );
    let request = short(&world.picking, "x", 0, "GONE");
    let expected = invalid(&[
        "pick_line_id FIELD_MALFORMED",
        "quantity QUANTITY_INVALID",
        "reason FIELD_MALFORMED",
    ]);
    table.case(
        "a short all wrong",
        picking.report_short_pick(request).await,
        &expected,
    );
    let request = scan(&world.picking, String::new(), -1);
    let expected = invalid(&["barcode FIELD_REQUIRED", "quantity QUANTITY_INVALID"]);
    table.case(
        "a scan of nothing",
        picking.scan_pick(request).await,
        &expected,
    );
    let request = scan(&world.done_list, barcode("a"), 1);
    let expected = refused(ErrorReason::QuantityExceedsOpen);
    table.case(
        "picking from a list that is done",
        picking.scan_pick(request).await,
        &expected,
    );
    let request = f::AssignPickListRequest {
        request_id: fresh_id(),
        pick_list_id: world.done_list.pick_list_id.clone(),
        ..Default::default()
    };
    let expected = illegal("pick_list", "COMPLETED", "assign");
    table.case(
        "assigning what is done",
        picking.assign_pick_list(request).await,
        &expected,
    );
    let request = f::AssignPickListRequest {
        request_id: fresh_id(),
        pick_list_id: world.picking.pick_list_id.clone(),
        etag: "99".to_owned(),
        assignee: String::new(),
    };
    table.case(
        "assigning an old list",
        picking.assign_pick_list(request).await,
        &stale(),
    );
    Ok(())
}

async fn packing(world: &World, table: &mut Table) {
    let mut packing = world.suite.clients.packing();
    let scan = |session: &f::PackSession, barcode: String, quantity| f::ScanPackRequest {
        request_id: fresh_id(),
        pack_session_id: session.pack_session_id.clone(),
        package_number: 1,
        barcode,
        quantity,
    };
    let request = scan(&world.packing, barcode("b"), 1);
    let expected = refused(ErrorReason::BarcodeMismatch);
    table.case(
        "packing another item",
        packing.scan_pack(request).await,
        &expected,
    );
    let request = scan(&world.packing, barcode("a"), 2);
    let expected = refused(ErrorReason::QuantityExceedsOpen);
    table.case(
        "packing too many",
        packing.scan_pack(request).await,
        &expected,
    );
    let request = scan(&world.done_session, barcode("a"), 1);
    let expected = illegal("pack_session", "CLOSED", "scan_pack");
    table.case(
        "packing what is closed",
        packing.scan_pack(request).await,
        &expected,
    );
    let close = |session: &f::PackSession, etag: &str| f::ClosePackSessionRequest {
        request_id: fresh_id(),
        pack_session_id: session.pack_session_id.clone(),
        etag: etag.to_owned(),
    };
    let request = close(&world.done_session, "");
    let expected = illegal("pack_session", "CLOSED", "close");
    table.case(
        "closing twice",
        packing.close_pack_session(request).await,
        &expected,
    );
    let request = close(&world.packing, "99");
    table.case(
        "closing an old session",
        packing.close_pack_session(request).await,
        &stale(),
    );
    let request = f::AbandonPackSessionRequest {
        request_id: fresh_id(),
        pack_session_id: world.done_session.pack_session_id.clone(),
        etag: String::new(),
    };
    let expected = illegal("pack_session", "CLOSED", "abandon");
    table.case(
        "abandoning what is closed",
        packing.abandon_pack_session(request).await,
        &expected,
    );
    let request = f::MeasurePackageRequest {
        request_id: fresh_id(),
        pack_session_id: world.packing.pack_session_id.clone(),
        package_number: -1,
        mass_grams: 1_000_001,
        dimensions: Some(Dimensions {
            length_mm: 0,
            width_mm: 1,
            height_mm: 10_001,
        }),
    };
    let expected = invalid(&[
        "package_number FIELD_OUT_OF_RANGE",
        "mass_grams FIELD_OUT_OF_RANGE",
        "dimensions.length_mm FIELD_OUT_OF_RANGE",
        "dimensions.height_mm FIELD_OUT_OF_RANGE",
    ]);
    table.case(
        "a package of no size",
        packing.measure_package(request).await,
        &expected,
    );
    let request = f::OpenPackSessionRequest {
        request_id: fresh_id(),
        fulfillment_order_id: world.open_work.fulfillment_order_id.clone(),
    };
    let expected = illegal("fulfillment_order", "OPEN", "open_pack_session");
    table.case(
        "packing what was not picked",
        packing.open_pack_session(request).await,
        &expected,
    );
}
