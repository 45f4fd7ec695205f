//! The steps of the saga, modelled after `services/order/src/saga/steps`: which calls they make, and what the answers mean.

use std::collections::BTreeSet;
use std::rc::Rc;

use oms_core::{OrderLineId, PaymentId, ReservationId, derive};
use time::{Duration, OffsetDateTime};

use crate::cores::inventory::command::{Command, Fill, Mode, Release as GiveBack, Reserve};
use crate::cores::inventory::fit::{Demand, Wishes};
use crate::cores::inventory::refusal::Refusal;
use crate::cores::inventory::reservation::{Reservation as Stocked, Urgency};
use crate::cores::order::order::{FillPolicy, HoldBlock, Order};
use crate::cores::order::payment::{Payment, PaymentKind, PaymentState, open_authorizations};
use crate::cores::order::release::{self, ReleaseState};
use crate::cores::order::reservation::{Reservation, ReservationState};
use crate::cores::order::saga::StepResult;
use crate::driver::Run;
use crate::orders::NewPayment;
use crate::payments;
use crate::rooms::Rooms;
use crate::stock::copied;
use crate::world::Lost;

/// Time to live of held stock.
const HELD_FOR: Duration = Duration::seconds(25);
/// Longest time for which stock is held while a hold stops the order.
const HELD_MOST: Duration = Duration::seconds(40);
/// Pause after a failure.
pub(crate) const BACKOFF: Duration = Duration::seconds(1);

/// What a step came to.
pub(crate) struct Done {
    pub(crate) result: StepResult,
    pub(crate) copy: Option<Reservation>,
    pub(crate) expires_at: Option<OffsetDateTime>,
    pub(crate) given_back: bool,
    pub(crate) allocates: bool,
    pub(crate) released: Option<String>,
    pub(crate) wait_until: Option<OffsetDateTime>,
}

impl Done {
    pub(crate) fn of(result: StepResult) -> Self {
        Self {
            result,
            copy: None,
            expires_at: None,
            given_back: false,
            allocates: false,
            released: None,
            wait_until: None,
        }
    }

    fn refused(reason: &str) -> Self {
        Self::of(StepResult::Refused(reason.to_owned()))
    }

    fn wait(until: OffsetDateTime) -> Self {
        Self {
            wait_until: Some(until),
            ..Self::of(StepResult::NotYet)
        }
    }
}

impl Run {
    pub(crate) async fn ask_stock(
        &self,
        purpose: &str,
        command: Command,
    ) -> Result<Result<Stocked, Refusal>, Lost> {
        let request = format!("{}/{purpose}/{}", self.id(), self.saga.reservation_attempt);
        let (stock, world) = (Rc::clone(&self.rooms.stock), Rc::clone(&self.rooms.world));
        let serve = move || stock.borrow_mut().execute(&world, &request, &command);
        self.rooms.world.call("inventory", serve).await
    }

    pub(crate) async fn reserve(&self) -> Result<Done, Lost> {
        let command = Command::Reserve(reserve(
            &self.rooms,
            &self.order,
            self.saga.reservation_id(),
        ));
        let answer = self.ask_stock("reserve", command).await?;
        let Ok(stocked) = answer else {
            return Ok(Done::refused("OUT_OF_STOCK"));
        };
        let Some(copy) = copied(&stocked) else {
            return Ok(Done::refused("OUT_OF_STOCK"));
        };
        let is_over = matches!(
            copy.state,
            ReservationState::Released | ReservationState::Expired
        );
        if is_over && !copy.lines.is_empty() {
            return Ok(Done::of(StepResult::ReservationLost));
        }
        if copy.is_empty() {
            return Ok(Done::refused("OUT_OF_STOCK"));
        }
        Ok(Done {
            copy: Some(copy),
            expires_at: stocked.expires_at,
            ..Done::of(StepResult::Done)
        })
    }

    pub(crate) async fn await_holds(&self) -> Result<Done, Lost> {
        let now = self.rooms.world.now();
        if !self.order.is_blocked(HoldBlock::Confirm) {
            let lost = self.saga.reservation_expires_at.is_none();
            let result = if lost {
                StepResult::ReservationLost
            } else {
                StepResult::Done
            };
            return Ok(Done::of(result));
        }
        let wait = Done::wait(now + HELD_FOR / 3);
        let Some(since) = self.saga.reserved_at else {
            return Ok(wait);
        };
        let reservation = self.saga.reservation_id();
        if now - since > HELD_MOST {
            self.rooms.world.saw("given back behind a hold");
            let answer = self
                .ask_stock("give_back", give_back(&self.order, reservation))
                .await?;
            return Ok(Done {
                copy: answer.ok().as_ref().and_then(copied),
                given_back: true,
                ..wait
            });
        }
        let extend = Command::Extend {
            reservation,
            time_to_live: HELD_FOR,
        };
        let purpose = format!("extend/{}", self.saga.attempt);
        match self.ask_stock(&purpose, extend).await? {
            Ok(stocked) => Ok(Done {
                expires_at: stocked.expires_at,
                ..wait
            }),
            Err(_) => Ok(Done {
                given_back: true,
                ..wait
            }),
        }
    }

    pub(crate) async fn authorize(&self) -> Result<Done, Lost> {
        let amount = self.order.reserved_amount();
        let now = self.rooms.world.now();
        if self.saga.reservation_attempt > 1 {
            self.settle_unwanted(&format!("order/{}", self.saga.reservation_attempt))
                .await?;
            let open = self.open_authorizations().await;
            if let Some((id, left)) = open.first().copied() {
                if left >= amount {
                    return Ok(Done::of(StepResult::Done));
                }
                self.give_up(id, left).await?;
            }
        }
        let cause = match self.saga.reservation_attempt {
            1 => "order".to_owned(),
            attempt => format!("order/{attempt}"),
        };
        let planned = self.on_row(|orders| {
            let row = orders.rows.get_mut(&self.id())?;
            if row.order.is_blocked(HoldBlock::Confirm) || row.saga.cancel_requested {
                return None;
            }
            let new = NewPayment {
                kind: PaymentKind::Authorization,
                amount,
                parent: None,
                cause: &cause,
                state: PaymentState::Initiated,
            };
            Some(row.plan(&new, now))
        });
        let Some(payment) = planned.await? else {
            return Ok(Done::of(StepResult::HeldUp));
        };
        let id = payment.payment_id;
        if payments::bring(&self.rooms, self.id(), id).await.is_err() {
            return Ok(Done::wait(self.rooms.world.now() + BACKOFF));
        }
        let orders = self.rooms.orders.borrow();
        let state = orders
            .rows
            .get(&self.id())
            .and_then(|row| row.payment(id))
            .map(|one| one.state);
        match state {
            Some(PaymentState::Succeeded) => Ok(Done::of(StepResult::Done)),
            Some(PaymentState::Failed) => Ok(Done::refused("PAYMENT_DECLINED")),
            _ => Ok(Done::wait(self.rooms.world.now() + BACKOFF)),
        }
    }

    async fn open_authorizations(&self) -> Vec<(PaymentId, i64)> {
        self.rooms.world.time_passes(4).await;
        let orders = self.rooms.orders.borrow();
        let row = orders.rows.get(&self.id());
        let open = row
            .map(|row| open_authorizations(&row.ledger))
            .unwrap_or_default();
        open.into_iter()
            .map(|(one, left)| (one.payment_id, left))
            .collect()
    }

    async fn give_up(&self, authorization: PaymentId, left: i64) -> Result<(), Lost> {
        let now = self.rooms.world.now();
        let planned = self.on_row(|orders| {
            let row = orders.rows.get_mut(&self.id())?;
            let cause = row.payment(authorization)?.cause.clone();
            let new = NewPayment {
                kind: PaymentKind::Void,
                amount: left,
                parent: Some(authorization),
                cause: &cause,
                state: PaymentState::Initiated,
            };
            Some(row.plan(&new, now).payment_id)
        });
        match planned.await? {
            Some(void) => payments::bring(&self.rooms, self.id(), void).await,
            None => Ok(()),
        }
    }

    pub(crate) async fn allocate(&self) -> Result<Done, Lost> {
        let reservation = self.saga.reservation_id();
        let answer = self
            .ask_stock("allocate", Command::Confirm { reservation })
            .await?;
        let Ok(stocked) = answer else {
            return Ok(Done::of(StepResult::ReservationLost));
        };
        let Some(copy) = copied(&stocked) else {
            return Err(Lost);
        };
        if matches!(
            copy.state,
            ReservationState::Released | ReservationState::Expired
        ) {
            return Ok(Done::of(StepResult::ReservationLost));
        }
        Ok(Done {
            copy: Some(copy),
            allocates: true,
            wait_until: Some(self.saga.expires_at),
            ..Done::of(StepResult::Done)
        })
    }

    pub(crate) async fn release(&self) -> Result<Done, Lost> {
        self.rooms.world.time_passes(4).await;
        let batches = {
            let orders = self.rooms.orders.borrow();
            orders
                .rows
                .get(&self.id())
                .map(|row| row.batches.clone())
                .unwrap_or_default()
        };
        let mut open = batches
            .into_iter()
            .filter(|one| one.state != ReleaseState::Released);
        let Some(batch) = open.next() else {
            return Ok(Done::of(StepResult::Done));
        };
        let more = open.next().is_some();
        let sent = self.on_row(|orders| {
            let row = orders.rows.get_mut(&self.id())?;
            if batch.state == ReleaseState::Planned && release::blocked(&row.order).is_some() {
                return None;
            }
            let found = row
                .batches
                .iter_mut()
                .find(|one| one.batch == batch.batch)?;
            found.state = ReleaseState::Sent;
            Some(found.clone())
        });
        let Some(batch) = sent.await? else {
            return Ok(Done::wait(self.rooms.world.now() + Duration::seconds(20)));
        };
        let id = derive(self.id().uuid(), &format!("release/{}", batch.batch));
        let (floor, world) = (Rc::clone(&self.rooms.floor), Rc::clone(&self.rooms.world));
        let (order, lines) = (self.id(), batch.lines.clone());
        let serve = move || floor.borrow_mut().create(&world, order, id, &lines);
        self.rooms.world.call("fulfillment", serve).await?;
        let result = if more {
            StepResult::NotYet
        } else {
            StepResult::Done
        };
        Ok(Done {
            released: Some(batch.batch),
            ..Done::of(result)
        })
    }

    pub(crate) async fn undo_authorize(&self) -> Result<(), Lost> {
        self.settle_unwanted("").await?;
        for (authorization, left) in self.open_authorizations().await {
            self.give_up(authorization, left).await?;
        }
        Ok(())
    }

    /// Finds out about all authorizations whose answers are not known, but for that with this cause.
    async fn settle_unwanted(&self, but_for: &str) -> Result<(), Lost> {
        self.rooms.world.time_passes(4).await;
        let open: Vec<PaymentId> = {
            let orders = self.rooms.orders.borrow();
            let ledger = orders.rows.get(&self.id()).map(|row| row.ledger.clone());
            let is_open = |one: &Payment| {
                one.kind == PaymentKind::Authorization
                    && !one.state.is_settled()
                    && one.cause != but_for
            };
            let open = ledger.unwrap_or_default().into_iter().filter(is_open);
            open.map(|one| one.payment_id).collect()
        };
        for payment in open {
            payments::settle_unwanted(&self.rooms, self.id(), payment).await?;
        }
        Ok(())
    }
}

pub(crate) fn give_back(order: &Order, reservation: ReservationId) -> Command {
    Command::Release(GiveBack {
        reservation,
        order: Some(order.order_id),
        units: Vec::new(),
    })
}

fn reserve(rooms: &Rooms, order: &Order, reservation: ReservationId) -> Reserve {
    let lines: Vec<OrderLineId> = order.lines.iter().map(|line| line.order_line_id).collect();
    let demands = order.lines.iter().filter_map(|line| {
        Some(Demand {
            sku: line.sku.parse().ok()?,
            quantity: line.live(),
            eligible: None::<BTreeSet<_>>,
            kit: None,
        })
    });
    Reserve {
        reservation,
        order: order.order_id,
        channel: None,
        fingerprint: [1; 32],
        mode: Mode::Hold(HELD_FOR),
        fill: match order.fill_policy {
            FillPolicy::FillOrKill => Fill::OrKill,
            FillPolicy::FillAll => Fill::All,
            FillPolicy::FillAllAvailable => Fill::AllAvailable,
        },
        urgency: Urgency::NORMAL,
        lines,
        demands: demands.collect(),
        wishes: Wishes {
            ranked: rooms.locations.clone(),
            splits_max: 2,
            single_node_within_rank: 1,
            ship_complete: false,
        },
    }
}
