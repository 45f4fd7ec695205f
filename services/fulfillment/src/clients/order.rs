//! The order service: the only one that knows addresses.

use oms_core::AddressId;
use oms_proto::common::v1::PostalAddress;
use oms_proto::order::v1::GetOrderAddressRequest;
use oms_proto::order::v1::order_service_client::OrderServiceClient;
use oms_service::{PeerChannel, PeerError};

/// The order service.
pub(crate) struct Orders {
    client: OrderServiceClient<PeerChannel>,
}

impl Orders {
    /// The service behind a channel.
    pub(crate) fn new(channel: PeerChannel) -> Self {
        Self {
            client: OrderServiceClient::new(channel),
        }
    }

    /// An address, to be printed and forgotten.
    pub(crate) async fn address(&self, id: AddressId) -> Result<PostalAddress, PeerError> {
        let request = GetOrderAddressRequest {
            address_id: id.to_string(),
        };
        let answer = self
            .client
            .clone()
            .get_order_address(request)
            .await?
            .into_inner();
        Ok(answer.address.unwrap_or_default())
    }
}
