//! The inventory room: the real board decides; tables, request ids and the feed are modelled.

use std::collections::{BTreeMap, BTreeSet};

use oms_core::{LocationId, OrderLineId, ReservationId, Sku};
use time::OffsetDateTime;

use crate::cores::inventory::account::Account;
use crate::cores::inventory::board::{Board, Loaded};
use crate::cores::inventory::command::{Command, Receive};
use crate::cores::inventory::effect::{Entry, EntryKey, Fact, Outcome};
use crate::cores::inventory::lane::LaneState;
use crate::cores::inventory::level::{Buckets, Level, LevelKey};
use crate::cores::inventory::refusal::Refusal;
use crate::cores::inventory::reservation::{Reservation, ReservationState};
use crate::cores::order::reservation as copy;
use crate::world::{Sabotage, World};

/// What the inventory database holds.
#[derive(Default)]
pub(crate) struct Stock {
    pub(crate) levels: BTreeMap<LevelKey, Buckets>,
    pub(crate) reservations: BTreeMap<ReservationId, Reservation>,
    pub(crate) lanes: BTreeMap<Sku, LaneState>,
    pub(crate) entries: Vec<Entry>,
    pub(crate) feed: Vec<Fact>,
    /// Keys of the entries of outside causes.
    booked: BTreeSet<EntryKey>,
    answered: BTreeSet<String>,
    /// Reservations whose caller was told that nothing of them is held.
    given_back: BTreeSet<ReservationId>,
}

impl Stock {
    /// Empty shelves for these SKUs.
    pub(crate) fn new(skus: &[Sku]) -> Self {
        Self {
            lanes: skus
                .iter()
                .map(|sku| (sku.clone(), LaneState::default()))
                .collect(),
            ..Self::default()
        }
    }

    fn board(&self, now: OffsetDateTime) -> Board {
        let levels = self.levels.iter().map(|(key, buckets)| Level {
            key: key.clone(),
            buckets: *buckets,
        });
        Board::new(
            now,
            Loaded {
                lanes: self.lanes.clone(),
                levels: levels.collect(),
                reservations: self.reservations.values().cloned().collect(),
                booked: self.booked.clone(),
                has_all_levels: true,
                ..Loaded::default()
            },
        )
    }

    /// Decides a command under all lane locks and writes what it leaves; a request that was answered before is answered
    /// from what is there.
    pub(crate) fn execute(
        &mut self,
        world: &World,
        request: &str,
        command: &Command,
    ) -> Result<Reservation, Refusal> {
        let mut board = self.board(world.now());
        if self.answered.contains(request) && !world.is_sabotaged(Sabotage::NoRequestIds) {
            return reservation_of(board.replay(command)?);
        }
        let unknown = command
            .reservation()
            .is_none_or(|id| !self.reservations.contains_key(&id));
        let outcome = board.decide(command, "service:order")?;
        let leaves_tombstone = matches!(command, Command::Release(_)) && unknown;
        if !(leaves_tombstone && world.is_sabotaged(Sabotage::NoTombstone)) {
            self.write(&board);
        }
        self.answered.insert(request.to_owned());
        world.tell("inventory", format!("{} {request}", name(command)));
        self.watch_given_back(world, command);
        reservation_of(outcome)
    }

    /// What was given back is never held again.
    fn watch_given_back(&mut self, world: &World, command: &Command) {
        let Some(id) = command.reservation() else {
            return;
        };
        if matches!(command, Command::Release(release) if release.units.is_empty()) {
            self.given_back.insert(id);
        }
        let live = self.reservations.get(&id).is_some_and(Reservation::is_live);
        if live && self.given_back.contains(&id) {
            world.violation(format!("reservation {id} was given back and holds stock"));
        }
    }

    fn write(&mut self, board: &Board) {
        for (level, _) in board.changed_levels() {
            self.levels.insert(level.key, level.buckets);
        }
        for (sku, change) in board.changed_queues() {
            if let Some(lane) = self.lanes.get_mut(sku) {
                lane.backordered += change.backordered;
            }
        }
        for reservation in board.changed_reservations() {
            self.reservations
                .insert(reservation.id, reservation.clone());
        }
        self.booked
            .extend(board.entries().iter().map(Entry::entry_key));
        self.entries.extend_from_slice(board.entries());
        self.feed.extend_from_slice(board.facts());
    }

    /// Goods arrive.
    pub(crate) fn receive(&mut self, world: &World, sku: &Sku, location: &LocationId, units: i64) {
        let key = LevelKey {
            sku: sku.clone(),
            location: location.clone(),
            lot: String::new(),
        };
        let cause = format!("receipt/{}", self.entries.len());
        let command = Command::Receive(Receive {
            lines: vec![(key, units)],
            cause: cause.clone(),
            reference: String::new(),
        });
        // It answers levels, which nobody reads here.
        self.execute(world, &cause, &command).ok();
    }

    /// What ran out before it was confirmed ends.
    pub(crate) fn sweep(&mut self, world: &World) {
        let now = world.now();
        let over = |one: &&Reservation| {
            one.state == ReservationState::Held && one.expires_at.is_some_and(|end| end <= now)
        };
        let due: Vec<ReservationId> = self
            .reservations
            .values()
            .filter(over)
            .map(|one| one.id)
            .collect();
        for reservation in due {
            let request = format!("sweep/{reservation}");
            world.saw("reservation expired");
            let command = Command::Expire { reservation };
            self.execute(world, &request, &command).ok();
        }
    }

    /// Units in an account, over all levels.
    pub(crate) fn units(&self, account: Account) -> i64 {
        self.levels.values().map(|one| one.get(account)).sum()
    }

    /// Units of an order line in a state, over all reservations.
    pub(crate) fn reserved(&self, line: OrderLineId, state: ReservationState) -> i64 {
        self.reservations
            .values()
            .flat_map(|one| &one.rows)
            .filter(|(key, _)| key.order_line == line && key.state == state)
            .map(|(_, row)| row.quantity)
            .sum()
    }
}

fn name(command: &Command) -> &'static str {
    match command {
        Command::Reserve(_) => "reserve",
        Command::Extend { .. } => "extend",
        Command::Confirm { .. } => "confirm",
        Command::Release(_) => "release",
        Command::Expire { .. } => "expire",
        Command::ReportShort(_) => "report short",
        Command::Issue(_) => "issue",
        Command::Receive(_) => "receive",
        _ => "other",
    }
}

/// Answers without a reservation stand for nothing anybody waits for.
fn reservation_of(outcome: Outcome) -> Result<Reservation, Refusal> {
    match outcome {
        Outcome::Reservation { reservation, .. } => Ok(*reservation),
        Outcome::Levels(_) | Outcome::Correction(_) => Err(Refusal::UnknownReservation),
    }
}

/// A reservation as the order service copies it.
pub(crate) fn copied(one: &Reservation) -> Option<copy::Reservation> {
    let state = |state: ReservationState| copy::ReservationState::parse(state.as_str());
    let lines = one.rows.iter().filter_map(|(key, row)| {
        Some(copy::ReservationLine {
            order_line_id: key.order_line,
            location_id: key
                .place
                .as_ref()
                .map(|place| place.location.to_string())
                .unwrap_or_default(),
            lot: String::new(),
            state: state(key.state)?,
            quantity: row.quantity,
        })
    });
    Some(copy::Reservation {
        reservation_id: one.id,
        order_id: one.order?,
        cause: String::new(),
        state: state(one.state)?,
        version: one.version,
        lines: lines.collect(),
    })
}
