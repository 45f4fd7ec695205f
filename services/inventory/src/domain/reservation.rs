//! The reservation: its state machine and its rows.

use std::collections::{BTreeMap, BTreeSet};

use oms_core::{ChannelId, LocationId, OrderId, OrderLineId, ReservationId, Sku};
use time::{Duration, OffsetDateTime};

use super::level::LevelKey;

/// State of reserved units, and of a reservation as a whole.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(crate) enum ReservationState {
    /// Held with a time to live.
    Held,
    /// Allocated to a confirmed order.
    Allocated,
    /// Demand that waits for stock.
    Backordered,
    /// Shipped.
    Consumed,
    /// Given back, or reported short.
    Released,
    /// Ran out before it was confirmed.
    Expired,
}

/// What is done to reserved units.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) enum Action {
    /// Its time to live is moved.
    Extend,
    /// The order goes ahead.
    Confirm,
    /// Given back.
    Release,
    /// Ran out.
    Expire,
    /// A picker did not find it.
    ReportShort,
    /// Shipped.
    Issue,
    /// Taken from another place instead.
    Move,
    /// The stock that was promised turned out not to be there.
    Displace,
    /// Stock came for a confirmed order that waited.
    Supply,
    /// Stock came for an order that waited and is not confirmed.
    SupplyHeld,
}

use Action as A;
use ReservationState as S;

/// Every legal step of units: from, action, to.
pub(crate) const TRANSITIONS: &[(ReservationState, Action, ReservationState)] = &[
    (S::Held, A::Extend, S::Held),
    (S::Held, A::Confirm, S::Allocated),
    (S::Held, A::Release, S::Released),
    (S::Held, A::Expire, S::Expired),
    (S::Allocated, A::Release, S::Released),
    (S::Allocated, A::ReportShort, S::Released),
    (S::Allocated, A::Issue, S::Consumed),
    (S::Held, A::Move, S::Held),
    (S::Allocated, A::Move, S::Allocated),
    (S::Held, A::Displace, S::Backordered),
    (S::Allocated, A::Displace, S::Backordered),
    (S::Backordered, A::Extend, S::Backordered),
    (S::Backordered, A::Confirm, S::Backordered),
    (S::Backordered, A::Release, S::Released),
    (S::Backordered, A::Expire, S::Expired),
    (S::Backordered, A::Supply, S::Allocated),
    (S::Backordered, A::SupplyHeld, S::Held),
];

impl ReservationState {
    /// All states.
    pub(crate) const ALL: [Self; 6] = [
        S::Held,
        S::Allocated,
        S::Backordered,
        S::Consumed,
        S::Released,
        S::Expired,
    ];

    /// The name that the database, the proto enum and people use.
    pub(crate) fn as_str(self) -> &'static str {
        match self {
            S::Held => "HELD",
            S::Allocated => "ALLOCATED",
            S::Backordered => "BACKORDERED",
            S::Consumed => "CONSUMED",
            S::Released => "RELEASED",
            S::Expired => "EXPIRED",
        }
    }

    /// Reads the name.
    pub(crate) fn parse(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|state| state.as_str() == name)
    }

    /// The state of units after the action; `None` when it is illegal now.
    pub(crate) fn after(self, action: Action) -> Option<Self> {
        TRANSITIONS
            .iter()
            .find(|(from, by, _)| *from == self && *by == action)
            .map(|(_, _, to)| *to)
    }

    /// Whether something can still happen to units in this state.
    pub(crate) fn is_live(self) -> bool {
        matches!(self, S::Held | S::Allocated | S::Backordered)
    }
}

impl Action {
    /// Actions that callers may ask for.
    const BY_CALLERS: [Self; 6] = [
        A::Extend,
        A::Confirm,
        A::Release,
        A::ReportShort,
        A::Issue,
        A::Move,
    ];

    /// The name that callers and events see.
    pub(crate) fn as_str(self) -> &'static str {
        match self {
            A::Extend => "extend",
            A::Confirm => "confirm",
            A::Release => "release",
            A::Expire => "expire",
            A::ReportShort => "report_short",
            A::Issue => "issue",
            A::Move => "move",
            A::Displace => "displace",
            A::Supply => "allocate_backorder",
            // To the outside these units are reserved as if they had been there at first.
            A::SupplyHeld => "reserve",
        }
    }
}

/// What a caller may do to units in this state.
pub(crate) fn supported_actions(state: ReservationState) -> Vec<&'static str> {
    Action::BY_CALLERS
        .into_iter()
        .filter(|action| state.after(*action).is_some())
        .map(Action::as_str)
        .collect()
}

/// A location and lot.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) struct Place {
    /// Location.
    pub(crate) location: LocationId,
    /// Lot; empty when the item has none.
    pub(crate) lot: String,
}

impl Place {
    /// The level of a SKU there.
    pub(crate) fn level(&self, sku: &Sku) -> LevelKey {
        LevelKey {
            sku: sku.clone(),
            location: self.location.clone(),
            lot: self.lot.clone(),
        }
    }
}

/// What tells one row of a reservation from another.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) struct RowKey {
    /// Order line.
    pub(crate) order_line: OrderLineId,
    /// SKU; of the line of a kit, one of its components.
    pub(crate) sku: Sku,
    /// Where the units stand; `None` for demand that waits for stock, or ended as such.
    pub(crate) place: Option<Place>,
    /// Their state.
    pub(crate) state: ReservationState,
}

/// Units of a row.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Row {
    /// Units, above zero.
    pub(crate) quantity: i64,
    /// When the demand was made: the age by which backorders wait in line.
    pub(crate) queued_at: OffsetDateTime,
}

/// A line that could not be covered. Of a kit, everything is told in kits.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Shortage {
    /// Order line.
    pub(crate) order_line: OrderLineId,
    /// SKU.
    pub(crate) sku: Sku,
    /// Location that was looked at; `None` when all eligible locations were.
    pub(crate) location: Option<LocationId>,
    /// Units asked for.
    pub(crate) requested: i64,
    /// Units that could be taken.
    pub(crate) available: i64,
    /// When more is expected, where that is known.
    pub(crate) next_supply: Option<OffsetDateTime>,
}

/// Who is served first when stock is short, and loses it last when less is there than was promised.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Urgency {
    /// Class: 0 is the most urgent, 9 the least.
    pub(crate) class: i16,
    /// When the customer was promised the goods; who was promised nothing comes last in the class.
    pub(crate) promise_at: Option<OffsetDateTime>,
}

impl Urgency {
    /// What nobody said anything about.
    pub(crate) const NORMAL: Self = Self {
        class: 5,
        promise_at: None,
    };

    /// Sorts the most urgent first.
    pub(crate) fn rank(&self) -> (i16, bool, Option<OffsetDateTime>) {
        (self.class, self.promise_at.is_none(), self.promise_at)
    }
}

/// Stock taken for an order.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Reservation {
    /// Id, made by the caller.
    pub(crate) id: ReservationId,
    /// Order; `None` only on a tombstone.
    pub(crate) order: Option<OrderId>,
    /// Sales channel of the order; `None` for none.
    pub(crate) channel: Option<ChannelId>,
    /// Hash of the request that made it; `None` on a tombstone.
    pub(crate) fingerprint: Option<[u8; 32]>,
    /// State of the whole.
    pub(crate) state: ReservationState,
    /// Set while it lives and is not confirmed.
    pub(crate) expires_at: Option<OffsetDateTime>,
    /// How urgent the order is.
    pub(crate) urgency: Urgency,
    /// All units come from one location, or all wait.
    pub(crate) ship_complete: bool,
    /// Lines that could not be covered when it was made.
    pub(crate) shortages: Vec<Shortage>,
    /// Version; also the number of its last event.
    pub(crate) version: i64,
    /// When it was made.
    pub(crate) created_at: OffsetDateTime,
    /// Its rows.
    pub(crate) rows: BTreeMap<RowKey, Row>,
}

impl Reservation {
    /// Longest life of a hold, however often it is extended.
    pub(crate) const LIFE_MAX: Duration = Duration::hours(2);

    /// What is left of a reservation that was released before it was made: a Reserve that comes
    /// later finds it and takes nothing.
    pub(crate) fn tombstone(
        id: ReservationId,
        order: Option<OrderId>,
        now: OffsetDateTime,
    ) -> Self {
        Self {
            id,
            order,
            channel: None,
            fingerprint: None,
            state: S::Released,
            expires_at: None,
            urgency: Urgency::NORMAL,
            ship_complete: false,
            shortages: Vec::new(),
            version: 1,
            created_at: now,
            rows: BTreeMap::new(),
        }
    }

    /// The SKUs whose lanes guard this reservation. They never change.
    pub(crate) fn skus(&self) -> BTreeSet<&Sku> {
        self.rows.keys().map(|key| &key.sku).collect()
    }

    /// Whether the order behind it went ahead.
    pub(crate) fn is_confirmed(&self) -> bool {
        self.expires_at.is_none()
    }

    /// Whether any unit is live.
    pub(crate) fn is_live(&self) -> bool {
        self.rows.keys().any(|key| key.state.is_live())
    }

    /// HELD or ALLOCATED while any unit is, BACKORDERED when all live units wait, else how it ended.
    fn whole(&self) -> ReservationState {
        let has = |state| self.rows.keys().any(|key| key.state == state);
        [
            S::Held,
            S::Allocated,
            S::Backordered,
            S::Consumed,
            S::Expired,
        ]
        .into_iter()
        .find(|state| has(*state))
        .unwrap_or(S::Released)
    }

    /// Brings the state of the whole, the expiry and the version in line after the rows changed.
    pub(crate) fn settle(&mut self) {
        self.state = self.whole();
        if !self.state.is_live() {
            self.expires_at = None;
        }
        self.version += 1;
    }

    /// Units of a row; 0 when it is not there.
    pub(crate) fn units(&self, key: &RowKey) -> i64 {
        self.rows.get(key).map_or(0, |row| row.quantity)
    }

    /// Units of a SKU that wait for stock.
    pub(crate) fn waiting(&self) -> impl Iterator<Item = (&Sku, i64)> {
        let rows = self.rows.iter();
        rows.filter(|(key, _)| key.state == S::Backordered)
            .map(|(key, row)| (&key.sku, row.quantity))
    }

    /// Adds units to a row.
    pub(crate) fn add(&mut self, key: RowKey, units: Row) {
        self.rows
            .entry(key)
            .and_modify(|row| row.quantity += units.quantity)
            .or_insert(units);
    }

    /// Splits `quantity` units off a row and adds them to another one. Takes what is there when it is
    /// less; callers check first.
    pub(crate) fn split_off(&mut self, from: &RowKey, to: RowKey, quantity: i64) {
        let Some(row) = self.rows.get_mut(from) else {
            return;
        };
        let quantity = quantity.min(row.quantity);
        let moved = Row {
            quantity,
            queued_at: row.queued_at,
        };
        row.quantity -= quantity;
        if row.quantity == 0 {
            self.rows.remove(from);
        }
        self.add(to, moved);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SQL: &str = include_str!("../../migrations/0003_reservations.sql");

    #[test]
    fn names_round_trip() {
        for state in ReservationState::ALL {
            assert_eq!(ReservationState::parse(state.as_str()), Some(state));
        }
        assert_eq!(ReservationState::parse("held"), None);
    }

    #[test]
    fn the_database_knows_the_same_states() {
        let names: Vec<String> = S::ALL
            .iter()
            .map(|state| format!("'{}'", state.as_str()))
            .collect();
        let check = format!("CHECK (state IN ({}))", names.join(", "));
        assert_eq!(SQL.matches(&check).count(), 2, "{check}");
    }

    #[test]
    fn each_pair_of_state_and_action_leads_to_one_state() {
        for (index, (from, action, _)) in TRANSITIONS.iter().enumerate() {
            let again = TRANSITIONS
                .iter()
                .skip(index + 1)
                .any(|(f, a, _)| f == from && a == action);
            assert!(!again, "{from:?} {action:?} stands twice");
        }
    }

    #[test]
    fn nothing_leads_out_of_an_ended_state() {
        for (from, action, _) in TRANSITIONS {
            assert!(from.is_live(), "{from:?} {action:?}");
        }
        assert!(supported_actions(S::Released).is_empty());
        assert_eq!(
            supported_actions(S::Allocated),
            ["release", "report_short", "issue", "move"]
        );
    }
}
