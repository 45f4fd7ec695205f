//! The dock and the carrier: labels that are ready are shipped, packages are scanned until they arrive.

use std::sync::Arc;

use anyhow::Context;
use oms_proto::events::v1::Event;
use oms_proto::shipping::v1 as s;
use oms_proto::shipping::v1::shipping_event::Event as ShippingFact;
use prost::Message;
use tokio::sync::{Semaphore, mpsc};
use tokio::task::JoinSet;

use super::floor::fresh_id;
use super::setup::request_id;
use super::{World, feed};
use crate::clients::Clients;

/// Shipments that are handled at the same time.
const HANDS: usize = 8;

/// What is to be done with a shipment.
enum Job {
    /// Hand it over and bring it to the customer.
    Deliver(s::Shipment),
    /// Bring it back from the customer.
    BringBack(s::Shipment),
}

/// Works until told to stop.
pub(crate) async fn work(world: Arc<World>) -> anyhow::Result<()> {
    let (jobs, mut inbox) = mpsc::unbounded_channel();
    let client = world.clients.shipping_feed();
    let follow = feed::follow(client, "demo carrier", &world.done, |event| {
        if let Some(job) = job(event)? {
            // The receiver lives as long as this loop.
            let _ = jobs.send(job);
        }
        Ok(())
    });
    let hands = Arc::new(Semaphore::new(HANDS));
    let work = async {
        let mut open = JoinSet::new();
        loop {
            tokio::select! {
                Some(job) = inbox.recv() => {
                    let (clients, hands) = (world.clients.clone(), Arc::clone(&hands));
                    open.spawn(async move {
                        let _hand = hands.acquire_owned().await?;
                        handle(&clients, job).await
                    });
                }
                Some(ended) = open.join_next() => ended??,
                else => return anyhow::Ok(()),
            }
        }
    };
    tokio::select! {
        ended = follow => ended,
        failed = work => failed,
    }
}

fn job(event: &Event) -> anyhow::Result<Option<Job>> {
    let fact = s::ShippingEvent::decode(event.payload.as_slice())?.event;
    let Some(ShippingFact::LabelPurchased(purchased)) = fact else {
        return Ok(None);
    };
    let Some(shipment) = purchased.shipment else {
        return Ok(None);
    };
    Ok(Some(match shipment.direction() {
        s::ShipmentDirection::Return => Job::BringBack(shipment),
        _ => Job::Deliver(shipment),
    }))
}

async fn handle(clients: &Clients, job: Job) -> anyhow::Result<()> {
    match job {
        Job::Deliver(shipment) => {
            let dock = clients.on_behalf_of(&format!("user:dock-{}", shipment.location_id))?;
            let request = s::ConfirmShipRequest {
                request_id: request_id(&format!("ship/{}", shipment.shipment_id)),
                shipment_id: shipment.shipment_id.clone(),
                ..Default::default()
            };
            dock.shipments()
                .confirm_ship(request)
                .await
                .context("ship")?;
            scan(clients, &shipment, s::TrackingStatus::InTransit).await?;
            scan(clients, &shipment, s::TrackingStatus::Delivered).await
        }
        // The customer's side scans it in transit; the desk receives it by hand.
        Job::BringBack(shipment) => scan(clients, &shipment, s::TrackingStatus::InTransit).await,
    }
}

async fn scan(
    clients: &Clients,
    shipment: &s::Shipment,
    status: s::TrackingStatus,
) -> anyhow::Result<()> {
    let carrier = clients.on_behalf_of("partner:carrier")?;
    for package in &shipment.packages {
        let name = status.as_str_name().trim_start_matches("TRACKING_STATUS_");
        let request = s::RecordTrackingEventRequest {
            // The scan has an id of its own, by which it counts once; its time is another one when the demo runs again.
            request_id: fresh_id(),
            carrier_id: shipment.carrier_id.clone(),
            tracking_number: package.tracking_number.clone(),
            carrier_event_id: format!("{}-{name}", package.tracking_number),
            status: status.into(),
            description: String::new(),
            occur_time: Some(oms_proto::time_to_proto(oms_core::Clock::now(
                &oms_core::SystemClock,
            ))),
        };
        carrier
            .tracking()
            .record_tracking_event(request)
            .await
            .context("tracking")?;
    }
    Ok(())
}
