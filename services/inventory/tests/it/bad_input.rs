//! Bad input: the right code and reason, everything that is wrong at once, and nothing half done.

use oms_proto::common::v1::FillPolicy;
use oms_proto::inventory::v1 as pb;
use oms_service::PeerError;

use crate::corrections::{approval, rejection};
use crate::rig::{EAST, Rig, answered, hold, id, item, location, receipt, refusal};

/// `field REASON` of everything that is wrong.
pub(crate) fn wrong<T>(answer: Result<T, PeerError>) -> Vec<String> {
    let error = answer.err().expect("it should be refused");
    assert_eq!(error.code(), tonic::Code::InvalidArgument, "{error}");
    let short = |one: &oms_service::FieldViolation| format!("{} {}", one.field, one.reason);
    error.violations().iter().map(short).collect()
}

async fn reserve(rig: &Rig, request: pb::ReserveRequest) -> Vec<String> {
    wrong(rig.reserve(request).await)
}

type Change = fn(&mut pb::ReserveRequest);

const RESERVE: &[(Change, &[&str])] = &[
    (|r| r.request_id.clear(), &["request_id FIELD_REQUIRED"]),
    (
        |r| r.request_id = "7".to_owned(),
        &["request_id FIELD_MALFORMED"],
    ),
    (
        |r| r.reservation_id.clear(),
        &["reservation_id FIELD_REQUIRED"],
    ),
    (
        |r| r.reservation_id = "R-1".to_owned(),
        &["reservation_id FIELD_MALFORMED"],
    ),
    (
        |r| r.order_id = "O-1".to_owned(),
        &["order_id FIELD_MALFORMED"],
    ),
    (
        |r| r.mode = pb::ReservationState::Consumed.into(),
        &["mode FIELD_MALFORMED"],
    ),
    (|r| r.mode = 77, &["mode FIELD_MALFORMED"]),
    (|r| r.fill_policy = 77, &["fill_policy FIELD_MALFORMED"]),
    (
        |r| r.time_to_live = Some(seconds(0)),
        &["time_to_live FIELD_OUT_OF_RANGE"],
    ),
    (
        |r| r.time_to_live = Some(seconds(3_601)),
        &["time_to_live FIELD_OUT_OF_RANGE"],
    ),
    (
        |r| r.time_to_live = Some(seconds(-1)),
        &["time_to_live FIELD_OUT_OF_RANGE"],
    ),
    (
        |r| r.time_to_live = Some(seconds(i64::MAX)),
        &["time_to_live FIELD_OUT_OF_RANGE"],
    ),
    (|r| r.lines.clear(), &["lines FIELD_REQUIRED"]),
    (
        |r| r.lines = vec![r.lines[0].clone(); 501],
        &["lines FIELD_OUT_OF_RANGE"],
    ),
    (
        |r| r.lines.push(r.lines[0].clone()),
        &["lines[1].order_line_id DUPLICATE"],
    ),
    (
        |r| r.lines[0].quantity = 0,
        &["lines[0].quantity QUANTITY_INVALID"],
    ),
    (
        |r| r.lines[0].quantity = -3,
        &["lines[0].quantity QUANTITY_INVALID"],
    ),
    (
        |r| r.lines[0].quantity = i64::MAX,
        &["lines[0].quantity QUANTITY_INVALID"],
    ),
    (
        |r| r.lines[0].quantity = i64::MIN,
        &["lines[0].quantity QUANTITY_INVALID"],
    ),
    (|r| r.lines[0].sku.clear(), &["lines[0].sku FIELD_REQUIRED"]),
    (
        |r| r.lines[0].sku = "A B".to_owned(),
        &["lines[0].sku FIELD_MALFORMED"],
    ),
    (
        |r| r.lines[0].sku = "UNKNOWN".to_owned(),
        &["lines[0].sku SKU_UNKNOWN"],
    ),
    (
        |r| r.lines[0].eligible_location_ids = vec!["nowhere".to_owned()],
        &["lines[0].eligible_location_ids REFERENCE_UNKNOWN"],
    ),
    (
        |r| r.ranked_location_ids.clear(),
        &["ranked_location_ids FIELD_REQUIRED"],
    ),
    (
        |r| r.ranked_location_ids[1] = EAST.to_owned(),
        &["ranked_location_ids[1] DUPLICATE"],
    ),
    (
        |r| r.ranked_location_ids[1] = "US EAST".to_owned(),
        &["ranked_location_ids[1] FIELD_MALFORMED"],
    ),
    (
        |r| r.ranked_location_ids[1] = "nowhere".to_owned(),
        &["ranked_location_ids[1] REFERENCE_UNKNOWN"],
    ),
    (|r| r.splits_max = -1, &["splits_max FIELD_OUT_OF_RANGE"]),
    (
        |r| r.single_node_within_rank = -1,
        &["single_node_within_rank FIELD_OUT_OF_RANGE"],
    ),
    (|r| r.priority = Some(10), &["priority FIELD_OUT_OF_RANGE"]),
    (|r| r.priority = Some(-1), &["priority FIELD_OUT_OF_RANGE"]),
    (
        |r| {
            r.promise_time = Some(prost_types::Timestamp {
                seconds: i64::MAX,
                nanos: 0,
            });
        },
        &["promise_time FIELD_MALFORMED"],
    ),
    (
        |r| {
            r.ship_complete = true;
            r.fill_policy = FillPolicy::FillAllAvailable.into();
        },
        &["ship_complete FIELD_MALFORMED"],
    ),
    (
        |r| {
            r.request_id.clear();
            r.lines[0].quantity = 0;
            r.lines[0].sku = "\u{1F4A5}".to_owned();
            r.splits_max = -1;
        },
        &[
            "request_id FIELD_REQUIRED",
            "splits_max FIELD_OUT_OF_RANGE",
            "lines[0].sku FIELD_MALFORMED",
            "lines[0].quantity QUANTITY_INVALID",
        ],
    ),
    (
        |r| {
            r.lines[0].sku = "UNKNOWN".to_owned();
            r.ranked_location_ids[0] = "nowhere".to_owned();
        },
        &[
            "lines[0].sku SKU_UNKNOWN",
            "ranked_location_ids[0] REFERENCE_UNKNOWN",
        ],
    ),
];

fn seconds(seconds: i64) -> prost_types::Duration {
    prost_types::Duration { seconds, nanos: 0 }
}

#[tokio::test]
async fn reserve_requests() {
    let rig = Rig::start().await;
    rig.stock(&[("A", EAST, 5)]).await;
    for (number, (change, expected)) in RESERVE.iter().enumerate() {
        let mut request = hold(&[("A", 1)]);
        change(&mut request);
        assert_eq!(reserve(&rig, request).await, *expected, "case {number}");
    }
    assert_eq!(rig.units("A", EAST).await, (5, 0, 0));
    rig.audit().await;
}

#[tokio::test]
async fn other_reservation_requests() {
    let rig = Rig::start().await;
    let api = rig.api.reservations.clone();
    let bad_line = pb::ReservationQuantity {
        order_line_id: "L".to_owned(),
        location_id: "US".to_owned(),
        quantity: 0,
        lot: "x\u{7}".to_owned(),
        sku: "A B".to_owned(),
    };
    let bad_fields = |prefix: &str| {
        [
            "order_line_id FIELD_MALFORMED",
            "quantity QUANTITY_INVALID",
            "lot FIELD_MALFORMED",
            "location_id FIELD_MALFORMED",
            "sku FIELD_MALFORMED",
        ]
        .map(|rest| format!("{prefix}.{rest}"))
        .to_vec()
    };
    let request = pb::ReleaseReservationRequest {
        request_id: id(),
        reservation_id: id(),
        lines: vec![bad_line.clone()],
        order_id: String::new(),
    };
    assert_eq!(
        wrong(answered(api.clone().release_reservation(request).await)),
        bad_fields("lines[0]")
    );
    let request = pb::ReportShortRequest {
        request_id: id(),
        reservation_id: id(),
        line: Some(bad_line),
        reason: "NOT_FOUND".to_owned(),
    };
    assert_eq!(
        wrong(answered(api.clone().report_short(request).await)),
        bad_fields("line")
    );
    let request = pb::MoveReservationRequest {
        request_id: id(),
        reservation_id: id(),
        lines: vec![
            pb::MoveReservationLine {
                units: Some(pb::ReservationQuantity {
                    order_line_id: id(),
                    quantity: -1,
                    ..Default::default()
                }),
                to_location_id: "US EAST".to_owned(),
                to_lot: "x".repeat(65),
            },
            pb::MoveReservationLine::default(),
        ],
    };
    assert_eq!(
        wrong(answered(api.clone().move_reservation(request).await)),
        [
            "lines[0].units.quantity QUANTITY_INVALID",
            "lines[0].units.location_id FIELD_REQUIRED",
            "lines[0].to_location_id FIELD_MALFORMED",
            "lines[0].to_lot FIELD_OUT_OF_RANGE",
            "lines[1].units FIELD_REQUIRED",
            "lines[1].to_location_id FIELD_REQUIRED",
        ]
    );
    rig.audit().await;
}

#[tokio::test]
async fn empty_reservation_requests() {
    let rig = Rig::start().await;
    let api = rig.api.reservations.clone();
    let request = pb::ReportShortRequest {
        request_id: id(),
        reservation_id: id(),
        ..Default::default()
    };
    let expected = ["line FIELD_REQUIRED", "reason FIELD_REQUIRED"];
    assert_eq!(
        wrong(answered(api.clone().report_short(request).await)),
        expected
    );
    let answer = api
        .clone()
        .extend_reservation(pb::ExtendReservationRequest::default())
        .await;
    let expected = [
        "request_id FIELD_REQUIRED",
        "reservation_id FIELD_REQUIRED",
        "time_to_live FIELD_REQUIRED",
    ];
    assert_eq!(wrong(answered(answer)), expected);
    let answer = api
        .clone()
        .confirm_reservation(pb::ConfirmReservationRequest::default())
        .await;
    assert_eq!(
        wrong(answered(answer)),
        ["request_id FIELD_REQUIRED", "reservation_id FIELD_REQUIRED"]
    );
    let answer = api
        .clone()
        .issue_reservation(pb::IssueReservationRequest::default())
        .await;
    let expected = [
        "request_id FIELD_REQUIRED",
        "reservation_id FIELD_REQUIRED",
        "shipment_id FIELD_REQUIRED",
        "lines FIELD_REQUIRED",
    ];
    assert_eq!(wrong(answered(answer)), expected);
    let answer = api
        .clone()
        .move_reservation(pb::MoveReservationRequest::default())
        .await;
    let expected = [
        "request_id FIELD_REQUIRED",
        "reservation_id FIELD_REQUIRED",
        "lines FIELD_REQUIRED",
    ];
    assert_eq!(wrong(answered(answer)), expected);
    let request = pb::GetReservationRequest {
        reservation_id: id(),
    };
    let missing = answered(api.clone().get_reservation(request).await);
    assert_eq!(refusal(missing), "NotFound NOT_FOUND");
    let answer = api
        .clone()
        .list_reservations(pb::ListReservationsRequest::default())
        .await;
    assert_eq!(wrong(answered(answer)), ["order_id FIELD_REQUIRED"]);
    rig.audit().await;
}

#[tokio::test]
async fn stock_requests() {
    let rig = Rig::start().await;
    rig.stock(&[("A", EAST, 5)]).await;
    let api = rig.api.stock.clone();
    let mut request = receipt("nowhere", &[("A", 1), ("UNKNOWN", 2)]);
    let expected = ["lines[1].sku SKU_UNKNOWN", "location_id REFERENCE_UNKNOWN"];
    assert_eq!(
        wrong(answered(api.clone().receive_stock(request.clone()).await)),
        expected
    );
    request.location_id = EAST.to_owned();
    let expected = ["lines[1].sku SKU_UNKNOWN"];
    assert_eq!(
        wrong(answered(api.clone().receive_stock(request.clone()).await)),
        expected
    );
    request.lines[0].quantity = 0;
    request.lines[1].quantity = 1_000_000_001;
    request.reference = "x".repeat(101);
    let expected = [
        "reference FIELD_OUT_OF_RANGE",
        "lines[0].quantity QUANTITY_INVALID",
        "lines[1].quantity QUANTITY_INVALID",
    ];
    assert_eq!(
        wrong(answered(api.clone().receive_stock(request).await)),
        expected
    );

    assert_eq!(rig.units("A", EAST).await, (5, 0, 0));
    rig.audit().await;
}

#[tokio::test]
async fn other_stock_requests() {
    let rig = Rig::start().await;
    rig.stock(&[("A", EAST, 5)]).await;
    let api = rig.api.stock.clone();
    let adjust = |delta, reason: &str, sku: &str| pb::AdjustStockRequest {
        request_id: id(),
        sku: sku.to_owned(),
        location_id: EAST.to_owned(),
        lot: String::new(),
        delta,
        reason: reason.to_owned(),
    };
    for (request, expected) in [
        (adjust(0, "LOST", "A"), "delta QUANTITY_INVALID"),
        (adjust(i64::MIN, "LOST", "A"), "delta QUANTITY_INVALID"),
        (adjust(1, "BECAUSE", "A"), "reason FIELD_MALFORMED"),
        (adjust(1, "", "A"), "reason FIELD_REQUIRED"),
        (adjust(1, "FOUND", "UNKNOWN"), "sku SKU_UNKNOWN"),
    ] {
        assert_eq!(
            wrong(answered(api.clone().adjust_stock(request).await)),
            [expected]
        );
    }
    let request = pb::BatchGetAvailabilityRequest {
        skus: vec!["A B".to_owned()],
        ..Default::default()
    };
    let answer = api.clone().batch_get_availability(request).await;
    assert_eq!(wrong(answered(answer)), ["skus[0] FIELD_MALFORMED"]);
    let request = pb::ListLedgerRequest {
        sku: "A".to_owned(),
        page_token: "x".to_owned(),
        ..Default::default()
    };
    let answer = api.clone().list_ledger(request).await;
    assert_eq!(wrong(answered(answer)), ["page_token PAGE_TOKEN_INVALID"]);
    let answer = api
        .clone()
        .list_ledger(pb::ListLedgerRequest {
            page_size: -1,
            ..Default::default()
        })
        .await;
    assert_eq!(
        wrong(answered(answer)),
        ["page_size FIELD_OUT_OF_RANGE", "sku FIELD_REQUIRED"]
    );
    assert_eq!(rig.units("A", EAST).await, (5, 0, 0));
    rig.audit().await;
}

async fn kits_and_caps(rig: &Rig) {
    rig.stock(&[("HAD", EAST, 1)]).await;
    let part = |sku: &str, quantity| pb::ItemComponent {
        sku: sku.to_owned(),
        quantity,
    };
    let with = |sku: &str, components: Vec<pb::ItemComponent>| pb::Item {
        components,
        ..item(sku)
    };
    let bad = pb::Item {
        backorder_max: Some(-1),
        available_from_time: Some(prost_types::Timestamp {
            seconds: 0,
            nanos: -1,
        }),
        ..with(
            "X",
            vec![
                part("X", 1),
                part("Y", 0),
                part("Y", 1_000_001),
                part("", 1),
            ],
        )
    };
    let expected = [
        "items[0].components[0].sku KIT_NESTED",
        "items[0].components[1].quantity QUANTITY_INVALID",
        "items[0].components[2].sku DUPLICATE",
        "items[0].components[2].quantity QUANTITY_INVALID",
        "items[0].components[3].sku FIELD_REQUIRED",
        "items[0].backorder_max FIELD_OUT_OF_RANGE",
        "items[0].available_from_time FIELD_MALFORMED",
        "items[0].backorder_max FIELD_MALFORMED",
        "items[0].available_from_time FIELD_MALFORMED",
    ];
    assert_eq!(wrong(rig.upsert(vec![bad]).await), expected);
    let many = with("X", vec![part("HAD", 1); 51]);
    let expected = ["items[0].components FIELD_OUT_OF_RANGE"];
    assert_eq!(wrong(rig.upsert(vec![many]).await), expected);
    let unknown = vec![item("X"), with("Y", vec![part("X", 1), part("NOPE", 1)])];
    let expected = ["items[1].components[1].sku SKU_UNKNOWN"];
    assert_eq!(wrong(rig.upsert(unknown).await), expected);
    // Everything at once: a barcode that is taken, kits in kits, and a kit with stock.
    let mut taken = with("HAD", vec![part("X", 1)]);
    taken.barcodes = vec!["BC-HAD".to_owned()];
    let mut thief = with("Y", vec![part("HAD", 1)]);
    thief.barcodes = vec!["BC-OTHER".to_owned()];
    rig.items(&["OTHER"]).await;
    let expected = [
        "items[2].barcodes[0] DUPLICATE",
        "items[1].components KIT_NESTED",
        "items[1].components SKU_HAS_STOCK",
        "items[2].components KIT_NESTED",
    ];
    assert_eq!(
        wrong(rig.upsert(vec![item("X"), taken, thief]).await),
        expected
    );
    rig.items(&["X"]).await;
    rig.upsert(vec![with("K", vec![part("X", 1_000_000)])])
        .await
        .unwrap();
    let refused = reserve(rig, hold(&[("X", 1), ("K", 1_001)])).await;
    assert_eq!(refused, ["lines[1].quantity QUANTITY_INVALID"]);
}

#[tokio::test]
async fn verification_requests() {
    let rig = Rig::start().await;
    rig.stock(&[("A", EAST, 5)]).await;
    let api = rig.api.stock.clone();
    let verify = |request_id: String, skus: &[&str]| pb::VerifyLedgerRequest {
        request_id,
        full: false,
        skus: skus.iter().map(|sku| (*sku).to_owned()).collect(),
    };
    let many = vec!["A"; 1_001];
    for (request, expected) in [
        (
            verify(String::new(), &["A", "A B", ""]),
            vec![
                "request_id FIELD_REQUIRED",
                "skus[1] FIELD_MALFORMED",
                "skus[2] FIELD_REQUIRED",
            ],
        ),
        (verify(id(), &many), vec!["skus FIELD_OUT_OF_RANGE"]),
        (
            verify(id(), &["A", "NO", "NOR"]),
            vec!["skus SKU_UNKNOWN", "skus SKU_UNKNOWN"],
        ),
    ] {
        assert_eq!(
            wrong(answered(api.clone().verify_ledger(request).await)),
            expected
        );
    }
    assert_eq!(rig.number("SELECT count(*) FROM ledger_run").await, 0);
}

#[tokio::test]
async fn correction_requests() {
    let rig = Rig::start().await;
    let api = rig.api.corrections.clone();
    let answer = api
        .clone()
        .approve_correction(pb::ApproveCorrectionRequest {
            request_id: "7".to_owned(),
            correction_id: String::new(),
            etag: "first".to_owned(),
            resolution: 77,
            note: "x".repeat(501),
        })
        .await;
    let expected = [
        "request_id FIELD_MALFORMED",
        "correction_id FIELD_REQUIRED",
        "etag FIELD_MALFORMED",
        "resolution FIELD_MALFORMED",
        "note FIELD_OUT_OF_RANGE",
    ];
    assert_eq!(wrong(answered(answer)), expected);
    let answer = api
        .clone()
        .reject_correction(pb::RejectCorrectionRequest {
            correction_id: "C-1".to_owned(),
            ..Default::default()
        })
        .await;
    let expected = [
        "request_id FIELD_REQUIRED",
        "correction_id FIELD_MALFORMED",
        "note FIELD_REQUIRED",
    ];
    assert_eq!(wrong(answered(answer)), expected);
    let request = pb::ListCorrectionsRequest {
        state: 77,
        sku: "A B".to_owned(),
        page_size: -1,
        page_token: "x".to_owned(),
    };
    let expected = [
        "page_size FIELD_OUT_OF_RANGE",
        "state FIELD_MALFORMED",
        "sku FIELD_MALFORMED",
    ];
    let answer = api.clone().list_corrections(request).await;
    assert_eq!(wrong(answered(answer)), expected);
    let unknown = pb::Correction {
        correction_id: id(),
        ..Default::default()
    };
    let answer = api.clone().approve_correction(approval(&unknown)).await;
    assert_eq!(refusal(answered(answer)), "NotFound NOT_FOUND");
    let answer = api.clone().reject_correction(rejection(&unknown)).await;
    assert_eq!(refusal(answered(answer)), "NotFound NOT_FOUND");
    rig.audit().await;
}

#[tokio::test]
async fn catalogue_requests() {
    let rig = Rig::start().await;
    let mut bad = item("A");
    bad.name = "x\0y".to_owned();
    bad.mass_grams = -1;
    bad.barcodes = vec!["BC 1".to_owned(), "BC-B".to_owned()];
    let request = pb::BatchUpsertItemsRequest {
        request_id: id(),
        items: vec![item("B"), bad, item("B")],
    };
    let answer = rig.api.items.clone().batch_upsert_items(request).await;
    let expected = [
        "items[1].name FIELD_MALFORMED",
        "items[1].barcodes[0] FIELD_MALFORMED",
        "items[1].barcodes[1] DUPLICATE",
        "items[1].mass_grams FIELD_OUT_OF_RANGE",
        "items[2].sku DUPLICATE",
        "items[2].barcodes[0] DUPLICATE",
    ];
    assert_eq!(wrong(answered(answer)), expected);
    kits_and_caps(&rig).await;
    let request = pb::BatchGetItemsRequest {
        skus: vec!["A".to_owned(); 1_001],
    };
    let answer = rig.api.items.clone().batch_get_items(request).await;
    assert_eq!(wrong(answered(answer)), ["skus FIELD_OUT_OF_RANGE"]);

    let mut bad = location("US EAST");
    bad.latitude = f64::NAN;
    let address = bad.address.as_mut().unwrap();
    address.country_code = "XX".to_owned();
    address.address_lines.clear();
    let request = pb::UpsertLocationRequest {
        request_id: id(),
        location: Some(bad),
    };
    let answer = rig.api.locations.clone().upsert_location(request).await;
    let expected = [
        "location.location_id FIELD_MALFORMED",
        "location.address.address_lines ADDRESS_INVALID",
        "location.address.country_code COUNTRY_UNKNOWN",
        "location.latitude FIELD_OUT_OF_RANGE",
    ];
    assert_eq!(wrong(answered(answer)), expected);
    let request = pb::UpsertLocationRequest {
        request_id: id(),
        location: None,
    };
    let answer = rig.api.locations.clone().upsert_location(request).await;
    assert_eq!(wrong(answered(answer)), ["location FIELD_REQUIRED"]);
    rig.audit().await;
}
