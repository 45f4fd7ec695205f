//! RequestReturn: asks for a return of shipped units.

use std::collections::HashMap;

use oms_core::{LocationId, OrderId, OrderLineId, ReturnId};
use oms_postgres::idempotency::{self, RequestKey};
use oms_proto::order::v1::Order;
use sqlx::PgConnection;

use crate::ctx::{Call, Ctx};
use crate::domain::event::Fact;
use crate::domain::returns::{RefundTiming, Return, ReturnLine};
use crate::domain::state::ReturnState;
use crate::store;

use crate::error::{Error, NotReturnable};

use super::{commit, load};

/// A return as the caller asks for it.
#[derive(Debug, Clone)]
pub(crate) struct NewReturn {
    /// Order.
    pub(crate) order_id: OrderId,
    /// Units to return.
    pub(crate) lines: Vec<NewReturnLine>,
    /// When the money goes back.
    pub(crate) refund_timing: RefundTiming,
    /// Location the goods go to.
    pub(crate) location_id: LocationId,
}

/// Units of one order line to return.
#[derive(Debug, Clone)]
pub(crate) struct NewReturnLine {
    /// Order line.
    pub(crate) order_line_id: OrderLineId,
    /// Units, above zero.
    pub(crate) quantity: i64,
    /// Why.
    pub(crate) reason: String,
}

/// Asks for a return. What the order shipped is asked of the order service first; what other returns took of
/// it is counted under the order's lock.
#[tracing::instrument(name = "returns.request_return", skip_all, fields(oms.order.id = %new.order_id))]
pub(crate) async fn request_return(
    ctx: &Ctx,
    call: &Call,
    new: &NewReturn,
) -> Result<Return, Error> {
    let key = &call.key();
    if let Some(ret) = done_before(ctx, key).await? {
        return Ok(ret);
    }
    let Some(order) = &ctx.order.get_order(new.order_id).await? else {
        return Err(Error::OrderUnknown);
    };
    ctx.db
        .run_tx("request_return", |tx| {
            Box::pin(async move {
                if let Some(id) = idempotency::check(tx, key).await? {
                    return load(tx, recorded(&id)?).await;
                }
                store::returns::lock_order(tx, new.order_id).await?;
                let mut ret = draft(ctx, call, new, order, tx).await?;
                store::returns::insert(tx, &ret).await?;
                let facts = vec![Fact::StateChanged("request")];
                commit(ctx, tx, &mut ret, facts, &call.principal).await?;
                idempotency::record(tx, key, &ret.return_id.to_string()).await?;
                Ok(ret)
            })
        })
        .await
}

/// What an earlier call with the same request id made: a repeat asks no peer.
async fn done_before(ctx: &Ctx, key: &RequestKey) -> Result<Option<Return>, Error> {
    let mut conn = ctx.db.snapshot().await?;
    match idempotency::find(&mut conn, key).await? {
        Some(id) => Ok(Some(load(&mut conn, recorded(&id)?).await?)),
        None => Ok(None),
    }
}

/// The id that an earlier call of this command recorded.
fn recorded(id: &str) -> Result<ReturnId, Error> {
    let unreadable = |_| Error::Inconsistent(format!("{id:?} was recorded as a return"));
    id.parse().map_err(unreadable)
}

async fn draft(
    ctx: &Ctx,
    call: &Call,
    new: &NewReturn,
    order: &Order,
    conn: &mut PgConnection,
) -> Result<Return, Error> {
    let taken = store::returns::advised_by_line(conn, new.order_id).await?;
    let lines = lines(ctx, new, order, &taken)?;
    let now = ctx.clock.now();
    let origin = order.destination.clone().unwrap_or_default();
    Ok(Return {
        return_id: ReturnId::generate(ctx.ids.as_ref()),
        order_id: new.order_id,
        order_number: order.order_number.clone(),
        channel_id: order.channel_id.clone(),
        state: ReturnState::Requested,
        refund_timing: new.refund_timing,
        location_id: new.location_id.clone(),
        origin_address_id: origin.address_id,
        origin_country_code: origin.country_code,
        origin_postal_code: origin.postal_code,
        shipment_id: None,
        tracking_number: String::new(),
        currency: currency(order),
        refunded: 0,
        reason: String::new(),
        version: 0,
        requested_by: call.principal.to_string(),
        created_at: now,
        updated_at: now,
        lines,
    })
}

fn currency(order: &Order) -> String {
    let total = order
        .totals
        .as_ref()
        .and_then(|totals| totals.total.as_ref());
    total
        .map(|money| money.currency_code.clone())
        .unwrap_or_default()
}

/// Makes the lines, or tells every line of which too much was asked for.
fn lines(
    ctx: &Ctx,
    new: &NewReturn,
    order: &Order,
    taken: &HashMap<OrderLineId, i64>,
) -> Result<Vec<ReturnLine>, Error> {
    let mut lines = Vec::with_capacity(new.lines.len());
    let (mut unknown, mut refused) = (Vec::new(), Vec::new());
    for (index, wanted) in new.lines.iter().enumerate() {
        let id = wanted.order_line_id.to_string();
        let Some(line) = order.lines.iter().find(|line| line.order_line_id == id) else {
            unknown.push(index);
            continue;
        };
        let order_line_id = wanted.order_line_id;
        let returnable = line.shipped - taken.get(&order_line_id).copied().unwrap_or_default();
        if wanted.quantity > returnable {
            refused.push(NotReturnable {
                index,
                order_line_id,
                returnable: returnable.max(0),
            });
        }
        lines.push(ReturnLine {
            return_line_id: ctx.ids.next(),
            line_number: i32::try_from(index + 1).unwrap_or(i32::MAX),
            order_line_id,
            sku: line.sku.clone(),
            name: line.name.clone(),
            reason: wanted.reason.clone(),
            condition: String::new(),
            advised: wanted.quantity,
            received: 0,
            inspected: 0,
            restocked: 0,
            quarantined: 0,
            scrapped: 0,
            refund_triggered: 0,
            refund_paid: 0,
            refund_denied: 0,
        });
    }
    if !unknown.is_empty() {
        return Err(Error::OrderLinesUnknown(unknown));
    }
    if refused.is_empty() {
        Ok(lines)
    } else {
        Err(Error::NotReturnable(refused))
    }
}
