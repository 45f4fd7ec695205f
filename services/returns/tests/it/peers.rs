//! Stubs of the services that returns calls, order and shipping, with their feeds.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};

use oms_proto::events::v1::event_feed_service_server::EventFeedServiceServer;
use oms_proto::order::v1 as order;
use oms_proto::order::v1::order_service_server::{OrderService, OrderServiceServer};
use oms_proto::shipping::v1 as shipping;
use oms_proto::shipping::v1::shipment_service_server::{ShipmentService, ShipmentServiceServer};
use oms_testkit::Feed;
use tokio::net::TcpListener;
use tokio_stream::wrappers::TcpListenerStream;
use tonic::transport::Server;
use tonic::{Request, Response, Status};

/// The order service: what tests say an order shipped.
#[derive(Clone)]
pub(crate) struct Orders {
    pub(crate) known: Arc<Mutex<BTreeMap<String, order::Order>>>,
    /// How often it was asked for an order.
    pub(crate) asked: Arc<AtomicUsize>,
    pub(crate) down: Arc<AtomicBool>,
    pub(crate) feed: Feed,
    pub(crate) addr: SocketAddr,
}

/// The shipping service: what it was asked for.
#[derive(Clone)]
pub(crate) struct Shipments {
    pub(crate) created: Arc<Mutex<Vec<shipping::CreateShipmentRequest>>>,
    pub(crate) bought: Arc<Mutex<Vec<shipping::BuyLabelRequest>>>,
    pub(crate) down: Arc<AtomicBool>,
    pub(crate) feed: Feed,
    pub(crate) addr: SocketAddr,
}

impl Orders {
    pub(crate) async fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let orders = Self {
            known: Arc::default(),
            asked: Arc::default(),
            down: Arc::default(),
            feed: Feed::default(),
            addr: listener.local_addr().unwrap(),
        };
        let server = Server::builder()
            .add_service(OrderServiceServer::new(orders.clone()))
            .add_service(EventFeedServiceServer::new(orders.feed.clone()))
            .serve_with_incoming(TcpListenerStream::new(listener));
        tokio::spawn(server);
        orders
    }
}

impl Shipments {
    pub(crate) async fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let shipments = Self {
            created: Arc::default(),
            bought: Arc::default(),
            down: Arc::default(),
            feed: Feed::default(),
            addr: listener.local_addr().unwrap(),
        };
        let server = Server::builder()
            .add_service(ShipmentServiceServer::new(shipments.clone()))
            .add_service(EventFeedServiceServer::new(shipments.feed.clone()))
            .serve_with_incoming(TcpListenerStream::new(listener));
        tokio::spawn(server);
        shipments
    }
}

fn refused<T>() -> Result<Response<T>, Status> {
    Err(Status::permission_denied("returns does not call this"))
}

#[tonic::async_trait]
impl OrderService for Orders {
    async fn get_order(
        &self,
        request: Request<order::GetOrderRequest>,
    ) -> Result<Response<order::GetOrderResponse>, Status> {
        self.asked.fetch_add(1, Ordering::Relaxed);
        if self.down.load(Ordering::Relaxed) {
            return Err(Status::unavailable("down"));
        }
        let id = request.into_inner().order_id;
        let order = self.known.lock().unwrap().get(&id).cloned();
        let order = order.ok_or_else(|| Status::not_found("order"))?;
        Ok(Response::new(order::GetOrderResponse {
            order: Some(order),
        }))
    }

    async fn get_order_address(
        &self,
        _: Request<order::GetOrderAddressRequest>,
    ) -> Result<Response<order::GetOrderAddressResponse>, Status> {
        refused()
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

impl Shipments {
    fn up(&self) -> Result<(), Status> {
        if self.down.load(Ordering::Relaxed) {
            return Err(Status::unavailable("down"));
        }
        Ok(())
    }
}

#[tonic::async_trait]
impl ShipmentService for Shipments {
    async fn create_shipment(
        &self,
        request: Request<shipping::CreateShipmentRequest>,
    ) -> Result<Response<shipping::CreateShipmentResponse>, Status> {
        self.up()?;
        let request = request.into_inner();
        let shipment = shipping::Shipment {
            shipment_id: request.shipment_id.clone(),
            ..Default::default()
        };
        self.created.lock().unwrap().push(request);
        Ok(Response::new(shipping::CreateShipmentResponse {
            shipment: Some(shipment),
        }))
    }

    async fn buy_label(
        &self,
        request: Request<shipping::BuyLabelRequest>,
    ) -> Result<Response<shipping::BuyLabelResponse>, Status> {
        self.up()?;
        let request = request.into_inner();
        let package = shipping::Package {
            tracking_number: format!("RET-{}", request.shipment_id),
            ..Default::default()
        };
        let shipment = shipping::Shipment {
            shipment_id: request.shipment_id.clone(),
            packages: vec![package],
            ..Default::default()
        };
        self.bought.lock().unwrap().push(request);
        Ok(Response::new(shipping::BuyLabelResponse {
            shipment: Some(shipment),
        }))
    }

    async fn void_label(
        &self,
        _: Request<shipping::VoidLabelRequest>,
    ) -> Result<Response<shipping::VoidLabelResponse>, Status> {
        refused()
    }

    async fn get_label(
        &self,
        _: Request<shipping::GetLabelRequest>,
    ) -> Result<Response<shipping::GetLabelResponse>, Status> {
        refused()
    }

    async fn confirm_ship(
        &self,
        _: Request<shipping::ConfirmShipRequest>,
    ) -> Result<Response<shipping::ConfirmShipResponse>, Status> {
        refused()
    }

    async fn cancel_shipment(
        &self,
        _: Request<shipping::CancelShipmentRequest>,
    ) -> Result<Response<shipping::CancelShipmentResponse>, Status> {
        refused()
    }

    async fn get_shipment(
        &self,
        _: Request<shipping::GetShipmentRequest>,
    ) -> Result<Response<shipping::GetShipmentResponse>, Status> {
        refused()
    }

    async fn list_shipments(
        &self,
        _: Request<shipping::ListShipmentsRequest>,
    ) -> Result<Response<shipping::ListShipmentsResponse>, Status> {
        refused()
    }
}
