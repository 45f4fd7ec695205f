//! Channels.

use oms_core::Rounding;
use oms_proto::order::v1 as pb;

use super::fill_policy;
use crate::domain::new_order::Channel;
use crate::domain::order::PaymentPolicy;

/// A channel as clients see it.
pub(crate) fn channel(channel: &Channel) -> pb::Channel {
    pb::Channel {
        channel_id: channel.channel_id.clone(),
        name: channel.name.clone(),
        currency_code: channel.currency.code().to_owned(),
        number_prefix: channel.number_prefix.clone(),
        payment_policy: payment_policy(channel.payment_policy).into(),
        tax_rate_ppm: channel.tax_rate_ppm,
        tax_rounding: rounding(channel.tax_rounding).into(),
        default_fill_policy: fill_policy(channel.default_fill_policy).into(),
        outlier_quantity: channel.outlier_quantity,
        etag: channel.version.to_string(),
    }
}

fn payment_policy(policy: PaymentPolicy) -> pb::PaymentPolicy {
    match policy {
        PaymentPolicy::AuthThenCaptureOnShip => pb::PaymentPolicy::AuthThenCaptureOnShip,
        PaymentPolicy::Prepaid => pb::PaymentPolicy::Prepaid,
        PaymentPolicy::None => pb::PaymentPolicy::None,
    }
}

fn rounding(rounding: Rounding) -> pb::RoundingMode {
    match rounding {
        Rounding::HalfUp => pb::RoundingMode::HalfUp,
        Rounding::HalfEven => pb::RoundingMode::HalfEven,
    }
}
