//! What callers may have shipped that are bound to locations.

use oms_proto::common::v1::ErrorReason;
use oms_proto::shipping::v1 as pb;
use oms_service::PeerError;
use tonic::{Code, Request};

use crate::rig::{LOCATION, Rig, id, ok, return_shipment};

/// Another location than that of the goods.
const ELSEWHERE: &str = "us-west";

/// Asks for a shipment as a partner that is bound to a location.
async fn create(
    rig: &Rig,
    location_id: &str,
    message: &pb::CreateShipmentRequest,
) -> Result<pb::Shipment, PeerError> {
    let mut request = Request::new(pb::CreateShipmentRequest {
        request_id: id(),
        ..message.clone()
    });
    let headers = request.metadata_mut();
    headers.insert("oms-principal", "partner:acme".parse().unwrap());
    headers.insert("oms-locations", location_id.parse().unwrap());
    let answer = rig.shipments.clone().create_shipment(request).await;
    ok(answer).map(|answer| answer.shipment.unwrap())
}

/// The same goods once more, to the same address.
fn again(first: &pb::Shipment) -> pb::CreateShipmentRequest {
    pb::CreateShipmentRequest {
        order_id: first.order_id.clone(),
        order_number: first.order_number.clone(),
        location_id: first.location_id.clone(),
        destination: first.destination.clone(),
        service_level: first.service_level,
        pack_session_id: first.pack_session_id.clone(),
        packages: first
            .packages
            .iter()
            .map(|package| pb::Package {
                package_id: String::new(),
                ..package.clone()
            })
            .collect(),
        ..pb::CreateShipmentRequest::default()
    }
}

#[tokio::test]
async fn who_is_bound_makes_no_shipments_of_returns() {
    let rig = Rig::start().await;
    let request = return_shipment(&rig.address());
    let refused = create(&rig, LOCATION, &request).await.unwrap_err();
    assert_eq!(
        (refused.code(), refused.reason()),
        (Code::PermissionDenied, Some(ErrorReason::OutOfReach))
    );
    let made: i64 = sqlx::query_scalar("SELECT count(*) FROM shipments")
        .fetch_one(&mut rig.conn().await)
        .await
        .unwrap();
    assert_eq!(made, 0);
}

#[tokio::test]
async fn goods_that_were_packed_elsewhere_are_like_goods_that_nobody_packed() {
    let rig = Rig::start().await;
    let first = rig.labeled(1).await;
    let elsewhere = pb::CreateShipmentRequest {
        location_id: ELSEWHERE.to_owned(),
        ..again(&first)
    };
    let unknown = pb::CreateShipmentRequest {
        pack_session_id: id(),
        ..elsewhere.clone()
    };
    let foreign = create(&rig, ELSEWHERE, &elsewhere).await.unwrap_err();
    let nobodys = create(&rig, ELSEWHERE, &unknown).await.unwrap_err();
    assert_eq!(foreign.reason(), Some(ErrorReason::NotPacked));
    let told = |error: &PeerError| (error.code(), error.reason(), error.message().to_owned());
    assert_eq!(told(&foreign), told(&nobodys));
    // What is wrong with it is not told either.
    let mut too_many = elsewhere;
    too_many.packages[0].lines[0].quantity = 99;
    let foreign = create(&rig, ELSEWHERE, &too_many).await.unwrap_err();
    assert_eq!(told(&foreign), told(&nobodys));
}

#[tokio::test]
async fn who_is_bound_ships_what_was_packed_there_to_where_it_was_packed_for() {
    let rig = Rig::start().await;
    let first = rig.labeled(1).await;
    rig.cancel(&first.shipment_id).await.unwrap();
    let mut to_another = again(&first);
    let destination = to_another.destination.as_mut().unwrap();
    destination.address_id = rig.address();
    let refused = create(&rig, LOCATION, &to_another).await.unwrap_err();
    assert_eq!(refused.code(), Code::InvalidArgument);
    let violation = &refused.violations()[0];
    assert_eq!(
        (violation.field.as_str(), violation.reason.as_str()),
        ("destination.address_id", "REFERENCE_UNKNOWN")
    );
    let made = create(&rig, LOCATION, &again(&first)).await.unwrap();
    assert_eq!(made.state(), pb::ShipmentState::Draft);
    assert_eq!(made.destination, first.destination);
}
