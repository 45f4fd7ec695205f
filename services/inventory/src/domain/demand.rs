//! What is looked at before demand is taken on: its SKUs, its kits, and how much of it may wait.

use std::collections::{BTreeMap, BTreeSet};

use oms_core::{OrderLineId, Sku, Violations};
use time::OffsetDateTime;

use super::board::Board;
use super::command::Reserve;
use super::decide::answer;
use super::effect::Outcome;
use super::fit::{Demand, Fitted};
use super::lane::LaneState;
use super::refusal::Refusal;
use super::reservation::{Reservation, Shortage};

impl Board {
    /// Unknown SKUs, and kits that are not what they were when they were looked up.
    pub(super) fn check_demands(&self, reserve: &Reserve) -> Result<(), Refusal> {
        let mut violations = Violations::default();
        for (number, demand) in reserve.demands.iter().enumerate() {
            // The components of a kit are known.
            violations.check(
                demand.kit.is_some() || self.lanes.contains_key(&demand.sku),
                format!("lines[{number}].sku"),
                "SKU_UNKNOWN",
                format!("{} is not known", demand.sku),
            );
        }
        violations.into_result().map_err(Refusal::Invalid)?;
        if reserve.demands.iter().all(|demand| self.is_current(demand)) {
            return Ok(());
        }
        Err(Refusal::Recomposed)
    }

    fn is_current(&self, demand: &Demand) -> bool {
        let sku = &demand.sku;
        match &demand.kit {
            Some(kit) => self.kits.get(sku) == Some(&kit.version),
            None => self
                .lanes
                .get(sku)
                .is_some_and(|lane| lane.kit_version == 0),
        }
    }

    /// Queues demand and gives it what is free: units may have become free since the caller saw none, and demand never
    /// waits beside free stock. Only what goes on waiting has to have room.
    pub(super) fn queue(
        &mut self,
        reserve: &Reserve,
        reservation: Reservation,
    ) -> Result<Outcome, Refusal> {
        let skus: BTreeSet<Sku> = reservation.skus().into_iter().cloned().collect();
        let lanes = skus.iter().filter_map(|sku| self.lanes.get(sku));
        let is_capped = lanes.into_iter().any(|lane| lane.backorder_max.is_some());
        let before = is_capped.then(|| self.clone());
        self.change(reservation, Vec::new(), "reserve")?;
        let levels = self.levels.keys().filter(|key| skus.contains(&key.sku));
        let levels = levels.cloned().collect();
        self.supply(&levels);
        let queued = self.existing(reserve.reservation)?;
        let full = too_many(&queued, |sku, _| {
            self.lanes.get(sku).is_some_and(LaneState::is_over)
        });
        if let Some(before) = before
            && !full.is_empty()
        {
            let nothing = Fitted::nothing(&reserve.demands);
            let refused = self.queue_full(reserve, &full, &nothing);
            *self = before;
            return Err(refused);
        }
        Ok(answer(&queued))
    }

    /// Refuses demand of which more would wait than may.
    pub(super) fn check_room(
        &self,
        reserve: &Reserve,
        reservation: &Reservation,
        fitted: &Fitted,
    ) -> Result<(), Refusal> {
        let full = too_many(reservation, |sku, units| {
            let lane = self.lanes.get(sku);
            lane.is_some_and(|lane| !lane.has_room_for(units))
        });
        if full.is_empty() {
            return Ok(());
        }
        Err(self.queue_full(reserve, &full, fitted))
    }

    /// Tells the lines that need these SKUs.
    fn queue_full(&self, reserve: &Reserve, full: &BTreeSet<Sku>, fitted: &Fitted) -> Refusal {
        let lines = reserve.lines.iter().zip(&reserve.demands);
        let too_many: BTreeSet<&OrderLineId> = lines
            .filter(|(_, demand)| demand.parts().any(|(sku, _)| full.contains(sku)))
            .map(|(line, _)| line)
            .collect();
        let mut shortages = self.shortages(reserve, fitted);
        shortages.retain(|shortage| too_many.contains(&shortage.order_line));
        Refusal::QueueFull(shortages)
    }

    /// Lines that are not covered, with when more is expected.
    pub(super) fn shortages(&self, reserve: &Reserve, fitted: &Fitted) -> Vec<Shortage> {
        let lines = reserve.lines.iter().zip(&reserve.demands);
        lines
            .zip(&fitted.covered)
            .filter(|((_, demand), covered)| **covered < demand.quantity)
            .map(|((order_line, demand), covered)| Shortage {
                order_line: *order_line,
                sku: demand.sku.clone(),
                location: None,
                requested: demand.quantity,
                available: *covered,
                // A kit is there when the last of its components is.
                next_supply: demand
                    .parts()
                    .filter_map(|(sku, _)| self.next_supply(sku))
                    .max(),
            })
            .collect()
    }

    /// When more of a SKU is expected, where that is known.
    pub(super) fn next_supply(&self, sku: &Sku) -> Option<OffsetDateTime> {
        self.lanes.get(sku)?.next_supply(self.now)
    }
}

/// SKUs of which the reservation has too many units waiting.
fn too_many(reservation: &Reservation, is_full: impl Fn(&Sku, i64) -> bool) -> BTreeSet<Sku> {
    let mut waiting: BTreeMap<&Sku, i64> = BTreeMap::new();
    for (sku, units) in reservation.waiting() {
        *waiting.entry(sku).or_default() += units;
    }
    let full = waiting
        .into_iter()
        .filter(|(sku, units)| is_full(sku, *units));
    full.map(|(sku, _)| sku.clone()).collect()
}
