//! Ids that nobody gave, and texts that are no ids.

use oms_proto::common::v1::DocumentFormat;
use oms_proto::fulfillment::v1 as f;
use oms_proto::inventory::v1 as i;
use oms_proto::order::v1 as o;
use oms_proto::returns::v1 as r;
use oms_proto::shipping::v1 as s;
use oms_tests::{fresh_id, seconds, usd};

use crate::table::{Table, invalid, not_found};
use crate::world::World;

/// A call with an id that does not exist, and one with a text that is no id.
macro_rules! unknown {
    ($table:expr, $client:expr, $rpc:ident, $request:ident { $field:ident $(, $name:ident: $value:expr)* $(,)? }, $resource:literal) => {{
        let mut client = $client;
        let request = |id: String| $request { $field: id $(, $name: $value)*, ..Default::default() };
        let name = concat!(stringify!($rpc), " of an unknown ", $resource);
        $table.case(name, client.$rpc(request(fresh_id())).await, &not_found($resource));
        let name = concat!(stringify!($rpc), " of what is no id");
        let expected = invalid(&[concat!(stringify!($field), " FIELD_MALFORMED")]);
        $table.case(name, client.$rpc(request("17".to_owned())).await, &expected);
    }};
}

/// As `unknown`, of a request whose only field is the id.
macro_rules! unknown_only {
    ($table:expr, $client:expr, $rpc:ident, $request:ident { $field:ident }, $resource:literal) => {{
        let mut client = $client;
        let request = |id: String| $request { $field: id };
        let name = concat!(stringify!($rpc), " of an unknown ", $resource);
        $table.case(
            name,
            client.$rpc(request(fresh_id())).await,
            &not_found($resource),
        );
        let name = concat!(stringify!($rpc), " of what is no id");
        let expected = invalid(&[concat!(stringify!($field), " FIELD_MALFORMED")]);
        $table.case(name, client.$rpc(request("17".to_owned())).await, &expected);
    }};
}

pub(crate) async fn cases(world: &World, table: &mut Table) -> anyhow::Result<()> {
    orders(world, table).await;
    stock(world, table).await;
    floor(world, table).await;
    dock(world, table).await;
    desk(world, table).await;
    Ok(())
}

async fn orders(world: &World, table: &mut Table) {
    use o::{
        CancelOrderRequest, GetInvoiceDocumentRequest, GetOrderAddressRequest, GetOrderRequest,
        GetOrderTimelineRequest, GetOrderTraceRequest, ListInvoicesRequest, ListPaymentsRequest,
        PlaceHoldRequest, RefundPaymentRequest, ReleaseHoldRequest, RetryExceptionRequest,
        SkipExceptionRequest, UpdateOrderRequest,
    };
    let clients = &world.suite.clients;
    unknown!(
        table,
        clients.orders(),
        get_order,
        GetOrderRequest { order_id },
        "order"
    );
    unknown!(
        table,
        clients.orders(),
        cancel_order,
        CancelOrderRequest {
            order_id,
            request_id: fresh_id(),
            reason: "CUSTOMER".to_owned()
        },
        "order"
    );
    unknown!(
        table,
        clients.orders(),
        update_order,
        UpdateOrderRequest {
            order_id,
            request_id: fresh_id()
        },
        "order"
    );
    unknown!(
        table,
        clients.orders(),
        get_order_timeline,
        GetOrderTimelineRequest { order_id },
        "order"
    );
    unknown!(
        table,
        clients.orders(),
        get_order_trace,
        GetOrderTraceRequest { order_id },
        "order"
    );
    unknown_only!(
        table,
        clients.orders(),
        get_order_address,
        GetOrderAddressRequest { address_id },
        "address"
    );
    unknown!(
        table,
        clients.holds(),
        place_hold,
        PlaceHoldRequest {
            order_id,
            request_id: fresh_id(),
            reason: o::HoldReason::Manual.into()
        },
        "order"
    );
    unknown!(
        table,
        clients.holds(),
        release_hold,
        ReleaseHoldRequest {
            hold_id,
            request_id: fresh_id()
        },
        "hold"
    );
    unknown_only!(
        table,
        clients.payments(),
        list_payments,
        ListPaymentsRequest { order_id },
        "order"
    );
    unknown!(
        table,
        clients.payments(),
        refund_payment,
        RefundPaymentRequest {
            order_id,
            request_id: fresh_id(),
            amount: Some(usd(1)),
            reason: "why".to_owned(),
        },
        "order"
    );
    unknown_only!(
        table,
        clients.invoices(),
        list_invoices,
        ListInvoicesRequest { order_id },
        "order"
    );
    unknown_only!(
        table,
        clients.invoices(),
        get_invoice_document,
        GetInvoiceDocumentRequest { invoice_id },
        "invoice"
    );
    unknown!(
        table,
        clients.exceptions(),
        retry_exception,
        RetryExceptionRequest {
            exception_id,
            request_id: fresh_id(),
            note: "why".to_owned()
        },
        "exception"
    );
    unknown!(
        table,
        clients.exceptions(),
        skip_exception,
        SkipExceptionRequest {
            exception_id,
            request_id: fresh_id(),
            note: "why".to_owned()
        },
        "exception"
    );
    by_reference(world, table).await;
}

async fn by_reference(world: &World, table: &mut Table) {
    let mut orders = world.suite.clients.orders();
    let request = o::GetOrderRequest {
        channel_id: "web".to_owned(),
        external_reference: "never".to_owned(),
        ..Default::default()
    };
    table.case(
        "a reference that nobody gave",
        orders.get_order(request).await,
        &not_found("order"),
    );
    let request = o::GetOrderRequest::default();
    let expected = invalid(&["order_id FIELD_REQUIRED"]);
    table.case(
        "an order by nothing",
        orders.get_order(request).await,
        &expected,
    );
}

async fn stock(world: &World, table: &mut Table) {
    use i::{
        ApproveCorrectionRequest, ConfirmReservationRequest, ExtendReservationRequest,
        GetReservationRequest, MoveReservationRequest, RejectCorrectionRequest,
    };
    let clients = &world.suite.clients;
    unknown!(
        table,
        clients.corrections(),
        approve_correction,
        ApproveCorrectionRequest {
            correction_id,
            request_id: fresh_id()
        },
        "correction"
    );
    unknown!(
        table,
        clients.corrections(),
        reject_correction,
        RejectCorrectionRequest {
            correction_id,
            request_id: fresh_id(),
            note: "why".to_owned()
        },
        "correction"
    );
    unknown_only!(
        table,
        clients.reservations(),
        get_reservation,
        GetReservationRequest { reservation_id },
        "reservation"
    );
    unknown!(
        table,
        clients.reservations(),
        confirm_reservation,
        ConfirmReservationRequest {
            reservation_id,
            request_id: fresh_id()
        },
        "reservation"
    );
    unknown!(
        table,
        clients.reservations(),
        extend_reservation,
        ExtendReservationRequest {
            reservation_id,
            request_id: fresh_id(),
            time_to_live: Some(seconds(60)),
        },
        "reservation"
    );
    let units = i::ReservationQuantity {
        order_line_id: fresh_id(),
        location_id: "west".to_owned(),
        quantity: 1,
        ..Default::default()
    };
    unknown!(
        table,
        clients.reservations(),
        move_reservation,
        MoveReservationRequest {
            reservation_id,
            request_id: fresh_id(),
            lines: vec![i::MoveReservationLine {
                units: Some(units.clone()),
                to_location_id: "east".to_owned(),
                to_lot: String::new(),
            }],
        },
        "reservation"
    );
    let mut locations = clients.locations();
    for (name, location_id, expected) in [
        ("an unknown location", "mars", not_found("location")),
        (
            "a location that is none",
            "Far West",
            invalid(&["location_id FIELD_MALFORMED"]),
        ),
    ] {
        let request = i::GetLocationRequest {
            location_id: location_id.to_owned(),
        };
        table.case(name, locations.get_location(request).await, &expected);
    }
}

async fn floor(world: &World, table: &mut Table) {
    use f::{
        AssignPickListRequest, CancelFulfillmentOrderRequest, ClosePackSessionRequest,
        ExplainDecisionRequest, GetFulfillmentOrderRequest, GetPackSessionRequest,
        GetPackingSlipRequest, GetPickListDocumentRequest, GetPickListRequest, GetWaveRequest,
        HoldFulfillmentOrderRequest, OpenPackSessionRequest, ScanPackRequest, ScanPickRequest,
    };
    let clients = &world.suite.clients;
    let (orders, picking, packing) = (
        || clients.fulfillment_orders(),
        || clients.picking(),
        || clients.packing(),
    );
    unknown_only!(
        table,
        orders(),
        get_fulfillment_order,
        GetFulfillmentOrderRequest {
            fulfillment_order_id
        },
        "fulfillment_order"
    );
    unknown!(
        table,
        orders(),
        hold_fulfillment_order,
        HoldFulfillmentOrderRequest {
            fulfillment_order_id,
            request_id: fresh_id(),
            reason: "why".to_owned(),
        },
        "fulfillment_order"
    );
    unknown!(
        table,
        orders(),
        cancel_fulfillment_order,
        CancelFulfillmentOrderRequest {
            fulfillment_order_id,
            request_id: fresh_id()
        },
        "fulfillment_order"
    );
    unknown_only!(
        table,
        clients.waves(),
        get_wave,
        GetWaveRequest { wave_id },
        "wave"
    );
    unknown_only!(
        table,
        picking(),
        get_pick_list,
        GetPickListRequest { pick_list_id },
        "pick_list"
    );
    unknown!(
        table,
        picking(),
        assign_pick_list,
        AssignPickListRequest {
            pick_list_id,
            request_id: fresh_id()
        },
        "pick_list"
    );
    unknown!(
        table,
        picking(),
        scan_pick,
        ScanPickRequest {
            pick_list_id,
            request_id: fresh_id(),
            barcode: "x".to_owned(),
            quantity: 1
        },
        "pick_list"
    );
    unknown!(
        table,
        packing(),
        open_pack_session,
        OpenPackSessionRequest {
            fulfillment_order_id,
            request_id: fresh_id()
        },
        "fulfillment_order"
    );
    unknown_only!(
        table,
        packing(),
        get_pack_session,
        GetPackSessionRequest { pack_session_id },
        "pack_session"
    );
    unknown!(
        table,
        packing(),
        scan_pack,
        ScanPackRequest {
            pack_session_id,
            request_id: fresh_id(),
            package_number: 1,
            barcode: "x".to_owned(),
            quantity: 1,
        },
        "pack_session"
    );
    unknown!(
        table,
        packing(),
        close_pack_session,
        ClosePackSessionRequest {
            pack_session_id,
            request_id: fresh_id()
        },
        "pack_session"
    );
    let documents = || clients.documents();
    unknown_only!(
        table,
        documents(),
        get_pick_list_document,
        GetPickListDocumentRequest { pick_list_id },
        "pick_list"
    );
    unknown_only!(
        table,
        documents(),
        get_packing_slip,
        GetPackingSlipRequest { pack_session_id },
        "pack_session"
    );
    unknown_only!(
        table,
        clients.sourcing(),
        explain_decision,
        ExplainDecisionRequest { proposal_id },
        "sourcing_proposal"
    );
}

async fn dock(world: &World, table: &mut Table) {
    use s::{
        BuyLabelRequest, CancelShipmentRequest, ConfirmShipRequest, GetLabelRequest,
        GetShipmentRequest, ListTrackingEventsRequest, VoidLabelRequest,
    };
    let clients = &world.suite.clients;
    let shipments = || clients.shipments();
    unknown_only!(
        table,
        shipments(),
        get_shipment,
        GetShipmentRequest { shipment_id },
        "shipment"
    );
    unknown!(
        table,
        shipments(),
        buy_label,
        BuyLabelRequest {
            shipment_id,
            request_id: fresh_id()
        },
        "shipment"
    );
    unknown!(
        table,
        shipments(),
        void_label,
        VoidLabelRequest {
            shipment_id,
            request_id: fresh_id()
        },
        "shipment"
    );
    unknown!(
        table,
        shipments(),
        confirm_ship,
        ConfirmShipRequest {
            shipment_id,
            request_id: fresh_id()
        },
        "shipment"
    );
    unknown!(
        table,
        shipments(),
        cancel_shipment,
        CancelShipmentRequest {
            shipment_id,
            request_id: fresh_id()
        },
        "shipment"
    );
    unknown!(
        table,
        shipments(),
        get_label,
        GetLabelRequest {
            shipment_id,
            format: DocumentFormat::Pdf.into()
        },
        "shipment"
    );
    unknown_only!(
        table,
        clients.tracking(),
        list_tracking_events,
        ListTrackingEventsRequest { shipment_id },
        "shipment"
    );
    let request = s::RecordTrackingEventRequest {
        request_id: fresh_id(),
        carrier_id: "table_rate".to_owned(),
        tracking_number: "OM000000000000000000".to_owned(),
        status: s::TrackingStatus::InTransit.into(),
        occur_time: world.done.create_time,
        ..Default::default()
    };
    table.case(
        "a tracking number of nobody",
        clients.tracking().record_tracking_event(request).await,
        &not_found("package"),
    );
}

async fn desk(world: &World, table: &mut Table) {
    use r::{
        AuthorizeReturnRequest, CancelReturnRequest, DeclineReturnRequest, GetReturnRequest,
        IssueReturnLabelRequest, ReceiveReturnRequest,
    };
    let returns = || world.suite.clients.returns();
    unknown_only!(
        table,
        returns(),
        get_return,
        GetReturnRequest { return_id },
        "return"
    );
    unknown!(
        table,
        returns(),
        authorize_return,
        AuthorizeReturnRequest {
            return_id,
            request_id: fresh_id()
        },
        "return"
    );
    unknown!(
        table,
        returns(),
        decline_return,
        DeclineReturnRequest {
            return_id,
            request_id: fresh_id(),
            reason: "why".to_owned()
        },
        "return"
    );
    unknown!(
        table,
        returns(),
        cancel_return,
        CancelReturnRequest {
            return_id,
            request_id: fresh_id()
        },
        "return"
    );
    unknown!(
        table,
        returns(),
        issue_return_label,
        IssueReturnLabelRequest {
            return_id,
            request_id: fresh_id()
        },
        "return"
    );
    let line = || r::ReturnQuantity {
        return_line_id: fresh_id(),
        quantity: 1,
    };
    unknown!(
        table,
        returns(),
        receive_return,
        ReceiveReturnRequest {
            return_id,
            request_id: fresh_id(),
            lines: vec![line()]
        },
        "return"
    );
}
