//! What the callers buy: one location, one hot SKU, many others.

use anyhow::Context;
use futures::stream::{self, TryStreamExt};
use oms_proto::common::v1::{Dimensions, PostalAddress};
use oms_proto::inventory::v1::item_service_client::ItemServiceClient;
use oms_proto::inventory::v1::location_service_client::LocationServiceClient;
use oms_proto::inventory::v1::stock_service_client::StockServiceClient;
use oms_proto::inventory::v1::{
    BatchUpsertItemsRequest, Item, Location, ReceiveStockLine, ReceiveStockRequest,
    UpsertLocationRequest,
};
use tonic::transport::Channel;

use super::ids::Ids;

/// Where everything stands.
pub(super) const LOCATION: &str = "bench";
/// Names of the hot SKUs begin with this; there is one.
pub(super) const HOT_PREFIX: &str = "HOT-";
/// The SKU that everybody wants.
pub(super) const HOT: &str = "HOT-1";
/// Names of the other SKUs begin with this; a number from 1 follows.
pub(super) const SPREAD_PREFIX: &str = "SPREAD-";

/// More units than any run sells.
const PLENTY: i64 = 1_000_000_000;
/// Most items or receipt lines in one call.
const BATCH: usize = 500;
/// Calls at the same time.
const CALLS: usize = 4;

/// Makes the location and fills its shelves.
pub(super) async fn set_up(url: &str, skus: u32) -> anyhow::Result<()> {
    let channel = Channel::from_shared(url.to_owned())?.connect().await?;
    let request = UpsertLocationRequest {
        request_id: Ids::new().fresh(),
        location: Some(location()),
    };
    LocationServiceClient::new(channel.clone())
        .upsert_location(request)
        .await
        .context("location")?;
    let spread = (1..=skus).map(|number| format!("{SPREAD_PREFIX}{number}"));
    let stock: Vec<(String, i64)> = spread
        .chain([HOT.to_owned()])
        .map(|sku| (sku, PLENTY))
        .collect();
    stream::iter(stock.chunks(BATCH).map(anyhow::Ok))
        .try_for_each_concurrent(CALLS, |some| put(channel.clone(), some))
        .await
}

/// Puts new SKUs on the shelf, each with so many units.
pub(super) async fn stock(url: &str, stock: &[(String, i64)]) -> anyhow::Result<()> {
    put(
        Channel::from_shared(url.to_owned())?.connect().await?,
        stock,
    )
    .await
}

async fn put(channel: Channel, stock: &[(String, i64)]) -> anyhow::Result<()> {
    let mut ids = Ids::new();
    let request = BatchUpsertItemsRequest {
        request_id: ids.fresh(),
        items: stock.iter().map(|(sku, _)| item(sku)).collect(),
    };
    ItemServiceClient::new(channel.clone())
        .batch_upsert_items(request)
        .await
        .context("items")?;
    let lines = stock.iter().map(|(sku, quantity)| ReceiveStockLine {
        sku: sku.clone(),
        quantity: *quantity,
        lot: String::new(),
    });
    let request = ReceiveStockRequest {
        request_id: ids.fresh(),
        location_id: LOCATION.to_owned(),
        lines: lines.collect(),
        reference: "opening stock".to_owned(),
    };
    StockServiceClient::new(channel)
        .receive_stock(request)
        .await
        .context("stock")?;
    Ok(())
}

fn location() -> Location {
    Location {
        location_id: LOCATION.to_owned(),
        name: "Warehouse".to_owned(),
        address: Some(PostalAddress {
            recipient: "Warehouse".to_owned(),
            address_lines: vec!["1200 Vassar St".to_owned()],
            locality: "Reno".to_owned(),
            administrative_area: "NV".to_owned(),
            postal_code: "89502".to_owned(),
            country_code: "US".to_owned(),
            ..Default::default()
        }),
        latitude: 39.50,
        longitude: -119.78,
        active: true,
        version: 0,
    }
}

fn item(sku: &str) -> Item {
    Item {
        sku: sku.to_owned(),
        name: sku.to_owned(),
        barcodes: Vec::new(),
        dimensions: Some(Dimensions {
            length_mm: 100,
            width_mm: 100,
            height_mm: 100,
        }),
        mass_grams: 100,
        active: true,
        ..Item::default()
    }
}
