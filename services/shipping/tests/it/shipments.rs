//! The life of a shipment.

use oms_proto::common::v1::{Destination, Dimensions, ErrorReason, ServiceLevel};
use oms_proto::shipping::v1 as pb;
use oms_service::PeerError;
use prost::Message;
use tonic::Code;

use crate::rig::{LOCATION, Rig, id, ok, return_shipment, types};

fn allowed(shipment: &pb::Shipment) -> Vec<&str> {
    let actions = shipment
        .supported_actions
        .iter()
        .filter(|action| action.allowed);
    actions.map(|action| action.action.as_str()).collect()
}

fn refused(error: &PeerError) -> (Code, Option<ErrorReason>) {
    (error.code(), error.reason())
}

const ILLEGAL: (Code, Option<ErrorReason>) = (
    Code::FailedPrecondition,
    Some(ErrorReason::IllegalTransition),
);

#[tokio::test]
async fn the_handover_is_a_fact_that_others_read() {
    let rig = Rig::start().await;
    let labeled = rig.labeled(1).await;
    assert_eq!(allowed(&labeled), ["void_label", "confirm_ship", "cancel"]);
    let shipped = rig.confirm_ship(&labeled.shipment_id).await.unwrap();
    assert_eq!(shipped.state(), pb::ShipmentState::Shipped);
    assert!(shipped.ship_time.is_some());
    assert!(allowed(&shipped).is_empty());

    let events = rig.events(&labeled.shipment_id, 3).await;
    assert_eq!(
        types(&events),
        ["ShipmentCreated", "LabelPurchased", "ShipmentShipped"]
    );
    assert_eq!(events[2].actor, "user:dev");
    let payload = pb::ShippingEvent::decode(&*events[2].payload)
        .unwrap()
        .event
        .unwrap();
    let pb::shipping_event::Event::ShipmentShipped(fact) = payload else {
        panic!("{payload:?}");
    };
    let fact = fact.shipment.unwrap();
    assert_eq!(fact.etag, "3");
    assert_eq!(fact.packages[0].lines, labeled.packages[0].lines);
    assert_eq!(fact.destination, labeled.destination);
}

#[tokio::test]
async fn every_illegal_command_is_refused_with_what_is_possible() {
    let rig = Rig::start().await;
    let labeled = rig.labeled(1).await;
    let shipment = &labeled.shipment_id;
    let error = rig.buy_label(shipment).await.unwrap_err();
    assert_eq!(refused(&error), ILLEGAL);
    let detail = error.illegal_transition().unwrap();
    assert_eq!(
        (detail.state.as_str(), detail.action.as_str()),
        ("LABELED", "buy_label")
    );
    assert_eq!(
        detail.supported_actions,
        ["void_label", "confirm_ship", "cancel"]
    );

    rig.confirm_ship(shipment).await.unwrap();
    for error in [
        rig.confirm_ship(shipment).await.unwrap_err(),
        rig.cancel(shipment).await.unwrap_err(),
        rig.void_label(shipment).await.unwrap_err(),
        rig.buy_label(shipment).await.unwrap_err(),
    ] {
        assert_eq!(refused(&error), ILLEGAL, "{error}");
    }

    let draft = ok(rig
        .shipments
        .clone()
        .create_shipment(return_shipment(&rig.address()))
        .await);
    let draft = draft.unwrap().shipment.unwrap().shipment_id;
    assert_eq!(
        refused(&rig.confirm_ship(&draft).await.unwrap_err()),
        ILLEGAL
    );
    assert_eq!(refused(&rig.void_label(&draft).await.unwrap_err()), ILLEGAL);
    rig.cancel(&draft).await.unwrap();
    for error in [
        rig.cancel(&draft).await.unwrap_err(),
        rig.buy_label(&draft).await.unwrap_err(),
        rig.confirm_ship(&draft).await.unwrap_err(),
    ] {
        assert_eq!(refused(&error), ILLEGAL, "{error}");
    }
}

#[tokio::test]
async fn a_stale_etag_is_refused_and_changes_nothing() {
    let rig = Rig::start().await;
    let labeled = rig.labeled(1).await;
    let mut request = pb::ConfirmShipRequest {
        request_id: id(),
        shipment_id: labeled.shipment_id.clone(),
        etag: "1".to_owned(),
    };
    let error = ok(rig.shipments.clone().confirm_ship(request.clone()).await).unwrap_err();
    assert_eq!(
        refused(&error),
        (Code::Aborted, Some(ErrorReason::EtagMismatch))
    );
    assert_eq!(error.metadata("etag"), Some("2"));
    assert_eq!(rig.get(&labeled.shipment_id).await, labeled);
    // Only success is recorded, so the same request id may be used with the right etag.
    request.etag.clone_from(&labeled.etag);
    ok(rig.shipments.clone().confirm_ship(request).await).unwrap();
}

#[tokio::test]
async fn a_repeat_is_answered_and_does_nothing() {
    let rig = Rig::start().await;
    let mut client = rig.shipments.clone();
    let create = return_shipment(&rig.address());
    let first = ok(client.create_shipment(create.clone()).await).unwrap();
    assert_eq!(
        ok(client.create_shipment(create.clone()).await).unwrap(),
        first
    );
    let shipment_id = create.shipment_id.clone();
    let buy = pb::BuyLabelRequest {
        request_id: id(),
        shipment_id: shipment_id.clone(),
        ..Default::default()
    };
    let bought = ok(client.buy_label(buy.clone()).await).unwrap();
    assert_eq!(ok(client.buy_label(buy.clone()).await).unwrap(), bought);
    let void = pb::VoidLabelRequest {
        request_id: id(),
        shipment_id: shipment_id.clone(),
        ..Default::default()
    };
    ok(client.void_label(void.clone()).await).unwrap();
    // A repeat answers from the shipment as it is now.
    let now = ok(client.void_label(void).await).unwrap().shipment.unwrap();
    assert_eq!(
        ok(client.buy_label(buy.clone()).await)
            .unwrap()
            .shipment
            .unwrap(),
        now
    );
    let second = pb::BuyLabelRequest {
        request_id: id(),
        ..buy.clone()
    };
    ok(client.buy_label(second).await).unwrap();
    let ship = pb::ConfirmShipRequest {
        request_id: id(),
        shipment_id: shipment_id.clone(),
        ..Default::default()
    };
    let shipped = ok(client.confirm_ship(ship.clone()).await).unwrap();
    assert_eq!(ok(client.confirm_ship(ship).await).unwrap(), shipped);
    let events = rig.events(&shipment_id, 5).await;
    let expected = [
        "ShipmentCreated",
        "LabelPurchased",
        "LabelVoided",
        "LabelPurchased",
        "ShipmentShipped",
    ];
    assert_eq!(types(&events), expected);

    let other = pb::BuyLabelRequest {
        carrier_service: "GROUND".to_owned(),
        ..buy
    };
    let error = ok(client.buy_label(other).await).unwrap_err();
    assert_eq!(
        refused(&error),
        (Code::InvalidArgument, Some(ErrorReason::RequestIdReused))
    );
}

#[tokio::test]
async fn a_label_is_bought_once_however_many_ask() {
    let rig = Rig::start().await;
    let created = ok(rig
        .shipments
        .clone()
        .create_shipment(return_shipment(&rig.address()))
        .await);
    let shipment_id = created.unwrap().shipment.unwrap().shipment_id;
    let (a, b, c) = tokio::join!(
        rig.buy_label(&shipment_id),
        rig.buy_label(&shipment_id),
        rig.buy_label(&shipment_id),
    );
    let bought = [&a, &b, &c]
        .into_iter()
        .filter(|answer| answer.is_ok())
        .count();
    assert_eq!(bought, 1, "{a:?} {b:?} {c:?}");
    let bookings: i64 = sqlx::query_scalar("SELECT count(*) FROM table_rate_bookings")
        .fetch_one(&mut rig.conn().await)
        .await
        .unwrap();
    assert_eq!(bookings, 1);
}

#[tokio::test]
async fn a_canceled_shipment_has_its_label_voided_and_its_goods_may_travel_again() {
    let rig = Rig::start().await;
    let first = rig.labeled(1).await;
    let request = pb::CreateShipmentRequest {
        request_id: id(),
        shipment_id: String::new(),
        order_id: first.order_id.clone(),
        order_number: first.order_number.clone(),
        location_id: LOCATION.to_owned(),
        destination: first.destination.clone(),
        service_level: ServiceLevel::Overnight.into(),
        pack_session_id: first.pack_session_id.clone(),
        packages: first
            .packages
            .iter()
            .map(|package| pb::Package {
                package_id: String::new(),
                ..package.clone()
            })
            .collect(),
        ..Default::default()
    };
    let mut client = rig.shipments.clone();
    let error = ok(client.create_shipment(request.clone()).await).unwrap_err();
    assert_eq!(
        refused(&error),
        (Code::AlreadyExists, Some(ErrorReason::AlreadyExists))
    );

    let canceled = rig.cancel(&first.shipment_id).await.unwrap();
    assert_eq!(canceled.state(), pb::ShipmentState::Canceled);
    assert_eq!(canceled.label_state(), pb::LabelState::Voided);
    let again = ok(client.create_shipment(request.clone()).await)
        .unwrap()
        .shipment
        .unwrap();
    assert_eq!(again.state(), pb::ShipmentState::Draft);

    let mut more = request.clone();
    more.request_id = id();
    more.packages[0].lines[0].quantity = 3;
    let error = ok(client.create_shipment(more).await).unwrap_err();
    let expected = (
        Code::FailedPrecondition,
        Some(ErrorReason::QuantityExceedsOpen),
    );
    assert_eq!(refused(&error), expected);
    assert_eq!(
        (error.metadata("open"), error.metadata("requested")),
        (Some("2"), Some("3"))
    );

    let unknown = pb::CreateShipmentRequest {
        request_id: id(),
        pack_session_id: id(),
        ..request
    };
    let error = ok(client.create_shipment(unknown).await).unwrap_err();
    assert_eq!(
        refused(&error),
        (Code::FailedPrecondition, Some(ErrorReason::NotPacked))
    );
}

#[tokio::test]
async fn rates_are_quoted_cheapest_first() {
    let rig = Rig::start().await;
    let mut request = pb::QuoteRatesRequest {
        location_id: LOCATION.to_owned(),
        destination: Some(Destination {
            address_id: String::new(),
            country_code: "US".to_owned(),
            postal_code: "90001".to_owned(),
        }),
        packages: vec![pb::RatePackage {
            mass_grams: 900,
            dimensions: Some(Dimensions {
                length_mm: 200,
                width_mm: 150,
                height_mm: 100,
            }),
        }],
        service_level: ServiceLevel::Unspecified.into(),
    };
    let rates = ok(rig.rates.clone().quote_rates(request.clone()).await)
        .unwrap()
        .rates;
    let services: Vec<_> = rates
        .iter()
        .map(|rate| rate.carrier_service.as_str())
        .collect();
    assert_eq!(services, ["GROUND", "TWO_DAY", "OVERNIGHT"]);
    assert_eq!((rates[0].zone, rates[0].transit_days), (8, 5));
    request.service_level = ServiceLevel::SameDay.into();
    let rates = ok(rig.rates.clone().quote_rates(request).await)
        .unwrap()
        .rates;
    assert_eq!(rates.len(), 1);
    assert_eq!(rates[0].service_level(), ServiceLevel::Overnight);
}

#[tokio::test]
async fn lists_have_pages_that_miss_nothing() {
    let rig = Rig::start().await;
    let mut made = Vec::new();
    for _ in 0..5 {
        let request = return_shipment("");
        made.push(request.shipment_id.clone());
        ok(rig.shipments.clone().create_shipment(request).await).unwrap();
    }
    rig.cancel(&made[1]).await.unwrap();
    let list = |states: Vec<i32>, page_size, page_token: String| {
        let mut client = rig.shipments.clone();
        let request = pb::ListShipmentsRequest {
            location_id: LOCATION.to_owned(),
            states,
            page_size,
            page_token,
            ..Default::default()
        };
        async move { ok(client.list_shipments(request).await) }
    };
    let draft: i32 = pb::ShipmentState::Draft.into();
    for (states, expected) in [
        (vec![], vec![0, 1, 2, 3, 4]),
        (vec![draft], vec![0, 2, 3, 4]),
        (
            vec![draft, pb::ShipmentState::Canceled.into()],
            vec![0, 1, 2, 3, 4],
        ),
        (vec![pb::ShipmentState::Delivered.into()], vec![]),
    ] {
        let (mut seen, mut token) = (Vec::new(), String::new());
        loop {
            let page = list(states.clone(), 2, token).await.unwrap();
            assert!(page.shipments.len() <= 2);
            seen.extend(
                page.shipments
                    .into_iter()
                    .map(|shipment| shipment.shipment_id),
            );
            token = page.next_page_token;
            if token.is_empty() {
                break;
            }
        }
        let mut expected: Vec<_> = expected
            .into_iter()
            .map(|n: usize| made[n].clone())
            .collect();
        // The mock clock stands still, so ids decide, which grow with time.
        expected.sort();
        assert_eq!(seen, expected, "{states:?}");
    }
    let token = list(vec![], 2, String::new())
        .await
        .unwrap()
        .next_page_token;
    let error = list(vec![draft], 2, token).await.unwrap_err();
    assert_eq!(
        refused(&error),
        (Code::InvalidArgument, Some(ErrorReason::PageTokenInvalid))
    );
}
