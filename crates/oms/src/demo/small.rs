//! A world of small orders for the bench: as many as one likes, each of one unit of one product.

use std::fmt::Write as _;
use std::ops::Range;
use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::Context;
use futures::stream::{self, StreamExt, TryStreamExt};
use oms_proto::order::v1::{PlaceOrderRequest, WaitFor};
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

use super::board::Board;
use super::plan::{WAREHOUSES, Warehouse};
use super::retail::{self, RetailOrder};
use super::setup::request_id;
use super::{Bars, PATIENCE, World, bots, first_failure, setup, shop};
use crate::clients::Clients;

/// Products.
const PRODUCTS: u32 = 200;
/// Units of each that a run may want.
const DEMAND: i64 = 1_000_000;
/// Pause between two looks at the board.
const LOOK: Duration = Duration::from_millis(10);

/// The world, with everybody at work.
pub(crate) struct Small {
    world: Arc<World>,
    bots: JoinSet<anyhow::Result<()>>,
}

/// Makes channel, locations, catalogue and stock, and calls everybody to work.
pub(crate) async fn set_up(clients: Clients) -> anyhow::Result<Small> {
    let mut retail = retail::read(&file()?)?;
    for item in &mut retail.items {
        item.demand = DEMAND;
    }
    let bars = Bars::new(true, &retail);
    let world = Arc::new(World {
        clients,
        board: Board::new(0),
        retail,
        done: CancellationToken::new(),
    });
    setup::set_up(&world, &bars).await?;
    let bots = bots(&world);
    Ok(Small { world, bots })
}

/// One order for each product, in the columns that the demo reads.
fn file() -> anyhow::Result<String> {
    let mut text = "Row ID,Order ID,Order Date,Ship Date,Ship Mode,Customer ID,Customer Name,Segment,Country,City,State,Postal Code,\
                    Region,Product ID,Category,Sub-Category,Product Name,Sales,Quantity,Discount,Profit\n"
        .to_owned();
    for number in 0..PRODUCTS {
        writeln!(
            text,
            "{number},SMALL-{number},2026-01-01,2026-01-02,Standard Class,C-{number},Kim Example,Consumer,United States,Denver,\
             Colorado,80202,West,P-{number},Goods,Things,Product {number},25.00,1,0,1.00"
        )?;
    }
    Ok(text)
}

impl Small {
    /// Takes the orders with these numbers to cash, so many at the same time; answers how long each took to its captured money.
    pub(crate) async fn take_to_cash(
        &mut self,
        numbers: Range<u32>,
        callers: u32,
    ) -> anyhow::Result<Vec<Duration>> {
        let board = &self.world.board;
        let known = board.times_to_cash().len();
        let wanted = board.snapshot().cashed + u64::from(numbers.end - numbers.start);
        stream::iter(numbers)
            .map(|number| self.place(number, WaitFor::Confirmed))
            .buffer_unordered(usize::try_from(callers)?)
            .try_collect::<Vec<_>>()
            .await?;
        let world = Arc::clone(&self.world);
        tokio::select! {
            settled = wait(&world, wanted) => settled?,
            failed = first_failure(&mut self.bots) => failed?,
        }
        Ok(self.world.board.times_to_cash().split_off(known))
    }

    /// Who knows what can be ordered.
    pub(crate) fn shopper(&self) -> Shopper {
        Shopper(Arc::clone(&self.world))
    }

    /// Places the order with this number; answers how long that took.
    pub(crate) async fn place(&self, number: u32, wait_for: WaitFor) -> anyhow::Result<Duration> {
        let request = self.shopper().order(number, wait_for)?;
        let began = Instant::now();
        let mut client = self.world.clients.orders();
        client
            .place_order(request)
            .await
            .with_context(|| format!("order {number}"))?;
        Ok(began.elapsed())
    }

    /// Sends everybody home: orders stay where they are.
    pub(crate) async fn go_home(&mut self) -> anyhow::Result<()> {
        self.world.done.cancel();
        while let Some(ended) = self.bots.join_next().await {
            ended??;
        }
        Ok(())
    }
}

/// See [`Small::shopper`].
#[derive(Clone)]
pub(crate) struct Shopper(Arc<World>);

impl Shopper {
    /// The order with this number.
    pub(crate) fn order(
        &self,
        number: u32,
        wait_for: WaitFor,
    ) -> anyhow::Result<PlaceOrderRequest> {
        let orders = &self.0.retail.orders;
        let like = usize::try_from(number)? % orders.len();
        let like = orders.get(like).context("no order to be like")?;
        let order = RetailOrder {
            order_id: format!("SMALL-{number}"),
            ..like.clone()
        };
        Ok(PlaceOrderRequest {
            request_id: request_id(&format!("small/{number}")),
            order: Some(shop::new_order(&order, "tok_approve")),
            wait_for: wait_for.into(),
        })
    }

    /// A product, the same for the same number.
    pub(crate) fn sku(number: u32) -> String {
        format!("P-{}", number % PRODUCTS)
    }

    /// Where it may be taken from.
    pub(crate) fn locations() -> Vec<String> {
        let id = |warehouse: &Warehouse| warehouse.location_id.to_owned();
        WAREHOUSES.iter().map(id).collect()
    }
}

async fn wait(world: &World, wanted: u64) -> anyhow::Result<()> {
    let (mut last, mut moved_at) = (0, Instant::now());
    loop {
        let cashed = world.board.snapshot().cashed;
        if cashed >= wanted {
            return Ok(());
        }
        if cashed > last {
            (last, moved_at) = (cashed, Instant::now());
        }
        anyhow::ensure!(
            moved_at.elapsed() < PATIENCE,
            "nothing has moved for a minute; {}",
            world.board.describe_open()
        );
        tokio::time::sleep(LOOK).await;
    }
}
