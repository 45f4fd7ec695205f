//! Items and locations.

use oms_proto::common::v1::{Dimensions, PostalAddress};
use oms_proto::inventory::v1 as pb;
use oms_proto::time_to_proto;

use crate::domain::item::Item;
use crate::domain::location::Location;

/// An item.
pub(crate) fn item(item: &Item) -> pb::Item {
    let [length_mm, width_mm, height_mm] = item.dimensions_mm;
    pb::Item {
        sku: item.sku.to_string(),
        name: item.name.clone(),
        barcodes: item.barcodes.clone(),
        dimensions: Some(Dimensions {
            length_mm,
            width_mm,
            height_mm,
        }),
        mass_grams: item.mass_grams,
        active: item.active,
        version: item.version,
        components: item
            .parts
            .iter()
            .map(|part| pb::ItemComponent {
                sku: part.sku.to_string(),
                quantity: part.quantity,
            })
            .collect(),
        backorder_max: item.backorder_max,
        available_from_time: item.available_from.map(time_to_proto),
    }
}

/// A location.
pub(crate) fn location(location: &Location) -> pb::Location {
    let address = &location.address;
    pb::Location {
        location_id: location.id.to_string(),
        name: location.name.clone(),
        address: Some(PostalAddress {
            recipient: address.recipient.clone(),
            address_lines: address.lines.clone(),
            locality: address.locality.clone(),
            administrative_area: address.administrative_area.clone(),
            postal_code: address.postal_code.clone(),
            country_code: address.country_code.clone(),
            phone: address.phone.clone(),
            email: address.email.clone(),
        }),
        latitude: location.point.lat,
        longitude: location.point.lon,
        active: location.active,
        version: location.version,
    }
}
