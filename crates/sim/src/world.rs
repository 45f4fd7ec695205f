//! Chance, virtual time, the network between the rooms, and what is remembered of a run.

use std::cell::{Cell, RefCell};
use std::collections::BTreeMap;
use std::fmt::Display;
use std::rc::Rc;
use std::time::Duration;

use time::OffsetDateTime;
use tokio::time::{Instant, sleep};
use uuid::Uuid;

/// Longest that a caller waits for an answer.
const PATIENCE: Duration = Duration::from_secs(10);
/// Longest that a message is on its way after its sender has given up; less than any patience with what is in doubt.
const LATE_MOST_MS: u64 = 15_000;
/// Longest that a process stands still; longer than any lease.
const STALL_MOST_MS: u64 = 60_000;

/// A rule that is broken on purpose, to see that the simulation finds it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Sabotage {
    /// The payment provider does not know its keys again.
    ForgottenKeys,
    /// A payment whose answer was lost is sent again under another key.
    BlindResend,
    /// A batch of events is applied whatever the cursor says.
    NoCursor,
    /// A result is committed though the saga belongs to somebody else by now: needs a driver that stalls for longer than its
    /// lease.
    NoFencing,
    /// A release of what is not known leaves no tombstone: a Reserve that is late takes stock for an order that has given
    /// up. The hold ends by itself in time, so that the books at rest do not tell; the room says it when it happens.
    NoTombstone,
    /// Inventory does not know a repeated request again. Most commands come out the same when they are repeated, by their
    /// reservation's state or their cause; a report of missing units does not.
    NoRequestIds,
    /// Captures do not look at the end of their authorization.
    NoRenewal,
}

impl Sabotage {
    /// Each must be found.
    pub(crate) const ALL: [Self; 7] = [
        Self::ForgottenKeys,
        Self::BlindResend,
        Self::NoCursor,
        Self::NoFencing,
        Self::NoTombstone,
        Self::NoRequestIds,
        Self::NoRenewal,
    ];
}

/// The answer did not come: what the other side has done is not known.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Lost;

/// How bad the weather is, in thousandths of messages.
#[derive(Debug, Clone, Copy, Default)]
struct Weather {
    request_lost: u64,
    reply_lost: u64,
    late: u64,
    twice: u64,
    commit_unheard: u64,
    stalled: u64,
}

/// See the module.
pub(crate) struct World {
    /// The broken rule, if any.
    pub(crate) sabotage: Option<Sabotage>,
    state: Cell<u64>,
    start: Instant,
    weather: Cell<Weather>,
    /// Rooms that nobody reaches until then.
    cut_off: RefCell<BTreeMap<&'static str, Instant>>,
    history: Option<RefCell<Vec<String>>>,
    seen: RefCell<BTreeMap<&'static str, u64>>,
    violations: RefCell<Vec<String>>,
}

impl World {
    /// A world that follows from its seed. `tells` keeps its history.
    pub(crate) fn new(seed: u64, sabotage: Option<Sabotage>, tells: bool) -> Rc<Self> {
        let world = Self {
            sabotage,
            state: Cell::new(seed.wrapping_mul(0x2545_f491_4f6c_dd1d) ^ 0x9e37_79b9_7f4a_7c15),
            start: Instant::now(),
            weather: Cell::default(),
            cut_off: RefCell::default(),
            history: tells.then(RefCell::default),
            seen: RefCell::default(),
            violations: RefCell::default(),
        };
        // Every fourth world is sunny but for crashes.
        if world.below(4) > 0 {
            world.weather.set(Weather {
                request_lost: world.below(60),
                reply_lost: world.below(80),
                late: world.below(60),
                twice: world.below(80),
                commit_unheard: world.below(30),
                stalled: world.below(30),
            });
        }
        Rc::new(world)
    }

    /// A number below this one, which is above zero.
    pub(crate) fn below(&self, most: u64) -> u64 {
        let state = self.state.get().wrapping_add(0x9e37_79b9_7f4a_7c15);
        self.state.set(state);
        let mut mixed = state;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        (mixed ^ (mixed >> 31)) % most
    }

    /// A number from one to another.
    pub(crate) fn between(&self, least: i64, most: i64) -> i64 {
        let width = u64::try_from(most - least + 1).unwrap_or(1);
        least + i64::try_from(self.below(width)).unwrap_or_default()
    }

    fn chance(&self, thousandths: u64) -> bool {
        self.below(1_000) < thousandths
    }

    /// A new id.
    pub(crate) fn id(&self) -> Uuid {
        let (high, low) = (self.below(u64::MAX), self.below(u64::MAX));
        Uuid::from_u64_pair(high, low)
    }

    /// The time.
    pub(crate) fn now(&self) -> OffsetDateTime {
        OffsetDateTime::UNIX_EPOCH + self.start.elapsed()
    }

    /// Passes some time.
    pub(crate) async fn time_passes(&self, most_ms: u64) {
        sleep(Duration::from_millis(1 + self.below(most_ms))).await;
    }

    /// Nothing goes wrong from now on.
    pub(crate) fn calm_down(&self) {
        self.weather.set(Weather::default());
        self.cut_off.borrow_mut().clear();
        self.tell("world", "nothing goes wrong from now on");
    }

    /// Nobody reaches this room for some time.
    pub(crate) fn cut_off(&self, room: &'static str, time: Duration) {
        self.saw("partition");
        self.tell(room, format!("cut off for {} ms", time.as_millis()));
        let until = Instant::now() + time;
        self.cut_off.borrow_mut().insert(room, until);
    }

    fn is_cut_off(&self, room: &str) -> bool {
        let until = self.cut_off.borrow().get(room).copied();
        until.is_some_and(|until| until > Instant::now())
    }

    /// Calls another room, which does its work at one moment, or not at all, or twice, or long after nobody waits any more.
    pub(crate) async fn call<T: 'static>(
        self: &Rc<Self>,
        room: &'static str,
        serve: impl Fn() -> T + Clone + 'static,
    ) -> Result<T, Lost> {
        let weather = self.weather.get();
        if self.is_cut_off(room) || self.chance(weather.request_lost) {
            self.saw("request lost");
            sleep(PATIENCE).await;
            return Err(Lost);
        }
        if self.chance(weather.late) {
            self.saw("request late");
            Self::again_later(
                PATIENCE + Duration::from_millis(1 + self.below(LATE_MOST_MS)),
                serve,
            );
            sleep(PATIENCE).await;
            return Err(Lost);
        }
        if self.chance(weather.twice) {
            self.saw("request twice");
            Self::again_later(
                Duration::from_millis(1 + self.below(LATE_MOST_MS)),
                serve.clone(),
            );
        }
        self.time_passes(40).await;
        let answer = serve();
        self.time_passes(40).await;
        if self.chance(weather.reply_lost) {
            self.saw("reply lost");
            sleep(PATIENCE).await;
            return Err(Lost);
        }
        Ok(answer)
    }

    fn again_later<T: 'static>(after: Duration, serve: impl Fn() -> T + 'static) {
        tokio::task::spawn_local(async move {
            sleep(after).await;
            serve();
        });
    }

    /// Runs a transaction at one moment. An error says that nobody heard whether it was committed; it was.
    pub(crate) async fn commit<T>(&self, work: impl FnOnce() -> T) -> Result<T, Lost> {
        self.time_passes(6).await;
        let done = work();
        self.time_passes(6).await;
        if self.chance(self.weather.get().commit_unheard) {
            self.saw("commit unheard");
            return Err(Lost);
        }
        Ok(done)
    }

    /// Now and then the process stands still, before it writes what it has found out: others may have taken over by the time
    /// it goes on.
    pub(crate) async fn stall(&self) {
        if self.chance(self.weather.get().stalled) {
            self.saw("worker stalled");
            self.time_passes(STALL_MOST_MS).await;
        }
    }

    /// Counts what happened.
    pub(crate) fn saw(&self, what: &'static str) {
        *self.seen.borrow_mut().entry(what).or_default() += 1;
    }

    /// Writes a line of history.
    pub(crate) fn tell(&self, who: &str, what: impl Display) {
        if let Some(history) = &self.history {
            let at = self.start.elapsed();
            let line = format!("{:>9.3} s  {who:<12} {what}", at.as_secs_f64());
            history.borrow_mut().push(line);
        }
    }

    /// Something that must never happen.
    pub(crate) fn violation(&self, what: impl Display) {
        self.tell("VIOLATION", &what);
        self.violations.borrow_mut().push(what.to_string());
    }

    /// What happened, how often.
    pub(crate) fn seen(&self) -> BTreeMap<&'static str, u64> {
        self.seen.borrow().clone()
    }

    /// What must never happen and did.
    pub(crate) fn violations(&self) -> Vec<String> {
        self.violations.borrow().clone()
    }

    /// The history, line by line; empty when it is not told.
    pub(crate) fn history(&self) -> Vec<String> {
        self.history
            .as_ref()
            .map(|history| history.borrow().clone())
            .unwrap_or_default()
    }

    /// Whether this rule is broken.
    pub(crate) fn is_sabotaged(&self, by: Sabotage) -> bool {
        self.sabotage == Some(by)
    }
}
