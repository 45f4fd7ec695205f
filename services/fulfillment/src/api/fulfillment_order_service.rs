//! `oms.fulfillment.v1.FulfillmentOrderService`.

use oms_core::{ChannelId, LocationId, OrderLineId, Sku};
use oms_proto::fulfillment::v1 as pb;
use oms_proto::fulfillment::v1::fulfillment_order_service_server::FulfillmentOrderService;
use oms_service::{PageToken, fingerprint, page_size};
use tonic::{Request, Response, Status};

use super::Api;
use super::error::status;
use super::read::Reader;
use crate::commands::cancel_fulfillment_order::{CancelRequest, cancel_fulfillment_order};
use crate::commands::create_fulfillment_orders::{AllocatedLine, create_fulfillment_orders};
use crate::commands::hold_fulfillment_order::hold_fulfillment_order;
use crate::commands::release_fulfillment_order_hold::release_fulfillment_order_hold;
use crate::domain::creation::OrderFacts;
use crate::domain::state::State;
use crate::messages;
use crate::queries::Position;
use crate::queries::get_fulfillment_order::get_fulfillment_order;
use crate::queries::list_fulfillment_orders::{FulfillmentOrderList, list_fulfillment_orders};
use crate::queries::location_of::Thing;

/// Most allocated lines of a request: 500 order lines over 16 locations.
const ALLOCATED_MAX: usize = 8_000;
const CANCEL_LINES_MAX: usize = 500;

#[tonic::async_trait]
impl FulfillmentOrderService for Api {
    async fn create_fulfillment_orders(
        &self,
        request: Request<pb::CreateFulfillmentOrdersRequest>,
    ) -> Result<Response<pb::CreateFulfillmentOrdersResponse>, Status> {
        let (message, call, mut reader) =
            Reader::mutation(request, "CreateFulfillmentOrders", |message| {
                &mut message.request_id
            });
        let lines = allocated(&message.lines, &mut reader);
        let facts = facts(message, &mut reader);
        let ((call, facts), lines) = reader.finish(call.zip(facts).zip(lines))?;
        let orders = create_fulfillment_orders(&self.ctx, &call, &facts, &lines)
            .await
            .map_err(status)?;
        Ok(Response::new(pb::CreateFulfillmentOrdersResponse {
            fulfillment_orders: orders.iter().map(messages::fulfillment_order).collect(),
        }))
    }

    async fn get_fulfillment_order(
        &self,
        request: Request<pb::GetFulfillmentOrderRequest>,
    ) -> Result<Response<pb::GetFulfillmentOrderResponse>, Status> {
        let access = oms_service::access(&request);
        let mut reader = Reader::default();
        let id = reader.required(
            "fulfillment_order_id",
            &request.get_ref().fulfillment_order_id,
        );
        let id = reader.finish(id)?;
        self.within(&access, Thing::FulfillmentOrder(id)).await?;
        let order = get_fulfillment_order(&self.ctx, id).await.map_err(status)?;
        let fulfillment_order = Some(messages::fulfillment_order(&order));
        Ok(Response::new(pb::GetFulfillmentOrderResponse {
            fulfillment_order,
        }))
    }

    async fn list_fulfillment_orders(
        &self,
        request: Request<pb::ListFulfillmentOrdersRequest>,
    ) -> Result<Response<pb::ListFulfillmentOrdersResponse>, Status> {
        let access = oms_service::access(&request);
        let mut message = request.into_inner();
        let mut reader = Reader::default();
        let page_size = page_size(std::mem::take(&mut message.page_size), reader.violations());
        let token = std::mem::take(&mut message.page_token);
        let location_id: Option<LocationId> = reader.optional("location_id", &message.location_id);
        let order_id = reader.optional("order_id", &message.order_id);
        let states = states(&message.states, &mut reader);
        reader.finish(Some(()))?;
        let locations =
            oms_service::locations(&access, location_id.as_ref().map(LocationId::as_str))?;
        if states.is_empty() && !message.states.is_empty() {
            // Only states were asked for that nothing is in.
            return Ok(Response::new(pb::ListFulfillmentOrdersResponse::default()));
        }
        let filter = fingerprint(&message);
        let after = PageToken::decode::<Position>(&token, &filter)?;
        let list = FulfillmentOrderList {
            locations,
            order_id,
            states,
            after,
            page_size,
        };
        let (orders, end) = list_fulfillment_orders(&self.ctx, list)
            .await
            .map_err(status)?;
        Ok(Response::new(pb::ListFulfillmentOrdersResponse {
            fulfillment_orders: orders.iter().map(messages::fulfillment_order).collect(),
            next_page_token: end
                .map(|end| PageToken::encode(&end, &filter))
                .unwrap_or_default(),
        }))
    }

    async fn hold_fulfillment_order(
        &self,
        request: Request<pb::HoldFulfillmentOrderRequest>,
    ) -> Result<Response<pb::HoldFulfillmentOrderResponse>, Status> {
        let access = oms_service::access(&request);
        let (message, call, mut reader) =
            Reader::mutation(request, "HoldFulfillmentOrder", |message| {
                &mut message.request_id
            });
        let id = reader.required("fulfillment_order_id", &message.fulfillment_order_id);
        let etag = reader.etag(&message.etag);
        reader.free_text("reason", &message.reason, 1..=200);
        let (call, id) = reader.finish(call.zip(id))?;
        self.within(&access, Thing::FulfillmentOrder(id)).await?;
        let order = hold_fulfillment_order(&self.ctx, &call, id, etag, &message.reason)
            .await
            .map_err(status)?;
        let fulfillment_order = Some(messages::fulfillment_order(&order));
        Ok(Response::new(pb::HoldFulfillmentOrderResponse {
            fulfillment_order,
        }))
    }

    async fn release_fulfillment_order_hold(
        &self,
        request: Request<pb::ReleaseFulfillmentOrderHoldRequest>,
    ) -> Result<Response<pb::ReleaseFulfillmentOrderHoldResponse>, Status> {
        let access = oms_service::access(&request);
        let (message, call, mut reader) =
            Reader::mutation(request, "ReleaseFulfillmentOrderHold", |message| {
                &mut message.request_id
            });
        let id = reader.required("fulfillment_order_id", &message.fulfillment_order_id);
        let etag = reader.etag(&message.etag);
        let (call, id) = reader.finish(call.zip(id))?;
        self.within(&access, Thing::FulfillmentOrder(id)).await?;
        let order = release_fulfillment_order_hold(&self.ctx, &call, id, etag)
            .await
            .map_err(status)?;
        let fulfillment_order = Some(messages::fulfillment_order(&order));
        Ok(Response::new(pb::ReleaseFulfillmentOrderHoldResponse {
            fulfillment_order,
        }))
    }

    async fn cancel_fulfillment_order(
        &self,
        request: Request<pb::CancelFulfillmentOrderRequest>,
    ) -> Result<Response<pb::CancelFulfillmentOrderResponse>, Status> {
        let (message, call, mut reader) =
            Reader::mutation(request, "CancelFulfillmentOrder", |message| {
                &mut message.request_id
            });
        let id = reader.required("fulfillment_order_id", &message.fulfillment_order_id);
        let etag = reader.etag(&message.etag);
        let lines = cancel_lines(&message.lines, &mut reader);
        reader.free_text("reason", &message.reason, 0..=200);
        let ((call, id), lines) = reader.finish(call.zip(id).zip(lines))?;
        let request = CancelRequest {
            id,
            etag,
            lines,
            reason: message.reason,
        };
        let (order, canceled) = cancel_fulfillment_order(&self.ctx, &call, &request)
            .await
            .map_err(status)?;
        Ok(Response::new(pb::CancelFulfillmentOrderResponse {
            fulfillment_order: Some(messages::fulfillment_order(&order)),
            canceled_lines: messages::allocated_lines(&order, &canceled),
        }))
    }
}

fn facts(message: pb::CreateFulfillmentOrdersRequest, reader: &mut Reader) -> Option<OrderFacts> {
    let order_id = reader.required("order_id", &message.order_id);
    reader.text("order_number", &message.order_number, 1..=64);
    let channel_id: Option<ChannelId> = reader.optional("channel_id", &message.channel_id);
    let proposal_id = reader.optional("proposal_id", &message.proposal_id);
    let destination = reader.destination(message.destination);
    let service_level = reader.service_level("service_level", message.service_level);
    let fill_policy = reader.fill_policy("fill_policy", message.fill_policy);
    reader.number("priority", message.priority.into(), 0..=9);
    reader.free_text("instructions", &message.instructions, 0..=1_000);
    Some(OrderFacts {
        order_id: order_id?,
        order_number: message.order_number,
        channel_id: channel_id.map(String::from).unwrap_or_default(),
        proposal_id,
        destination: destination?,
        service_level: service_level?,
        fill_policy: fill_policy?,
        priority: i16::try_from(message.priority).ok()?,
        instructions: message.instructions,
    })
}

fn allocated(lines: &[pb::AllocatedLine], reader: &mut Reader) -> Option<Vec<AllocatedLine>> {
    if !reader.count("lines", lines.len(), 1..=ALLOCATED_MAX) {
        return None;
    }
    let mut read = Vec::with_capacity(lines.len());
    for (index, line) in lines.iter().enumerate() {
        let at = |field: &str| format!("lines[{index}].{field}");
        let order_line_id = reader.required(at("order_line_id"), &line.order_line_id);
        let sku: Option<Sku> = reader.required(at("sku"), &line.sku);
        let location_id = reader.required(at("location_id"), &line.location_id);
        let quantity = reader.quantity(at("quantity"), line.quantity);
        let reservation_id = reader.required(at("reservation_id"), &line.reservation_id);
        reader.text(&at("lot"), &line.lot, 0..=64);
        let ids = order_line_id.zip(reservation_id);
        if let Some(((((order_line_id, reservation_id), sku), location_id), quantity)) =
            ids.zip(sku).zip(location_id).zip(quantity)
        {
            read.push(AllocatedLine {
                order_line_id,
                sku: sku.into(),
                location_id,
                lot: line.lot.clone(),
                quantity,
                reservation_id,
            });
        }
    }
    let keys = lines.iter().map(|line| {
        (
            &line.order_line_id,
            &line.location_id,
            &line.lot,
            &line.reservation_id,
        )
    });
    reader.distinct(keys, |index| format!("lines[{index}]"));
    Some(read)
}

fn cancel_lines(lines: &[pb::CancelLine], reader: &mut Reader) -> Option<Vec<(OrderLineId, i64)>> {
    if !reader.count("lines", lines.len(), 0..=CANCEL_LINES_MAX) {
        return None;
    }
    let mut read = Vec::with_capacity(lines.len());
    for (index, line) in lines.iter().enumerate() {
        let id = reader.required(format!("lines[{index}].order_line_id"), &line.order_line_id);
        let quantity = reader.quantity(format!("lines[{index}].quantity"), line.quantity);
        read.extend(id.zip(quantity));
    }
    let ids = lines.iter().map(|line| &line.order_line_id);
    reader.distinct(ids, |index| format!("lines[{index}].order_line_id"));
    Some(read)
}

fn states(values: &[i32], reader: &mut Reader) -> Vec<State> {
    let mut states = Vec::with_capacity(values.len());
    for (index, value) in values.iter().enumerate() {
        let state = pb::FulfillmentOrderState::try_from(*value).ok();
        // A state that no fulfillment order is in yet, but may be asked for.
        if state == Some(pb::FulfillmentOrderState::Scheduled) {
            continue;
        }
        let name =
            state.and_then(|state| state.as_str_name().strip_prefix("FULFILLMENT_ORDER_STATE_"));
        states.extend(reader.known::<State>(format!("states[{index}]"), name));
    }
    states
}
