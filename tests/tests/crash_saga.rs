//! The order service is killed at every boundary of the saga, enumerated: before and after each commit, and before and after
//! each call of a peer or of the payment provider, forward and undoing. Every order ends as it would have, and
//! nothing is lost or doubled.
//!
//! The points are not a list kept by hand: orders of every kind run once and write down what they pass.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context, ensure};
use oms_proto::order::v1 as o;
use oms_proto::order::v1::{OrderState, PaymentPolicy};
use oms_tests::nodes::Nodes;
use oms_tests::shop::{channel, new_order};
use oms_tests::suite::{Actor, answered, wait_for};
use oms_tests::summary::{Row, note};
use oms_tests::{fresh_id, usd};

/// Units above which an order of the channel `wary` waits for a person.
const OUTLIER: i64 = 5;

/// How an order goes and ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Kind {
    /// Confirmed and released.
    Confirmed,
    /// Its card is declined: what was reserved is given back.
    Declined,
    /// There is not enough.
    OutOfStock,
    /// It waits behind a hold, with its units reserved, until somebody cancels it.
    Canceled,
    /// Its second card is declined: what the first one authorized is given up too.
    HalfDeclined,
    /// It waits behind a hold, and confirmed behind another one, until somebody releases them.
    Held,
}

impl Kind {
    const ALL: [Self; 6] = [
        Self::Confirmed,
        Self::Declined,
        Self::OutOfStock,
        Self::Canceled,
        Self::HalfDeclined,
        Self::Held,
    ];

    fn order(self) -> o::NewOrder {
        let (token, units) = match self {
            Self::Confirmed => ("tok_approve", 1),
            Self::Declined | Self::HalfDeclined => ("tok_decline", 1),
            Self::OutOfStock => ("tok_approve", 1_000_000),
            Self::Canceled | Self::Held => ("tok_approve", OUTLIER + 1),
        };
        let mut order = new_order(&[("a", units)]);
        if let Some(method) = &mut order.payment_method {
            token.clone_into(&mut method.token);
        }
        if self == Self::HalfDeclined {
            let rest = order.payment_method.take().unwrap_or_default();
            let part = o::PaymentMethod {
                token: "tok_approve".to_owned(),
                amount: Some(usd(500)),
                ..rest.clone()
            };
            order.payment_methods = vec![part, rest];
        }
        if self.waits() {
            "wary".clone_into(&mut order.channel_id);
        }
        order
    }

    /// Whether it waits for a person before it is confirmed.
    fn waits(self) -> bool {
        matches!(self, Self::Canceled | Self::Held)
    }

    fn end(self) -> OrderState {
        match self {
            Self::Confirmed | Self::Held => OrderState::Confirmed,
            Self::Declined | Self::OutOfStock | Self::HalfDeclined => OrderState::Rejected,
            Self::Canceled => OrderState::Canceled,
        }
    }
}

/// The folder in which the order service writes the points that it passes, and reads where to die.
struct Points(PathBuf);

impl Points {
    fn passed(&self) -> anyhow::Result<Vec<String>> {
        let text = fs::read_to_string(self.0.join("passed"))?;
        Ok(text.lines().map(str::to_owned).collect())
    }

    fn forget(&self) -> anyhow::Result<()> {
        Ok(fs::remove_file(self.0.join("passed"))?)
    }

    fn die_at(&self, point: &str) -> anyhow::Result<()> {
        // Whole or not at all: the service may look at any moment.
        let written = self.0.join("kill_at.new");
        fs::write(&written, point)?;
        Ok(fs::rename(&written, self.0.join("kill_at"))?)
    }
}

/// Takes an order of this kind to its end, as a patient caller does; answers its id.
async fn run(actor: &Actor, kind: Kind) -> anyhow::Result<String> {
    let placed = actor.place_until_answered(kind.order()).await?;
    let order_id = placed.order_id;
    if kind.waits() {
        let step = "await_holds";
        seen(actor, &order_id, "wait", |order| order.saga_step == step).await?;
    }
    match kind {
        Kind::Canceled => cancel(actor, &order_id).await?,
        Kind::Held => hold_and_release(actor, &order_id).await?,
        _ => {}
    }
    Ok(order_id)
}

/// Waits until the order is as wanted.
async fn seen(
    actor: &Actor,
    order_id: &str,
    what: &str,
    is_so: impl Fn(&o::Order) -> bool,
) -> anyhow::Result<o::Order> {
    wait_for(&format!("the order to {what}"), || async {
        Ok(match actor.order(order_id).await {
            Ok(order) if is_so(&order) => Ok(order),
            other => Err(format!("{other:?}")),
        })
    })
    .await
}

async fn cancel(actor: &Actor, order_id: &str) -> anyhow::Result<()> {
    let request = o::CancelOrderRequest {
        request_id: fresh_id(),
        order_id: order_id.to_owned(),
        reason: "CUSTOMER".to_owned(),
        ..Default::default()
    };
    answered("CancelOrder", || async {
        actor.clients.orders().cancel_order(request.clone()).await
    })
    .await?;
    Ok(())
}

/// Another hold keeps the order from the warehouse; the one that it waits behind is released, then the other.
async fn hold_and_release(actor: &Actor, order_id: &str) -> anyhow::Result<()> {
    let request = o::PlaceHoldRequest {
        request_id: fresh_id(),
        order_id: order_id.to_owned(),
        reason: o::HoldReason::Manual.into(),
        blocks: vec![o::HoldBlock::ReleaseToNode.into()],
        ..Default::default()
    };
    let placed = answered("PlaceHold", || async {
        actor.clients.holds().place_hold(request.clone()).await
    });
    let own = placed.await?.hold.context("a hold")?.hold_id;
    let order = seen(actor, order_id, "be held", |order| order.holds.len() == 2).await?;
    let others = order.holds.iter().map(|hold| &hold.hold_id);
    for hold_id in others.filter(|id| **id != own) {
        release(actor, hold_id).await?;
    }
    let confirmed = OrderState::Confirmed;
    seen(actor, order_id, "be confirmed", |order| {
        order.state() == confirmed
    })
    .await?;
    release(actor, &own).await
}

async fn release(actor: &Actor, hold_id: &str) -> anyhow::Result<()> {
    let request = o::ReleaseHoldRequest {
        request_id: fresh_id(),
        hold_id: hold_id.to_owned(),
        ..Default::default()
    };
    answered("ReleaseHold", || async {
        actor.clients.holds().release_hold(request.clone()).await
    })
    .await?;
    Ok(())
}

/// Waits until an order has come to its end and its saga to its own.
async fn ended(actor: &Actor, kind: Kind, order_id: &str) -> anyhow::Result<()> {
    wait_for("the order to end", || async {
        let Ok(order) = actor.order(order_id).await else {
            return Ok(Err("no answer".to_owned()));
        };
        let is_released =
            kind.end() != OrderState::Confirmed || !order.fulfillment_order_ids.is_empty();
        let is_done = order.state() == kind.end() && order.saga_step.is_empty() && is_released;
        Ok(if is_done {
            Ok(())
        } else {
            Err(format!("{:?} at {:?}", order.state(), order.saga_step))
        })
    })
    .await
    .with_context(|| format!("{kind:?}"))
}

/// What orders of this kind pass, each point once, in its order.
async fn points_of(actor: &Actor, points: &Points, kind: Kind) -> anyhow::Result<Vec<String>> {
    let order_id = run(actor, kind).await?;
    ended(actor, kind, &order_id).await?;
    // The last commit of a released order comes after its state.
    actor.verify().await?;
    let mut seen = BTreeSet::new();
    let mut passed = points.passed()?;
    passed.retain(|point| seen.insert(point.clone()));
    points.forget()?;
    Ok(passed)
}

async fn start(folder: &Path) -> anyhow::Result<Nodes> {
    fs::create_dir_all(folder)?;
    let order = format!(
        "[saga]\nfailpoints = \"{}\"\nlease_ms = 1500\npoll_ms = 100\n\
         [payments]\ntimeout_ms = 1000\nreconcile_after_ms = 2000\nreconcile_poll_ms = 200\n",
        folder.display()
    );
    // Lives as long as the test.
    let order: &'static str = Box::leak(order.into_boxed_str());
    let nodes = Nodes::with(env!("CARGO_BIN_EXE_oms-node"), None, &[("order", order)]).await?;
    let actor = nodes.actor()?;
    actor.set_up(&["a"]).await?;
    let wary = o::Channel {
        outlier_quantity: OUTLIER,
        ..channel("wary", PaymentPolicy::AuthThenCaptureOnShip)
    };
    actor.upsert_channel(wary).await?;
    actor.receive("west", "a", 10_000).await?;
    Ok(nodes)
}

#[tokio::test(flavor = "multi_thread")]
async fn a_kill_at_every_boundary_of_the_saga_changes_no_end() -> anyhow::Result<()> {
    Box::pin(note("R2 every saga boundary", None, kill_everywhere())).await
}

async fn kill_everywhere() -> anyhow::Result<Row> {
    let folder = oms_engines::scratch::create()?;
    let points = Points(folder.clone());
    let mut nodes = start(&folder).await?;
    let actor = nodes.actor()?;
    let mut orders = Vec::new();
    let mut kills = 0;
    for kind in Kind::ALL {
        let of_kind = points_of(&actor, &points, kind).await?;
        ensure!(of_kind.len() > 5, "{kind:?} passes {of_kind:?}");
        for point in of_kind {
            points.die_at(&point)?;
            let (order_id, dead) = tokio::join!(run(&actor, kind), async {
                nodes.until_dead("order").await?;
                nodes.spawn("order")
            });
            dead.with_context(|| format!("{kind:?} at {point:?}"))?;
            orders.push((kind, order_id?, point));
            kills += 1;
        }
        // So that what the next kind writes down is its own.
        for (kind, order_id, point) in &orders {
            let ended = ended(&actor, *kind, order_id).await;
            ended.with_context(|| format!("killed at {point:?}"))?;
        }
        actor.verify().await?;
        points.forget()?;
    }
    println!("{kills} kills, {} orders", orders.len());
    ensure!(kills >= 80, "{kills} kills");
    fs::remove_dir_all(&folder)?;
    Row::proven(&actor, kills).await
}
