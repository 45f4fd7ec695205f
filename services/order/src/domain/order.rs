//! What an order is made of.

use std::collections::BTreeMap;

use oms_core::{AddressId, Currency, FulfillmentOrderId, HoldId, OrderId, OrderLineId, ShipmentId};
use time::OffsetDateTime;

use super::cancellation::Cancellation;
use super::pricing::Amounts;
use super::stage::Deadlines;
use super::state::OrderState;
use super::status::MoneyFacts;
use super::tender::Tender;

/// What to do when stock is short.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum FillPolicy {
    /// Everything now, or the order is refused.
    FillOrKill,
    /// What is there now; the rest is backordered.
    FillAll,
    /// What is there now; the rest is canceled.
    FillAllAvailable,
}

impl FillPolicy {
    /// The name that the database uses.
    pub(crate) fn as_str(self) -> &'static str {
        match self {
            Self::FillOrKill => "FILL_OR_KILL",
            Self::FillAll => "FILL_ALL",
            Self::FillAllAvailable => "FILL_ALL_AVAILABLE",
        }
    }

    /// Reads the name.
    pub(crate) fn parse(name: &str) -> Option<Self> {
        [Self::FillOrKill, Self::FillAll, Self::FillAllAvailable]
            .into_iter()
            .find(|policy| policy.as_str() == name)
    }
}

/// When an order's money is taken.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum PaymentPolicy {
    /// Authorize when placed, capture per shipment.
    AuthThenCaptureOnShip,
    /// Capture everything when confirmed.
    Prepaid,
    /// Nothing to pay here.
    None,
}

impl PaymentPolicy {
    /// The name that the database uses.
    pub(crate) fn as_str(self) -> &'static str {
        match self {
            Self::AuthThenCaptureOnShip => "AUTH_THEN_CAPTURE_ON_SHIP",
            Self::Prepaid => "PREPAID",
            Self::None => "NONE",
        }
    }

    /// Reads the name.
    pub(crate) fn parse(name: &str) -> Option<Self> {
        [Self::AuthThenCaptureOnShip, Self::Prepaid, Self::None]
            .into_iter()
            .find(|policy| policy.as_str() == name)
    }
}

/// An order as its rules see it.
#[derive(Debug, Clone)]
pub(crate) struct Order {
    /// Id.
    pub(crate) order_id: OrderId,
    /// Number for people.
    pub(crate) order_number: String,
    /// Channel.
    pub(crate) channel_id: String,
    /// Reference in the caller's system; may be empty.
    pub(crate) external_reference: String,
    /// Customer in the caller's system; may be empty.
    pub(crate) customer_id: String,
    /// State.
    pub(crate) state: OrderState,
    /// Why it ended as it did; empty otherwise.
    pub(crate) state_reason: String,
    /// Currency of every amount.
    pub(crate) currency: Currency,
    /// Address the goods go to.
    pub(crate) ship_address_id: AddressId,
    /// Address the invoice goes to.
    pub(crate) bill_address_id: AddressId,
    /// Country the goods go to.
    pub(crate) country_code: String,
    /// Postal code the goods go to.
    pub(crate) postal_code: String,
    /// Name of the service level, such as `GROUND`.
    pub(crate) service_level: String,
    /// What happens when stock is short.
    pub(crate) fill_policy: FillPolicy,
    /// Most splits the customer allows; `None` leaves it to the sourcing rule.
    pub(crate) splits_max: Option<i32>,
    /// No fulfillment order while any unit is backordered.
    pub(crate) ship_complete: bool,
    /// Priority class, 0 the most urgent.
    pub(crate) priority: i16,
    /// Instructions for the warehouse.
    pub(crate) instructions: String,
    /// The caller's own fields.
    pub(crate) custom_fields: BTreeMap<String, String>,
    /// What it is paid with, in the order in which money is taken; empty when nothing is paid here.
    pub(crate) tenders: Vec<Tender>,
    /// When money is taken.
    pub(crate) payment_policy: PaymentPolicy,
    /// Sums of the lines.
    pub(crate) totals: Amounts,
    /// Number of the last event; the etag.
    pub(crate) version: i64,
    /// Number of the last timeline row.
    pub(crate) timeline_sequence: i64,
    /// Who placed it.
    pub(crate) placed_by: String,
    /// When it was placed.
    pub(crate) created_at: OffsetDateTime,
    /// When it changed last.
    pub(crate) updated_at: OffsetDateTime,
    /// By when what should be done; `None` for orders of a version that set none.
    pub(crate) deadlines: Option<Deadlines>,
    /// Lines by number.
    pub(crate) lines: Vec<OrderLine>,
    /// Holds, released ones included, oldest first.
    pub(crate) holds: Vec<Hold>,
    /// Cancellations, oldest first.
    pub(crate) cancellations: Vec<Cancellation>,
    /// Sums of the payment ledger.
    pub(crate) money: MoneyFacts,
    /// Step of the saga while it runs before the pivot; empty afterwards.
    pub(crate) saga_step: String,
    /// Fulfillment orders that work on it.
    pub(crate) fulfillment_order_ids: Vec<FulfillmentOrderId>,
    /// Shipments that were handed over.
    pub(crate) shipment_ids: Vec<ShipmentId>,
}

/// A line with its counters.
#[derive(Debug, Clone)]
pub(crate) struct OrderLine {
    /// Id.
    pub(crate) order_line_id: OrderLineId,
    /// Number within the order, from 1.
    pub(crate) line_number: i32,
    /// Reference in the caller's system; may be empty.
    pub(crate) line_reference: String,
    /// SKU.
    pub(crate) sku: String,
    /// Name of the item when the order was placed.
    pub(crate) name: String,
    /// Units ordered.
    pub(crate) ordered: i64,
    /// Price of `price_per` units in minor units.
    pub(crate) unit_price: i64,
    /// Units that the price is for.
    pub(crate) price_per: i64,
    /// Discounts of the line: code and minor units.
    pub(crate) discounts: Vec<(String, i64)>,
    /// Amounts of the whole line.
    pub(crate) amounts: Amounts,
    /// Gift message; may be empty.
    pub(crate) gift_message: String,
    /// The caller's own fields.
    pub(crate) custom_fields: BTreeMap<String, String>,
    /// Where its units are.
    pub(crate) counters: Counters,
}

/// Units of a line: the first three are outstanding now, the others running totals.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct Counters {
    /// Held for it now.
    pub(crate) held: i64,
    /// Allocated to it now.
    pub(crate) allocated: i64,
    /// Waiting for stock now.
    pub(crate) backordered: i64,
    /// Canceled.
    pub(crate) canceled: i64,
    /// Picked.
    pub(crate) picked: i64,
    /// Packed.
    pub(crate) packed: i64,
    /// Shipped.
    pub(crate) shipped: i64,
    /// Delivered.
    pub(crate) delivered: i64,
    /// In a return that was asked for.
    pub(crate) return_requested: i64,
    /// Came back.
    pub(crate) returned: i64,
    /// Refunded after a return.
    pub(crate) refunded: i64,
}

/// What a hold stops.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum HoldBlock {
    /// No authorization, no allocation.
    Confirm,
    /// No fulfillment orders.
    ReleaseToNode,
    /// No capture.
    Capture,
}

impl HoldBlock {
    /// The name that the database uses.
    pub(crate) fn as_str(self) -> &'static str {
        match self {
            Self::Confirm => "CONFIRM",
            Self::ReleaseToNode => "RELEASE_TO_NODE",
            Self::Capture => "CAPTURE",
        }
    }

    /// Reads the name.
    pub(crate) fn parse(name: &str) -> Option<Self> {
        [Self::Confirm, Self::ReleaseToNode, Self::Capture]
            .into_iter()
            .find(|block| block.as_str() == name)
    }
}

/// Something that stops an order.
#[derive(Debug, Clone)]
pub(crate) struct Hold {
    /// Id.
    pub(crate) hold_id: HoldId,
    /// Line it holds; `None` for the whole order.
    pub(crate) order_line_id: Option<OrderLineId>,
    /// Name of the reason, such as `QUANTITY_OUTLIER`.
    pub(crate) reason: String,
    /// What it stops.
    pub(crate) blocks: Vec<HoldBlock>,
    /// True until it is released.
    pub(crate) active: bool,
    /// Note for people.
    pub(crate) note: String,
    /// Who placed it.
    pub(crate) placed_by: String,
    /// When it was placed.
    pub(crate) created_at: OffsetDateTime,
    /// When it ends by itself.
    pub(crate) release_at: Option<OffsetDateTime>,
    /// Who released it; empty while active.
    pub(crate) released_by: String,
    /// When it was released.
    pub(crate) released_at: Option<OffsetDateTime>,
}

impl Order {
    /// True while an active hold, on the order or any of its lines, stops this.
    pub(crate) fn is_blocked(&self, block: HoldBlock) -> bool {
        self.holds
            .iter()
            .any(|hold| hold.active && hold.blocks.contains(&block))
    }

    /// The line with this id.
    pub(crate) fn line(&self, order_line_id: OrderLineId) -> Option<&OrderLine> {
        self.lines
            .iter()
            .find(|line| line.order_line_id == order_line_id)
    }

    /// The tender with this number, from 1.
    pub(crate) fn tender(&self, number: i32) -> Option<&Tender> {
        let index = usize::try_from(number).ok()?.checked_sub(1)?;
        self.tenders.get(index)
    }

    /// What the units that are held or wait for stock cost, in minor units: the first units of each
    /// line, as cancellations take the last ones.
    pub(crate) fn reserved_amount(&self) -> i64 {
        self.lines
            .iter()
            .map(|line| {
                let counters = line.counters;
                line.part(0, counters.held + counters.allocated + counters.backordered)
                    .total
            })
            .sum()
    }

    /// True while any unit waits for stock.
    pub(crate) fn has_backorders(&self) -> bool {
        self.lines.iter().any(|line| line.counters.backordered > 0)
    }

    /// What the units that are not canceled cost, in minor units.
    pub(crate) fn owed(&self) -> i64 {
        self.lines
            .iter()
            .map(|line| line.part(0, line.live()).total)
            .sum()
    }
}

impl OrderLine {
    /// Units that are not canceled.
    pub(crate) fn live(&self) -> i64 {
        self.ordered - self.counters.canceled
    }

    /// Units that are neither shipped nor canceled.
    pub(crate) fn open(&self) -> i64 {
        self.live() - self.counters.shipped
    }

    /// What units `[from, to)` cost.
    pub(crate) fn part(&self, from: i64, to: i64) -> super::pricing::Part {
        self.amounts.part(self.ordered, from, to)
    }
}
