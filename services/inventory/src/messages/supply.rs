//! Supply that is expected, and what can be promised of it.

use oms_proto::inventory::v1 as pb;
use oms_proto::time_to_proto;
use time::OffsetDateTime;

use crate::domain::availability::Promise;
use crate::domain::expected::{ExpectedReceipt, ExpectedState};

/// An expected receipt.
pub(crate) fn expected_receipt(receipt: &ExpectedReceipt) -> pb::ExpectedReceipt {
    pb::ExpectedReceipt {
        reference: receipt.key.reference.clone(),
        sku: receipt.key.sku.to_string(),
        location_id: receipt.key.location.to_string(),
        quantity: receipt.quantity,
        received: receipt.received,
        open: receipt.open(),
        expect_time: Some(time_to_proto(receipt.expected_at)),
        state: state(receipt.state()).into(),
        etag: receipt.version.to_string(),
        update_time: Some(time_to_proto(receipt.updated_at)),
    }
}

/// When how much can be promised; `times` are those that were asked for.
pub(crate) fn promises(
    promise: &Promise,
    times: &[OffsetDateTime],
    backordered: i64,
) -> pb::GetAvailableToPromiseResponse {
    let at = times.iter().zip(&promise.at);
    pb::GetAvailableToPromiseResponse {
        available_to_promise: promise.now,
        promises: at
            .map(|(time, units)| pb::AvailableToPromise {
                time: Some(time_to_proto(*time)),
                available_to_promise: *units,
            })
            .collect(),
        earliest_time: promise.earliest.map(time_to_proto),
        backordered,
        overdue: promise.overdue,
    }
}

fn state(state: ExpectedState) -> pb::ExpectedReceiptState {
    match state {
        ExpectedState::Open => pb::ExpectedReceiptState::Open,
        ExpectedState::Received => pb::ExpectedReceiptState::Received,
        ExpectedState::Canceled => pb::ExpectedReceiptState::Canceled,
    }
}
