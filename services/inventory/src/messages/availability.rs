//! What may be promised of SKUs, and the policies behind it.

use oms_core::ChannelId;
use oms_proto::inventory::v1 as pb;
use oms_proto::time_to_proto;

use crate::domain::availability::{Asked, Availability};
use crate::domain::policy::StockPolicy;

/// A SKU over these locations, for an order of the channel.
pub(crate) fn total(
    of: &Availability,
    locations: Asked<'_>,
    channel: Option<&ChannelId>,
) -> pb::SkuAvailability {
    let totals = of.totals(locations, channel);
    pb::SkuAvailability {
        sku: of.sku.to_string(),
        version: of.version,
        on_hand: totals.on_hand,
        available: totals.available,
        safety_stock: totals.safety_stock,
        buffer: totals.buffer,
        available_to_promise: totals.available_to_promise,
        incoming: totals.incoming,
    }
}

/// A policy with its rules by location and channel.
pub(crate) fn stock_policy(stored: &StockPolicy) -> pb::StockPolicy {
    let policy = &stored.policy;
    let locations = policy.locations.iter();
    let channels = policy.channels.iter();
    pb::StockPolicy {
        sku: stored.sku.to_string(),
        safety_stock: policy.safety_stock,
        low_stock_threshold: policy.low_stock_threshold,
        locations: locations
            .map(|(location, rule)| pb::LocationStockPolicy {
                location_id: location.to_string(),
                safety_stock: rule.safety_stock,
                low_stock_threshold: rule.low_stock_threshold,
            })
            .collect(),
        channels: channels
            .map(|(channel, rule)| pb::ChannelStockPolicy {
                channel_id: channel.to_string(),
                buffer: rule.buffer,
                share_percent: match rule.share_percent {
                    // No cap reads as it is written.
                    100 => 0,
                    percent => i32::try_from(percent).unwrap_or_default(),
                },
            })
            .collect(),
        etag: stored.version.to_string(),
        update_time: Some(time_to_proto(stored.updated_at)),
    }
}
