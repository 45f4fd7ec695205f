-- Writes what a batch decided, in one round trip. Parts that have nothing to write cost next to nothing. No row is
-- touched by two parts: made and changed reservations, vanished and kept rows, new and known levels are disjoint.
WITH made AS (
    -- A plain insert: when somebody else made the id meanwhile, the batch fails here and is decided again.
    INSERT INTO reservation (reservation_id, order_id, fingerprint, state, expires_at, shortages, version, actor,
                             created_at, updated_at, channel_id, priority, promise_at, ship_complete)
    SELECT r.reservation_id, r.order_id, r.fingerprint, r.state, r.expires_at, r.shortages, r.version, r.actor,
           r.created_at, $10, r.channel_id, r.priority, r.promise_at, r.ship_complete
    FROM unnest($1::uuid[], $2::uuid[], $3::bytea[], $4::text[], $5::timestamptz[], $6::jsonb[], $7::bigint[],
                $8::timestamptz[], $9::text[], $52::text[], $53::smallint[], $54::timestamptz[], $55::boolean[])
         AS r (reservation_id, order_id, fingerprint, state, expires_at, shortages, version, created_at, actor,
               channel_id, priority, promise_at, ship_complete)
), changed AS (
    UPDATE reservation t
    SET state = r.state, expires_at = r.expires_at, version = r.version, actor = r.actor, updated_at = $10
    FROM unnest($11::uuid[], $12::text[], $13::timestamptz[], $14::bigint[], $15::bigint[], $48::text[])
         AS r (reservation_id, state, expires_at, version, version_before, actor)
    WHERE t.reservation_id = r.reservation_id AND t.version = r.version_before
    RETURNING 1
), vanished AS (
    DELETE FROM reservation_line t
    USING unnest($16::uuid[], $17::uuid[], $18::text[], $19::text[], $20::text[], $56::text[])
          AS l (reservation_id, order_line_id, location_id, lot, state, sku)
    WHERE t.reservation_id = l.reservation_id AND t.order_line_id = l.order_line_id AND t.sku = l.sku
      AND t.location_id = l.location_id AND t.lot = l.lot AND t.state = l.state
    RETURNING 1
), kept AS (
    INSERT INTO reservation_line (reservation_id, order_line_id, location_id, lot, state, sku, quantity, queued_at,
                                  priority, promise_at, ship_complete)
    SELECT l.reservation_id, l.order_line_id, l.location_id, l.lot, l.state, l.sku, l.quantity, l.queued_at, l.priority,
           l.promise_at, l.ship_complete
    FROM unnest($21::uuid[], $22::uuid[], $23::text[], $24::text[], $25::text[], $26::text[], $27::bigint[],
                $28::timestamptz[], $57::smallint[], $58::timestamptz[], $59::boolean[])
         AS l (reservation_id, order_line_id, location_id, lot, state, sku, quantity, queued_at, priority, promise_at,
               ship_complete)
    ON CONFLICT (reservation_id, order_line_id, sku, location_id, lot, state)
    DO UPDATE SET quantity = EXCLUDED.quantity
), entries AS (
    INSERT INTO stock_ledger (entry_type, sku, location_id, lot, from_account, to_account, quantity, cause, line,
                              reason, reference, actor, created_at)
    SELECT e.entry_type, e.sku, e.location_id, e.lot, e.from_account, e.to_account, e.quantity, e.cause, e.line,
           e.reason, e.reference, e.actor, $10
    FROM unnest($29::text[], $30::text[], $31::text[], $32::text[], $33::text[], $34::text[], $35::bigint[],
                $36::text[], $37::text[], $38::text[], $39::text[], $49::text[]) WITH ORDINALITY
         AS e (entry_type, sku, location_id, lot, from_account, to_account, quantity, cause, line, reason, reference,
               actor, place)
    ORDER BY e.place
), deltas AS MATERIALIZED (
    -- Eight deltas for each level, in the order of the buckets.
    SELECT d.is_new, d.sku, d.location_id, d.lot,
           ($44::bigint[])[8 * d.place - 7] AS available, ($44::bigint[])[8 * d.place - 6] AS held,
           ($44::bigint[])[8 * d.place - 5] AS allocated, ($44::bigint[])[8 * d.place - 4] AS count_pending,
           ($44::bigint[])[8 * d.place - 3] AS quarantine, ($44::bigint[])[8 * d.place - 2] AS qc,
           ($44::bigint[])[8 * d.place - 1] AS damaged, ($44::bigint[])[8 * d.place] AS refurb
    FROM unnest($40::boolean[], $41::text[], $42::text[], $43::text[]) WITH ORDINALITY
         AS d (is_new, sku, location_id, lot, place)
), moved AS (
    -- By deltas, never by absolute values: what the board did not see is not overwritten.
    UPDATE stock_level t
    SET available = t.available + d.available, held = t.held + d.held, allocated = t.allocated + d.allocated,
        count_pending = t.count_pending + d.count_pending, quarantine = t.quarantine + d.quarantine,
        qc = t.qc + d.qc, damaged = t.damaged + d.damaged, refurb = t.refurb + d.refurb
    FROM deltas d
    WHERE NOT d.is_new AND t.sku = d.sku AND t.location_id = d.location_id AND t.lot = d.lot
    RETURNING 1
), opened AS (
    INSERT INTO stock_level (sku, location_id, lot, available, held, allocated, count_pending, quarantine, qc, damaged,
                             refurb)
    SELECT d.sku, d.location_id, d.lot, d.available, d.held, d.allocated, d.count_pending, d.quarantine, d.qc,
           d.damaged, d.refurb
    FROM deltas d WHERE d.is_new
), lanes AS (
    UPDATE sku_lane t
    SET version = t.version + n.events, available = t.available + n.available, fence = COALESCE(n.fence, t.fence),
        holder = COALESCE(n.holder, t.holder), backordered = t.backordered + n.backordered,
        -- What was displaced may wait beyond what Reserve lets wait, and no longer than it does.
        backorder_excess = CASE WHEN t.backorder_max IS NULL THEN 0 ELSE
            GREATEST(0, LEAST(t.backorder_excess + n.displaced, t.backordered + n.backordered - t.backorder_max)) END
    FROM unnest($45::text[], $46::bigint[], $47::uuid[], $50::bigint[], $51::bigint[], $60::bigint[], $61::bigint[])
         AS n (sku, fence, holder, events, available, backordered, displaced)
    WHERE t.sku = n.sku
    RETURNING 1
)
SELECT (SELECT count(*) FROM changed) AS "changed!", (SELECT count(*) FROM vanished) AS "vanished!",
       (SELECT count(*) FROM moved) AS "moved!", (SELECT count(*) FROM lanes) AS "lanes!"
