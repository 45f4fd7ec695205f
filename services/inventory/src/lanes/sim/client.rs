//! Clients that do what the documents tell them: give up late, and repeat a call with its ids until it is answered.

use std::collections::BTreeSet;
use std::sync::{Arc, Mutex};

use oms_core::{IdSource, LocationId, OrderId, OrderLineId, ReservationId, ShipmentId, Sku};
use oms_postgres::idempotency::RequestKey;
use time::Duration;

use crate::domain::command::{
    Adjust, Command, Fill, Issue, Mode, Receive, Release, ReportShort, Reserve, Units,
};
use crate::domain::effect::Outcome;
use crate::domain::fit::{Demand, Wishes};
use crate::domain::level::LevelKey;
use crate::domain::move_reservation::{MoveReservation, MovedUnits};
use crate::domain::refusal::Refusal;
use crate::domain::reservation::{Place, Reservation, ReservationState, Urgency};
use crate::lanes::{Error, Request};

use super::replica::Replica;
use super::tables::POISON;
use super::world::{World, lock};

/// What clients were told. It has to be so in the end.
#[derive(Default)]
pub(super) struct Promises {
    /// Reservations that were made.
    pub(super) made: Mutex<BTreeSet<ReservationId>>,
    /// Reservations that were confirmed.
    pub(super) confirmed: Mutex<BTreeSet<ReservationId>>,
    /// Reservations that were given back as a whole.
    pub(super) released: Mutex<BTreeSet<ReservationId>>,
    /// Causes of receipts and adjustments that were booked.
    pub(super) booked: Mutex<BTreeSet<String>>,
    /// Units issued, by reservation.
    pub(super) issued: Mutex<Vec<(ReservationId, i64)>>,
}

/// A client and what it knows of the world.
pub(super) struct Client {
    pub(super) world: Arc<World>,
    pub(super) replicas: Arc<Vec<Replica>>,
    pub(super) promises: Arc<Promises>,
    pub(super) skus: Vec<Sku>,
    pub(super) nodes: Vec<LocationId>,
}

impl Client {
    /// Does a number of things, one after the other.
    pub(super) async fn work(self, errands: u64) {
        for _ in 0..errands {
            self.world.time_passes(200_000).await;
            match self.world.below(10) {
                0 => self.receive().await,
                1 => self.adjust().await,
                _ => self.buy().await,
            }
        }
    }

    /// Asks until there is an answer; a refusal is one.
    async fn ask(&self, command: Command) -> Result<Outcome, Refusal> {
        let request = Request {
            key: Some(RequestKey {
                principal: "user:sim".to_owned(),
                method: command.name(),
                request_id: self.world.id(),
                hash: [7; 32],
                reason: String::new(),
            }),
            command,
            actor: "user:sim".parse().unwrap(),
        };
        loop {
            let chance = self.world.chaos().doubled_call;
            let answer = if self.world.happens(chance, "doubled call") {
                let (one, other) = tokio::join!(self.send(&request), self.send(&request));
                one.or(other)
            } else {
                self.send(&request).await
            };
            match answer {
                Some(Ok(outcome)) => return Ok(outcome),
                Some(Err(Error::Refused(refusal))) => return Err(refusal),
                Some(Err(Error::RequestIdReused)) => {
                    self.world
                        .violation("a repeat is taken for another body".to_owned());
                }
                Some(Err(Error::Store(error)))
                    if error.kind() == oms_postgres::ErrorKind::Database =>
                {
                    return Err(Refusal::UnknownReservation);
                }
                Some(Err(_)) | None => self.world.saw("repeated call"),
            }
            self.world.time_passes(50_000).await;
        }
    }

    /// Sends it to some replica; `None` when no answer came.
    async fn send(&self, request: &Request) -> Option<Result<Outcome, Error>> {
        let life = self.world.pick(&self.replicas).life();
        let impatient = self
            .world
            .happens(self.world.chaos().impatience, "impatience");
        let patience = if impatient { 3 } else { 10_000 };
        tokio::select! {
            biased;
            () = life.process.dead.cancelled() => None,
            answer = life.lanes.submit(request.clone()) => Some(answer),
            () = tokio::time::sleep(std::time::Duration::from_millis(patience)) => None,
        }
    }

    async fn receive(&self) {
        let cause = format!("receipt/{}", self.world.id());
        let lines = vec![(self.key(), self.units(12))];
        let receive = Receive {
            lines,
            cause: cause.clone(),
            reference: String::new(),
        };
        if self.ask(Command::Receive(receive)).await.is_ok() {
            lock(&self.promises.booked).insert(cause);
        }
    }

    async fn adjust(&self) {
        let cause = format!("adjustment/{}", self.world.id());
        let is_poison = self.world.below(8) == 0;
        let adjust = Adjust {
            key: self.key(),
            delta: self.world.pick(&[-3, -1, 1, 2]).to_owned(),
            reason: if is_poison { POISON } else { "OTHER" }.to_owned(),
            cause: cause.clone(),
        };
        if self.ask(Command::Adjust(adjust)).await.is_ok() {
            lock(&self.promises.booked).insert(cause);
        }
    }

    async fn buy(&self) {
        let id = ReservationId::new(self.world.id());
        let overtaken = self.world.below(40) == 0;
        if overtaken {
            self.release(id).await;
        }
        let mode = match self.world.below(8) {
            0 => Mode::Queue,
            1 => Mode::Allocate,
            _ => Mode::Hold(Duration::milliseconds(
                200 + i64::try_from(self.world.below(3_000)).unwrap(),
            )),
        };
        let Ok(outcome) = self.ask(Command::Reserve(self.order(id, mode))).await else {
            return;
        };
        let made = reservation(outcome);
        if overtaken {
            if made.is_live() {
                self.world
                    .violation(format!("{id} was released before it was made and lives"));
            }
            return;
        }
        lock(&self.promises.made).insert(id);
        self.world.time_passes(1_000_000).await;
        match self.world.below(10) {
            0 => {}
            1 | 2 => self.release(id).await,
            3 => {
                let time_to_live = Duration::SECOND;
                let extend = Command::Extend {
                    reservation: id,
                    time_to_live,
                };
                // What is confirmed or over already says so.
                let _ = self.ask(extend).await;
                self.confirm(id).await;
            }
            _ => self.confirm(id).await,
        }
    }

    async fn confirm(&self, id: ReservationId) {
        let Ok(outcome) = self.ask(Command::Confirm { reservation: id }).await else {
            return;
        };
        lock(&self.promises.confirmed).insert(id);
        let confirmed = reservation(outcome);
        self.world.time_passes(300_000).await;
        match self.world.below(7) {
            0 => self.release(id).await,
            1 => self.report_short(&confirmed).await,
            2 => {}
            3 => self.relocate(&confirmed).await,
            _ => self.issue(&confirmed).await,
        }
    }

    async fn release(&self, id: ReservationId) {
        let release = Release {
            reservation: id,
            order: None,
            units: Vec::new(),
        };
        if self.ask(Command::Release(release)).await.is_ok() {
            lock(&self.promises.released).insert(id);
        }
    }

    async fn issue(&self, confirmed: &Reservation) {
        let units = allocated(confirmed);
        if units.is_empty() {
            return;
        }
        let issue = Issue {
            reservation: confirmed.id,
            shipment: ShipmentId::new(self.world.id()),
            units: units.clone(),
        };
        if self.ask(Command::Issue(issue)).await.is_ok() {
            let issued = units.iter().map(|units| units.quantity).sum();
            lock(&self.promises.issued).push((confirmed.id, issued));
        }
    }

    async fn report_short(&self, confirmed: &Reservation) {
        let Some(units) = allocated(confirmed).into_iter().next() else {
            return;
        };
        let short = ReportShort {
            reservation: confirmed.id,
            units,
            reason: "NOT_FOUND".to_owned(),
        };
        // Released by somebody meanwhile: nothing to report.
        let _ = self.ask(Command::ReportShort(short)).await;
    }

    async fn relocate(&self, confirmed: &Reservation) {
        let Some(units) = allocated(confirmed).into_iter().next() else {
            return;
        };
        let to = Place {
            location: self.world.pick(&self.nodes).clone(),
            lot: String::new(),
        };
        let moved = MoveReservation {
            reservation: confirmed.id,
            moves: vec![MovedUnits { units, to }],
        };
        // It may be there already, or the other place may have too little.
        let _ = self.ask(Command::Move(moved)).await;
    }

    fn order(&self, id: ReservationId, mode: Mode) -> Reserve {
        let lines = 1 + self.world.below(3);
        let demands = (0..lines).map(|_| Demand {
            sku: self.world.pick(&self.skus).clone(),
            quantity: self.units(4),
            eligible: None,
            kit: None,
        });
        let demands: Vec<Demand> = demands.collect();
        Reserve {
            reservation: id,
            order: OrderId::new(self.world.id()),
            channel: None,
            fingerprint: [7; 32],
            mode,
            fill: *self
                .world
                .pick(&[Fill::OrKill, Fill::OrKill, Fill::All, Fill::AllAvailable]),
            urgency: Urgency {
                class: *self.world.pick(&[1, 5, 5, 9]),
                promise_at: None,
            },
            lines: demands
                .iter()
                .map(|_| OrderLineId::new(self.world.id()))
                .collect(),
            demands,
            wishes: Wishes {
                ranked: self.nodes.clone(),
                splits_max: 1,
                single_node_within_rank: 1,
                ship_complete: false,
            },
        }
    }

    fn key(&self) -> LevelKey {
        LevelKey {
            sku: self.world.pick(&self.skus).clone(),
            location: self.world.pick(&self.nodes).clone(),
            lot: String::new(),
        }
    }

    fn units(&self, most: u64) -> i64 {
        i64::try_from(1 + self.world.below(most)).unwrap()
    }
}

impl World {
    fn id(&self) -> uuid::Uuid {
        IdSource::next(self)
    }
}

fn reservation(outcome: Outcome) -> Reservation {
    match outcome {
        Outcome::Reservation { reservation, .. } => *reservation,
        other => panic!("{other:?} for a reservation"),
    }
}

fn allocated(of: &Reservation) -> Vec<Units> {
    let rows = of.rows.iter();
    let rows = rows.filter(|(key, _)| key.state == ReservationState::Allocated);
    rows.map(|(key, row)| Units {
        order_line: key.order_line,
        sku: Some(key.sku.clone()),
        place: key.place.clone(),
        quantity: row.quantity,
    })
    .collect()
}
