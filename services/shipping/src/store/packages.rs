//! Packages and what is in them.

use oms_core::{OrderLineId, PackageId, ReservationId};
use serde::Deserialize;
use sqlx::PgConnection;
use time::OffsetDateTime;
use uuid::Uuid;

use crate::domain::rates::Parcel;
use crate::domain::shipment::{Package, PackageLine, Shipment};
use crate::domain::tracking::{Report, TrackingStatus};

use super::StoreError;

/// Constraint that a taken package id violates.
pub(crate) const PKEY: &str = "packages_pkey";

/// Writes the packages of a new shipment with two statements.
pub(super) async fn insert(conn: &mut PgConnection, shipment: &Shipment) -> Result<(), StoreError> {
    let packages = &shipment.packages;
    let side = |n: usize| -> Vec<i64> {
        packages
            .iter()
            .map(|p| p.parcel.dimensions_mm.get(n).copied().unwrap_or_default())
            .collect()
    };
    sqlx::query!(
        "INSERT INTO packages (package_id, shipment_id, package_number, mass_grams, length_mm, width_mm,
             height_mm)
         SELECT package_id, $1, package_number, mass_grams, length_mm, width_mm, height_mm
         FROM unnest($2::uuid[], $3::int[], $4::bigint[], $5::bigint[], $6::bigint[], $7::bigint[])
             AS p (package_id, package_number, mass_grams, length_mm, width_mm, height_mm)",
        shipment.id.uuid(),
        &packages.iter().map(|p| p.id.uuid()).collect::<Vec<_>>(),
        &packages.iter().map(|p| p.number).collect::<Vec<_>>(),
        &packages.iter().map(|p| p.parcel.mass_grams).collect::<Vec<_>>(),
        &side(0),
        &side(1),
        &side(2),
    )
    .execute(&mut *conn)
    .await?;
    insert_lines(conn, packages).await
}

async fn insert_lines(conn: &mut PgConnection, packages: &[Package]) -> Result<(), StoreError> {
    let lines: Vec<(Uuid, i32, &PackageLine)> = packages
        .iter()
        .flat_map(|package| {
            (1..)
                .zip(&package.lines)
                .map(|(number, line)| (package.id.uuid(), number, line))
        })
        .collect();
    sqlx::query!(
        "INSERT INTO package_lines (package_id, line_number, order_line_id, sku, name, quantity,
             reservation_id, lot, fulfillment_order_line_id)
         SELECT * FROM unnest($1::uuid[], $2::int[], $3::uuid[], $4::text[], $5::text[], $6::bigint[],
             $7::uuid[], $8::text[], $9::uuid[])",
        &lines.iter().map(|(package, ..)| *package).collect::<Vec<_>>(),
        &lines.iter().map(|(_, number, _)| *number).collect::<Vec<_>>(),
        &lines.iter().map(|(.., line)| line.order_line_id.uuid()).collect::<Vec<_>>(),
        &lines.iter().map(|(.., line)| line.sku.as_str()).collect::<Vec<_>>() as &[&str],
        &lines.iter().map(|(.., line)| line.name.as_str()).collect::<Vec<_>>() as &[&str],
        &lines.iter().map(|(.., line)| line.quantity).collect::<Vec<_>>(),
        &lines.iter().map(|(.., line)| line.reservation_id.map(Uuid::from)).collect::<Vec<_>>()
            as &[Option<Uuid>],
        &lines.iter().map(|(.., line)| line.lot.as_str()).collect::<Vec<_>>() as &[&str],
        &lines.iter().map(|(.., line)| line.fulfillment_order_line_id).collect::<Vec<_>>()
            as &[Option<Uuid>],
    )
    .execute(conn)
    .await?;
    Ok(())
}

/// Writes which numbers the packages carry now and where they are.
pub(crate) async fn save(conn: &mut PgConnection, packages: &[Package]) -> Result<(), StoreError> {
    let statuses: Vec<Option<&str>> = packages
        .iter()
        .map(|p| p.report.map(|report| report.status.as_str()))
        .collect();
    let times: Vec<Option<OffsetDateTime>> = packages
        .iter()
        .map(|p| p.report.map(|report| report.occurred_at))
        .collect();
    sqlx::query!(
        "UPDATE packages SET tracking_number = p.tracking_number, tracking_status = p.tracking_status,
             tracked_at = p.tracked_at
         FROM unnest($1::uuid[], $2::text[], $3::text[], $4::timestamptz[])
             AS p (package_id, tracking_number, tracking_status, tracked_at)
         WHERE packages.package_id = p.package_id",
        &packages.iter().map(|p| p.id.uuid()).collect::<Vec<_>>(),
        &packages.iter().map(|p| p.tracking_number.as_str()).collect::<Vec<_>>() as &[&str],
        &statuses as &[Option<&str>],
        &times as &[Option<OffsetDateTime>],
    )
    .execute(conn)
    .await?;
    Ok(())
}

/// A package as `json_agg` gives it.
#[derive(Debug, Deserialize)]
pub(super) struct PackageRow {
    package_id: PackageId,
    package_number: i32,
    mass_grams: i64,
    length_mm: i64,
    width_mm: i64,
    height_mm: i64,
    tracking_number: String,
    tracking_status: Option<String>,
    #[serde(with = "time::serde::rfc3339::option")]
    tracked_at: Option<OffsetDateTime>,
    /// `None` for none.
    lines: Option<Vec<LineRow>>,
}

#[derive(Debug, Deserialize)]
struct LineRow {
    order_line_id: OrderLineId,
    sku: String,
    name: String,
    quantity: i64,
    reservation_id: Option<ReservationId>,
    lot: String,
    fulfillment_order_line_id: Option<Uuid>,
}

impl TryFrom<PackageRow> for Package {
    type Error = StoreError;

    fn try_from(row: PackageRow) -> Result<Self, StoreError> {
        let id = row.package_id;
        let report = match (row.tracking_status, row.tracked_at) {
            (Some(status), Some(occurred_at)) => {
                let status = TrackingStatus::parse(&status);
                let unknown = || StoreError::inconsistent("packages", "tracking_status", id);
                Some(Report {
                    status: status.ok_or_else(unknown)?,
                    occurred_at,
                })
            }
            _ => None,
        };
        let lines = row.lines.unwrap_or_default().into_iter();
        let lines = lines.map(|line| {
            let sku = line.sku.parse();
            Ok(PackageLine {
                order_line_id: line.order_line_id,
                sku: sku.map_err(|_| StoreError::inconsistent("package_lines", "sku", id))?,
                name: line.name,
                quantity: line.quantity,
                reservation_id: line.reservation_id,
                lot: line.lot,
                fulfillment_order_line_id: line.fulfillment_order_line_id,
            })
        });
        Ok(Self {
            id,
            number: row.package_number,
            lines: lines.collect::<Result<_, StoreError>>()?,
            parcel: Parcel {
                mass_grams: row.mass_grams,
                dimensions_mm: [row.length_mm, row.width_mm, row.height_mm],
            },
            tracking_number: row.tracking_number,
            report,
        })
    }
}
