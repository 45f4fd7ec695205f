//! What is counted, and what it means.

use metrics::{describe_counter, describe_gauge};

/// Calls for leases, by outcome.
pub(crate) const ACQUISITIONS: &str = "oms_lock_acquisitions_total";
/// Counters begun anew.
pub(crate) const GENERATIONS: &str = "oms_lock_generations_total";
/// Leases given back while another holder waited.
pub(crate) const WAITED_FOR: &str = "oms_lock_waited_for_total";
/// What fails at the moment.
pub(crate) const FAILING: &str = "oms_lock_failing";

/// Tells the metrics recorder what the metrics of this crate mean.
pub fn describe_metrics() {
    describe_counter!(ACQUISITIONS, "calls for leases, by outcome");
    describe_counter!(
        GENERATIONS,
        "fencing counters begun anew, because Redis had lost them or fell back"
    );
    describe_counter!(WAITED_FOR, "names given back while another holder waited");
    describe_gauge!(
        FAILING,
        "servers of Redis, or sources of generations, that give no leases at the moment"
    );
}
