//! Renders an invoice or a credit memo as a PDF. The same invoice gives the same bytes.

use oms_core::{InvoiceId, Money};
use oms_print::{Column, Flow, PageSize, Style, Table};

use crate::ctx::Ctx;
use crate::domain::address::Address;
use crate::domain::invoice::{Invoice, InvoiceKind, InvoiceLine};
use crate::domain::order::Order;
use crate::error::Error;
use crate::privacy;
use crate::store::{StoreError, addresses, invoices, orders};

/// A PDF with a name for people.
#[derive(Debug)]
pub(crate) struct InvoiceDocument {
    /// File name.
    pub(crate) file_name: String,
    /// The file.
    pub(crate) pdf: Vec<u8>,
}

/// Renders an invoice. Its address is personal data: it goes nowhere but into the answer.
pub(crate) async fn get_invoice_document(
    ctx: &Ctx,
    invoice_id: InvoiceId,
) -> Result<InvoiceDocument, Error> {
    let mut conn = ctx.db.snapshot().await?;
    let not_found = || Error::NotFound {
        resource: "invoice",
        id: invoice_id.to_string(),
    };
    let found = invoices::load(&mut conn, invoice_id).await?;
    let invoice = found.ok_or_else(not_found)?;
    oms_telemetry::record_order_id(&tracing::Span::current(), invoice.order_id);
    let order = orders::load(&mut conn, invoice.order_id)
        .await?
        .ok_or_else(|| Error::order_not_found(invoice.order_id))?;
    let address = addresses::load(&mut conn, order.bill_address_id).await?;
    let missing = || StoreError::inconsistent("orders", "bill_address_id", order.order_id);
    let address = address.ok_or_else(missing)?;
    let address = privacy::open_address(ctx, order.bill_address_id, address)?;
    Ok(InvoiceDocument {
        file_name: format!("{}.pdf", name(&invoice)),
        pdf: render(&invoice, &order, &address),
    })
}

/// The number; what it is while it has none.
fn name(invoice: &Invoice) -> String {
    if invoice.number.is_empty() {
        return format!("draft-{}", invoice.invoice_id);
    }
    invoice.number.clone()
}

fn render(invoice: &Invoice, order: &Order, address: &Address) -> Vec<u8> {
    let kind = match invoice.kind {
        InvoiceKind::Invoice => "Invoice",
        InvoiceKind::CreditMemo => "Credit memo",
    };
    let number = if invoice.number.is_empty() {
        "not issued yet"
    } else {
        &invoice.number
    };
    let footer = format!("{kind} {number}, order {}", order.order_number);
    let mut flow = Flow::new(&format!("{kind} {number}"), &footer, PageSize::LETTER);
    flow.heading(&format!("{kind} {number}"));
    let mut facts = vec![
        format!("Order {}", order.order_number),
        format!("Date {}", invoice.created_at.date()),
        cause(&invoice.cause),
        format!("Currency {}", invoice.currency),
    ];
    facts.extend(invoice.due_at.map(|due| format!("Due {}", due.date())));
    flow.blocks(&[("Bill to", postal_lines(address)), ("Details", facts)]);
    flow.space(6.0);
    flow.table(&table(invoice, order));
    totals(&mut flow, invoice);
    flow.finish()
}

/// What it is for, for people: `Shipment <id>`.
fn cause(cause: &str) -> String {
    match cause.split_once('/') {
        Some(("shipment", id)) => format!("Shipment {id}"),
        Some(("return", id)) => format!("Return, refund {id}"),
        _ => "Refund".to_owned(),
    }
}

fn table(invoice: &Invoice, order: &Order) -> Table {
    let money = |minor| amount(invoice, minor);
    let rows = invoice.lines.iter().map(|line| {
        let ordered = line.order_line_id.and_then(|id| order.line(id));
        vec![
            ordered.map(|one| one.sku.clone()).unwrap_or_default(),
            ordered.map_or_else(|| "Refund".to_owned(), |one| one.name.clone()),
            units(line),
            money(line.part.net),
            money(line.part.tax),
            money(line.part.shipping),
            money(line.part.total),
        ]
    });
    Table {
        columns: vec![
            Column::left("Item number", 2.2),
            Column::left("Description", 4.0),
            Column::right("Units", 0.9),
            Column::right("Net", 1.4),
            Column::right("Tax", 1.2),
            Column::right("Shipping", 1.3),
            Column::right("Total", 1.4),
        ],
        rows: rows.collect(),
    }
}

fn units(line: &InvoiceLine) -> String {
    if line.quantity == 0 {
        return String::new();
    }
    line.quantity.to_string()
}

fn totals(flow: &mut Flow, invoice: &Invoice) {
    let sum = |part: fn(&InvoiceLine) -> i64| -> String {
        amount(invoice, invoice.lines.iter().map(part).sum())
    };
    flow.total(Style::regular(9.0), "Net", &sum(|line| line.part.net));
    flow.total(Style::regular(9.0), "Tax", &sum(|line| line.part.tax));
    flow.total(
        Style::regular(9.0),
        "Shipping",
        &sum(|line| line.part.shipping),
    );
    let total = Money::new(invoice.currency, invoice.total).to_string();
    let label = match invoice.kind {
        InvoiceKind::Invoice => "Total",
        InvoiceKind::CreditMemo => "Total credited",
    };
    flow.total(Style::bold(11.0), label, &total);
}

/// An amount without its currency, which stands above.
fn amount(invoice: &Invoice, minor: i64) -> String {
    let text = Money::new(invoice.currency, minor).to_string();
    let code = invoice.currency.code();
    text.replace(code, "").trim().to_owned()
}

fn postal_lines(address: &Address) -> Vec<String> {
    let region = format!("{} {}", address.administrative_area, address.postal_code);
    let mut lines = vec![address.recipient.clone()];
    lines.extend(address.address_lines.iter().cloned());
    lines.push(format!("{}, {}", address.locality, region.trim()));
    lines.push(address.country_code.clone());
    lines
}
