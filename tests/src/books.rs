//! What must be conserved, over the five databases and the payment provider's: units and money.

use std::collections::BTreeMap;

use anyhow::ensure;
use serde::{Deserialize, Serialize};
use sqlx::FromRow;

use crate::provider::connect;

/// Units that came in, and where they are.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Units {
    /// Received, by the ledger of stock.
    pub received: i64,
    /// In all buckets of all levels, and with customers as orders and returns tell it.
    pub accounted: i64,
}

/// Captured less refunded, in minor units of one currency.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Kept {
    /// By our payments.
    pub ours: i64,
    /// By the provider's ledger.
    pub theirs: i64,
}

/// Captured less refunded, by currency.
pub type Money = BTreeMap<String, Kept>;

/// What a minute of orders came to.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Books {
    /// Orders that were placed.
    pub orders: usize,
    /// Units of all SKUs.
    pub units: Units,
    /// Money of all orders.
    pub money: Money,
}

/// Units that the supplier brought, and those that are somewhere in a location or were scrapped there.
const STOCK: &str = "
    SELECT (SELECT coalesce(sum(CASE WHEN from_account = 'SUPPLIER' THEN quantity ELSE -quantity END), 0)::int8
            FROM stock_ledger WHERE 'SUPPLIER' IN (from_account, to_account)) AS received,
        (SELECT coalesce(sum(available + held + allocated + count_pending + quarantine + qc + damaged + refurb), 0)::int8
            FROM stock_level)
        + (SELECT coalesce(sum(quantity), 0)::int8 FROM stock_ledger WHERE to_account = 'SCRAP') AS accounted";

const SHIPPED: &str = "SELECT coalesce(sum(shipped), 0)::int8 FROM order_lines";
const CAME_BACK: &str = "SELECT coalesce(sum(received), 0)::int8 FROM return_lines";

const OUR_MONEY: &str = "
    SELECT currency, sum(CASE kind WHEN 'CAPTURE' THEN amount ELSE -amount END)::int8 AS kept FROM payments
    WHERE kind IN ('CAPTURE', 'REFUND') AND state = 'SUCCEEDED' GROUP BY currency";
const THEIR_MONEY: &str = "
    SELECT currency, sum(CASE kind WHEN 'CAPTURE' THEN amount ELSE -amount END)::int8 AS kept FROM charges
    WHERE kind IN ('CAPTURE', 'REFUND') AND approved GROUP BY currency";

#[derive(FromRow)]
struct Stock {
    received: i64,
    accounted: i64,
}

impl Books {
    /// Reads the books; nothing may be under way.
    ///
    /// # Errors
    /// When a database cannot be read.
    pub async fn read(postgres_url: &str) -> anyhow::Result<Self> {
        let mut inventory = connect(postgres_url, "oms_inventory").await?;
        let mut order = connect(postgres_url, "oms_order").await?;
        let mut returns = connect(postgres_url, "oms_returns").await?;
        let mut provider = connect(postgres_url, oms_sandbox_psp::DATABASE).await?;
        let stock: Stock = sqlx::query_as(STOCK).fetch_one(&mut inventory).await?;
        let shipped: i64 = sqlx::query_scalar(SHIPPED).fetch_one(&mut order).await?;
        let came_back: i64 = sqlx::query_scalar(CAME_BACK)
            .fetch_one(&mut returns)
            .await?;
        let orders: i64 = sqlx::query_scalar("SELECT count(*) FROM orders")
            .fetch_one(&mut order)
            .await?;
        let mut money = Money::new();
        let ours: Vec<(String, i64)> = sqlx::query_as(OUR_MONEY).fetch_all(&mut order).await?;
        for (currency, kept) in ours {
            money.entry(currency).or_default().ours = kept;
        }
        let theirs: Vec<(String, i64)> =
            sqlx::query_as(THEIR_MONEY).fetch_all(&mut provider).await?;
        for (currency, kept) in theirs {
            money.entry(currency).or_default().theirs = kept;
        }
        Ok(Self {
            orders: usize::try_from(orders)?,
            units: Units {
                received: stock.received,
                accounted: stock.accounted + shipped - came_back,
            },
            money,
        })
    }

    /// That nothing came from nowhere and nothing was lost.
    ///
    /// # Errors
    /// When it did or was.
    pub fn prove(&self) -> anyhow::Result<()> {
        ensure!(self.units.received == self.units.accounted, "{self:?}");
        let same = |kept: &Kept| kept.ours == kept.theirs;
        ensure!(self.money.values().all(same), "{self:?}");
        Ok(())
    }
}
