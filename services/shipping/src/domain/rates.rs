//! The price list of the built-in carrier: zones by distance, weight steps, dimensional weight.

use oms_core::geo::{self, Point};
use time::{Duration, OffsetDateTime, Weekday};

/// How fast goods travel, before a carrier is chosen.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(crate) enum ServiceLevel {
    /// The cheapest service by road.
    Ground,
    /// Delivery in two working days.
    TwoDay,
    /// Delivery on the next working day.
    Overnight,
    /// Handed over on the day of the order, then as fast as can be.
    SameDay,
}

impl ServiceLevel {
    /// All levels, slowest first.
    pub(crate) const ALL: [Self; 4] = [Self::Ground, Self::TwoDay, Self::Overnight, Self::SameDay];

    /// The name that the database, the proto enum and people use.
    pub(crate) fn as_str(self) -> &'static str {
        match self {
            Self::Ground => "GROUND",
            Self::TwoDay => "TWO_DAY",
            Self::Overnight => "OVERNIGHT",
            Self::SameDay => "SAME_DAY",
        }
    }

    /// Reads the name.
    pub(crate) fn parse(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|level| level.as_str() == name)
    }

    /// Whether a service of this level is fast enough for a wish. Same day says when the goods are
    /// handed over, not when they arrive: the next working day is the fastest there is.
    pub(crate) fn meets(self, wish: Self) -> bool {
        self >= wish.min(Self::Overnight)
    }
}

/// One end of a way, as far as a price depends on it. Holds no personal data.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Place {
    /// ISO 3166-1 alpha-2 code.
    pub(crate) country_code: String,
    /// Postal code.
    pub(crate) postal_code: String,
    /// Where exactly, when it is known.
    pub(crate) point: Option<Point>,
}

impl Place {
    fn point(&self) -> Option<Point> {
        let by_postal_code =
            || (self.country_code == "US").then(|| geo::us_postal_point(&self.postal_code));
        self.point.or_else(|| by_postal_code().flatten())
    }
}

/// A package as a carrier prices it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Parcel {
    /// Gross mass in grams.
    pub(crate) mass_grams: i64,
    /// Outer dimensions in millimetres: length, width, height.
    pub(crate) dimensions_mm: [i64; 3],
}

/// What one service costs for all packages together.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Quote {
    /// Name of the service.
    pub(crate) service: &'static str,
    /// Level it meets.
    pub(crate) level: ServiceLevel,
    /// Price for all packages in US cents.
    pub(crate) price_cents: i64,
    /// Working days on the way.
    pub(crate) transit_days: u8,
    /// Zone of the price list.
    pub(crate) zone: u8,
}

/// One service of the price list. Amounts are US cents.
struct Tariff {
    service: &'static str,
    level: ServiceLevel,
    /// Price of the first weight step in the nearest zone.
    base: i64,
    /// More for each zone beyond.
    per_zone: i64,
    /// More for each further weight step in the nearest zone.
    per_step: i64,
    /// More for each further weight step and zone beyond.
    per_step_zone: i64,
    /// Farthest zone served.
    zone_max: u8,
}

const TARIFFS: [Tariff; 3] = [
    Tariff {
        service: "GROUND",
        level: ServiceLevel::Ground,
        base: 749,
        per_zone: 85,
        per_step: 38,
        per_step_zone: 9,
        zone_max: ZONE_ABROAD,
    },
    Tariff {
        service: "TWO_DAY",
        level: ServiceLevel::TwoDay,
        base: 1_649,
        per_zone: 240,
        per_step: 95,
        per_step_zone: 32,
        zone_max: ZONE_FARTHEST,
    },
    Tariff {
        service: "OVERNIGHT",
        level: ServiceLevel::Overnight,
        base: 2_899,
        per_zone: 410,
        per_step: 165,
        per_step_zone: 55,
        zone_max: ZONE_FARTHEST,
    },
];

const ZONE_NEAREST: u8 = 2;
const ZONE_FARTHEST: u8 = 8;
/// Another country.
const ZONE_ABROAD: u8 = 9;
/// Upper bounds of zones 2 to 7 in kilometres; what is farther is zone 8.
const ZONE_KM_MAX: [(u8, f64); 6] = [
    (2, 240.0),
    (3, 480.0),
    (4, 965.0),
    (5, 1_610.0),
    (6, 2_250.0),
    (7, 2_900.0),
];

/// One step of the weight scale.
const STEP_GRAMS: i64 = 500;
/// Cubic millimetres that are charged like a gram (5 000 cubic centimetres like a kilogram).
const MM3_PER_GRAM: i64 = 5_000;
/// From here on two people carry a package.
const HEAVY_GRAMS: i64 = 32_000;
const HEAVY_CENTS: i64 = 2_400;
/// From here on it does not fit the belt: length plus twice width plus twice height.
const OVERSIZE_MM: i64 = 3_300;
const OVERSIZE_CENTS: i64 = 1_800;

/// Quotes of all services that serve the way, cheapest first.
pub(crate) fn quotes(from: &Place, to: &Place, parcels: &[Parcel]) -> Vec<Quote> {
    let zone = zone(from, to);
    let mut quotes: Vec<Quote> = TARIFFS
        .iter()
        .filter(|tariff| zone <= tariff.zone_max)
        .map(|tariff| Quote {
            service: tariff.service,
            level: tariff.level,
            price_cents: parcels
                .iter()
                .map(|parcel| price(tariff, zone, parcel))
                .sum(),
            transit_days: transit_days(tariff.level, zone),
            zone,
        })
        .collect();
    quotes.sort_by_key(|quote| (quote.price_cents, quote.transit_days));
    quotes
}

/// The zone of a way: by distance at home, by the leading digits of the postal codes where distances
/// are not known, and one zone for everything abroad.
pub(crate) fn zone(from: &Place, to: &Place) -> u8 {
    if from.country_code != to.country_code {
        return ZONE_ABROAD;
    }
    if let (Some(a), Some(b)) = (from.point(), to.point()) {
        let km = geo::distance_km(a, b);
        return ZONE_KM_MAX
            .iter()
            .find(|(_, km_max)| km <= *km_max)
            .map_or(ZONE_FARTHEST, |(zone, _)| *zone);
    }
    let same = from.postal_code.chars().zip(to.postal_code.chars());
    match same.take_while(|(a, b)| a == b).count() {
        0 => 6,
        1 => 4,
        2 => 3,
        _ => ZONE_NEAREST,
    }
}

/// The mass that is charged: the real one or that of a parcel of usual density, whichever is more.
pub(crate) fn billable_grams(parcel: &Parcel) -> i64 {
    let [length, width, height] = parcel.dimensions_mm;
    let volume = length.saturating_mul(width).saturating_mul(height);
    parcel.mass_grams.max(volume / MM3_PER_GRAM)
}

fn price(tariff: &Tariff, zone: u8, parcel: &Parcel) -> i64 {
    let zones = i64::from(zone.saturating_sub(ZONE_NEAREST));
    let steps = (billable_grams(parcel).max(1) - 1) / STEP_GRAMS;
    let per_step = tariff.per_step + tariff.per_step_zone * zones;
    let mut cents = tariff.base + tariff.per_zone * zones + steps.saturating_mul(per_step);
    let [length, width, height] = parcel.dimensions_mm;
    if parcel.mass_grams > HEAVY_GRAMS {
        cents += HEAVY_CENTS;
    }
    if length + 2 * (width + height) > OVERSIZE_MM {
        cents += OVERSIZE_CENTS;
    }
    cents
}

fn transit_days(level: ServiceLevel, zone: u8) -> u8 {
    match level {
        ServiceLevel::Overnight | ServiceLevel::SameDay => 1,
        ServiceLevel::TwoDay => 2,
        ServiceLevel::Ground => match zone {
            ..=2 => 1,
            3 | 4 => 2,
            5 => 3,
            6 | 7 => 4,
            8 => 5,
            _ => 10,
        },
    }
}

/// When goods handed over at `start` arrive after some working days (Monday to Friday).
pub(crate) fn arrival(start: OffsetDateTime, working_days: u8) -> OffsetDateTime {
    let mut at = start;
    let mut left = working_days;
    while left > 0 {
        at += Duration::DAY;
        if !matches!(at.weekday(), Weekday::Saturday | Weekday::Sunday) {
            left -= 1;
        }
    }
    at
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use time::macros::datetime;

    use super::*;

    fn us(postal_code: &str) -> Place {
        Place {
            country_code: "US".to_owned(),
            postal_code: postal_code.to_owned(),
            point: None,
        }
    }

    const SMALL: Parcel = Parcel {
        mass_grams: 400,
        dimensions_mm: [200, 150, 80],
    };

    #[test]
    fn zones_grow_with_distance() {
        let columbus = us("43228");
        assert_eq!(zone(&columbus, &us("43085")), 2);
        assert_eq!(zone(&columbus, &us("60601")), 3);
        assert_eq!(zone(&columbus, &us("10001")), 4);
        assert_eq!(zone(&columbus, &us("80202")), 6);
        assert_eq!(zone(&columbus, &us("90001")), 8);
        let berlin = Place {
            country_code: "DE".to_owned(),
            ..us("10115")
        };
        let munich = Place {
            country_code: "DE".to_owned(),
            ..us("80331")
        };
        assert_eq!(zone(&columbus, &berlin), ZONE_ABROAD);
        assert_eq!(zone(&berlin, &munich), 6);
        assert_eq!(zone(&berlin, &berlin), 2);
    }

    #[test]
    fn a_light_large_box_is_charged_by_its_volume() {
        assert_eq!(billable_grams(&SMALL), 480);
        let pillow = Parcel {
            mass_grams: 900,
            dimensions_mm: [600, 400, 400],
        };
        assert_eq!(billable_grams(&pillow), 19_200);
        let anvil = Parcel {
            mass_grams: 25_000,
            dimensions_mm: [300, 200, 200],
        };
        assert_eq!(billable_grams(&anvil), 25_000);
    }

    #[test]
    fn the_price_list() {
        let near = quotes(&us("43228"), &us("43085"), &[SMALL]);
        let prices: Vec<_> = near
            .iter()
            .map(|quote| (quote.service, quote.price_cents))
            .collect();
        assert_eq!(
            prices,
            [("GROUND", 749), ("TWO_DAY", 1_649), ("OVERNIGHT", 2_899)]
        );
        let far = quotes(&us("43228"), &us("90001"), &[SMALL, SMALL]);
        assert_eq!(far[0].price_cents, 2 * (749 + 6 * 85));
        assert_eq!(far[0].transit_days, 5);
        let heavy = Parcel {
            mass_grams: 40_000,
            dimensions_mm: [1_500, 700, 300],
        };
        let quote = &quotes(&us("43228"), &us("43085"), &[heavy])[0];
        assert_eq!(
            quote.price_cents,
            749 + 125 * 38 + HEAVY_CENTS + OVERSIZE_CENTS
        );
    }

    #[test]
    fn abroad_only_ground_is_served() {
        let berlin = Place {
            country_code: "DE".to_owned(),
            ..us("10115")
        };
        let quotes = quotes(&us("43228"), &berlin, &[SMALL]);
        assert_eq!(
            quotes.iter().map(|quote| quote.service).collect::<Vec<_>>(),
            ["GROUND"]
        );
    }

    #[test]
    fn the_fastest_service_meets_same_day() {
        assert!(ServiceLevel::Overnight.meets(ServiceLevel::SameDay));
        assert!(ServiceLevel::Overnight.meets(ServiceLevel::Ground));
        assert!(!ServiceLevel::Ground.meets(ServiceLevel::TwoDay));
        for level in ServiceLevel::ALL {
            assert_eq!(ServiceLevel::parse(level.as_str()), Some(level));
        }
    }

    #[test]
    fn weekends_are_no_working_days() {
        let friday = datetime!(2026-11-20 15:00 UTC);
        assert_eq!(arrival(friday, 1), datetime!(2026-11-23 15:00 UTC));
        assert_eq!(arrival(friday, 0), friday);
        assert_eq!(
            arrival(datetime!(2026-11-21 15:00 UTC), 2),
            datetime!(2026-11-24 15:00 UTC)
        );
    }

    proptest! {
        #[test]
        fn more_mass_farther_or_faster_never_costs_less(
            mass in 1..100_000_i64, more in 0..50_000_i64, side in 1..2_000_i64, zone in 2..8_u8,
        ) {
            let parcel = Parcel { mass_grams: mass, dimensions_mm: [side, side, side] };
            let heavier = Parcel { mass_grams: mass + more, ..parcel };
            for (n, tariff) in TARIFFS.iter().enumerate() {
                prop_assert!(price(tariff, zone, &parcel) > 0);
                prop_assert!(price(tariff, zone, &heavier) >= price(tariff, zone, &parcel));
                prop_assert!(price(tariff, zone + 1, &parcel) > price(tariff, zone, &parcel));
                if let Some(faster) = TARIFFS.get(n + 1) {
                    prop_assert!(price(faster, zone, &parcel) > price(tariff, zone, &parcel));
                }
            }
        }
    }
}
