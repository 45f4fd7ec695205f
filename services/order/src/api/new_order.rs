//! A new order as the caller sends it. What is wrong with it is for the domain to say; only what has no
//! value in the domain is told here.

use oms_core::Violations;
use oms_proto::common::v1 as common;
use oms_proto::order::v1 as pb;

use super::requests::optional_time;
use crate::domain::address::Address;
use crate::domain::new_order::{GivenDiscount, GivenMoney, NewLine, NewOrder};
use crate::domain::order::FillPolicy;
use crate::domain::tender::GivenTender;

/// Reads a new order; fields of violations are relative to it.
pub(super) fn new_order(message: pb::NewOrder, violations: &mut Violations) -> NewOrder {
    let fill_policy = fill_policy(message.fill_policy, "fill_policy", violations);
    optional_time(
        message.external_order_time,
        "external_order_time",
        violations,
    );
    let ship_by = optional_time(message.ship_by, "ship_by", violations);
    NewOrder {
        channel_id: message.channel_id,
        external_reference: message.external_reference,
        customer_id: message.customer_id,
        currency_code: message.currency_code,
        lines: message.lines.into_iter().map(line).collect(),
        ship_to: message.ship_to.map(address),
        bill_to: message.bill_to.map(address),
        discounts: message.discounts.into_iter().map(discount).collect(),
        shipping_charge: message.shipping_charge.map(money),
        payment_method: message.payment_method.map(tender),
        payment_methods: message.payment_methods.into_iter().map(tender).collect(),
        service_level: service_level(message.service_level),
        fill_policy,
        splits_max: message.splits_max,
        ship_complete: message.ship_complete,
        priority: message.priority,
        ship_by,
        instructions: message.instructions,
        custom_fields: message.custom_fields.into_iter().collect(),
    }
}

fn line(message: pb::NewOrderLine) -> NewLine {
    NewLine {
        line_reference: message.line_reference,
        sku: message.sku,
        quantity: message.quantity,
        unit_price: message.unit_price.map(money),
        price_per: message.price_per,
        discounts: message.discounts.into_iter().map(discount).collect(),
        tax: message.tax.map(money),
        gift_message: message.gift_message,
        custom_fields: message.custom_fields.into_iter().collect(),
    }
}

fn discount(message: pb::Discount) -> GivenDiscount {
    GivenDiscount {
        code: message.code,
        amount: message.amount.map(money),
    }
}

fn tender(message: pb::PaymentMethod) -> GivenTender {
    GivenTender {
        provider: message.provider,
        token: message.token,
        amount: message.amount.map(money),
    }
}

fn money(message: common::Money) -> GivenMoney {
    GivenMoney {
        currency_code: message.currency_code,
        minor: message.minor_units,
    }
}

fn address(message: common::PostalAddress) -> Address {
    Address {
        recipient: message.recipient,
        address_lines: message.address_lines,
        locality: message.locality,
        administrative_area: message.administrative_area,
        postal_code: message.postal_code,
        country_code: message.country_code,
        phone: message.phone,
        email: message.email,
    }
}

/// The fill policy; `None` when it is not set.
pub(super) fn fill_policy(
    number: i32,
    field: &str,
    violations: &mut Violations,
) -> Option<FillPolicy> {
    match common::FillPolicy::try_from(number) {
        Ok(common::FillPolicy::Unspecified) => None,
        Ok(common::FillPolicy::FillOrKill) => Some(FillPolicy::FillOrKill),
        Ok(common::FillPolicy::FillAll) => Some(FillPolicy::FillAll),
        Ok(common::FillPolicy::FillAllAvailable) => Some(FillPolicy::FillAllAvailable),
        Err(_) => {
            violations.push(field, "FIELD_MALFORMED", "is no fill policy");
            None
        }
    }
}

/// The service level's name; ground when it is not set, `None` for a number that means nothing.
fn service_level(number: i32) -> Option<String> {
    let level = match common::ServiceLevel::try_from(number).ok()? {
        common::ServiceLevel::Unspecified => common::ServiceLevel::Ground,
        level => level,
    };
    level
        .as_str_name()
        .strip_prefix("SERVICE_LEVEL_")
        .map(str::to_owned)
}
