//! The audit finds what is planted: an audit that finds nothing any more is worse than none.

use anyhow::ensure;
use sqlx::{Connection, PgConnection};

use crate::plan::Scenario;
use crate::report::Outcome;
use crate::sale::sell;

/// What a defect is told as.
type Found = fn(&Outcome) -> bool;

/// Statements that make a defect, and what is to be found.
const DEFECTS: [(&str, Found); 10] = [
    (
        "DELETE FROM reservation_line WHERE reservation_id = (SELECT min(reservation_id::text)::uuid FROM reservation)",
        |outcome| outcome.missing.len() == 1,
    ),
    (
        "UPDATE reservation_line SET quantity = quantity + 1
         WHERE reservation_id = (SELECT min(reservation_id::text)::uuid FROM reservation)",
        |outcome| outcome.missing.len() == 1 && outcome.doubled.len() == 1,
    ),
    (
        "UPDATE reservation SET state = 'RELEASED', expires_at = NULL
         WHERE reservation_id = (SELECT min(reservation_id::text)::uuid FROM reservation)",
        |outcome| outcome.missing.len() == 1,
    ),
    (
        "UPDATE reservation SET order_id = (SELECT min(order_id::text)::uuid FROM reservation)",
        |outcome| outcome.doubled.len() == 1,
    ),
    (
        "UPDATE reservation_line SET order_line_id = gen_random_uuid()",
        |outcome| !outcome.missing.is_empty(),
    ),
    (
        "INSERT INTO stock_ledger (entry_type, sku, location_id, lot, from_account, to_account, quantity, cause, line, reason,
             reference, actor, created_at)
         SELECT entry_type, sku, location_id, lot, from_account, to_account, quantity, cause, line || '/2', reason,
             reference, actor, created_at
         FROM stock_ledger WHERE entry_type = 'HOLD' ORDER BY entry_id LIMIT 1",
        |outcome| outcome.doubled.len() == 1 && outcome.other.len() == 1,
    ),
    (
        "UPDATE stock_level SET held = held + 1 WHERE location_id = 'west'",
        |outcome| outcome.oversold == 1,
    ),
    (
        "UPDATE stock_level SET held = held - 1, available = available + 1 WHERE location_id = 'west'",
        |outcome| outcome.undersold == 1,
    ),
    (
        "DELETE FROM feed WHERE pos = (SELECT max(pos) FROM feed WHERE aggregate_type = 'reservation')",
        |outcome| !outcome.other.is_empty(),
    ),
    (
        "UPDATE feed SET payload = '' WHERE pos = (SELECT max(pos) FROM feed WHERE event_type = 'StockChanged')",
        |outcome| outcome.other.len() == 1,
    ),
];

/// Sells, plants one defect after the other, and looks for each.
pub(crate) async fn plant(
    program: &str,
    engines: oms_engines::EnginesConfig,
    scenario: &Scenario,
    seed: u64,
) -> anyhow::Result<()> {
    let sold = sell(program, engines, scenario, seed).await?;
    let mut conn = PgConnection::connect(&sold.replicas.database_url()).await?;
    let clean = sold.audit(&mut conn).await?;
    ensure!(clean.violations() == 0, "{clean:?}");
    for (statement, is_found) in DEFECTS {
        let mut planted = conn.begin().await?;
        sqlx::query(statement).execute(&mut *planted).await?;
        let outcome = sold.audit(&mut planted).await?;
        ensure!(is_found(&outcome), "{statement}: {outcome:?}");
        planted.rollback().await?;
    }
    Ok(())
}
