//! Pack sessions, their packages and contents.

use oms_core::{FulfillmentOrderId, PackSessionId, PackageId};
use oms_postgres::Error;
use serde::Deserialize;
use sqlx::PgConnection;
use sqlx::types::Json;
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

/// One session with its packages, of one moment.
pub(crate) async fn get(
    conn: &mut PgConnection,
    id: PackSessionId,
) -> Result<Option<PackSession>, Error> {
    let row = sqlx::query!(
        r#"SELECT fulfillment_order_id, state, packed_by, version,
             (SELECT json_agg(package ORDER BY package.package_number) FROM (
                 SELECT package_id, package_number, mass_grams, length_mm, width_mm, height_mm,
                     (SELECT json_agg(line ORDER BY line.line_number) FROM (
                         SELECT f.line_number, l.fulfillment_order_line_id, l.quantity, l.packed_by
                         FROM package_lines l JOIN fulfillment_order_lines f USING (fulfillment_order_line_id)
                         WHERE l.package_id = p.package_id) line) AS lines
                 FROM packages p WHERE p.pack_session_id = s.pack_session_id) package)
                 AS "packages: Json<Vec<PackageRow>>"
         FROM pack_sessions s WHERE pack_session_id = $1"#,
        id.uuid(),
    )
    .fetch_optional(conn)
    .await?;
    let Some(row) = row else { return Ok(None) };
    // NULL when there are none.
    let packages = row.packages.map_or_else(Vec::new, |packages| packages.0);
    Ok(Some(PackSession {
        id,
        fulfillment_order_id: FulfillmentOrderId::new(row.fulfillment_order_id),
        state: named("state", &row.state)?,
        packed_by: row.packed_by,
        version: row.version,
        packages: packages.into_iter().map(PackageRow::into_package).collect(),
    }))
}

/// One session, locked until the transaction ends. Sessions are locked before fulfillment orders.
pub(crate) async fn lock(
    conn: &mut PgConnection,
    id: PackSessionId,
) -> Result<Option<PackSession>, Error> {
    sqlx::query!(
        "SELECT FROM pack_sessions WHERE pack_session_id = $1 FOR NO KEY UPDATE",
        id.uuid()
    )
    .fetch_optional(&mut *conn)
    .await?;
    get(conn, id).await
}

/// A package as `json_agg` gives it.
#[derive(Debug, Deserialize)]
struct PackageRow {
    package_id: PackageId,
    package_number: i32,
    mass_grams: Option<i64>,
    length_mm: Option<i64>,
    width_mm: Option<i64>,
    height_mm: Option<i64>,
    /// `None` for none.
    lines: Option<Vec<PackageLineRow>>,
}

#[derive(Debug, Deserialize)]
struct PackageLineRow {
    fulfillment_order_line_id: Uuid,
    quantity: i64,
    packed_by: String,
}

impl PackageRow {
    fn into_package(self) -> Package {
        let sides = (
            self.mass_grams,
            self.length_mm,
            self.width_mm,
            self.height_mm,
        );
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
        let lines = self.lines.unwrap_or_default().into_iter();
        Package {
            id: self.package_id,
            number: self.package_number,
            measures,
            lines: lines
                .map(|line| PackageLine {
                    line_id: line.fulfillment_order_line_id,
                    quantity: line.quantity,
                    packed_by: line.packed_by,
                })
                .collect(),
        }
    }
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
