//! What the cases are tried on: one of everything, in every state that matters.

use anyhow::Context;
use oms_proto::fulfillment::v1 as f;
use oms_proto::inventory::v1 as i;
use oms_proto::order::v1 as o;
use oms_proto::returns::v1 as r;
use oms_proto::shipping::v1 as s;
use oms_tests::fresh_id;
use oms_tests::shop::{barcode, item, new_order};
use oms_tests::suite::TestSuite;

/// Reference of an order in the caller's system that is taken.
pub(crate) const TAKEN_REFERENCE: &str = "PO-1";

pub(crate) struct World {
    pub(crate) suite: TestSuite,
    /// Id of the request that wrote an item.
    pub(crate) items_request_id: String,
    /// Confirmed, released to one location, nothing started.
    pub(crate) open: o::Order,
    /// The request that placed it.
    pub(crate) open_request: o::PlaceOrderRequest,
    pub(crate) open_work: f::FulfillmentOrder,
    /// A hold of the open order that has ended.
    pub(crate) ended_hold: o::Hold,
    /// Canceled as a whole.
    pub(crate) canceled: o::Order,
    /// Its fulfillment order.
    pub(crate) canceled_work: f::FulfillmentOrder,
    /// Three units: shipped, delivered, captured.
    pub(crate) done: o::Order,
    pub(crate) done_list: f::PickList,
    pub(crate) done_session: f::PackSession,
    pub(crate) shipped: s::Shipment,
    /// Two units of which one is picked.
    pub(crate) picking_work: f::FulfillmentOrder,
    pub(crate) picking: f::PickList,
    /// Two units picked, of which one is in the first package.
    pub(crate) packing: f::PackSession,
    /// A return of one unit of the done order that waits for an answer.
    pub(crate) requested: r::Return,
    /// A return of one unit of it that is authorized.
    pub(crate) authorized: r::Return,
}

impl World {
    pub(crate) async fn make() -> anyhow::Result<Self> {
        // The ledger is not verified meanwhile: a run is written down, and rows are counted here.
        let quiet = ("inventory", "ledger.verify_interval_ms = 0");
        let suite = TestSuite::with(&[quiet]).await?;
        suite.set_up(&["a", "b"]).await?;
        suite.receive("west", "a", 50).await?;
        let items = i::BatchUpsertItemsRequest {
            request_id: fresh_id(),
            items: vec![item("c")],
        };
        let items_request_id = items.request_id.clone();
        suite.clients.items().batch_upsert_items(items).await?;
        let (open_request, open) = open(&suite).await?;
        let [open_work] = released(&suite, &open).await?;
        let ended_hold = ended_hold(&suite, &open).await?;
        let (canceled, canceled_work) = canceled(&suite).await?;
        let done = done(&suite).await?;
        let (picking_work, picking) = picking(&suite).await?;
        let packing = packing(&suite).await?;
        let requested = asked_back(&suite, &done.order).await?;
        let authorized = asked_back(&suite, &done.order).await?;
        let request = r::AuthorizeReturnRequest {
            request_id: fresh_id(),
            return_id: authorized.return_id,
            ..Default::default()
        };
        let answer = suite.clients.returns().authorize_return(request).await?;
        let authorized = answer.into_inner().return_order.context("no return")?;
        suite.verify().await?;
        Ok(Self {
            open: suite.order(&open.order_id).await?,
            done: suite.order(&done.order.order_id).await?,
            suite,
            items_request_id,
            open_request,
            open_work,
            ended_hold,
            canceled,
            canceled_work,
            done_list: done.list,
            done_session: done.session,
            shipped: done.shipment,
            picking_work,
            picking,
            packing,
            requested,
            authorized,
        })
    }
}

async fn released<const N: usize>(
    suite: &TestSuite,
    order: &o::Order,
) -> anyhow::Result<[f::FulfillmentOrder; N]> {
    let all = suite.released(&order.order_id, N).await?;
    all.try_into().ok().context("another number of them")
}

async fn open(suite: &TestSuite) -> anyhow::Result<(o::PlaceOrderRequest, o::Order)> {
    let mut new = new_order(&[("a", 2)]);
    new.external_reference = TAKEN_REFERENCE.to_owned();
    let request = o::PlaceOrderRequest {
        request_id: fresh_id(),
        order: Some(new),
        wait_for: o::WaitFor::Confirmed.into(),
    };
    let answer = suite.clients.orders().place_order(request.clone()).await?;
    let order = answer.into_inner().order.context("no order")?;
    Ok((request, order))
}

async fn ended_hold(suite: &TestSuite, order: &o::Order) -> anyhow::Result<o::Hold> {
    let mut holds = suite.clients.holds();
    let request = o::PlaceHoldRequest {
        request_id: fresh_id(),
        order_id: order.order_id.clone(),
        reason: o::HoldReason::Manual.into(),
        blocks: vec![o::HoldBlock::Capture.into()],
        ..Default::default()
    };
    let placed = holds.place_hold(request).await?.into_inner();
    let request = o::ReleaseHoldRequest {
        request_id: fresh_id(),
        hold_id: placed.hold.context("no hold")?.hold_id,
        note: String::new(),
    };
    let released = holds.release_hold(request).await?.into_inner();
    released.hold.context("no hold")
}

async fn canceled(suite: &TestSuite) -> anyhow::Result<(o::Order, f::FulfillmentOrder)> {
    let order = suite.place(new_order(&[("a", 2)])).await?;
    let [work] = released(suite, &order).await?;
    let request = o::CancelOrderRequest {
        request_id: fresh_id(),
        order_id: order.order_id.clone(),
        reason: "CUSTOMER".to_owned(),
        ..Default::default()
    };
    suite.clients.orders().cancel_order(request).await?;
    let order = suite
        .order_in(&order.order_id, o::OrderState::Canceled)
        .await?;
    Ok((order, work))
}

struct Done {
    order: o::Order,
    list: f::PickList,
    session: f::PackSession,
    shipment: s::Shipment,
}

async fn done(suite: &TestSuite) -> anyhow::Result<Done> {
    let order = suite.place(new_order(&[("a", 3)])).await?;
    let [work] = released(suite, &order).await?;
    let list = suite.pick_list(&work).await?;
    for line in &list.lines {
        suite.scan(&list, line, line.quantity).await?;
    }
    let session = suite
        .pack(&work.fulfillment_order_id, &[(barcode("a"), 3)])
        .await?;
    let shipment = suite.labeled(&session).await?;
    suite.ship(&shipment).await?;
    suite.track(&shipment, s::TrackingStatus::Delivered).await?;
    let order = suite
        .order_in(&order.order_id, o::OrderState::Completed)
        .await?;
    Ok(Done {
        order,
        list,
        session,
        shipment,
    })
}

async fn picking(suite: &TestSuite) -> anyhow::Result<(f::FulfillmentOrder, f::PickList)> {
    let order = suite.place(new_order(&[("a", 2)])).await?;
    let [work] = released(suite, &order).await?;
    let list = suite.pick_list(&work).await?;
    let line = list.lines.first().context("no line")?;
    suite.scan(&list, line, 1).await?;
    Ok((work, list))
}

async fn packing(suite: &TestSuite) -> anyhow::Result<f::PackSession> {
    let order = suite.place(new_order(&[("a", 2)])).await?;
    let [work] = released(suite, &order).await?;
    suite.pick_all(&work).await?;
    let mut packing = suite.clients.packing();
    let request = f::OpenPackSessionRequest {
        request_id: fresh_id(),
        fulfillment_order_id: work.fulfillment_order_id,
    };
    let opened = packing.open_pack_session(request).await?.into_inner();
    let request = f::ScanPackRequest {
        request_id: fresh_id(),
        pack_session_id: opened.pack_session.context("no session")?.pack_session_id,
        package_number: 1,
        barcode: barcode("a"),
        quantity: 1,
    };
    let scanned = packing.scan_pack(request).await?.into_inner();
    scanned.pack_session.context("no session")
}

async fn asked_back(suite: &TestSuite, order: &o::Order) -> anyhow::Result<r::Return> {
    let line = order.lines.first().context("no line")?;
    let units = [(line.order_line_id.clone(), 1)];
    suite.request_return(&order.order_id, &units).await
}
