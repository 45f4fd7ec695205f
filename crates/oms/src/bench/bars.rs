//! Progress for people; silent for machines.

use indicatif::{MultiProgress, ProgressBar, ProgressDrawTarget, ProgressStyle};

/// The bars of a bench.
pub(super) struct Bars(MultiProgress);

impl Bars {
    /// None yet.
    pub(super) fn new(silent: bool) -> Self {
        let all = MultiProgress::new();
        if silent {
            all.set_draw_target(ProgressDrawTarget::hidden());
        }
        Self(all)
    }

    /// Another one, below the others.
    pub(super) fn add(&self, name: &'static str, steps: u64) -> ProgressBar {
        let style = ProgressStyle::with_template(
            "{prefix:>12} {bar:40} {pos:>3}/{len:3} {elapsed:>5} {msg}",
        )
        .unwrap_or_else(|_| ProgressStyle::default_bar());
        let bar = ProgressBar::new(steps).with_style(style).with_prefix(name);
        let bar = self.0.add(bar);
        bar.tick();
        bar
    }
}
