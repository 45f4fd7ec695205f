//! Orders that go to cash, all day long: most are shipped, some are canceled first.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use anyhow::Context;
use oms_proto::order::v1 as o;
use tokio::task::JoinSet;
use tokio::time::{Instant, MissedTickBehavior};

use crate::dice::Dice;
use crate::fresh_id;
use crate::shop::new_order;
use crate::suite::{Actor, answered};

/// What is sold.
pub const SKUS: [&str; 5] = ["a", "b", "c", "d", "e"];
/// Where all of it is.
pub const LOCATION: &str = "west";
/// Orders in a hundred that their customer takes back at once.
const CANCELED_PERCENT: usize = 10;

/// What came of the orders.
#[derive(Debug, Default)]
pub struct Counts {
    /// Orders that were placed.
    pub placed: AtomicU64,
    /// Orders that were delivered, paid and completed, or canceled.
    pub ended: AtomicU64,
}

impl Counts {
    /// Orders that are under way.
    pub fn under_way(&self) -> u64 {
        let ended = self.ended.load(Ordering::Relaxed);
        self.placed.load(Ordering::Relaxed).saturating_sub(ended)
    }
}

/// One order on its whole way.
async fn order(actor: Actor, mut dice: Dice, counts: Arc<Counts>) -> anyhow::Result<()> {
    let sku = SKUS.get(dice.below(SKUS.len())).copied().unwrap_or("a");
    let units = i64::try_from(1 + dice.below(3))?;
    let placed = actor
        .place_until_answered(new_order(&[(sku, units)]))
        .await?;
    counts.placed.fetch_add(1, Ordering::Relaxed);
    let id = placed.order_id.as_str();
    if dice.percent(CANCELED_PERCENT) {
        cancel(&actor, id).await?;
    } else {
        for work in actor.released(id, 1).await? {
            actor.fulfill(&work).await?;
        }
        actor.order_in(id, o::OrderState::Completed).await?;
    }
    counts.ended.fetch_add(1, Ordering::Relaxed);
    Ok(())
}

async fn cancel(actor: &Actor, order_id: &str) -> anyhow::Result<()> {
    let request = o::CancelOrderRequest {
        request_id: fresh_id(),
        order_id: order_id.to_owned(),
        reason: "CUSTOMER".to_owned(),
        ..Default::default()
    };
    answered("cancel order", || async {
        actor.clients.orders().cancel_order(request.clone()).await
    })
    .await?;
    actor.order_in(order_id, o::OrderState::Canceled).await?;
    Ok(())
}

/// So many people each take one order after the other to its end, for so long; answers orders per second.
///
/// # Errors
/// When an order does not get there.
pub async fn peak(actor: &Actor, seed: u64, people: usize, time: Duration) -> anyhow::Result<f64> {
    let (counts, end) = (Arc::new(Counts::default()), Instant::now() + time);
    let mut work = JoinSet::new();
    for person in 0..people {
        let (actor, counts) = (actor.clone(), Arc::clone(&counts));
        let mut dice = Dice::new(seed ^ u64::try_from(person)?);
        work.spawn(async move {
            while Instant::now() < end {
                let own = Dice::new(u64::try_from(dice.below(usize::MAX))?);
                order(actor.clone(), own, Arc::clone(&counts)).await?;
            }
            anyhow::Ok(())
        });
    }
    tokio::time::sleep_until(end).await;
    let ended = counts.ended.load(Ordering::Relaxed);
    all(&mut work).await?;
    let ended = u32::try_from(ended)?;
    Ok(f64::from(ended) / time.as_secs_f64())
}

/// Orders come at this rate for so long, whoever is served, and all go to their end.
///
/// # Errors
/// When an order does not get there.
pub async fn steady(
    actor: Actor,
    seed: u64,
    per_second: f64,
    time: Duration,
    counts: Arc<Counts>,
) -> anyhow::Result<()> {
    let end = Instant::now() + time;
    let mut dice = Dice::new(seed);
    let mut tick = tokio::time::interval(Duration::from_secs_f64(1.0 / per_second));
    tick.set_missed_tick_behavior(MissedTickBehavior::Burst);
    let mut work = JoinSet::new();
    while Instant::now() < end {
        tick.tick().await;
        let own = Dice::new(u64::try_from(dice.below(usize::MAX))?);
        work.spawn(order(actor.clone(), own, Arc::clone(&counts)));
        while let Some(ended) = work.try_join_next() {
            ended?.context("an order of the soak")?;
        }
    }
    all(&mut work).await
}

async fn all(work: &mut JoinSet<anyhow::Result<()>>) -> anyhow::Result<()> {
    while let Some(ended) = work.join_next().await {
        ended?.context("an order of the soak")?;
    }
    Ok(())
}
