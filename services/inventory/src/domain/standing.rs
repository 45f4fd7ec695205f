//! Whether a SKU is in stock, low or out, and what is told when that changes.

use std::collections::BTreeMap;

use oms_core::LocationId;

use super::policy::Policy;

/// How a SKU stands, from what may be promised of it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Standing {
    In,
    Low,
    Out,
}

/// What may be promised, and when that is low.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Reading {
    promisable: i64,
    threshold: i64,
}

/// Readings of a SKU: over all locations under `None`, and of each location with a threshold of its own.
pub(crate) type Readings = BTreeMap<Option<LocationId>, Reading>;

/// A standing that was entered.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Signal {
    /// Which one.
    pub(crate) kind: SignalKind,
    /// Location with a threshold of its own; `None` for all together.
    pub(crate) location: Option<LocationId>,
    /// Units that may be promised.
    pub(crate) promisable: i64,
    /// At or below it they are low.
    pub(crate) threshold: i64,
}

/// What a signal says.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum SignalKind {
    /// Fell to the threshold or below.
    LowStock,
    /// Nothing may be promised any more.
    OutOfStock,
    /// Something may be promised again.
    BackInStock,
}

impl Reading {
    fn standing(self) -> Standing {
        if self.promisable <= 0 {
            Standing::Out
        } else if self.promisable <= self.threshold {
            Standing::Low
        } else {
            Standing::In
        }
    }
}

/// Reads a SKU with so many free units over all locations. `at` answers the free units of one location.
pub(crate) fn readings(
    policy: &Policy,
    available: i64,
    at: impl Fn(&LocationId) -> i64,
) -> Readings {
    let whole = Reading {
        promisable: policy.promisable(available, &at),
        threshold: policy.low_stock_threshold,
    };
    let watched = policy
        .locations
        .iter()
        .filter(|(_, rule)| rule.low_stock_threshold > 0);
    let places = watched.map(|(location, rule)| {
        let reading = Reading {
            promisable: policy.free_at(location, at(location)),
            threshold: rule.low_stock_threshold,
        };
        (Some(location.clone()), reading)
    });
    places.chain([(None, whole)]).collect()
}

/// What has to be told after a change, the SKU as a whole first. A location that was not watched before counts as in
/// stock until then, so that the first reading tells how it stands.
pub(crate) fn signals(before: &Readings, after: &Readings) -> Vec<Signal> {
    let mut told = Vec::new();
    for (location, reading) in after {
        let was = before
            .get(location)
            .map_or(Standing::In, |reading| reading.standing());
        let is = reading.standing();
        let kinds: &[SignalKind] = match (was, is) {
            (Standing::In, Standing::Low) => &[SignalKind::LowStock],
            (Standing::In | Standing::Low, Standing::Out) => &[SignalKind::OutOfStock],
            (Standing::Out, Standing::Low) => &[SignalKind::BackInStock, SignalKind::LowStock],
            (Standing::Out, Standing::In) => &[SignalKind::BackInStock],
            (Standing::In | Standing::Low, Standing::In)
            | (Standing::Low, Standing::Low)
            | (Standing::Out, Standing::Out) => &[],
        };
        told.extend(kinds.iter().map(|kind| Signal {
            kind: *kind,
            location: location.clone(),
            promisable: reading.promisable.max(0),
            threshold: reading.threshold,
        }));
    }
    told
}

#[cfg(test)]
mod tests {
    use SignalKind as K;
    use proptest::prelude::*;

    use super::*;
    use crate::domain::policy::LocationRule;

    fn whole(promisable: i64, threshold: i64) -> Readings {
        let reading = Reading {
            promisable,
            threshold,
        };
        [(None, reading)].into()
    }

    fn kinds(before: &Readings, after: &Readings) -> Vec<SignalKind> {
        let told = signals(before, after);
        told.iter().map(|signal| signal.kind).collect()
    }

    #[test]
    fn each_crossing_is_told_once() {
        let steps = [
            (9, &[K::BackInStock][..]),
            (5, &[K::LowStock]),
            (4, &[]),
            (9, &[]),
            (0, &[K::OutOfStock]),
            (-3, &[]),
            (2, &[K::BackInStock, K::LowStock]),
            (0, &[K::OutOfStock]),
        ];
        let mut before = whole(0, 5);
        for (promisable, expected) in steps {
            let after = whole(promisable, 5);
            assert_eq!(kinds(&before, &after), expected, "{promisable}");
            before = after;
        }
    }

    #[test]
    fn without_a_threshold_nothing_is_low() {
        assert_eq!(kinds(&whole(9, 0), &whole(1, 0)), []);
        assert_eq!(kinds(&whole(1, 0), &whole(0, 0)), [K::OutOfStock]);
    }

    #[test]
    fn a_threshold_that_rises_past_what_is_there_tells_of_it() {
        assert_eq!(kinds(&whole(5, 0), &whole(5, 7)), [K::LowStock]);
    }

    #[test]
    fn a_location_is_watched_for_itself() {
        let east: LocationId = "us-east".parse().unwrap();
        let rule = LocationRule {
            safety_stock: 2,
            low_stock_threshold: 3,
        };
        let policy = Policy {
            locations: [(east.clone(), rule)].into(),
            ..Policy::default()
        };
        let before = readings(&Policy::default(), 50, |_| 4);
        let after = readings(&policy, 50, |_| 4);
        let expected = Signal {
            kind: K::LowStock,
            location: Some(east),
            promisable: 2,
            threshold: 3,
        };
        assert_eq!(signals(&before, &after), [expected]);
        assert_eq!(signals(&after, &after), []);
    }

    proptest! {
        #[test]
        fn who_follows_the_signals_knows_how_it_stands(path in prop::collection::vec(-3..12_i64, 1..30), threshold in 0..6_i64) {
            let mut before = whole(0, threshold);
            // What a reader believes: out, or not; low until it is out or told otherwise.
            let mut is_out = true;
            for promisable in path {
                let after = whole(promisable, threshold);
                for kind in kinds(&before, &after) {
                    match kind {
                        K::OutOfStock => is_out = true,
                        K::BackInStock => {
                            prop_assert!(is_out);
                            is_out = false;
                        }
                        K::LowStock => prop_assert!(!is_out && (1..=threshold).contains(&promisable)),
                    }
                }
                prop_assert_eq!(is_out, promisable <= 0);
                before = after;
            }
        }
    }
}
