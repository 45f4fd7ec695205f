//! HoldService.

use oms_core::{HoldId, OrderId, OrderLineId, Violations, check_free_text};
use oms_proto::order::v1 as pb;
use oms_proto::order::v1::hold_service_server::HoldService;
use oms_service::{PageToken, fingerprint, page_size, parse_etag, principal, request_id};
use tonic::{Request, Response, Status};
use uuid::Uuid;

use super::Api;
use super::error::status;
use super::requests::{
    caller, id, next_page, of_position, optional_id, optional_time, position, refuse, refused,
};
use crate::commands::place_hold::{PlaceHold, place_hold};
use crate::commands::release_hold::{ReleaseHold, release_hold};
use crate::domain::order::HoldBlock;
use crate::messages;
use crate::queries::channel_of::Thing;
use crate::queries::list_holds::{HoldFilter, list_holds};

/// Longest note in characters.
const NOTE_LEN_MAX: usize = 500;

#[tonic::async_trait]
impl HoldService for Api {
    async fn place_hold(
        &self,
        request: Request<pb::PlaceHoldRequest>,
    ) -> Result<Response<pb::PlaceHoldResponse>, Status> {
        let access = oms_service::access(&request);
        let principal = principal(&request);
        let mut message = request.into_inner();
        let mut violations = Violations::default();
        let request_id = request_id(&message.request_id, &mut violations);
        message.request_id.clear();
        let command = place(&message, &mut violations);
        let (Some(request_id), Some(command)) = (request_id, command) else {
            return Err(refused(violations));
        };
        refuse(violations)?;
        self.within(&access, Thing::Order(command.order_id)).await?;
        record(command.order_id);
        let caller = caller(principal, request_id, &message);
        let placed = place_hold(&self.ctx, &caller, &command).await;
        let (order_id, hold) = placed.map_err(status)?;
        let hold = Some(messages::hold(order_id, &hold));
        Ok(Response::new(pb::PlaceHoldResponse { hold }))
    }

    async fn release_hold(
        &self,
        request: Request<pb::ReleaseHoldRequest>,
    ) -> Result<Response<pb::ReleaseHoldResponse>, Status> {
        let access = oms_service::access(&request);
        let principal = principal(&request);
        let mut message = request.into_inner();
        let mut violations = Violations::default();
        let request_id = request_id(&message.request_id, &mut violations);
        message.request_id.clear();
        let hold_id = id::<HoldId>(&message.hold_id, "hold_id", &mut violations);
        check_free_text(&message.note, "note", NOTE_LEN_MAX, &mut violations);
        let (Some(request_id), Some(hold_id)) = (request_id, hold_id) else {
            return Err(refused(violations));
        };
        refuse(violations)?;
        self.within(&access, Thing::Hold(hold_id)).await?;
        let caller = caller(principal, request_id, &message);
        let command = ReleaseHold {
            hold_id,
            note: message.note,
        };
        let released = release_hold(&self.ctx, &caller, &command).await;
        let (order_id, hold) = released.map_err(status)?;
        record(order_id);
        let hold = Some(messages::hold(order_id, &hold));
        Ok(Response::new(pb::ReleaseHoldResponse { hold }))
    }

    async fn list_holds(
        &self,
        request: Request<pb::ListHoldsRequest>,
    ) -> Result<Response<pb::ListHoldsResponse>, Status> {
        let access = oms_service::access(&request);
        let mut message = request.into_inner();
        let mut violations = Violations::default();
        let size = page_size(message.page_size, &mut violations);
        let order_id = optional_id::<OrderId>(&message.order_id, "order_id", &mut violations);
        refuse(violations)?;
        let token = std::mem::take(&mut message.page_token);
        message.page_size = 0;
        let seal = fingerprint(&message);
        let after = PageToken::decode::<(i64, Uuid)>(&token, &seal)?.and_then(of_position);
        let filter = HoldFilter {
            order_id,
            active_only: message.active_only,
            channels: access.channels.names(),
        };
        let mut found = list_holds(&self.ctx, &filter, after, size + 1)
            .await
            .map_err(status)?;
        let next_page_token = next_page(&mut found, size, &seal, |(_, last)| {
            position(last.created_at, last.hold_id.uuid())
        });
        Ok(Response::new(pb::ListHoldsResponse {
            holds: found
                .iter()
                .map(|(order_id, hold)| messages::hold(*order_id, hold))
                .collect(),
            next_page_token,
        }))
    }
}

fn record(order_id: OrderId) {
    oms_telemetry::record_order_id(&tracing::Span::current(), order_id);
}

fn place(message: &pb::PlaceHoldRequest, violations: &mut Violations) -> Option<PlaceHold> {
    let order_id = id::<OrderId>(&message.order_id, "order_id", violations);
    let etag = parse_etag(&message.etag, violations);
    let order_line_id =
        optional_id::<OrderLineId>(&message.order_line_id, "order_line_id", violations);
    check_free_text(&message.note, "note", NOTE_LEN_MAX, violations);
    let release_at = optional_time(message.release_at, "release_at", violations);
    let reason = reason(message.reason, violations);
    let blocks = blocks(&message.blocks, violations);
    Some(PlaceHold {
        order_id: order_id?,
        etag,
        order_line_id,
        reason: reason?,
        blocks,
        note: message.note.clone(),
        release_at,
    })
}

fn reason(number: i32, violations: &mut Violations) -> Option<String> {
    match pb::HoldReason::try_from(number) {
        Ok(pb::HoldReason::Unspecified) => {
            violations.push("reason", "FIELD_REQUIRED", "must say why");
            None
        }
        Ok(reason) => {
            let name = reason.as_str_name().strip_prefix("HOLD_REASON_");
            name.map(str::to_owned)
        }
        Err(_) => {
            violations.push("reason", "FIELD_MALFORMED", "is no reason of a hold");
            None
        }
    }
}

/// What is stopped; confirmation and release when nothing is named.
fn blocks(numbers: &[i32], violations: &mut Violations) -> Vec<HoldBlock> {
    if numbers.is_empty() {
        return vec![HoldBlock::Confirm, HoldBlock::ReleaseToNode];
    }
    let mut blocks = Vec::new();
    for (index, number) in numbers.iter().enumerate() {
        let block = match pb::HoldBlock::try_from(*number) {
            Ok(pb::HoldBlock::Confirm) => HoldBlock::Confirm,
            Ok(pb::HoldBlock::ReleaseToNode) => HoldBlock::ReleaseToNode,
            Ok(pb::HoldBlock::Capture) => HoldBlock::Capture,
            Ok(pb::HoldBlock::Unspecified) | Err(_) => {
                let field = format!("blocks[{index}]");
                violations.push(field, "FIELD_MALFORMED", "is nothing that a hold stops");
                continue;
            }
        };
        if !blocks.contains(&block) {
            blocks.push(block);
        }
    }
    blocks
}
