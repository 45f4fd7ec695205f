//! The platform team: channel, locations, catalogue and stock.

use anyhow::Context;
use oms_proto::common::v1::{Dimensions, FillPolicy, PostalAddress};
use oms_proto::inventory::v1::{
    BatchUpsertItemsRequest, Item, Location, ReceiveStockLine, ReceiveStockRequest,
    UpsertLocationRequest,
};
use oms_proto::order::v1::{Channel, PaymentPolicy, RoundingMode, UpsertChannelRequest};
use uuid::Uuid;

use super::plan::{self, WAREHOUSES, Warehouse};
use super::retail::RetailItem;
use super::{Bars, World};

/// The demo's channel.
pub(crate) const CHANNEL: &str = "web";
/// Most items or receipt lines in one call.
const BATCH: usize = 500;
/// Sales tax in parts per million: 8.25 %.
const TAX_RATE_PPM: i64 = 82_500;

/// A request id that is the same in every run, so that the demo can be run twice on the same data.
pub(crate) fn request_id(text: &str) -> String {
    oms_core::derive(Uuid::NAMESPACE_URL, &format!("oms-demo/{text}")).to_string()
}

/// Makes everything that orders need.
pub(crate) async fn set_up(world: &World, bars: &Bars) -> anyhow::Result<()> {
    let channel = UpsertChannelRequest {
        request_id: request_id("channel"),
        channel: Some(channel()),
    };
    world
        .clients
        .channels()
        .upsert_channel(channel)
        .await
        .context("channel")?;
    for warehouse in &WAREHOUSES {
        let request = UpsertLocationRequest {
            request_id: request_id(warehouse.location_id),
            location: Some(location(warehouse)),
        };
        world
            .clients
            .locations()
            .upsert_location(request)
            .await
            .context("location")?;
    }
    for (number, items) in world.retail.items.chunks(BATCH).enumerate() {
        let request = BatchUpsertItemsRequest {
            request_id: request_id(&format!("items/{number}")),
            items: items.iter().map(item).collect(),
        };
        world
            .clients
            .items()
            .batch_upsert_items(request)
            .await
            .context("items")?;
        bars.setup
            .inc(u64::try_from(items.len()).unwrap_or_default());
    }
    receive(world).await
}

async fn receive(world: &World) -> anyhow::Result<()> {
    let stock = plan::stock(&world.retail);
    for warehouse in &WAREHOUSES {
        let here: Vec<_> = stock
            .iter()
            .filter(|line| line.location_id == warehouse.location_id)
            .collect();
        for (number, lines) in here.chunks(BATCH).enumerate() {
            let request = ReceiveStockRequest {
                request_id: request_id(&format!("stock/{}/{number}", warehouse.location_id)),
                location_id: warehouse.location_id.to_owned(),
                lines: lines
                    .iter()
                    .map(|line| ReceiveStockLine {
                        sku: line.sku.clone(),
                        quantity: line.quantity,
                        lot: String::new(),
                    })
                    .collect(),
                reference: "opening stock".to_owned(),
            };
            world
                .clients
                .stock()
                .receive_stock(request)
                .await
                .context("stock")?;
        }
    }
    Ok(())
}

fn channel() -> Channel {
    Channel {
        channel_id: CHANNEL.to_owned(),
        name: "Web shop".to_owned(),
        currency_code: "USD".to_owned(),
        number_prefix: "WEB-".to_owned(),
        payment_policy: PaymentPolicy::AuthThenCaptureOnShip.into(),
        tax_rate_ppm: TAX_RATE_PPM,
        tax_rounding: RoundingMode::HalfUp.into(),
        default_fill_policy: FillPolicy::FillAll.into(),
        outlier_quantity: 0,
        etag: String::new(),
    }
}

fn location(warehouse: &Warehouse) -> Location {
    Location {
        location_id: warehouse.location_id.to_owned(),
        name: warehouse.name.to_owned(),
        address: Some(PostalAddress {
            recipient: warehouse.name.to_owned(),
            address_lines: vec![warehouse.street.to_owned()],
            locality: warehouse.city.to_owned(),
            administrative_area: warehouse.state.to_owned(),
            postal_code: warehouse.postal_code.to_owned(),
            country_code: "US".to_owned(),
            phone: String::new(),
            email: String::new(),
        }),
        latitude: warehouse.latitude,
        longitude: warehouse.longitude,
        active: true,
        version: 0,
    }
}

fn item(item: &RetailItem) -> Item {
    let [length_mm, width_mm, height_mm] = item.dimensions_mm;
    Item {
        sku: item.sku.clone(),
        name: item.name.clone(),
        barcodes: vec![item.barcode.clone()],
        dimensions: Some(Dimensions {
            length_mm,
            width_mm,
            height_mm,
        }),
        mass_grams: item.mass_grams,
        active: true,
        ..Item::default()
    }
}
