//! Ids that do not exist and requests that make no sense.

use oms_proto::common::v1::{Dimensions, ErrorReason};
use oms_proto::fulfillment::v1 as pb;
use oms_service::PeerError;
use tonic::Code;

use crate::rig::{Rig, WEST, code, id, ok};

fn not_found(error: &PeerError, resource: &str) {
    assert_eq!(
        (error.code(), error.reason()),
        (Code::NotFound, Some(ErrorReason::NotFound))
    );
    assert_eq!(error.metadata("resource"), Some(resource));
}

#[tokio::test]
async fn what_does_not_exist_is_not_found() {
    let rig = Rig::start().await;
    let get = pb::GetFulfillmentOrderRequest {
        fulfillment_order_id: id(),
    };
    let error = ok(rig.orders.clone().get_fulfillment_order(get).await).unwrap_err();
    not_found(&error, "fulfillment_order");
    let cancel = pb::CancelFulfillmentOrderRequest {
        request_id: id(),
        fulfillment_order_id: id(),
        ..Default::default()
    };
    let error = ok(rig.orders.clone().cancel_fulfillment_order(cancel).await).unwrap_err();
    not_found(&error, "fulfillment_order");
    let get = pb::GetWaveRequest { wave_id: id() };
    not_found(
        &ok(rig.waves.clone().get_wave(get).await).unwrap_err(),
        "wave",
    );
    not_found(
        &rig.scan(&id(), &code("A"), 1).await.unwrap_err(),
        "pick_list",
    );
    not_found(&rig.open(&id()).await.unwrap_err(), "fulfillment_order");
    not_found(
        &rig.pack(&id(), 1, &code("A"), 1).await.unwrap_err(),
        "pack_session",
    );
    not_found(&rig.close(&id()).await.unwrap_err(), "pack_session");
    let slip = pb::GetPackingSlipRequest {
        pack_session_id: id(),
    };
    not_found(
        &ok(rig.documents.clone().get_packing_slip(slip).await).unwrap_err(),
        "pack_session",
    );
}

fn told(error: &PeerError) -> Vec<(&str, &str)> {
    assert_eq!(error.code(), Code::InvalidArgument);
    error
        .violations()
        .iter()
        .map(|one| (one.field.as_str(), one.reason.as_str()))
        .collect()
}

#[tokio::test]
async fn malformed_requests_say_all_that_is_wrong() {
    let rig = Rig::start().await;
    let get = pb::GetFulfillmentOrderRequest {
        fulfillment_order_id: "17".to_owned(),
    };
    let error = ok(rig.orders.clone().get_fulfillment_order(get).await).unwrap_err();
    assert_eq!(told(&error), [("fulfillment_order_id", "FIELD_MALFORMED")]);

    let list = pb::ListFulfillmentOrdersRequest {
        location_id: "Not a slug".to_owned(),
        states: vec![0, 77],
        page_size: -1,
        ..Default::default()
    };
    let error = ok(rig.orders.clone().list_fulfillment_orders(list).await).unwrap_err();
    let fields: Vec<&str> = told(&error).into_iter().map(|(field, _)| field).collect();
    assert_eq!(
        fields,
        ["page_size", "location_id", "states[0]", "states[1]"]
    );
    let token = pb::ListPickListsRequest {
        location_id: WEST.to_owned(),
        page_token: "rubbish".to_owned(),
        ..Default::default()
    };
    let error = ok(rig.picking.clone().list_pick_lists(token).await).unwrap_err();
    assert_eq!(error.reason(), Some(ErrorReason::PageTokenInvalid));
}

#[tokio::test]
async fn malformed_commands_say_all_that_is_wrong() {
    let rig = Rig::start().await;
    let wave = pb::CreateWaveRequest {
        request_id: String::new(),
        location_id: String::new(),
        fulfillment_order_ids: Vec::new(),
        orders_max: 201,
        method: 9,
    };
    let error = ok(rig.waves.clone().create_wave(wave).await).unwrap_err();
    assert_eq!(
        told(&error),
        [
            ("request_id", "FIELD_REQUIRED"),
            ("location_id", "FIELD_REQUIRED"),
            ("orders_max", "FIELD_OUT_OF_RANGE"),
            ("method", "FIELD_MALFORMED"),
        ]
    );
    let scan = pb::ScanPickRequest {
        request_id: id(),
        pick_list_id: id(),
        barcode: String::new(),
        quantity: i64::MAX,
        ..Default::default()
    };
    let error = ok(rig.picking.clone().scan_pick(scan).await).unwrap_err();
    assert_eq!(
        told(&error),
        [
            ("barcode", "FIELD_REQUIRED"),
            ("quantity", "QUANTITY_INVALID")
        ]
    );
    let measure = pb::MeasurePackageRequest {
        request_id: id(),
        pack_session_id: id(),
        package_number: 0,
        mass_grams: 0,
        dimensions: Some(Dimensions {
            length_mm: 10_001,
            width_mm: 1,
            height_mm: -1,
        }),
    };
    let error = ok(rig.packing.clone().measure_package(measure).await).unwrap_err();
    let fields: Vec<&str> = told(&error).into_iter().map(|(field, _)| field).collect();
    assert_eq!(
        fields,
        [
            "package_number",
            "mass_grams",
            "dimensions.length_mm",
            "dimensions.height_mm"
        ]
    );
}

#[tokio::test]
async fn the_database_itself_refuses_what_must_not_be() {
    let rig = Rig::start().await;
    rig.picked(&[("A", 2)]).await;
    let mut conn = rig.db.connect().await;
    for (statement, constraint) in [
        (
            "UPDATE fulfillment_order_lines SET picked = 3",
            "fulfillment_order_lines_within_total",
        ),
        (
            "UPDATE fulfillment_order_lines SET packed = 3",
            "fulfillment_order_lines_packed_within_picked",
        ),
        (
            "UPDATE fulfillment_order_lines SET shipped = 1",
            "fulfillment_order_lines_shipped_within_packed",
        ),
        (
            "UPDATE fulfillment_orders SET state = 'OPEN'",
            "fulfillment_orders_state_fits_stage",
        ),
        (
            "UPDATE pick_lines SET state = 'PENDING'",
            "pick_lines_pending_has_open_units",
        ),
    ] {
        let error = sqlx::query(sqlx::AssertSqlSafe(statement))
            .execute(&mut conn)
            .await
            .unwrap_err();
        let violated = error
            .as_database_error()
            .and_then(sqlx::error::DatabaseError::constraint);
        assert_eq!(violated, Some(constraint), "{statement}");
    }
}
