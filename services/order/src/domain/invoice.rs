//! Invoices and credit memos: ranges of units of order lines, and what they cost.

use oms_core::{Currency, InvoiceId, OrderId, OrderLineId, derive};
use time::OffsetDateTime;

use super::order::{Order, OrderLine};
use super::pricing::Part;

/// Kind of an invoice.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) enum InvoiceKind {
    /// Bills a shipment.
    Invoice,
    /// Takes back what a refund gave.
    CreditMemo,
}

impl InvoiceKind {
    /// The name that the database uses.
    pub(crate) fn as_str(self) -> &'static str {
        match self {
            Self::Invoice => "INVOICE",
            Self::CreditMemo => "CREDIT_MEMO",
        }
    }

    /// Reads the name.
    pub(crate) fn parse(name: &str) -> Option<Self> {
        [Self::Invoice, Self::CreditMemo]
            .into_iter()
            .find(|kind| kind.as_str() == name)
    }

    /// The number for people.
    pub(crate) fn number(self, count: i64) -> String {
        match self {
            Self::Invoice => format!("INV-{count:06}"),
            Self::CreditMemo => format!("CM-{count:06}"),
        }
    }
}

/// An invoice or a credit memo.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Invoice {
    /// Id.
    pub(crate) invoice_id: InvoiceId,
    /// Number for people; empty until it is issued.
    pub(crate) number: String,
    /// Order.
    pub(crate) order_id: OrderId,
    /// Kind.
    pub(crate) kind: InvoiceKind,
    /// What it is for, such as `shipment/<id>`; one per order, kind and cause.
    pub(crate) cause: String,
    /// Currency of the amounts.
    pub(crate) currency: Currency,
    /// Sum of the lines in minor units.
    pub(crate) total: i64,
    /// When it was written.
    pub(crate) created_at: OffsetDateTime,
    /// When it is to be paid, for an order on terms.
    pub(crate) due_at: Option<OffsetDateTime>,
    /// Lines.
    pub(crate) lines: Vec<InvoiceLine>,
}

/// Units `[from_unit, from_unit + quantity)` of an order line, or an amount without units.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct InvoiceLine {
    /// Order line; `None` for an amount without units.
    pub(crate) order_line_id: Option<OrderLineId>,
    /// First unit, counted from 0.
    pub(crate) from_unit: i64,
    /// Units.
    pub(crate) quantity: i64,
    /// What they cost.
    pub(crate) part: Part,
}

impl Invoice {
    /// An invoice of these lines.
    pub(crate) fn new(
        order: &Order,
        kind: InvoiceKind,
        cause: String,
        lines: Vec<InvoiceLine>,
        now: OffsetDateTime,
    ) -> Self {
        let name = format!("invoice/{}/{cause}", kind.as_str());
        Self {
            invoice_id: InvoiceId::new(derive(order.order_id.uuid(), &name)),
            number: String::new(),
            order_id: order.order_id,
            kind,
            cause,
            currency: order.currency,
            total: lines.iter().map(|line| line.part.total).sum(),
            created_at: now,
            due_at: None,
            lines,
        }
    }
}

/// One line per order line that has units among these, beginning where `from` says.
pub(crate) fn lines(
    order: &Order,
    units: &[(OrderLineId, i64)],
    from: impl Fn(&OrderLine) -> i64,
) -> Vec<InvoiceLine> {
    let of = |line: &OrderLine| {
        let quantity: i64 = units
            .iter()
            .filter(|(id, _)| *id == line.order_line_id)
            .map(|(_, quantity)| quantity)
            .sum();
        let from_unit = from(line);
        (quantity > 0).then(|| InvoiceLine {
            order_line_id: Some(line.order_line_id),
            from_unit,
            quantity,
            part: line.part(from_unit, from_unit + quantity),
        })
    };
    order.lines.iter().filter_map(of).collect()
}

/// A line that is an amount and no units.
pub(crate) fn amount_line(amount: i64) -> InvoiceLine {
    InvoiceLine {
        order_line_id: None,
        from_unit: 0,
        quantity: 0,
        part: Part {
            net: amount,
            tax: 0,
            shipping: 0,
            total: amount,
        },
    }
}
