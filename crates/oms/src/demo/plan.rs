//! The demo's world: four warehouses over the US, and how much of each product stands where.

use super::retail::{Retail, RetailItem, hash};

/// A warehouse of the demo.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Warehouse {
    /// Location id.
    pub(crate) location_id: &'static str,
    /// Name for people.
    pub(crate) name: &'static str,
    /// Street.
    pub(crate) street: &'static str,
    /// City.
    pub(crate) city: &'static str,
    /// State.
    pub(crate) state: &'static str,
    /// Postal code.
    pub(crate) postal_code: &'static str,
    /// Latitude in degrees.
    pub(crate) latitude: f64,
    /// Longitude in degrees.
    pub(crate) longitude: f64,
}

/// The warehouses: west, south, middle and east.
pub(crate) const WAREHOUSES: [Warehouse; 4] = [
    Warehouse {
        location_id: "reno",
        name: "Reno West",
        street: "1200 Vassar St",
        city: "Reno",
        state: "NV",
        postal_code: "89502",
        latitude: 39.50,
        longitude: -119.78,
    },
    Warehouse {
        location_id: "dallas",
        name: "Dallas South",
        street: "4000 Harry Hines Blvd",
        city: "Dallas",
        state: "TX",
        postal_code: "75219",
        latitude: 32.81,
        longitude: -96.82,
    },
    Warehouse {
        location_id: "columbus",
        name: "Columbus Middle",
        street: "2000 Alum Creek Dr",
        city: "Columbus",
        state: "OH",
        postal_code: "43207",
        latitude: 39.90,
        longitude: -82.96,
    },
    Warehouse {
        location_id: "newark",
        name: "Newark East",
        street: "300 Frelinghuysen Ave",
        city: "Newark",
        state: "NJ",
        postal_code: "07114",
        latitude: 40.71,
        longitude: -74.19,
    },
];

/// One product in this many is bought short, so that the demo has backorders to show.
const SHORT_ONE_IN: u64 = 40;

/// Units of one product at one warehouse.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct StockLine {
    /// Warehouse.
    pub(crate) location_id: &'static str,
    /// Product.
    pub(crate) sku: String,
    /// Units.
    pub(crate) quantity: i64,
}

/// What stands where: each product in two warehouses, each with enough for all orders of the file; one
/// product in forty in one warehouse with half of what is wanted.
pub(crate) fn stock(retail: &Retail) -> Vec<StockLine> {
    retail.items.iter().flat_map(stock_of).collect()
}

fn stock_of(item: &RetailItem) -> Vec<StockLine> {
    let number = hash(&format!("stock/{}", item.sku));
    let at = |place: u64, quantity: i64| StockLine {
        location_id: warehouse(place).location_id,
        sku: item.sku.clone(),
        quantity,
    };
    if number.is_multiple_of(SHORT_ONE_IN) {
        return vec![at(number >> 8, (item.demand / 2).max(1))];
    }
    // The second warehouse is one, two or three places on from the first, so it is another one.
    let (first, step) = (number >> 8, 1 + (number >> 16) % 3);
    vec![
        at(first, item.demand),
        at(first.wrapping_add(step), item.demand),
    ]
}

fn warehouse(place: u64) -> &'static Warehouse {
    let index = usize::try_from(place % WAREHOUSES.len() as u64).unwrap_or_default();
    WAREHOUSES.get(index).unwrap_or(&WAREHOUSES[0])
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::demo::retail::read;

    #[test]
    fn most_products_are_ample_in_two_places_and_a_few_are_short() {
        let retail = read(include_str!("../../data/orders-sample.csv")).unwrap();
        let mut short = 0;
        for item in &retail.items {
            let lines = stock_of(item);
            match lines.as_slice() {
                [one] => short += i64::from(one.quantity < item.demand),
                [one, two] => assert_ne!(one.location_id, two.location_id),
                other => panic!("{other:?}"),
            }
        }
        let items = i64::try_from(retail.items.len()).unwrap();
        assert!(
            short > 0 && short < items / 20,
            "{short} of {items} are short"
        );
    }
}
