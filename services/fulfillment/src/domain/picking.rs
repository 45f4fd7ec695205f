//! Pick lists and their lines: what a worker walks and scans.

use oms_core::{FulfillmentOrderId, LocationId, PickLineId, PickListId, WaveId};
use time::OffsetDateTime;
use uuid::Uuid;

use super::fulfillment_order::{FulfillmentOrder, Item, Line};
use super::machine::{self, Named, Table};
use super::refusal::{Refusal, SupportedAction};

/// Most fulfillment orders on one batch list: as many totes as fit on a cart.
pub(crate) const BATCH_ORDERS_MAX: usize = 12;

/// How the fulfillment orders of a wave are grouped into pick lists.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum PickMethod {
    /// One list per fulfillment order.
    Single,
    /// One list for several fulfillment orders, picked into totes.
    Batch,
}

impl Named for PickMethod {
    const ALL: &'static [Self] = &[Self::Single, Self::Batch];

    fn name(self) -> &'static str {
        match self {
            Self::Single => "SINGLE",
            Self::Batch => "BATCH",
        }
    }
}

/// Work released to the floor of one location at one time.
#[derive(Debug, Clone)]
pub(crate) struct Wave {
    /// Id.
    pub(crate) id: WaveId,
    /// Location.
    pub(crate) location_id: LocationId,
    /// How it was grouped.
    pub(crate) method: PickMethod,
    /// Who released it.
    pub(crate) released_by: String,
    /// When.
    pub(crate) created_at: OffsetDateTime,
    /// Its pick lists.
    pub(crate) pick_list_ids: Vec<PickListId>,
    /// Fulfillment orders in it.
    pub(crate) fulfillment_order_ids: Vec<FulfillmentOrderId>,
}

/// State of a pick list.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) enum PickListState {
    /// Nobody has it.
    Created,
    /// A worker has it.
    Assigned,
    /// Something was scanned.
    InProgress,
    /// Every line is picked, short or canceled.
    Completed,
    /// Every line was canceled before anything was scanned.
    Canceled,
}

/// What happens to a pick list.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) enum PickListAction {
    /// A worker gets it.
    Assign,
    /// Units are scanned.
    ScanPick,
    /// Units are reported short.
    ReportShortPick,
    /// The last open line ends.
    Complete,
    /// The last open line is canceled and nothing was scanned.
    CancelLast,
}

use PickListAction as A;
use PickListState as S;

/// Every legal step of a pick list.
pub(crate) const PICK_LIST: &Table<PickListState, PickListAction> = &[
    (S::Created, A::Assign, S::Assigned),
    (S::Assigned, A::Assign, S::Assigned),
    (S::InProgress, A::Assign, S::InProgress),
    (S::Created, A::ScanPick, S::InProgress),
    (S::Assigned, A::ScanPick, S::InProgress),
    (S::InProgress, A::ScanPick, S::InProgress),
    (S::Created, A::ReportShortPick, S::InProgress),
    (S::Assigned, A::ReportShortPick, S::InProgress),
    (S::InProgress, A::ReportShortPick, S::InProgress),
    (S::InProgress, A::Complete, S::Completed),
    (S::Created, A::CancelLast, S::Canceled),
    (S::Assigned, A::CancelLast, S::Canceled),
];

impl Named for PickListState {
    const ALL: &'static [Self] = &[
        S::Created,
        S::Assigned,
        S::InProgress,
        S::Completed,
        S::Canceled,
    ];

    fn name(self) -> &'static str {
        match self {
            S::Created => "CREATED",
            S::Assigned => "ASSIGNED",
            S::InProgress => "IN_PROGRESS",
            S::Completed => "COMPLETED",
            S::Canceled => "CANCELED",
        }
    }
}

impl Named for PickListAction {
    const ALL: &'static [Self] = &[
        A::Assign,
        A::ScanPick,
        A::ReportShortPick,
        A::Complete,
        A::CancelLast,
    ];

    fn name(self) -> &'static str {
        match self {
            A::Assign => "assign",
            A::ScanPick => "scan_pick",
            A::ReportShortPick => "report_short_pick",
            A::Complete => "complete",
            A::CancelLast => "cancel_last",
        }
    }
}

/// State of a pick line. It follows from the counters: [`PickLine::state`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) enum PickLineState {
    /// Units are still to be picked.
    Pending,
    /// Nothing is open and nothing was short.
    Picked,
    /// Nothing is open and units were short.
    Short,
    /// Every unit was canceled.
    Canceled,
}

impl Named for PickLineState {
    const ALL: &'static [Self] = &[Self::Pending, Self::Picked, Self::Short, Self::Canceled];

    fn name(self) -> &'static str {
        match self {
            Self::Pending => "PENDING",
            Self::Picked => "PICKED",
            Self::Short => "SHORT",
            Self::Canceled => "CANCELED",
        }
    }
}

/// Units of one item to pick for one fulfillment order.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct PickLine {
    /// Id.
    pub(crate) id: PickLineId,
    /// Fulfillment order.
    pub(crate) fulfillment_order_id: FulfillmentOrderId,
    /// Line of the fulfillment order.
    pub(crate) fulfillment_order_line_id: Uuid,
    /// The item.
    pub(crate) item: Item,
    /// Units to pick.
    pub(crate) quantity: i64,
    /// Units picked.
    pub(crate) picked: i64,
    /// Units reported short.
    pub(crate) short: i64,
    /// Units canceled.
    pub(crate) canceled: i64,
    /// Who scanned it last; empty before.
    pub(crate) picked_by: String,
}

impl PickLine {
    /// Units that are still to be picked.
    pub(crate) fn open(&self) -> i64 {
        self.quantity - self.picked - self.short - self.canceled
    }

    /// The state that follows from the counters.
    pub(crate) fn state(&self) -> PickLineState {
        if self.open() > 0 {
            PickLineState::Pending
        } else if self.canceled == self.quantity {
            PickLineState::Canceled
        } else if self.short > 0 {
            PickLineState::Short
        } else {
            PickLineState::Picked
        }
    }
}

/// What a worker walks and scans.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct PickList {
    /// Id.
    pub(crate) id: PickListId,
    /// Wave.
    pub(crate) wave_id: WaveId,
    /// Location.
    pub(crate) location_id: LocationId,
    /// State.
    pub(crate) state: PickListState,
    /// Worker that has it; empty when nobody.
    pub(crate) assignee: String,
    /// The etag.
    pub(crate) version: i64,
    /// When it was created.
    pub(crate) created_at: OffsetDateTime,
    /// Lines in walking order.
    pub(crate) lines: Vec<PickLine>,
}

impl PickList {
    fn take(&mut self, action: PickListAction) -> Result<(), Refusal> {
        let actions = [A::Assign, A::ScanPick, A::ReportShortPick];
        let from = self.state;
        let supported = || {
            let legal = actions
                .iter()
                .filter(|one| machine::after(PICK_LIST, from, **one).is_some());
            legal
                .map(|one| SupportedAction {
                    action: one.name(),
                    refused_because: None,
                })
                .collect()
        };
        self.state = machine::step("pick_list", PICK_LIST, from, action, supported)?;
        Ok(())
    }

    /// Gives the list to a worker.
    pub(crate) fn assign(&mut self, assignee: &str) -> Result<(), Refusal> {
        self.take(A::Assign)?;
        assignee.clone_into(&mut self.assignee);
        Ok(())
    }

    /// The line that a scan means: the one that is named, else the first open one whose item has
    /// the barcode. `None` when the named line is not on this list.
    pub(crate) fn line_for_scan(
        &self,
        named: Option<PickLineId>,
        barcode: &str,
    ) -> Result<Option<&PickLine>, Refusal> {
        if let Some(id) = named {
            let line = self.lines.iter().find(|line| line.id == id);
            return match line {
                Some(line) if !line.item.scans_as(barcode) => Err(Refusal::BarcodeMismatch {
                    expected_skus: vec![line.item.sku.clone()],
                }),
                line => Ok(line),
            };
        }
        let fitting = || self.lines.iter().filter(|line| line.item.scans_as(barcode));
        let line = fitting()
            .find(|line| line.open() > 0)
            .or_else(|| fitting().next());
        if line.is_none() {
            let open = self.lines.iter().filter(|line| line.open() > 0);
            let mut expected_skus: Vec<String> = open.map(|line| line.item.sku.clone()).collect();
            expected_skus.dedup();
            return Err(Refusal::BarcodeMismatch { expected_skus });
        }
        Ok(line)
    }

    fn line_mut(&mut self, id: PickLineId) -> Option<&mut PickLine> {
        self.lines.iter_mut().find(|line| line.id == id)
    }

    /// Counts scanned units. A list that nobody has belongs to who scans first.
    pub(crate) fn scan(
        &mut self,
        id: PickLineId,
        quantity: i64,
        picker: &str,
    ) -> Result<(), Refusal> {
        self.take_units(A::ScanPick, id, quantity)?;
        if let Some(line) = self.line_mut(id) {
            line.picked += quantity;
            picker.clone_into(&mut line.picked_by);
        }
        self.settle(picker);
        Ok(())
    }

    /// Counts missing units.
    pub(crate) fn report_short(
        &mut self,
        id: PickLineId,
        quantity: i64,
        picker: &str,
    ) -> Result<(), Refusal> {
        self.take_units(A::ReportShortPick, id, quantity)?;
        if let Some(line) = self.line_mut(id) {
            line.short += quantity;
        }
        self.settle(picker);
        Ok(())
    }

    fn take_units(
        &mut self,
        action: PickListAction,
        id: PickLineId,
        quantity: i64,
    ) -> Result<(), Refusal> {
        let open = self
            .lines
            .iter()
            .find(|line| line.id == id)
            .map_or(0, PickLine::open);
        if quantity > open {
            return Err(Refusal::QuantityExceedsOpen {
                open,
                requested: quantity,
            });
        }
        self.take(action)
    }

    /// Takes canceled units of a line of a fulfillment order off the list.
    pub(crate) fn cancel_units(&mut self, fulfillment_order_line_id: Uuid, quantity: i64) {
        let line = self
            .lines
            .iter_mut()
            .find(|line| line.fulfillment_order_line_id == fulfillment_order_line_id);
        if let Some(line) = line {
            line.canceled += quantity.min(line.open());
        }
        self.settle("");
    }

    fn settle(&mut self, worker: &str) {
        if self.assignee.is_empty() {
            worker.clone_into(&mut self.assignee);
        }
        if self.lines.iter().any(|line| line.open() > 0) {
            return;
        }
        let end = if self.state == S::InProgress {
            A::Complete
        } else {
            A::CancelLast
        };
        self.state = machine::after(PICK_LIST, self.state, end).unwrap_or(self.state);
    }
}

/// Groups the fulfillment orders of a wave into pick lists, each with its lines in walking order:
/// by SKU, as the shelves stand, then by fulfillment order.
pub(crate) fn plan_lists(
    method: PickMethod,
    orders: &[FulfillmentOrder],
) -> Vec<Vec<(&FulfillmentOrder, &Line)>> {
    let size = match method {
        PickMethod::Single => 1,
        PickMethod::Batch => BATCH_ORDERS_MAX,
    };
    orders
        .chunks(size)
        .map(|group| {
            let mut lines: Vec<_> = group
                .iter()
                .flat_map(|order| order.lines.iter().map(move |line| (order, line)))
                .filter(|(_, line)| line.to_pick() > 0)
                .collect();
            lines.sort_by(|(order, line), (other, second)| {
                (&line.item.sku, order.id, line.id).cmp(&(&second.item.sku, other.id, second.id))
            });
            lines
        })
        .filter(|lines| !lines.is_empty())
        .collect()
}

#[cfg(test)]
mod tests {
    use oms_core::{IdSource as _, SystemIds};
    use time::macros::datetime;

    use super::super::fulfillment_order::Dimensions;
    use super::super::machine::{check_table, sql_list};
    use super::*;

    fn line(sku: &str, quantity: i64) -> PickLine {
        PickLine {
            id: PickLineId::generate(&SystemIds),
            fulfillment_order_id: FulfillmentOrderId::generate(&SystemIds),
            fulfillment_order_line_id: SystemIds.next(),
            item: Item {
                sku: sku.to_owned(),
                name: sku.to_owned(),
                barcodes: Vec::new(),
                mass_grams: 1,
                dimensions: Dimensions {
                    length_mm: 1,
                    width_mm: 1,
                    height_mm: 1,
                },
                version: 1,
            },
            quantity,
            picked: 0,
            short: 0,
            canceled: 0,
            picked_by: String::new(),
        }
    }

    fn list(lines: Vec<PickLine>) -> PickList {
        PickList {
            id: PickListId::generate(&SystemIds),
            wave_id: WaveId::generate(&SystemIds),
            location_id: "us-west".parse().unwrap(),
            state: PickListState::Created,
            assignee: String::new(),
            version: 1,
            created_at: datetime!(2026-11-01 00:00 UTC),
            lines,
        }
    }

    #[test]
    fn the_table_is_whole() {
        check_table(PickListState::Created, PICK_LIST);
        for (from, _, _) in PICK_LIST {
            assert!(!matches!(from, S::Completed | S::Canceled));
        }
    }

    #[test]
    fn the_database_knows_the_same_states() {
        let sql = include_str!("../../migrations/0003_floor.sql");
        assert!(sql.contains(&format!(
            "CHECK (state IN ({}))",
            sql_list::<PickListState>()
        )));
        assert!(sql.contains(&format!(
            "CHECK (state IN ({}))",
            sql_list::<PickLineState>()
        )));
        assert!(sql.contains(&format!("CHECK (method IN ({}))", sql_list::<PickMethod>())));
    }

    #[test]
    fn a_list_ends_with_its_last_line() {
        let mut list = list(vec![line("A", 2), line("B", 1)]);
        let (a, b) = (list.lines[0].id, list.lines[1].id);
        list.scan(a, 1, "user:ann").unwrap();
        assert_eq!(
            (list.state, list.assignee.as_str()),
            (S::InProgress, "user:ann")
        );
        list.report_short(a, 1, "user:ann").unwrap();
        assert_eq!(list.lines[0].state(), PickLineState::Short);
        list.scan(b, 1, "user:bob").unwrap();
        assert_eq!(
            (list.state, list.assignee.as_str()),
            (S::Completed, "user:ann")
        );
        assert!(matches!(
            list.assign("user:bob"),
            Err(Refusal::IllegalTransition(_))
        ));
    }

    #[test]
    fn a_list_whose_lines_are_all_canceled_is_canceled() {
        let mut list = list(vec![line("A", 2)]);
        let id = list.lines[0].fulfillment_order_line_id;
        list.cancel_units(id, 1);
        assert_eq!(
            (list.state, list.lines[0].state()),
            (S::Created, PickLineState::Pending)
        );
        list.cancel_units(id, 1);
        assert_eq!(
            (list.state, list.lines[0].state()),
            (S::Canceled, PickLineState::Canceled)
        );
    }

    #[test]
    fn a_scan_finds_its_line() {
        let mut list = list(vec![line("A", 1), line("B", 1), line("A", 1)]);
        let (first, third) = (list.lines[0].id, list.lines[2].id);
        let found = |list: &PickList, named, code| {
            list.line_for_scan(named, code)
                .map(|line| line.map(|line| line.id))
        };
        assert_eq!(found(&list, None, "A"), Ok(Some(first)));
        list.scan(first, 1, "user:ann").unwrap();
        assert_eq!(found(&list, None, "A"), Ok(Some(third)));
        let mismatch = |skus: &[&str]| {
            Err(Refusal::BarcodeMismatch {
                expected_skus: skus.iter().map(|&sku| sku.to_owned()).collect(),
            })
        };
        assert_eq!(found(&list, Some(third), "B"), mismatch(&["A"]));
        assert_eq!(found(&list, None, "C"), mismatch(&["B", "A"]));
        let exceeds = Err(Refusal::QuantityExceedsOpen {
            open: 0,
            requested: 1,
        });
        assert_eq!(list.scan(first, 1, "user:ann"), exceeds);
    }
}
