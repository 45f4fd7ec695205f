//! A client for every gRPC service of the suite.

use oms_core::Principal;
use oms_proto::audit::v1::audit_service_client::AuditServiceClient;
use oms_proto::events::v1::event_feed_service_client::EventFeedServiceClient;
use oms_proto::fulfillment::v1 as fulfillment;
use oms_proto::inventory::v1 as inventory;
use oms_proto::order::v1 as order;
use oms_proto::returns::v1 as returns;
use oms_proto::shipping::v1 as shipping;
use oms_service::{Credentials, PeerChannel, PeerConfig, client};

use fulfillment::document_service_client::DocumentServiceClient;
use fulfillment::fulfillment_order_service_client::FulfillmentOrderServiceClient;
use fulfillment::packing_service_client::PackingServiceClient;
use fulfillment::picking_service_client::PickingServiceClient;
use fulfillment::sourcing_service_client::SourcingServiceClient;
use fulfillment::wave_service_client::WaveServiceClient;
use inventory::correction_service_client::CorrectionServiceClient;
use inventory::item_service_client::ItemServiceClient;
use inventory::location_service_client::LocationServiceClient;
use inventory::reservation_service_client::ReservationServiceClient;
use inventory::stock_policy_service_client::StockPolicyServiceClient;
use inventory::stock_service_client::StockServiceClient;
use inventory::supply_service_client::SupplyServiceClient;
use order::channel_service_client::ChannelServiceClient;
use order::credit_service_client::CreditServiceClient;
use order::exception_service_client::ExceptionServiceClient;
use order::hold_service_client::HoldServiceClient;
use order::invoice_service_client::InvoiceServiceClient;
use order::order_service_client::OrderServiceClient;
use order::payment_service_client::PaymentServiceClient;
use order::privacy_service_client::PrivacyServiceClient;
use order::webhook_service_client::WebhookServiceClient;
use returns::return_service_client::ReturnServiceClient;
use shipping::rate_service_client::RateServiceClient;
use shipping::shipment_service_client::ShipmentServiceClient;
use shipping::tracking_service_client::TrackingServiceClient;

use crate::suite::Suite;

/// Channels to the five services on behalf of one principal. Clients are cheap; make one where you need it.
#[derive(Debug, Clone)]
pub struct Clients {
    order: PeerChannel,
    inventory: PeerChannel,
    fulfillment: PeerChannel,
    shipping: PeerChannel,
    returns: PeerChannel,
}

macro_rules! clients {
    ($($(#[$doc:meta])* $name:ident: $channel:ident -> $client:ident;)*) => {
        impl Clients {
            $($(#[$doc])*
            pub fn $name(&self) -> $client<PeerChannel> {
                $client::new(self.$channel.clone()).max_decoding_message_size(MESSAGE_SIZE_MAX)
            })*
        }
    };
}

/// Largest answer in bytes that a client takes; documents and long lists are large.
const MESSAGE_SIZE_MAX: usize = 64 << 20;

clients! {
    /// Orders.
    orders: order -> OrderServiceClient;
    /// Channels.
    channels: order -> ChannelServiceClient;
    /// Holds.
    holds: order -> HoldServiceClient;
    /// Payments.
    payments: order -> PaymentServiceClient;
    /// Accounts on terms and store credits.
    credits: order -> CreditServiceClient;
    /// Invoices.
    invoices: order -> InvoiceServiceClient;
    /// Personal data.
    privacy: order -> PrivacyServiceClient;
    /// Parked work.
    exceptions: order -> ExceptionServiceClient;
    /// Webhooks to endpoints outside.
    webhooks: order -> WebhookServiceClient;
    /// Events of the order service.
    order_feed: order -> EventFeedServiceClient;
    /// Audit log of the order service.
    order_audit: order -> AuditServiceClient;
    /// Items.
    items: inventory -> ItemServiceClient;
    /// Locations.
    locations: inventory -> LocationServiceClient;
    /// Stock.
    stock: inventory -> StockServiceClient;
    /// Corrections of stock.
    corrections: inventory -> CorrectionServiceClient;
    /// Stock policies.
    stock_policies: inventory -> StockPolicyServiceClient;
    /// Expected supply.
    supply: inventory -> SupplyServiceClient;
    /// Reservations.
    reservations: inventory -> ReservationServiceClient;
    /// Events of the inventory service.
    inventory_feed: inventory -> EventFeedServiceClient;
    /// Audit log of the inventory service.
    inventory_audit: inventory -> AuditServiceClient;
    /// Sourcing.
    sourcing: fulfillment -> SourcingServiceClient;
    /// Fulfillment orders.
    fulfillment_orders: fulfillment -> FulfillmentOrderServiceClient;
    /// Waves.
    waves: fulfillment -> WaveServiceClient;
    /// Picking.
    picking: fulfillment -> PickingServiceClient;
    /// Packing.
    packing: fulfillment -> PackingServiceClient;
    /// Documents of the warehouse.
    documents: fulfillment -> DocumentServiceClient;
    /// Events of the fulfillment service.
    fulfillment_feed: fulfillment -> EventFeedServiceClient;
    /// Audit log of the fulfillment service.
    fulfillment_audit: fulfillment -> AuditServiceClient;
    /// Rates.
    rates: shipping -> RateServiceClient;
    /// Shipments.
    shipments: shipping -> ShipmentServiceClient;
    /// Tracking.
    tracking: shipping -> TrackingServiceClient;
    /// Events of the shipping service.
    shipping_feed: shipping -> EventFeedServiceClient;
    /// Audit log of the shipping service.
    shipping_audit: shipping -> AuditServiceClient;
    /// Returns.
    returns: returns -> ReturnServiceClient;
    /// Events of the returns service.
    returns_feed: returns -> EventFeedServiceClient;
    /// Audit log of the returns service.
    returns_audit: returns -> AuditServiceClient;
}

impl Clients {
    /// Clients of a suite on behalf of a principal, such as `user:demo`.
    ///
    /// # Errors
    /// When the principal or an address is malformed.
    pub fn of_suite(suite: &Suite, principal: &str) -> anyhow::Result<Self> {
        Self::connect(|service| suite.url(service), principal)
    }

    /// Clients of services at the addresses that `url` answers.
    ///
    /// # Errors
    /// When the principal or an address is malformed.
    pub fn connect(
        url: impl Fn(&str) -> anyhow::Result<String>,
        principal: &str,
    ) -> anyhow::Result<Self> {
        Self::connect_to(|service| Ok(PeerConfig::new(url(service)?)), principal)
    }

    /// Clients of services that `peer` says how to reach.
    ///
    /// # Errors
    /// When the principal or an address is malformed.
    pub fn connect_to(
        peer: impl Fn(&str) -> anyhow::Result<PeerConfig>,
        principal: &str,
    ) -> anyhow::Result<Self> {
        Self::connect_as(&Credentials::default(), peer, principal)
    }

    /// [`Clients::connect_to`] for a caller that proves who it is.
    ///
    /// # Errors
    /// When the principal or an address is malformed, or TLS is missing.
    pub fn connect_as(
        credentials: &Credentials,
        peer: impl Fn(&str) -> anyhow::Result<PeerConfig>,
        principal: &str,
    ) -> anyhow::Result<Self> {
        let principal: Principal = principal.parse()?;
        let channel = |service: &str| -> anyhow::Result<PeerChannel> {
            let mut config = peer(service)?;
            config.timeout_ms = 30_000;
            let channel = client::connect_as(credentials, service, &config, "oms")?;
            Ok(channel.on_behalf_of(&principal))
        };
        Ok(Self {
            order: channel("order")?,
            inventory: channel("inventory")?,
            fulfillment: channel("fulfillment")?,
            shipping: channel("shipping")?,
            returns: channel("returns")?,
        })
    }

    /// The same clients on behalf of somebody else.
    ///
    /// # Errors
    /// When the principal is malformed.
    pub fn on_behalf_of(&self, principal: &str) -> anyhow::Result<Self> {
        let principal: Principal = principal.parse()?;
        Ok(Self {
            order: self.order.on_behalf_of(&principal),
            inventory: self.inventory.on_behalf_of(&principal),
            fulfillment: self.fulfillment.on_behalf_of(&principal),
            shipping: self.shipping.on_behalf_of(&principal),
            returns: self.returns.on_behalf_of(&principal),
        })
    }
}
