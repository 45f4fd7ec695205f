//! What happens at the peers after an order is confirmed, told through their feeds.

use oms_core::Clock;
use oms_proto::events::v1::Event;
use oms_proto::fulfillment::v1 as ff;
use oms_proto::fulfillment::v1::fulfillment_event::Event as Fulfillment;
use oms_proto::inventory::v1 as inv;
use oms_proto::order::v1 as pb;
use oms_proto::order::v1::exception_service_client::ExceptionServiceClient;
use oms_proto::order::v1::invoice_service_client::InvoiceServiceClient;
use oms_proto::order::v1::payment_service_client::PaymentServiceClient;
use oms_proto::returns::v1 as ret;
use oms_proto::returns::v1::returns_event::Event as Returns;
use oms_proto::shipping::v1 as ship;
use oms_proto::shipping::v1::shipping_event::Event as Shipping;
use oms_proto::time_to_proto;
use oms_service::PeerError;
use oms_telemetry::TraceContext;
use oms_testkit::wait_for;
use prost::Message;

use crate::rig::{Rig, answered, id};

impl Rig {
    /// Tells an event; answers it, so that it can be told again.
    pub(crate) fn tell(
        &self,
        source: &'static str,
        kind: &str,
        of: &str,
        payload: Vec<u8>,
    ) -> Event {
        let feed = self.peers.feeds.get(source).unwrap();
        let event = Event {
            id: id(),
            source: source.to_owned(),
            r#type: kind.to_owned(),
            aggregate_type: "thing".to_owned(),
            aggregate_id: of.to_owned(),
            aggregate_version: feed.head() + 1,
            occurred_at: Some(time_to_proto(self.clock.now())),
            actor: "user:floor".to_owned(),
            traceparent: TraceContext::current().into(),
            payload,
            ..Event::default()
        };
        feed.publish(event.clone());
        event
    }

    /// Tells an event again, as a feed that is read anew does.
    pub(crate) fn tell_again(&self, event: &Event) {
        let feed = self.peers.feeds.get(event.source.as_str()).unwrap();
        feed.publish(event.clone());
    }

    pub(crate) fn tell_fulfillment(&self, of: &str, event: Fulfillment) -> Event {
        let message = ff::FulfillmentEvent { event: Some(event) };
        self.tell(
            "fulfillment",
            message.event_type(),
            of,
            message.encode_to_vec(),
        )
    }

    pub(crate) fn tell_shipping(&self, shipment: &ship::Shipment, delivered: bool) -> Event {
        let of = Some(shipment.clone());
        let event = if delivered {
            Shipping::ShipmentDelivered(ship::ShipmentDelivered { shipment: of })
        } else {
            Shipping::ShipmentShipped(ship::ShipmentShipped { shipment: of })
        };
        let message = ship::ShippingEvent { event: Some(event) };
        let kind = message.event_type();
        self.tell(
            "shipping",
            kind,
            &shipment.shipment_id,
            message.encode_to_vec(),
        )
    }

    pub(crate) fn tell_returns(&self, return_id: &str, event: Returns) -> Event {
        let message = ret::ReturnsEvent { event: Some(event) };
        self.tell(
            "returns",
            message.event_type(),
            return_id,
            message.encode_to_vec(),
        )
    }

    /// Tells of a reservation as it is after a change.
    pub(crate) fn tell_reservation(&self, reservation: &inv::Reservation, action: &str) -> Event {
        let event = inv::inventory_event::Event::ReservationChanged(inv::ReservationChanged {
            reservation: Some(reservation.clone()),
            action: action.to_owned(),
        });
        let message = inv::InventoryEvent { event: Some(event) };
        let event = Event {
            id: id(),
            source: "inventory".to_owned(),
            r#type: message.event_type().to_owned(),
            aggregate_type: "reservation".to_owned(),
            aggregate_id: reservation.reservation_id.clone(),
            aggregate_version: reservation.etag.parse().unwrap(),
            actor: "user:counter".to_owned(),
            payload: message.encode_to_vec(),
            ..Event::default()
        };
        let feed = self.peers.feeds.get("inventory").unwrap();
        feed.publish(event.clone());
        event
    }

    /// Tells that stock came for units that waited.
    pub(crate) fn tell_backorder_allocated(&self, reservation: &inv::Reservation) -> Event {
        let event = inv::inventory_event::Event::BackorderAllocated(inv::BackorderAllocated {
            order_id: reservation.order_id.clone(),
            reservation_id: reservation.reservation_id.clone(),
            lines: reservation
                .lines
                .iter()
                .filter(|line| line.state() == inv::ReservationState::Backordered)
                .map(|line| inv::ReservationLine {
                    location_id: "us-west".to_owned(),
                    state: inv::ReservationState::Allocated.into(),
                    ..line.clone()
                })
                .collect(),
        });
        let message = inv::InventoryEvent { event: Some(event) };
        let version: i64 = reservation.etag.parse().unwrap();
        let feed = self.peers.feeds.get("inventory").unwrap();
        let event = Event {
            id: id(),
            source: "inventory".to_owned(),
            r#type: message.event_type().to_owned(),
            aggregate_type: "reservation".to_owned(),
            aggregate_id: reservation.reservation_id.clone(),
            aggregate_version: version + 1,
            actor: "user:receiver".to_owned(),
            payload: message.encode_to_vec(),
            ..Event::default()
        };
        feed.publish(event.clone());
        event
    }

    /// Hands units of an order's lines over, counted from its first line.
    pub(crate) fn ship(&self, order: &pb::Order, units: &[i64]) -> (ship::Shipment, Event) {
        let shipment = shipment(order, units);
        let event = self.tell_shipping(&shipment, false);
        (shipment, event)
    }

    /// Ships and delivers everything, and waits until the order is completed.
    pub(crate) async fn complete(&self, order: &pb::Order) -> pb::Order {
        let units: Vec<i64> = order
            .lines
            .iter()
            .map(|line| line.ordered - line.canceled)
            .collect();
        let (shipment, _) = self.ship(order, &units);
        self.tell_shipping(&shipment, true);
        self.until(&order.order_id, "the order to be completed", |order| {
            order.state() == pb::OrderState::Completed
        })
        .await
    }

    /// Returns units: asked for, received, and to be refunded.
    pub(crate) fn bring_back(&self, order: &pb::Order, units: &[i64]) -> Vec<Event> {
        let return_id = id();
        let lines = returned(order, units);
        let asked = ret::ReturnStateChanged {
            return_order: Some(ret::Return {
                return_id: return_id.clone(),
                order_id: order.order_id.clone(),
                lines: lines
                    .iter()
                    .map(|line| ret::ReturnLine {
                        order_line_id: line.order_line_id.clone(),
                        advised: line.quantity,
                        ..ret::ReturnLine::default()
                    })
                    .collect(),
                ..ret::Return::default()
            }),
            action: "request".to_owned(),
        };
        let received = ret::ReturnReceived {
            return_id: return_id.clone(),
            order_id: order.order_id.clone(),
            location_id: "us-east".to_owned(),
            lines: lines.clone(),
        };
        let triggered = ret::ReturnRefundTriggered {
            return_id: return_id.clone(),
            order_id: order.order_id.clone(),
            refund_id: id(),
            lines,
        };
        vec![
            self.tell_returns(&return_id, Returns::ReturnStateChanged(asked)),
            self.tell_returns(&return_id, Returns::ReturnReceived(received)),
            self.tell_returns(&return_id, Returns::ReturnRefundTriggered(triggered)),
        ]
    }

    pub(crate) async fn payments(&self, order_id: &str) -> Vec<pb::PaymentTransaction> {
        let request = pb::ListPaymentsRequest {
            order_id: order_id.to_owned(),
        };
        let mut client = PaymentServiceClient::new(self.api.channel.clone());
        client
            .list_payments(request)
            .await
            .unwrap()
            .into_inner()
            .payments
    }

    pub(crate) async fn refund(
        &self,
        order_id: &str,
        minor_units: i64,
    ) -> Result<pb::PaymentTransaction, PeerError> {
        let request = pb::RefundPaymentRequest {
            request_id: id(),
            order_id: order_id.to_owned(),
            amount: crate::rig::usd(minor_units),
            reason: "the parcel came late".to_owned(),
            ..pb::RefundPaymentRequest::default()
        };
        let mut client = PaymentServiceClient::new(self.api.channel.clone());
        let answer = client.refund_payment(request).await;
        answered(answer).map(|answer| answer.payment.unwrap())
    }

    /// Waits until the order has so many invoices and credit memos, all with a number.
    pub(crate) async fn invoices(&self, order_id: &str, count: usize) -> Vec<pb::Invoice> {
        let mut client = InvoiceServiceClient::new(self.api.channel.clone());
        wait_for("the invoices to be issued", || {
            let mut client = client.clone();
            let request = pb::ListInvoicesRequest {
                order_id: order_id.to_owned(),
            };
            self.clock.advance(std::time::Duration::from_millis(50));
            async move {
                let found = client
                    .list_invoices(request)
                    .await
                    .unwrap()
                    .into_inner()
                    .invoices;
                let issued = found.iter().all(|one| !one.invoice_number.is_empty());
                if issued && found.len() == count {
                    Ok(())
                } else {
                    Err(format!("{found:?}"))
                }
            }
        })
        .await;
        let request = pb::ListInvoicesRequest {
            order_id: order_id.to_owned(),
        };
        client
            .list_invoices(request)
            .await
            .unwrap()
            .into_inner()
            .invoices
    }

    pub(crate) async fn document(&self, invoice_id: &str) -> Vec<u8> {
        let request = pb::GetInvoiceDocumentRequest {
            invoice_id: invoice_id.to_owned(),
        };
        let mut client = InvoiceServiceClient::new(self.api.channel.clone());
        let answer = client.get_invoice_document(request).await.unwrap();
        answer.into_inner().document.unwrap().content
    }

    pub(crate) async fn exceptions(&self) -> Vec<pb::Exception> {
        let mut client = ExceptionServiceClient::new(self.api.channel.clone());
        let answer = client
            .list_exceptions(pb::ListExceptionsRequest::default())
            .await;
        answer.unwrap().into_inner().exceptions
    }

    /// Waits for an exception and answers it.
    pub(crate) async fn exception(&self, step: &str) -> pb::Exception {
        wait_for(&format!("{step} to be parked"), || async {
            let all = self.exceptions().await;
            let found = all.iter().find(|one| one.step == step).cloned();
            found.ok_or_else(|| format!("{all:?}"))
        })
        .await
    }

    pub(crate) async fn retry(&self, exception_id: &str) -> Result<(), PeerError> {
        let request = pb::RetryExceptionRequest {
            request_id: id(),
            exception_id: exception_id.to_owned(),
            note: "the bank was called".to_owned(),
        };
        let mut client = ExceptionServiceClient::new(self.api.channel.clone());
        answered(client.retry_exception(request).await).map(|_| ())
    }

    /// Asks to cancel units of the order's lines, counted from its first; all when none is given.
    pub(crate) async fn cancel(
        &self,
        order: &pb::Order,
        units: &[i64],
    ) -> Result<String, PeerError> {
        let lines = order
            .lines
            .iter()
            .zip(units)
            .filter(|(_, units)| **units != 0);
        let request = pb::CancelOrderRequest {
            request_id: id(),
            order_id: order.order_id.clone(),
            lines: lines
                .map(|(line, units)| pb::CancelOrderLine {
                    order_line_id: line.order_line_id.clone(),
                    quantity: *units,
                })
                .collect(),
            reason: "CUSTOMER".to_owned(),
            ..pb::CancelOrderRequest::default()
        };
        let answer = self.api.orders.clone().cancel_order(request).await;
        answered(answer).map(|answer| answer.cancellation_id)
    }

    /// Waits until the order's last cancellation has this state, with all legs ended.
    pub(crate) async fn until_canceled(
        &self,
        order_id: &str,
        state: pb::CancellationState,
    ) -> pb::Order {
        self.until(
            order_id,
            &format!("the cancellation to be {state:?}"),
            |order| {
                order.cancellations.last().is_some_and(|one| {
                    one.state() == state && one.legs.iter().all(|leg| leg.state != "PENDING")
                })
            },
        )
        .await
    }
}

/// A shipment of units of an order's lines.
pub(crate) fn shipment(order: &pb::Order, units: &[i64]) -> ship::Shipment {
    let lines = order
        .lines
        .iter()
        .zip(units)
        .filter(|(_, units)| **units > 0);
    ship::Shipment {
        shipment_id: id(),
        order_id: order.order_id.clone(),
        direction: ship::ShipmentDirection::Outbound.into(),
        packages: vec![ship::Package {
            lines: lines
                .map(|(line, units)| ship::PackageLine {
                    order_line_id: line.order_line_id.clone(),
                    sku: line.sku.clone(),
                    quantity: *units,
                    ..ship::PackageLine::default()
                })
                .collect(),
            ..ship::Package::default()
        }],
        ..ship::Shipment::default()
    }
}

fn returned(order: &pb::Order, units: &[i64]) -> Vec<ret::ReturnedUnits> {
    let lines = order
        .lines
        .iter()
        .zip(units)
        .filter(|(_, units)| **units > 0);
    lines
        .map(|(line, units)| ret::ReturnedUnits {
            return_line_id: id(),
            order_line_id: line.order_line_id.clone(),
            sku: line.sku.clone(),
            quantity: *units,
        })
        .collect()
}
