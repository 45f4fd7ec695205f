//! Retail orders from a CSV file in the columns of the Superstore data set.
//!
//! What the file lacks is made up by these rules, the same at every run:
//!
//! | missing | rule |
//! |---|---|
//! | leading zeros of postal codes | padded to five digits |
//! | blank postal codes | the first one of the same city and state, else of the state |
//! | street | from a hash of the order id |
//! | mass, dimensions, barcode | from a hash of the product id |
//! | list price | Sales / (1 - Discount) / Quantity in cents, rounded up |
//! | discount | list price x Quantity - Sales |
//! | name of a product with several | the first one |
//! | a product twice in an order | two lines |

use std::collections::{BTreeMap, HashMap};
use std::path::Path;

use anyhow::{Context, bail};
use serde::Deserialize;
use sha2::{Digest, Sha256};

/// An order of the file.
#[derive(Debug, Clone)]
pub(crate) struct RetailOrder {
    /// Order id of the file.
    pub(crate) order_id: String,
    /// Customer id of the file.
    pub(crate) customer_id: String,
    /// Name of the customer.
    pub(crate) customer_name: String,
    /// Ship mode of the file, such as `Second Class`.
    pub(crate) ship_mode: String,
    /// Made-up street.
    pub(crate) street: String,
    /// City.
    pub(crate) city: String,
    /// State.
    pub(crate) state: String,
    /// Postal code, five digits.
    pub(crate) postal_code: String,
    /// Lines in the order of the file.
    pub(crate) lines: Vec<RetailLine>,
}

/// A line of an order.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct RetailLine {
    /// Row id of the file.
    pub(crate) row_id: String,
    /// Product id.
    pub(crate) sku: String,
    /// Units.
    pub(crate) quantity: i64,
    /// List price of one unit in cents.
    pub(crate) unit_price: i64,
    /// Discount of the line in cents.
    pub(crate) discount: i64,
}

/// A product of the file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct RetailItem {
    /// Product id.
    pub(crate) sku: String,
    /// First name of the product.
    pub(crate) name: String,
    /// Made-up EAN-13 of the range for use inside a company.
    pub(crate) barcode: String,
    /// Made-up mass in grams.
    pub(crate) mass_grams: i64,
    /// Made-up dimensions in millimetres, longest first.
    pub(crate) dimensions_mm: [i64; 3],
    /// Units that all orders of the file want.
    pub(crate) demand: i64,
}

/// The orders and products of a file.
#[derive(Debug)]
pub(crate) struct Retail {
    /// Orders in the order of the file.
    pub(crate) orders: Vec<RetailOrder>,
    /// Products by id.
    pub(crate) items: Vec<RetailItem>,
}

/// A row of the file.
#[derive(Debug, Deserialize)]
struct Row {
    #[serde(rename = "Row ID")]
    row_id: String,
    #[serde(rename = "Order ID")]
    order_id: String,
    #[serde(rename = "Ship Mode")]
    ship_mode: String,
    #[serde(rename = "Customer ID")]
    customer_id: String,
    #[serde(rename = "Customer Name")]
    customer_name: String,
    #[serde(rename = "City")]
    city: String,
    #[serde(rename = "State")]
    state: String,
    #[serde(rename = "Postal Code")]
    postal_code: String,
    #[serde(rename = "Product ID")]
    product_id: String,
    #[serde(rename = "Product Name")]
    product_name: String,
    #[serde(rename = "Sales")]
    sales: String,
    #[serde(rename = "Quantity")]
    quantity: i64,
    #[serde(rename = "Discount")]
    discount: String,
}

/// Reads a file of orders.
pub(crate) fn read_file(path: &Path) -> anyhow::Result<Retail> {
    let text =
        std::fs::read_to_string(path).with_context(|| format!("cannot read {}", path.display()))?;
    read(&text).with_context(|| format!("{} is no file of retail orders", path.display()))
}

/// Reads orders from the text of a file.
pub(crate) fn read(text: &str) -> anyhow::Result<Retail> {
    let mut rows = Vec::new();
    for row in csv::Reader::from_reader(text.as_bytes()).deserialize() {
        let row: Row = row?;
        rows.push(row);
    }
    if rows.is_empty() {
        bail!("it holds no orders");
    }
    let postal_codes = PostalCodes::learn(&rows);
    let mut items: BTreeMap<String, RetailItem> = BTreeMap::new();
    let mut places: HashMap<String, usize> = HashMap::new();
    let mut orders: Vec<RetailOrder> = Vec::new();
    for row in &rows {
        let line = line(row).with_context(|| format!("row {}", row.row_id))?;
        items
            .entry(row.product_id.clone())
            .or_insert_with(|| item(&row.product_id, &row.product_name))
            .demand += line.quantity;
        let place = *places.entry(row.order_id.clone()).or_insert(orders.len());
        match orders.get_mut(place) {
            Some(order) => order.lines.push(line),
            None => orders.push(order(row, postal_codes.of(row)?, line)),
        }
    }
    Ok(Retail {
        orders,
        items: items.into_values().collect(),
    })
}

fn order(row: &Row, postal_code: String, line: RetailLine) -> RetailOrder {
    RetailOrder {
        order_id: row.order_id.clone(),
        customer_id: row.customer_id.clone(),
        customer_name: row.customer_name.clone(),
        ship_mode: row.ship_mode.clone(),
        street: street(&row.order_id),
        city: row.city.clone(),
        state: row.state.clone(),
        postal_code,
        lines: vec![line],
    }
}

/// Prices a row: Sales is what was paid for the line, Discount the fraction that it was reduced by.
fn line(row: &Row) -> anyhow::Result<RetailLine> {
    let sales = ten_thousandths(&row.sales).context("Sales")?;
    let discount = ten_thousandths(&row.discount).context("Discount")?;
    if row.quantity < 1 || sales < 0 || !(0..10_000).contains(&discount) {
        bail!("Quantity, Sales or Discount is out of range");
    }
    // Sales in 1/10000 dollars is 1/100 cents; the rest is a fraction of 10000.
    let unit_price = div_up(sales * 10_000, (10_000 - discount) * row.quantity * 100);
    let paid = (sales + 50) / 100;
    Ok(RetailLine {
        row_id: row.row_id.clone(),
        sku: row.product_id.clone(),
        quantity: row.quantity,
        unit_price,
        discount: (unit_price * row.quantity - paid).max(0),
    })
}

fn div_up(a: i64, b: i64) -> i64 {
    (a + b - 1) / b
}

/// Reads a decimal number such as `71.372` as ten-thousandths.
fn ten_thousandths(text: &str) -> anyhow::Result<i64> {
    let (whole, fraction) = text.split_once('.').unwrap_or((text, ""));
    let digits: String = fraction.chars().chain("0000".chars()).take(4).collect();
    let whole: i64 = whole
        .parse()
        .with_context(|| format!("{text:?} is no number"))?;
    let part: i64 = digits
        .parse()
        .with_context(|| format!("{text:?} is no number"))?;
    whole
        .checked_mul(10_000)
        .and_then(|n| n.checked_add(part))
        .context("number is too large")
}

/// A number from a hash of a text, for what the file lacks.
pub(crate) fn hash(text: &str) -> u64 {
    let digest = Sha256::digest(text.as_bytes());
    digest
        .iter()
        .take(8)
        .fold(0, |number, byte| (number << 8) | u64::from(*byte))
}

fn item(sku: &str, name: &str) -> RetailItem {
    let number = hash(sku);
    // Shifts take different bits of the hash for each fact; the sums keep the facts plausible.
    let pick =
        |shift: u32, range: u64| i64::try_from((number >> shift) % range).unwrap_or_default();
    let mut dimensions_mm = [60 + pick(3, 440), 40 + pick(17, 260), 20 + pick(31, 180)];
    dimensions_mm.sort_unstable_by(|a, b| b.cmp(a));
    RetailItem {
        sku: sku.to_owned(),
        name: name.to_owned(),
        barcode: ean13(number),
        mass_grams: 50 + pick(7, 4_950),
        dimensions_mm,
        demand: 0,
    }
}

/// An EAN-13 that begins with 20, the range for use inside a company.
fn ean13(number: u64) -> String {
    let body = format!("20{:010}", number % 10_000_000_000);
    let sum: u32 = body
        .chars()
        .filter_map(|c| c.to_digit(10))
        .enumerate()
        .map(|(place, digit)| if place % 2 == 0 { digit } else { digit * 3 })
        .sum();
    format!("{body}{}", (10 - sum % 10) % 10)
}

fn street(order_id: &str) -> String {
    const NAMES: [&str; 8] = [
        "Main St",
        "Oak Ave",
        "Maple Dr",
        "Cedar Ln",
        "Park Blvd",
        "Lake Rd",
        "Hill St",
        "2nd Ave",
    ];
    let number = hash(order_id);
    let name = usize::try_from(number % 8)
        .ok()
        .and_then(|place| NAMES.get(place))
        .unwrap_or(&"Main St");
    format!("{} {name}", 1 + (number >> 8) % 9_900)
}

/// Postal codes of the file by place, for rows that have none.
struct PostalCodes {
    by_city: HashMap<(String, String), String>,
    by_state: HashMap<String, String>,
}

impl PostalCodes {
    fn learn(rows: &[Row]) -> Self {
        let mut codes = Self {
            by_city: HashMap::new(),
            by_state: HashMap::new(),
        };
        for row in rows.iter().filter(|row| !row.postal_code.trim().is_empty()) {
            let code = padded(&row.postal_code);
            let city = (row.city.clone(), row.state.clone());
            codes.by_city.entry(city).or_insert_with(|| code.clone());
            codes.by_state.entry(row.state.clone()).or_insert(code);
        }
        codes
    }

    fn of(&self, row: &Row) -> anyhow::Result<String> {
        if !row.postal_code.trim().is_empty() {
            return Ok(padded(&row.postal_code));
        }
        self.by_city
            .get(&(row.city.clone(), row.state.clone()))
            .or_else(|| self.by_state.get(&row.state))
            .cloned()
            .with_context(|| format!("no postal code is known for {}, {}", row.city, row.state))
    }
}

fn padded(postal_code: &str) -> String {
    format!("{:0>5}", postal_code.trim())
}

#[cfg(test)]
mod tests {
    use super::*;

    const SAMPLE: &str = include_str!("../../data/orders-sample.csv");

    #[test]
    fn the_sample_is_read_whole_and_priced_to_the_cent() {
        let retail = read(SAMPLE).unwrap();
        assert_eq!(retail.orders.len(), 500);
        let units: i64 = retail
            .orders
            .iter()
            .flat_map(|o| &o.lines)
            .map(|l| l.quantity)
            .sum();
        assert_eq!(
            units,
            retail.items.iter().map(|item| item.demand).sum::<i64>()
        );
        for line in retail.orders.iter().flat_map(|order| &order.lines) {
            assert!(line.unit_price > 0 && line.discount >= 0, "{line:?}");
            assert!(line.discount <= line.unit_price * line.quantity, "{line:?}");
        }
    }

    #[test]
    fn a_discount_is_what_the_list_price_exceeds_the_sales_by() {
        let header = SAMPLE.lines().next().unwrap();
        let row = r#"24,"US-1",2017-07-16,2017-07-18,"Second Class","C","N","S","United States","Philadelphia","Pennsylvania",1914,"East","SKU-1","F","C","Chair",71.372,2,0.3,-1"#;
        let retail = read(&format!("{header}\n{row}\n")).unwrap();
        let line = &retail.orders[0].lines[0];
        assert_eq!((line.unit_price, line.discount), (5098, 2 * 5098 - 7137));
        assert_eq!(retail.orders[0].postal_code, "01914");
    }

    #[test]
    fn blanks_are_filled_and_products_are_made_up_the_same_way_every_time() {
        let (one, two) = (read(SAMPLE).unwrap(), read(SAMPLE).unwrap());
        assert_eq!(one.items, two.items);
        for order in &one.orders {
            assert_eq!(order.postal_code.len(), 5, "{}", order.order_id);
        }
        let mut barcodes: Vec<_> = one.items.iter().map(|item| &item.barcode).collect();
        barcodes.sort_unstable();
        barcodes.dedup();
        assert_eq!(barcodes.len(), one.items.len());
    }

    #[test]
    fn a_barcode_has_a_valid_check_digit() {
        assert_eq!(ean13(0), "2000000000008");
        assert!(ean13(u64::MAX).len() == 13);
    }
}
