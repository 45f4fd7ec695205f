//! Reads `SetStockRequest` and `MoveStockRequest`.

use oms_core::{LocationId, Quantity, Violations};
use oms_proto::inventory::v1::{MoveStockRequest, SetStockRequest, StockMeasure, StockPlace};

use crate::commands::{MoveStock, SetStock};
use crate::domain::command::Measure;
use crate::domain::level::LevelKey;
use crate::domain::reservation::Place;

use super::checks;

/// Why free stock may be corrected by hand.
const CORRECTION_REASONS: [&str; 9] = [
    "LOST",
    "STOLEN",
    "FOUND",
    "DAMAGED",
    "SAMPLE",
    "MIS_SHIP_ORDERED",
    "MIS_SHIP_SHIPPED",
    "EXPIRED",
    "OTHER",
];

/// Why stock may be moved.
const MOVE_REASONS: [&str; 5] = [
    "REPLENISHMENT",
    "RELOCATION",
    "CONSOLIDATION",
    "LOT_CORRECTION",
    "OTHER",
];

/// The reason of a correction or count.
pub(super) fn correction_reason(reason: &str, violations: &mut Violations) -> String {
    one_of("reason", reason, &CORRECTION_REASONS, violations)
}

fn one_of(field: &str, code: &str, known: &[&str], violations: &mut Violations) -> String {
    if code.is_empty() {
        violations.push(field, checks::REQUIRED, "must not be empty");
    } else {
        let message = format!("must be one of {}", known.join(", "));
        violations.check(known.contains(&code), field, checks::MALFORMED, message);
    }
    code.to_owned()
}

/// A count; `None` when something is wrong with it.
pub(super) fn count(request: &SetStockRequest, violations: &mut Violations) -> Option<SetStock> {
    let sku = checks::required("sku", &request.sku, violations);
    let location = checks::required("location_id", &request.location_id, violations);
    let lot = checks::lot("lot", &request.lot, violations);
    let measure = match StockMeasure::try_from(request.measure) {
        Ok(StockMeasure::Unspecified | StockMeasure::Available) => Some(Measure::Available),
        Ok(StockMeasure::OnHand) => Some(Measure::OnHand),
        Err(_) => {
            violations.push("measure", checks::MALFORMED, "is not known");
            None
        }
    };
    let quantity = counted("quantity", request.quantity, violations);
    if request.expected_quantity.is_none() {
        violations.push("expected_quantity", checks::REQUIRED, "must be given");
    }
    let expected = request.expected_quantity.unwrap_or_default();
    let expected = counted("expected_quantity", expected, violations);
    let reason = correction_reason(&request.reason, violations);
    Some(SetStock {
        key: LevelKey {
            sku: sku?,
            location: location?,
            lot,
        },
        measure: measure?,
        quantity,
        expected,
        reason,
    })
}

/// Units that were counted; none is a number, too.
fn counted(field: &str, units: i64, violations: &mut Violations) -> i64 {
    let fits = (0..=Quantity::MAX).contains(&units);
    violations.check(fits, field, "QUANTITY_INVALID", "must be 0 to 1000000000");
    units
}

/// A move; `None` when something is wrong with it.
pub(super) fn moved(request: &MoveStockRequest, violations: &mut Violations) -> Option<MoveStock> {
    let sku = checks::required("sku", &request.sku, violations);
    let quantity = checks::units("quantity", request.quantity, violations);
    let from = place("from", request.from.as_ref(), violations);
    let to = place("to", request.to.as_ref(), violations);
    if from.is_some() && from == to {
        violations.push("to", checks::DUPLICATE, "must be another place than from");
    }
    let reason = one_of("reason", &request.reason, &MOVE_REASONS, violations);
    Some(MoveStock {
        sku: sku?,
        from: from?,
        to: to?,
        quantity,
        reason,
    })
}

fn place(field: &str, given: Option<&StockPlace>, violations: &mut Violations) -> Option<Place> {
    let Some(given) = given else {
        violations.push(field, checks::REQUIRED, "must not be empty");
        return None;
    };
    let mut found = Violations::default();
    let location: Option<LocationId> =
        checks::required("location_id", &given.location_id, &mut found);
    let lot = checks::lot("lot", &given.lot, &mut found);
    violations.extend_under(field, found);
    Some(Place {
        location: location?,
        lot,
    })
}
