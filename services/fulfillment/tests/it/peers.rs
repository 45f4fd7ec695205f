//! Stubs of the services that fulfillment calls: inventory with a simple stock, order, and the feed
//! of shipping.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex};

use oms_proto::common::v1::{ErrorReason, PostalAddress};
use oms_proto::events::v1::Event;
use oms_proto::events::v1::event_feed_service_server::EventFeedServiceServer;
use oms_proto::inventory::v1 as inv;
use oms_proto::inventory::v1::item_service_server::{ItemService, ItemServiceServer};
use oms_proto::inventory::v1::location_service_server::{LocationService, LocationServiceServer};
use oms_proto::inventory::v1::reservation_service_server::{
    ReservationService, ReservationServiceServer,
};
use oms_proto::order::v1 as ord;
use oms_proto::order::v1::order_service_server::{OrderService, OrderServiceServer};
use oms_service::ApiError;
use oms_testkit::Feed;
use tokio::net::TcpListener;
use tokio_stream::wrappers::TcpListenerStream;
use tonic::transport::Server;
use tonic::{Request, Response, Status};

/// What the stubs know and have seen; tests look and change.
#[derive(Default)]
pub(crate) struct World {
    pub(crate) items: BTreeMap<String, inv::Item>,
    pub(crate) locations: Vec<inv::Location>,
    pub(crate) address: Option<PostalAddress>,
    /// Free units by SKU and location.
    pub(crate) free: BTreeMap<(String, String), i64>,
    pub(crate) reservations: BTreeMap<String, (inv::ReserveRequest, inv::Reservation)>,
    /// Distinct reports by request id.
    pub(crate) shorts: BTreeMap<String, inv::ReportShortRequest>,
    /// So many Reserve calls take their units but their answer is lost.
    pub(crate) lose_answers: u32,
    /// Who does its work but never answers; whether it was asked.
    pub(crate) silent: Option<Silent>,
    pub(crate) reached: bool,
    /// Addresses that were asked for.
    pub(crate) asked: Vec<String>,
}

/// A part of inventory that does not answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Silent {
    Shorts,
    Locations,
    Reservations,
}

#[derive(Clone)]
pub(crate) struct Peers {
    pub(crate) world: Arc<Mutex<World>>,
    feed: Feed,
}

impl Peers {
    /// Starts all stubs on one port.
    pub(crate) async fn start() -> (Self, SocketAddr) {
        let peers = Self {
            world: Arc::default(),
            feed: Feed::default(),
        };
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let addr = listener.local_addr().unwrap();
        let server = Server::builder()
            .add_service(ItemServiceServer::new(peers.clone()))
            .add_service(LocationServiceServer::new(peers.clone()))
            .add_service(ReservationServiceServer::new(peers.clone()))
            .add_service(OrderServiceServer::new(peers.clone()))
            .add_service(EventFeedServiceServer::new(peers.feed.clone()))
            .serve_with_incoming(TcpListenerStream::new(listener));
        tokio::spawn(server);
        (peers, addr)
    }

    /// Never returns when this part is silent.
    async fn answer(&self, part: Silent) {
        let is_silent = {
            let mut world = self.world.lock().unwrap();
            let is_silent = world.silent == Some(part);
            world.reached |= is_silent;
            is_silent
        };
        if is_silent {
            std::future::pending::<()>().await;
        }
    }

    /// Appends an event to shipping's feed.
    pub(crate) fn publish(&self, event: Event) {
        self.feed.publish(event);
    }
}

fn refused<T>() -> Result<Response<T>, Status> {
    Err(Status::permission_denied("fulfillment does not call this"))
}

#[tonic::async_trait]
impl ItemService for Peers {
    async fn batch_get_items(
        &self,
        request: Request<inv::BatchGetItemsRequest>,
    ) -> Result<Response<inv::BatchGetItemsResponse>, Status> {
        let world = self.world.lock().unwrap();
        let (known, unknown_skus): (Vec<String>, Vec<String>) = request
            .into_inner()
            .skus
            .into_iter()
            .partition(|sku| world.items.contains_key(sku));
        let items = known.iter().map(|sku| world.items[sku].clone()).collect();
        Ok(Response::new(inv::BatchGetItemsResponse {
            items,
            unknown_skus,
        }))
    }

    async fn batch_upsert_items(
        &self,
        _: Request<inv::BatchUpsertItemsRequest>,
    ) -> Result<Response<inv::BatchUpsertItemsResponse>, Status> {
        refused()
    }

    async fn list_items(
        &self,
        _: Request<inv::ListItemsRequest>,
    ) -> Result<Response<inv::ListItemsResponse>, Status> {
        refused()
    }
}

#[tonic::async_trait]
impl LocationService for Peers {
    async fn list_locations(
        &self,
        request: Request<inv::ListLocationsRequest>,
    ) -> Result<Response<inv::ListLocationsResponse>, Status> {
        self.answer(Silent::Locations).await;
        // One location a page, so that the caller has to turn pages.
        let world = self.world.lock().unwrap();
        let start: usize = request.into_inner().page_token.parse().unwrap_or(0);
        let locations: Vec<inv::Location> = world
            .locations
            .iter()
            .skip(start)
            .take(1)
            .cloned()
            .collect();
        let is_more = start + 1 < world.locations.len();
        let next_page_token = if is_more {
            (start + 1).to_string()
        } else {
            String::new()
        };
        Ok(Response::new(inv::ListLocationsResponse {
            locations,
            next_page_token,
        }))
    }

    async fn get_location(
        &self,
        _: Request<inv::GetLocationRequest>,
    ) -> Result<Response<inv::GetLocationResponse>, Status> {
        refused()
    }

    async fn upsert_location(
        &self,
        _: Request<inv::UpsertLocationRequest>,
    ) -> Result<Response<inv::UpsertLocationResponse>, Status> {
        refused()
    }
}

/// Takes what the ranked locations have, as inventory does under FILL_ALL_AVAILABLE.
fn take(world: &mut World, request: &inv::ReserveRequest) -> Vec<inv::ReservationLine> {
    let line = &request.lines[0];
    let mut left = line.quantity;
    let mut taken = Vec::new();
    let nodes = usize::try_from(request.splits_max).unwrap() + 1;
    for location in &request.ranked_location_ids {
        let free = world
            .free
            .entry((line.sku.clone(), location.clone()))
            .or_default();
        let part = left.min(*free);
        if part > 0 && taken.len() < nodes {
            *free -= part;
            left -= part;
            taken.push(inv::ReservationLine {
                order_line_id: line.order_line_id.clone(),
                sku: line.sku.clone(),
                location_id: location.clone(),
                lot: String::new(),
                quantity: part,
                state: request.mode,
            });
        }
    }
    taken
}

impl Peers {
    /// Takes units for a reservation unless it is there already.
    fn take_once(
        &self,
        request: &inv::ReserveRequest,
    ) -> Result<Response<inv::ReserveResponse>, Status> {
        let mut world = self.world.lock().unwrap();
        let id = request.reservation_id.clone();
        if !world.reservations.contains_key(&id) {
            let lines = take(&mut world, request);
            if lines.is_empty() {
                return Err(ApiError::out_of_stock([]).into());
            }
            let reservation = inv::Reservation {
                reservation_id: id.clone(),
                order_id: request.order_id.clone(),
                state: request.mode,
                lines,
                ..Default::default()
            };
            world
                .reservations
                .insert(id.clone(), (request.clone(), reservation));
        }
        if world.lose_answers > 0 {
            world.lose_answers -= 1;
            return Err(Status::unavailable("the connection broke"));
        }
        let (first, reservation) = world.reservations[&id].clone();
        assert_eq!(&first, request, "a repeat must be the same request");
        Ok(Response::new(inv::ReserveResponse {
            reservation: Some(reservation),
            shortages: Vec::new(),
        }))
    }
}

#[tonic::async_trait]
impl ReservationService for Peers {
    async fn reserve(
        &self,
        request: Request<inv::ReserveRequest>,
    ) -> Result<Response<inv::ReserveResponse>, Status> {
        let request = request.into_inner();
        let answer = self.take_once(&request);
        self.answer(Silent::Reservations).await;
        answer
    }

    async fn report_short(
        &self,
        request: Request<inv::ReportShortRequest>,
    ) -> Result<Response<inv::ReportShortResponse>, Status> {
        let request = request.into_inner();
        if request.reason.is_empty() {
            return Err(ApiError::invalid("reason", ErrorReason::FieldRequired, "empty").into());
        }
        let known = request.request_id.clone();
        self.world.lock().unwrap().shorts.insert(known, request);
        self.answer(Silent::Shorts).await;
        Ok(Response::new(inv::ReportShortResponse {
            reservation: None,
        }))
    }

    async fn extend_reservation(
        &self,
        _: Request<inv::ExtendReservationRequest>,
    ) -> Result<Response<inv::ExtendReservationResponse>, Status> {
        refused()
    }

    async fn confirm_reservation(
        &self,
        _: Request<inv::ConfirmReservationRequest>,
    ) -> Result<Response<inv::ConfirmReservationResponse>, Status> {
        refused()
    }

    async fn release_reservation(
        &self,
        _: Request<inv::ReleaseReservationRequest>,
    ) -> Result<Response<inv::ReleaseReservationResponse>, Status> {
        refused()
    }

    async fn issue_reservation(
        &self,
        _: Request<inv::IssueReservationRequest>,
    ) -> Result<Response<inv::IssueReservationResponse>, Status> {
        refused()
    }

    async fn move_reservation(
        &self,
        _: Request<inv::MoveReservationRequest>,
    ) -> Result<Response<inv::MoveReservationResponse>, Status> {
        Err(Status::unimplemented(""))
    }

    async fn get_reservation(
        &self,
        _: Request<inv::GetReservationRequest>,
    ) -> Result<Response<inv::GetReservationResponse>, Status> {
        refused()
    }

    async fn list_reservations(
        &self,
        _: Request<inv::ListReservationsRequest>,
    ) -> Result<Response<inv::ListReservationsResponse>, Status> {
        refused()
    }
}

#[tonic::async_trait]
impl OrderService for Peers {
    async fn place_order(
        &self,
        _: Request<ord::PlaceOrderRequest>,
    ) -> Result<Response<ord::PlaceOrderResponse>, Status> {
        refused()
    }

    async fn validate_order(
        &self,
        _: Request<ord::ValidateOrderRequest>,
    ) -> Result<Response<ord::ValidateOrderResponse>, Status> {
        refused()
    }

    async fn get_order(
        &self,
        _: Request<ord::GetOrderRequest>,
    ) -> Result<Response<ord::GetOrderResponse>, Status> {
        refused()
    }

    async fn list_orders(
        &self,
        _: Request<ord::ListOrdersRequest>,
    ) -> Result<Response<ord::ListOrdersResponse>, Status> {
        refused()
    }

    async fn cancel_order(
        &self,
        _: Request<ord::CancelOrderRequest>,
    ) -> Result<Response<ord::CancelOrderResponse>, Status> {
        refused()
    }

    async fn update_order(
        &self,
        _: Request<ord::UpdateOrderRequest>,
    ) -> Result<Response<ord::UpdateOrderResponse>, Status> {
        refused()
    }

    async fn get_order_timeline(
        &self,
        _: Request<ord::GetOrderTimelineRequest>,
    ) -> Result<Response<ord::GetOrderTimelineResponse>, Status> {
        refused()
    }

    async fn get_order_trace(
        &self,
        _: Request<ord::GetOrderTraceRequest>,
    ) -> Result<Response<ord::GetOrderTraceResponse>, Status> {
        refused()
    }

    async fn list_at_risk(
        &self,
        _: Request<ord::ListAtRiskRequest>,
    ) -> Result<Response<ord::ListAtRiskResponse>, Status> {
        refused()
    }

    async fn get_backlog(
        &self,
        _: Request<ord::GetBacklogRequest>,
    ) -> Result<Response<ord::GetBacklogResponse>, Status> {
        refused()
    }

    async fn get_order_address(
        &self,
        request: Request<ord::GetOrderAddressRequest>,
    ) -> Result<Response<ord::GetOrderAddressResponse>, Status> {
        let mut world = self.world.lock().unwrap();
        world.asked.push(request.into_inner().address_id);
        let address = world
            .address
            .clone()
            .ok_or_else(|| Status::unavailable("down"))?;
        Ok(Response::new(ord::GetOrderAddressResponse {
            address: Some(address),
        }))
    }
}
