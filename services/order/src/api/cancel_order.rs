//! CancelOrder of OrderService.

use oms_core::{OrderId, Violations, check_free_text};
use oms_proto::order::v1 as pb;
use oms_service::{parse_etag, principal, request_id};
use tonic::{Request, Status};

use super::Api;
use super::error::status;
use super::requests::{caller, id, refused};
use crate::commands::cancel_order::{self, CancelOrder};
use crate::messages;
use crate::queries::channel_of::Thing;

/// Longest note in characters.
const NOTE_LEN_MAX: usize = 500;
/// Most lines of an order.
const LINES_MAX: usize = 500;

impl Api {
    /// Answers CancelOrder. What is wrong with the request is told together with what only the order can
    /// tell, such as lines that it does not have.
    pub(super) async fn answer_cancel_order(
        &self,
        request: Request<pb::CancelOrderRequest>,
    ) -> Result<pb::CancelOrderResponse, Status> {
        let access = oms_service::access(&request);
        let principal = principal(&request);
        let mut message = request.into_inner();
        let mut violations = Violations::default();
        let request_id = request_id(&message.request_id, &mut violations);
        message.request_id.clear();
        let command = command(&message, &mut violations);
        let (Some(request_id), Some(command)) = (request_id, command) else {
            return Err(refused(violations));
        };
        self.within(&access, Thing::Order(command.order_id)).await?;
        oms_telemetry::record_order_id(&tracing::Span::current(), command.order_id);
        let caller = caller(principal, request_id, &message);
        let canceled = cancel_order::cancel_order(&self.ctx, &caller, &command, violations).await;
        let (order, cancellation_id) = canceled.map_err(status)?;
        Ok(pb::CancelOrderResponse {
            order: Some(messages::order(&order)),
            cancellation_id: cancellation_id.to_string(),
        })
    }
}

fn command(message: &pb::CancelOrderRequest, violations: &mut Violations) -> Option<CancelOrder> {
    let order_id = id::<OrderId>(&message.order_id, "order_id", violations);
    let etag = parse_etag(&message.etag, violations);
    check_free_text(&message.note, "note", NOTE_LEN_MAX, violations);
    violations.check(
        message.lines.len() <= LINES_MAX,
        "lines",
        "FIELD_OUT_OF_RANGE",
        format!("at most {LINES_MAX} lines"),
    );
    let lines = message.lines.iter().take(LINES_MAX).enumerate();
    let lines = lines
        .map(|(index, line)| {
            let field = format!("lines[{index}].order_line_id");
            (id(&line.order_line_id, &field, violations), line.quantity)
        })
        .collect();
    let command = CancelOrder {
        order_id: order_id?,
        etag,
        lines,
        reason: message.reason.clone(),
        note: message.note.clone(),
    };
    cancel_order::check(&command, violations);
    Some(command)
}
