//! The fulfillment feed: packed goods become shipments, canceled work takes its shipments along.

use std::sync::Arc;

use oms_core::{
    AddressId, FulfillmentOrderId, LocationId, OrderId, OrderLineId, PackSessionId, PackageId,
    ReservationId, Sku, derive,
};
use oms_postgres::{NewTask, Outcome, Task, TaskError, tasks};
use oms_proto::common::v1 as common;
use oms_proto::events::v1::Event;
use oms_proto::fulfillment::v1::fulfillment_event::Event as Fulfillment;
use oms_proto::fulfillment::v1::{
    FulfillmentEvent, FulfillmentOrderCanceled, FulfillmentOrderPacked, FulfillmentOrderState,
    PackedLine, PackedPackage,
};
use oms_service::ApplyError;
use prost::Message;
use sqlx::PgConnection;
use uuid::Uuid;

use crate::commands::cancel_fulfillment_shipments::cancel_fulfillment_shipments;
use crate::commands::create_shipment::{Cause, NewPackage, NewShipment};
use crate::commands::create_shipment_for_pack::{Packed, create_shipment_for_pack, shipment_id};
use crate::commands::{Context, Error};
use crate::domain::rates::{Parcel, ServiceLevel};
use crate::domain::shipment::{Destination, PackageLine};
use crate::store::pack_sessions::{PackSession, PackedUnits};

/// Events that are asked for.
pub(crate) const TYPES: &[&str] = &["FulfillmentOrderPacked", "FulfillmentOrderCanceled"];
/// Task that makes a shipment of a closed pack session.
pub(crate) const CREATE_TASK: &str = "create_shipment_for_pack";
/// Task that cancels the shipments of a canceled fulfillment order.
pub(crate) const CANCEL_TASK: &str = "cancel_fulfillment_shipments";

/// Inserts the task that an event asks for, keyed by the event.
pub(crate) async fn on_fulfillment_event(
    ctx: &Context,
    conn: &mut PgConnection,
    event: &Event,
) -> Result<(), ApplyError> {
    let Some(payload) = FulfillmentEvent::decode(&*event.payload)?.event else {
        return Ok(());
    };
    let (kind, order_id, key) = match &payload {
        Fulfillment::FulfillmentOrderPacked(packed) => {
            // Read here already: what cannot be understood is parked as an event, not as a task.
            read(packed, Uuid::nil()).map_err(ApplyError::rejected)?;
            (CREATE_TASK, &packed.order_id, &packed.pack_session_id)
        }
        Fulfillment::FulfillmentOrderCanceled(canceled) if is_whole(canceled) => (
            CANCEL_TASK,
            &canceled.order_id,
            &canceled.fulfillment_order_id,
        ),
        _ => return Ok(()),
    };
    oms_telemetry::record_order_id(&tracing::Span::current(), order_id);
    let event_id: Uuid = event.id.parse().map_err(ApplyError::rejected)?;
    let task = NewTask {
        id: derive(event_id, kind),
        kind,
        key: key.clone(),
        payload: event.payload.clone(),
        run_at: ctx.clock.now(),
        actor: event.actor.clone(),
    };
    tasks::insert(conn, &task).await?;
    Ok(())
}

fn is_whole(canceled: &FulfillmentOrderCanceled) -> bool {
    canceled.state() == FulfillmentOrderState::Canceled
}

/// Makes the shipment of a closed pack session and buys its labels.
pub(crate) async fn create_task(ctx: Arc<Context>, task: Task) -> Result<Outcome, TaskError> {
    let Some(Fulfillment::FulfillmentOrderPacked(packed)) = payload(&task)? else {
        return Err(TaskError::Stuck("the task holds another event".to_owned()));
    };
    let packed = read(&packed, task.id).map_err(TaskError::Stuck)?;
    create_shipment_for_pack(&ctx, &packed, &task.actor)
        .await
        .map_err(task_error)?;
    Ok(Outcome::Done)
}

/// Cancels what was made of a fulfillment order.
pub(crate) async fn cancel_task(ctx: Arc<Context>, task: Task) -> Result<Outcome, TaskError> {
    let id: FulfillmentOrderId = task
        .key
        .parse()
        .map_err(|_| TaskError::Stuck("the key is no id".to_owned()))?;
    match cancel_fulfillment_shipments(&ctx, id, &task.actor).await {
        // A label is being bought or voided just now: that ends soon.
        Err(error @ Error::Illegal(_)) => Err(TaskError::Retry(error.to_string())),
        other => other.map_err(task_error).map(|()| Outcome::Done),
    }
}

fn payload(task: &Task) -> Result<Option<Fulfillment>, TaskError> {
    let event = FulfillmentEvent::decode(&*task.payload);
    event
        .map(|event| event.event)
        .map_err(|error| TaskError::Stuck(error.to_string()))
}

fn task_error(error: Error) -> TaskError {
    match error {
        Error::NoCarrierService { level, .. } => {
            TaskError::Stuck(format!("no carrier service meets {}", level.as_str()))
        }
        error if error.is_retryable() => TaskError::Retry(error.to_string()),
        error => TaskError::Stuck(error.to_string()),
    }
}

/// Understands a packed event; the text says what is wrong with it.
fn read(packed: &FulfillmentOrderPacked, event_id: Uuid) -> Result<Packed, String> {
    let id: PackSessionId = parse("pack_session_id", &packed.pack_session_id)?;
    let order_id: OrderId = parse("order_id", &packed.order_id)?;
    let location_id: LocationId = parse("location_id", &packed.location_id)?;
    let packages = packed
        .packages
        .iter()
        .map(package)
        .collect::<Result<Vec<_>, _>>()?;
    if packages.is_empty() {
        return Err("a pack session without packages".to_owned());
    }
    let units = |line: &PackageLine| PackedUnits {
        order_line_id: line.order_line_id,
        reservation_id: line.reservation_id,
        lot: line.lot.clone(),
        quantity: line.quantity,
    };
    let session = PackSession {
        id,
        fulfillment_order_id: parse("fulfillment_order_id", &packed.fulfillment_order_id)?,
        order_id,
        lines: packages
            .iter()
            .flat_map(|package| &package.lines)
            .map(units)
            .collect(),
    };
    let destination = packed.destination.clone().unwrap_or_default();
    let shipment = NewShipment {
        id: Some(shipment_id(id)),
        order_id,
        order_number: packed.order_number.clone(),
        cause: Cause::PackSession(id),
        location_id,
        destination: Destination {
            address_id: optional::<AddressId>("destination.address_id", &destination.address_id)?,
            country_code: destination.country_code,
            postal_code: destination.postal_code,
        },
        service_level: level(packed.service_level()),
        channel_id: packed.channel_id.clone(),
        packages,
    };
    Ok(Packed {
        event_id,
        session,
        shipment,
    })
}

fn package(package: &PackedPackage) -> Result<NewPackage, String> {
    let sides = package.dimensions.unwrap_or_default();
    let parcel = Parcel {
        mass_grams: package.mass_grams,
        dimensions_mm: [sides.length_mm, sides.width_mm, sides.height_mm],
    };
    if parcel.mass_grams < 1 || parcel.dimensions_mm.iter().any(|side| *side < 1) {
        return Err(format!(
            "package {} has no mass or dimensions",
            package.package_number
        ));
    }
    Ok(NewPackage {
        id: Some(parse::<PackageId>("package_id", &package.package_id)?),
        parcel,
        lines: package.lines.iter().map(line).collect::<Result<_, _>>()?,
    })
}

fn line(line: &PackedLine) -> Result<PackageLine, String> {
    if line.quantity < 1 {
        return Err(format!("quantity {} of {}", line.quantity, line.sku));
    }
    let fulfillment_order_line_id = &line.fulfillment_order_line_id;
    Ok(PackageLine {
        order_line_id: parse::<OrderLineId>("order_line_id", &line.order_line_id)?,
        sku: parse::<Sku>("sku", &line.sku)?,
        name: line.name.clone(),
        quantity: line.quantity,
        reservation_id: optional::<ReservationId>("reservation_id", &line.reservation_id)?,
        lot: line.lot.clone(),
        fulfillment_order_line_id: optional(
            "fulfillment_order_line_id",
            fulfillment_order_line_id,
        )?,
    })
}

fn level(level: common::ServiceLevel) -> ServiceLevel {
    match level {
        common::ServiceLevel::Unspecified | common::ServiceLevel::Ground => ServiceLevel::Ground,
        common::ServiceLevel::TwoDay => ServiceLevel::TwoDay,
        common::ServiceLevel::Overnight => ServiceLevel::Overnight,
        common::ServiceLevel::SameDay => ServiceLevel::SameDay,
    }
}

fn parse<T: std::str::FromStr>(field: &str, text: &str) -> Result<T, String> {
    text.parse()
        .map_err(|_| format!("{field} {text:?} cannot be read"))
}

fn optional<T: std::str::FromStr>(field: &str, text: &str) -> Result<Option<T>, String> {
    if text.is_empty() {
        Ok(None)
    } else {
        parse(field, text).map(Some)
    }
}
