//! Rates, shipments, labels and tracking.

use oms_proto::common::v1::{Destination, ErrorReason};
use oms_proto::shipping::v1 as s;
use oms_tests::fresh_id;

use crate::table::{Table, illegal, invalid, refused, stale};
use crate::world::World;

pub(crate) async fn cases(world: &World, table: &mut Table) -> anyhow::Result<()> {
    shipped(world, table).await;
    creating(world, table).await;
    tracking(world, table).await;
    Ok(())
}

async fn shipped(world: &World, table: &mut Table) {
    let mut shipments = world.suite.clients.shipments();
    let shipment_id = || world.shipped.shipment_id.clone();
    let confirm = |etag: &str| s::ConfirmShipRequest {
        request_id: fresh_id(),
        shipment_id: shipment_id(),
        etag: etag.to_owned(),
    };
    let expected = illegal("shipment", "DELIVERED", "confirm_ship");
    table.case(
        "shipping twice",
        shipments.confirm_ship(confirm("")).await,
        &expected,
    );
    table.case(
        "shipping an old version",
        shipments.confirm_ship(confirm("1")).await,
        &stale(),
    );
    let request = s::VoidLabelRequest {
        request_id: fresh_id(),
        shipment_id: shipment_id(),
        etag: String::new(),
    };
    let expected = illegal("shipment", "DELIVERED", "void_label");
    table.case(
        "voiding a label that was used",
        shipments.void_label(request).await,
        &expected,
    );
    let request = s::BuyLabelRequest {
        request_id: fresh_id(),
        shipment_id: shipment_id(),
        ..Default::default()
    };
    let expected = illegal("shipment", "DELIVERED", "buy_label");
    table.case(
        "another label",
        shipments.buy_label(request).await,
        &expected,
    );
    let request = s::CancelShipmentRequest {
        request_id: fresh_id(),
        shipment_id: shipment_id(),
        ..Default::default()
    };
    let expected = illegal("shipment", "DELIVERED", "cancel");
    table.case(
        "canceling what is there",
        shipments.cancel_shipment(request).await,
        &expected,
    );
    let request = s::GetLabelRequest {
        shipment_id: shipment_id(),
        package_id: "x".to_owned(),
        format: 99,
    };
    let expected = invalid(&["package_id FIELD_MALFORMED", "format FIELD_MALFORMED"]);
    table.case(
        "a label in no format",
        shipments.get_label(request).await,
        &expected,
    );
}

async fn creating(world: &World, table: &mut Table) {
    let mut shipments = world.suite.clients.shipments();
    let mut request = s::CreateShipmentRequest {
        request_id: fresh_id(),
        order_id: world.open.order_id.clone(),
        order_number: world.open.order_number.clone(),
        direction: s::ShipmentDirection::Outbound.into(),
        location_id: "west".to_owned(),
        destination: world.open.destination.clone(),
        service_level: world.open.service_level,
        packages: world.shipped.packages.clone(),
        pack_session_id: world.packing.pack_session_id.clone(),
        channel_id: "web".to_owned(),
        ..Default::default()
    };
    for package in &mut request.packages {
        package.package_id.clear();
    }
    let expected = refused(ErrorReason::NotPacked);
    let answer = shipments.create_shipment(request.clone()).await;
    table.case("shipping what is not packed", answer, &expected);
    request.location_id = "mars".to_owned();
    request.direction = s::ShipmentDirection::Return.into();
    request.return_id = world.authorized.return_id.clone();
    request.pack_session_id.clear();
    let expected = invalid(&["location_id REFERENCE_UNKNOWN"]);
    table.case(
        "shipping to nowhere",
        shipments.create_shipment(request).await,
        &expected,
    );
    let answer = shipments
        .create_shipment(s::CreateShipmentRequest::default())
        .await;
    let expected = invalid(&[
        "request_id FIELD_REQUIRED",
        "order_id FIELD_REQUIRED",
        "order_number FIELD_REQUIRED",
        "pack_session_id FIELD_REQUIRED",
        "location_id FIELD_REQUIRED",
        "destination FIELD_REQUIRED",
        "packages FIELD_REQUIRED",
    ]);
    table.case("an empty shipment", answer, &expected);
    let request = s::QuoteRatesRequest {
        location_id: "west".to_owned(),
        destination: Some(Destination {
            country_code: "XX".to_owned(),
            ..Default::default()
        }),
        packages: vec![s::RatePackage {
            mass_grams: 0,
            dimensions: None,
        }],
        service_level: 99,
    };
    let expected = invalid(&[
        "destination.country_code COUNTRY_UNKNOWN",
        "destination.postal_code FIELD_REQUIRED",
        "service_level FIELD_MALFORMED",
        "packages[0].mass_grams FIELD_OUT_OF_RANGE",
        "packages[0].dimensions FIELD_OUT_OF_RANGE",
    ]);
    let answer = world.suite.clients.rates().quote_rates(request).await;
    table.case("a quote all wrong", answer, &expected);
}

async fn tracking(world: &World, table: &mut Table) {
    let mut tracking = world.suite.clients.tracking();
    let request = s::RecordTrackingEventRequest {
        request_id: fresh_id(),
        carrier_id: "pigeon".to_owned(),
        tracking_number: "OM0".to_owned(),
        status: 99,
        ..Default::default()
    };
    let expected = invalid(&["status FIELD_MALFORMED", "occur_time FIELD_REQUIRED"]);
    let answer = tracking.record_tracking_event(request).await;
    table.case("a scan all wrong", answer, &expected);
}
