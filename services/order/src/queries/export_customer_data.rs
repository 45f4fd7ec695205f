//! Everything that is kept of a customer, order by order.

use oms_core::{AddressId, OrderId};
use oms_proto::order::v1::CustomerOrder;
use sqlx::PgConnection;
use time::OffsetDateTime;
use uuid::Uuid;

use crate::ctx::Ctx;
use crate::domain::address::Address;
use crate::domain::erasure::Subject;
use crate::domain::list::OrderFilter;
use crate::domain::order::Order;
use crate::domain::timeline::TimelineRow;
use crate::error::Error;
use crate::messages;
use crate::privacy;
use crate::store::{addresses, data_keys, invoices, lists, orders, payments, timeline};

/// Timeline entries that are read at once.
const ENTRIES_AT_ONCE: i64 = 1_000;
/// Position of an order in the list.
type Position = (OffsetDateTime, Uuid);

/// A page of the subject's orders, newest first, each with its position.
pub(crate) async fn export_customer_data(
    ctx: &Ctx,
    subject: &Subject,
    after: Option<Position>,
    limit: i64,
) -> Result<Vec<(Position, CustomerOrder)>, Error> {
    let mut conn = ctx.db.snapshot().await?;
    let found = load(&mut conn, subject, after, limit).await?;
    let mut page = Vec::with_capacity(found.len());
    for order in found {
        let position = (order.created_at, order.order_id.uuid());
        page.push((position, one(ctx, &mut conn, &order).await?));
    }
    Ok(page)
}

/// Whose data an order's is: its customer's, if it names one.
pub(crate) async fn subject_of(ctx: &Ctx, order_id: OrderId) -> Result<Subject, Error> {
    let mut conn = ctx.db.read().await?;
    let subject = data_keys::subject_of(&mut conn, order_id).await?;
    subject.ok_or_else(|| Error::order_not_found(order_id))
}

async fn load(
    conn: &mut PgConnection,
    subject: &Subject,
    after: Option<Position>,
    limit: i64,
) -> Result<Vec<Order>, Error> {
    let ids = match subject {
        Subject::Customer(customer_id) => {
            let filter = OrderFilter {
                customer_id: customer_id.clone(),
                ..OrderFilter::default()
            };
            let page = lists::list_orders(conn, &filter, None, after, limit).await?;
            page.into_iter().map(|(_, order_id)| order_id).collect()
        }
        Subject::Order(order_id) if after.is_none() => vec![order_id.uuid()],
        Subject::Order(_) => Vec::new(),
    };
    Ok(orders::load_many(conn, &ids).await?)
}

async fn one(ctx: &Ctx, conn: &mut PgConnection, order: &Order) -> Result<CustomerOrder, Error> {
    let ship_to = address(ctx, conn, order.ship_address_id).await?;
    let bill_to = if order.bill_address_id == order.ship_address_id {
        ship_to.clone()
    } else {
        address(ctx, conn, order.bill_address_id).await?
    };
    let payments = payments::list(conn, order.order_id).await?;
    let invoices = invoices::list(conn, order.order_id).await?;
    let entries = whole_timeline(conn, order.order_id).await?;
    Ok(CustomerOrder {
        order: Some(messages::order(order)),
        erased: ship_to.is_none(),
        ship_to: ship_to.map(messages::address),
        bill_to: bill_to.map(messages::address),
        payments: payments.iter().map(messages::payment).collect(),
        invoices: invoices
            .iter()
            .map(|one| messages::invoice(order, one))
            .collect(),
        timeline: entries.into_iter().map(messages::timeline_entry).collect(),
    })
}

/// Everything that happened to the order: what is left out of an export is not told to the customer.
async fn whole_timeline(
    conn: &mut PgConnection,
    order_id: OrderId,
) -> Result<Vec<TimelineRow>, Error> {
    let mut all: Vec<TimelineRow> = Vec::new();
    loop {
        let after = all.last().map_or(0, |entry| entry.sequence);
        let page = timeline::list(conn, order_id, after, ENTRIES_AT_ONCE).await?;
        let is_full = i64::try_from(page.len()) == Ok(ENTRIES_AT_ONCE);
        all.extend(page);
        if !is_full {
            return Ok(all);
        }
    }
}

/// The address; `None` once it is erased.
async fn address(
    ctx: &Ctx,
    conn: &mut PgConnection,
    address_id: AddressId,
) -> Result<Option<Address>, Error> {
    let Some(stored) = addresses::load(conn, address_id).await? else {
        return Ok(None);
    };
    match privacy::open_address(ctx, address_id, stored) {
        Ok(address) => Ok(Some(address)),
        Err(Error::PersonalDataErased) => Ok(None),
        Err(error) => Err(error),
    }
}
