//! Units of a reservation as requests name them.

use oms_core::{LocationId, Sku, Violations};
use oms_proto::inventory::v1::{MoveReservationLine, ReservationQuantity};

use crate::domain::command::Units;
use crate::domain::move_reservation::MovedUnits;
use crate::domain::reservation::Place;

use super::checks;

/// Most rows that one request may name.
const UNITS_MAX: usize = 1_000;

/// Units of the rows that a request names; at least so many.
pub(super) fn all_units(
    given: &[ReservationQuantity],
    least: usize,
    violations: &mut Violations,
) -> Vec<Units> {
    if !checks::count("lines", given.len(), least..=UNITS_MAX, violations) {
        return Vec::new();
    }
    let numbered = given.iter().enumerate();
    numbered
        .filter_map(|(number, given)| units(&format!("lines[{number}]"), given, violations))
        .collect()
}

/// Units of one row.
pub(super) fn units(
    field: &str,
    given: &ReservationQuantity,
    violations: &mut Violations,
) -> Option<Units> {
    let mut found = Violations::default();
    let order_line = checks::required("order_line_id", &given.order_line_id, &mut found);
    let quantity = checks::units("quantity", given.quantity, &mut found);
    let lot = checks::lot("lot", &given.lot, &mut found);
    let location: Option<LocationId> = match &*given.location_id {
        "" => None,
        text => checks::required("location_id", text, &mut found),
    };
    let sku: Option<Sku> = match &*given.sku {
        "" => None,
        text => checks::required("sku", text, &mut found),
    };
    violations.extend_under(field, found);
    let place = location.map(|location| Place { location, lot });
    Some(Units {
        order_line: order_line?,
        sku,
        place,
        quantity,
    })
}

/// What goes where.
pub(super) fn moves(given: &[MoveReservationLine], violations: &mut Violations) -> Vec<MovedUnits> {
    if !checks::count("lines", given.len(), 1..=UNITS_MAX, violations) {
        return Vec::new();
    }
    let numbered = given.iter().enumerate();
    numbered
        .filter_map(|(number, given)| moved(&format!("lines[{number}]"), given, violations))
        .collect()
}

fn moved(
    field: &str,
    given: &MoveReservationLine,
    violations: &mut Violations,
) -> Option<MovedUnits> {
    let mut found = Violations::default();
    if given.units.is_none() {
        found.push("units", checks::REQUIRED, "must not be empty");
    }
    let units = given.units.as_ref();
    let units = units.and_then(|given| units_of_shelf(given, &mut found));
    let location = checks::required("to_location_id", &given.to_location_id, &mut found);
    let lot = checks::lot("to_lot", &given.to_lot, &mut found);
    violations.extend_under(field, found);
    Some(MovedUnits {
        units: units?,
        to: Place {
            location: location?,
            lot,
        },
    })
}

/// Units that stand somewhere.
fn units_of_shelf(given: &ReservationQuantity, violations: &mut Violations) -> Option<Units> {
    let read = units("units", given, violations);
    if given.location_id.is_empty() {
        violations.push("units.location_id", checks::REQUIRED, "must not be empty");
    }
    read
}
