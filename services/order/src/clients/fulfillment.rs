//! The fulfillment service: where an order may come from, and the work of shipping it.

use oms_core::{FulfillmentOrderId, OrderLineId};
use oms_proto::common::v1::Destination;
use oms_proto::fulfillment::v1 as pb;
use oms_proto::fulfillment::v1::fulfillment_order_service_client::FulfillmentOrderServiceClient;
use oms_proto::fulfillment::v1::sourcing_service_client::SourcingServiceClient;
use oms_service::{PeerChannel, PeerError};

use crate::domain::order::Order;
use crate::domain::release::{FulfillmentOrder, Release, ReleaseLine};
use crate::domain::sourcing::Proposal;

/// Calls of the fulfillment service.
#[derive(Debug, Clone)]
pub(crate) struct FulfillmentClient {
    sourcing: SourcingServiceClient<PeerChannel>,
    orders: FulfillmentOrderServiceClient<PeerChannel>,
}

/// What a cancellation of a fulfillment order came to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct CanceledUnits {
    /// The fulfillment order as it is now.
    pub(crate) fulfillment_order: FulfillmentOrder,
    /// Units that were canceled; their stock is to be released.
    pub(crate) lines: Vec<ReleaseLine>,
}

impl FulfillmentClient {
    /// Calls through this channel.
    pub(crate) fn new(channel: PeerChannel) -> Self {
        Self {
            sourcing: SourcingServiceClient::new(channel.clone()),
            orders: FulfillmentOrderServiceClient::new(channel),
        }
    }

    /// Asks where an order's live units may come from.
    pub(crate) async fn propose(
        &self,
        request_id: String,
        order: &Order,
    ) -> Result<Proposal, PeerError> {
        let lines = order.lines.iter().filter(|line| line.live() > 0);
        let request = pb::ProposeSourcingRequest {
            request_id,
            order_id: order.order_id.to_string(),
            destination: Some(destination(order)),
            lines: lines
                .map(|line| pb::SourcingLine {
                    order_line_id: line.order_line_id.to_string(),
                    sku: line.sku.clone(),
                    quantity: line.live(),
                })
                .collect(),
            preferences: Some(pb::SourcingPreferences {
                fill_policy: super::fill_policy(order),
                service_level: super::service_level(order),
                splits_max: order.splits_max.unwrap_or(-1),
            }),
            excluded_location_ids: Vec::new(),
        };
        let answer = self
            .sourcing
            .clone()
            .propose_sourcing(request)
            .await?
            .into_inner();
        answer
            .proposal
            .and_then(proposal)
            .ok_or_else(|| malformed("the proposal makes no sense"))
    }

    /// Has fulfillment orders created for a batch of allocated units.
    pub(crate) async fn create(
        &self,
        request_id: String,
        order: &Order,
        release: &Release,
        proposal_id: String,
    ) -> Result<Vec<FulfillmentOrder>, PeerError> {
        let lines = release.lines.iter().map(|line| pb::AllocatedLine {
            order_line_id: line.order_line_id.to_string(),
            sku: sku(order, line.order_line_id),
            location_id: line.location_id.clone(),
            lot: line.lot.clone(),
            quantity: line.quantity,
            reservation_id: line.reservation_id.to_string(),
        });
        let request = pb::CreateFulfillmentOrdersRequest {
            request_id,
            order_id: order.order_id.to_string(),
            order_number: order.order_number.clone(),
            channel_id: order.channel_id.clone(),
            proposal_id,
            lines: lines.collect(),
            destination: Some(destination(order)),
            service_level: super::service_level(order),
            priority: i32::from(order.priority),
            instructions: order.instructions.clone(),
            fill_policy: super::fill_policy(order),
        };
        let answer = self
            .orders
            .clone()
            .create_fulfillment_orders(request)
            .await?;
        let rows = answer.into_inner().fulfillment_orders;
        rows.iter()
            .map(row)
            .collect::<Option<_>>()
            .ok_or_else(|| malformed("a fulfillment order makes no sense"))
    }

    /// Cancels units that no picker has started on: these, or all when there are none.
    pub(crate) async fn cancel(
        &self,
        request_id: String,
        fulfillment_order_id: FulfillmentOrderId,
        lines: &[(OrderLineId, i64)],
        reason: &str,
    ) -> Result<CanceledUnits, PeerError> {
        let request = pb::CancelFulfillmentOrderRequest {
            request_id,
            fulfillment_order_id: fulfillment_order_id.to_string(),
            etag: String::new(),
            lines: lines
                .iter()
                .map(|(order_line_id, quantity)| pb::CancelLine {
                    order_line_id: order_line_id.to_string(),
                    quantity: *quantity,
                })
                .collect(),
            reason: reason.to_owned(),
        };
        let answer = self
            .orders
            .clone()
            .cancel_fulfillment_order(request)
            .await?;
        canceled(answer.into_inner()).ok_or_else(|| malformed("the cancellation makes no sense"))
    }
}

fn malformed(message: &str) -> PeerError {
    PeerError::from(tonic::Status::internal(message))
}

fn destination(order: &Order) -> Destination {
    Destination {
        address_id: order.ship_address_id.to_string(),
        country_code: order.country_code.clone(),
        postal_code: order.postal_code.clone(),
    }
}

fn sku(order: &Order, order_line_id: OrderLineId) -> String {
    order
        .line(order_line_id)
        .map(|line| line.sku.clone())
        .unwrap_or_default()
}

fn proposal(message: pb::SourcingProposal) -> Option<Proposal> {
    let mut nodes = message.nodes;
    nodes.sort_by_key(|node| node.rank);
    let eligible = message
        .lines
        .into_iter()
        .filter(|line| !line.location_ids.is_empty())
        .map(|line| Some((line.order_line_id.parse().ok()?, line.location_ids)))
        .collect::<Option<_>>()?;
    Some(Proposal {
        proposal_id: message.proposal_id,
        ranked: nodes.into_iter().map(|node| node.location_id).collect(),
        eligible,
        splits_max: message.splits_max,
        single_node_within_rank: message.single_node_within_rank,
    })
}

fn row(message: &pb::FulfillmentOrder) -> Option<FulfillmentOrder> {
    let state = message.state().as_str_name();
    let state = state
        .strip_prefix("FULFILLMENT_ORDER_STATE_")
        .unwrap_or(state);
    Some(FulfillmentOrder {
        fulfillment_order_id: message.fulfillment_order_id.parse().ok()?,
        location_id: message.location_id.clone(),
        state: state.to_owned(),
    })
}

fn canceled(message: pb::CancelFulfillmentOrderResponse) -> Option<CanceledUnits> {
    let lines = message.canceled_lines.into_iter().map(|line| {
        Some(ReleaseLine {
            reservation_id: line.reservation_id.parse().ok()?,
            order_line_id: line.order_line_id.parse().ok()?,
            location_id: line.location_id,
            lot: line.lot,
            quantity: line.quantity,
        })
    });
    Some(CanceledUnits {
        lines: lines.collect::<Option<_>>()?,
        fulfillment_order: row(&message.fulfillment_order?)?,
    })
}
