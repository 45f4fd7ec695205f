//! Tenders: what an order is paid with, and how an amount is shared among them.
//!
//! The rule is one for everything: **tenders with an amount come first, in the order given; the one that takes the rest
//! comes last.** So stands every order's list, and money is authorized and captured in that order: an order that is worth
//! less than its total, because stock is short or units were canceled, takes less from the last ones.

use std::fmt;

use oms_core::{Violations, check_free_text};
use serde::{Deserialize, Serialize};

use super::collection::CASH_ON_DELIVERY;
use super::new_order::{GivenMoney, Known, NewOrder};
use super::order::PaymentPolicy;

/// Most tenders of an order.
pub(crate) const TENDERS_MAX: usize = 10;
/// Tokens are short handles of a provider.
const TOKEN_LEN_MAX: usize = 200;

/// What a part of an order is paid with.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Tender {
    /// Name of the provider.
    pub(crate) provider: String,
    /// The provider's token.
    pub(crate) token: String,
    /// Most that is taken from it, in minor units; `None` takes the rest.
    pub(crate) amount: Option<i64>,
}

impl fmt::Debug for Tender {
    /// Without the token.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Tender")
            .field("provider", &self.provider)
            .field("amount", &self.amount)
            .finish_non_exhaustive()
    }
}

/// A tender as the caller gives it.
#[derive(Clone, Default, PartialEq, Eq)]
pub(crate) struct GivenTender {
    /// Provider as given.
    pub(crate) provider: String,
    /// Token as given.
    pub(crate) token: String,
    /// Amount; absent for the rest.
    pub(crate) amount: Option<GivenMoney>,
}

impl fmt::Debug for GivenTender {
    /// Without the token.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("GivenTender")
            .field("provider", &self.provider)
            .field("amount", &self.amount)
            .finish_non_exhaustive()
    }
}

/// The tenders of a checked order, in the order in which money is taken from them.
pub(crate) fn tenders(order: &NewOrder) -> Vec<Tender> {
    let mut all: Vec<Tender> = given(order)
        .into_iter()
        .map(|(_, tender)| Tender {
            provider: tender.provider,
            token: tender.token,
            amount: tender.amount.map(|money| money.minor),
        })
        .collect();
    // Stable: the fixed ones stay as given.
    all.sort_by_key(|tender| tender.amount.is_none());
    all
}

/// What each tender has to bear of an amount, in minor units.
pub(crate) fn shares(tenders: &[Tender], amount: i64) -> Vec<i64> {
    let mut left = amount;
    let mut share = |tender: &Tender| {
        let part = tender.amount.map_or(left, |most| most.min(left));
        left -= part;
        part
    };
    tenders.iter().map(&mut share).collect()
}

/// Every tender with its field.
pub(super) fn given(order: &NewOrder) -> Vec<(String, GivenTender)> {
    if order.payment_methods.is_empty() {
        let one = order.payment_method.clone().unwrap_or_default();
        return vec![("payment_method".to_owned(), one)];
    }
    let fields = (0..).map(|index| format!("payment_methods[{index}]"));
    let methods = order.payment_methods.iter().take(TENDERS_MAX).cloned();
    fields.zip(methods).collect()
}

/// Checks everything but the sum, which needs the total.
pub(super) fn check_tenders(order: &NewOrder, known: &Known<'_>, violations: &mut Violations) {
    if pays_nothing(known) {
        return;
    }
    let count = order.payment_methods.len();
    violations.check(
        count == 0 || order.payment_method.is_none(),
        "payment_methods",
        "DUPLICATE",
        "either payment_method or payment_methods, not both",
    );
    violations.check(
        count <= TENDERS_MAX,
        "payment_methods",
        "FIELD_OUT_OF_RANGE",
        format!("{count} are more than the {TENDERS_MAX} that an order may be paid with"),
    );
    let (mut takes_rest, mut at_door) = (false, false);
    for (field, tender) in given(order) {
        let mut part = Violations::default();
        check_tender(&tender, known, &mut part);
        part.check(
            !takes_rest || tender.amount.is_some(),
            "amount",
            "FIELD_REQUIRED",
            "only one payment method may take the rest",
        );
        takes_rest |= tender.amount.is_none();
        if tender.provider == CASH_ON_DELIVERY {
            check_at_door(at_door, known, &mut part);
            at_door = true;
        }
        violations.extend_under(&field, part);
    }
}

/// Money at the door is one amount per parcel, and never there before the parcel is.
fn check_at_door(is_second: bool, known: &Known<'_>, violations: &mut Violations) {
    let policy = known.channel.map(|channel| channel.payment_policy);
    violations.check(
        policy != Some(PaymentPolicy::Prepaid),
        "provider",
        "FIELD_OUT_OF_RANGE",
        "the channel's orders are paid before they ship",
    );
    violations.check(
        !is_second,
        "provider",
        "DUPLICATE",
        "only one payment method may be collected at delivery",
    );
}

fn pays_nothing(known: &Known<'_>) -> bool {
    let policy = known.channel.map(|channel| channel.payment_policy);
    policy == Some(PaymentPolicy::None)
}

fn check_tender(tender: &GivenTender, known: &Known<'_>, violations: &mut Violations) {
    if tender.provider.is_empty() {
        violations.push("provider", "FIELD_REQUIRED", "must name a provider");
    } else if !known.providers.contains(&tender.provider.as_str()) {
        violations.push("provider", "REFERENCE_UNKNOWN", "no such provider");
    }
    if tender.token.is_empty() && tender.provider != CASH_ON_DELIVERY {
        violations.push("token", "FIELD_REQUIRED", "must hold a token");
    }
    check_free_text(&tender.token, "token", TOKEN_LEN_MAX, violations);
    match tender.amount.as_ref().map(|money| money.minor) {
        Some(minor) if minor < 0 => {
            violations.push("amount", "AMOUNT_NEGATIVE", "must not be negative");
        }
        Some(0) => violations.push("amount", "FIELD_OUT_OF_RANGE", "must be above zero"),
        _ => {}
    }
}

/// Checks that the tenders pay the total, neither more nor less.
pub(super) fn check_sum(
    order: &NewOrder,
    known: &Known<'_>,
    total: i64,
    violations: &mut Violations,
) {
    if pays_nothing(known) {
        return;
    }
    let all = given(order);
    let amounts = all.iter().filter_map(|(_, tender)| tender.amount.as_ref());
    let sum: i128 = amounts.map(|money| i128::from(money.minor.max(0))).sum();
    let takes_rest = all.iter().any(|(_, tender)| tender.amount.is_none());
    let field = if order.payment_methods.is_empty() {
        "payment_method.amount"
    } else {
        "payment_methods"
    };
    let total = i128::from(total);
    if sum > total {
        let message = format!("together {sum} minor units, more than the total of {total}");
        violations.push(field, "FIELD_OUT_OF_RANGE", message);
    } else if sum < total && !takes_rest {
        let message = format!(
            "together {sum} minor units, less than the total of {total}, and none takes the rest"
        );
        violations.push(field, "FIELD_OUT_OF_RANGE", message);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn tender(amount: Option<i64>) -> Tender {
        Tender {
            provider: "sandbox".to_owned(),
            token: "tok".to_owned(),
            amount,
        }
    }

    #[test]
    fn an_amount_is_borne_in_order_and_the_last_ones_bear_less_of_less() {
        let all = [tender(Some(30)), tender(Some(20)), tender(None)];
        assert_eq!(shares(&all, 100), [30, 20, 50]);
        assert_eq!(shares(&all, 50), [30, 20, 0]);
        assert_eq!(shares(&all, 40), [30, 10, 0]);
        assert_eq!(shares(&all[..2], 50), [30, 20]);
        assert_eq!(shares(&all[2..], 7), [7]);
    }
}
