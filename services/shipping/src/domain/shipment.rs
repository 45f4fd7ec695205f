//! A shipment and what may be done to it.

use oms_core::{
    AddressId, FulfillmentOrderId, LocationId, Money, OrderId, OrderLineId, PackSessionId,
    PackageId, ReservationId, ReturnId, ShipmentId, Sku,
};
use time::OffsetDateTime;
use uuid::Uuid;

use super::label::{LabelAction, LabelState};
use super::rates::{Parcel, ServiceLevel};
use super::state::{ShipmentAction, ShipmentState, refusal};
use super::tracking::{self, Outcome, Report};

/// Way the goods go.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Direction {
    /// From a location to the customer.
    Outbound,
    /// From the customer back to a location.
    Return,
}

impl Direction {
    /// The name that the database and the proto enum use.
    pub(crate) fn as_str(self) -> &'static str {
        match self {
            Self::Outbound => "OUTBOUND",
            Self::Return => "RETURN",
        }
    }

    /// Reads the name.
    pub(crate) fn parse(name: &str) -> Option<Self> {
        [Self::Outbound, Self::Return]
            .into_iter()
            .find(|way| way.as_str() == name)
    }
}

/// The customer's end, without personal data.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Destination {
    /// Address in the order service; fetched when a label is printed.
    pub(crate) address_id: Option<AddressId>,
    /// ISO 3166-1 alpha-2 code.
    pub(crate) country_code: String,
    /// Postal code.
    pub(crate) postal_code: String,
}

/// Units of one order line in a package.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct PackageLine {
    /// Order line.
    pub(crate) order_line_id: OrderLineId,
    /// SKU.
    pub(crate) sku: Sku,
    /// Name of the item.
    pub(crate) name: String,
    /// Units.
    pub(crate) quantity: i64,
    /// Reservation that holds the units.
    pub(crate) reservation_id: Option<ReservationId>,
    /// Lot; empty when none.
    pub(crate) lot: String,
    /// Line of the fulfillment order.
    pub(crate) fulfillment_order_line_id: Option<Uuid>,
}

/// One package.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Package {
    /// Id.
    pub(crate) id: PackageId,
    /// Number within the shipment, from 1.
    pub(crate) number: i32,
    /// Contents.
    pub(crate) lines: Vec<PackageLine>,
    /// Gross mass and outer dimensions.
    pub(crate) parcel: Parcel,
    /// Tracking number; empty while no label is bought.
    pub(crate) tracking_number: String,
    /// Where it is, once the carrier reported something.
    pub(crate) report: Option<Report>,
}

/// The last attempt to buy labels.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Label {
    /// Id, derived from the shipment and the attempt.
    pub(crate) id: Uuid,
    /// Number of the attempt, from 1.
    pub(crate) attempt: i32,
    /// State.
    pub(crate) state: LabelState,
    /// Carrier.
    pub(crate) carrier_id: String,
    /// Service of the carrier.
    pub(crate) carrier_service: String,
    /// What all packages cost us.
    pub(crate) cost: Money,
    /// When the carrier expects to deliver.
    pub(crate) expected_delivery_at: OffsetDateTime,
    /// Name of the purchase at the carrier; empty until it answered.
    pub(crate) carrier_reference: String,
    /// Why the carrier refused the last thing it was asked for; empty otherwise.
    pub(crate) failure: String,
}

/// Goods that travel together under one service of one carrier.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Shipment {
    /// Id.
    pub(crate) id: ShipmentId,
    /// Order.
    pub(crate) order_id: OrderId,
    /// Order number for people.
    pub(crate) order_number: String,
    /// Fulfillment order of an outbound shipment.
    pub(crate) fulfillment_order_id: Option<FulfillmentOrderId>,
    /// Pack session of an outbound shipment.
    pub(crate) pack_session_id: Option<PackSessionId>,
    /// Return of a return shipment.
    pub(crate) return_id: Option<ReturnId>,
    /// Way the goods go.
    pub(crate) direction: Direction,
    /// State.
    pub(crate) state: ShipmentState,
    /// Location the goods leave from, or go back to.
    pub(crate) location_id: LocationId,
    /// The customer's end.
    pub(crate) destination: Destination,
    /// How fast.
    pub(crate) service_level: ServiceLevel,
    /// The last label.
    pub(crate) label: Option<Label>,
    /// Channel of the order; empty when not told.
    pub(crate) channel_id: String,
    /// Number of the last event; the etag.
    pub(crate) version: i64,
    /// When it was created.
    pub(crate) created_at: OffsetDateTime,
    /// When it was handed over, by confirmation or by the first scan.
    pub(crate) shipped_at: Option<OffsetDateTime>,
    /// Somebody confirmed the handover.
    pub(crate) ship_confirmed: bool,
    /// Packages by number.
    pub(crate) packages: Vec<Package>,
}

/// An action that is illegal now.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Illegal {
    /// State of the shipment.
    pub(crate) state: ShipmentState,
    /// What was asked for.
    pub(crate) action: ShipmentAction,
    /// Why it is illegal.
    pub(crate) reason: String,
    /// What clients may do instead.
    pub(crate) supported: Vec<&'static str>,
}

/// What a tracking report did.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct Tracked {
    /// It moved the package.
    pub(crate) applied: bool,
    /// It was the first scan and shipped the shipment.
    pub(crate) shipped: bool,
    /// It ended the shipment in this state.
    pub(crate) ended: Option<ShipmentState>,
}

impl Shipment {
    /// Every action that clients may ask for, with the reason against it when there is one.
    pub(crate) fn client_actions(&self) -> Vec<(ShipmentAction, Option<String>)> {
        ShipmentAction::BY_CLIENTS
            .into_iter()
            .map(|action| (action, refusal(self.state, self.label_state(), action)))
            .collect()
    }

    /// State of the last label.
    pub(crate) fn label_state(&self) -> Option<LabelState> {
        self.label.as_ref().map(|label| label.state)
    }

    /// Moves the state, or tells why not.
    pub(crate) fn apply(&mut self, action: ShipmentAction) -> Result<(), Illegal> {
        self.check(action)?;
        if let Some(state) = self.state.after(action) {
            self.state = state;
        }
        Ok(())
    }

    /// Tells whether an action is legal now, without doing it.
    pub(crate) fn check(&self, action: ShipmentAction) -> Result<(), Illegal> {
        let Some(reason) = refusal(self.state, self.label_state(), action) else {
            return Ok(());
        };
        let supported = self.client_actions();
        let supported = supported
            .into_iter()
            .filter(|(_, against)| against.is_none());
        Err(Illegal {
            state: self.state,
            action,
            reason,
            supported: supported.map(|(action, _)| action.as_str()).collect(),
        })
    }

    /// Moves the label. `false` when the step is illegal or there is no label: the carrier's answer
    /// came to a label that was settled before, and changes nothing.
    pub(crate) fn apply_to_label(&mut self, action: LabelAction) -> bool {
        let Some(label) = self.label.as_mut() else {
            return false;
        };
        let Some(state) = label.state.after(action) else {
            return false;
        };
        label.state = state;
        true
    }

    /// Hands the goods over. `false` when the carrier's first scan came before: the confirmation is
    /// noted, and nothing else changes.
    pub(crate) fn confirm_ship(&mut self, now: OffsetDateTime) -> Result<bool, Illegal> {
        if self.state.is_handed_over() && !self.ship_confirmed {
            self.ship_confirmed = true;
            return Ok(false);
        }
        self.apply(ShipmentAction::ConfirmShip)?;
        self.shipped_at = Some(now);
        self.ship_confirmed = true;
        Ok(true)
    }

    /// Takes a report about one of its packages into account. The first physical scan ships a labeled
    /// shipment; the packages together say whether it is delivered. A report about a package of a
    /// shipment that was canceled or has no label any more is history only.
    pub(crate) fn track(
        &mut self,
        package: PackageId,
        report: Report,
        now: OffsetDateTime,
    ) -> Tracked {
        let mut tracked = Tracked {
            applied: false,
            shipped: false,
            ended: None,
        };
        let under_way = self.state == ShipmentState::Labeled || self.state.is_handed_over();
        let found = self
            .packages
            .iter_mut()
            .find(|candidate| candidate.id == package);
        let Some(found) = found.filter(|found| under_way && tracking::moves(found.report, report))
        else {
            return tracked;
        };
        found.report = Some(report);
        tracked.applied = true;
        if report.status.is_physical_scan() && self.step(ShipmentAction::FirstScan) {
            self.shipped_at = Some(now);
            tracked.shipped = true;
        }
        let statuses = self
            .packages
            .iter()
            .map(|package| package.report.map(|r| r.status));
        let action = match tracking::outcome(statuses) {
            Outcome::UnderWay => ShipmentAction::UnderWayAgain,
            Outcome::AllDelivered => ShipmentAction::AllDelivered,
            Outcome::SomeFailed => ShipmentAction::SomeFailed,
        };
        if self.step(action) && action != ShipmentAction::UnderWayAgain {
            tracked.ended = Some(self.state);
        }
        tracked
    }

    fn step(&mut self, action: ShipmentAction) -> bool {
        match self.state.after(action) {
            Some(state) => {
                self.state = state;
                true
            }
            None => false,
        }
    }
}

#[cfg(test)]
mod tests {
    use oms_core::Currency;
    use time::Duration;

    use super::super::tracking::TrackingStatus as T;
    use super::*;

    const START: OffsetDateTime = OffsetDateTime::UNIX_EPOCH;

    fn shipment(packages: u128) -> Shipment {
        let package = |n: u128| Package {
            id: PackageId::new(Uuid::from_u128(n)),
            number: i32::try_from(n).unwrap(),
            lines: Vec::new(),
            parcel: Parcel {
                mass_grams: 500,
                dimensions_mm: [100, 100, 100],
            },
            tracking_number: String::new(),
            report: None,
        };
        Shipment {
            id: ShipmentId::new(Uuid::from_u128(1)),
            order_id: OrderId::new(Uuid::from_u128(2)),
            order_number: "W-1".to_owned(),
            fulfillment_order_id: None,
            pack_session_id: None,
            return_id: None,
            direction: Direction::Outbound,
            state: ShipmentState::Draft,
            location_id: "us-east".parse().unwrap(),
            destination: Destination {
                address_id: None,
                country_code: "US".to_owned(),
                postal_code: "10001".to_owned(),
            },
            service_level: ServiceLevel::Ground,
            label: None,
            channel_id: String::new(),
            version: 1,
            created_at: START,
            shipped_at: None,
            ship_confirmed: false,
            packages: (1..=packages).map(package).collect(),
        }
    }

    fn labeled(packages: u128) -> Shipment {
        let mut shipment = shipment(packages);
        shipment.label = Some(Label {
            id: Uuid::from_u128(9),
            attempt: 1,
            state: LabelState::Purchased,
            carrier_id: "table_rate".to_owned(),
            carrier_service: "GROUND".to_owned(),
            cost: Money {
                currency: Currency::USD,
                minor: 749,
            },
            expected_delivery_at: START,
            carrier_reference: String::new(),
            failure: String::new(),
        });
        shipment.state = ShipmentState::Labeled;
        shipment
    }

    fn report(shipment: &mut Shipment, package: u128, status: T, minutes: i64) -> Tracked {
        let occurred_at = START + Duration::minutes(minutes);
        let package = PackageId::new(Uuid::from_u128(package));
        shipment.track(
            package,
            Report {
                status,
                occurred_at,
            },
            START,
        )
    }

    #[test]
    fn the_first_physical_scan_ships() {
        let mut shipment = labeled(1);
        let tracked = report(&mut shipment, 1, T::PreTransit, 1);
        assert!(tracked.applied && !tracked.shipped);
        assert_eq!(shipment.state, ShipmentState::Labeled);
        assert!(report(&mut shipment, 1, T::InTransit, 2).shipped);
        assert!(!report(&mut shipment, 1, T::OutForDelivery, 3).shipped);
        assert_eq!(shipment.shipped_at, Some(START));
        assert_eq!(shipment.confirm_ship(START + Duration::HOUR), Ok(false));
        assert_eq!(shipment.shipped_at, Some(START));
        assert!(shipment.confirm_ship(START).is_err());
    }

    #[test]
    fn a_delivery_that_is_reported_first_ships_and_ends() {
        let mut shipment = labeled(1);
        let tracked = report(&mut shipment, 1, T::Delivered, 1);
        assert!(tracked.shipped);
        assert_eq!(tracked.ended, Some(ShipmentState::Delivered));
        assert_eq!(report(&mut shipment, 1, T::Delivered, 1).ended, None);
    }

    #[test]
    fn every_package_counts_and_corrections_follow() {
        let mut shipment = labeled(2);
        report(&mut shipment, 1, T::Delivered, 1);
        assert_eq!(shipment.state, ShipmentState::Shipped);
        assert_eq!(
            report(&mut shipment, 2, T::Lost, 2).ended,
            Some(ShipmentState::DeliveryFailed)
        );
        report(&mut shipment, 1, T::ReturnToSender, 3);
        assert_eq!(shipment.state, ShipmentState::Shipped);
        let tracked = report(&mut shipment, 1, T::Returned, 4);
        assert_eq!(tracked.ended, Some(ShipmentState::DeliveryFailed));
    }

    #[test]
    fn a_canceled_shipment_does_not_move() {
        let mut shipment = labeled(1);
        shipment.state = ShipmentState::Canceled;
        let tracked = report(&mut shipment, 1, T::InTransit, 1);
        assert_eq!(
            tracked,
            Tracked {
                applied: false,
                shipped: false,
                ended: None
            }
        );
    }

    #[test]
    fn a_refusal_tells_what_may_be_done() {
        let mut shipment = shipment(1);
        let illegal = shipment.confirm_ship(START).unwrap_err();
        assert_eq!(illegal.supported, ["buy_label", "cancel"]);
        assert_eq!(illegal.reason, "the shipment is DRAFT");
        shipment.apply(ShipmentAction::BuyLabel).unwrap();
        assert_eq!(shipment.state, ShipmentState::Draft);
    }
}
