//! The order service: the address for a label.

use oms_core::AddressId;
use oms_proto::common::v1::PostalAddress;
use oms_proto::order::v1::GetOrderAddressRequest;
use oms_proto::order::v1::order_service_client::OrderServiceClient;
use oms_service::{PeerChannel, PeerError};
use tonic::Code;

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

    /// The address with this id; `None` when there is none. Personal data: for printing only, never
    /// for a table, an event or a log.
    pub(crate) async fn address(&self, id: AddressId) -> Result<Option<PostalAddress>, PeerError> {
        let request = GetOrderAddressRequest {
            address_id: id.to_string(),
        };
        match self.orders.clone().get_order_address(request).await {
            Ok(response) => Ok(response.into_inner().address),
            Err(status) if status.code() == Code::NotFound => Ok(None),
            Err(status) => Err(status.into()),
        }
    }
}
