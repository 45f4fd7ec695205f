//! Renders the packing slip of a pack session. The address is fetched for it and forgotten; the slip
//! shows no prices.

use oms_core::PackSessionId;
use oms_print::{Code128, Column, Flow, PageSize, Style, Table};
use oms_proto::common::v1::PostalAddress;

use super::Document;
use super::get_pack_session::get_pack_session;
use crate::ctx::Ctx;
use crate::domain::fulfillment_order::FulfillmentOrder;
use crate::domain::packing::{PackSession, Package};
use crate::error::Error;

/// Answers the packing slip as a PDF.
pub(crate) async fn get_packing_slip(ctx: &Ctx, id: PackSessionId) -> Result<Document, Error> {
    let (session, order) = get_pack_session(ctx, id).await?;
    let address_id = order.destination.address_id;
    let address = ctx.orders.address(address_id).await.map_err(Error::order)?;
    let pdf = render(&session, &order, &address);
    Ok(Document {
        file_name: format!("packing-slip-{}.pdf", order.order_number),
        pdf,
    })
}

fn render(session: &PackSession, order: &FulfillmentOrder, address: &PostalAddress) -> Vec<u8> {
    let title = format!("Packing slip {}", order.order_number);
    let footer = format!(
        "Order {}, packed at {}",
        order.order_number, order.location_id
    );
    let mut flow = Flow::new(&title, &footer, PageSize::LETTER);
    flow.heading("Packing slip");
    if let Ok(code) = Code128::new(&order.order_number) {
        flow.barcode(&code, 200.0, 32.0);
    }
    let facts = vec![
        format!("Number {}", order.order_number),
        format!("Packages {}", session.packages.len()),
    ];
    flow.blocks(&[("Ship to", postal_lines(address)), ("Order", facts)]);
    for package in &session.packages {
        flow.space(6.0);
        flow.paragraph(Style::bold(11.0), &package_title(package));
        flow.table(&contents(package, order));
    }
    flow.finish()
}

fn package_title(package: &Package) -> String {
    match package.measures {
        None => format!("Package {}", package.number),
        Some(measures) => {
            let kilograms = format!(
                "{}.{:03}",
                measures.mass_grams / 1_000,
                measures.mass_grams % 1_000
            );
            format!("Package {}, {kilograms} kg", package.number)
        }
    }
}

fn contents(package: &Package, order: &FulfillmentOrder) -> Table {
    let lines = package.lines.iter().filter_map(|packed| {
        let item = &order.line(packed.line_id)?.item;
        Some(vec![
            item.sku.clone(),
            item.name.clone(),
            packed.quantity.to_string(),
        ])
    });
    Table {
        columns: vec![
            Column::left("Item number", 2.0),
            Column::left("Description", 5.0),
            Column::right("Quantity", 1.0),
        ],
        rows: lines.collect(),
    }
}

fn postal_lines(address: &PostalAddress) -> Vec<String> {
    let region = format!("{} {}", address.administrative_area, address.postal_code);
    let mut lines = vec![address.recipient.clone()];
    lines.extend(address.address_lines.iter().cloned());
    lines.push(format!("{}, {}", address.locality, region.trim()));
    lines.push(address.country_code.clone());
    lines
}
