//! What every command, query and task works with.

use std::sync::Arc;

use oms_core::{Clock, IdSource};
use oms_postgres::Db;

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
