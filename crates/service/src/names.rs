//! Names of all metrics of this crate, with what they mean.

use metrics::{Unit, describe_counter, describe_gauge, describe_histogram};

pub(crate) const SERVER_DURATION: &str = "oms.rpc.server.duration_seconds";
pub(crate) const SERVER_ERRORS: &str = "oms.rpc.server.errors";
pub(crate) const SERVER_IN_FLIGHT: &str = "oms.rpc.server.in_flight";
pub(crate) const SERVER_SHED: &str = "oms.rpc.server.shed";
pub(crate) const SERVER_CONNECTIONS: &str = "oms.rpc.server.connections";
pub(crate) const SERVER_CONNECTIONS_REFUSED: &str = "oms.rpc.server.connections_refused";
pub(crate) const SERVER_HANDSHAKES_FAILED: &str = "oms.rpc.server.handshakes_failed";
pub(crate) const READY: &str = "oms.ready";
pub(crate) const AUTH_FAILURES: &str = "oms.auth.failures";
pub(crate) const JWKS_FETCHES: &str = "oms.auth.jwks_fetches";
pub(crate) const FILES_RELOADED: &str = "oms.auth.files_reloaded";
pub(crate) const CLIENT_DURATION: &str = "oms.rpc.client.duration_seconds";
pub(crate) const CLIENT_REFUSED: &str = "oms.rpc.client.refused";
pub(crate) const CLIENT_TRIPPED: &str = "oms.rpc.client.tripped";
pub(crate) const CLIENT_REPLICAS: &str = "oms.rpc.client.replicas";
pub(crate) const CLIENT_FAILOVERS: &str = "oms.rpc.client.failovers";
pub(crate) const FEED_LAG: &str = "oms.feed.lag";
pub(crate) const FEED_EVENTS: &str = "oms.feed.events_applied";
pub(crate) const FEED_PARKED: &str = "oms.feed.events_parked";
pub(crate) const FEED_STOPPED: &str = "oms.feed.stopped";
pub(crate) const FEED_RECONNECTS: &str = "oms.feed.reconnects";

/// Tells the metrics recorder what the metrics of this crate mean.
pub(crate) fn describe_metrics() {
    describe_histogram!(
        SERVER_DURATION,
        Unit::Seconds,
        "calls served, by method and code"
    );
    describe_counter!(SERVER_ERRORS, "failed calls, by reason");
    describe_gauge!(SERVER_IN_FLIGHT, "calls in work");
    describe_counter!(
        SERVER_SHED,
        "calls refused because the server was at its limit"
    );
    describe_gauge!(SERVER_CONNECTIONS, "open connections");
    describe_counter!(
        SERVER_CONNECTIONS_REFUSED,
        "connections closed because there were too many"
    );
    describe_counter!(
        SERVER_HANDSHAKES_FAILED,
        "connections closed because TLS was not agreed on, or not in time"
    );
    describe_gauge!(READY, "1 while calls can be answered");
    describe_counter!(
        AUTH_FAILURES,
        "wrong tokens, keys and signatures, by whether they were looked at"
    );
    describe_counter!(JWKS_FETCHES, "fetches of the issuer's keys, by outcome");
    describe_counter!(
        FILES_RELOADED,
        "changed certificates and lists of keys, by whether they were taken"
    );
    describe_histogram!(
        CLIENT_DURATION,
        Unit::Seconds,
        "calls of peers, by method and code"
    );
    describe_counter!(
        CLIENT_REFUSED,
        "calls of peers that were not sent, by peer and reason"
    );
    describe_gauge!(
        CLIENT_TRIPPED,
        "1 while a peer is left alone because it does not answer"
    );
    describe_gauge!(CLIENT_REPLICAS, "replicas found behind a peer's name");
    describe_counter!(
        CLIENT_FAILOVERS,
        "calls made once more at another replica because the first went away, by peer"
    );
    describe_gauge!(FEED_LAG, "events of a peer's feed not yet applied");
    describe_counter!(FEED_EVENTS, "events applied, by source");
    describe_counter!(
        FEED_PARKED,
        "events parked because they could not be applied"
    );
    describe_gauge!(
        FEED_STOPPED,
        "1 when a consumer waits for an operator: the peer's feed has another epoch"
    );
    describe_counter!(
        FEED_RECONNECTS,
        "subscriptions that broke and were made again, those that ended in their course aside"
    );
}
