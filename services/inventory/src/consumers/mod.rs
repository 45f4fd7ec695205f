//! What the service does with other services' events: each becomes tasks, keyed by the event.

mod returns;
mod shipping;

use std::sync::Arc;

use oms_core::Clock;
use oms_service::FeedConsumer;

/// Completes the consumer of the shipping feed.
pub(crate) fn shipping(consumer: FeedConsumer, clock: Arc<dyn Clock>) -> FeedConsumer {
    consumer
        .types(&["ShipmentShipped"])
        .apply(move |conn, event| {
            let now = clock.now();
            Box::pin(shipping::apply(conn, event, now))
        })
}

/// Completes the consumer of the returns feed.
pub(crate) fn returns(consumer: FeedConsumer, clock: Arc<dyn Clock>) -> FeedConsumer {
    consumer
        .types(&["ReturnReceived", "ReturnDisposed"])
        .apply(move |conn, event| {
            let now = clock.now();
            Box::pin(returns::apply(conn, event, now))
        })
}
