//! The inventory service: which items exist, and stock for orders.

use std::collections::{BTreeSet, HashMap};
use std::time::Duration;

use oms_core::{OrderId, OrderLineId, ReservationId};
use oms_proto::inventory::v1 as pb;
use oms_proto::inventory::v1::item_service_client::ItemServiceClient;
use oms_proto::inventory::v1::reservation_service_client::ReservationServiceClient;
use oms_service::{PeerChannel, PeerError};
use time::OffsetDateTime;

use crate::domain::order::Order;
use crate::domain::reservation::{Reservation, ReservationLine, ReservationState};
use crate::domain::sourcing::Proposal;

/// Most SKUs of one call.
const SKUS_MAX: usize = 1000;

/// Calls of the inventory service.
#[derive(Debug, Clone)]
pub(crate) struct InventoryClient {
    items: ItemServiceClient<PeerChannel>,
    reservations: ReservationServiceClient<PeerChannel>,
}

/// What inventory reserved, with what is told about it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Reserved {
    /// The reservation.
    pub(crate) reservation: Reservation,
    /// When held units run out; `None` unless held.
    pub(crate) expires_at: Option<OffsetDateTime>,
}

impl InventoryClient {
    /// Calls through this channel.
    pub(crate) fn new(channel: PeerChannel) -> Self {
        Self {
            items: ItemServiceClient::new(channel.clone()),
            reservations: ReservationServiceClient::new(channel),
        }
    }

    /// Names of the SKUs that exist and may be sold. Kits may not: an order has the lines of their components.
    pub(crate) async fn item_names(
        &self,
        skus: &BTreeSet<String>,
    ) -> Result<HashMap<String, String>, PeerError> {
        let mut names = HashMap::with_capacity(skus.len());
        let all: Vec<&String> = skus.iter().collect();
        for some in all.chunks(SKUS_MAX) {
            let request = pb::BatchGetItemsRequest {
                skus: some.iter().map(|sku| (*sku).clone()).collect(),
            };
            let answer = self
                .items
                .clone()
                .batch_get_items(request)
                .await?
                .into_inner();
            let sold = |item: &pb::Item| item.active && item.components.is_empty();
            let active = answer.items.into_iter().filter(sold);
            names.extend(active.map(|item| (item.sku, item.name)));
        }
        Ok(names)
    }

    /// Holds an order's live units for a time, fitted to a proposal.
    pub(crate) async fn reserve(
        &self,
        request_id: String,
        reservation_id: ReservationId,
        order: &Order,
        proposal: &Proposal,
        time_to_live: Duration,
    ) -> Result<Reserved, PeerError> {
        let lines = order.lines.iter().filter(|line| line.live() > 0);
        let request = pb::ReserveRequest {
            request_id,
            reservation_id: reservation_id.to_string(),
            order_id: order.order_id.to_string(),
            mode: pb::ReservationState::Held.into(),
            fill_policy: super::fill_policy(order),
            time_to_live: Some(duration(time_to_live)),
            lines: lines
                .map(|line| pb::ReserveLine {
                    order_line_id: line.order_line_id.to_string(),
                    sku: line.sku.clone(),
                    quantity: line.live(),
                    eligible_location_ids: proposal
                        .eligible
                        .get(&line.order_line_id)
                        .cloned()
                        .unwrap_or_default(),
                })
                .collect(),
            ranked_location_ids: proposal.ranked.clone(),
            splits_max: proposal.splits_max,
            single_node_within_rank: proposal.single_node_within_rank,
            channel_id: order.channel_id.clone(),
            priority: Some(order.priority.into()),
            ..Default::default()
        };
        let answer = self
            .reservations
            .clone()
            .reserve(request)
            .await?
            .into_inner();
        reserved(answer.reservation, order.order_id)
    }

    /// Queues units of a line that no location has, without taking anything.
    pub(crate) async fn backorder(
        &self,
        request_id: String,
        reservation_id: ReservationId,
        order: &Order,
        (order_line_id, quantity): (OrderLineId, i64),
    ) -> Result<Reserved, PeerError> {
        let request = pb::ReserveRequest {
            request_id,
            reservation_id: reservation_id.to_string(),
            order_id: order.order_id.to_string(),
            mode: pb::ReservationState::Backordered.into(),
            fill_policy: super::fill_policy(order),
            lines: vec![pb::ReserveLine {
                order_line_id: order_line_id.to_string(),
                sku: order
                    .line(order_line_id)
                    .map(|line| line.sku.clone())
                    .unwrap_or_default(),
                quantity,
                eligible_location_ids: Vec::new(),
            }],
            channel_id: order.channel_id.clone(),
            priority: Some(order.priority.into()),
            ..Default::default()
        };
        let answer = self
            .reservations
            .clone()
            .reserve(request)
            .await?
            .into_inner();
        reserved(answer.reservation, order.order_id)
    }

    /// Moves the expiry of held units.
    pub(crate) async fn extend(
        &self,
        request_id: String,
        reservation_id: ReservationId,
        order_id: OrderId,
        time_to_live: Duration,
    ) -> Result<Reserved, PeerError> {
        let request = pb::ExtendReservationRequest {
            request_id,
            reservation_id: reservation_id.to_string(),
            time_to_live: Some(duration(time_to_live)),
        };
        let answer = self
            .reservations
            .clone()
            .extend_reservation(request)
            .await?;
        reserved(answer.into_inner().reservation, order_id)
    }

    /// Turns held units into allocated ones.
    pub(crate) async fn confirm(
        &self,
        request_id: String,
        reservation_id: ReservationId,
        order_id: OrderId,
    ) -> Result<Reserved, PeerError> {
        let request = pb::ConfirmReservationRequest {
            request_id,
            reservation_id: reservation_id.to_string(),
        };
        let answer = self
            .reservations
            .clone()
            .confirm_reservation(request)
            .await?;
        reserved(answer.into_inner().reservation, order_id)
    }

    /// Gives units back: these, or all when there are none. Of an unknown reservation it leaves a tombstone.
    pub(crate) async fn release(
        &self,
        request_id: String,
        reservation_id: ReservationId,
        order_id: OrderId,
        lines: &[ReservationLine],
    ) -> Result<Reserved, PeerError> {
        let request = pb::ReleaseReservationRequest {
            request_id,
            reservation_id: reservation_id.to_string(),
            lines: lines
                .iter()
                .map(|line| pb::ReservationQuantity {
                    order_line_id: line.order_line_id.to_string(),
                    location_id: line.location_id.clone(),
                    quantity: line.quantity,
                    lot: line.lot.clone(),
                    ..Default::default()
                })
                .collect(),
            order_id: order_id.to_string(),
        };
        let answer = self
            .reservations
            .clone()
            .release_reservation(request)
            .await?;
        reserved(answer.into_inner().reservation, order_id)
    }
}

fn duration(duration: Duration) -> prost_types::Duration {
    prost_types::Duration {
        seconds: i64::try_from(duration.as_secs()).unwrap_or(i64::MAX),
        // Below one thousand million, so it fits.
        nanos: i32::try_from(duration.subsec_nanos()).unwrap_or_default(),
    }
}

fn reserved(message: Option<pb::Reservation>, order_id: OrderId) -> Result<Reserved, PeerError> {
    let malformed = || PeerError::from(tonic::Status::internal("the reservation makes no sense"));
    let message = message.ok_or_else(malformed)?;
    let expires_at = message
        .expire_time
        .map(oms_proto::time_from_proto)
        .transpose()
        .map_err(|_| malformed())?;
    let reservation = reservation_from(&message, order_id).ok_or_else(malformed)?;
    Ok(Reserved {
        reservation,
        expires_at,
    })
}

/// A reservation of an answer or an event; `None` when it makes no sense. Its cause is empty.
pub(crate) fn reservation_from(
    message: &pb::Reservation,
    order_id: OrderId,
) -> Option<Reservation> {
    let lines = message.lines.iter().map(|line| {
        Some(ReservationLine {
            order_line_id: line.order_line_id.parse().ok()?,
            location_id: line.location_id.clone(),
            lot: line.lot.clone(),
            state: state(line.state())?,
            quantity: line.quantity,
        })
    });
    Some(Reservation {
        reservation_id: message.reservation_id.parse().ok()?,
        order_id,
        cause: String::new(),
        state: state(message.state())?,
        version: message.etag.parse().ok()?,
        lines: lines.collect::<Option<_>>()?,
    })
}

fn state(state: pb::ReservationState) -> Option<ReservationState> {
    match state {
        pb::ReservationState::Unspecified => None,
        pb::ReservationState::Held => Some(ReservationState::Held),
        pb::ReservationState::Allocated => Some(ReservationState::Allocated),
        pb::ReservationState::Backordered => Some(ReservationState::Backordered),
        pb::ReservationState::Consumed => Some(ReservationState::Consumed),
        pb::ReservationState::Released => Some(ReservationState::Released),
        pb::ReservationState::Expired => Some(ReservationState::Expired),
    }
}
