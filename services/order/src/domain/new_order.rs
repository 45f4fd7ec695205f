//! A customer's order as the caller gives it, and everything that may be wrong with it.
//!
//! [`check`] looks at the whole order and tells every violation at once; only an order without any is
//! priced. What has to be asked elsewhere (the channel, which SKUs exist) comes in as [`Known`].

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::fmt;

use oms_core::{Currency, Quantity, Rounding, Sku, Violations, check_card_number, check_free_text};
use time::OffsetDateTime;

use super::address::{Address, check_address};
use super::order::{FillPolicy, PaymentPolicy};
use super::pricing::{self, Amounts, LineInput, OrderInput};
use super::tender::{GivenTender, TENDERS_MAX, check_sum, check_tenders};

/// Most lines of an order.
pub(crate) const LINES_MAX: usize = 500;
/// Most custom fields of an order or a line.
const CUSTOM_FIELDS_MAX: usize = 50;
/// Longest reference in characters.
const REFERENCE_LEN_MAX: usize = 100;
/// Longest free text in characters.
pub(crate) const INSTRUCTIONS_LEN_MAX: usize = 1000;
/// Most splits anybody may ask for.
const SPLITS_MAX: i32 = 15;

/// An amount as the caller gives it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct GivenMoney {
    /// ISO 4217 code as given.
    pub(crate) currency_code: String,
    /// Minor units as given.
    pub(crate) minor: i64,
}

/// A discount as the caller gives it; the amount may be missing.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct GivenDiscount {
    /// Code of the promotion.
    pub(crate) code: String,
    /// Amount.
    pub(crate) amount: Option<GivenMoney>,
}

/// A line as the caller gives it.
#[derive(Clone)]
pub(crate) struct NewLine {
    /// Reference in the caller's system; may be empty.
    pub(crate) line_reference: String,
    /// SKU as given.
    pub(crate) sku: String,
    /// Units as given.
    pub(crate) quantity: i64,
    /// Price of `price_per` units.
    pub(crate) unit_price: Option<GivenMoney>,
    /// Units the price is for; 0 stands for 1.
    pub(crate) price_per: i64,
    /// Discounts of the line.
    pub(crate) discounts: Vec<GivenDiscount>,
    /// Tax; `None` takes the channel's rate.
    pub(crate) tax: Option<GivenMoney>,
    /// Gift message.
    pub(crate) gift_message: String,
    /// The caller's own fields.
    pub(crate) custom_fields: BTreeMap<String, String>,
}

impl fmt::Debug for NewLine {
    /// Without what people have written.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("NewLine")
            .field("sku", &self.sku)
            .field("quantity", &self.quantity)
            .finish_non_exhaustive()
    }
}

/// An order as the caller gives it.
#[derive(Clone)]
pub(crate) struct NewOrder {
    /// Channel.
    pub(crate) channel_id: String,
    /// Reference in the caller's system; may be empty.
    pub(crate) external_reference: String,
    /// Customer in the caller's system; may be empty.
    pub(crate) customer_id: String,
    /// Currency; the channel's when empty.
    pub(crate) currency_code: String,
    /// Lines.
    pub(crate) lines: Vec<NewLine>,
    /// Where the goods go.
    pub(crate) ship_to: Option<Address>,
    /// Where the invoice goes; `ship_to` when absent.
    pub(crate) bill_to: Option<Address>,
    /// Discounts of the whole order.
    pub(crate) discounts: Vec<GivenDiscount>,
    /// Shipping charge.
    pub(crate) shipping_charge: Option<GivenMoney>,
    /// What it is paid with.
    pub(crate) payment_method: Option<GivenTender>,
    /// What it is paid with when that is several.
    pub(crate) payment_methods: Vec<GivenTender>,
    /// Name of the service level, such as `GROUND`; `None` for a number that means nothing.
    pub(crate) service_level: Option<String>,
    /// Fill policy; `None` takes the channel's.
    pub(crate) fill_policy: Option<FillPolicy>,
    /// Most splits.
    pub(crate) splits_max: Option<i32>,
    /// No fulfillment order while anything is backordered.
    pub(crate) ship_complete: bool,
    /// Priority class; 5 when absent.
    pub(crate) priority: Option<i32>,
    /// When the shop promised to hand it over; the service level says it when absent.
    pub(crate) ship_by: Option<OffsetDateTime>,
    /// Instructions for the warehouse.
    pub(crate) instructions: String,
    /// The caller's own fields.
    pub(crate) custom_fields: BTreeMap<String, String>,
}

impl fmt::Debug for NewOrder {
    /// Without people, what they have written, and what they pay with.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("NewOrder")
            .field("channel_id", &self.channel_id)
            .field("external_reference", &self.external_reference)
            .field("lines", &self.lines)
            .finish_non_exhaustive()
    }
}

/// A channel as the rules see it.
#[derive(Debug, Clone)]
pub(crate) struct Channel {
    /// Id.
    pub(crate) channel_id: String,
    /// Name for people.
    pub(crate) name: String,
    /// Currency of its orders.
    pub(crate) currency: Currency,
    /// Prefix of its order numbers.
    pub(crate) number_prefix: String,
    /// When money is taken.
    pub(crate) payment_policy: PaymentPolicy,
    /// Tax rate in parts per million.
    pub(crate) tax_rate_ppm: i64,
    /// How tax is rounded.
    pub(crate) tax_rounding: Rounding,
    /// Fill policy of orders that name none.
    pub(crate) default_fill_policy: FillPolicy,
    /// Orders with a line above this many units are held; 0 for no limit.
    pub(crate) outlier_quantity: i64,
    /// Version; the etag.
    pub(crate) version: i64,
}

/// What had to be asked elsewhere.
#[derive(Debug)]
pub(crate) struct Known<'a> {
    /// The channel, when it exists.
    pub(crate) channel: Option<&'a Channel>,
    /// Names of the SKUs that exist and may be sold.
    pub(crate) item_names: &'a HashMap<String, String>,
    /// Providers that are configured.
    pub(crate) providers: &'a [&'a str],
}

/// An order that nothing is wrong with, priced.
#[derive(Debug)]
pub(crate) struct PricedOrder {
    /// Currency of all amounts.
    pub(crate) currency: Currency,
    /// Fill policy after defaults.
    pub(crate) fill_policy: FillPolicy,
    /// Amounts by line.
    pub(crate) lines: Vec<Amounts>,
    /// Sums.
    pub(crate) totals: Amounts,
}

/// SKUs of the order that are well formed, to be asked of inventory.
pub(crate) fn skus(order: &NewOrder) -> BTreeSet<String> {
    order
        .lines
        .iter()
        .take(LINES_MAX)
        .filter(|line| line.sku.parse::<Sku>().is_ok())
        .map(|line| line.sku.clone())
        .collect()
}

/// Prices the order, or tells everything that is wrong with it. Fields are relative to the order.
pub(crate) fn check(order: &NewOrder, known: &Known<'_>) -> Result<PricedOrder, Violations> {
    let mut violations = Violations::default();
    check_header(order, known, &mut violations);
    check_addresses(order, &mut violations);
    check_lines(order, known, &mut violations);
    let currency = check_currency(order, known.channel, &mut violations);
    let priced = price(order, known.channel);
    let lines = match priced {
        Ok(lines) => {
            if let Some(totals) = pricing::order_totals(&lines) {
                check_sum(order, known, totals.total, &mut violations);
            }
            lines
        }
        Err(more) => {
            let fresh: Vec<_> = more.iter().cloned().collect();
            for violation in fresh {
                violations.push(violation.field, violation.reason, violation.message);
            }
            Vec::new()
        }
    };
    violations.into_result()?;
    // Both are there, or a violation was told above.
    let (Some(channel), Some(currency), Some(totals)) =
        (known.channel, currency, pricing::order_totals(&lines))
    else {
        return Err(Violations::default());
    };
    let fill_policy = order.fill_policy.unwrap_or(channel.default_fill_policy);
    Ok(PricedOrder {
        currency,
        fill_policy,
        lines,
        totals,
    })
}

fn check_header(order: &NewOrder, known: &Known<'_>, violations: &mut Violations) {
    if order.channel_id.is_empty() {
        violations.push("channel_id", "FIELD_REQUIRED", "must name a channel");
    } else if known.channel.is_none() {
        violations.push("channel_id", "CHANNEL_UNKNOWN", "no such channel");
    }
    check_free_text(
        &order.external_reference,
        "external_reference",
        REFERENCE_LEN_MAX,
        violations,
    );
    check_free_text(
        &order.customer_id,
        "customer_id",
        REFERENCE_LEN_MAX,
        violations,
    );
    check_free_text(
        &order.instructions,
        "instructions",
        INSTRUCTIONS_LEN_MAX,
        violations,
    );
    check_custom_fields(&order.custom_fields, "custom_fields", violations);
    check_discounts(&order.discounts, violations);
    violations.check(
        order
            .priority
            .is_none_or(|priority| (0..=9).contains(&priority)),
        "priority",
        "FIELD_OUT_OF_RANGE",
        "must be between 0 and 9",
    );
    violations.check(
        order
            .splits_max
            .is_none_or(|splits| (0..=SPLITS_MAX).contains(&splits)),
        "splits_max",
        "FIELD_OUT_OF_RANGE",
        format!("must be between 0 and {SPLITS_MAX}"),
    );
    violations.check(
        order.service_level.is_some(),
        "service_level",
        "FIELD_MALFORMED",
        "is no service level",
    );
    check_tenders(order, known, violations);
}

fn check_addresses(order: &NewOrder, violations: &mut Violations) {
    match &order.ship_to {
        Some(address) => violations.extend_under("ship_to", check_address(address)),
        None => violations.push("ship_to", "FIELD_REQUIRED", "must say where the goods go"),
    }
    if let Some(address) = &order.bill_to {
        violations.extend_under("bill_to", check_address(address));
    }
}

fn check_lines(order: &NewOrder, known: &Known<'_>, violations: &mut Violations) {
    if order.lines.is_empty() {
        violations.push("lines", "FIELD_REQUIRED", "must have at least one line");
    }
    if order.lines.len() > LINES_MAX {
        let count = order.lines.len();
        violations.push(
            "lines",
            "FIELD_OUT_OF_RANGE",
            format!("{count} lines are more than the {LINES_MAX} that an order may have"),
        );
        return;
    }
    let mut references = BTreeSet::new();
    for (index, line) in order.lines.iter().enumerate() {
        let field = format!("lines[{index}]");
        let mut part = Violations::default();
        check_line(line, known, &mut part);
        if !line.line_reference.is_empty() && !references.insert(line.line_reference.as_str()) {
            part.push(
                "line_reference",
                "DUPLICATE",
                "another line has this reference",
            );
        }
        violations.extend_under(&field, part);
    }
}

fn check_line(line: &NewLine, known: &Known<'_>, violations: &mut Violations) {
    if line.sku.is_empty() {
        violations.push("sku", "FIELD_REQUIRED", "must name a SKU");
    } else if violations
        .parse::<Sku>("sku", "FIELD_MALFORMED", &line.sku)
        .is_some()
        && !known.item_names.contains_key(&line.sku)
    {
        violations.push(
            "sku",
            "SKU_UNKNOWN",
            format!("inventory does not sell {}", line.sku),
        );
    }
    if let Err(error) = Quantity::try_new(line.quantity) {
        violations.push("quantity", "QUANTITY_INVALID", error.to_string());
    }
    violations.check(
        (0..=Quantity::MAX).contains(&line.price_per),
        "price_per",
        "FIELD_OUT_OF_RANGE",
        "must be between 0 and 1000000000",
    );
    if line.unit_price.is_none() {
        violations.push("unit_price", "FIELD_REQUIRED", "must hold a price");
    }
    check_discounts(&line.discounts, violations);
    check_free_text(
        &line.line_reference,
        "line_reference",
        REFERENCE_LEN_MAX,
        violations,
    );
    check_free_text(&line.gift_message, "gift_message", 500, violations);
    check_custom_fields(&line.custom_fields, "custom_fields", violations);
}

fn check_discounts(discounts: &[GivenDiscount], violations: &mut Violations) {
    for (index, discount) in discounts.iter().enumerate() {
        let field = |name: &str| format!("discounts[{index}].{name}");
        if discount.amount.is_none() {
            violations.push(field("amount"), "FIELD_REQUIRED", "must hold an amount");
        }
        if discount.code.is_empty() {
            violations.push(field("code"), "FIELD_REQUIRED", "must name the promotion");
        }
        check_free_text(&discount.code, &field("code"), 64, violations);
    }
}

/// Checks the caller's own fields.
pub(crate) fn check_custom_fields(
    fields: &BTreeMap<String, String>,
    name: &str,
    violations: &mut Violations,
) {
    violations.check(
        fields.len() <= CUSTOM_FIELDS_MAX,
        name,
        "FIELD_OUT_OF_RANGE",
        format!("may hold at most {CUSTOM_FIELDS_MAX} fields"),
    );
    for (key, value) in fields {
        // The name of a field is told, so it must be none that may not be.
        check_card_number(key, name, violations);
        let field = format!("{name}[{key}]");
        violations.check(
            !key.is_empty() && key.chars().count() <= 64,
            field.clone(),
            "FIELD_OUT_OF_RANGE",
            "a key has 1 to 64 characters",
        );
        check_free_text(value, &field, INSTRUCTIONS_LEN_MAX, violations);
    }
}

/// Every amount must be in the order's currency, which must be the channel's.
fn check_currency(
    order: &NewOrder,
    channel: Option<&Channel>,
    violations: &mut Violations,
) -> Option<Currency> {
    let code = match (order.currency_code.as_str(), channel) {
        ("", None) => return None,
        ("", Some(channel)) => channel.currency.code(),
        (code, _) => code,
    };
    let Ok(currency) = code.parse::<Currency>() else {
        violations.push("currency_code", "CURRENCY_UNKNOWN", "is no ISO 4217 code");
        return None;
    };
    if channel.is_some_and(|channel| channel.currency != currency) {
        violations.push(
            "currency_code",
            "CURRENCY_MIXED",
            "is not the channel's currency",
        );
    }
    for (field, money) in amounts(order) {
        if money.currency_code == code {
            continue;
        }
        if money.currency_code.parse::<Currency>().is_err() {
            violations.push(field, "CURRENCY_UNKNOWN", "is no ISO 4217 code");
        } else {
            violations.push(
                field,
                "CURRENCY_MIXED",
                format!("must be in {code} as the order is"),
            );
        }
    }
    Some(currency)
}

/// Every amount of the order with its field.
fn amounts(order: &NewOrder) -> Vec<(String, &GivenMoney)> {
    let mut all = Vec::new();
    for (index, line) in order.lines.iter().take(LINES_MAX).enumerate() {
        if let Some(money) = &line.unit_price {
            all.push((format!("lines[{index}].unit_price"), money));
        }
        if let Some(money) = &line.tax {
            all.push((format!("lines[{index}].tax"), money));
        }
        for (number, discount) in line.discounts.iter().enumerate() {
            if let Some(money) = &discount.amount {
                all.push((format!("lines[{index}].discounts[{number}].amount"), money));
            }
        }
    }
    for (number, discount) in order.discounts.iter().enumerate() {
        if let Some(money) = &discount.amount {
            all.push((format!("discounts[{number}].amount"), money));
        }
    }
    if let Some(money) = &order.shipping_charge {
        all.push(("shipping_charge".to_owned(), money));
    }
    if let Some(money) = (order.payment_method.as_ref()).and_then(|one| one.amount.as_ref()) {
        all.push(("payment_method.amount".to_owned(), money));
    }
    for (index, tender) in order.payment_methods.iter().take(TENDERS_MAX).enumerate() {
        if let Some(money) = &tender.amount {
            all.push((format!("payment_methods[{index}].amount"), money));
        }
    }
    all
}

fn price(order: &NewOrder, channel: Option<&Channel>) -> Result<Vec<Amounts>, Violations> {
    let minor = |money: &Option<GivenMoney>| money.as_ref().map_or(0, |money| money.minor);
    let discounts = |given: &[GivenDiscount]| given.iter().map(|d| minor(&d.amount)).collect();
    let lines = order.lines.iter().take(LINES_MAX).map(|line| LineInput {
        // A wrong quantity is told by check_lines; the amounts are looked at as if it were one.
        quantity: Quantity::try_new(line.quantity).map_or(1, Quantity::get),
        unit_price: minor(&line.unit_price),
        price_per: line.price_per.max(1),
        discounts: discounts(&line.discounts),
        tax: line.tax.as_ref().map(|money| money.minor),
    });
    pricing::price(&OrderInput {
        lines: lines.collect(),
        discounts: discounts(&order.discounts),
        shipping: minor(&order.shipping_charge),
        tax_rate_ppm: channel.map_or(0, |channel| channel.tax_rate_ppm),
        tax_rounding: channel.map_or(Rounding::HalfUp, |channel| channel.tax_rounding),
    })
}
