//! Orders and the people around them, who make every call until it is answered. What an order is and how it ends follows from
//! the seed and its number.

use std::sync::atomic::{AtomicUsize, Ordering};

use anyhow::{Context, ensure};
use oms_proto::common::v1::FillPolicy;
use oms_proto::order::v1 as o;
use oms_proto::order::v1::{OrderState, PaymentPolicy};
use oms_proto::returns::v1 as r;
use oms_tests::crash::Pulse;
use oms_tests::dice::Dice;
use oms_tests::fresh_id;
use oms_tests::shop::{channel, new_order};
use oms_tests::suite::{Actor, answered};
use tokio::time::Instant;

/// Units above which an order of the channel `wary` waits for a person.
const OUTLIER: i64 = 5;
/// SKUs of which there is enough in the west, and one that only the east has.
const SKUS: [&str; 3] = ["a", "b", "c"];
const EASTERN: &str = "e";
/// What is not there: some of its orders are served one day, those of the other are not.
const LATE: &str = "late";
const NEVER: &str = "never";
/// Units of each SKU.
const ENOUGH: i64 = 10_000;

/// How an order goes and ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Kind {
    /// To the customer's door.
    Shipped,
    /// From two locations.
    Split,
    /// There, back, and the money too.
    Returned,
    /// Canceled after it was released, before anybody picked.
    Canceled,
    /// It waits behind a hold, with its units reserved, until somebody cancels it.
    CanceledOnHold,
    /// Its card is declined.
    Declined,
    /// There is not enough, and the customer does not wait.
    OutOfStock,
    /// Waits for stock that comes, and is shipped then.
    Served,
    /// Waits for stock that does not come.
    Waiting,
}

impl Kind {
    /// As often as the numbers say.
    pub(crate) const SHARES: [(Self, usize); 9] = [
        (Self::Shipped, 5),
        (Self::Returned, 3),
        (Self::Split, 2),
        (Self::Canceled, 2),
        (Self::CanceledOnHold, 2),
        (Self::Served, 2),
        (Self::Declined, 1),
        (Self::OutOfStock, 1),
        (Self::Waiting, 2),
    ];

    fn thrown(dice: &mut Dice) -> Self {
        let all = Self::SHARES
            .iter()
            .flat_map(|(kind, share)| std::iter::repeat_n(*kind, *share));
        let all: Vec<Self> = all.collect();
        all[dice.below(all.len())]
    }

    /// The state in which it is final, or validly waiting.
    pub(crate) fn end(self) -> OrderState {
        match self {
            Self::Shipped | Self::Split | Self::Returned | Self::Served => OrderState::Completed,
            Self::Canceled | Self::CanceledOnHold => OrderState::Canceled,
            Self::Declined | Self::OutOfStock => OrderState::Rejected,
            Self::Waiting => OrderState::Confirmed,
        }
    }

    fn order(self, dice: &mut Dice) -> o::NewOrder {
        let units = 1 + i64::from(dice.percent(30));
        let sku = SKUS[dice.below(SKUS.len())];
        let lines: Vec<(&str, i64)> = match self {
            Self::Split => vec![(sku, units), (EASTERN, 1)],
            Self::OutOfStock => vec![(sku, 2 * ENOUGH)],
            Self::CanceledOnHold => vec![(sku, OUTLIER + 1)],
            Self::Served => vec![(LATE, units)],
            Self::Waiting => vec![(NEVER, units)],
            Self::Shipped | Self::Returned | Self::Canceled | Self::Declined => vec![(sku, units)],
        };
        let mut order = new_order(&lines);
        if self == Self::CanceledOnHold {
            "wary".clone_into(&mut order.channel_id);
        }
        if matches!(self, Self::Served | Self::Waiting) {
            order.fill_policy = FillPolicy::FillAll.into();
        }
        if self == Self::Declined
            && let Some(method) = &mut order.payment_method
        {
            "tok_decline".clone_into(&mut method.token);
        }
        order
    }
}

/// An order whose story is over, as its customer was told.
#[derive(Debug, Clone)]
pub(crate) struct Told {
    pub(crate) order_id: String,
    pub(crate) kind: Kind,
    /// Ours, and unique: nothing is placed twice.
    pub(crate) reference: String,
}

/// What all clients share.
#[derive(Debug)]
pub(crate) struct Shop {
    pub(crate) actor: Actor,
    seed: u64,
    next: AtomicUsize,
    /// Beats when work of an order has come to the floor.
    pub(crate) pulse: Pulse,
}

impl Shop {
    /// Channels, locations, items and stock.
    pub(crate) async fn open(actor: Actor, seed: u64) -> anyhow::Result<Self> {
        actor
            .set_up(&[SKUS[0], SKUS[1], SKUS[2], EASTERN, LATE, NEVER])
            .await?;
        let wary = o::Channel {
            outlier_quantity: OUTLIER,
            ..channel("wary", PaymentPolicy::AuthThenCaptureOnShip)
        };
        actor.upsert_channel(wary).await?;
        for sku in SKUS {
            actor.receive("west", sku, ENOUGH).await?;
        }
        actor.receive("east", EASTERN, ENOUGH).await?;
        Ok(Self {
            actor,
            seed,
            next: AtomicUsize::new(0),
            pulse: Pulse::default(),
        })
    }

    /// Orders that were begun.
    pub(crate) fn begun(&self) -> usize {
        self.next.load(Ordering::Relaxed)
    }

    /// The next order's whole story; its kind follows from its number, unless somebody wants one.
    pub(crate) async fn serve_next(&self, wanted: Option<Kind>) -> anyhow::Result<Told> {
        let number = self.next.fetch_add(1, Ordering::Relaxed);
        // Multiplied, so that neighbours have nothing in common.
        let own = u64::try_from(number)?.wrapping_mul(0x9e37_79b9_7f4a_7c15);
        let mut dice = Dice::new(self.seed ^ own);
        let thrown = Kind::thrown(&mut dice);
        self.serve(wanted.unwrap_or(thrown), number, &mut dice)
            .await
    }

    /// Places an order of this kind; its number tells it from others.
    pub(crate) async fn place(
        &self,
        kind: Kind,
        number: usize,
        dice: &mut Dice,
    ) -> anyhow::Result<Told> {
        let reference = format!("{}/{number}", self.seed);
        let mut order = kind.order(dice);
        reference.clone_into(&mut order.external_reference);
        let placed = self.actor.place_until_answered(order).await;
        let order_id = placed
            .with_context(|| format!("{kind:?} {reference}"))?
            .order_id;
        Ok(Told {
            order_id,
            kind,
            reference,
        })
    }

    /// The whole story of an order of this kind.
    pub(crate) async fn serve(
        &self,
        kind: Kind,
        number: usize,
        dice: &mut Dice,
    ) -> anyhow::Result<Told> {
        let arrived = Instant::now();
        let told = self.place(kind, number, dice).await?;
        let story = self.story(kind, &told.order_id, arrived);
        story.await.with_context(|| format!("{told:?}"))?;
        Ok(told)
    }

    async fn story(&self, kind: Kind, id: &str, arrived: Instant) -> anyhow::Result<()> {
        match kind {
            Kind::Shipped => self.ship(id, 1, arrived).await?,
            Kind::Split => self.ship(id, 2, arrived).await?,
            Kind::Returned => {
                self.ship(id, 1, arrived).await?;
                let return_id = self.bring_back(id).await?;
                self.actor.closed(&return_id).await?;
            }
            Kind::Canceled => {
                self.actor.released(id, 1).await?;
                self.pulse.beat(arrived);
                self.cancel(id).await?;
            }
            Kind::CanceledOnHold => {
                let waits = |order: &o::Order| order.saga_step == "await_holds";
                self.actor
                    .order_when(id, "the order to wait for a person", waits)
                    .await?;
                self.cancel(id).await?;
            }
            Kind::Declined | Kind::OutOfStock => {}
            Kind::Served => {
                let waiting = self.until_backordered(id).await?;
                self.actor.receive("west", LATE, waiting).await?;
                self.ship(id, 1, arrived).await?;
            }
            Kind::Waiting => {
                self.until_backordered(id).await?;
            }
        }
        self.actor.order_in(id, kind.end()).await?;
        Ok(())
    }

    async fn ship(&self, order_id: &str, count: usize, arrived: Instant) -> anyhow::Result<()> {
        let work = self.actor.released(order_id, count).await?;
        self.pulse.beat(arrived);
        for fo in work {
            self.actor.fulfill(&fo).await?;
        }
        self.actor.order_in(order_id, OrderState::Completed).await?;
        Ok(())
    }

    /// Answers how many units wait.
    async fn until_backordered(&self, order_id: &str) -> anyhow::Result<i64> {
        let units = |order: &o::Order| order.lines.iter().map(|line| line.backordered).sum::<i64>();
        let waits = |order: &o::Order| order.state() == OrderState::Confirmed && units(order) > 0;
        let order = self
            .actor
            .order_when(order_id, "the order to wait for stock", waits)
            .await?;
        Ok(units(&order))
    }

    async fn cancel(&self, order_id: &str) -> anyhow::Result<()> {
        let request = o::CancelOrderRequest {
            request_id: fresh_id(),
            order_id: order_id.to_owned(),
            reason: "CUSTOMER".to_owned(),
            ..Default::default()
        };
        answered("cancel", || async {
            self.actor
                .clients
                .orders()
                .cancel_order(request.clone())
                .await
        })
        .await?;
        Ok(())
    }

    /// Sends everything of an order back; answers the return.
    pub(crate) async fn bring_back(&self, order_id: &str) -> anyhow::Result<String> {
        let asked = self.ask_back(order_id).await?;
        self.actor
            .take_back(&asked, r::Disposition::Restock)
            .await?;
        Ok(asked.return_id)
    }

    /// A customer may send everything of an order back, and is promised a label.
    pub(crate) async fn ask_back(&self, order_id: &str) -> anyhow::Result<r::Return> {
        let order = self.actor.order(order_id).await?;
        let lines = order.lines.iter();
        let units: Vec<_> = lines
            .map(|line| (line.order_line_id.clone(), line.shipped))
            .collect();
        let asked = self.actor.request_return(order_id, &units).await?;
        self.actor.authorize_and_label(&asked.return_id).await
    }

    /// Compares what customers were told with what is there: nothing acknowledged is lost, nothing is there twice.
    pub(crate) async fn compare(&self, told: &[Told]) -> anyhow::Result<()> {
        let mut conn = oms_tests::provider::connect(&self.actor.postgres_url, "oms_order").await?;
        let found: Vec<(String, String, String)> =
            sqlx::query_as("SELECT external_reference, order_id::text, state FROM orders")
                .fetch_all(&mut conn)
                .await?;
        let mut found: Vec<String> = found
            .into_iter()
            .map(|(reference, id, state)| format!("{reference} {id} {state}"))
            .collect();
        let expected = told.iter().map(|one| {
            let state = one.kind.end().as_str_name();
            let state = state.strip_prefix("ORDER_STATE_").unwrap_or(state);
            format!("{} {} {state}", one.reference, one.order_id)
        });
        let mut expected: Vec<String> = expected.collect();
        found.sort();
        expected.sort();
        let missing: Vec<_> = expected.iter().filter(|one| !found.contains(one)).collect();
        let unasked: Vec<_> = found.iter().filter(|one| !expected.contains(one)).collect();
        ensure!(
            missing.is_empty() && unasked.is_empty() && found.len() == expected.len(),
            "acknowledged and not there: {missing:#?}; there and not acknowledged: {unasked:#?}"
        );
        Ok(())
    }
}
