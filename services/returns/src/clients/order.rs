//! The order service: what an order shipped.

use oms_core::OrderId;
use oms_proto::order::v1::order_service_client::OrderServiceClient;
use oms_proto::order::v1::{GetOrderRequest, Order};
use oms_service::{PeerChannel, PeerError};
use tonic::Code;

use crate::error::Error;

/// Name of the peer.
const PEER: &str = "order";

/// Calls of the order service.
#[derive(Clone)]
pub(crate) struct OrderClient {
    orders: OrderServiceClient<PeerChannel>,
}

impl OrderClient {
    /// A client over a channel.
    pub(crate) fn new(channel: PeerChannel) -> Self {
        Self {
            orders: OrderServiceClient::new(channel),
        }
    }

    /// The order with this id; `None` when there is none.
    pub(crate) async fn get_order(&self, order_id: OrderId) -> Result<Option<Order>, Error> {
        let request = GetOrderRequest {
            order_id: order_id.to_string(),
            ..Default::default()
        };
        match self.orders.clone().get_order(request).await {
            Ok(response) => Ok(response.into_inner().order),
            Err(status) if status.code() == Code::NotFound => Ok(None),
            Err(status) => Err(Error::Peer {
                peer: PEER,
                error: PeerError::from(status),
            }),
        }
    }
}
