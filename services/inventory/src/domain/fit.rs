//! Which locations an order takes its units from.
//!
//! 1. A single location within `single_node_within_rank` that fills everything, in order of rank.
//! 2. Else greedy: the location that covers most of what is left, ties by rank, up to `splits_max`
//!    locations beyond the first.
//!
//! Lines of one SKU share its stock: they are served in the order of the request and never counted twice.

use std::collections::{BTreeMap, BTreeSet};

use oms_core::{LocationId, Sku};

/// Demand of one order line.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Demand {
    /// SKU.
    pub(crate) sku: Sku,
    /// Units, above zero.
    pub(crate) quantity: i64,
    /// Locations it may come from; `None` for all that are ranked.
    pub(crate) eligible: Option<BTreeSet<LocationId>>,
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
    /// Location.
    pub(crate) location: LocationId,
    /// Lot.
    pub(crate) lot: String,
    /// Units, above zero.
    pub(crate) quantity: i64,
}

/// Fits demand to supply. What the takes leave open is short.
pub(crate) fn fit(lines: &[Demand], wishes: &Wishes, supply: &Supply, caps: &Caps) -> Vec<Take> {
    let needed: i64 = lines.iter().map(|line| line.quantity).sum();
    let single = wishes
        .ranked
        .iter()
        .take(wishes.single_node_within_rank)
        .map(|node| serve(lines, &open_of(lines), node, (supply, caps)))
        .find(|takes| units(takes) == needed);
    single.unwrap_or_else(|| greedy(lines, wishes, supply, caps.clone()))
}

/// `caps` is what is left of them.
fn greedy(lines: &[Demand], wishes: &Wishes, supply: &Supply, mut caps: Caps) -> Vec<Take> {
    let mut open = open_of(lines);
    let mut nodes: Vec<&LocationId> = wishes.ranked.iter().collect();
    let mut taken = Vec::new();
    for _ in 0..=wishes.splits_max {
        let mut best: Option<(usize, Vec<Take>)> = None;
        for (place, node) in nodes.iter().enumerate() {
            let takes = serve(lines, &open, node, (supply, &caps));
            let most = best.as_ref().map_or(0, |(_, best)| units(best));
            if units(&takes) > most {
                best = Some((place, takes));
            }
        }
        let Some((place, takes)) = best else { break };
        nodes.remove(place);
        for take in &takes {
            if let Some(left) = open.get_mut(take.line) {
                *left -= take.quantity;
            }
            let cap = lines
                .get(take.line)
                .and_then(|line| caps.get_mut(&line.sku));
            if let Some(left) = cap {
                *left -= take.quantity;
            }
        }
        taken.extend(takes);
        if open.iter().all(|left| *left == 0) {
            break;
        }
    }
    taken
}

fn open_of(lines: &[Demand]) -> Vec<i64> {
    lines.iter().map(|line| line.quantity).collect()
}

fn units(takes: &[Take]) -> i64 {
    takes.iter().map(|take| take.quantity).sum()
}

/// What one location gives to the lines that are still open.
fn serve(
    lines: &[Demand],
    open: &[i64],
    node: &LocationId,
    (supply, caps): (&Supply, &Caps),
) -> Vec<Take> {
    let mut used: BTreeMap<&Sku, i64> = BTreeMap::new();
    let mut takes = Vec::new();
    for (number, (line, left)) in lines.iter().zip(open).enumerate() {
        let may = line
            .eligible
            .as_ref()
            .is_none_or(|eligible| eligible.contains(node));
        if !may || *left == 0 {
            continue;
        }
        let Some(lots) = supply.get(&(line.sku.clone(), node.clone())) else {
            continue;
        };
        let used = used.entry(&line.sku).or_default();
        let cap = caps.get(&line.sku).map_or(i64::MAX, |cap| cap - *used);
        let got = draw(lots, *used, cap.min(*left), |lot, quantity| {
            takes.push(Take {
                line: number,
                location: node.clone(),
                lot: lot.to_owned(),
                quantity,
            });
        });
        *used += got;
    }
    takes
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
        }
    }

    fn wishes(ranked: &[&str], splits_max: usize, single_node_within_rank: usize) -> Wishes {
        Wishes {
            ranked: ranked.iter().map(|name| node(name)).collect(),
            splits_max,
            single_node_within_rank,
        }
    }

    fn supply(levels: &[(&str, &str, i64)]) -> Supply {
        levels
            .iter()
            .map(|(item, at, units)| ((sku(item), node(at)), vec![(String::new(), *units)]))
            .collect()
    }

    /// Without caps.
    fn fit(lines: &[Demand], wishes: &Wishes, supply: &Supply) -> Vec<Take> {
        super::fit(lines, wishes, supply, &Caps::new())
    }

    fn summary(takes: &[Take]) -> Vec<(usize, &str, i64)> {
        takes
            .iter()
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
            .iter()
            .map(|take| (take.line, take.lot.as_str(), take.quantity))
            .collect();
        assert_eq!(lots, [(0, "L1", 1), (1, "L1", 1), (1, "L2", 2)]);
    }

    prop_compose! {
        fn any_case()(
            lines in prop::collection::vec((0..3_usize, 1..20_i64, prop::option::of(0..4_usize)), 1..6),
            levels in prop::collection::vec((0..3_usize, 0..4_usize, 0..3_usize, 0..15_i64), 0..20),
            ranked in Just(vec![0_usize, 1, 2, 3]).prop_shuffle(),
            splits_max in 0..4_usize,
            within in 0..5_usize,
        ) -> (Vec<Demand>, Wishes, Supply) {
            let item = |n: usize| sku(["A", "B", "C"][n]);
            let at = |n: usize| node(["w", "x", "y", "z"][n]);
            let lines = lines.into_iter().map(|(n, quantity, eligible)| Demand {
                sku: item(n),
                quantity,
                eligible: eligible.map(|n| [at(n)].into()),
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
            };
            (lines, wishes, supply)
        }
    }

    proptest! {
        #[test]
        fn never_takes_more_than_asked_or_there_is((lines, wishes, supply) in any_case()) {
            let takes = fit(&lines, &wishes, &supply);
            let mut by_line = vec![0; lines.len()];
            let mut by_level: BTreeMap<(Sku, LocationId, String), i64> = BTreeMap::new();
            let mut nodes = BTreeSet::new();
            for take in &takes {
                prop_assert!(take.quantity > 0);
                let line = &lines[take.line];
                prop_assert!(line.eligible.as_ref().is_none_or(|of| of.contains(&take.location)));
                by_line[take.line] += take.quantity;
                nodes.insert(take.location.clone());
                *by_level.entry((line.sku.clone(), take.location.clone(), take.lot.clone())).or_default() += take.quantity;
            }
            for (line, taken) in lines.iter().zip(by_line) {
                prop_assert!(taken <= line.quantity);
            }
            for ((item, at, lot), taken) in by_level {
                let free = supply[&(item, at)].iter().find(|(name, _)| *name == lot).map_or(0, |(_, free)| *free);
                prop_assert!(taken <= free);
            }
            prop_assert!(nodes.len() <= wishes.splits_max + 1);
        }

        #[test]
        fn never_takes_more_than_the_cap((lines, wishes, supply) in any_case(), cap in 0..12_i64) {
            let caps: Caps = lines.iter().map(|line| (line.sku.clone(), cap)).collect();
            let takes = super::fit(&lines, &wishes, &supply, &caps);
            for item in caps.keys() {
                let of_item = takes.iter().filter(|take| lines[take.line].sku == *item);
                prop_assert!(of_item.map(|take| take.quantity).sum::<i64>() <= cap);
            }
        }

        #[test]
        fn with_all_locations_allowed_nothing_free_is_left_while_a_line_is_short((lines, mut wishes, supply) in any_case()) {
            wishes.splits_max = 3;
            let takes = fit(&lines, &wishes, &supply);
            for (number, line) in lines.iter().enumerate() {
                let got: i64 = takes.iter().filter(|take| take.line == number).map(|take| take.quantity).sum();
                if got == line.quantity {
                    continue;
                }
                for ((item, at), lots) in &supply {
                    if *item != line.sku || line.eligible.as_ref().is_some_and(|of| !of.contains(at)) {
                        continue;
                    }
                    let free: i64 = lots.iter().map(|(_, units)| *units).sum();
                    let taken: i64 = takes.iter()
                        .filter(|take| lines[take.line].sku == *item && take.location == *at)
                        .map(|take| take.quantity)
                        .sum();
                    prop_assert_eq!(taken, free, "line {} is short beside free stock", number);
                }
            }
        }
    }
}
