//! PaymentService.

use oms_core::{OrderId, ShipmentId, Violations, check_free_text};
use oms_proto::order::v1 as pb;
use oms_proto::order::v1::payment_service_server::PaymentService;
use oms_service::{parse_etag, principal, request_id};
use tonic::{Request, Response, Status};

use super::Api;
use super::error::status;
use super::requests::{caller, id, money, refuse, refused};
use crate::commands::record_collection::{RecordCollection, record_collection};
use crate::commands::refund_payment::{RefundPayment, refund_payment};
use crate::messages;
use crate::queries::channel_of::Thing;
use crate::queries::list_payments::list_payments;

/// Longest reason in characters.
const REASON_LEN_MAX: usize = 200;

#[tonic::async_trait]
impl PaymentService for Api {
    async fn list_payments(
        &self,
        request: Request<pb::ListPaymentsRequest>,
    ) -> Result<Response<pb::ListPaymentsResponse>, Status> {
        let access = oms_service::access(&request);
        let mut violations = Violations::default();
        let order_id = id::<OrderId>(&request.get_ref().order_id, "order_id", &mut violations);
        let Some(order_id) = order_id else {
            return Err(refused(violations));
        };
        self.within(&access, Thing::Order(order_id)).await?;
        oms_telemetry::record_order_id(&tracing::Span::current(), order_id);
        let found = list_payments(&self.ctx, order_id).await;
        let (payments, collections) = found.map_err(status)?;
        // Every order with a collection has the authorization that it draws from.
        let currency = payments.first().map(|one| one.currency);
        let told = currency.map(|currency| {
            let one = |collection| messages::collection(currency, collection);
            collections.iter().map(one).collect()
        });
        Ok(Response::new(pb::ListPaymentsResponse {
            payments: payments.iter().map(messages::payment).collect(),
            collections: told.unwrap_or_default(),
        }))
    }

    async fn refund_payment(
        &self,
        request: Request<pb::RefundPaymentRequest>,
    ) -> Result<Response<pb::RefundPaymentResponse>, Status> {
        let access = oms_service::access(&request);
        let principal = principal(&request);
        let mut message = request.into_inner();
        let mut violations = Violations::default();
        let request_id = request_id(&message.request_id, &mut violations);
        message.request_id.clear();
        let command = refund(&message, &mut violations);
        let (Some(request_id), Some(command)) = (request_id, command) else {
            return Err(refused(violations));
        };
        refuse(violations)?;
        self.within(&access, Thing::Order(command.order_id)).await?;
        oms_telemetry::record_order_id(&tracing::Span::current(), command.order_id);
        let caller = caller(principal, request_id, &message);
        let planned = refund_payment(&self.ctx, &caller, &command).await;
        let payment = Some(messages::payment(&planned.map_err(status)?));
        Ok(Response::new(pb::RefundPaymentResponse { payment }))
    }

    async fn record_collection(
        &self,
        request: Request<pb::RecordCollectionRequest>,
    ) -> Result<Response<pb::RecordCollectionResponse>, Status> {
        let access = oms_service::access(&request);
        let principal = principal(&request);
        let mut message = request.into_inner();
        let mut violations = Violations::default();
        let request_id = request_id(&message.request_id, &mut violations);
        message.request_id.clear();
        let command = collection(&message, &mut violations);
        let (Some(request_id), Some(command)) = (request_id, command) else {
            return Err(refused(violations));
        };
        refuse(violations)?;
        self.within(&access, Thing::Order(command.order_id)).await?;
        oms_telemetry::record_order_id(&tracing::Span::current(), command.order_id);
        let caller = caller(principal, request_id, &message);
        let recorded = record_collection(&self.ctx, &caller, &command).await;
        let (currency, recorded) = recorded.map_err(status)?;
        let collection = Some(messages::collection(currency, &recorded));
        Ok(Response::new(pb::RecordCollectionResponse { collection }))
    }
}

fn collection(
    message: &pb::RecordCollectionRequest,
    violations: &mut Violations,
) -> Option<RecordCollection> {
    let order_id = id::<OrderId>(&message.order_id, "order_id", violations);
    let shipment_id = id::<ShipmentId>(&message.shipment_id, "shipment_id", violations);
    let collected = match message.state() {
        pb::CollectionState::Collected => Some(true),
        pb::CollectionState::Refused => Some(false),
        pb::CollectionState::Unspecified | pb::CollectionState::Due => {
            let message = "must be COLLECTED or REFUSED";
            violations.push("state", "FIELD_OUT_OF_RANGE", message);
            None
        }
    };
    Some(RecordCollection {
        order_id: order_id?,
        shipment_id: shipment_id?,
        collected: collected?,
    })
}

fn refund(
    message: &pb::RefundPaymentRequest,
    violations: &mut Violations,
) -> Option<RefundPayment> {
    let order_id = id::<OrderId>(&message.order_id, "order_id", violations);
    let etag = parse_etag(&message.etag, violations);
    let amount = money(message.amount.as_ref(), "amount", violations);
    violations.check(
        !message.reason.trim().is_empty(),
        "reason",
        "FIELD_REQUIRED",
        "must say why",
    );
    check_free_text(&message.reason, "reason", REASON_LEN_MAX, violations);
    Some(RefundPayment {
        order_id: order_id?,
        etag,
        amount: amount?,
        reason: message.reason.clone(),
    })
}
