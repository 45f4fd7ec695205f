//! Requests that cannot be right: all that is wrong with them at once, and nothing half done.

use oms_proto::common::v1::{Destination, Dimensions, DocumentFormat, ErrorReason};
use oms_proto::shipping::v1 as pb;
use oms_service::{PeerError, reason_name};
use tonic::Code;

use crate::rig::{Rig, id, ok, return_shipment};

fn found(error: &PeerError) -> Vec<(&str, &str)> {
    assert_eq!(error.code(), Code::InvalidArgument, "{error}");
    error
        .violations()
        .iter()
        .map(|v| (v.field.as_str(), v.reason.as_str()))
        .collect()
}

/// A new shipment with something wrong in every field.
fn all_wrong() -> pb::CreateShipmentRequest {
    let package = return_shipment("").packages.remove(0);
    let line = package.lines[0].clone();
    pb::CreateShipmentRequest {
        request_id: "x".to_owned(),
        shipment_id: "1".to_owned(),
        order_id: String::new(),
        order_number: String::new(),
        direction: pb::ShipmentDirection::Return.into(),
        return_id: String::new(),
        location_id: "US EAST".to_owned(),
        destination: Some(Destination {
            address_id: "x".to_owned(),
            country_code: "XX".to_owned(),
            postal_code: String::new(),
        }),
        service_level: 77,
        channel_id: "WEB".to_owned(),
        packages: vec![
            pb::Package {
                package_id: "x".to_owned(),
                lines: vec![
                    pb::PackageLine {
                        quantity: 0,
                        ..line.clone()
                    },
                    pb::PackageLine {
                        sku: "A B".to_owned(),
                        order_line_id: String::new(),
                        ..line
                    },
                ],
                mass_grams: 0,
                dimensions: Some(Dimensions {
                    length_mm: 1,
                    width_mm: -1,
                    height_mm: 1,
                }),
                ..package
            },
            pb::Package {
                mass_grams: i64::MAX,
                dimensions: None,
                ..Default::default()
            },
        ],
        ..Default::default()
    }
}

#[tokio::test]
async fn a_new_shipment_is_checked_as_a_whole() {
    let rig = Rig::start().await;
    let error = ok(rig.shipments.clone().create_shipment(all_wrong()).await).unwrap_err();
    let expected = [
        ("request_id", "FIELD_MALFORMED"),
        ("shipment_id", "FIELD_MALFORMED"),
        ("order_id", "FIELD_REQUIRED"),
        ("order_number", "FIELD_REQUIRED"),
        ("return_id", "FIELD_REQUIRED"),
        ("location_id", "FIELD_MALFORMED"),
        ("destination.address_id", "FIELD_MALFORMED"),
        ("destination.country_code", "COUNTRY_UNKNOWN"),
        ("destination.postal_code", "FIELD_REQUIRED"),
        ("service_level", "FIELD_MALFORMED"),
        ("channel_id", "FIELD_MALFORMED"),
        ("packages[0].package_id", "FIELD_MALFORMED"),
        ("packages[0].mass_grams", "FIELD_OUT_OF_RANGE"),
        ("packages[0].dimensions", "FIELD_OUT_OF_RANGE"),
        ("packages[0].lines[0].quantity", "QUANTITY_INVALID"),
        ("packages[0].lines[1].order_line_id", "FIELD_REQUIRED"),
        ("packages[0].lines[1].sku", "FIELD_MALFORMED"),
        ("packages[1].mass_grams", "FIELD_OUT_OF_RANGE"),
        ("packages[1].dimensions", "FIELD_OUT_OF_RANGE"),
        ("packages[1].lines", "FIELD_REQUIRED"),
    ];
    assert_eq!(found(&error), expected);
    let rows: i64 = sqlx::query_scalar(
        "SELECT (SELECT count(*) FROM shipments) + (SELECT count(*) FROM packages)
             + (SELECT count(*) FROM outbox) + (SELECT count(*) FROM idempotency)",
    )
    .fetch_one(&mut rig.conn().await)
    .await
    .unwrap();
    assert_eq!(rows, 0);
}

#[tokio::test]
async fn references_into_nothing_are_refused() {
    let rig = Rig::start().await;
    let nowhere = pb::CreateShipmentRequest {
        location_id: "mars".to_owned(),
        ..return_shipment("")
    };
    let error = ok(rig.shipments.clone().create_shipment(nowhere).await).unwrap_err();
    assert_eq!(found(&error), [("location_id", "REFERENCE_UNKNOWN")]);
    for error in [
        rig.buy_label(&id()).await.unwrap_err(),
        rig.void_label(&id()).await.unwrap_err(),
        rig.confirm_ship(&id()).await.unwrap_err(),
        rig.cancel(&id()).await.unwrap_err(),
        rig.document(&id(), DocumentFormat::Pdf).await.unwrap_err(),
    ] {
        assert_eq!(
            (error.code(), error.reason()),
            (Code::NotFound, Some(ErrorReason::NotFound))
        );
    }
    let request = pb::ListTrackingEventsRequest { shipment_id: id() };
    let error = ok(rig.tracking.clone().list_tracking_events(request).await).unwrap_err();
    assert_eq!(error.code(), Code::NotFound);
    let taken = return_shipment("");
    ok(rig.shipments.clone().create_shipment(taken.clone()).await).unwrap();
    let again = pb::CreateShipmentRequest {
        request_id: id(),
        ..taken
    };
    let error = ok(rig.shipments.clone().create_shipment(again).await).unwrap_err();
    assert_eq!(error.code(), Code::AlreadyExists);
}

#[tokio::test]
async fn a_service_that_does_not_exist_is_named() {
    let rig = Rig::start().await;
    let created = ok(rig
        .shipments
        .clone()
        .create_shipment(return_shipment(""))
        .await)
    .unwrap();
    let request = pb::BuyLabelRequest {
        request_id: id(),
        shipment_id: created.shipment.unwrap().shipment_id,
        carrier_service: "TELEPORT".to_owned(),
        ..Default::default()
    };
    let error = ok(rig.shipments.clone().buy_label(request).await).unwrap_err();
    assert_eq!(error.code(), Code::FailedPrecondition);
    assert_eq!(error.reason().map(reason_name), Some("NO_CARRIER_SERVICE"));
    assert_eq!(error.metadata("carrier_service"), Some("TELEPORT"));
}

#[tokio::test]
async fn a_report_is_checked_as_a_whole() {
    let rig = Rig::start().await;
    let wrong = pb::RecordTrackingEventRequest {
        description: "x".repeat(201),
        ..Default::default()
    };
    let error = ok(rig.tracking.clone().record_tracking_event(wrong).await).unwrap_err();
    let expected = [
        ("request_id", "FIELD_REQUIRED"),
        ("carrier_id", "FIELD_REQUIRED"),
        ("tracking_number", "FIELD_REQUIRED"),
        ("description", "FIELD_OUT_OF_RANGE"),
        ("status", "FIELD_MALFORMED"),
        ("occur_time", "FIELD_REQUIRED"),
    ];
    assert_eq!(found(&error), expected);

    let told = pb::RecordTrackingEventRequest {
        description: "paid with 4242.4242.4242.4242 12/26".to_owned(),
        ..Default::default()
    };
    let error = ok(rig.tracking.clone().record_tracking_event(told).await).unwrap_err();
    assert!(found(&error).contains(&("description", "CARD_NUMBER_REFUSED")));
}
