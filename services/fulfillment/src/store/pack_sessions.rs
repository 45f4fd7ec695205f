//! Pack sessions, their packages and contents.

use std::collections::HashMap;

use oms_core::{FulfillmentOrderId, PackSessionId, PackageId};
use oms_postgres::Error;
use sqlx::PgConnection;
use time::OffsetDateTime;
use uuid::Uuid;

use super::named;
use crate::domain::fulfillment_order::Dimensions;
use crate::domain::machine::Named as _;
use crate::domain::packing::{Measures, PackSession, Package, PackageLine};

/// Inserts a new session.
pub(crate) async fn insert(
    conn: &mut PgConnection,
    session: &PackSession,
    now: OffsetDateTime,
) -> Result<(), Error> {
    sqlx::query!(
        "INSERT INTO pack_sessions
            (pack_session_id, fulfillment_order_id, state, packed_by, version, created_at, updated_at)
         VALUES ($1, $2, $3, $4, $5, $6, $6)",
        session.id.uuid(),
        session.fulfillment_order_id.uuid(),
        session.state.name(),
        session.packed_by,
        session.version,
        now,
    )
    .execute(conn)
    .await?;
    Ok(())
}

/// One session with its packages.
pub(crate) async fn get(
    conn: &mut PgConnection,
    id: PackSessionId,
) -> Result<Option<PackSession>, Error> {
    let row = sqlx::query!(
        "SELECT fulfillment_order_id, state, packed_by, version
         FROM pack_sessions WHERE pack_session_id = $1",
        id.uuid(),
    )
    .fetch_optional(&mut *conn)
    .await?;
    let Some(row) = row else { return Ok(None) };
    Ok(Some(PackSession {
        id,
        fulfillment_order_id: FulfillmentOrderId::new(row.fulfillment_order_id),
        state: named("state", &row.state)?,
        packed_by: row.packed_by,
        version: row.version,
        packages: packages_of(conn, id).await?,
    }))
}

/// One session, locked until the transaction ends. Sessions are locked before fulfillment orders.
pub(crate) async fn lock(
    conn: &mut PgConnection,
    id: PackSessionId,
) -> Result<Option<PackSession>, Error> {
    sqlx::query!(
        "SELECT FROM pack_sessions WHERE pack_session_id = $1 FOR UPDATE",
        id.uuid()
    )
    .fetch_optional(&mut *conn)
    .await?;
    get(conn, id).await
}

async fn packages_of(conn: &mut PgConnection, id: PackSessionId) -> Result<Vec<Package>, Error> {
    let lines = sqlx::query!(
        "SELECT l.package_id, l.fulfillment_order_line_id, l.quantity, l.packed_by
         FROM package_lines l
         JOIN packages p USING (package_id)
         JOIN fulfillment_order_lines f USING (fulfillment_order_line_id)
         WHERE p.pack_session_id = $1
         ORDER BY l.package_id, f.line_number",
        id.uuid(),
    )
    .fetch_all(&mut *conn)
    .await?;
    let mut by_package: HashMap<Uuid, Vec<PackageLine>> = HashMap::new();
    for line in lines {
        by_package
            .entry(line.package_id)
            .or_default()
            .push(PackageLine {
                line_id: line.fulfillment_order_line_id,
                quantity: line.quantity,
                packed_by: line.packed_by,
            });
    }
    let rows = sqlx::query!(
        "SELECT package_id, package_number, mass_grams, length_mm, width_mm, height_mm
         FROM packages WHERE pack_session_id = $1 ORDER BY package_number",
        id.uuid(),
    )
    .fetch_all(conn)
    .await?;
    let packages = rows.into_iter().map(|row| {
        let sides = (row.mass_grams, row.length_mm, row.width_mm, row.height_mm);
        let measures = match sides {
            (Some(mass_grams), Some(length_mm), Some(width_mm), Some(height_mm)) => {
                Some(Measures {
                    mass_grams,
                    dimensions: Dimensions {
                        length_mm,
                        width_mm,
                        height_mm,
                    },
                })
            }
            _ => None,
        };
        Package {
            id: PackageId::new(row.package_id),
            number: row.package_number,
            measures,
            lines: by_package.remove(&row.package_id).unwrap_or_default(),
        }
    });
    Ok(packages.collect())
}

/// Writes the session itself; the caller holds the lock and has moved the version.
pub(crate) async fn save(
    conn: &mut PgConnection,
    session: &PackSession,
    now: OffsetDateTime,
) -> Result<(), Error> {
    sqlx::query!(
        "UPDATE pack_sessions SET state = $2, version = $3, updated_at = $4 WHERE pack_session_id = $1",
        session.id.uuid(),
        session.state.name(),
        session.version,
        now,
    )
    .execute(conn)
    .await?;
    Ok(())
}

/// Writes one package of a session with its contents.
pub(crate) async fn save_package(
    conn: &mut PgConnection,
    session: PackSessionId,
    package: &Package,
) -> Result<(), Error> {
    let measures = package.measures;
    let side = |pick: fn(Dimensions) -> i64| measures.map(|measures| pick(measures.dimensions));
    sqlx::query!(
        "INSERT INTO packages
            (package_id, pack_session_id, package_number, mass_grams, length_mm, width_mm, height_mm)
         VALUES ($1, $2, $3, $4, $5, $6, $7)
         ON CONFLICT (package_id) DO UPDATE
         SET mass_grams = excluded.mass_grams, length_mm = excluded.length_mm,
             width_mm = excluded.width_mm, height_mm = excluded.height_mm",
        package.id.uuid(),
        session.uuid(),
        package.number,
        measures.map(|measures| measures.mass_grams),
        side(|dimensions| dimensions.length_mm),
        side(|dimensions| dimensions.width_mm),
        side(|dimensions| dimensions.height_mm),
    )
    .execute(&mut *conn)
    .await?;
    let lines: Vec<Uuid> = package.lines.iter().map(|line| line.line_id).collect();
    let quantities: Vec<i64> = package.lines.iter().map(|line| line.quantity).collect();
    let packers: Vec<&str> = package
        .lines
        .iter()
        .map(|line| line.packed_by.as_str())
        .collect();
    sqlx::query!(
        "INSERT INTO package_lines (package_id, fulfillment_order_line_id, quantity, packed_by)
         SELECT $1, n.line_id, n.quantity, n.packed_by
         FROM unnest($2::uuid[], $3::bigint[], $4::text[]) AS n (line_id, quantity, packed_by)
         ON CONFLICT (package_id, fulfillment_order_line_id) DO UPDATE
         SET quantity = excluded.quantity, packed_by = excluded.packed_by
         WHERE package_lines.quantity <> excluded.quantity",
        package.id.uuid(),
        &lines,
        &quantities,
        &packers as &[&str],
    )
    .execute(conn)
    .await?;
    Ok(())
}
