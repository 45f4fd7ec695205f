//! Stored sourcing decisions.

use oms_core::{LocationId, OrderId, OrderLineId, ProposalId};
use oms_postgres::Error;
use sqlx::PgConnection;
use time::OffsetDateTime;
use uuid::Uuid;

use super::{named, typed};
use crate::domain::fulfillment_order::FulfillmentOrder;
use crate::domain::machine::Named as _;
use crate::domain::sourcing::{Demand, DemandLine, Outcome, Proposal, Verdict};

/// Inserts a proposal; `false` when its id is there already.
pub(crate) async fn insert(conn: &mut PgConnection, proposal: &Proposal) -> Result<bool, Error> {
    let demand = &proposal.demand;
    let inserted = sqlx::query!(
        "INSERT INTO sourcing_proposals
            (proposal_id, order_id, country_code, postal_code, fill_policy, service_level, splits_max,
             single_node_within_rank, rule, created_by, created_at)
         VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11)
         ON CONFLICT (proposal_id) DO NOTHING",
        proposal.id.uuid(),
        demand.order_id.uuid(),
        demand.country_code,
        demand.postal_code,
        demand.fill_policy.name(),
        demand.service_level.name(),
        proposal.splits_max,
        proposal.single_node_within_rank,
        proposal.rule,
        proposal.created_by,
        proposal.created_at,
    )
    .execute(&mut *conn)
    .await?
    .rows_affected();
    if inserted == 0 {
        return Ok(false);
    }
    insert_nodes(conn, proposal).await?;
    insert_lines(conn, proposal).await?;
    Ok(true)
}

async fn insert_nodes(conn: &mut PgConnection, proposal: &Proposal) -> Result<(), Error> {
    let verdicts = &proposal.verdicts;
    let locations: Vec<&str> = verdicts
        .iter()
        .map(|one| one.location_id.as_str())
        .collect();
    let ranks: Vec<Option<i32>> = verdicts.iter().map(|one| one.rank).collect();
    let distances: Vec<i64> = verdicts.iter().map(|one| one.distance_km).collect();
    let versions: Vec<i64> = verdicts.iter().map(|one| one.location_version).collect();
    let reasons: Vec<&str> = verdicts.iter().map(|one| one.reason.as_str()).collect();
    sqlx::query!(
        "INSERT INTO sourcing_nodes
            (proposal_id, location_id, rank, distance_km, location_version, reason)
         SELECT $1, n.location_id, n.rank, n.distance_km, n.version, n.reason
         FROM unnest($2::text[], $3::integer[], $4::bigint[], $5::bigint[], $6::text[])
              AS n (location_id, rank, distance_km, version, reason)",
        proposal.id.uuid(),
        &locations as &[&str],
        &ranks as &[Option<i32>],
        &distances,
        &versions,
        &reasons as &[&str],
    )
    .execute(conn)
    .await?;
    Ok(())
}

async fn insert_lines(conn: &mut PgConnection, proposal: &Proposal) -> Result<(), Error> {
    let lines = &proposal.demand.lines;
    let ids: Vec<Uuid> = lines.iter().map(|line| line.order_line_id.uuid()).collect();
    let skus: Vec<&str> = lines.iter().map(|line| line.sku.as_str()).collect();
    let quantities: Vec<i64> = lines.iter().map(|line| line.quantity).collect();
    sqlx::query!(
        "INSERT INTO sourcing_lines (proposal_id, line_number, order_line_id, sku, quantity)
         SELECT $1, n.place, n.id, n.sku, n.quantity
         FROM unnest($2::uuid[], $3::text[], $4::bigint[]) WITH ORDINALITY AS n (id, sku, quantity, place)",
        proposal.id.uuid(),
        &ids,
        &skus as &[&str],
        &quantities,
    )
    .execute(conn)
    .await?;
    Ok(())
}

/// The order that a proposal was made for.
pub(crate) async fn order_of(
    conn: &mut PgConnection,
    id: ProposalId,
) -> Result<Option<OrderId>, Error> {
    let order = sqlx::query_scalar!(
        "SELECT order_id FROM sourcing_proposals WHERE proposal_id = $1",
        id.uuid(),
    )
    .fetch_optional(conn)
    .await?;
    Ok(order.map(OrderId::new))
}

/// One proposal with its outcomes.
pub(crate) async fn get(
    conn: &mut PgConnection,
    id: ProposalId,
) -> Result<Option<Proposal>, Error> {
    let row = sqlx::query!(
        "SELECT order_id, country_code, postal_code, fill_policy, service_level, splits_max,
             single_node_within_rank, rule, created_by, created_at
         FROM sourcing_proposals WHERE proposal_id = $1",
        id.uuid(),
    )
    .fetch_optional(&mut *conn)
    .await?;
    let Some(row) = row else { return Ok(None) };
    let demand = Demand {
        order_id: OrderId::new(row.order_id),
        country_code: row.country_code,
        postal_code: row.postal_code,
        lines: lines_of(conn, id).await?,
        fill_policy: named("fill_policy", &row.fill_policy)?,
        service_level: named("service_level", &row.service_level)?,
        splits_max: Some(row.splits_max),
        excluded_location_ids: Vec::new(),
    };
    Ok(Some(Proposal {
        id,
        demand,
        verdicts: verdicts_of(conn, id).await?,
        splits_max: row.splits_max,
        single_node_within_rank: row.single_node_within_rank,
        rule: row.rule,
        created_by: row.created_by,
        created_at: row.created_at,
        outcomes: outcomes_of(conn, id).await?,
    }))
}

async fn verdicts_of(conn: &mut PgConnection, id: ProposalId) -> Result<Vec<Verdict>, Error> {
    let rows = sqlx::query!(
        "SELECT location_id, rank, distance_km, location_version, reason
         FROM sourcing_nodes WHERE proposal_id = $1 ORDER BY rank NULLS LAST, location_id",
        id.uuid(),
    )
    .fetch_all(conn)
    .await?;
    rows.into_iter()
        .map(|row| {
            Ok(Verdict {
                location_id: typed("location_id", &row.location_id)?,
                rank: row.rank,
                distance_km: row.distance_km,
                location_version: row.location_version,
                reason: row.reason,
            })
        })
        .collect()
}

async fn lines_of(conn: &mut PgConnection, id: ProposalId) -> Result<Vec<DemandLine>, Error> {
    let rows = sqlx::query!(
        "SELECT order_line_id, sku, quantity
         FROM sourcing_lines WHERE proposal_id = $1 ORDER BY line_number",
        id.uuid(),
    )
    .fetch_all(conn)
    .await?;
    let lines = rows.into_iter().map(|row| DemandLine {
        order_line_id: OrderLineId::new(row.order_line_id),
        sku: row.sku,
        quantity: row.quantity,
    });
    Ok(lines.collect())
}

async fn outcomes_of(conn: &mut PgConnection, id: ProposalId) -> Result<Vec<Outcome>, Error> {
    let rows = sqlx::query!(
        "SELECT location_id, order_line_id, quantity FROM sourcing_outcomes
         WHERE proposal_id = $1 ORDER BY created_at, location_id, fulfillment_order_line_id",
        id.uuid(),
    )
    .fetch_all(conn)
    .await?;
    rows.into_iter()
        .map(|row| {
            let location_id: LocationId = typed("location_id", &row.location_id)?;
            let order_line_id = OrderLineId::new(row.order_line_id);
            Ok(Outcome {
                location_id,
                order_line_id,
                quantity: row.quantity,
            })
        })
        .collect()
}

/// Appends what came of a proposal: the lines of the fulfillment orders that it led to.
pub(crate) async fn append_outcomes(
    conn: &mut PgConnection,
    id: ProposalId,
    orders: &[FulfillmentOrder],
    now: OffsetDateTime,
) -> Result<(), Error> {
    let lines = || {
        orders.iter().flat_map(|order| {
            order
                .lines
                .iter()
                .map(move |line| (&order.location_id, line))
        })
    };
    let ids: Vec<Uuid> = lines().map(|(_, line)| line.id).collect();
    let order_lines: Vec<Uuid> = lines().map(|(_, line)| line.order_line_id.uuid()).collect();
    let locations: Vec<&str> = lines().map(|(location, _)| location.as_str()).collect();
    let quantities: Vec<i64> = lines().map(|(_, line)| line.total).collect();
    sqlx::query!(
        "INSERT INTO sourcing_outcomes
            (proposal_id, fulfillment_order_line_id, order_line_id, location_id, quantity, created_at)
         SELECT $1, n.id, n.order_line_id, n.location_id, n.quantity, $6
         FROM unnest($2::uuid[], $3::uuid[], $4::text[], $5::bigint[])
              AS n (id, order_line_id, location_id, quantity)",
        id.uuid(),
        &ids,
        &order_lines,
        &locations as &[&str],
        &quantities,
        now,
    )
    .execute(conn)
    .await?;
    Ok(())
}
