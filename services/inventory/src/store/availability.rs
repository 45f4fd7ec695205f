//! What there is of SKUs and what may be promised of them.

use std::collections::{BTreeMap, BTreeSet};

use oms_core::{LocationId, Sku};
use oms_postgres::Error;
use sqlx::PgConnection;
use time::OffsetDateTime;

use crate::domain::availability::{Availability, Component, Supply};
use crate::domain::kit::Part;
use crate::domain::level::{Buckets, Level, LevelKey};
use crate::domain::policy::Policy;

use super::policies::{self, RuleRow};
use super::{inconsistent, read, texts};

/// What is asked for.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Ask<'a> {
    /// SKUs.
    pub(crate) skus: &'a [Sku],
    /// Locations whose levels are asked for; `None` for all.
    pub(crate) locations: Option<&'a BTreeSet<LocationId>>,
    /// Whether demand that waits is counted.
    pub(crate) waiting: bool,
}

/// These SKUs by SKU, kits with their components, as of one moment, with one statement. Those that do not exist are missing.
pub(crate) async fn of(conn: &mut PgConnection, ask: Ask<'_>) -> Result<Vec<Availability>, Error> {
    let locations: Option<Vec<&str>> = ask
        .locations
        .map(|ids| ids.iter().map(LocationId::as_str).collect());
    let rows = sqlx::query_file_as!(
        Row,
        "src/store/sql/availability.sql",
        &texts(ask.skus) as &[&str],
        locations.as_deref() as Option<&[&str]>,
        ask.waiting,
    )
    .fetch_all(conn)
    .await?;
    gather(rows, ask.skus)
}

/// A row about a SKU; what `units` are depends on the kind.
struct Row {
    kind: String,
    sku: String,
    place: String,
    lot: String,
    units: Vec<i64>,
    expected_at: Option<OffsetDateTime>,
}

fn gather(rows: Vec<Row>, asked: &[Sku]) -> Result<Vec<Availability>, Error> {
    let mut found: BTreeMap<String, Availability> = BTreeMap::new();
    let (lanes, parts): (Vec<Row>, Vec<Row>) = rows.into_iter().partition(|row| row.kind == "lane");
    for row in lanes {
        let [version, available] = units(&row)?;
        let one = Availability {
            sku: read(&row.sku, "sku_lane", "sku", &row.sku)?,
            version,
            available,
            levels: Vec::new(),
            policy: Policy::default(),
            supplies: Vec::new(),
            backordered: 0,
            parts: Vec::new(),
        };
        found.insert(row.sku, one);
    }
    let mut rules = Vec::new();
    let mut made_of: BTreeMap<Sku, Vec<Part>> = BTreeMap::new();
    for row in parts {
        // Levels, policies and receipts refer to the lane.
        let Some(one) = found.get_mut(&row.sku) else {
            continue;
        };
        match &*row.kind {
            "level" => one.levels.push(level(row)?),
            "supply" => one.supplies.push(supply(&row)?),
            "waiting" => [one.backordered] = units(&row)?,
            "part" => made_of
                .entry(one.sku.clone())
                .or_default()
                .push(part(&row)?),
            _ => rules.push(rule(row)?),
        }
    }
    let mut policies = policies::fold(rules)?;
    let with_policy = found.into_values().map(|one| Availability {
        policy: policies.remove(&one.sku).unwrap_or_default(),
        ..one
    });
    Ok(assemble(with_policy.collect(), &made_of, asked))
}

/// What was asked for; kits get their components, which were read with them.
fn assemble(
    found: Vec<Availability>,
    made_of: &BTreeMap<Sku, Vec<Part>>,
    asked: &[Sku],
) -> Vec<Availability> {
    if made_of.is_empty() {
        return found;
    }
    let by_sku: BTreeMap<Sku, Availability> = found
        .into_iter()
        .map(|one| (one.sku.clone(), one))
        .collect();
    let component = |part: &Part| {
        let stock = by_sku.get(&part.sku)?.clone();
        Some(Component {
            quantity: part.quantity,
            stock,
        })
    };
    let asked: BTreeSet<&Sku> = asked.iter().collect();
    asked
        .into_iter()
        .filter_map(|sku| {
            let parts = made_of.get(sku).map(Vec::as_slice).unwrap_or_default();
            Some(Availability {
                parts: parts.iter().filter_map(component).collect(),
                ..by_sku.get(sku)?.clone()
            })
        })
        .collect()
}

fn part(row: &Row) -> Result<Part, Error> {
    let [quantity] = units(row)?;
    Ok(Part {
        sku: read(&row.place, "item_components", "component_sku", &row.sku)?,
        quantity,
    })
}

fn level(row: Row) -> Result<Level, Error> {
    let id = format!("{}/{}/{}", row.sku, row.place, row.lot);
    Ok(Level {
        buckets: Buckets(units(&row)?),
        key: LevelKey {
            sku: read(&row.sku, "stock_level", "sku", &id)?,
            location: read(&row.place, "stock_level", "location_id", &id)?,
            lot: row.lot,
        },
    })
}

fn supply(row: &Row) -> Result<Supply, Error> {
    let missing = || inconsistent("expected_receipt", "expected_at", &row.sku);
    let [units] = units(row)?;
    Ok(Supply {
        location: read(&row.place, "expected_receipt", "location_id", &row.sku)?,
        expected_at: row.expected_at.ok_or_else(missing)?,
        units,
    })
}

fn rule(row: Row) -> Result<RuleRow, Error> {
    let [first, second] = units(&row)?;
    Ok(RuleRow {
        kind: row.kind,
        sku: row.sku,
        of: row.place,
        first,
        second,
    })
}

/// As many units as rows of this kind have.
fn units<const N: usize>(row: &Row) -> Result<[i64; N], Error> {
    <[i64; N]>::try_from(&*row.units).map_err(|_| inconsistent("sku_lane", &row.kind, &row.sku))
}
