//! A soak for people: a table with a plot per series, and the same as a page with drawings.

use std::fmt::Write as _;

use comfy_table::presets::UTF8_FULL_CONDENSED;
use comfy_table::{CellAlignment, Table};

use super::Report;
use super::trend::{Trend, Verdict};

/// Characters of a plot.
const PLOT_WIDTH: usize = 30;
const BARS: [char; 8] = ['▁', '▂', '▃', '▄', '▅', '▆', '▇', '█'];
/// Of a drawing.
const WIDTH: f64 = 640.0;
const HEIGHT: f64 = 80.0;

/// Series that were more than nothing, or grew.
fn shown(report: &Report) -> impl Iterator<Item = &Trend> {
    let is_shown = |trend: &&Trend| trend.most > 0.0 || trend.verdict == Verdict::Grows;
    report.trends.iter().filter(is_shown)
}

/// In one sentence.
pub fn sentence(report: &Report) -> String {
    let silent = report.trends.len() - shown(report).count();
    format!(
        "{} orders placed, {} came to their end in {:.1} minutes at {:.2} orders/s (70 % of {:.2}); seed {}; {} build, {} cores, load \
         before {:.1}; {silent} series were nothing all the time; {} violations: {}",
        report.placed,
        report.ended,
        report.minutes,
        report.offered_per_second,
        report.peak_per_second,
        report.seed,
        report.machine.build,
        report.machine.cores,
        report.machine.load_before,
        report.violations.len(),
        if report.passed() { "passed" } else { "FAILED" }
    )
}

fn says(verdict: Verdict) -> &'static str {
    match verdict {
        Verdict::Flat => "flat",
        Verdict::Grows => "GROWS",
        Verdict::TooShort => "too short to tell",
        Verdict::Told => "",
    }
}

/// A row per series.
pub fn table(report: &Report) -> Table {
    let mut table = Table::new();
    let heads = [
        "",
        "",
        "first third",
        "second",
        "last",
        "most",
        "over time",
        "",
    ];
    table.load_style(UTF8_FULL_CONDENSED).set_header(heads);
    for trend in shown(report) {
        let mut row = vec![trend.name.clone(), trend.unit.to_owned()];
        row.extend(trend.thirds.iter().map(|value| format!("{value:.1}")));
        row.push(format!("{:.1}", trend.most));
        row.push(plot(&report.series(&trend.name), trend.most));
        row.push(says(trend.verdict).to_owned());
        table.add_row(row);
    }
    for column in 2..=5 {
        if let Some(column) = table.column_mut(column) {
            column.set_cell_alignment(CellAlignment::Right);
        }
    }
    table
}

/// Bars from nothing to the most; each is the largest of its stretch of time.
fn plot(values: &[f64], most: f64) -> String {
    let stretch = values.len().div_ceil(PLOT_WIDTH).max(1);
    let bar = |part: &[f64]| {
        let value = part.iter().copied().fold(0.0, f64::max);
        let level = BARS
            .iter()
            .zip(1_u8..)
            .filter(|(_, step)| value > 0.0 && value * 8.0 > most * f64::from(step - 1));
        level.last().map_or(' ', |(bar, _)| *bar)
    };
    values.chunks(stretch).map(bar).collect()
}

/// A page that needs nothing else.
pub fn html(report: &Report) -> String {
    let mut page = format!(
        "<!doctype html><html lang=\"en\"><meta charset=\"utf-8\"><title>Soak</title>\
         <style>body{{font:14px system-ui;margin:2em;max-width:60em}}svg{{background:#f6f6f6}}.grows{{color:#b00}}</style>\
         <h1>Soak</h1><p>{}</p>",
        escaped(&sentence(report))
    );
    for trend in shown(report) {
        let class = if trend.verdict == Verdict::Grows {
            "grows"
        } else {
            ""
        };
        let [_, before, after] = trend.thirds;
        // A string takes everything.
        let _ = write!(
            page,
            "<h3 class=\"{class}\">{} <small>{before:.1} → {after:.1} {}, most {:.1} {}</small></h3>{}",
            escaped(&trend.name),
            trend.unit,
            trend.most,
            says(trend.verdict),
            drawing(report, trend)
        );
    }
    page + "</html>\n"
}

fn drawing(report: &Report, trend: &Trend) -> String {
    let end = report.samples.last().map_or(1.0, |(at, _)| at.max(1.0));
    let mut points = String::new();
    for (at, sample) in &report.samples {
        let value = sample.get(&trend.name).copied().unwrap_or_default();
        let height = HEIGHT - value / trend.most.max(f64::EPSILON) * (HEIGHT - 4.0);
        let _ = write!(points, "{:.1},{height:.1} ", at / end * WIDTH);
    }
    format!(
        "<svg viewBox=\"0 0 {WIDTH} {HEIGHT}\" width=\"{WIDTH}\" height=\"{HEIGHT}\">\
         <polyline fill=\"none\" stroke=\"#246\" stroke-width=\"1.5\" points=\"{points}\"/></svg>"
    )
}

fn escaped(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;")
}

#[cfg(test)]
mod tests {
    use super::plot;

    #[test]
    fn a_plot_shows_what_was_largest() {
        assert_eq!(plot(&[0.0, 1.0, 4.0, 8.0], 8.0), " ▁▄█");
        assert_eq!(plot(&[0.0; 3], 0.0), "   ");
        let many: Vec<f64> = (0..300).map(f64::from).collect();
        assert_eq!(plot(&many, 299.0).chars().count(), 30);
    }
}
