//! Speed and latency, medians over rounds, targets.

use std::fmt;
use std::time::Duration;

use hdrhistogram::Histogram;
use serde::Serialize;

/// Longest latency in microseconds that is told apart; longer ones count as this.
const LATENCY_US_MAX: u64 = 120_000_000;

/// What one round came to, or the medians over rounds.
#[derive(Debug, Clone, Copy, Default, PartialEq, Serialize)]
pub(crate) struct Figures {
    /// Answers per second.
    pub(crate) per_second: f64,
    /// Half of the answers came within these milliseconds.
    pub(crate) p50_ms: f64,
    /// 99 of 100 answers came within these milliseconds.
    pub(crate) p99_ms: f64,
}

impl Figures {
    /// Of the latencies of all answers within this time.
    #[expect(clippy::cast_precision_loss, reason = "a rate for people")]
    pub(crate) fn of(latencies: &Latencies, elapsed: Duration) -> Self {
        Self {
            per_second: latencies.count() as f64 / elapsed.as_secs_f64().max(f64::EPSILON),
            p50_ms: latencies.quantile_ms(0.5),
            p99_ms: latencies.quantile_ms(0.99),
        }
    }

    /// The median of each figure by itself.
    pub(crate) fn median(rounds: &[Self]) -> Self {
        let of = |figure: fn(&Self) -> f64| median(rounds.iter().map(figure));
        Self {
            per_second: of(|round| round.per_second),
            p50_ms: of(|round| round.p50_ms),
            p99_ms: of(|round| round.p99_ms),
        }
    }
}

/// The value in the middle; of an even number of values the mean of the two. 0 of none.
pub(crate) fn median(values: impl Iterator<Item = f64>) -> f64 {
    let mut sorted: Vec<f64> = values.collect();
    sorted.sort_by(f64::total_cmp);
    let half = sorted.len() / 2;
    match (sorted.get(half), half.checked_sub(1)) {
        (Some(upper), Some(before)) if sorted.len().is_multiple_of(2) => sorted
            .get(before)
            .map_or(*upper, |lower| f64::midpoint(*lower, *upper)),
        (Some(middle), _) => *middle,
        (None, _) => 0.0,
    }
}

/// The median over rounds of ours over theirs. Rounds are compared in pairs, so that a machine that slows down in the
/// middle of a run slows down both sides.
pub(crate) fn ratio(ours: &[Figures], theirs: &[Figures], figure: fn(&Figures) -> f64) -> f64 {
    let pairs = ours.iter().zip(theirs);
    median(pairs.map(|(ours, theirs)| figure(ours) / figure(theirs).max(f64::EPSILON)))
}

/// Latencies to the microsecond, within a thousandth.
#[derive(Debug, Clone)]
pub(crate) struct Latencies(Histogram<u64>);

impl Latencies {
    /// None yet.
    pub(crate) fn new() -> anyhow::Result<Self> {
        Ok(Self(Histogram::new_with_bounds(1, LATENCY_US_MAX, 3)?))
    }

    /// Adds one.
    pub(crate) fn record(&mut self, latency: Duration) {
        self.record_us(u64::try_from(latency.as_micros()).unwrap_or(LATENCY_US_MAX));
    }

    /// Adds one in microseconds.
    pub(crate) fn record_us(&mut self, micros: u64) {
        self.0.saturating_record(micros.min(LATENCY_US_MAX));
    }

    /// Adds those of somebody else.
    pub(crate) fn add(&mut self, others: &Self) -> anyhow::Result<()> {
        Ok(self.0.add(&others.0)?)
    }

    /// How many there are.
    pub(crate) fn count(&self) -> u64 {
        self.0.len()
    }

    #[expect(clippy::cast_precision_loss, reason = "a latency for people")]
    fn quantile_ms(&self, quantile: f64) -> f64 {
        self.0.value_at_quantile(quantile) as f64 / 1000.0
    }
}

/// What a value should be.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Target {
    /// This or more.
    AtLeast(f64),
    /// This or less.
    AtMost(f64),
    /// Less than this.
    Below(f64),
    /// This and nothing else.
    Exactly(u64),
}

impl Target {
    /// Whether the value is as it should be. What is no number is not.
    pub(crate) fn is_met(self, value: f64) -> bool {
        match self {
            Self::AtLeast(least) => value >= least,
            Self::AtMost(most) => value <= most,
            Self::Below(bound) => value < bound,
            #[expect(
                clippy::cast_precision_loss,
                clippy::float_cmp,
                reason = "counts below 2^53 are exact"
            )]
            Self::Exactly(count) => value == count as f64,
        }
    }
}

impl fmt::Display for Target {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::AtLeast(least) => write!(f, ">= {least}"),
            Self::AtMost(most) => write!(f, "<= {most}"),
            Self::Below(bound) => write!(f, "< {bound}"),
            Self::Exactly(count) => write!(f, "= {count}"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn figures(per_second: f64) -> Figures {
        Figures {
            per_second,
            p50_ms: 1.0 / per_second,
            p99_ms: 3.0,
        }
    }

    fn same(value: f64, expected: f64) -> bool {
        (value - expected).abs() < 1e-9
    }

    #[test]
    fn the_median_is_the_value_in_the_middle_whatever_the_order() {
        assert!(same(median([5.0, 1.0, 3.0].into_iter()), 3.0));
        assert!(same(median([4.0, 1.0, 3.0, 2.0].into_iter()), 2.5));
        assert!(same(median([7.0].into_iter()), 7.0));
        assert!(same(median(std::iter::empty()), 0.0));
    }

    #[test]
    fn medians_are_taken_of_each_figure_by_itself() {
        let middle = Figures::median(&[figures(10.0), figures(40.0), figures(20.0)]);
        assert_eq!(middle, figures(20.0));
    }

    #[test]
    fn ratios_compare_the_rounds_in_pairs() {
        // The machine ran at a tenth of its speed in the second round.
        let ours = [figures(200.0), figures(20.0), figures(220.0)];
        let theirs = [figures(10.0), figures(1.0), figures(10.0)];
        assert!(same(
            ratio(&ours, &theirs, |figures| figures.per_second),
            20.0
        ));
    }

    #[test]
    fn quantiles_are_those_of_the_answers() {
        let mut latencies = Latencies::new().unwrap();
        let mut others = Latencies::new().unwrap();
        for micros in 1..=50 {
            latencies.record(Duration::from_micros(micros * 1000));
            others.record_us((50 + micros) * 1000);
        }
        latencies.add(&others).unwrap();
        let figures = Figures::of(&latencies, Duration::from_secs(4));
        assert!(same(figures.per_second, 25.0));
        let close = |value: f64, expected: f64| (value - expected).abs() / expected < 0.001;
        assert!(close(figures.p50_ms, 50.0), "{}", figures.p50_ms);
        assert!(close(figures.p99_ms, 99.0), "{}", figures.p99_ms);
    }

    #[test]
    fn an_answer_after_ages_counts_as_the_longest() {
        let mut latencies = Latencies::new().unwrap();
        latencies.record(Duration::MAX);
        assert_eq!(latencies.count(), 1);
    }

    #[test]
    fn targets_are_met_at_their_bounds_and_never_by_what_is_no_number() {
        assert!(Target::AtLeast(20.0).is_met(20.0));
        assert!(!Target::AtLeast(20.0).is_met(19.99));
        assert!(Target::AtMost(2.0).is_met(2.0));
        assert!(!Target::AtMost(2.0).is_met(2.01));
        assert!(Target::Below(0.5).is_met(0.49));
        assert!(!Target::Below(0.5).is_met(0.5));
        for target in [
            Target::AtLeast(0.0),
            Target::AtMost(9.0),
            Target::Below(9.0),
        ] {
            assert!(!target.is_met(f64::NAN));
        }
    }
}
