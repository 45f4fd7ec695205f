//! Places an order: checked in full, then order, addresses, event and saga in one transaction. A caller who
//! waits for the confirmation has the saga driven at once, in the background of this process.

use std::sync::Arc;
use std::time::Duration;

use oms_core::{AddressId, OrderId, OrderLineId};
use oms_postgres::idempotency;
use sqlx::PgConnection;
use tokio::sync::oneshot;
use tokio::time::Instant;
use uuid::Uuid;

use super::validate_order::{Checked, check};
use crate::changes::{self, Change, Event};
use crate::ctx::{Caller, Ctx};
use crate::domain::address::Address;
use crate::domain::assemble::{NewIds, assemble};
use crate::domain::erasure::Subject;
use crate::domain::new_order::NewOrder;
use crate::domain::order::{HoldBlock, Order};
use crate::domain::saga::{Saga, SagaState};
use crate::domain::state::OrderState;
use crate::error::Error;
use crate::privacy;
use crate::saga;
use crate::store::{addresses, orders, sagas};

const METHOD: &str = "PlaceOrder";
/// Pause between two looks at an order whose saga is driven elsewhere.
const LOOK_PAUSE: Duration = Duration::from_millis(50);
/// Constraint that two orders with one external reference violate.
const EXTERNAL_REFERENCE_KEY: &str = "orders_external_reference_key";

/// A request to place an order.
#[derive(Debug)]
pub(crate) struct PlaceOrder {
    /// The order.
    pub(crate) order: NewOrder,
    /// Longest wait for the confirmation; `None` does not wait.
    pub(crate) wait: Option<Duration>,
}

/// What the transaction came to.
enum Placed {
    /// A new order, with its saga if this call drives it.
    New(Box<(Order, Option<Saga>)>),
    /// The order that an earlier call with this request id placed.
    Before(OrderId),
}

/// Places an order, or answers the one that the same call placed before.
pub(crate) async fn place_order(
    ctx: &Arc<Ctx>,
    caller: &Caller,
    command: &PlaceOrder,
) -> Result<Order, Error> {
    let deadline = command.wait.map(|wait| Instant::now() + wait);
    if let Some(order_id) = placed_before(ctx, caller).await? {
        return answer(ctx, order_id, None, deadline).await;
    }
    let checked = check(ctx, &command.order).await?;
    // Without a caller who waits, the driver takes what is above its number of places.
    let drive = deadline.is_some() || ctx.background.len() < ctx.config.saga.concurrency;
    let holder = ctx.id();
    let claim = drive.then_some(holder);
    ctx.failpoint(METHOD, "checked");
    let placed = ctx
        .db
        .run_tx("place_order", |tx| {
            let checked = &checked;
            Box::pin(async move { place(ctx, tx.conn(), caller, command, checked, claim).await })
        })
        .await;
    let placed = match placed {
        Err(Error::Store(error)) if error.constraint() == Some(EXTERNAL_REFERENCE_KEY) => {
            return Err(reference_taken(ctx, &command.order).await?);
        }
        placed => placed?,
    };
    ctx.failpoint(METHOD, "committed");
    let (order, saga) = match placed {
        Placed::Before(order_id) => return answer(ctx, order_id, None, deadline).await,
        Placed::New(new) => *new,
    };
    oms_telemetry::record_order_id(&tracing::Span::current(), order.order_id);
    let hear = saga.map(|saga| saga::start(ctx, saga, order.clone(), holder));
    if hear.is_none() {
        ctx.wake_sagas();
    }
    if deadline.is_none() {
        return Ok(order);
    }
    answer(ctx, order.order_id, hear, deadline).await
}

/// Looked at before inventory is asked, so that a repeat is answered whatever items exist by now.
async fn placed_before(ctx: &Ctx, caller: &Caller) -> Result<Option<OrderId>, Error> {
    let mut conn = ctx.db.read().await?;
    let found = idempotency::find(&mut conn, &caller.key(METHOD)).await?;
    Ok(found.and_then(|id| id.parse().ok()))
}

async fn place(
    ctx: &Ctx,
    conn: &mut PgConnection,
    caller: &Caller,
    command: &PlaceOrder,
    checked: &Checked,
    claim: Option<Uuid>,
) -> Result<Placed, Error> {
    let new = &command.order;
    let ids = new_ids(ctx, new);
    let key = caller.key(METHOD);
    if let Some(id) = idempotency::begin(conn, &key, &ids.order_id.to_string()).await? {
        let order_id = id.parse().map_err(|_| Error::NotFound {
            resource: "order",
            id,
        })?;
        return Ok(Placed::Before(order_id));
    }
    let (channel, names) = (&checked.channel, &checked.item_names);
    let now = ctx.now();
    let actor = caller.actor();
    let mut order = assemble(
        new,
        &checked.priced,
        channel,
        names,
        &ids,
        actor.clone(),
        now,
    );
    ctx.config.deadlines.set(&mut order, new.ship_by);
    let number = orders::next_number(conn).await?;
    order.order_number = format!("{}{number}", channel.number_prefix);
    let change = Change {
        actor: &actor,
        action: "place_order",
        detail: format!("{} lines", order.lines.len()),
        event: Event::Placed,
    };
    changes::insert(conn, ctx, &mut order, &change).await?;
    insert_addresses(ctx, conn, &ids, new).await?;
    let saga = saga::new_saga(ctx, order.order_id, now, claim.is_some());
    let lease = claim.map(|holder| saga::lease(ctx, holder));
    sagas::insert(conn, &saga, lease).await?;
    let saga = claim.map(|_| saga);
    Ok(Placed::New(Box::new((order, saga))))
}

fn new_ids(ctx: &Ctx, new: &NewOrder) -> NewIds {
    let order_id = OrderId::new(ctx.id());
    let ship_address_id = AddressId::new(ctx.id());
    let bill_address_id = match &new.bill_to {
        Some(_) => AddressId::new(ctx.id()),
        None => ship_address_id,
    };
    let lines = new.lines.iter().map(|_| OrderLineId::new(ctx.id()));
    NewIds {
        order_id,
        ship_address_id,
        bill_address_id,
        lines: lines.collect(),
    }
}

/// Seals the addresses under the customer's key.
async fn insert_addresses(
    ctx: &Ctx,
    conn: &mut PgConnection,
    ids: &NewIds,
    new: &NewOrder,
) -> Result<(), Error> {
    let addresses: [(AddressId, Option<&Address>); 2] = [
        (ids.ship_address_id, new.ship_to.as_ref()),
        (ids.bill_address_id, new.bill_to.as_ref()),
    ];
    let subject = Subject::of(ids.order_id, &new.customer_id);
    let key = privacy::key_for(ctx, conn, &subject).await?;
    for (address_id, address) in addresses {
        if let Some(address) = address {
            let sealed = privacy::seal_address(&key, address_id, address)?;
            addresses::insert(conn, ids.order_id, address_id, key.id(), &sealed).await?;
        }
    }
    Ok(())
}

/// The error that names the order which has the external reference.
async fn reference_taken(ctx: &Ctx, new: &NewOrder) -> Result<Error, Error> {
    let mut conn = ctx.db.read().await?;
    let (channel_id, reference) = (&new.channel_id, &new.external_reference);
    let found = orders::find_by_external_reference(&mut conn, channel_id, reference).await?;
    // Orders are never deleted: the one that was in the way is there.
    let order_id = found.ok_or_else(|| Error::NotFound {
        resource: "order",
        id: reference.clone(),
    })?;
    Ok(Error::ExternalReferenceTaken { order_id })
}

/// The order as it is now, or as it is when there is nothing more to wait for.
async fn answer(
    ctx: &Ctx,
    order_id: OrderId,
    hear: Option<oneshot::Receiver<Order>>,
    deadline: Option<Instant>,
) -> Result<Order, Error> {
    let Some(deadline) = deadline else {
        return load(ctx, order_id).await;
    };
    if let Some(hear) = hear
        && let Ok(Ok(order)) = tokio::time::timeout_at(deadline, hear).await
        && order.state != OrderState::Pending
    {
        return Ok(order);
    }
    loop {
        let order = load(ctx, order_id).await?;
        let waits_for_people =
            order.is_blocked(HoldBlock::Confirm) || is_stuck(ctx, order_id).await?;
        let pending = order.state == OrderState::Pending;
        if !pending || waits_for_people || Instant::now() + LOOK_PAUSE >= deadline {
            return Ok(order);
        }
        tokio::time::sleep(LOOK_PAUSE).await;
    }
}

async fn load(ctx: &Ctx, order_id: OrderId) -> Result<Order, Error> {
    let mut conn = ctx.db.read().await?;
    let order = orders::load(&mut conn, order_id).await?;
    order.ok_or_else(|| Error::order_not_found(order_id))
}

async fn is_stuck(ctx: &Ctx, order_id: OrderId) -> Result<bool, Error> {
    let mut conn = ctx.db.read().await?;
    let saga = sagas::load(&mut conn, order_id).await?;
    Ok(saga.is_some_and(|saga| saga.state == SagaState::Stuck))
}
