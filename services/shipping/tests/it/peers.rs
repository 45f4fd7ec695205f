//! Stubs of the services that shipping calls: order, inventory, and the feed of fulfillment.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};

use oms_proto::common::v1::PostalAddress;
use oms_proto::events::v1::Event;
use oms_proto::events::v1::event_feed_service_server::EventFeedServiceServer;
use oms_proto::inventory::v1 as inventory;
use oms_proto::inventory::v1::location_service_server::{LocationService, LocationServiceServer};
use oms_proto::order::v1 as order;
use oms_proto::order::v1::order_service_server::{OrderService, OrderServiceServer};
use oms_testkit::Feed;
use tokio::net::TcpListener;
use tokio_stream::wrappers::TcpListenerStream;
use tonic::transport::Server;
use tonic::{Request, Response, Status};

/// What the stubs answer; tests change it.
#[derive(Clone)]
pub(crate) struct Peers {
    pub(crate) addresses: Arc<Mutex<BTreeMap<String, PostalAddress>>>,
    pub(crate) locations: Arc<Mutex<BTreeMap<String, inventory::Location>>>,
    /// The order service does not answer.
    pub(crate) orders_down: Arc<AtomicBool>,
    feed: Feed,
}

impl Peers {
    /// Starts all stubs on one port.
    pub(crate) async fn start() -> (Self, SocketAddr) {
        let peers = Self {
            addresses: Arc::default(),
            locations: Arc::default(),
            orders_down: Arc::default(),
            feed: Feed::default(),
        };
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let addr = listener.local_addr().unwrap();
        let server = Server::builder()
            .add_service(OrderServiceServer::new(peers.clone()))
            .add_service(LocationServiceServer::new(peers.clone()))
            .add_service(EventFeedServiceServer::new(peers.feed.clone()))
            .serve_with_incoming(TcpListenerStream::new(listener));
        tokio::spawn(server);
        (peers, addr)
    }

    /// Appends an event to fulfillment's feed.
    pub(crate) fn publish(&self, event: Event) {
        self.feed.publish(event);
    }
}

#[tonic::async_trait]
impl LocationService for Peers {
    async fn get_location(
        &self,
        request: Request<inventory::GetLocationRequest>,
    ) -> Result<Response<inventory::GetLocationResponse>, Status> {
        let id = request.into_inner().location_id;
        let location = self.locations.lock().unwrap().get(&id).cloned();
        let location = location.ok_or_else(|| Status::not_found("location"))?;
        Ok(Response::new(inventory::GetLocationResponse {
            location: Some(location),
        }))
    }

    async fn upsert_location(
        &self,
        _: Request<inventory::UpsertLocationRequest>,
    ) -> Result<Response<inventory::UpsertLocationResponse>, Status> {
        Err(Status::permission_denied(
            "shipping does not write locations",
        ))
    }

    async fn list_locations(
        &self,
        _: Request<inventory::ListLocationsRequest>,
    ) -> Result<Response<inventory::ListLocationsResponse>, Status> {
        Err(Status::permission_denied(
            "shipping does not list locations",
        ))
    }
}

fn refused<T>() -> Result<Response<T>, Status> {
    Err(Status::permission_denied("shipping does not call this"))
}

#[tonic::async_trait]
impl OrderService for Peers {
    async fn get_order_address(
        &self,
        request: Request<order::GetOrderAddressRequest>,
    ) -> Result<Response<order::GetOrderAddressResponse>, Status> {
        if self.orders_down.load(Ordering::Relaxed) {
            return Err(Status::unavailable("down"));
        }
        let id = request.into_inner().address_id;
        let address = self.addresses.lock().unwrap().get(&id).cloned();
        let address = address.ok_or_else(|| Status::not_found("address"))?;
        Ok(Response::new(order::GetOrderAddressResponse {
            address: Some(address),
        }))
    }

    async fn place_order(
        &self,
        _: Request<order::PlaceOrderRequest>,
    ) -> Result<Response<order::PlaceOrderResponse>, Status> {
        refused()
    }

    async fn validate_order(
        &self,
        _: Request<order::ValidateOrderRequest>,
    ) -> Result<Response<order::ValidateOrderResponse>, Status> {
        refused()
    }

    async fn get_order(
        &self,
        _: Request<order::GetOrderRequest>,
    ) -> Result<Response<order::GetOrderResponse>, Status> {
        refused()
    }

    async fn list_orders(
        &self,
        _: Request<order::ListOrdersRequest>,
    ) -> Result<Response<order::ListOrdersResponse>, Status> {
        refused()
    }

    async fn cancel_order(
        &self,
        _: Request<order::CancelOrderRequest>,
    ) -> Result<Response<order::CancelOrderResponse>, Status> {
        refused()
    }

    async fn update_order(
        &self,
        _: Request<order::UpdateOrderRequest>,
    ) -> Result<Response<order::UpdateOrderResponse>, Status> {
        refused()
    }

    async fn get_order_timeline(
        &self,
        _: Request<order::GetOrderTimelineRequest>,
    ) -> Result<Response<order::GetOrderTimelineResponse>, Status> {
        refused()
    }

    async fn get_order_trace(
        &self,
        _: Request<order::GetOrderTraceRequest>,
    ) -> Result<Response<order::GetOrderTraceResponse>, Status> {
        refused()
    }

    async fn list_at_risk(
        &self,
        _: Request<order::ListAtRiskRequest>,
    ) -> Result<Response<order::ListAtRiskResponse>, Status> {
        refused()
    }

    async fn get_backlog(
        &self,
        _: Request<order::GetBacklogRequest>,
    ) -> Result<Response<order::GetBacklogResponse>, Status> {
        refused()
    }
}
