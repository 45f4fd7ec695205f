//! The counters of a fulfillment order and what may be done to it. Every change of a counter goes
//! through here, so that state, floor stage and counters move together.

use oms_core::{
    AddressId, FulfillmentOrderId, LocationId, OrderId, OrderLineId, ProposalId, ReservationId,
};
use time::OffsetDateTime;
use uuid::Uuid;

use super::machine::{self, Named as _};
use super::policy::{FillPolicy, ServiceLevel};
use super::refusal::{Refusal, SupportedAction};
use super::state::{Action, FLOOR, FloorStage, FloorStep, State, TRANSITIONS};

const AGGREGATE: &str = "fulfillment_order";

/// Where goods go; no personal data.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Destination {
    /// By this the order service knows the full address.
    pub(crate) address_id: AddressId,
    /// ISO 3166-1 alpha-2 code.
    pub(crate) country_code: String,
    /// Postal code.
    pub(crate) postal_code: String,
}

/// Outer dimensions in millimetres.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Dimensions {
    /// Longest side.
    pub(crate) length_mm: i64,
    /// Middle side.
    pub(crate) width_mm: i64,
    /// Shortest side.
    pub(crate) height_mm: i64,
}

/// What scanning and printing need to know of an item; a copy with the version it was taken from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Item {
    /// Stock keeping unit.
    pub(crate) sku: String,
    /// Name for people.
    pub(crate) name: String,
    /// Barcodes that scan as this item.
    pub(crate) barcodes: Vec<String>,
    /// Mass of one unit in grams.
    pub(crate) mass_grams: i64,
    /// Dimensions of one unit.
    pub(crate) dimensions: Dimensions,
    /// Version of the item at inventory.
    pub(crate) version: i64,
}

impl Item {
    /// Whether a scanned code means this item. An item without barcodes is scanned by its SKU, which
    /// is what the pick list prints for it.
    pub(crate) fn scans_as(&self, code: &str) -> bool {
        if self.barcodes.is_empty() {
            self.sku == code
        } else {
            self.barcodes.iter().any(|one| one == code)
        }
    }

    /// The code to print for scanning.
    pub(crate) fn printed_code(&self) -> &str {
        self.barcodes.first().unwrap_or(&self.sku)
    }
}

/// Units of one order line under one reservation. `picked + short + canceled <= total`,
/// `packed + packing <= picked`, `shipped <= packed`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Line {
    /// Id of this line.
    pub(crate) id: Uuid,
    /// Order line.
    pub(crate) order_line_id: OrderLineId,
    /// The item.
    pub(crate) item: Item,
    /// Lot; empty when none.
    pub(crate) lot: String,
    /// Reservation that holds the units.
    pub(crate) reservation_id: ReservationId,
    /// Units to ship.
    pub(crate) total: i64,
    /// Units picked.
    pub(crate) picked: i64,
    /// Units in an open pack session.
    pub(crate) packing: i64,
    /// Units in closed pack sessions.
    pub(crate) packed: i64,
    /// Units shipped.
    pub(crate) shipped: i64,
    /// Units handed back because they were not found.
    pub(crate) short: i64,
    /// Units canceled.
    pub(crate) canceled: i64,
}

impl Line {
    /// Units that are still to be picked.
    pub(crate) fn to_pick(&self) -> i64 {
        self.total - self.picked - self.short - self.canceled
    }

    /// Units that may be scanned into a package.
    pub(crate) fn to_pack(&self) -> i64 {
        self.picked - self.packed - self.packing
    }

    /// Units that no picker has started on: all open ones of a line that was never scanned.
    pub(crate) fn untouched(&self) -> i64 {
        if self.picked == 0 && self.short == 0 {
            self.to_pick()
        } else {
            0
        }
    }
}

/// Units of a line of a fulfillment order.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct LineUnits {
    /// Line of the fulfillment order.
    pub(crate) line_id: Uuid,
    /// Units.
    pub(crate) quantity: i64,
}

/// Work for one location: what of an order it ships.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct FulfillmentOrder {
    /// Id.
    pub(crate) id: FulfillmentOrderId,
    /// Order.
    pub(crate) order_id: OrderId,
    /// Order number for people.
    pub(crate) order_number: String,
    /// Channel of the order.
    pub(crate) channel_id: String,
    /// Location that does the work.
    pub(crate) location_id: LocationId,
    /// What created it: a request id, or the short that was sourced again.
    pub(crate) batch_id: Uuid,
    /// Proposal it came from.
    pub(crate) proposal_id: Option<ProposalId>,
    /// Execution axis.
    pub(crate) state: State,
    /// Floor axis.
    pub(crate) stage: FloorStage,
    /// Why it is held; empty otherwise.
    pub(crate) hold_reason: String,
    /// Where the goods go.
    pub(crate) destination: Destination,
    /// How fast.
    pub(crate) service_level: ServiceLevel,
    /// Fill policy of the order.
    pub(crate) fill_policy: FillPolicy,
    /// 0 is the most urgent, 9 the least.
    pub(crate) priority: i16,
    /// Instructions for packing.
    pub(crate) instructions: String,
    /// Rises with every visible change; the etag.
    pub(crate) version: i64,
    /// Number of the last event.
    pub(crate) event_sequence: i64,
    /// Who created it.
    pub(crate) created_by: String,
    /// When it was created.
    pub(crate) created_at: OffsetDateTime,
    /// When it changed last.
    pub(crate) updated_at: OffsetDateTime,
    /// Lines.
    pub(crate) lines: Vec<Line>,
}

impl FulfillmentOrder {
    /// The line with this id.
    pub(crate) fn line(&self, line_id: Uuid) -> Option<&Line> {
        self.lines.iter().find(|line| line.id == line_id)
    }

    fn line_mut(&mut self, line_id: Uuid) -> Option<&mut Line> {
        self.lines.iter_mut().find(|line| line.id == line_id)
    }

    /// Sums a counter over the lines.
    pub(crate) fn sum(&self, counter: impl Fn(&Line) -> i64) -> i64 {
        self.lines.iter().map(counter).sum()
    }

    /// Every action that clients may ask for, and why it may not be done now.
    pub(crate) fn supported_actions(&self) -> Vec<SupportedAction> {
        Action::BY_CLIENTS
            .iter()
            .map(|action| SupportedAction {
                action: action.name(),
                refused_because: self.obstacle(*action),
            })
            .collect()
    }

    /// Why an action may not be done now; `None` when it may.
    fn obstacle(&self, action: Action) -> Option<String> {
        if machine::after(TRANSITIONS, self.state, action).is_none() {
            return Some(format!("not possible while {}", self.state.name()));
        }
        self.missing_ground(action).map(str::to_owned)
    }

    /// What an action needs beyond the state.
    fn missing_ground(&self, action: Action) -> Option<&'static str> {
        match action {
            Action::CreateWave if self.stage != FloorStage::None => {
                Some("it is on the floor already")
            }
            Action::ScanPick | Action::ReportShortPick if self.stage == FloorStage::None => {
                Some("it is in no wave")
            }
            Action::ScanPick | Action::ReportShortPick if self.sum(Line::to_pick) == 0 => {
                Some("nothing is left to pick")
            }
            Action::OpenPackSession if self.stage == FloorStage::Packing => {
                Some("another pack session is open")
            }
            Action::OpenPackSession if self.sum(Line::to_pack) == 0 => {
                Some("nothing is picked that is not packed")
            }
            _ => None,
        }
    }

    /// Takes an action on the execution axis, or refuses it.
    fn take(&mut self, action: Action) -> Result<(), Refusal> {
        let supported = || self.supported_actions();
        let to = machine::step(AGGREGATE, TRANSITIONS, self.state, action, supported)?;
        if let Some(why) = self.missing_ground(action) {
            let why = format!(": {why}");
            let refusal = machine::refuse(
                AGGREGATE,
                self.state.name(),
                action.name(),
                &self.supported_actions(),
                &why,
            );
            return Err(refusal.into());
        }
        self.state = to;
        Ok(())
    }

    /// Stops work that has not started.
    pub(crate) fn hold(&mut self, reason: &str) -> Result<(), Refusal> {
        self.take(Action::Hold)?;
        reason.clone_into(&mut self.hold_reason);
        Ok(())
    }

    /// Ends a hold.
    pub(crate) fn release_hold(&mut self) -> Result<(), Refusal> {
        self.take(Action::ReleaseHold)?;
        self.hold_reason.clear();
        Ok(())
    }

    /// Puts the work on the floor.
    pub(crate) fn release_to_floor(&mut self) -> Result<(), Refusal> {
        self.take(Action::CreateWave)?;
        self.walk(FloorStep::Release);
        Ok(())
    }

    /// Counts units as picked.
    pub(crate) fn pick(&mut self, units: LineUnits) -> Result<(), Refusal> {
        self.take_from_shelf(Action::ScanPick, units, |line, quantity| {
            line.picked += quantity;
        })
    }

    /// Counts units as not found.
    pub(crate) fn report_short(&mut self, units: LineUnits) -> Result<(), Refusal> {
        self.take_from_shelf(Action::ReportShortPick, units, |line, quantity| {
            line.short += quantity;
        })
    }

    fn take_from_shelf(
        &mut self,
        action: Action,
        units: LineUnits,
        count: fn(&mut Line, i64),
    ) -> Result<(), Refusal> {
        let open = self.line(units.line_id).map_or(0, Line::to_pick);
        // More than is open is told as such, also when nothing at all is left.
        if units.quantity > open && machine::after(TRANSITIONS, self.state, action).is_some() {
            return Err(Refusal::QuantityExceedsOpen {
                open,
                requested: units.quantity,
            });
        }
        self.take(action)?;
        if let Some(line) = self.line_mut(units.line_id) {
            count(line, units.quantity);
        }
        if self.stage == FloorStage::Released {
            self.walk(FloorStep::StartPick);
        }
        self.settle();
        Ok(())
    }

    /// Cancels units that no picker has started on: of the order lines asked for, or all when none
    /// is named. Answers what was canceled, which may be less than was asked for, even nothing.
    pub(crate) fn cancel(
        &mut self,
        wanted: &[(OrderLineId, i64)],
    ) -> Result<Vec<LineUnits>, Refusal> {
        self.take(Action::Cancel)?;
        let mut wanted = wanted.to_vec();
        let everything = wanted.is_empty();
        let mut canceled = Vec::new();
        for line in &mut self.lines {
            let quantity = if everything {
                line.untouched()
            } else {
                let mut quantity = 0;
                for (_, left) in wanted
                    .iter_mut()
                    .filter(|(id, _)| *id == line.order_line_id)
                {
                    let part = (line.untouched() - quantity).min(*left);
                    *left -= part;
                    quantity += part;
                }
                quantity
            };
            if quantity > 0 {
                line.canceled += quantity;
                canceled.push(LineUnits {
                    line_id: line.id,
                    quantity,
                });
            }
        }
        self.settle();
        Ok(canceled)
    }

    /// Lets a packer open a session.
    pub(crate) fn open_pack_session(&mut self) -> Result<(), Refusal> {
        self.take(Action::OpenPackSession)?;
        self.walk(FloorStep::OpenPack);
        Ok(())
    }

    /// Counts scanned units into the open session: the lines whose item has this barcode, in their
    /// order, as far as each has units. Answers which lines took how many.
    pub(crate) fn pack(&mut self, barcode: &str, quantity: i64) -> Result<Vec<LineUnits>, Refusal> {
        let fitting = || self.lines.iter().filter(|line| line.item.scans_as(barcode));
        if fitting().next().is_none() {
            let open = self.lines.iter().filter(|line| line.to_pack() > 0);
            let mut expected_skus: Vec<String> = open.map(|line| line.item.sku.clone()).collect();
            expected_skus.sort();
            expected_skus.dedup();
            return Err(Refusal::BarcodeMismatch { expected_skus });
        }
        let open = fitting().map(Line::to_pack).sum();
        if quantity > open {
            return Err(Refusal::QuantityExceedsOpen {
                open,
                requested: quantity,
            });
        }
        let mut left = quantity;
        let mut taken = Vec::new();
        for line in self
            .lines
            .iter_mut()
            .filter(|line| line.item.scans_as(barcode))
        {
            let part = line.to_pack().min(left);
            if part > 0 {
                line.packing += part;
                left -= part;
                taken.push(LineUnits {
                    line_id: line.id,
                    quantity: part,
                });
            }
        }
        Ok(taken)
    }

    /// Ends the open session; its units are packed, or back on the bench when it is given up.
    pub(crate) fn end_pack_session(&mut self, packed: bool) {
        for line in &mut self.lines {
            if packed {
                line.packed += line.packing;
            }
            line.packing = 0;
        }
        let step = match (self.sum(Line::to_pick), self.sum(Line::to_pack)) {
            (0, 0) => FloorStep::FinishPack,
            (0, _) => FloorStep::BackToPicked,
            _ => FloorStep::BackToPick,
        };
        self.walk(step);
        self.settle();
    }

    /// Counts units of a shipment as shipped. More than was packed is refused: goods that nobody
    /// scanned cannot have left.
    pub(crate) fn ship(&mut self, units: &[LineUnits]) -> Result<(), Refusal> {
        self.take(Action::Ship)?;
        for unit in units {
            let open = self
                .line(unit.line_id)
                .map_or(0, |line| line.packed - line.shipped);
            if unit.quantity > open {
                return Err(Refusal::QuantityExceedsOpen {
                    open,
                    requested: unit.quantity,
                });
            }
            if let Some(line) = self.line_mut(unit.line_id) {
                line.shipped += unit.quantity;
            }
        }
        self.settle();
        Ok(())
    }

    /// Follows the counters: picking ends with the last open unit, the work with the last unit that
    /// shipped, was canceled or handed back.
    fn settle(&mut self) {
        if self.stage == FloorStage::Picking && self.sum(Line::to_pick) == 0 {
            let unpacked = self.sum(Line::to_pack);
            let packed = self.sum(|line| line.packed);
            let finished = unpacked == 0 && packed > 0;
            self.walk(if finished {
                FloorStep::FinishPacked
            } else {
                FloorStep::FinishPick
            });
        }
        if self.sum(|line| line.shipped + line.canceled + line.short) < self.sum(|line| line.total)
        {
            return;
        }
        let end = if self.sum(|line| line.canceled) == self.sum(|line| line.total) {
            Action::CancelLast
        } else if self.sum(|line| line.shipped) == 0 {
            Action::EndIncomplete
        } else {
            Action::Close
        };
        if let Some(to) = machine::after(TRANSITIONS, self.state, end) {
            self.state = to;
            self.hold_reason.clear();
        }
    }

    /// Takes a step on the floor axis. Callers take only steps that are in the table.
    fn walk(&mut self, step: FloorStep) {
        let to = machine::after(FLOOR, self.stage, step);
        debug_assert!(
            to.is_some(),
            "{:?} does not lead on from {:?}",
            step,
            self.stage
        );
        self.stage = to.unwrap_or(self.stage);
    }
}

#[cfg(test)]
#[path = "fulfillment_order_tests.rs"]
mod tests;
