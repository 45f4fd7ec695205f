//! The inventory service: locations, items, shorts, reservations.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use oms_core::geo::Point;
use oms_core::{Clock, LocationId, OrderId, OrderLineId, ReservationId};
use oms_proto::common::v1::FillPolicy;
use oms_proto::inventory::v1::item_service_client::ItemServiceClient;
use oms_proto::inventory::v1::location_service_client::LocationServiceClient;
use oms_proto::inventory::v1::reservation_service_client::ReservationServiceClient;
use oms_proto::inventory::v1::{self as inventory, ReservationState};
use oms_service::{PeerChannel, PeerError};
use time::OffsetDateTime;
use uuid::Uuid;

use crate::domain::fulfillment_order::{Dimensions, Item};
use crate::domain::short::Cover;
use crate::domain::sourcing::{Node, Proposal};

/// Most items of one BatchGetItems, and locations of one page.
const SKUS_MAX: usize = 1_000;
const LOCATIONS_PAGE: i32 = 500;

/// Locations as they were at some time.
type Snapshot = (OffsetDateTime, Arc<Vec<Node>>);

/// The inventory service.
pub(crate) struct Inventory {
    items: ItemServiceClient<PeerChannel>,
    locations: LocationServiceClient<PeerChannel>,
    reservations: ReservationServiceClient<PeerChannel>,
    /// Locations change rarely and are asked for by every order.
    cache: Mutex<Option<Snapshot>>,
    cache_ttl: Duration,
}

/// Units that a picker did not find.
#[derive(Debug)]
pub(crate) struct ShortCall<'a> {
    /// Idempotency key.
    pub(crate) request_id: Uuid,
    /// Reservation that they belonged to.
    pub(crate) reservation_id: ReservationId,
    /// Order line.
    pub(crate) order_line_id: OrderLineId,
    /// Location that was short.
    pub(crate) location_id: &'a LocationId,
    /// Lot; empty when none.
    pub(crate) lot: &'a str,
    /// Units.
    pub(crate) quantity: i64,
    /// Reason code.
    pub(crate) reason: &'a str,
}

/// Units to take from other locations.
#[derive(Debug)]
pub(crate) struct ReserveCall<'a> {
    /// Idempotency key.
    pub(crate) request_id: Uuid,
    /// Id that the reservation gets.
    pub(crate) reservation_id: ReservationId,
    /// Order.
    pub(crate) order_id: OrderId,
    /// Order line.
    pub(crate) order_line_id: OrderLineId,
    /// Stock keeping unit.
    pub(crate) sku: &'a str,
    /// Units.
    pub(crate) quantity: i64,
    /// Where from.
    pub(crate) proposal: &'a Proposal,
}

impl Inventory {
    /// The service behind a channel; locations are asked for again after `cache_ttl`.
    pub(crate) fn new(channel: PeerChannel, cache_ttl: Duration) -> Self {
        Self {
            items: ItemServiceClient::new(channel.clone()),
            locations: LocationServiceClient::new(channel.clone()),
            reservations: ReservationServiceClient::new(channel),
            cache: Mutex::new(None),
            cache_ttl,
        }
    }

    /// All locations.
    pub(crate) async fn locations(&self, clock: &dyn Clock) -> Result<Arc<Vec<Node>>, PeerError> {
        let now = clock.now();
        if let Some((seen_at, nodes)) = self.cached()
            && (seen_at..seen_at + self.cache_ttl).contains(&now)
        {
            return Ok(nodes);
        }
        let nodes = Arc::new(self.list_locations().await?);
        *self.cache.lock().unwrap_or_else(PoisonError::into_inner) =
            Some((now, Arc::clone(&nodes)));
        Ok(nodes)
    }

    fn cached(&self) -> Option<Snapshot> {
        self.cache
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .clone()
    }

    async fn list_locations(&self) -> Result<Vec<Node>, PeerError> {
        let mut nodes = Vec::new();
        let mut page_token = String::new();
        loop {
            let request = inventory::ListLocationsRequest {
                page_size: LOCATIONS_PAGE,
                page_token,
            };
            let page = self
                .locations
                .clone()
                .list_locations(request)
                .await?
                .into_inner();
            nodes.extend(page.locations.iter().filter_map(node));
            page_token = page.next_page_token;
            if page_token.is_empty() {
                return Ok(nodes);
            }
        }
    }

    /// Items by SKU; unknown ones are left out.
    pub(crate) async fn items(&self, skus: &[String]) -> Result<HashMap<String, Item>, PeerError> {
        let mut items = HashMap::new();
        for skus in skus.chunks(SKUS_MAX) {
            let request = inventory::BatchGetItemsRequest {
                skus: skus.to_vec(),
            };
            let answer = self
                .items
                .clone()
                .batch_get_items(request)
                .await?
                .into_inner();
            items.extend(
                answer
                    .items
                    .into_iter()
                    .map(|one| (one.sku.clone(), item(one))),
            );
        }
        Ok(items)
    }

    /// Takes units that were not found out of their reservation, for a count.
    pub(crate) async fn report_short(&self, call: &ShortCall<'_>) -> Result<(), PeerError> {
        let request = inventory::ReportShortRequest {
            request_id: call.request_id.to_string(),
            reservation_id: call.reservation_id.to_string(),
            line: Some(inventory::ReservationQuantity {
                order_line_id: call.order_line_id.to_string(),
                location_id: call.location_id.to_string(),
                quantity: call.quantity,
                lot: call.lot.to_owned(),
                ..Default::default()
            }),
            reason: call.reason.to_owned(),
        };
        self.reservations.clone().report_short(request).await?;
        Ok(())
    }

    /// Allocates what the proposal's nodes have of one line; answers who gives how much.
    pub(crate) async fn reserve(&self, call: &ReserveCall<'_>) -> Result<Vec<Cover>, PeerError> {
        let proposal = call.proposal;
        let request = inventory::ReserveRequest {
            request_id: call.request_id.to_string(),
            reservation_id: call.reservation_id.to_string(),
            order_id: call.order_id.to_string(),
            mode: ReservationState::Allocated.into(),
            fill_policy: FillPolicy::FillAllAvailable.into(),
            time_to_live: None,
            lines: vec![inventory::ReserveLine {
                order_line_id: call.order_line_id.to_string(),
                sku: call.sku.to_owned(),
                quantity: call.quantity,
                eligible_location_ids: Vec::new(),
            }],
            ranked_location_ids: proposal
                .ranked()
                .map(|one| one.location_id.to_string())
                .collect(),
            splits_max: proposal.splits_max,
            single_node_within_rank: proposal.single_node_within_rank,
            // The order was promised these units before: no channel's buffer is for it.
            channel_id: String::new(),
            ..Default::default()
        };
        let answer = self
            .reservations
            .clone()
            .reserve(request)
            .await?
            .into_inner();
        let lines = answer.reservation.map(|one| one.lines).unwrap_or_default();
        Ok(lines.iter().filter_map(cover).collect())
    }
}

/// A location as sourcing sees it; `None` for an id that is none, which inventory never sends.
fn node(location: &inventory::Location) -> Option<Node> {
    Some(Node {
        location_id: location.location_id.parse().ok()?,
        point: Point {
            lat: location.latitude,
            lon: location.longitude,
        },
        active: location.active,
        version: location.version,
    })
}

fn item(item: inventory::Item) -> Item {
    let dimensions = item.dimensions.unwrap_or_default();
    Item {
        sku: item.sku,
        name: item.name,
        barcodes: item.barcodes,
        mass_grams: item.mass_grams,
        dimensions: Dimensions {
            length_mm: dimensions.length_mm,
            width_mm: dimensions.width_mm,
            height_mm: dimensions.height_mm,
        },
        version: item.version,
    }
}

/// Units that were allocated; units in other states are not ours to ship.
fn cover(line: &inventory::ReservationLine) -> Option<Cover> {
    if line.state() != ReservationState::Allocated {
        return None;
    }
    Some(Cover {
        location_id: line.location_id.parse().ok()?,
        lot: line.lot.clone(),
        quantity: line.quantity,
    })
}
