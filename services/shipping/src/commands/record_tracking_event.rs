//! Records what a carrier reported about a package.

use oms_core::derive;
use oms_postgres::{Tx, idempotency};
use oms_proto::shipping::v1::shipping_event::Event;
use oms_proto::shipping::v1::{
    PackageTracked, ShipmentDelivered, ShipmentDeliveryFailed, ShipmentShipped,
};
use time::OffsetDateTime;
use uuid::Uuid;

use crate::domain::shipment::{Shipment, Tracked};
use crate::domain::state::ShipmentState;
use crate::domain::tracking::{Report, TrackingStatus};
use crate::store::labels::{self, Numbered};
use crate::store::tracking::{self, TrackingEvent};
use crate::store::{packages, shipments};

use super::events::Events;
use super::{Call, Context, Error, lock, message, on_span};

/// What a carrier reported.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct NewReport {
    /// Carrier.
    pub(crate) carrier_id: String,
    /// Tracking number.
    pub(crate) tracking_number: String,
    /// The carrier's id of it; empty takes one made of the rest.
    pub(crate) carrier_event_id: String,
    /// Status it reports.
    pub(crate) status: TrackingStatus,
    /// What the carrier wrote.
    pub(crate) description: String,
    /// By the carrier's clock.
    pub(crate) occurred_at: OffsetDateTime,
}

impl NewReport {
    fn event_id(&self) -> String {
        if !self.carrier_event_id.is_empty() {
            return self.carrier_event_id.clone();
        }
        let rest = format!(
            "{}\n{}\n{}\n{}\n{}",
            self.carrier_id,
            self.tracking_number,
            self.status.as_str(),
            self.occurred_at.unix_timestamp_nanos(),
            self.description,
        );
        derive(Uuid::nil(), &rest).to_string()
    }
}

/// Records a report. A repeat answers what the first one did; a late report is history only.
#[tracing::instrument(name = "shipping.record_tracking_event", skip_all, fields(oms.order.id))]
pub(crate) async fn record_tracking_event(
    ctx: &Context,
    report: &NewReport,
    call: &Call,
) -> Result<(TrackingEvent, Shipment), Error> {
    let now = ctx.clock.now();
    ctx.db
        .run_tx("record_tracking_event", |tx| {
            Box::pin(async move {
                let found =
                    labels::find_by_number(tx, &report.carrier_id, &report.tracking_number).await?;
                let Some(numbered) = found else {
                    return Err(Error::not_found("package", &report.tracking_number));
                };
                let repeat = idempotency::check(tx, &call.key).await?;
                let mut shipment = lock(tx, numbered.shipment_id, None).await?;
                on_span(&shipment);
                let event_id = repeat.clone().unwrap_or_else(|| report.event_id());
                let (carrier, number) = (&report.carrier_id, &report.tracking_number);
                let event = match tracking::find(tx, carrier, number, &event_id).await? {
                    Some(event) => event,
                    None => {
                        apply(ctx, tx, &mut shipment, numbered, report, &call.actor, now).await?
                    }
                };
                if repeat.is_none() {
                    idempotency::record(tx, &call.key, &event_id).await?;
                }
                Ok((event, shipment))
            })
        })
        .await
}

async fn apply(
    ctx: &Context,
    tx: &mut Tx<'_>,
    shipment: &mut Shipment,
    numbered: Numbered,
    report: &NewReport,
    actor: &str,
    now: OffsetDateTime,
) -> Result<TrackingEvent, Error> {
    let (status, occurred_at) = (report.status, report.occurred_at);
    // A number of a label that was voided moves nothing any more, unless the goods were gone before.
    let gone = shipment.state.is_handed_over();
    let carried = shipment.label.as_ref().is_some_and(|label| {
        label.id == numbered.label_id && (gone || label.state.is_on_packages())
    });
    let tracked = if carried {
        shipment.track(
            numbered.package_id,
            Report {
                status,
                occurred_at,
            },
            now,
        )
    } else {
        Tracked::default()
    };
    let event = TrackingEvent {
        carrier_id: report.carrier_id.clone(),
        tracking_number: report.tracking_number.clone(),
        carrier_event_id: report.event_id(),
        shipment_id: shipment.id,
        package_id: numbered.package_id,
        status,
        description: report.description.clone(),
        occurred_at,
        recorded_at: now,
        applied: tracked.applied,
    };
    tracking::insert(tx, &event, actor).await?;
    if tracked.applied {
        let events = events(ctx, shipment, tracked, &event, actor, now);
        packages::save(tx, &shipment.packages).await?;
        shipments::save(tx, shipment, now).await?;
        events.append(tx).await?;
    }
    Ok(event)
}

/// Tells what a report did, in the order in which it is to be understood.
fn events<'a>(
    ctx: &'a Context,
    shipment: &mut Shipment,
    tracked: Tracked,
    event: &TrackingEvent,
    actor: &'a str,
    now: OffsetDateTime,
) -> Events<'a> {
    let mut events = Events::new(&*ctx.ids, actor, now);
    if tracked.shipped {
        events.push(shipment, |shipment| {
            Event::ShipmentShipped(ShipmentShipped {
                shipment: Some(shipment),
            })
        });
    }
    events.push(shipment, |shipment| {
        Event::PackageTracked(PackageTracked {
            shipment_id: shipment.shipment_id,
            order_id: shipment.order_id,
            return_id: shipment.return_id,
            event: Some(message::tracking_event(event)),
        })
    });
    match tracked.ended {
        Some(ShipmentState::Delivered) => events.push(shipment, |shipment| {
            Event::ShipmentDelivered(ShipmentDelivered {
                shipment: Some(shipment),
            })
        }),
        Some(_) => events.push(shipment, |shipment| {
            Event::ShipmentDeliveryFailed(ShipmentDeliveryFailed {
                shipment: Some(shipment),
            })
        }),
        None => {}
    }
    events
}
