//! Renders labels. A read; it stands here since it asks peers: the address is fetched from the order
//! service each time and goes nowhere but onto the label.

use oms_core::{PackageId, ShipmentId};
use oms_print::{LabelKind, Party, ShippingLabel, label};
use oms_proto::common::v1::PostalAddress;

use crate::domain::shipment::{Direction, Label, Package, Shipment};

use super::choose_service::location;
use super::{Context, Error, find, on_span};

/// File format of a label.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Format {
    /// Portable Document Format, 4 by 6 inches.
    Pdf,
    /// Zebra Programming Language, 203 dots per inch.
    Zpl,
}

/// A rendered label.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Document {
    /// Format of the content.
    pub(crate) format: Format,
    /// A file name for people.
    pub(crate) file_name: String,
    /// The bytes of the file.
    pub(crate) content: Vec<u8>,
}

/// Renders the label of one package, or of all.
#[tracing::instrument(name = "shipping.get_label", skip_all, fields(oms.order.id))]
pub(crate) async fn get_label(
    ctx: &Context,
    shipment_id: ShipmentId,
    package_id: Option<PackageId>,
    format: Format,
) -> Result<Document, Error> {
    let shipment = {
        let mut conn = ctx.db.read().await?;
        find(&mut conn, shipment_id).await?
    };
    on_span(&shipment);
    let wanted = |package: &&Package| package_id.is_none_or(|id| id == package.id);
    let packages: Vec<&Package> = shipment.packages.iter().filter(wanted).collect();
    if let Some(id) = package_id.filter(|_| packages.is_empty()) {
        return Err(Error::not_found("package", id));
    }
    let bought = shipment
        .label
        .as_ref()
        .filter(|label| label.state.is_on_packages());
    let Some(bought) = bought else {
        return Err(Error::not_found("label", shipment_id));
    };
    let customer = customer(ctx, &shipment).await?;
    let ours = location(ctx, &shipment.location_id).await?;
    let ours = Party {
        name: ours.name,
        ..party(ours.address)
    };
    let labels: Vec<ShippingLabel> = packages
        .iter()
        .map(|package| one(ctx, &shipment, bought, package, &ours, &customer))
        .collect();
    let (content, ending) = match format {
        Format::Pdf => (label::pdf(&labels)?, "pdf"),
        Format::Zpl => (label::zpl(&labels)?, "zpl"),
    };
    let name = packages
        .first()
        .map_or("label", |package| package.tracking_number.as_str());
    Ok(Document {
        format,
        file_name: format!("label-{name}.{ending}"),
        content,
    })
}

/// The customer's address, fresh from its only keeper.
async fn customer(ctx: &Context, shipment: &Shipment) -> Result<Party, Error> {
    let id = shipment.destination.address_id;
    let id = id.ok_or_else(|| Error::not_found("address", shipment.id))?;
    match ctx.orders.address(id).await {
        Ok(Some(address)) => Ok(party(address)),
        Ok(None) => Err(Error::not_found("address", id)),
        Err(error) => Err(Error::Peer {
            peer: "order",
            error,
        }),
    }
}

fn one(
    ctx: &Context,
    shipment: &Shipment,
    bought: &Label,
    package: &Package,
    ours: &Party,
    customer: &Party,
) -> ShippingLabel {
    let (kind, from, to) = match shipment.direction {
        Direction::Outbound => (LabelKind::Outbound, ours, customer),
        Direction::Return => (LabelKind::Return, customer, ours),
    };
    let carrier = ctx
        .carriers
        .find(&bought.carrier_id)
        .map(|carrier| carrier.name());
    let count = |n: usize| u32::try_from(n).unwrap_or(u32::MAX);
    let mut references = vec![("Shipment".to_owned(), shipment.id.to_string())];
    if let Some(id) = shipment.return_id {
        references.push(("Return".to_owned(), id.to_string()));
    }
    ShippingLabel {
        kind,
        from: from.clone(),
        to: to.clone(),
        carrier: carrier.unwrap_or(&bought.carrier_id).to_owned(),
        service: bought.carrier_service.replace('_', " "),
        tracking_number: package.tracking_number.clone(),
        weight_grams: package.parcel.mass_grams,
        package_number: u32::try_from(package.number).unwrap_or_default(),
        package_count: count(shipment.packages.len()),
        order_number: shipment.order_number.clone(),
        references,
    }
}

fn party(address: PostalAddress) -> Party {
    Party {
        name: address.recipient,
        address_lines: address.address_lines,
        locality: address.locality,
        administrative_area: address.administrative_area,
        postal_code: address.postal_code,
        country_code: address.country_code,
        phone: address.phone,
    }
}
