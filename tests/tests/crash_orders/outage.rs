//! R10: shipping is down for long, first stopped with its connections open, then dead. Carriers are adapters in that service, so nobody
//! buys a label either. Orders are taken, picked, packed and canceled meanwhile, and what was packed leaves afterwards.

use std::time::Duration;

use anyhow::{Context, ensure};
use futures::future::try_join_all;
use oms_proto::fulfillment::v1 as f;
use oms_proto::order::v1::OrderState;
use oms_proto::returns::v1 as r;
use oms_proto::shipping::v1::TrackingStatus;
use oms_tests::crash::{rounds, say, seed};
use oms_tests::dice::Dice;
use oms_tests::nodes::Nodes;
use oms_tests::shop::{barcode, new_order};
use oms_tests::suite::Actor;
use oms_tests::summary::{Row, note};
use tokio::time::Instant;

use crate::life::{Kind, Shop, Told};
use crate::start;

const SHIPPING: &str = "shipping";
/// Orders that are packed while it is down.
const PACKED: usize = 6;
/// Orders whose whole story takes place while it is down, of each of these kinds.
const UNAFFECTED: [Kind; 4] = [
    Kind::Canceled,
    Kind::CanceledOnHold,
    Kind::Declined,
    Kind::Waiting,
];
/// How long it is down: longer than calls and leases of peers wait, and in the long form minutes.
const SHORT: Duration = Duration::from_secs(8);
const LONG: Duration = Duration::from_secs(180);

/// How it is down.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Outage {
    /// SIGSTOP: whoever calls waits.
    Stopped,
    /// `kill -9`, and nobody listens.
    Dead,
}

impl Outage {
    fn begin(self, nodes: &mut Nodes) -> anyhow::Result<()> {
        match self {
            Self::Stopped => nodes.pause(SHIPPING),
            Self::Dead => nodes.kill(SHIPPING),
        }
    }

    async fn end(self, nodes: &mut Nodes) -> anyhow::Result<()> {
        match self {
            Self::Stopped => nodes.resume(SHIPPING),
            Self::Dead => {
                nodes.spawn(SHIPPING)?;
                nodes.until_ready(SHIPPING).await
            }
        }
    }
}

/// An order that is packed and has no shipment yet.
struct Parcel {
    order: Told,
    session: f::PackSession,
}

/// Places an order and packs it.
async fn pack(actor: &Actor, reference: String) -> anyhow::Result<Parcel> {
    let mut order = new_order(&[("a", 2)]);
    order.external_reference.clone_from(&reference);
    let order_id = actor.place_until_answered(order).await?.order_id;
    let work = actor.released(&order_id, 1).await?;
    let fo = work.first().context("no work")?;
    actor.pick_all(fo).await?;
    let units = [(barcode("a"), 2)];
    let session = actor.pack(&fo.fulfillment_order_id, &units).await?;
    Ok(Parcel {
        order: Told {
            order_id,
            kind: Kind::Shipped,
            reference,
        },
        session,
    })
}

/// Hands a parcel over as soon as it has its label, until the customer has it; answers how long after `moment` the label was there.
async fn send(actor: &Actor, parcel: &Parcel, moment: Instant) -> anyhow::Result<Duration> {
    let shipment = actor.labeled(&parcel.session).await?;
    let waited = moment.elapsed();
    actor.ship(&shipment).await?;
    actor.track(&shipment, TrackingStatus::Delivered).await?;
    let order_id = &parcel.order.order_id;
    actor.order_in(order_id, OrderState::Completed).await?;
    Ok(waited)
}

/// One outage; adds the orders of its time to those that were told, and answers the seconds until each label was there after it.
async fn outage(
    how: Outage,
    nodes: &mut Nodes,
    shop: &Shop,
    told: &mut Vec<Told>,
) -> anyhow::Result<Vec<f64>> {
    let actor = &shop.actor;
    let sent_back = told.iter().find(|one| one.kind == Kind::Shipped);
    let sent_back = sent_back
        .context("nothing was shipped before")?
        .order_id
        .clone();
    how.begin(nodes)?;
    let began = Instant::now();
    // The label is promised, and bought when that is possible.
    let back = shop.ask_back(&sent_back).await.context("sent back")?;
    ensure!(back.tracking_number.is_empty(), "who sold it? {back:?}");
    let packing = (0..PACKED).map(|number| pack(actor, format!("{how:?}/packed/{number}")));
    let parcels = try_join_all(packing).await.context("packed meanwhile")?;
    // Their own numbers, above those that anybody reaches.
    let first = told.len() + 1_000;
    let others = UNAFFECTED
        .iter()
        .zip(first..)
        .map(|(kind, number)| async move { shop.serve(*kind, number, &mut Dice::new(0)).await });
    told.extend(try_join_all(others).await.context("unaffected")?);
    let down = if rounds()?.is_some() { LONG } else { SHORT };
    tokio::time::sleep_until(began + down).await;
    how.end(nodes).await?;

    let back_again = Instant::now();
    let sending = parcels.iter().map(|parcel| send(actor, parcel, back_again));
    let waited = try_join_all(sending).await.context("sent afterwards")?;
    let back = actor.return_labeled(&back.return_id).await?;
    actor.take_back(&back, r::Disposition::Restock).await?;
    actor.closed(&back.return_id).await?;
    // Sent back once: the next outage takes another one.
    told.iter_mut()
        .find(|one| one.kind == Kind::Shipped)
        .context("nothing was shipped before")?
        .kind = Kind::Returned;
    told.extend(parcels.into_iter().map(|parcel| parcel.order));
    say(format!(
        "  shipping {how:?} for {:.1} s, labels {:.2} s afterwards at the latest",
        (back_again - began).as_secs_f64(),
        waited
            .iter()
            .max()
            .copied()
            .unwrap_or_default()
            .as_secs_f64()
    ));
    Ok(waited.iter().map(Duration::as_secs_f64).collect())
}

async fn run(seed: u64) -> anyhow::Result<Row> {
    let mut nodes = start().await?;
    let shop = Shop::open(nodes.actor()?, seed).await?;
    let mut told = Vec::new();
    for number in 0..2 {
        told.push(
            shop.serve(Kind::Shipped, number, &mut Dice::new(seed))
                .await?,
        );
    }
    let mut recovered = outage(Outage::Stopped, &mut nodes, &shop, &mut told).await?;
    recovered.extend(outage(Outage::Dead, &mut nodes, &shop, &mut told).await?);
    let row = Row::proven(&shop.actor, 2).await?;
    shop.compare(&told).await?;
    Ok(Row { recovered, ..row })
}

#[tokio::test(flavor = "multi_thread")]
async fn orders_go_on_while_shipping_is_down_and_leave_afterwards() -> anyhow::Result<()> {
    let seed = seed()?;
    Box::pin(note("R10 shipping down", Some(seed), run(seed))).await
}
