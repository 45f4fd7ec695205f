//! What a sale is about: stock, orders and faults, all from one seed.

use std::collections::BTreeMap;

use oms_proto::common::v1::FillPolicy;
use oms_proto::inventory::v1 as pb;
use oms_tests::{id, seconds};

use crate::faults::Fault;
use oms_tests::dice::Dice;

/// Longer than any sale, so that no hold runs out.
const HOLD_SECONDS: i64 = 3_600;
/// Orders in a hundred that are sent twice at the same time.
const TWINS_PERCENT: usize = 5;
/// Of the orders of the early phase, those in a hundred that are confirmed, and those that are given back.
const CONFIRMED_PERCENT: usize = 20;
const ABANDONED_PERCENT: usize = 10;

/// How large a sale is and what happens to it.
#[derive(Debug, Clone)]
pub(crate) struct Scenario {
    /// For people: `R4 flash sale`.
    pub(crate) name: &'static str,
    /// Number of SKUs.
    pub(crate) skus: usize,
    /// Units of each.
    pub(crate) units: i64,
    /// Buyers at the same time in the rush.
    pub(crate) callers: usize,
    /// Buyers that come too late for each SKU, in the rush.
    pub(crate) late: i64,
    /// Orders of several SKUs before the rush.
    pub(crate) early: Early,
    /// What happens during the early phase.
    pub(crate) faults: Vec<Fault>,
}

/// What happens before the rush.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Early {
    /// Nothing: everybody comes at once.
    None,
    /// All who want several SKUs come at once and want more than there is.
    Mixed,
    /// Buyers come little by little while faults happen and want four fifths of what is there; after them, as long as
    /// faults happen, people who give back what they took.
    Paced,
}

/// What a buyer does with what was reserved.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Intent {
    /// Leaves it held.
    Keep,
    Confirm,
    Abandon,
}

/// An order; the ids of all its calls follow from its name.
#[derive(Debug, Clone)]
pub(crate) struct Order {
    /// Of this order in this run.
    pub(crate) name: String,
    /// Units by line.
    pub(crate) lines: Vec<(String, i64)>,
    pub(crate) intent: Intent,
    /// Sent twice at the same time. The second call has the same request id, or one of its own.
    pub(crate) twin: Option<Twin>,
    /// Replica that is asked first.
    pub(crate) replica: usize,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Twin {
    SameCall,
    OtherCall,
}

/// See the module.
#[derive(Debug)]
pub(crate) struct Plan {
    /// Units of each SKU.
    pub(crate) stock: BTreeMap<String, i64>,
    pub(crate) early: Vec<Order>,
    pub(crate) rush: Vec<Order>,
}

impl Plan {
    pub(crate) fn of(scenario: &Scenario, seed: u64) -> Self {
        let names = (0..scenario.skus).map(|number| format!("hot-{number}"));
        let stock: BTreeMap<String, i64> = names.map(|sku| (sku, scenario.units)).collect();
        let mut plan = Self {
            stock,
            early: Vec::new(),
            rush: Vec::new(),
        };
        let mut dice = Dice::new(seed);
        plan.add_early(scenario, seed, &mut dice);
        plan.add_rush(scenario, seed, &mut dice);
        plan
    }

    /// People without end who take a unit and give it back.
    pub(crate) fn lookers(
        stock: &BTreeMap<String, i64>,
        seed: u64,
    ) -> impl Iterator<Item = Order> + use<> {
        let skus: Vec<String> = stock.keys().cloned().collect();
        let mut dice = Dice::new(seed);
        (0..).map(move |number: u64| {
            let lines = vec![(skus[dice.below(skus.len())].clone(), 1)];
            let name = format!("{seed}/looker/{number}");
            Order::new(name, lines, Intent::Abandon, &mut dice)
        })
    }

    /// Units that buyers of the early phase certainly keep, because there is enough for all of them.
    fn kept(&self, sku: &str) -> i64 {
        let keepers = self
            .early
            .iter()
            .filter(|order| order.intent != Intent::Abandon);
        let lines = keepers.flat_map(|order| &order.lines);
        lines
            .filter(|(of, _)| of == sku)
            .map(|(_, units)| units)
            .sum()
    }

    fn add_early(&mut self, scenario: &Scenario, seed: u64, dice: &mut Dice) {
        // Demand for one SKU, in units.
        let demand = match scenario.early {
            Early::None => return,
            Early::Mixed => scenario.units * 11 / 10,
            Early::Paced => scenario.units * 4 / 5,
        };
        let mut wanted: BTreeMap<&String, i64> = self.stock.keys().map(|sku| (sku, 0)).collect();
        for number in 0.. {
            let mut open: Vec<(&&String, &mut i64)> = wanted
                .iter_mut()
                .filter(|(_, units)| **units < demand)
                .collect();
            if open.is_empty() {
                break;
            }
            dice.shuffle(&mut open);
            let mut lines = Vec::new();
            for (sku, wanted) in open.into_iter().take(1 + dice.below(3)) {
                // Now and then a SKU stands on two lines: it must not pass twice.
                for _ in 0..=usize::from(dice.percent(10)) {
                    let units = 1 + i64::from(dice.percent(20));
                    *wanted += units;
                    lines.push(((*sku).clone(), units));
                }
            }
            let intent = match (scenario.early, dice.below(100)) {
                (Early::Paced, roll) if roll < CONFIRMED_PERCENT => Intent::Confirm,
                (Early::Paced, roll) if roll < CONFIRMED_PERCENT + ABANDONED_PERCENT => {
                    Intent::Abandon
                }
                _ => Intent::Keep,
            };
            let name = format!("{seed}/early/{number}");
            self.early.push(Order::new(name, lines, intent, dice));
        }
    }

    fn add_rush(&mut self, scenario: &Scenario, seed: u64, dice: &mut Dice) {
        for (sku, units) in &self.stock {
            let left = match scenario.early {
                Early::Paced => units - self.kept(sku),
                // What orders of several SKUs leave is not known beforehand.
                Early::None | Early::Mixed => *units,
            };
            for number in 0..left + scenario.late {
                let name = format!("{seed}/rush/{sku}/{number}");
                let lines = vec![(sku.clone(), 1)];
                self.rush.push(Order::new(name, lines, Intent::Keep, dice));
            }
        }
        dice.shuffle(&mut self.rush);
    }
}

impl Order {
    fn new(name: String, lines: Vec<(String, i64)>, intent: Intent, dice: &mut Dice) -> Self {
        let twin = dice.percent(TWINS_PERCENT).then(|| {
            if dice.percent(50) {
                Twin::SameCall
            } else {
                Twin::OtherCall
            }
        });
        Self {
            name,
            lines,
            intent,
            twin,
            replica: dice.below(1 << 16),
        }
    }

    pub(crate) fn reservation_id(&self) -> String {
        id(&format!("{}/reservation", self.name))
    }

    pub(crate) fn order_id(&self) -> String {
        id(&format!("{}/order", self.name))
    }

    /// The id of a call: `reserve`, `confirm` ..
    fn request_id(&self, call: &str) -> String {
        id(&format!("{}/{call}", self.name))
    }

    pub(crate) fn reserve(&self, call: &str) -> pb::ReserveRequest {
        let line = |(number, (sku, quantity)): (usize, &(String, i64))| pb::ReserveLine {
            order_line_id: id(&format!("{}/line/{number}", self.name)),
            sku: sku.clone(),
            quantity: *quantity,
            eligible_location_ids: Vec::new(),
        };
        pb::ReserveRequest {
            request_id: self.request_id(call),
            reservation_id: self.reservation_id(),
            order_id: self.order_id(),
            mode: pb::ReservationState::Held.into(),
            fill_policy: FillPolicy::FillOrKill.into(),
            time_to_live: Some(seconds(HOLD_SECONDS)),
            lines: self.lines.iter().enumerate().map(line).collect(),
            ranked_location_ids: vec!["west".to_owned(), "east".to_owned()],
            splits_max: 1,
            single_node_within_rank: 2,
            ..Default::default()
        }
    }

    pub(crate) fn confirm(&self) -> pb::ConfirmReservationRequest {
        pb::ConfirmReservationRequest {
            request_id: self.request_id("confirm"),
            reservation_id: self.reservation_id(),
        }
    }

    pub(crate) fn release(&self) -> pb::ReleaseReservationRequest {
        pb::ReleaseReservationRequest {
            request_id: self.request_id("release"),
            reservation_id: self.reservation_id(),
            lines: Vec::new(),
            order_id: self.order_id(),
        }
    }
}
