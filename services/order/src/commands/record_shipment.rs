//! Counts what was handed over: the units are shipped, invoiced, and, by policy, paid for.

use oms_core::{InvoiceId, Money, OrderId, OrderLineId, ShipmentId, derive};
use oms_postgres::{NewTask, tasks};
use sqlx::PgConnection;
use time::{Duration, OffsetDateTime};
use uuid::Uuid;

use super::record_progress::count;
use super::settle_order::settle_order;
use crate::changes::{Change, Event, Locked};
use crate::ctx::{Ctx, SERVICE_ACTOR};
use crate::domain::capture::{self, CAPTURE_ORDER, CAPTURE_PAYMENT_TASK};
use crate::domain::collection::{CASH_ON_DELIVERY, Collection, CollectionState};
use crate::domain::credit::Book;
use crate::domain::invoice::{self, Invoice, InvoiceKind};
use crate::domain::order::{Order, PaymentPolicy};
use crate::domain::payment::PaymentKind;
use crate::domain::refund::part_cause;
use crate::domain::tender::Tender;
use crate::error::Error;
use crate::payments::effects::{self, NewPayment, Source};
use crate::store::{collections, credits, invoices, payments, shipments};

/// Task that gives an invoice its number; the key is the order's id, the payload the invoice's.
pub(crate) const ISSUE_INVOICE_TASK: &str = "issue_invoice";

/// Units that were handed over to the carrier.
#[derive(Debug)]
pub(crate) struct Shipped {
    /// Shipment.
    pub(crate) shipment_id: ShipmentId,
    /// When.
    pub(crate) shipped_at: OffsetDateTime,
    /// Units by order line.
    pub(crate) units: Vec<(OrderLineId, i64)>,
}

/// Counts the units of a shipment, writes its invoice, and plans its capture. Once per shipment.
pub(crate) async fn record_shipment(
    conn: &mut PgConnection,
    ctx: &Ctx,
    order: &mut Locked,
    shipped: &Shipped,
    actor: &str,
) -> Result<(), Error> {
    let order_id = order.order_id;
    let shipment_id = shipped.shipment_id;
    if !shipments::insert(conn, order_id, shipment_id, shipped.shipped_at).await? {
        return Ok(());
    }
    let cause = format!("shipment/{shipment_id}");
    let lines = invoice::lines(order, &shipped.units, |line| line.counters.shipped);
    let mut bill = Invoice::new(order, InvoiceKind::Invoice, cause.clone(), lines, ctx.now());
    bill.due_at = due_at(conn, order, bill.created_at).await?;
    invoices::insert(conn, &bill).await?;
    insert_issue(conn, ctx, order_id, bill.invoice_id).await?;
    let total = count(order, &shipped.units, |counters, quantity| {
        counters.shipped += quantity;
    });
    order.shipment_ids.push(shipment_id);
    let price = Money::new(order.currency, bill.total);
    let change = Change {
        actor,
        action: "ship",
        detail: format!("{total} units for {price} with shipment {shipment_id}"),
        event: Event::Progressed("shipped"),
    };
    order.write(conn, ctx, &change).await?;
    let captures = order.payment_policy == PaymentPolicy::AuthThenCaptureOnShip;
    if captures && bill.total > 0 {
        plan_capture(conn, ctx, order, shipment_id, bill.total).await?;
    }
    Ok(())
}

/// When an invoice is due that is, in part at least, paid on terms.
async fn due_at(
    conn: &mut PgConnection,
    order: &Locked,
    issued_at: OffsetDateTime,
) -> Result<Option<OffsetDateTime>, Error> {
    let on_terms = |tender: &&Tender| tender.provider == Book::Terms.as_str();
    let Some(tender) = order.tenders.iter().find(on_terms) else {
        return Ok(None);
    };
    let account = credits::load(conn, Book::Terms, &tender.token).await?;
    Ok(account.map(|account| issued_at + Duration::days(account.net_days.into())))
}

/// Plans the capture of a shipment: a part from each authorization that it draws from. What is paid at the door is
/// captured when somebody has recorded that it was.
async fn plan_capture(
    conn: &mut PgConnection,
    ctx: &Ctx,
    order: &Locked,
    shipment_id: ShipmentId,
    amount: i64,
) -> Result<(), Error> {
    let ledger = payments::list(conn, order.order_id).await?;
    let known = collections::list(conn, order.order_id).await?;
    let base = format!("shipment/{shipment_id}");
    let drawn = capture::draw(amount, &ledger, &known);
    let mut captures = false;
    for (number, (authorization, part)) in drawn.into_iter().enumerate() {
        let cause = part_cause(&base, number);
        if let Some(at_door) = authorization.filter(|one| one.provider == CASH_ON_DELIVERY) {
            let collection = Collection {
                order_id: order.order_id,
                shipment_id,
                authorization: at_door.payment_id,
                cause,
                amount: part,
                state: CollectionState::Due,
                recorded_by: String::new(),
                created_at: ctx.now(),
                updated_at: ctx.now(),
            };
            collections::insert(conn, &collection).await?;
            continue;
        }
        let new = NewPayment {
            kind: PaymentKind::Capture,
            amount: part,
            source: authorization.map_or(Source::Tender(1), Source::Payment),
            cause: &cause,
            actor: SERVICE_ACTOR,
            send_now: false,
        };
        effects::plan(conn, ctx, order, &new).await?;
        captures = true;
    }
    if captures {
        let task = format!("capture_payment/{base}");
        insert_capture(conn, ctx, order.order_id, &task, &base).await?;
    }
    Ok(())
}

/// Ids of all tasks that capture money of an order.
pub(crate) fn capture_tasks(order: &Order) -> Vec<Uuid> {
    let id = |name: &str| derive(order.order_id.uuid(), name);
    let mut ids = vec![id(CAPTURE_ORDER)];
    for shipment in &order.shipment_ids {
        ids.push(id(&format!("capture_payment/shipment/{shipment}")));
        ids.push(id(&format!("collect_payment/{shipment}")));
    }
    ids
}

/// Inserts the task that captures what is planned for a cause; its name makes it one.
pub(super) async fn insert_capture(
    conn: &mut PgConnection,
    ctx: &Ctx,
    order_id: OrderId,
    name: &str,
    cause: &str,
) -> Result<(), Error> {
    let task = NewTask {
        id: derive(order_id.uuid(), name),
        kind: CAPTURE_PAYMENT_TASK,
        key: order_id.to_string(),
        payload: cause.as_bytes().to_vec(),
        run_at: ctx.now(),
        actor: SERVICE_ACTOR.to_owned(),
    };
    tasks::insert(conn, &task).await?;
    Ok(())
}

/// Inserts the task that issues an invoice.
pub(crate) async fn insert_issue(
    conn: &mut PgConnection,
    ctx: &Ctx,
    order_id: OrderId,
    invoice_id: InvoiceId,
) -> Result<(), Error> {
    let task = NewTask {
        id: derive(invoice_id.uuid(), ISSUE_INVOICE_TASK),
        kind: ISSUE_INVOICE_TASK,
        key: order_id.to_string(),
        payload: invoice_id.to_string().into_bytes(),
        run_at: ctx.now(),
        actor: SERVICE_ACTOR.to_owned(),
    };
    tasks::insert(conn, &task).await?;
    Ok(())
}

/// Counts the units of a shipment as delivered. Once per shipment; the last one may complete the order.
pub(crate) async fn record_delivery(
    conn: &mut PgConnection,
    ctx: &Ctx,
    order: &mut Locked,
    shipped: &Shipped,
    actor: &str,
) -> Result<(), Error> {
    let shipment_id = shipped.shipment_id;
    if !shipments::set_delivered(conn, shipment_id, ctx.now()).await? {
        return Ok(());
    }
    let total = count(order, &shipped.units, |counters, quantity| {
        counters.delivered += quantity;
    });
    let change = Change {
        actor,
        action: "deliver",
        detail: format!("{total} units with shipment {shipment_id}"),
        event: Event::Progressed("delivered"),
    };
    order.write(conn, ctx, &change).await?;
    settle_order(conn, ctx, order).await
}
