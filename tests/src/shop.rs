//! The platform team and the shop: channel, locations, items, stock, orders.

use anyhow::Context;
use oms_proto::common::v1::{Dimensions, FillPolicy, PostalAddress, ServiceLevel};
use oms_proto::inventory::v1::{
    BatchGetAvailabilityRequest, BatchUpsertItemsRequest, Item, Location, ReceiveStockLine,
    ReceiveStockRequest, StockLevel, UpsertLocationRequest,
};
use oms_proto::order::v1::{
    Channel, NewOrder, NewOrderLine, Order, PaymentMethod, PaymentPolicy, PlaceOrderRequest,
    RoundingMode, UpsertChannelRequest, WaitFor,
};
use tonic::Status;

use crate::suite::{Actor, answered};
use crate::{fresh_id, usd};

/// Locations of the tests: id, state, postal code, latitude, longitude.
const LOCATIONS: [(&str, &str, &str, f64, f64); 2] = [
    ("west", "NV", "89502", 39.5, -119.8),
    ("east", "NJ", "07114", 40.7, -74.2),
];

/// The barcode of an item of the tests.
pub fn barcode(sku: &str) -> String {
    format!("code-{sku}")
}

/// A channel of the tests with this payment policy.
pub fn channel(channel_id: &str, policy: PaymentPolicy) -> Channel {
    Channel {
        channel_id: channel_id.to_owned(),
        name: "Test shop".to_owned(),
        currency_code: "USD".to_owned(),
        number_prefix: format!("{}-", channel_id.to_uppercase()),
        payment_policy: policy.into(),
        tax_rate_ppm: 82_500,
        tax_rounding: RoundingMode::HalfUp.into(),
        default_fill_policy: FillPolicy::FillOrKill.into(),
        outlier_quantity: 0,
        etag: String::new(),
    }
}

/// An item of the tests.
pub fn item(sku: &str) -> Item {
    Item {
        sku: sku.to_owned(),
        name: format!("Item {sku}"),
        barcodes: vec![barcode(sku)],
        dimensions: Some(Dimensions {
            length_mm: 200,
            width_mm: 100,
            height_mm: 50,
        }),
        mass_grams: 500,
        active: true,
        ..Item::default()
    }
}

/// Where orders of the tests go: near the west location.
pub fn address() -> PostalAddress {
    PostalAddress {
        recipient: "Claire Gute".to_owned(),
        address_lines: vec!["1 Main St".to_owned()],
        locality: "Sacramento".to_owned(),
        administrative_area: "CA".to_owned(),
        postal_code: "95814".to_owned(),
        country_code: "US".to_owned(),
        phone: String::new(),
        email: String::new(),
    }
}

/// An order of these SKUs and units, with a card that is approved.
pub fn new_order(lines: &[(&str, i64)]) -> NewOrder {
    let line = |(sku, quantity): &(&str, i64)| NewOrderLine {
        sku: (*sku).to_owned(),
        quantity: *quantity,
        unit_price: Some(usd(1_999)),
        ..Default::default()
    };
    NewOrder {
        channel_id: "web".to_owned(),
        currency_code: "USD".to_owned(),
        lines: lines.iter().map(line).collect(),
        ship_to: Some(address()),
        shipping_charge: Some(usd(499)),
        payment_method: Some(PaymentMethod {
            provider: "sandbox".to_owned(),
            token: "tok_approve".to_owned(),
            ..PaymentMethod::default()
        }),
        service_level: ServiceLevel::Ground.into(),
        ..Default::default()
    }
}

impl Actor {
    /// Makes channel `web`, locations `west` and `east`, and these items.
    ///
    /// # Errors
    /// When one is refused.
    pub async fn set_up(&self, skus: &[&str]) -> anyhow::Result<()> {
        self.upsert_channel(channel("web", PaymentPolicy::AuthThenCaptureOnShip))
            .await?;
        self.set_up_stock(skus).await
    }

    /// Makes locations `west` and `east`, and these items.
    ///
    /// # Errors
    /// When one is refused.
    pub async fn set_up_stock(&self, skus: &[&str]) -> anyhow::Result<()> {
        for (location_id, state, postal_code, latitude, longitude) in LOCATIONS {
            let address = PostalAddress {
                recipient: format!("Warehouse {location_id}"),
                administrative_area: state.to_owned(),
                postal_code: postal_code.to_owned(),
                ..address()
            };
            let location = Location {
                location_id: location_id.to_owned(),
                name: location_id.to_owned(),
                address: Some(address),
                latitude,
                longitude,
                active: true,
                version: 0,
            };
            let request = UpsertLocationRequest {
                request_id: fresh_id(),
                location: Some(location),
            };
            answered("location", || async {
                self.clients
                    .locations()
                    .upsert_location(request.clone())
                    .await
            })
            .await?;
        }
        let items = skus.iter().map(|sku| item(sku)).collect();
        let request = BatchUpsertItemsRequest {
            request_id: fresh_id(),
            items,
        };
        answered("items", || async {
            self.clients
                .items()
                .batch_upsert_items(request.clone())
                .await
        })
        .await?;
        Ok(())
    }

    /// Creates or replaces a channel.
    ///
    /// # Errors
    /// When it is refused.
    pub async fn upsert_channel(&self, channel: Channel) -> anyhow::Result<()> {
        let request = UpsertChannelRequest {
            request_id: fresh_id(),
            channel: Some(channel),
        };
        answered("channel", || async {
            self.clients
                .channels()
                .upsert_channel(request.clone())
                .await
        })
        .await?;
        Ok(())
    }

    /// Books stock in.
    ///
    /// # Errors
    /// When it is refused.
    pub async fn receive(&self, location_id: &str, sku: &str, units: i64) -> anyhow::Result<()> {
        let line = ReceiveStockLine {
            sku: sku.to_owned(),
            quantity: units,
            lot: String::new(),
        };
        let request = ReceiveStockRequest {
            request_id: fresh_id(),
            location_id: location_id.to_owned(),
            lines: vec![line],
            reference: "test".to_owned(),
        };
        answered("receive", || async {
            self.clients.stock().receive_stock(request.clone()).await
        })
        .await?;
        Ok(())
    }

    /// Levels of a SKU by location.
    ///
    /// # Errors
    /// When they cannot be read.
    pub async fn levels(&self, sku: &str) -> anyhow::Result<Vec<StockLevel>> {
        let request = BatchGetAvailabilityRequest {
            skus: vec![sku.to_owned()],
            location_ids: Vec::new(),
            channel_id: String::new(),
        };
        Ok(answered("levels", || async {
            self.clients
                .stock()
                .batch_get_availability(request.clone())
                .await
        })
        .await?
        .levels)
    }

    /// Places an order without waiting for its saga, with one request id until it is answered: services may be dead
    /// for a moment.
    ///
    /// # Errors
    /// When no answer comes.
    pub async fn place_until_answered(&self, order: NewOrder) -> anyhow::Result<Order> {
        let request = PlaceOrderRequest {
            request_id: fresh_id(),
            order: Some(order),
            wait_for: WaitFor::Pending.into(),
        };
        let answer = answered("place order", || async {
            self.clients.orders().place_order(request.clone()).await
        })
        .await?;
        answer.order.context("no order")
    }

    /// Places an order and waits until it is confirmed or refused.
    ///
    /// # Errors
    /// What PlaceOrder refuses.
    pub async fn place(&self, order: NewOrder) -> Result<Order, Status> {
        let request = PlaceOrderRequest {
            request_id: fresh_id(),
            order: Some(order),
            wait_for: WaitFor::Confirmed.into(),
        };
        let answer = self
            .clients
            .orders()
            .place_order(request)
            .await?
            .into_inner();
        answer
            .order
            .ok_or_else(|| Status::internal("no order was answered"))
    }
}
