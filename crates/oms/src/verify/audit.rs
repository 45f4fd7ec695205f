//! The audit logs. `oms audit verify` computes whole chains; here it is their last part, often.

use super::invariant::{Database, Invariant, always};

pub(super) const ALL: &[Invariant] = &[
    always(
        "audit.chain_holds",
        "each of the last 100 000 rows of an audit log has the hash that follows from its columns and the row before it, the last one that of the head",
        &Database::ALL,
        "audit_log",
        "WITH last AS (
             SELECT * FROM audit_log WHERE seq > (SELECT seq FROM audit_head) - 100000
         ), rows AS (
             SELECT *, lag(seq) OVER w AS seq_before, lag(hash) OVER w AS hash_before FROM last WINDOW w AS (ORDER BY seq)
         ), chained AS (
             SELECT rows.*, CASE WHEN rows.seq = h.first_seq THEN h.first_prev_hash ELSE hash_before END AS prev
             FROM rows CROSS JOIN audit_head h
         )
         SELECT 'row ' || seq || ' (' || method || ' on ' || object_id || ' by ' || principal || ') does not follow from the one before'
         FROM chained
         WHERE seq <> seq_before + 1 OR hash <> sha256(prev || int8send(seq) || uuid_send(epoch)
             || int4send(octet_length(kind)) || convert_to(kind, 'UTF8') || timestamptz_send(at)
             || int4send(octet_length(principal)) || convert_to(principal, 'UTF8')
             || int4send(octet_length(method)) || convert_to(method, 'UTF8')
             || int4send(octet_length(object_type)) || convert_to(object_type, 'UTF8')
             || int4send(octet_length(object_id)) || convert_to(object_id, 'UTF8')
             || int8send(object_version) || content_hash
             || int4send(octet_length(reason)) || convert_to(reason, 'UTF8') || uuid_send(entry_id)
             || int4send(octet_length(traceparent)) || convert_to(traceparent, 'UTF8') || timestamptz_send(recorded_at))
         UNION ALL
         SELECT 'the head says that row ' || h.seq || ' is the last, it is ' || coalesce(l.seq::text, 'not there')
         FROM audit_head h LEFT JOIN LATERAL (SELECT seq, hash FROM audit_log ORDER BY seq DESC LIMIT 1) AS l ON true
         WHERE h.seq >= h.first_seq AND (h.seq, h.hash) IS DISTINCT FROM (l.seq, l.hash)",
    ),
    always(
        "audit.nothing_is_left_out",
        "every call whose request id is kept, and every event up to where the log has read the feed, is in the audit log as it was",
        &Database::ALL,
        "audit_log",
        "SELECT 'event ' || f.pos || ': ' || f.event_type || ' of ' || f.aggregate_type || ' ' || f.aggregate_id
         FROM feed f LEFT JOIN audit_log l ON l.entry_id = f.event_id AND l.kind = 'CHANGE'
             AND l.method = f.event_type AND l.content_hash = sha256(f.payload)
         WHERE f.pos <= (SELECT feed_pos FROM audit_head) AND l.seq IS NULL
         UNION ALL
         SELECT i.method || ' ' || i.request_id || ' of ' || i.principal
         FROM idempotency i LEFT JOIN (
             SELECT entry_id, principal, method, content_hash FROM audit_log WHERE kind = 'CALL'
             UNION ALL SELECT request_id, principal, method, content_hash FROM audit_pending
         ) AS l ON (l.entry_id, l.principal, l.method, l.content_hash) = (i.request_id, i.principal, i.method, i.request_hash)
         WHERE l.entry_id IS NULL AND i.resource_id IS NOT NULL
             -- Calls from before there was a log have no row.
             AND i.created_at > (SELECT installed_on FROM _plumbing_migrations WHERE description = 'audit')",
    ),
    always(
        "audit.keeps_up",
        "no call and no event waits for a minute to be chained",
        &Database::ALL,
        "audit_head",
        "SELECT method || ' ' || request_id || ' of ' || principal || ' waits since ' || at FROM audit_pending
         WHERE at < now() - interval '60 seconds'
         UNION ALL
         SELECT 'event ' || f.pos || ' waits since ' || f.relayed_at FROM audit_head h
         CROSS JOIN LATERAL (SELECT pos, relayed_at FROM feed
             WHERE pos > h.feed_pos AND pos <= (SELECT pos FROM feed_head) ORDER BY pos LIMIT 1) AS f
         WHERE f.relayed_at < now() - interval '60 seconds'",
    ),
];
