//! Makes a DRAFT shipment.

use std::collections::BTreeMap;

use oms_core::{
    LocationId, OrderId, OrderLineId, PackSessionId, PackageId, ReservationId, ReturnId, ShipmentId,
};
use oms_postgres::{Tx, idempotency};
use oms_proto::shipping::v1::ShipmentCreated;
use oms_proto::shipping::v1::shipping_event::Event;
use time::OffsetDateTime;

use crate::domain::rates::{Parcel, ServiceLevel};
use crate::domain::shipment::{Destination, Direction, Package, PackageLine, Shipment};
use crate::domain::state::ShipmentState;
use crate::store::pack_sessions::{self, PackSession};
use crate::store::{packages, shipments};

use super::choose_service::location;
use super::events::Events;
use super::{Call, Context, Error, on_span, replayed, replayed_before};

/// A shipment to make.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct NewShipment {
    /// Id that the caller chose.
    pub(crate) id: Option<ShipmentId>,
    /// Order.
    pub(crate) order_id: OrderId,
    /// Order number for people.
    pub(crate) order_number: String,
    /// What it is made for, and so which way the goods go.
    pub(crate) cause: Cause,
    /// Location the goods leave from, or go back to.
    pub(crate) location_id: LocationId,
    /// The customer's end.
    pub(crate) destination: Destination,
    /// How fast.
    pub(crate) service_level: ServiceLevel,
    /// Channel of the order; may be empty.
    pub(crate) channel_id: String,
    /// Packages in the order of their numbers.
    pub(crate) packages: Vec<NewPackage>,
}

/// What a shipment is made for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Cause {
    /// Goods that were packed.
    PackSession(PackSessionId),
    /// Goods that come back.
    Return(ReturnId),
}

/// A package of a shipment to make.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct NewPackage {
    /// Id that the caller chose.
    pub(crate) id: Option<PackageId>,
    /// Gross mass and outer dimensions.
    pub(crate) parcel: Parcel,
    /// Contents.
    pub(crate) lines: Vec<PackageLine>,
}

/// Makes a shipment for a caller.
#[tracing::instrument(name = "shipping.create_shipment", skip_all, fields(oms.order.id = %new.order_id))]
pub(crate) async fn create_shipment(
    ctx: &Context,
    new: &NewShipment,
    call: &Call,
) -> Result<Shipment, Error> {
    {
        // A repeat needs no peer.
        let mut conn = ctx.db.read().await?;
        if let Some(shipment) = replayed_before(&mut conn, call).await? {
            return Ok(shipment);
        }
    }
    location(ctx, &new.location_id).await?;
    let now = ctx.clock.now();
    ctx.db
        .run_tx("create_shipment", |tx| {
            Box::pin(async move {
                if let Some(shipment) = replayed(tx, call).await? {
                    return Ok(shipment);
                }
                let session = match new.cause {
                    Cause::PackSession(id) => Some(packed(tx, id, new).await?),
                    Cause::Return(_) => None,
                };
                let mut shipment = draft(ctx, new, session.as_ref(), now);
                insert(ctx, tx, &mut shipment, &call.actor, now).await?;
                idempotency::record(tx, &call.key, &shipment.id.to_string()).await?;
                on_span(&shipment);
                Ok(shipment)
            })
        })
        .await
}

/// What tells packed units apart: order line, reservation, lot.
type Unit<'a> = (OrderLineId, Option<ReservationId>, &'a str);

/// The closed session of an outbound shipment, which must hold everything that is to travel.
async fn packed(
    tx: &mut Tx<'_>,
    id: PackSessionId,
    new: &NewShipment,
) -> Result<PackSession, Error> {
    let session = pack_sessions::load(tx, id).await?;
    let Some(session) = session else {
        return Err(Error::NotPacked {
            pack_session_id: id.to_string(),
        });
    };
    if session.order_id != new.order_id {
        return Err(Error::reference(
            "order_id",
            "the pack session belongs to another order",
        ));
    }
    let mut open: BTreeMap<Unit<'_>, i64> = BTreeMap::new();
    for line in &session.lines {
        *open
            .entry((line.order_line_id, line.reservation_id, &line.lot))
            .or_default() += line.quantity;
    }
    let mut asked: BTreeMap<Unit<'_>, i64> = BTreeMap::new();
    for line in new.packages.iter().flat_map(|package| &package.lines) {
        *asked
            .entry((line.order_line_id, line.reservation_id, &line.lot))
            .or_default() += line.quantity;
    }
    for (unit, requested) in asked {
        let open = open.get(&unit).copied().unwrap_or_default();
        if requested > open {
            let order_line_id = unit.0.to_string();
            return Err(Error::ExceedsPacked {
                order_line_id,
                open,
                requested,
            });
        }
    }
    Ok(session)
}

/// The shipment that is to be made, with all ids.
pub(super) fn draft(
    ctx: &Context,
    new: &NewShipment,
    session: Option<&PackSession>,
    now: OffsetDateTime,
) -> Shipment {
    let (direction, return_id) = match new.cause {
        Cause::PackSession(_) => (Direction::Outbound, None),
        Cause::Return(id) => (Direction::Return, Some(id)),
    };
    let packages = (1..).zip(&new.packages).map(|(number, package)| Package {
        id: package.id.unwrap_or_else(|| PackageId::generate(&*ctx.ids)),
        number,
        lines: package.lines.clone(),
        parcel: package.parcel,
        tracking_number: String::new(),
        report: None,
    });
    Shipment {
        id: new.id.unwrap_or_else(|| ShipmentId::generate(&*ctx.ids)),
        order_id: new.order_id,
        order_number: new.order_number.clone(),
        fulfillment_order_id: session.map(|session| session.fulfillment_order_id),
        pack_session_id: session.map(|session| session.id),
        return_id,
        direction,
        state: ShipmentState::Draft,
        location_id: new.location_id.clone(),
        destination: new.destination.clone(),
        service_level: new.service_level,
        label: None,
        channel_id: new.channel_id.clone(),
        version: 0,
        created_at: now,
        shipped_at: None,
        ship_confirmed: false,
        packages: packages.collect(),
    }
}

/// Writes a new shipment and its first event.
pub(super) async fn insert(
    ctx: &Context,
    tx: &mut Tx<'_>,
    shipment: &mut Shipment,
    actor: &str,
    now: OffsetDateTime,
) -> Result<(), Error> {
    let mut events = Events::new(&*ctx.ids, actor, now);
    events.push(shipment, |shipment| {
        Event::ShipmentCreated(ShipmentCreated {
            shipment: Some(shipment),
        })
    });
    let inserted = shipments::insert(tx, shipment, actor).await;
    if let Err(error) = inserted {
        let taken = match error.constraint() {
            Some(shipments::PKEY) => ("shipment", shipment.id.to_string()),
            Some(packages::PKEY) => ("package", shipment.id.to_string()),
            Some(shipments::LIVE_PACK_SESSION_KEY) => {
                let session = shipment.pack_session_id.map(|id| id.to_string());
                ("shipment of pack session", session.unwrap_or_default())
            }
            _ => return Err(error.into()),
        };
        return Err(Error::AlreadyExists {
            resource: taken.0,
            id: taken.1,
        });
    }
    events.append(tx).await
}
