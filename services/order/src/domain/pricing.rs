//! What an order costs: lines priced, order discounts and shipping spread over the lines, tax added,
//! and every amount of a line split over its units by one formula.
//!
//! Each amount is a whole number of minor units. Shares of the order are spread by largest remainder,
//! so they add up to the cent; parts of a line follow [`oms_core::split::units`], so any way of
//! shipping, canceling or returning its units adds up to the line.

use oms_core::Violations;
use oms_core::rounding::{Rounding, mul_div, ppm};
use oms_core::split;

/// What pricing needs of one line; amounts in minor units.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct LineInput {
    /// Units ordered, above zero.
    pub(crate) quantity: i64,
    /// Price of `price_per` units.
    pub(crate) unit_price: i64,
    /// Units that the price is for, above zero.
    pub(crate) price_per: i64,
    /// Discounts of the whole line.
    pub(crate) discounts: Vec<i64>,
    /// Tax as the caller says it; `None` takes the channel's rate.
    pub(crate) tax: Option<i64>,
}

/// What pricing needs of the order; amounts in minor units.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct OrderInput {
    /// Lines.
    pub(crate) lines: Vec<LineInput>,
    /// Discounts of the whole order.
    pub(crate) discounts: Vec<i64>,
    /// Shipping charge.
    pub(crate) shipping: i64,
    /// Tax rate for lines without tax, in parts per million.
    pub(crate) tax_rate_ppm: i64,
    /// How tax is rounded.
    pub(crate) tax_rounding: Rounding,
}

/// The amounts of one line in minor units: `total = subtotal - discount + tax + shipping`.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct Amounts {
    /// Goods before discounts.
    pub(crate) subtotal: i64,
    /// Discounts, the share of the order's included.
    pub(crate) discount: i64,
    /// Tax.
    pub(crate) tax: i64,
    /// Share of the shipping charge.
    pub(crate) shipping: i64,
    /// What the customer pays.
    pub(crate) total: i64,
}

/// A part of a line's amounts in minor units: `total = net + tax + shipping`.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct Part {
    /// Goods less discounts.
    pub(crate) net: i64,
    /// Tax.
    pub(crate) tax: i64,
    /// Shipping.
    pub(crate) shipping: i64,
    /// Sum.
    pub(crate) total: i64,
}

impl Amounts {
    /// The part that units `[from, to)` of the line's `ordered` units cost.
    pub(crate) fn part(self, ordered: i64, from: i64, to: i64) -> Part {
        let of = |amount: i64| split::units(amount, ordered, from, to);
        let net = of(self.subtotal).saturating_sub(of(self.discount));
        let (tax, shipping) = (of(self.tax), of(self.shipping));
        Part {
            net,
            tax,
            shipping,
            total: net.saturating_add(tax).saturating_add(shipping),
        }
    }
}

/// Sums of the lines in minor units.
pub(crate) fn order_totals(lines: &[Amounts]) -> Option<Amounts> {
    lines.iter().try_fold(Amounts::default(), |sum, line| {
        Some(Amounts {
            subtotal: sum.subtotal.checked_add(line.subtotal)?,
            discount: sum.discount.checked_add(line.discount)?,
            tax: sum.tax.checked_add(line.tax)?,
            shipping: sum.shipping.checked_add(line.shipping)?,
            total: sum.total.checked_add(line.total)?,
        })
    })
}

/// Prices an order, or says everything that is wrong with its amounts. Field names are relative to the order.
pub(crate) fn price(input: &OrderInput) -> Result<Vec<Amounts>, Violations> {
    let mut violations = Violations::default();
    let lines: Vec<Option<(i64, i64)>> = input
        .lines
        .iter()
        .enumerate()
        .map(|(index, line)| goods(line, index, &mut violations))
        .collect();
    let order_discount = sum_not_negative(&input.discounts, "discounts", &mut violations);
    violations.check(
        input.shipping >= 0,
        "shipping_charge",
        "AMOUNT_NEGATIVE",
        "must not be negative",
    );
    let goods: Option<Vec<(i64, i64)>> = lines.into_iter().collect();
    let (Some(goods), Some(order_discount)) = (goods, order_discount) else {
        return Err(violations);
    };
    let nets: Vec<i64> = goods
        .iter()
        .map(|(subtotal, discount)| subtotal - discount)
        .collect();
    let Some(net_sum) = nets
        .iter()
        .try_fold(0_i64, |sum, net| sum.checked_add(*net))
    else {
        violations.push(
            "lines",
            "AMOUNT_OVERFLOW",
            "the sum of the lines does not fit",
        );
        return Err(violations);
    };
    violations.check(
        order_discount <= net_sum,
        "discounts",
        "DISCOUNT_EXCEEDS_PRICE",
        format!("discounts of {order_discount} exceed the goods of {net_sum} minor units"),
    );
    if !violations.is_empty() {
        return Err(violations);
    }
    spread(input, &goods, &nets, order_discount)
}

/// Subtotal and own discount of a line.
fn goods(line: &LineInput, index: usize, violations: &mut Violations) -> Option<(i64, i64)> {
    let field = |name: &str| format!("lines[{index}].{name}");
    if line.unit_price < 0 {
        violations.push(
            field("unit_price"),
            "AMOUNT_NEGATIVE",
            "must not be negative",
        );
        return None;
    }
    if line.tax.is_some_and(|tax| tax < 0) {
        violations.push(field("tax"), "AMOUNT_NEGATIVE", "must not be negative");
        return None;
    }
    let discount = sum_not_negative(&line.discounts, &field("discounts"), violations)?;
    let Ok(subtotal) = mul_div(
        line.unit_price,
        line.quantity,
        line.price_per,
        Rounding::HalfUp,
    ) else {
        violations.push(
            field("unit_price"),
            "AMOUNT_OVERFLOW",
            "price times quantity does not fit",
        );
        return None;
    };
    let fits = violations.check(
        discount <= subtotal,
        field("discounts"),
        "DISCOUNT_EXCEEDS_PRICE",
        format!("discounts of {discount} exceed the line's {subtotal} minor units"),
    );
    fits.then_some((subtotal, discount))
}

fn sum_not_negative(amounts: &[i64], field: &str, violations: &mut Violations) -> Option<i64> {
    if amounts.iter().any(|amount| *amount < 0) {
        violations.push(field, "AMOUNT_NEGATIVE", "must not be negative");
        return None;
    }
    let sum = amounts
        .iter()
        .try_fold(0_i64, |sum, amount| sum.checked_add(*amount));
    if sum.is_none() {
        violations.push(
            field,
            "AMOUNT_OVERFLOW",
            "the sum of the discounts does not fit",
        );
    }
    sum
}

/// Spreads the order's discount and shipping over the lines by their net amount, and adds tax.
fn spread(
    input: &OrderInput,
    goods: &[(i64, i64)],
    nets: &[i64],
    order_discount: i64,
) -> Result<Vec<Amounts>, Violations> {
    let discounts = split::largest_remainder(order_discount, nets);
    let shipping = split::largest_remainder(input.shipping, nets);
    let mut violations = Violations::default();
    let mut lines = Vec::with_capacity(goods.len());
    for (index, (line, (subtotal, own))) in input.lines.iter().zip(goods).enumerate() {
        // The shares come from the same list of lines, so they are there for every index.
        let share = |shares: &[i64]| shares.get(index).copied().unwrap_or_default();
        let amounts = line_amounts(
            input,
            line,
            *subtotal,
            own + share(&discounts),
            share(&shipping),
        );
        match amounts {
            Some(amounts) => lines.push(amounts),
            None => violations.push(
                format!("lines[{index}]"),
                "AMOUNT_OVERFLOW",
                "the amounts of the line do not fit",
            ),
        }
    }
    if order_totals(&lines).is_none() {
        violations.push(
            "lines",
            "AMOUNT_OVERFLOW",
            "the sum of the order does not fit",
        );
    }
    violations.into_result().map(|()| lines)
}

fn line_amounts(
    input: &OrderInput,
    line: &LineInput,
    subtotal: i64,
    discount: i64,
    shipping: i64,
) -> Option<Amounts> {
    let net = subtotal.checked_sub(discount)?;
    let tax = match line.tax {
        Some(tax) => tax,
        None => ppm(net, input.tax_rate_ppm, input.tax_rounding).ok()?,
    };
    let total = net.checked_add(tax)?.checked_add(shipping)?;
    Some(Amounts {
        subtotal,
        discount,
        tax,
        shipping,
        total,
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn line(quantity: i64, unit_price: i64) -> LineInput {
        LineInput {
            quantity,
            unit_price,
            price_per: 1,
            discounts: vec![],
            tax: None,
        }
    }

    fn order(lines: Vec<LineInput>) -> OrderInput {
        OrderInput {
            lines,
            discounts: vec![],
            shipping: 0,
            tax_rate_ppm: 0,
            tax_rounding: Rounding::HalfUp,
        }
    }

    fn reasons(input: &OrderInput) -> Vec<(String, &'static str)> {
        price(input)
            .expect_err("must be refused")
            .iter()
            .map(|violation| (violation.field.clone(), violation.reason))
            .collect()
    }

    #[test]
    fn an_order_discount_and_shipping_are_spread_to_the_cent() {
        let mut input = order(vec![line(1, 1000), line(1, 1000), line(1, 1000)]);
        input.discounts = vec![100];
        input.shipping = 500;
        input.tax_rate_ppm = 82_500;
        let lines = price(&input).unwrap();
        assert_eq!(lines.iter().map(|l| l.discount).sum::<i64>(), 100);
        assert_eq!(lines.iter().map(|l| l.shipping).sum::<i64>(), 500);
        let totals = order_totals(&lines).unwrap();
        assert_eq!(
            totals.total,
            totals.subtotal - totals.discount + totals.tax + totals.shipping
        );
    }

    #[test]
    fn every_violation_is_told_at_once() {
        let mut input = order(vec![line(1, -5), line(2, 100), line(i64::MAX, i64::MAX)]);
        input.lines[1].discounts = vec![300];
        input.discounts = vec![-1];
        input.shipping = -2;
        assert_eq!(
            reasons(&input),
            [
                ("lines[0].unit_price".into(), "AMOUNT_NEGATIVE"),
                ("lines[1].discounts".into(), "DISCOUNT_EXCEEDS_PRICE"),
                ("lines[2].unit_price".into(), "AMOUNT_OVERFLOW"),
                ("discounts".into(), "AMOUNT_NEGATIVE"),
                ("shipping_charge".into(), "AMOUNT_NEGATIVE"),
            ]
        );
    }

    #[test]
    fn an_order_discount_above_the_goods_is_refused() {
        let mut input = order(vec![line(1, 100)]);
        input.discounts = vec![101];
        assert_eq!(
            reasons(&input),
            [("discounts".into(), "DISCOUNT_EXCEEDS_PRICE")]
        );
    }

    #[test]
    fn a_price_for_a_hundred_is_rounded_half_up() {
        let mut input = order(vec![line(3, 50)]);
        input.lines[0].price_per = 100;
        assert_eq!(price(&input).unwrap()[0].subtotal, 2);
    }

    proptest! {
        #[test]
        fn parts_of_a_line_add_up_however_it_is_cut(
            quantity in 1_i64..200,
            unit_price in 0_i64..100_000,
            own in 0_i64..5_000,
            shipping in 0_i64..5_000,
            rate in 0_i64..300_000,
            cuts in proptest::collection::vec(0_i64..200, 0..8),
        ) {
            let mut input = order(vec![line(quantity, unit_price), line(1, 999)]);
            input.lines[0].discounts = vec![own.min(unit_price * quantity)];
            input.shipping = shipping;
            input.tax_rate_ppm = rate;
            let amounts = price(&input).unwrap()[0];
            let mut edges: Vec<i64> = cuts.iter().map(|cut| cut.min(&quantity)).copied().collect();
            edges.extend([0, quantity]);
            edges.sort_unstable();
            let sum: i64 = edges.windows(2).map(|w| amounts.part(quantity, w[0], w[1]).total).sum();
            prop_assert_eq!(sum, amounts.total);
        }
    }
}
