-- One batch of the relay: gives the lowest events of the outbox the next positions and moves them to the feed, under the
-- lock on the head. The same rows as the relay writes, without its look for work between two batches.
--
-- Variables: batch, events per transaction; at least as many wait.
BEGIN;
SELECT pos AS head FROM feed_head FOR UPDATE \gset
WITH moved AS (
    DELETE FROM outbox WHERE seq IN (SELECT seq FROM outbox ORDER BY seq LIMIT :batch::bigint) RETURNING *
)
INSERT INTO feed (pos, event_id, aggregate_type, aggregate_id, aggregate_version, event_type, payload, actor, traceparent,
                  channel_id, location_id, partner_id, occurred_at)
SELECT :head::bigint + row_number() OVER (ORDER BY seq), event_id, aggregate_type, aggregate_id, aggregate_version, event_type,
       payload, actor, traceparent, channel_id, location_id, partner_id, occurred_at
FROM moved;
UPDATE feed_head SET pos = :head::bigint + :batch::bigint;
COMMIT;
