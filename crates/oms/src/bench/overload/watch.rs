//! The longest queues while something runs.

use std::time::Duration;

use oms_telemetry::Metrics;
use tokio_util::sync::CancellationToken;

use crate::bench::facts::resident_mib;

/// Pause between two looks.
const LOOK: Duration = Duration::from_millis(100);

/// The most that was seen.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub(super) struct Most {
    /// Calls in work in the service.
    pub(super) in_flight: f64,
    /// Commands that wait for their lanes.
    pub(super) lanes: f64,
    /// Resident memory of this process in MiB: services and callers together.
    pub(super) memory_mib: f64,
}

/// Looks again and again until it is told to stop.
pub(super) async fn watch(service: &'static str, stop: CancellationToken) -> Most {
    let metrics = oms_telemetry::metrics();
    let mut most = Most::default();
    while !stop.is_cancelled() {
        let now = look(&metrics, service);
        most.in_flight = most.in_flight.max(now.in_flight);
        most.lanes = most.lanes.max(now.lanes);
        most.memory_mib = most.memory_mib.max(now.memory_mib);
        tokio::time::sleep(LOOK).await;
    }
    most
}

/// Resident memory of this process in MiB; 0 where the system does not tell.
pub(super) fn memory() -> f64 {
    resident_mib(std::process::id()).unwrap_or_default()
}

fn look(metrics: &Metrics, service: &str) -> Most {
    let text = metrics.render();
    let in_flight = format!("oms_rpc_server_in_flight{{service=\"{service}\"}}");
    Most {
        in_flight: sample(&text, &in_flight),
        lanes: sample(&text, "oms_inventory_lane_queue_depth"),
        memory_mib: memory(),
    }
}

fn sample(text: &str, name: &str) -> f64 {
    let value = |line: &str| line.strip_prefix(name)?.trim().parse().ok();
    text.lines().find_map(value).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn metrics_and_memory_are_read() {
        let text = "# HELP a\na{service=\"order\"} 7\na{service=\"other\"} 9\nb 3\n";
        assert!((sample(text, "a{service=\"order\"}") - 7.0).abs() < 1e-9);
        assert!((sample(text, "b") - 3.0).abs() < 1e-9);
        assert!(sample(text, "c").abs() < 1e-9);
        assert!(memory() > 1.0);
    }
}
