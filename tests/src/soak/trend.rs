//! Whether a series of samples is flat.
//!
//! The first third of a run is left out: caches, pools and allocators fill. What is left is compared by its medians: the last third
//! may exceed the one before by a share of it, or by an allowance where the value is so small that a share means nothing. Medians of thirds
//! are used, and no slope: a checkpoint or a pause of the machine moves a regression line, and a slope needs a tolerance that nobody can
//! give without saying for how long it may go on.

use serde::Serialize;

use crate::summary::percentile;

/// Fewer samples in a third say nothing.
const SAMPLES_LEAST: usize = 10;
/// By how much of itself a value may have grown.
const SHARE_MOST: f64 = 0.10;

/// What is said of a series.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Verdict {
    /// It stays where it is.
    Flat,
    /// It grows.
    Grows,
    /// The run was too short to tell.
    TooShort,
    /// It is only told: it grows with the work that was done.
    Told,
}

/// A series in short.
#[derive(Debug, Clone, Serialize)]
pub struct Trend {
    /// What was sampled.
    pub name: String,
    /// Of what.
    pub unit: &'static str,
    /// Medians of the thirds.
    pub thirds: [f64; 3],
    /// The largest value.
    pub most: f64,
    /// What is said of it.
    pub verdict: Verdict,
}

/// Judges a series; `allowance` is the growth that is never held against it. `None`: it is told and not judged.
pub fn judge(name: &str, unit: &'static str, values: &[f64], allowance: Option<f64>) -> Trend {
    let third = values.len() / 3;
    let median = |part: &[f64]| percentile(part, 50).unwrap_or_default();
    let thirds = [
        median(values.get(..third).unwrap_or_default()),
        median(values.get(third..2 * third).unwrap_or_default()),
        median(values.get(2 * third..).unwrap_or_default()),
    ];
    let [_, before, after] = thirds;
    let verdict = match allowance {
        None => Verdict::Told,
        Some(_) if third < SAMPLES_LEAST => Verdict::TooShort,
        Some(allowance) if after - before <= allowance.max(before * SHARE_MOST) => Verdict::Flat,
        Some(_) => Verdict::Grows,
    };
    Trend {
        name: name.to_owned(),
        unit,
        thirds,
        most: values.iter().copied().fold(0.0, f64::max),
        verdict,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn verdict(value: impl Fn(f64) -> f64, samples: u32) -> Verdict {
        let values: Vec<f64> = (0..samples).map(|at| value(f64::from(at))).collect();
        judge("x", "", &values, Some(5.0)).verdict
    }

    #[test]
    fn what_grows_by_more_than_a_tenth_in_the_last_third_grows() {
        assert_eq!(verdict(|at| 100.0 + at, 90), Verdict::Grows);
        assert_eq!(verdict(|_| 100.0, 90), Verdict::Flat);
        // It filled up in the first third.
        assert_eq!(verdict(|at| at.min(25.0) * 10.0, 90), Verdict::Flat);
    }

    #[test]
    fn a_spike_and_noise_below_the_allowance_are_no_growth() {
        let spike = |at: f64| if at > 85.0 { 9_000.0 } else { 100.0 };
        assert_eq!(verdict(spike, 90), Verdict::Flat);
        assert_eq!(verdict(|at| at / 30.0, 90), Verdict::Flat);
    }

    #[test]
    fn a_short_run_says_nothing() {
        assert_eq!(verdict(|at| at * 100.0, 20), Verdict::TooShort);
        assert_eq!(judge("x", "", &[1.0, 9.0], None).verdict, Verdict::Told);
    }
}
