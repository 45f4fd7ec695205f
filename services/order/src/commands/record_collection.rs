//! Records what became of the money that a carrier was to collect: what was collected is captured, what was refused at the
//! door is not.

use oms_core::{Currency, Money, OrderId, ShipmentId};
use oms_postgres::idempotency;
use sqlx::PgConnection;

use super::record_shipment::insert_capture;
use crate::changes::{self, Change, Event};
use crate::ctx::{Caller, Ctx};
use crate::domain::collection::{Collection, CollectionState};
use crate::domain::payment::PaymentKind;
use crate::error::Error;
use crate::payments::effects::{self, NewPayment};
use crate::store::{StoreError, collections, payments};

const METHOD: &str = "RecordCollection";

/// What became of the money of a shipment.
#[derive(Debug)]
pub(crate) struct RecordCollection {
    /// Order.
    pub(crate) order_id: OrderId,
    /// Shipment.
    pub(crate) shipment_id: ShipmentId,
    /// True when it was collected, false when it was refused.
    pub(crate) collected: bool,
}

/// Writes it, and has collected money captured. A refusal may still turn into a collection; money that was collected stays
/// collected. Answers it with its currency.
pub(crate) async fn record_collection(
    ctx: &Ctx,
    caller: &Caller,
    command: &RecordCollection,
) -> Result<(Currency, Collection), Error> {
    ctx.db
        .run_tx("record_collection", |tx| {
            Box::pin(async move { record(ctx, tx.conn(), caller, command).await })
        })
        .await
}

async fn record(
    ctx: &Ctx,
    conn: &mut PgConnection,
    caller: &Caller,
    command: &RecordCollection,
) -> Result<(Currency, Collection), Error> {
    let key = caller.key(METHOD);
    let repeated = idempotency::check(conn, &key).await?.is_some();
    let mut order = changes::lock(conn, command.order_id).await?;
    let mut all = collections::list(conn, order.order_id).await?.into_iter();
    let found = all.find(|one| one.shipment_id == command.shipment_id);
    let mut collection = found.ok_or_else(|| Error::NotFound {
        resource: "collection",
        id: command.shipment_id.to_string(),
    })?;
    if repeated {
        return Ok((order.currency, collection));
    }
    let (state, action) = if command.collected {
        (CollectionState::Collected, "collect_payment")
    } else {
        (CollectionState::Refused, "refuse_payment")
    };
    // Of an order that has ended the goods are back, and nobody would refund what is taken now.
    let is_over = order.state.is_final();
    if collection.state == CollectionState::Collected || collection.state == state || is_over {
        return Err(Error::IllegalTransition {
            aggregate: "collection",
            state: collection.state.as_str(),
            action,
            supported: match collection.state {
                CollectionState::Refused if !is_over => vec!["collect_payment"],
                _ => Vec::new(),
            },
        });
    }
    let actor = caller.actor();
    collection.state = state;
    collection.recorded_by.clone_from(&actor);
    collection.updated_at = ctx.now();
    collections::set_state(conn, &collection).await?;
    if command.collected {
        let authorization = payments::load(conn, collection.authorization).await?;
        let authorization = authorization.ok_or_else(|| {
            StoreError::inconsistent("collections", "authorization_id", command.shipment_id)
        })?;
        let new = NewPayment {
            kind: PaymentKind::Capture,
            amount: collection.amount,
            source: (&authorization).into(),
            cause: &collection.cause,
            actor: &actor,
            send_now: false,
        };
        effects::plan(conn, ctx, &order, &new).await?;
        let task = format!("collect_payment/{}", command.shipment_id);
        let cause = format!("shipment/{}", command.shipment_id);
        insert_capture(conn, ctx, order.order_id, &task, &cause).await?;
    }
    let amount = Money::new(order.currency, collection.amount);
    let change = Change {
        actor: &actor,
        action,
        detail: format!("{amount} at delivery of shipment {}", command.shipment_id),
        event: Event::Updated,
    };
    order.write(conn, ctx, &change).await?;
    idempotency::record(conn, &key, &command.shipment_id.to_string()).await?;
    Ok((order.currency, collection))
}
