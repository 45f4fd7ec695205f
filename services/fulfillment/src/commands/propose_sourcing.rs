//! Ranks locations for an order and stores the proposal. Takes no stock.

use oms_core::ProposalId;
use sqlx::PgConnection;

use super::{record, replayed};
use crate::ctx::{Call, Ctx};
use crate::domain::sourcing::{self, Demand, Node, Proposal};
use crate::error::Error;
use crate::store;

/// Proposes where the demand may be fulfilled from.
pub(crate) async fn propose_sourcing(
    ctx: &Ctx,
    call: &Call,
    demand: &Demand,
) -> Result<Proposal, Error> {
    call.is_about(demand.order_id);
    let nodes = ctx
        .inventory
        .locations(ctx.clock.as_ref())
        .await
        .map_err(Error::inventory)?;
    let nodes = &nodes;
    ctx.db
        .run_tx("propose_sourcing", |tx| {
            Box::pin(async move { run(tx.conn(), ctx, call, demand, nodes).await })
        })
        .await
}

async fn run(
    conn: &mut PgConnection,
    ctx: &Ctx,
    call: &Call,
    demand: &Demand,
    nodes: &[Node],
) -> Result<Proposal, Error> {
    call.is_about(demand.order_id);
    if let Some(id) = replayed(conn, call).await? {
        let found = store::proposals::get(conn, ProposalId::new(id)).await?;
        return found.ok_or_else(|| Error::not_found("sourcing_proposal", id));
    }
    let id = ProposalId::generate(ctx.ids.as_ref());
    let proposal = decide(ctx, id, demand, nodes, call.actor());
    store::proposals::insert(conn, &proposal).await?;
    record(conn, call, id.uuid()).await?;
    Ok(proposal)
}

/// What the rules say.
pub(crate) fn decide(
    ctx: &Ctx,
    id: ProposalId,
    demand: &Demand,
    nodes: &[Node],
    actor: &str,
) -> Proposal {
    Proposal {
        id,
        demand: demand.clone(),
        verdicts: sourcing::judge(&ctx.rules, demand, nodes),
        splits_max: sourcing::splits_max(&ctx.rules, demand),
        single_node_within_rank: ctx.rules.single_node_within_rank,
        rule: ctx.rules.name.clone(),
        created_by: actor.to_owned(),
        created_at: ctx.clock.now(),
        outcomes: Vec::new(),
    }
}
