//! OrderService.

use std::time::Duration;

use oms_core::{AddressId, ChannelId, OrderId, Violations};
use oms_proto::order::v1 as pb;
use oms_proto::order::v1::order_service_server::OrderService;
use oms_service::{PageToken, fingerprint, page_size, parse_etag, principal, request_id};
use tonic::{Request, Response, Status};
use uuid::Uuid;

use super::Api;
use super::error::status;
use super::new_order::new_order;
use super::requests::{
    caller, id, next_page, of_position, optional_time, position, refuse, refused,
};
use crate::commands::place_order::{PlaceOrder, place_order};
use crate::commands::update_order::{self, UpdateOrder, update_order};
use crate::commands::validate_order::validate_order;
use crate::domain::list::OrderFilter;
use crate::domain::new_order::NewOrder;
use crate::error::Error;
use crate::messages;
use crate::queries::channel_of::Thing;
use crate::queries::get_order::{GetOrder, get_order};
use crate::queries::get_order_address::get_order_address;
use crate::queries::get_order_timeline::get_order_timeline;
use crate::queries::get_order_trace::get_order_trace;
use crate::queries::list_orders::list_orders;

/// What is left of the caller's deadline for writing the answer.
const ANSWER_MARGIN: Duration = Duration::from_millis(300);

#[tonic::async_trait]
impl OrderService for Api {
    async fn place_order(
        &self,
        request: Request<pb::PlaceOrderRequest>,
    ) -> Result<Response<pb::PlaceOrderResponse>, Status> {
        let access = oms_service::access(&request);
        let principal = principal(&request);
        let patience = self.patience(&request);
        let message = request.into_inner();
        let mut violations = Violations::default();
        let request_id = request_id(&message.request_id, &mut violations);
        let wait = wait_for(message.wait_for, patience, &mut violations);
        let hashed = pb::PlaceOrderRequest {
            order: message.order.clone(),
            ..pb::PlaceOrderRequest::default()
        };
        let order = order_of(message.order, &mut violations);
        if let Some(order) = &order {
            // First of all: what is wrong with an order tells of its channel.
            oms_service::check_channel(&access, &order.channel_id)?;
            if !violations.is_empty() {
                self.check_too(order, &mut violations).await?;
            }
        }
        let (Some(request_id), Some(order)) = (request_id, order) else {
            return Err(refused(violations));
        };
        refuse(violations)?;
        let caller = caller(principal, request_id, &hashed);
        let command = PlaceOrder { order, wait };
        let placed = place_order(&self.ctx, &caller, &command)
            .await
            .map_err(status)?;
        record(placed.order_id);
        let order = Some(messages::order(&placed));
        Ok(Response::new(pb::PlaceOrderResponse { order }))
    }

    async fn validate_order(
        &self,
        request: Request<pb::ValidateOrderRequest>,
    ) -> Result<Response<pb::ValidateOrderResponse>, Status> {
        let access = oms_service::access(&request);
        let mut violations = Violations::default();
        let order = order_of(request.into_inner().order, &mut violations);
        let Some(order) = order else {
            return Err(refused(violations));
        };
        oms_service::check_channel(&access, &order.channel_id)?;
        if !violations.is_empty() {
            self.check_too(&order, &mut violations).await?;
        }
        refuse(violations)?;
        let priced = validate_order(&self.ctx, &order).await.map_err(status)?;
        let order = Some(without_ids(messages::order(&priced)));
        Ok(Response::new(pb::ValidateOrderResponse { order }))
    }

    async fn get_order(
        &self,
        request: Request<pb::GetOrderRequest>,
    ) -> Result<Response<pb::GetOrderResponse>, Status> {
        let access = oms_service::access(&request);
        let query = which_order(request.into_inner())?;
        let found = get_order(&self.ctx, &query).await.map_err(status)?;
        if !access.channels.permits(&found.channel_id) {
            return Err(status(query.not_found()));
        }
        record(found.order_id);
        let order = Some(messages::order(&found));
        Ok(Response::new(pb::GetOrderResponse { order }))
    }

    async fn list_orders(
        &self,
        request: Request<pb::ListOrdersRequest>,
    ) -> Result<Response<pb::ListOrdersResponse>, Status> {
        let access = oms_service::access(&request);
        let mut message = request.into_inner();
        let mut violations = Violations::default();
        let size = page_size(message.page_size, &mut violations);
        let token = std::mem::take(&mut message.page_token);
        message.page_size = 0;
        let seal = fingerprint(&message);
        let filter = filter_of(message, &mut violations);
        refuse(violations)?;
        let named = Some(filter.channel_id.as_str()).filter(|id| !id.is_empty());
        let channels = oms_service::channels(&access, named)?;
        let after = PageToken::decode::<(i64, Uuid)>(&token, &seal)?.and_then(of_position);
        let mut found = list_orders(&self.ctx, &filter, channels, after, size + 1)
            .await
            .map_err(status)?;
        let next_page_token = next_page(&mut found, size, &seal, |last| {
            position(last.created_at, last.order_id.uuid())
        });
        Ok(Response::new(pb::ListOrdersResponse {
            orders: found.iter().map(messages::order).collect(),
            next_page_token,
        }))
    }

    async fn cancel_order(
        &self,
        request: Request<pb::CancelOrderRequest>,
    ) -> Result<Response<pb::CancelOrderResponse>, Status> {
        Ok(Response::new(self.answer_cancel_order(request).await?))
    }

    async fn update_order(
        &self,
        request: Request<pb::UpdateOrderRequest>,
    ) -> Result<Response<pb::UpdateOrderResponse>, Status> {
        let access = oms_service::access(&request);
        let principal = principal(&request);
        let mut message = request.into_inner();
        let mut violations = Violations::default();
        let request_id = request_id(&message.request_id, &mut violations);
        let order_id = id::<OrderId>(&message.order_id, "order_id", &mut violations);
        let etag = parse_etag(&message.etag, &mut violations);
        message.request_id.clear();
        let hashed = message.clone();
        let (Some(request_id), Some(order_id)) = (request_id, order_id) else {
            return Err(refused(violations));
        };
        let command = UpdateOrder {
            order_id,
            etag,
            instructions: message.instructions,
            custom_fields: message.custom_fields.into_iter().collect(),
        };
        update_order::check(&command, &mut violations);
        refuse(violations)?;
        self.within(&access, Thing::Order(order_id)).await?;
        record(order_id);
        let caller = caller(principal, request_id, &hashed);
        let updated = update_order(&self.ctx, &caller, &command)
            .await
            .map_err(status)?;
        let order = Some(messages::order(&updated));
        Ok(Response::new(pb::UpdateOrderResponse { order }))
    }

    async fn get_order_timeline(
        &self,
        request: Request<pb::GetOrderTimelineRequest>,
    ) -> Result<Response<pb::GetOrderTimelineResponse>, Status> {
        let access = oms_service::access(&request);
        let message = request.into_inner();
        let mut violations = Violations::default();
        let size = page_size(message.page_size, &mut violations);
        let order_id = id::<OrderId>(&message.order_id, "order_id", &mut violations);
        let Some(order_id) = order_id else {
            return Err(refused(violations));
        };
        refuse(violations)?;
        self.within(&access, Thing::Order(order_id)).await?;
        record(order_id);
        let seal = fingerprint(&pb::GetOrderTimelineRequest {
            order_id: message.order_id,
            ..pb::GetOrderTimelineRequest::default()
        });
        let after = PageToken::decode::<i64>(&message.page_token, &seal)?.unwrap_or_default();
        let mut rows = get_order_timeline(&self.ctx, order_id, after, size + 1)
            .await
            .map_err(status)?;
        let next_page_token = next_page(&mut rows, size, &seal, |last| last.sequence);
        Ok(Response::new(pb::GetOrderTimelineResponse {
            entries: rows.into_iter().map(messages::timeline_entry).collect(),
            next_page_token,
        }))
    }

    async fn get_order_trace(
        &self,
        request: Request<pb::GetOrderTraceRequest>,
    ) -> Result<Response<pb::GetOrderTraceResponse>, Status> {
        let access = oms_service::access(&request);
        let message = request.into_inner();
        let mut violations = Violations::default();
        let size = page_size(message.page_size, &mut violations);
        let order_id = id::<OrderId>(&message.order_id, "order_id", &mut violations);
        let Some(order_id) = order_id else {
            return Err(refused(violations));
        };
        refuse(violations)?;
        self.within(&access, Thing::Order(order_id)).await?;
        record(order_id);
        let seal = fingerprint(&pb::GetOrderTraceRequest {
            order_id: message.order_id,
            ..pb::GetOrderTraceRequest::default()
        });
        let after = PageToken::decode::<(i64, String)>(&message.page_token, &seal)?;
        let after = after.and_then(of_position);
        let mut found = get_order_trace(&self.ctx, order_id, after, size + 1)
            .await
            .map_err(status)?;
        let next_page_token = next_page(&mut found, size, &seal, |last| {
            position(last.first_at, last.trace_id.clone())
        });
        Ok(Response::new(pb::GetOrderTraceResponse {
            traces: found.into_iter().map(messages::order_trace).collect(),
            next_page_token,
        }))
    }

    async fn list_at_risk(
        &self,
        request: Request<pb::ListAtRiskRequest>,
    ) -> Result<Response<pb::ListAtRiskResponse>, Status> {
        self.answer_list_at_risk(request.into_inner()).await
    }

    async fn get_backlog(
        &self,
        _: Request<pb::GetBacklogRequest>,
    ) -> Result<Response<pb::GetBacklogResponse>, Status> {
        self.answer_get_backlog().await
    }

    async fn get_order_address(
        &self,
        request: Request<pb::GetOrderAddressRequest>,
    ) -> Result<Response<pb::GetOrderAddressResponse>, Status> {
        let access = oms_service::access(&request);
        let message = request.into_inner();
        let mut violations = Violations::default();
        let Some(address_id) = id::<AddressId>(&message.address_id, "address_id", &mut violations)
        else {
            return Err(refused(violations));
        };
        self.within(&access, Thing::Address(address_id)).await?;
        let found = get_order_address(&self.ctx, address_id)
            .await
            .map_err(status)?;
        let address = Some(messages::address(found));
        Ok(Response::new(pb::GetOrderAddressResponse { address }))
    }
}

fn record(order_id: OrderId) {
    oms_telemetry::record_order_id(&tracing::Span::current(), order_id);
}

impl Api {
    /// Adds what is wrong with the order itself, so that everything is told at once.
    async fn check_too(&self, order: &NewOrder, violations: &mut Violations) -> Result<(), Status> {
        match validate_order(&self.ctx, order).await {
            Ok(_) => Ok(()),
            Err(Error::Invalid(more)) => {
                for violation in more {
                    violations.push(violation.field, violation.reason, violation.message);
                }
                Ok(())
            }
            Err(error) => Err(status(error)),
        }
    }

    /// How long a caller is ready to wait for the confirmation: almost to its deadline, at most as configured.
    fn patience<T>(&self, request: &Request<T>) -> Duration {
        let most = Duration::from_millis(self.ctx.config.saga.wait_most_ms);
        let deadline = request
            .metadata()
            .get("grpc-timeout")
            .and_then(|value| value.to_str().ok())
            .and_then(grpc_timeout);
        deadline.map_or(most, |deadline| {
            deadline.saturating_sub(ANSWER_MARGIN).min(most)
        })
    }
}

/// A timeout as gRPC writes it: up to eight digits and a unit.
fn grpc_timeout(text: &str) -> Option<Duration> {
    let (digits, unit) = text.split_at_checked(text.len().checked_sub(1)?)?;
    let number: u64 = digits.parse().ok()?;
    match unit {
        "H" => Some(Duration::from_secs(number.saturating_mul(3_600))),
        "M" => Some(Duration::from_secs(number.saturating_mul(60))),
        "S" => Some(Duration::from_secs(number)),
        "m" => Some(Duration::from_millis(number)),
        "u" => Some(Duration::from_micros(number)),
        "n" => Some(Duration::from_nanos(number)),
        _ => None,
    }
}

fn wait_for(number: i32, patience: Duration, violations: &mut Violations) -> Option<Duration> {
    match pb::WaitFor::try_from(number) {
        Ok(pb::WaitFor::Confirmed) => Some(patience),
        Ok(pb::WaitFor::Unspecified | pb::WaitFor::Pending) => None,
        Err(_) => {
            violations.push("wait_for", "FIELD_MALFORMED", "is nothing to wait for");
            None
        }
    }
}

fn order_of(message: Option<pb::NewOrder>, violations: &mut Violations) -> Option<NewOrder> {
    if message.is_none() {
        violations.push("order", "FIELD_REQUIRED", "must hold an order");
    }
    message.map(|message| new_order(message, violations))
}

/// A priced order has no ids yet.
fn without_ids(mut order: pb::Order) -> pb::Order {
    order.order_id.clear();
    order.saga_step.clear();
    order.etag.clear();
    order.supported_actions.clear();
    order.create_time = None;
    order.update_time = None;
    if let Some(destination) = &mut order.destination {
        destination.address_id.clear();
    }
    for line in &mut order.lines {
        line.order_line_id.clear();
    }
    order
}

fn which_order(message: pb::GetOrderRequest) -> Result<GetOrder, Status> {
    let mut violations = Violations::default();
    if !message.external_reference.is_empty() && message.order_id.is_empty() {
        let channel = id::<ChannelId>(&message.channel_id, "channel_id", &mut violations);
        let channel = channel.ok_or_else(|| refused(violations))?;
        let channel_id = channel.as_str().to_owned();
        return Ok(GetOrder::Reference(channel_id, message.external_reference));
    }
    let order_id = id::<OrderId>(&message.order_id, "order_id", &mut violations);
    order_id
        .map(GetOrder::Id)
        .ok_or_else(|| refused(violations))
}

fn filter_of(message: pb::ListOrdersRequest, violations: &mut Violations) -> OrderFilter {
    let mut states = Vec::with_capacity(message.states.len());
    for (index, number) in message.states.iter().enumerate() {
        let name = pb::OrderState::try_from(*number)
            .ok()
            .filter(|state| *state != pb::OrderState::Unspecified)
            .and_then(|state| state.as_str_name().strip_prefix("ORDER_STATE_"));
        match name {
            Some(name) => states.push(name.to_owned()),
            None => violations.push(
                format!("states[{index}]"),
                "FIELD_MALFORMED",
                "is no state of an order",
            ),
        }
    }
    OrderFilter {
        states,
        channel_id: message.channel_id,
        customer_id: message.customer_id,
        order_number: message.order_number,
        created_after: optional_time(message.created_after, "created_after", violations),
        created_before: optional_time(message.created_before, "created_before", violations),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn timeouts_are_read_as_grpc_writes_them() {
        assert_eq!(grpc_timeout("1500m"), Some(Duration::from_millis(1_500)));
        assert_eq!(grpc_timeout("2S"), Some(Duration::from_secs(2)));
        for wrong in ["", "m", "5", "x1m", "5d"] {
            assert_eq!(grpc_timeout(wrong), None, "{wrong:?}");
        }
    }
}
