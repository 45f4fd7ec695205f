//! Issues the units of a shipment, one task per reservation that it drew from.

use std::collections::BTreeMap;
use std::sync::Arc;

use oms_core::{OrderLineId, ReservationId, Sku};
use oms_postgres::{Outcome, Task, TaskError};
use oms_proto::shipping::v1::shipping_event::Event;
use oms_proto::shipping::v1::{Shipment, ShippingEvent};
use prost::Message;
use tracing::Span;

use crate::commands;
use crate::ctx::Ctx;
use crate::domain::command::{Issue, Units};
use crate::domain::reservation::Place;

use super::{call, failure};

/// What a shipment takes of each reservation. An error says what makes no sense.
pub(crate) fn issues_of(shipment: &Shipment) -> Result<BTreeMap<ReservationId, Issue>, String> {
    let wrong = |what: &str, text: &str| format!("{what} {text:?} of a shipment cannot be read");
    let id = &shipment.shipment_id;
    let shipment_id = id.parse().map_err(|_| wrong("shipment_id", id))?;
    let id = &shipment.location_id;
    let location: oms_core::LocationId = id.parse().map_err(|_| wrong("location_id", id))?;
    // A line may lie in several packages: what the ledger knows once is the sum.
    let mut sums: BTreeMap<(ReservationId, OrderLineId, Sku, &str), i64> = BTreeMap::new();
    for line in shipment.packages.iter().flat_map(|package| &package.lines) {
        let id = &line.reservation_id;
        let reservation = id.parse().map_err(|_| wrong("reservation_id", id))?;
        let id = &line.order_line_id;
        let order_line = id.parse().map_err(|_| wrong("order_line_id", id))?;
        let sku = &line.sku;
        let sku = sku.parse().map_err(|_| wrong("sku", sku))?;
        if line.quantity < 1 {
            return Err(format!(
                "quantity {} of a shipment is not positive",
                line.quantity
            ));
        }
        let sum = sums
            .entry((reservation, order_line, sku, &*line.lot))
            .or_default();
        *sum = sum.saturating_add(line.quantity);
    }
    let mut issues: BTreeMap<ReservationId, Issue> = BTreeMap::new();
    for ((reservation, order_line, sku, lot), quantity) in sums {
        let issue = issues.entry(reservation).or_insert_with(|| Issue {
            reservation,
            shipment: shipment_id,
            units: Vec::new(),
        });
        let place = Place {
            location: location.clone(),
            lot: lot.to_owned(),
        };
        issue.units.push(Units {
            order_line,
            sku: Some(sku),
            place: Some(place),
            quantity,
        });
    }
    Ok(issues)
}

/// The payload is the event, the key the reservation.
pub(super) async fn run(ctx: Arc<Ctx>, task: Task) -> Result<Outcome, TaskError> {
    let stuck = |reason: &str| TaskError::Stuck(reason.to_owned());
    let event = ShippingEvent::decode(&*task.payload).map_err(|error| stuck(&error.to_string()))?;
    let Some(Event::ShipmentShipped(shipped)) = event.event else {
        return Err(stuck("the payload is no ShipmentShipped"));
    };
    let shipment = shipped.shipment.unwrap_or_default();
    oms_telemetry::record_order_id(&Span::current(), &shipment.order_id);
    let reservation = task
        .key
        .parse()
        .map_err(|_| stuck("the key is no reservation"))?;
    let mut issues = issues_of(&shipment).map_err(TaskError::Stuck)?;
    let issue = issues
        .remove(&reservation)
        .ok_or_else(|| stuck("nothing of it was shipped"))?;
    let call = call(&task, "IssueReservation")?;
    commands::issue_reservation(&ctx, call, issue)
        .await
        .map_err(failure)?;
    Ok(Outcome::Done)
}
