//! Invoices and credit memos.

use oms_core::OrderLineId;
use oms_proto::order::v1 as pb;
use oms_proto::time_to_proto;

use super::money;
use crate::domain::invoice::{Invoice, InvoiceKind};
use crate::domain::order::Order;

/// An invoice as clients see it.
pub(crate) fn invoice(order: &Order, invoice: &Invoice) -> pb::Invoice {
    let kind = match invoice.kind {
        InvoiceKind::Invoice => pb::InvoiceKind::Invoice,
        InvoiceKind::CreditMemo => pb::InvoiceKind::CreditMemo,
    };
    pb::Invoice {
        invoice_id: invoice.invoice_id.to_string(),
        invoice_number: invoice.number.clone(),
        order_id: invoice.order_id.to_string(),
        order_number: order.order_number.clone(),
        kind: kind.into(),
        cause: invoice.cause.clone(),
        lines: invoice_lines(order, invoice),
        total: money(invoice.currency, invoice.total),
        create_time: Some(time_to_proto(invoice.created_at)),
        due_time: invoice.due_at.map(time_to_proto),
    }
}

/// The lines of an invoice.
pub(crate) fn invoice_lines(order: &Order, invoice: &Invoice) -> Vec<pb::InvoiceLine> {
    let amount = |minor| money(invoice.currency, minor);
    let lines = invoice.lines.iter().map(|line| {
        let ordered = line.order_line_id.and_then(|id| order.line(id));
        pb::InvoiceLine {
            order_line_id: line
                .order_line_id
                .as_ref()
                .map(OrderLineId::to_string)
                .unwrap_or_default(),
            sku: ordered.map(|one| one.sku.clone()).unwrap_or_default(),
            name: ordered.map(|one| one.name.clone()).unwrap_or_default(),
            from_unit: line.from_unit,
            quantity: line.quantity,
            net: amount(line.part.net),
            tax: amount(line.part.tax),
            shipping: amount(line.part.shipping),
            total: amount(line.part.total),
        }
    });
    lines.collect()
}
