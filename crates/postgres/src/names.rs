//! Names of all metrics of this crate, with what they mean.

use metrics::{Unit, describe_counter, describe_gauge, describe_histogram};

pub(crate) const TX_DURATION: &str = "oms.tx.duration_seconds";
pub(crate) const TX_POOL_WAIT: &str = "oms.tx.pool_wait_seconds";
pub(crate) const TX_RETRIES: &str = "oms.tx.retries";
pub(crate) const TASK_DURATION: &str = "oms.task.duration_seconds";
pub(crate) const TASK_STUCK: &str = "oms.task.stuck";
pub(crate) const TASKS_READY: &str = "oms.tasks.ready";
pub(crate) const TASKS_STUCK: &str = "oms.tasks.stuck";
pub(crate) const TASKS_OLDEST: &str = "oms.tasks.oldest_due_age_seconds";
pub(crate) const RELAY_EVENTS: &str = "oms.relay.events";
pub(crate) const OUTBOX_DEPTH: &str = "oms.outbox.depth";
pub(crate) const OUTBOX_OLDEST: &str = "oms.outbox.oldest_age_seconds";
pub(crate) const POOL_CONNECTIONS: &str = "oms.pool.connections";
pub(crate) const POOL_MAX: &str = "oms.pool.connections_max";
pub(crate) const FEED_HEAD: &str = "oms.feed.head";
pub(crate) const AUDIT_ROWS: &str = "oms.audit.rows";
pub(crate) const AUDIT_PENDING: &str = "oms.audit.pending";
pub(crate) const AUDIT_HEAD: &str = "oms.audit.head";
pub(crate) const FEED_CURSOR: &str = "oms.feed.cursor";
pub(crate) const PARKED_EVENTS: &str = "oms.parked_events";

/// Tells the metrics recorder what the metrics of this crate mean. Call once after installing one.
pub fn describe_metrics() {
    describe_histogram!(
        TX_DURATION,
        Unit::Seconds,
        "attempt of a transaction, by name and outcome"
    );
    describe_histogram!(
        TX_POOL_WAIT,
        Unit::Seconds,
        "wait for a connection, by name"
    );
    describe_counter!(TX_RETRIES, "attempts repeated after a conflict, by name");
    describe_histogram!(
        TASK_DURATION,
        Unit::Seconds,
        "run of a task, by kind and outcome"
    );
    describe_counter!(TASK_STUCK, "tasks given up and left for a person, by kind");
    describe_gauge!(TASKS_READY, "tasks that are due, counted up to 10 000");
    describe_gauge!(
        TASKS_STUCK,
        "tasks that wait for a person, counted up to 10 000"
    );
    describe_gauge!(
        TASKS_OLDEST,
        Unit::Seconds,
        "how long the oldest due task has been due"
    );
    describe_counter!(
        RELAY_EVENTS,
        "events moved from the outbox to the feed, by type"
    );
    describe_gauge!(OUTBOX_DEPTH, "events in the outbox, counted up to 10 000");
    describe_gauge!(
        OUTBOX_OLDEST,
        Unit::Seconds,
        "how long the oldest event has been in the outbox"
    );
    describe_gauge!(
        POOL_CONNECTIONS,
        "connections to the database, by state: used or idle"
    );
    describe_gauge!(POOL_MAX, "most connections to the database");
    describe_gauge!(FEED_HEAD, "highest position of the feed");
    describe_counter!(AUDIT_ROWS, "rows chained in the audit log");
    describe_gauge!(
        AUDIT_PENDING,
        "calls and events that wait to be chained, counted up to 10 000 each"
    );
    describe_gauge!(AUDIT_HEAD, "number of the last row of the audit log");
    describe_gauge!(
        FEED_CURSOR,
        "position up to which the feed of a peer is applied"
    );
    describe_gauge!(
        PARKED_EVENTS,
        "events that could not be applied, counted up to 10 000"
    );
}
