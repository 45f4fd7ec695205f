//! Measures of scarce stock: exactly what is there is sold, and whoever comes too late is told so.

use super::callers::{Callers, Pick, Tally, Until};
use super::catalogue;
use super::{Bench, Sale};
use crate::bench::figures::{Figures, Target, median};
use crate::bench::report::{Comparison, Outcome};
use crate::bench::store::{self, Books};

/// More buyers than units: each asks once.
pub(super) async fn buyers(bench: &mut Bench<'_>) -> anyhow::Result<Outcome> {
    let sale = bench.plan.few;
    let until = Until::Calls(1);
    let sales = rounds(bench, "buyers", sale, until).await?;
    let says = format!("{} buyers, {} units", sale.callers, sale.units);
    Ok(sales.outcome("buyers", says, (sale, until), Some(Target::Below(0.5))))
}

/// A flash sale over several replicas: callers buy until they are told that nothing is left.
pub(super) async fn flash(bench: &mut Bench<'_>) -> anyhow::Result<Outcome> {
    let (sale, replicas) = (bench.plan.flash, bench.plan.replicas);
    bench.rig.scale(replicas).await?;
    let until = Until::SoldOut;
    let sales = rounds(bench, "flash", sale, until).await?;
    bench.rig.scale(1).await?;
    let says = format!(
        "{} units, {} callers, {replicas} replicas",
        sale.units, sale.callers
    );
    Ok(sales.outcome("flash", says, (sale, until), None))
}

/// What the rounds came to.
#[derive(Default)]
struct Sales {
    figures: Vec<Figures>,
    seconds: Vec<f64>,
    sold: Vec<u64>,
    refused: Vec<u64>,
    events_behind: i64,
    repeated: u64,
}

/// The round before the first is as the others, but its times do not count.
async fn rounds(
    bench: &mut Bench<'_>,
    name: &'static str,
    sale: Sale,
    until: Until,
) -> anyhow::Result<Sales> {
    let first = u32::from(bench.plan.warm_up == 0);
    let bar = bench
        .bars
        .add(name, u64::from(bench.plan.rounds + 1 - first));
    let mut shop = bench.rig.callers(sale.callers).await?;
    let mut sales = Sales::default();
    for round in first..=bench.plan.rounds {
        let sku = format!("{}-{round}", name.to_uppercase());
        let tally = sell(bench, &mut shop, &sku, sale, until).await?;
        sales.sold.push(tally.sold);
        sales.refused.push(tally.refused);
        sales.repeated += tally.repeated;
        sales.events_behind = sales.events_behind.max(bench.rig.settle().await?);
        if round > 0 {
            sales.figures.push(tally.figures());
            sales.seconds.push(tally.elapsed.as_secs_f64());
        }
        bar.inc(1);
    }
    bar.finish();
    Ok(sales)
}

/// One sale of a new SKU; what is wrong with it is noted.
async fn sell(
    bench: &mut Bench<'_>,
    shop: &mut Callers,
    sku: &str,
    sale: Sale,
    until: Until,
) -> anyhow::Result<Tally> {
    let units = i64::try_from(sale.units)?;
    catalogue::stock(&bench.rig.url(0)?, &[(sku.to_owned(), units)]).await?;
    let tally = shop.buy(&Pick::One(sku.to_owned()), until).await?;
    bench.rig.acknowledged += tally.sold;
    let books = store::books(&mut bench.rig.conn, sku).await?;
    bench
        .violations
        .extend(wrong(sku, sale, until, &tally, books));
    Ok(tally)
}

/// Calls that must be refused.
fn refusals(sale: Sale, until: Until) -> u64 {
    match until {
        Until::Calls(calls) => {
            (u64::from(sale.callers) * u64::from(calls)).saturating_sub(sale.units)
        }
        // Everybody goes home with a refusal.
        Until::SoldOut | Until::Time(_) => u64::from(sale.callers),
    }
}

/// What callers were told, and what the books say, but should not.
fn wrong(sku: &str, sale: Sale, until: Until, tally: &Tally, books: Books) -> Vec<String> {
    let refused = refusals(sale, until);
    let mut wrong = Vec::new();
    if (tally.sold, tally.refused) != (sale.units, refused) {
        wrong.push(format!(
            "{sku}: {} sold and {} refused, not {} and {refused}",
            tally.sold, tally.refused, sale.units
        ));
    }
    let units = i64::try_from(sale.units).unwrap_or(i64::MAX);
    let sold_out = Books {
        available: 0,
        held: units,
        reserved: units,
        booked: units,
        reservations: units,
    };
    if books != sold_out {
        wrong.push(format!("{sku}: the books say {books:?}, not {sold_out:?}"));
    }
    wrong
}

impl Sales {
    fn outcome(
        self,
        name: &'static str,
        says: String,
        (sale, until): (Sale, Until),
        within: Option<Target>,
    ) -> Outcome {
        let seconds = median(self.seconds.into_iter());
        Outcome {
            name,
            says,
            by: "through gRPC",
            ours: Figures::median(&self.figures),
            rounds: self.figures,
            events_behind: self.events_behind,
            repeated: self.repeated,
            against: vec![
                exactly("sold", &self.sold, sale.units),
                exactly(
                    "refused with a shortage",
                    &self.refused,
                    refusals(sale, until),
                ),
                Comparison::of("all answered", seconds, "s", within),
            ],
        }
    }
}

/// The round that was farthest from what it should be.
fn exactly(what: &'static str, rounds: &[u64], right: u64) -> Comparison {
    let farthest = rounds.iter().max_by_key(|count| count.abs_diff(right));
    #[expect(clippy::cast_precision_loss, reason = "a count for people")]
    let value = farthest.copied().unwrap_or_default() as f64;
    Comparison::of(what, value, "", Some(Target::Exactly(right)))
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::bench::figures::Latencies;

    const SALE: Sale = Sale {
        units: 50,
        callers: 200,
    };
    const SOLD_OUT: Books = Books {
        available: 0,
        held: 50,
        reserved: 50,
        booked: 50,
        reservations: 50,
    };

    fn tally(sold: u64, refused: u64) -> Tally {
        Tally {
            sold,
            refused,
            repeated: 0,
            latencies: Latencies::new().unwrap(),
            elapsed: Duration::ZERO,
        }
    }

    #[test]
    fn exactly_what_is_there_is_right() {
        assert!(wrong("FEW", SALE, Until::Calls(1), &tally(50, 150), SOLD_OUT).is_empty());
        assert!(wrong("FEW", SALE, Until::SoldOut, &tally(50, 200), SOLD_OUT).is_empty());
    }

    #[test]
    fn the_worst_round_is_told() {
        let told = exactly("sold", &[50, 53, 49, 50], 50);
        assert_eq!((told.value, told.met), (53.0, Some(false)));
        assert_eq!(exactly("sold", &[50, 50], 50).met, Some(true));
        assert_eq!(exactly("sold", &[], 50).met, Some(false));
    }

    #[test]
    fn a_unit_too_many_or_too_few_is_found_in_answers_and_in_books() {
        for sold in [49, 51] {
            let found = wrong(
                "FEW",
                SALE,
                Until::Calls(1),
                &tally(sold, 200 - sold),
                SOLD_OUT,
            );
            assert_eq!(found.len(), 1, "{found:?}");
        }
        let oversold = Books {
            reserved: 51,
            ..SOLD_OUT
        };
        assert_eq!(
            wrong("FEW", SALE, Until::Calls(1), &tally(50, 150), oversold).len(),
            1
        );
    }
}
