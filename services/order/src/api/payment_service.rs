//! PaymentService.

use oms_core::{OrderId, Violations};
use oms_proto::order::v1 as pb;
use oms_proto::order::v1::payment_service_server::PaymentService;
use oms_service::{parse_etag, principal, request_id};
use tonic::{Request, Response, Status};

use super::Api;
use super::error::status;
use super::requests::{caller, id, money, refuse, refused};
use crate::commands::refund_payment::{RefundPayment, refund_payment};
use crate::domain::free_text::check_free_text;
use crate::messages;
use crate::queries::list_payments::list_payments;

/// Longest reason in characters.
const REASON_LEN_MAX: usize = 200;

#[tonic::async_trait]
impl PaymentService for Api {
    async fn list_payments(
        &self,
        request: Request<pb::ListPaymentsRequest>,
    ) -> Result<Response<pb::ListPaymentsResponse>, Status> {
        let mut violations = Violations::default();
        let order_id = id::<OrderId>(&request.get_ref().order_id, "order_id", &mut violations);
        let Some(order_id) = order_id else {
            return Err(refused(violations));
        };
        oms_telemetry::record_order_id(&tracing::Span::current(), order_id);
        let found = list_payments(&self.ctx, order_id).await.map_err(status)?;
        Ok(Response::new(pb::ListPaymentsResponse {
            payments: found.iter().map(messages::payment).collect(),
        }))
    }

    async fn refund_payment(
        &self,
        request: Request<pb::RefundPaymentRequest>,
    ) -> Result<Response<pb::RefundPaymentResponse>, Status> {
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
        oms_telemetry::record_order_id(&tracing::Span::current(), command.order_id);
        let caller = caller(principal, request_id, &message);
        let planned = refund_payment(&self.ctx, &caller, &command).await;
        let payment = Some(messages::payment(&planned.map_err(status)?));
        Ok(Response::new(pb::RefundPaymentResponse { payment }))
    }
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
