//! One decision per command. Each looks first, then changes the board in one step.

use std::collections::{BTreeMap, BTreeSet};

use oms_core::{ReservationId, Sku, Violations};

use super::account::{Account, EntryType};
use super::board::{Board, Draft};
use super::book::freed_by;
use super::command::{Command, Fill, Issue, Mode, Release, ReportShort, Reserve, Units};
use super::effect::{Entry, Fact, Outcome};
use super::fit::{self, Fitted};
use super::level::LevelKey;
use super::refusal::Refusal;
use super::reservation::{Action, Place, Reservation, ReservationState as S, Row, RowKey};
use super::rows::{Move, move_rows, named_rows, row_entry, rows_in};

impl Board {
    /// Decides a command of this actor. What it frees goes to demand that waits, in the same step.
    pub(crate) fn decide(&mut self, command: &Command, actor: &str) -> Result<Outcome, Refusal> {
        actor.clone_into(&mut self.actor);
        match command {
            Command::Reserve(reserve) => self.reserve(reserve),
            Command::Extend {
                reservation,
                time_to_live,
            } => self.extend(*reservation, *time_to_live),
            Command::Confirm { reservation } => self.confirm(*reservation),
            Command::Release(release) => self.release(release),
            Command::Expire { reservation } => self.expire(*reservation),
            Command::ReportShort(short) => self.report_short(short),
            Command::Issue(issue) => self.issue(issue),
            Command::Receive(receive) => self.receive(receive),
            Command::Move(moved) => self.move_reservation(moved),
            Command::Adjust(adjust) => self.adjust(adjust),
            Command::MoveReturned(moved) => self.move_returned(moved),
            Command::SetStock(set) => self.set_stock(set),
            Command::MoveStock(moved) => self.move_stock(moved),
            Command::AllocateBackorders { sku } => Ok(self.allocate_backorders(sku)),
            Command::Correct(correct) => self.correct(correct),
            Command::AllocateComplete { reservation } => self.allocate_complete(*reservation),
        }
    }

    /// Answer to a command that succeeded before: what it was about, as it is now.
    pub(crate) fn replay(&self, command: &Command) -> Result<Outcome, Refusal> {
        if let Some(id) = command.reservation() {
            let found = self
                .reservations
                .get(&id)
                .ok_or(Refusal::UnknownReservation)?;
            return Ok(answer(found));
        }
        if let Command::Correct(correct) = command {
            return self.corrected(correct.correction);
        }
        let keys: BTreeSet<LevelKey> = match command {
            Command::Receive(receive) => receive.lines.iter().map(|(key, _)| key.clone()).collect(),
            Command::Adjust(adjust) => [adjust.key.clone()].into(),
            Command::SetStock(set) => [set.key.clone()].into(),
            Command::MoveStock(moved) => moved.keys(),
            _ => BTreeSet::new(),
        };
        Ok(self.levels_outcome(&keys))
    }

    fn reserve(&mut self, reserve: &Reserve) -> Result<Outcome, Refusal> {
        if let Some(found) = self.reservations.get(&reserve.reservation) {
            // A tombstone has no fingerprint: it answers every request with RELEASED.
            return match found.fingerprint {
                Some(fingerprint) if fingerprint != reserve.fingerprint => {
                    Err(Refusal::AlreadyExists)
                }
                _ => Ok(answer(found)),
            };
        }
        self.check_demands(reserve)?;
        let fitted = match reserve.mode {
            Mode::Queue => Fitted::nothing(&reserve.demands),
            Mode::Hold(_) | Mode::Allocate => {
                let (supply, caps) = (self.supply_for(reserve), self.caps_for(reserve));
                fit::fit(&reserve.demands, &reserve.wishes, &supply, &caps)
            }
        };
        let shortages = match reserve.mode {
            Mode::Queue => Vec::new(),
            Mode::Hold(_) | Mode::Allocate => self.shortages(reserve, &fitted),
        };
        let kills = match reserve.fill {
            Fill::OrKill => !shortages.is_empty(),
            // An order of which nothing is there would be an empty reservation.
            Fill::AllAvailable => fitted.takes.is_empty() && reserve.mode != Mode::Queue,
            Fill::All => false,
        };
        if kills {
            return Err(Refusal::OutOfStock(shortages));
        }
        let mut reservation = self.fresh(reserve);
        let entries = take_units(&mut reservation, reserve, &fitted);
        if reserve.mode == Mode::Queue || reserve.fill == Fill::All {
            queue_the_rest(&mut reservation, reserve, &fitted);
        }
        reservation.shortages = shortages;
        reservation.settle();
        if reserve.mode == Mode::Queue {
            return self.queue(reserve, reservation);
        }
        self.check_room(reserve, &reservation, &fitted)?;
        self.change(reservation, entries, "reserve")
    }

    fn fresh(&self, reserve: &Reserve) -> Reservation {
        Reservation {
            id: reserve.reservation,
            order: Some(reserve.order),
            channel: reserve.channel.clone(),
            fingerprint: Some(reserve.fingerprint),
            state: S::Released,
            expires_at: match reserve.mode {
                Mode::Hold(time_to_live) => Some(self.now + time_to_live),
                Mode::Allocate | Mode::Queue => None,
            },
            urgency: reserve.urgency,
            ship_complete: reserve.wishes.ship_complete,
            shortages: Vec::new(),
            version: 0,
            created_at: self.now,
            rows: BTreeMap::new(),
        }
    }

    fn extend(
        &mut self,
        id: ReservationId,
        time_to_live: time::Duration,
    ) -> Result<Outcome, Refusal> {
        let mut reservation = self.existing(id)?;
        if matches!(reservation.state, S::Expired | S::Released) {
            return Err(Refusal::Ended(reservation.state));
        }
        if reservation.is_confirmed() {
            let state = reservation.state;
            return Err(Refusal::Illegal {
                state,
                action: Action::Extend.as_str(),
            });
        }
        let latest = reservation.created_at + Reservation::LIFE_MAX;
        reservation.expires_at = Some((self.now + time_to_live).min(latest));
        reservation.settle();
        self.change(reservation, Vec::new(), Action::Extend.as_str())
    }

    fn confirm(&mut self, id: ReservationId) -> Result<Outcome, Refusal> {
        let mut reservation = self.existing(id)?;
        if matches!(reservation.state, S::Expired | S::Released) {
            return Err(Refusal::Ended(reservation.state));
        }
        if reservation.is_confirmed() {
            return Ok(answer(&reservation));
        }
        let rows = rows_in(&reservation, &[S::Held]);
        let entries = move_rows(&mut reservation, Action::Confirm, &rows);
        reservation.expires_at = None;
        reservation.settle();
        self.change(reservation, entries, Action::Confirm.as_str())
    }

    fn release(&mut self, release: &Release) -> Result<Outcome, Refusal> {
        let id = release.reservation;
        let Some(mut reservation) = self.reservations.get(&id).cloned() else {
            let tombstone = Reservation::tombstone(id, release.order, self.now);
            return self.change(tombstone, Vec::new(), Action::Release.as_str());
        };
        if !reservation.is_live() {
            return Ok(answer(&reservation));
        }
        let rows = if release.units.is_empty() {
            rows_in(&reservation, &[S::Held, S::Allocated, S::Backordered])
        } else {
            named_rows(&reservation, &release.units, Action::Release, "lines")?
        };
        let entries = move_rows(&mut reservation, Action::Release, &rows);
        reservation.settle();
        self.change(reservation, entries, Action::Release.as_str())
    }

    fn expire(&mut self, id: ReservationId) -> Result<Outcome, Refusal> {
        let mut reservation = self.existing(id)?;
        // Confirmed, extended or released since the sweeper saw it: nothing to do.
        if reservation.expires_at.is_none_or(|at| at > self.now) {
            return Ok(answer(&reservation));
        }
        let rows = rows_in(&reservation, &[S::Held, S::Backordered]);
        let entries = move_rows(&mut reservation, Action::Expire, &rows);
        reservation.settle();
        self.change(reservation, entries, Action::Expire.as_str())
    }

    fn report_short(&mut self, short: &ReportShort) -> Result<Outcome, Refusal> {
        let mut reservation = self.existing(short.reservation)?;
        let units = std::slice::from_ref(&short.units);
        let rows = named_rows(&reservation, units, Action::ReportShort, "line")?;
        let mut entries = move_rows(&mut reservation, Action::ReportShort, &rows);
        for entry in &mut entries {
            entry.reason.clone_from(&short.reason);
        }
        reservation.settle();
        self.change(reservation, entries, Action::ReportShort.as_str())
    }

    fn issue(&mut self, issue: &Issue) -> Result<Outcome, Refusal> {
        let mut reservation = self.existing(issue.reservation)?;
        let fresh: Vec<Units> = issue
            .units
            .iter()
            .filter(|units| !self.is_issued(&reservation, issue, units))
            .cloned()
            .collect();
        if fresh.is_empty() {
            return Ok(answer(&reservation));
        }
        let rows = named_rows(&reservation, &fresh, Action::Issue, "lines")?;
        let mut entries = move_rows(&mut reservation, Action::Issue, &rows);
        for entry in &mut entries {
            entry.cause = issue.cause();
            entry.line = issue_line(&reservation, &entry.line);
        }
        reservation.settle();
        self.change(reservation, entries, Action::Issue.as_str())
    }

    /// Whether the ledger, or a decision before this one, has these units of the shipment.
    fn is_issued(&self, reservation: &Reservation, issue: &Issue, units: &Units) -> bool {
        let (cause, line) = (
            issue.cause(),
            issue_line(reservation, &units.order_line.to_string()),
        );
        let same = |entry: EntryType, other_cause: &str, other_line: &str, key: &LevelKey| {
            entry == EntryType::Issue
                && units.sku.as_ref().is_none_or(|sku| *sku == key.sku)
                && other_cause == cause
                && other_line == line
                && units
                    .place
                    .as_ref()
                    .is_some_and(|place| place.location == key.location && place.lot == key.lot)
        };
        let stored = self
            .booked
            .iter()
            .any(|one| same(one.entry, &one.cause, &one.line, &one.key));
        stored
            || self
                .entries
                .iter()
                .any(|one| same(one.entry, &one.cause, &one.line, &one.key))
    }

    /// Makes a change to a reservation, tells of it, and gives away what became free.
    pub(super) fn change(
        &mut self,
        reservation: Reservation,
        entries: Vec<Entry>,
        action: &'static str,
    ) -> Result<Outcome, Refusal> {
        let id = reservation.id;
        let freed = freed_by(&entries);
        self.commit(Draft {
            reservations: vec![reservation.clone()],
            entries,
            ..Draft::default()
        })?;
        self.facts.push(Fact::Changed {
            reservation,
            action,
        });
        self.supply(&freed);
        // Supply may have come back to this very reservation.
        self.reservations
            .get(&id)
            .map(answer)
            .ok_or(Refusal::UnknownReservation)
    }

    pub(super) fn existing(&self, id: ReservationId) -> Result<Reservation, Refusal> {
        self.reservations
            .get(&id)
            .cloned()
            .ok_or(Refusal::UnknownReservation)
    }

    pub(super) fn check_skus<'a>(
        &self,
        skus: impl Iterator<Item = &'a Sku>,
    ) -> Result<(), Refusal> {
        let mut violations = Violations::default();
        for (number, sku) in skus.enumerate() {
            self.check_shelf(&format!("lines[{number}].sku"), sku, &mut violations);
        }
        violations.into_result().map_err(Refusal::Invalid)
    }
}

pub(super) fn answer(reservation: &Reservation) -> Outcome {
    Outcome::Reservation {
        shortages: reservation.shortages.clone(),
        reservation: Box::new(reservation.clone()),
    }
}

/// A shipment may hold units of one order line from two reservations.
fn issue_line(reservation: &Reservation, order_line: &str) -> String {
    format!("{}/{order_line}", reservation.id)
}

fn take_units(reservation: &mut Reservation, reserve: &Reserve, fitted: &Fitted) -> Vec<Entry> {
    let (state, entry, to) = match reserve.mode {
        Mode::Allocate => (S::Allocated, EntryType::Allocate, Account::Allocated),
        Mode::Hold(_) | Mode::Queue => (S::Held, EntryType::Hold, Account::Held),
    };
    let move_ = Move {
        entry,
        from: Account::Available,
        to,
    };
    let mut entries = Vec::new();
    for take in &fitted.takes {
        let Some(order_line) = reserve.lines.get(take.line) else {
            continue;
        };
        let place = Place {
            location: take.location.clone(),
            lot: take.lot.clone(),
        };
        let key = RowKey {
            order_line: *order_line,
            sku: take.sku.clone(),
            place: Some(place.clone()),
            state,
        };
        let row = Row {
            quantity: take.quantity,
            queued_at: reservation.created_at,
        };
        entries.push(row_entry(reservation, &key, &place, take.quantity, move_));
        reservation.add(key, row);
    }
    entries
}

fn queue_the_rest(reservation: &mut Reservation, reserve: &Reserve, fitted: &Fitted) {
    let lines = reserve.lines.iter().zip(&reserve.demands);
    for ((order_line, demand), covered) in lines.zip(&fitted.covered) {
        let rest = demand.quantity - covered;
        if rest == 0 {
            continue;
        }
        for (sku, per) in demand.parts() {
            let key = RowKey {
                order_line: *order_line,
                sku: sku.clone(),
                place: None,
                state: S::Backordered,
            };
            let row = Row {
                quantity: rest * per,
                queued_at: reservation.created_at,
            };
            reservation.add(key, row);
        }
    }
}
