//! What happened to the order, for people and for machines.

use std::fmt;

use comfy_table::presets::UTF8_FULL_CONDENSED;
use comfy_table::{CellAlignment, Table};
use oms_service::{PeerError, reason_name};
use serde::Serialize;

/// The result of a run.
#[derive(Debug, Clone, Serialize)]
pub struct Report {
    /// Whether every step saw what it must see.
    pub passed: bool,
    /// Reference of the order in its channel, new in every run.
    pub external_reference: String,
    /// The order, once there is one.
    pub order_id: Option<String>,
    /// Its number for people.
    pub order_number: Option<String>,
    /// The steps that were taken, in their order.
    pub steps: Vec<Step>,
    /// Why the order may still be open after a failure, with stock or money that it holds; absent when nothing is.
    pub left_open: Option<String>,
}

/// One step.
#[derive(Debug, Clone, Serialize)]
pub struct Step {
    /// Its name: `place`.
    pub name: &'static str,
    /// The service that was asked.
    pub service: &'static str,
    /// How long it took.
    pub milliseconds: u64,
    /// What was seen; empty after a failure.
    pub seen: String,
    /// Why it failed.
    pub failure: Option<Failure>,
}

/// Why a step failed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Failure {
    /// gRPC code of the service's answer: `FailedPrecondition`; absent when it answered something else than is expected.
    pub code: Option<String>,
    /// Its reason: `OUT_OF_STOCK`; the order's own when it was refused.
    pub reason: Option<String>,
    /// What it says.
    pub message: String,
    /// Fields that are wrong, `field: why`.
    pub violations: Vec<String>,
}

impl Failure {
    /// An answer that is not the expected one.
    pub(super) fn unexpected(message: impl Into<String>) -> Self {
        Self {
            code: None,
            reason: None,
            message: message.into(),
            violations: Vec::new(),
        }
    }

    /// Whether what was asked for is not there.
    pub(super) fn is_not_found(&self) -> bool {
        self.code.as_deref() == Some("NotFound")
    }

    /// The same with a reason.
    pub(super) fn because(reason: &str, message: impl Into<String>) -> Self {
        let reason = Some(reason.to_owned()).filter(|reason| !reason.is_empty());
        Self {
            reason,
            ..Self::unexpected(message)
        }
    }
}

impl From<PeerError> for Failure {
    fn from(error: PeerError) -> Self {
        let violations = error.violations().iter();
        Self {
            code: Some(format!("{:?}", error.code())),
            reason: error.reason().map(|reason| reason_name(reason).to_owned()),
            message: error.message().to_owned(),
            violations: violations
                .map(|one| format!("{}: {}", one.field, one.message))
                .collect(),
        }
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let codes = self.code.iter().chain(&self.reason);
        let codes: Vec<&str> = codes.map(String::as_str).collect();
        if !codes.is_empty() {
            write!(f, "{}: ", codes.join(" "))?;
        }
        f.write_str(&self.message)?;
        for violation in self.violations.iter().skip(1) {
            write!(f, "\n{violation}")?;
        }
        Ok(())
    }
}

impl Report {
    /// The steps for people.
    pub fn table(&self) -> Table {
        let mut table = Table::new();
        table.load_style(UTF8_FULL_CONDENSED);
        table.set_header(["step", "asked", "ms", "seen"]);
        if let Some(column) = table.column_mut(2) {
            column.set_cell_alignment(CellAlignment::Right);
        }
        for step in &self.steps {
            let seen = match &step.failure {
                Some(failure) => format!("FAILED {failure}"),
                None => step.seen.clone(),
            };
            let milliseconds = step.milliseconds.to_string();
            table.add_row([
                step.name.to_owned(),
                step.service.to_owned(),
                milliseconds,
                seen,
            ]);
        }
        table
    }

    /// One sentence for people.
    pub fn verdict(&self) -> String {
        if self.passed {
            let number = self.order_number.as_deref().unwrap_or_default();
            return format!("passed: order {number} was placed, confirmed and canceled");
        }
        let failed = self.steps.iter().find(|step| step.failure.is_some());
        let failed = failed.map_or(String::new(), |step| {
            format!(" at {} ({})", step.name, step.service)
        });
        let rest = match (&self.left_open, &self.order_number) {
            (Some(why), _) => format!("LEFT OPEN: {why}"),
            (None, Some(number)) => format!("order {number} holds nothing any more"),
            (None, None) => "no order was placed".to_owned(),
        };
        format!("failed{failed}; {rest}")
    }
}
