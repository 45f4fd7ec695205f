//! Points on the earth, distances, and where a US ZIP code is.

use std::sync::LazyLock;

use serde::{Deserialize, Serialize};

/// Mean radius of the earth in kilometres (IUGG).
const EARTH_RADIUS_KM: f64 = 6_371.008_8;

/// ZIP3 centroids; where they come from stands in `data/README.md`.
const ZIP3: &str = include_str!("../data/zip3.csv");

/// A point in decimal degrees (WGS 84).
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct Point {
    /// Latitude, -90 to 90, north is positive.
    pub lat: f64,
    /// Longitude, -180 to 180, east is positive.
    pub lon: f64,
}

/// The great-circle distance in kilometres (haversine; within 0.5 % of the true distance).
pub fn distance_km(a: Point, b: Point) -> f64 {
    let (lat_a, lat_b) = (a.lat.to_radians(), b.lat.to_radians());
    let half_lat = ((lat_b - lat_a) / 2.0).sin();
    let half_lon = ((b.lon - a.lon).to_radians() / 2.0).sin();
    let h = half_lat.powi(2) + lat_a.cos() * lat_b.cos() * half_lon.powi(2);
    // Rounding may lift h above 1 for points opposite each other.
    2.0 * EARTH_RADIUS_KM * h.min(1.0).sqrt().asin()
}

/// Roughly where a US postal code (`89101` or `89101-1234`) is: the centre of its first three
/// digits' area. A prefix without a known area (military mail, single offices) gets the nearest
/// lower prefix of the same first digit, else the nearest higher one. `None` for what is no ZIP code.
pub fn us_postal_point(postal_code: &str) -> Option<Point> {
    if !is_us_postal_code(postal_code) {
        return None;
    }
    let prefix: usize = postal_code.get(..3)?.parse().ok()?;
    let first = prefix / 100 * 100;
    let known = |prefix: usize| CENTROIDS.get(prefix).copied().flatten();
    (first..=prefix)
        .rev()
        .find_map(known)
        .or_else(|| (prefix..first + 100).find_map(known))
}

/// Whether the text is five digits, or five, a hyphen and four.
fn is_us_postal_code(text: &str) -> bool {
    let digits = |part: &str, len| part.len() == len && part.bytes().all(|b| b.is_ascii_digit());
    match text.split_once('-') {
        Some((zip, plus4)) => digits(zip, 5) && digits(plus4, 4),
        None => digits(text, 5),
    }
}

/// The centroid of each of the thousand prefixes, by number.
static CENTROIDS: LazyLock<Vec<Option<Point>>> = LazyLock::new(|| {
    let mut centroids = vec![None; 1_000];
    for (prefix, point) in ZIP3.lines().skip(1).filter_map(parse_row) {
        if let Some(slot) = centroids.get_mut(prefix) {
            *slot = Some(point);
        }
    }
    centroids
});

fn parse_row(row: &str) -> Option<(usize, Point)> {
    let mut cells = row.split(',');
    let prefix = cells.next()?.parse().ok()?;
    let lat = cells.next()?.parse().ok()?;
    let lon = cells.next()?.parse().ok()?;
    Some((prefix, Point { lat, lon }))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const LAS_VEGAS: Point = Point {
        lat: 36.17,
        lon: -115.14,
    };
    const NEW_YORK: Point = Point {
        lat: 40.71,
        lon: -74.01,
    };

    #[test]
    fn every_row_of_the_table_is_read() {
        let rows = ZIP3.lines().skip(1).count();
        assert!(rows > 850, "{rows}");
        assert_eq!(CENTROIDS.iter().flatten().count(), rows);
    }

    #[test]
    fn distances_are_right() {
        assert!((distance_km(LAS_VEGAS, NEW_YORK) - 3_585.0).abs() < 20.0);
        assert!(distance_km(NEW_YORK, NEW_YORK).abs() < f64::EPSILON);
        let (north, south) = (
            Point {
                lat: 90.0,
                lon: 0.0,
            },
            Point {
                lat: -90.0,
                lon: 0.0,
            },
        );
        assert!((distance_km(north, south) - 20_015.1).abs() < 1.0);
    }

    #[test]
    fn zip_codes_are_where_people_live() {
        let near = |zip: &str, point| {
            us_postal_point(zip).is_some_and(|found| distance_km(found, point) < 60.0)
        };
        assert!(near("89101", LAS_VEGAS));
        assert!(near("89101-1234", LAS_VEGAS));
        assert!(near("10001", NEW_YORK));
        let chicago = Point {
            lat: 41.88,
            lon: -87.63,
        };
        assert!(near("60601", chicago));
    }

    #[test]
    fn what_is_no_zip_code_is_nowhere() {
        for wrong in [
            "",
            "891",
            "8910",
            "891011",
            "8910A",
            "89101-",
            "89101-12",
            "SW1A 1AA",
            "８９１０１",
        ] {
            assert_eq!(us_postal_point(wrong), None, "{wrong:?}");
        }
    }

    proptest! {
        #[test]
        fn every_zip_code_has_a_point(zip in "[0-9]{5}") {
            prop_assert!(us_postal_point(&zip).is_some());
        }

        #[test]
        fn distance_is_symmetrical_and_bounded(
            lat in -90.0..90.0_f64, lon in -180.0..180.0_f64,
            lat2 in -90.0..90.0_f64, lon2 in -180.0..180.0_f64,
        ) {
            let (a, b) = (Point { lat, lon }, Point { lat: lat2, lon: lon2 });
            let distance = distance_km(a, b);
            prop_assert!((0.0..=20_016.0).contains(&distance));
            prop_assert!((distance - distance_km(b, a)).abs() < 1e-6);
        }
    }
}
