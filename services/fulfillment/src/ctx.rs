//! What every command, query and task works with.

use std::sync::Arc;

use oms_core::{Clock, IdSource, OrderId};
use oms_postgres::Db;
use oms_postgres::idempotency::RequestKey;
use tracing::Span;

use crate::clients::inventory::Inventory;
use crate::clients::order::Orders;
use crate::domain::sourcing::Rules;

/// The service's own engines, peers and rules.
pub(crate) struct Ctx {
    /// The service's database.
    pub(crate) db: Db,
    /// What time it is.
    pub(crate) clock: Arc<dyn Clock>,
    /// Where new ids come from.
    pub(crate) ids: Arc<dyn IdSource>,
    /// The inventory service.
    pub(crate) inventory: Inventory,
    /// The order service.
    pub(crate) orders: Orders,
    /// Sourcing rules.
    pub(crate) rules: Rules,
}

/// Who calls, and the identity of the call.
#[derive(Debug, Clone)]
pub(crate) struct Call {
    /// The key under which the effect of the call is recorded.
    pub(crate) key: RequestKey,
    /// The span of the call.
    pub(crate) span: Span,
}

impl Call {
    /// Who calls, such as `user:alice`.
    pub(crate) fn actor(&self) -> &str {
        &self.key.principal
    }

    /// Says which order the call, and the transaction that runs now, are about.
    pub(crate) fn is_about(&self, order_id: OrderId) {
        oms_telemetry::record_order_id(&self.span, order_id);
        oms_telemetry::record_order_id(&Span::current(), order_id);
    }
}
