//! Which locations an order takes its units from.
//!
//! 1. A single location within `single_node_within_rank` that fills everything, in order of rank.
//! 2. Else greedy: the location that covers most of what is left, ties by rank, up to `splits_max`
//!    locations beyond the first.
//!
//! An order that ships complete is filled by a single location of any rank, or not at all. Lines that need the same
//! SKU, be it as the component of a kit, share its stock: they are served in the order of the request and never
//! counted twice. A kit is taken whole, from one location.

use std::collections::{BTreeMap, BTreeSet};

use oms_core::{LocationId, Sku};

use super::kit::Kit;

/// Demand of one order line.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Demand {
    /// SKU.
    pub(crate) sku: Sku,
    /// Units, above zero.
    pub(crate) quantity: i64,
    /// Locations it may come from; `None` for all that are ranked.
    pub(crate) eligible: Option<BTreeSet<LocationId>>,
    /// What the SKU is made of; `None` when it stands on the shelf itself.
    pub(crate) kit: Option<Kit>,
}

impl Demand {
    /// The SKUs that are taken from the shelf, with the units of each in one unit of the line.
    pub(crate) fn parts(&self) -> impl Iterator<Item = (&Sku, i64)> {
        let own = self.kit.is_none().then_some((&self.sku, 1));
        let of_kit = self.kit.iter().flat_map(|kit| &kit.parts);
        own.into_iter()
            .chain(of_kit.map(|part| (&part.sku, part.quantity)))
    }
}

/// The caller's wishes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Wishes {
    /// Locations in the order of preference.
    pub(crate) ranked: Vec<LocationId>,
    /// Most locations beyond the first.
    pub(crate) splits_max: usize,
    /// A single location within this rank that fills everything goes before any split; 0 for none.
    pub(crate) single_node_within_rank: usize,
    /// One location fills everything, or nothing is taken.
    pub(crate) ship_complete: bool,
}

/// Free units by SKU and location, lots in the order they shall be used.
pub(crate) type Supply = BTreeMap<(Sku, LocationId), Vec<(String, i64)>>;

/// Most units of a SKU that may be taken over all locations; a SKU that is missing has no such limit.
pub(crate) type Caps = BTreeMap<Sku, i64>;

/// Units taken for a line.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Take {
    /// Number of the line in the request.
    pub(crate) line: usize,
    /// SKU.
    pub(crate) sku: Sku,
    /// Location.
    pub(crate) location: LocationId,
    /// Lot.
    pub(crate) lot: String,
    /// Units, above zero.
    pub(crate) quantity: i64,
}

/// What demand gets.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Fitted {
    /// Units that are taken.
    pub(crate) takes: Vec<Take>,
    /// Units of each line that they cover, in step with the lines; kits of a kit.
    pub(crate) covered: Vec<i64>,
}

impl Fitted {
    /// No unit of any line.
    pub(crate) fn nothing(lines: &[Demand]) -> Self {
        Self {
            takes: Vec::new(),
            covered: vec![0; lines.len()],
        }
    }

    fn units(&self) -> i64 {
        self.covered.iter().sum()
    }

    /// Whether this covers every unit of the lines.
    pub(crate) fn fills(&self, lines: &[Demand]) -> bool {
        lines
            .iter()
            .zip(&self.covered)
            .all(|(line, covered)| *covered == line.quantity)
    }
}

/// Fits demand to supply. What is not covered is short.
pub(crate) fn fit(lines: &[Demand], wishes: &Wishes, supply: &Supply, caps: &Caps) -> Fitted {
    let singles = if wishes.ship_complete {
        wishes.ranked.len()
    } else {
        wishes.single_node_within_rank
    };
    let single = wishes
        .ranked
        .iter()
        .take(singles)
        .map(|node| serve(lines, &open_of(lines), node, (supply, caps)))
        .find(|fitted| fitted.fills(lines));
    match single {
        Some(single) => single,
        None if wishes.ship_complete => Fitted::nothing(lines),
        None => greedy(lines, wishes, supply, caps.clone()),
    }
}

/// `caps` is what is left of them.
fn greedy(lines: &[Demand], wishes: &Wishes, supply: &Supply, mut caps: Caps) -> Fitted {
    let mut open = open_of(lines);
    let mut nodes: Vec<&LocationId> = wishes.ranked.iter().collect();
    let mut fitted = Fitted::nothing(lines);
    for _ in 0..=wishes.splits_max {
        let mut best: Option<(usize, Fitted)> = None;
        for (place, node) in nodes.iter().enumerate() {
            let served = serve(lines, &open, node, (supply, &caps));
            let most = best.as_ref().map_or(0, |(_, best)| best.units());
            if served.units() > most {
                best = Some((place, served));
            }
        }
        let Some((place, served)) = best else { break };
        nodes.remove(place);
        let covered = fitted.covered.iter_mut().zip(&mut open);
        for ((covered, open), units) in covered.zip(&served.covered) {
            *covered += units;
            *open -= units;
        }
        for take in &served.takes {
            if let Some(left) = caps.get_mut(&take.sku) {
                *left -= take.quantity;
            }
        }
        fitted.takes.extend(served.takes);
        if open.iter().all(|left| *left == 0) {
            break;
        }
    }
    fitted
}

fn open_of(lines: &[Demand]) -> Vec<i64> {
    lines.iter().map(|line| line.quantity).collect()
}

/// What one location gives to the lines that are still open.
fn serve(
    lines: &[Demand],
    open: &[i64],
    node: &LocationId,
    (supply, caps): (&Supply, &Caps),
) -> Fitted {
    let mut shelf = Shelf {
        node,
        supply,
        caps,
        used: BTreeMap::new(),
    };
    let mut fitted = Fitted::nothing(lines);
    let each = lines.iter().zip(open).zip(&mut fitted.covered).enumerate();
    for (number, ((line, left), covered)) in each {
        let may = line
            .eligible
            .as_ref()
            .is_none_or(|eligible| eligible.contains(node));
        if !may || *left == 0 {
            continue;
        }
        let whole = line.parts().map(|(sku, per)| shelf.free(sku) / per).min();
        let units = whole.unwrap_or(0).min(*left);
        if units == 0 {
            continue;
        }
        *covered = units;
        for (sku, per) in line.parts() {
            shelf.draw(sku, units * per, |lot, quantity| {
                fitted.takes.push(Take {
                    line: number,
                    sku: sku.clone(),
                    location: node.clone(),
                    lot: lot.to_owned(),
                    quantity,
                });
            });
        }
    }
    fitted
}

/// What one location has, less what lines before have drawn.
struct Shelf<'a> {
    node: &'a LocationId,
    supply: &'a Supply,
    caps: &'a Caps,
    used: BTreeMap<&'a Sku, i64>,
}

impl<'a> Shelf<'a> {
    fn lots(&self, sku: &Sku) -> &'a [(String, i64)] {
        let lots = self.supply.get(&(sku.clone(), self.node.clone()));
        lots.map_or(&[], Vec::as_slice)
    }

    /// Units that nobody has drawn and that may be.
    fn free(&self, sku: &Sku) -> i64 {
        let all: i64 = self.lots(sku).iter().map(|(_, units)| *units).sum();
        let may = self.caps.get(sku).map_or(all, |cap| all.min(*cap));
        may - self.used.get(sku).copied().unwrap_or(0)
    }

    fn draw(&mut self, sku: &'a Sku, want: i64, take: impl FnMut(&str, i64)) {
        let lots = self.lots(sku);
        let used = self.used.entry(sku).or_default();
        *used += draw(lots, *used, want, take);
    }
}

/// Takes up to `want` units off the lots, after the first `skip` units. Answers how many it got.
fn draw(lots: &[(String, i64)], mut skip: i64, want: i64, mut take: impl FnMut(&str, i64)) -> i64 {
    let mut got = 0;
    for (lot, free) in lots {
        let skipped = skip.min(*free);
        skip -= skipped;
        let quantity = (free - skipped).min(want - got);
        if quantity > 0 {
            take(lot, quantity);
            got += quantity;
        }
    }
    got
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::domain::kit::Part;

    fn sku(name: &str) -> Sku {
        name.parse().unwrap()
    }

    fn node(name: &str) -> LocationId {
        name.parse().unwrap()
    }

    fn demand(name: &str, quantity: i64) -> Demand {
        Demand {
            sku: sku(name),
            quantity,
            eligible: None,
            kit: None,
        }
    }

    fn kit(name: &str, quantity: i64, parts: &[(&str, i64)]) -> Demand {
        let parts = parts.iter().map(|(name, quantity)| Part {
            sku: sku(name),
            quantity: *quantity,
        });
        Demand {
            kit: Some(Kit {
                version: 1,
                parts: parts.collect(),
            }),
            ..demand(name, quantity)
        }
    }

    fn wishes(ranked: &[&str], splits_max: usize, single_node_within_rank: usize) -> Wishes {
        Wishes {
            ranked: ranked.iter().map(|name| node(name)).collect(),
            splits_max,
            single_node_within_rank,
            ship_complete: false,
        }
    }

    fn supply(levels: &[(&str, &str, i64)]) -> Supply {
        levels
            .iter()
            .map(|(item, at, units)| ((sku(item), node(at)), vec![(String::new(), *units)]))
            .collect()
    }

    /// Without caps.
    fn fit(lines: &[Demand], wishes: &Wishes, supply: &Supply) -> Fitted {
        super::fit(lines, wishes, supply, &Caps::new())
    }

    fn summary(fitted: &Fitted) -> Vec<(usize, &str, i64)> {
        let takes = fitted.takes.iter();
        takes
            .map(|take| (take.line, take.location.as_str(), take.quantity))
            .collect()
    }

    #[test]
    fn four_from_three_and_five_takes_exactly_four() {
        let takes = fit(
            &[demand("A", 4)],
            &wishes(&["x", "y"], 1, 0),
            &supply(&[("A", "x", 3), ("A", "y", 5)]),
        );
        assert_eq!(summary(&takes), [(0, "y", 4)]);
    }

    #[test]
    fn splits_when_no_location_fills_alone() {
        let takes = fit(
            &[demand("A", 4)],
            &wishes(&["x", "y"], 1, 2),
            &supply(&[("A", "x", 3), ("A", "y", 2)]),
        );
        assert_eq!(summary(&takes), [(0, "x", 3), (0, "y", 1)]);
    }

    #[test]
    fn a_split_beyond_the_limit_stays_short() {
        let takes = fit(
            &[demand("A", 4)],
            &wishes(&["x", "y"], 0, 2),
            &supply(&[("A", "x", 3), ("A", "y", 2)]),
        );
        assert_eq!(summary(&takes), [(0, "x", 3)]);
    }

    #[test]
    fn a_better_ranked_single_location_wins_over_a_fuller_one() {
        let levels = supply(&[("A", "x", 4), ("A", "y", 9), ("B", "x", 1), ("B", "y", 1)]);
        let lines = [demand("A", 4), demand("B", 1)];
        let takes = fit(&lines, &wishes(&["y", "x"], 1, 1), &levels);
        assert_eq!(summary(&takes), [(0, "y", 4), (1, "y", 1)]);
        let takes = fit(&lines, &wishes(&["x", "y"], 1, 2), &levels);
        assert_eq!(summary(&takes), [(0, "x", 4), (1, "x", 1)]);
    }

    #[test]
    fn two_lines_of_one_sku_share_its_stock() {
        let takes = fit(
            &[demand("A", 3), demand("A", 3)],
            &wishes(&["x"], 0, 1),
            &supply(&[("A", "x", 4)]),
        );
        assert_eq!(summary(&takes), [(0, "x", 3), (1, "x", 1)]);
    }

    #[test]
    fn a_line_takes_from_eligible_locations_only() {
        let mut picky = demand("A", 2);
        picky.eligible = Some([node("y")].into());
        let takes = fit(
            &[picky, demand("A", 2)],
            &wishes(&["x", "y"], 1, 0),
            &supply(&[("A", "x", 9), ("A", "y", 2)]),
        );
        let takes = &takes.takes;
        let total: i64 = takes.iter().map(|take| take.quantity).sum();
        assert!(
            takes
                .iter()
                .all(|take| take.line == 1 || take.location == node("y"))
        );
        assert_eq!(total, 4);
    }

    #[test]
    fn a_cap_counts_over_lines_and_locations() {
        let levels = supply(&[("A", "x", 3), ("A", "y", 9)]);
        let caps: Caps = [(sku("A"), 5)].into();
        let lines = [demand("A", 2), demand("A", 4)];
        let takes = super::fit(&lines, &wishes(&["x", "y"], 1, 2), &levels, &caps);
        assert_eq!(summary(&takes), [(0, "y", 2), (1, "y", 3)]);
        // The location that fills everything is taken whichever it is: the cap belongs to no location.
        let takes = super::fit(
            &[demand("A", 5)],
            &wishes(&["x", "y"], 0, 2),
            &levels,
            &caps,
        );
        assert_eq!(summary(&takes), [(0, "y", 5)]);
        let split = supply(&[("A", "x", 3), ("A", "y", 3)]);
        let takes = super::fit(&[demand("A", 9)], &wishes(&["x", "y"], 1, 0), &split, &caps);
        assert_eq!(summary(&takes), [(0, "x", 3), (0, "y", 2)]);
    }

    #[test]
    fn lots_are_used_in_order() {
        let mut levels = Supply::new();
        levels.insert(
            (sku("A"), node("x")),
            vec![("L1".to_owned(), 2), ("L2".to_owned(), 5)],
        );
        let takes = fit(
            &[demand("A", 1), demand("A", 3)],
            &wishes(&["x"], 0, 1),
            &levels,
        );
        let lots: Vec<(usize, &str, i64)> = takes
            .takes
            .iter()
            .map(|take| (take.line, take.lot.as_str(), take.quantity))
            .collect();
        assert_eq!(lots, [(0, "L1", 1), (1, "L1", 1), (1, "L2", 2)]);
    }

    #[test]
    fn a_kit_and_a_line_share_a_component() {
        let lines = [kit("K", 2, &[("A", 1), ("B", 2)]), demand("A", 2)];
        let levels = supply(&[("A", "x", 3), ("B", "x", 9)]);
        let fitted = fit(&lines, &wishes(&["x"], 0, 1), &levels);
        assert_eq!(summary(&fitted), [(0, "x", 2), (0, "x", 4), (1, "x", 1)]);
        assert_eq!(fitted.covered, [2, 1]);
    }

    #[test]
    fn kits_are_taken_whole_and_from_one_location() {
        let lines = [kit("K", 3, &[("A", 1), ("B", 2)])];
        // Two kits at x, and the parts of a third at different locations.
        let levels = supply(&[("A", "x", 3), ("B", "x", 5), ("B", "y", 9)]);
        let fitted = fit(&lines, &wishes(&["x", "y"], 1, 2), &levels);
        assert_eq!(summary(&fitted), [(0, "x", 2), (0, "x", 4)]);
        assert_eq!(fitted.covered, [2]);
    }

    #[test]
    fn what_ships_complete_comes_from_one_location_or_not_at_all() {
        let lines = [demand("A", 2), demand("B", 1)];
        let complete = |ranked: &[&str]| Wishes {
            ship_complete: true,
            ..wishes(ranked, 3, 1)
        };
        let apart = supply(&[("A", "x", 9), ("B", "y", 9)]);
        let fitted = fit(&lines, &complete(&["x", "y"]), &apart);
        assert_eq!((fitted.takes, fitted.covered), (Vec::new(), vec![0, 0]));
        // Also beyond the rank within which others look for a single location.
        let third = supply(&[("A", "x", 1), ("A", "z", 2), ("B", "z", 1), ("B", "y", 1)]);
        let fitted = fit(&lines, &complete(&["x", "y", "z"]), &third);
        assert_eq!(summary(&fitted), [(0, "z", 2), (1, "z", 1)]);
    }

    prop_compose! {
        fn any_case()(
            lines in prop::collection::vec((0..5_usize, 1..20_i64, prop::option::of(0..4_usize)), 1..6),
            levels in prop::collection::vec((0..3_usize, 0..4_usize, 0..3_usize, 0..15_i64), 0..20),
            ranked in Just(vec![0_usize, 1, 2, 3]).prop_shuffle(),
            splits_max in 0..4_usize,
            within in 0..5_usize,
            ship_complete in prop::bool::weighted(0.2),
        ) -> (Vec<Demand>, Wishes, Supply) {
            let item = |n: usize| sku(["A", "B", "C"][n]);
            let at = |n: usize| node(["w", "x", "y", "z"][n]);
            let lines = lines.into_iter().map(|(n, quantity, eligible)| Demand {
                eligible: eligible.map(|n| [at(n)].into()),
                ..match n {
                    3 => kit("K", quantity, &[("A", 1), ("B", 2)]),
                    4 => kit("L", quantity, &[("B", 3)]),
                    n => demand(["A", "B", "C"][n], quantity),
                }
            }).collect();
            let mut supply = Supply::new();
            for (n, l, lot, units) in levels {
                let lots = supply.entry((item(n), at(l))).or_default();
                let lot = ["", "L1", "L2"][lot].to_owned();
                if lots.iter().all(|(name, _)| *name != lot) {
                    lots.push((lot, units));
                }
            }
            let wishes = Wishes {
                ranked: ranked.into_iter().map(at).collect(),
                splits_max,
                single_node_within_rank: within,
                ship_complete,
            };
            (lines, wishes, supply)
        }
    }

    proptest! {
        #[test]
        fn never_takes_more_than_asked_or_there_is((lines, wishes, supply) in any_case()) {
            let fitted = fit(&lines, &wishes, &supply);
            let mut by_part: BTreeMap<(usize, Sku), i64> = BTreeMap::new();
            let mut by_level: BTreeMap<(Sku, LocationId, String), i64> = BTreeMap::new();
            let mut nodes = BTreeSet::new();
            for take in &fitted.takes {
                prop_assert!(take.quantity > 0);
                let line = &lines[take.line];
                prop_assert!(line.eligible.as_ref().is_none_or(|of| of.contains(&take.location)));
                *by_part.entry((take.line, take.sku.clone())).or_default() += take.quantity;
                nodes.insert(take.location.clone());
                *by_level.entry((take.sku.clone(), take.location.clone(), take.lot.clone())).or_default() += take.quantity;
            }
            for (number, (line, covered)) in lines.iter().zip(&fitted.covered).enumerate() {
                prop_assert!((0..=line.quantity).contains(covered));
                for (part, per) in line.parts() {
                    let taken = by_part.remove(&(number, part.clone())).unwrap_or(0);
                    prop_assert_eq!(taken, covered * per, "line {} takes whole units", number);
                }
            }
            prop_assert!(by_part.is_empty());
            for ((item, at, lot), taken) in by_level {
                let free = supply[&(item, at)].iter().find(|(name, _)| *name == lot).map_or(0, |(_, free)| *free);
                prop_assert!(taken <= free);
            }
            prop_assert!(nodes.len() <= wishes.splits_max + 1);
            if wishes.ship_complete {
                prop_assert!(nodes.is_empty() || nodes.len() == 1 && fitted.fills(&lines));
            }
        }

        #[test]
        fn never_takes_more_than_the_cap((lines, wishes, supply) in any_case(), cap in 0..12_i64) {
            let parts = lines.iter().flat_map(Demand::parts);
            let caps: Caps = parts.map(|(item, _)| (item.clone(), cap)).collect();
            let fitted = super::fit(&lines, &wishes, &supply, &caps);
            for item in caps.keys() {
                let of_item = fitted.takes.iter().filter(|take| take.sku == *item);
                prop_assert!(of_item.map(|take| take.quantity).sum::<i64>() <= cap);
            }
        }

        #[test]
        fn with_all_locations_allowed_nothing_free_is_left_while_a_line_is_short((lines, mut wishes, supply) in any_case()) {
            wishes.splits_max = 3;
            wishes.ship_complete = false;
            let fitted = fit(&lines, &wishes, &supply);
            let left = |item: &Sku, at: &LocationId| -> i64 {
                let free = supply.get(&(item.clone(), at.clone())).into_iter().flatten().map(|(_, units)| *units);
                let taken = fitted.takes.iter().filter(|take| take.sku == *item && take.location == *at);
                free.sum::<i64>() - taken.map(|take| take.quantity).sum::<i64>()
            };
            for (number, line) in lines.iter().enumerate() {
                if fitted.covered[number] == line.quantity {
                    continue;
                }
                for at in &wishes.ranked {
                    let may = line.eligible.as_ref().is_none_or(|of| of.contains(at));
                    let could = line.parts().all(|(part, per)| left(part, at) >= per);
                    prop_assert!(!may || !could, "line {} is short beside free stock", number);
                }
            }
        }
    }
}
