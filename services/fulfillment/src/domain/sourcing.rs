//! Which locations an order may be fulfilled from, best first. Rules are data; a proposal takes
//! nothing, inventory fits it to stock.

use oms_core::geo::{self, Point};
use oms_core::{LocationId, OrderId, OrderLineId, ProposalId};
use time::OffsetDateTime;

use super::policy::{FillPolicy, ServiceLevel};

/// Most nodes in a proposal; inventory takes no more.
pub(crate) const NODES_MAX: usize = 16;

/// How nodes are chosen; part of the configuration.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Rules {
    /// Name under which decisions are recorded.
    pub(crate) name: String,
    /// Locations that are never used.
    pub(crate) excluded_location_ids: Vec<LocationId>,
    /// Most nodes in a proposal, 1 to [`NODES_MAX`].
    pub(crate) nodes_max: usize,
    /// Most nodes that may share an order beyond the first, unless the order says otherwise.
    pub(crate) splits_max: i32,
    /// A single node within this rank that fills everything is taken before any split.
    pub(crate) single_node_within_rank: i32,
}

/// A location as sourcing sees it.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Node {
    /// Location.
    pub(crate) location_id: LocationId,
    /// Where it is.
    pub(crate) point: Point,
    /// False when nothing new may be sourced from it.
    pub(crate) active: bool,
    /// Version of the location at inventory.
    pub(crate) version: i64,
}

/// Demand of one order line.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct DemandLine {
    /// Order line.
    pub(crate) order_line_id: OrderLineId,
    /// Stock keeping unit.
    pub(crate) sku: String,
    /// Units.
    pub(crate) quantity: i64,
}

/// What is to be sourced.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Demand {
    /// Order.
    pub(crate) order_id: OrderId,
    /// ISO 3166-1 alpha-2 code of the destination.
    pub(crate) country_code: String,
    /// Postal code of the destination.
    pub(crate) postal_code: String,
    /// Units per order line.
    pub(crate) lines: Vec<DemandLine>,
    /// Fill policy of the order; passed on to inventory by who reserves.
    pub(crate) fill_policy: FillPolicy,
    /// How fast.
    pub(crate) service_level: ServiceLevel,
    /// Most splits that the order allows; `None` leaves it to the rules.
    pub(crate) splits_max: Option<i32>,
    /// Locations that must not be used for this order.
    pub(crate) excluded_location_ids: Vec<LocationId>,
}

/// What a decision says about one location.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Verdict {
    /// Location.
    pub(crate) location_id: LocationId,
    /// 1 is the best; `None` when it is not in the proposal.
    pub(crate) rank: Option<i32>,
    /// Distance to the destination in kilometres, rounded; 0 when the destination is unknown.
    pub(crate) distance_km: i64,
    /// Version of the location that was looked at.
    pub(crate) location_version: i64,
    /// Why.
    pub(crate) reason: String,
}

/// Units that a node got.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Outcome {
    /// Location.
    pub(crate) location_id: LocationId,
    /// Order line.
    pub(crate) order_line_id: OrderLineId,
    /// Units.
    pub(crate) quantity: i64,
}

/// A stored decision.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Proposal {
    /// Id.
    pub(crate) id: ProposalId,
    /// What was to be sourced.
    pub(crate) demand: Demand,
    /// All locations: the ranked ones first, by rank, then those that lost, by id.
    pub(crate) verdicts: Vec<Verdict>,
    /// Most nodes that may share the order beyond the first.
    pub(crate) splits_max: i32,
    /// A single node within this rank that fills everything is taken before any split.
    pub(crate) single_node_within_rank: i32,
    /// Name of the rules that decided.
    pub(crate) rule: String,
    /// Who asked.
    pub(crate) created_by: String,
    /// When it was made.
    pub(crate) created_at: OffsetDateTime,
    /// What came of it.
    pub(crate) outcomes: Vec<Outcome>,
}

impl Proposal {
    /// The nodes that may be used, best first.
    pub(crate) fn ranked(&self) -> impl Iterator<Item = &Verdict> {
        self.verdicts
            .iter()
            .filter(|verdict| verdict.rank.is_some())
    }
}

/// Where a postal code is; known for the US only.
pub(crate) fn destination_point(country_code: &str, postal_code: &str) -> Option<Point> {
    (country_code == "US")
        .then(|| geo::us_postal_point(postal_code))
        .flatten()
}

/// Judges every location: active ones that nobody excluded by distance, the nearest first; by id
/// where it is not known where the destination is.
pub(crate) fn judge(rules: &Rules, demand: &Demand, nodes: &[Node]) -> Vec<Verdict> {
    let destination = destination_point(&demand.country_code, &demand.postal_code);
    let (mut fit, mut lost) = (Vec::new(), Vec::new());
    for node in nodes {
        let distance = destination.map(|point| geo::distance_km(node.point, point));
        match obstacle(rules, demand, node) {
            None => fit.push((node, distance)),
            Some(reason) => lost.push(verdict(node, None, distance, reason.to_owned())),
        }
    }
    fit.sort_by(|(node, distance), (other, second)| {
        let (near, far) = (distance.unwrap_or(0.0), second.unwrap_or(0.0));
        near.total_cmp(&far)
            .then_with(|| node.location_id.cmp(&other.location_id))
    });
    let mut ranked = Vec::new();
    for (index, (node, distance)) in fit.into_iter().enumerate() {
        let rank = i32::try_from(index + 1)
            .ok()
            .filter(|_| index < rules.nodes_max.min(NODES_MAX));
        let reason = match (rank, distance) {
            (None, _) => format!("not among the best {}", rules.nodes_max.min(NODES_MAX)),
            (Some(_), None) => "by id: it is not known where the destination is".to_owned(),
            (Some(rank), Some(_)) => format!("number {rank} by distance"),
        };
        let list = if rank.is_some() {
            &mut ranked
        } else {
            &mut lost
        };
        list.push(verdict(node, rank, distance, reason));
    }
    lost.sort_by(|one, other| one.location_id.cmp(&other.location_id));
    ranked.append(&mut lost);
    ranked
}

/// Why a location cannot be used at all.
fn obstacle(rules: &Rules, demand: &Demand, node: &Node) -> Option<&'static str> {
    if !node.active {
        return Some("inactive");
    }
    if rules.excluded_location_ids.contains(&node.location_id) {
        return Some("excluded by the rules");
    }
    demand
        .excluded_location_ids
        .contains(&node.location_id)
        .then_some("excluded by the request")
}

fn verdict(node: &Node, rank: Option<i32>, distance: Option<f64>, reason: String) -> Verdict {
    #[expect(
        clippy::cast_possible_truncation,
        reason = "no distance on earth exceeds 20016 km"
    )]
    let distance_km = distance.unwrap_or(0.0).round() as i64;
    Verdict {
        location_id: node.location_id.clone(),
        rank,
        distance_km,
        location_version: node.version,
        reason,
    }
}

/// The splits an order may have: its own wish, else the rules', and never more than nodes allow.
pub(crate) fn splits_max(rules: &Rules, demand: &Demand) -> i32 {
    let most = i32::try_from(NODES_MAX).unwrap_or(i32::MAX) - 1;
    demand.splits_max.unwrap_or(rules.splits_max).clamp(0, most)
}

#[cfg(test)]
mod tests {
    use oms_core::SystemIds;
    use proptest::prelude::*;

    use super::*;

    fn node(id: &str, lat: f64, lon: f64) -> Node {
        Node {
            location_id: id.parse().unwrap(),
            point: Point { lat, lon },
            active: true,
            version: 3,
        }
    }

    fn rules() -> Rules {
        Rules {
            name: "proximity".to_owned(),
            excluded_location_ids: Vec::new(),
            nodes_max: NODES_MAX,
            splits_max: 3,
            single_node_within_rank: 4,
        }
    }

    fn demand(country: &str, postal_code: &str) -> Demand {
        Demand {
            order_id: OrderId::generate(&SystemIds),
            country_code: country.to_owned(),
            postal_code: postal_code.to_owned(),
            lines: Vec::new(),
            fill_policy: FillPolicy::FillAll,
            service_level: ServiceLevel::Ground,
            splits_max: None,
            excluded_location_ids: Vec::new(),
        }
    }

    fn usa() -> Vec<Node> {
        vec![
            node("dallas", 32.78, -96.80),
            node("newark", 40.74, -74.17),
            node("reno", 39.53, -119.81),
        ]
    }

    fn ranked(verdicts: &[Verdict]) -> Vec<&str> {
        verdicts
            .iter()
            .filter(|one| one.rank.is_some())
            .map(|one| one.location_id.as_str())
            .collect()
    }

    #[test]
    fn the_nearest_comes_first() {
        let verdicts = judge(&rules(), &demand("US", "89101"), &usa());
        assert_eq!(ranked(&verdicts), ["reno", "dallas", "newark"]);
        assert!(
            (500..650).contains(&verdicts[0].distance_km),
            "{:?}",
            verdicts[0]
        );
        assert_eq!(verdicts[0].location_version, 3);
        let verdicts = judge(&rules(), &demand("US", "10001"), &usa());
        assert_eq!(ranked(&verdicts), ["newark", "dallas", "reno"]);
    }

    #[test]
    fn an_unknown_destination_ranks_by_id() {
        for (country, postal_code) in [("DE", "10115"), ("US", "?")] {
            let mut nodes = usa();
            nodes.reverse();
            let verdicts = judge(&rules(), &demand(country, postal_code), &nodes);
            assert_eq!(ranked(&verdicts), ["dallas", "newark", "reno"]);
        }
    }

    #[test]
    fn losers_know_why() {
        let mut nodes = usa();
        nodes[0].active = false;
        let mut rules = rules();
        rules.excluded_location_ids.push("newark".parse().unwrap());
        let mut demand = demand("US", "89101");
        demand.excluded_location_ids.push("reno".parse().unwrap());
        let verdicts = judge(&rules, &demand, &nodes);
        let reasons: Vec<&str> = verdicts.iter().map(|one| one.reason.as_str()).collect();
        assert_eq!(
            reasons,
            [
                "inactive",
                "excluded by the rules",
                "excluded by the request"
            ]
        );
        assert!(ranked(&verdicts).is_empty());
    }

    #[test]
    fn the_order_may_allow_fewer_splits_or_more() {
        let mut demand = demand("US", "89101");
        assert_eq!(splits_max(&rules(), &demand), 3);
        for (wish, got) in [(0, 0), (7, 7), (99, 15)] {
            demand.splits_max = Some(wish);
            assert_eq!(splits_max(&rules(), &demand), got);
        }
    }

    proptest! {
        #[test]
        fn every_node_is_judged_once_and_ranks_are_dense(count in 0..40_usize, nodes_max in 1..20_usize) {
            let nodes: Vec<Node> = (0..count)
                .map(|n| node(&format!("n-{n}"), f64::from(u8::try_from(n).unwrap()), -90.0))
                .collect();
            let rules = Rules { nodes_max, ..rules() };
            let verdicts = judge(&rules, &demand("US", "60601"), &nodes);
            prop_assert_eq!(verdicts.len(), count);
            let ranks: Vec<i32> = verdicts.iter().filter_map(|one| one.rank).collect();
            let most = count.min(nodes_max).min(NODES_MAX);
            let dense: Vec<i32> = (1..=i32::try_from(most).unwrap()).collect();
            prop_assert_eq!(ranks, dense);
            let distances: Vec<i64> = verdicts.iter().take(most).map(|one| one.distance_km).collect();
            prop_assert!(distances.is_sorted());
        }
    }
}
