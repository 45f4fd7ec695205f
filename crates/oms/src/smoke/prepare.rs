//! What the order needs, where it is missing: a channel, a location, an item and one free unit.

use oms_core::{IdSource, SystemIds};
use oms_proto::common::v1::{Dimensions, FillPolicy, PostalAddress};
use oms_proto::inventory::v1::{
    BatchGetItemsRequest, BatchUpsertItemsRequest, GetLocationRequest, Item, Location,
    ReceiveStockLine, ReceiveStockRequest, UpsertLocationRequest,
};
use oms_proto::order::v1::{
    Channel, ListChannelsRequest, PaymentPolicy, RoundingMode, UpsertChannelRequest,
};

use super::calls::answered;
use super::{Failure, Plan, looks};
use crate::clients::Clients;

/// Makes what is missing. What is there stays as it is: it may be a shop's own.
pub(super) async fn everything(clients: &Clients, plan: &Plan) -> Result<String, Failure> {
    let mut made = Vec::new();
    if !has_channel(clients, plan).await? {
        let request = UpsertChannelRequest {
            request_id: fresh_id(),
            channel: Some(channel(plan)),
        };
        answered(plan.patience, async || {
            clients.channels().upsert_channel(request.clone()).await
        })
        .await?;
        made.push("channel");
    }
    if !has_location(clients, plan).await? {
        let request = UpsertLocationRequest {
            request_id: fresh_id(),
            location: Some(location(plan)),
        };
        answered(plan.patience, async || {
            clients.locations().upsert_location(request.clone()).await
        })
        .await?;
        made.push("location");
    }
    if !has_item(clients, plan).await? {
        let request = BatchUpsertItemsRequest {
            request_id: fresh_id(),
            items: vec![item(plan)],
        };
        answered(plan.patience, async || {
            clients.items().batch_upsert_items(request.clone()).await
        })
        .await?;
        made.push("item");
    }
    if looks::free_units(clients, plan).await? == 0 {
        receive(clients, plan).await?;
        made.push("a unit of stock");
    }
    Ok(if made.is_empty() {
        "everything was there".to_owned()
    } else {
        format!("made: {}", made.join(", "))
    })
}

async fn has_channel(clients: &Clients, plan: &Plan) -> Result<bool, Failure> {
    let mut page = ListChannelsRequest {
        page_size: 500,
        page_token: String::new(),
    };
    loop {
        let answer = answered(plan.patience, async || {
            clients.channels().list_channels(page.clone()).await
        })
        .await?;
        let mut ids = answer.channels.iter().map(|one| &one.channel_id);
        if ids.any(|id| *id == plan.channel_id) {
            return Ok(true);
        }
        if answer.next_page_token.is_empty() {
            return Ok(false);
        }
        page.page_token = answer.next_page_token;
    }
}

async fn has_location(clients: &Clients, plan: &Plan) -> Result<bool, Failure> {
    let request = GetLocationRequest {
        location_id: plan.location_id.clone(),
    };
    let found = answered(plan.patience, async || {
        clients.locations().get_location(request.clone()).await
    })
    .await;
    match found {
        Ok(_) => Ok(true),
        Err(failure) if failure.is_not_found() => Ok(false),
        Err(failure) => Err(failure),
    }
}

async fn has_item(clients: &Clients, plan: &Plan) -> Result<bool, Failure> {
    let request = BatchGetItemsRequest {
        skus: vec![plan.sku.clone()],
    };
    let found = answered(plan.patience, async || {
        clients.items().batch_get_items(request.clone()).await
    })
    .await?;
    Ok(!found.items.is_empty())
}

async fn receive(clients: &Clients, plan: &Plan) -> Result<(), Failure> {
    let line = ReceiveStockLine {
        sku: plan.sku.clone(),
        quantity: 1,
        lot: String::new(),
    };
    let request = ReceiveStockRequest {
        request_id: fresh_id(),
        location_id: plan.location_id.clone(),
        lines: vec![line],
        reference: "oms smoke".to_owned(),
    };
    answered(plan.patience, async || {
        clients.stock().receive_stock(request.clone()).await
    })
    .await?;
    Ok(())
}

pub(super) fn fresh_id() -> String {
    SystemIds.next().to_string()
}

fn channel(plan: &Plan) -> Channel {
    Channel {
        channel_id: plan.channel_id.clone(),
        name: "Smoke test".to_owned(),
        currency_code: plan.currency_code.clone(),
        number_prefix: "SMOKE-".to_owned(),
        payment_policy: PaymentPolicy::AuthThenCaptureOnShip.into(),
        tax_rounding: RoundingMode::HalfUp.into(),
        default_fill_policy: FillPolicy::FillOrKill.into(),
        ..Channel::default()
    }
}

fn location(plan: &Plan) -> Location {
    Location {
        location_id: plan.location_id.clone(),
        name: "Smoke test".to_owned(),
        address: Some(address()),
        latitude: 38.58,
        longitude: -121.49,
        active: true,
        version: 0,
    }
}

fn item(plan: &Plan) -> Item {
    Item {
        sku: plan.sku.clone(),
        name: "Smoke test".to_owned(),
        dimensions: Some(dimensions()),
        mass_grams: 100,
        active: true,
        ..Item::default()
    }
}

/// Of the item, and of a package with it.
pub(super) fn dimensions() -> Dimensions {
    Dimensions {
        length_mm: 100,
        width_mm: 100,
        height_mm: 100,
    }
}

/// Nobody's: where the order goes, and where the location of the test is.
pub(super) fn address() -> PostalAddress {
    PostalAddress {
        recipient: "Smoke Test".to_owned(),
        address_lines: vec!["1 Main St".to_owned()],
        locality: "Sacramento".to_owned(),
        administrative_area: "CA".to_owned(),
        postal_code: "95814".to_owned(),
        country_code: "US".to_owned(),
        phone: String::new(),
        email: String::new(),
    }
}
