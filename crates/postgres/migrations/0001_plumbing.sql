-- What every service's database needs besides its own tables: events on their way out (outbox, feed), positions in
-- other services' feeds (feed_cursors, parked_events), request ids (idempotency) and durable work (tasks).

-- Events of committed transactions that wait for the relay. Small: the relay moves rows to `feed` within milliseconds.
create table outbox (
    seq bigint generated always as identity,
    event_id uuid not null,
    aggregate_type text not null,
    aggregate_id text not null,
    aggregate_version bigint not null,
    event_type text not null,
    payload bytea not null,
    actor text not null,
    traceparent text not null,
    channel_id text,
    location_id text,
    partner_id text,
    occurred_at timestamptz not null,
    constraint outbox_pkey primary key (seq),
    constraint outbox_aggregate_version_positive check (aggregate_version > 0)
) with (
    -- Rows live for milliseconds: vacuum by count of dead rows, whatever the size, and without pauses.
    autovacuum_vacuum_scale_factor = 0,
    autovacuum_vacuum_threshold = 2000,
    autovacuum_vacuum_cost_delay = 0
);
comment on table outbox is 'events of committed transactions, until the relay moves them to feed';
comment on column outbox.seq is 'order of insertion; within one aggregate also the order of commits, as its row lock is held';
comment on column outbox.payload is 'protobuf bytes of the event message of the service';
comment on column outbox.actor is 'who caused it, such as user:alice';
comment on column outbox.traceparent is 'W3C traceparent of the span that caused it; empty when tracing is off';
comment on column outbox.channel_id is 'attribute that subscribers filter by';
comment on column outbox.location_id is 'attribute that subscribers filter by';
comment on column outbox.partner_id is 'attribute that subscribers filter by';
comment on column outbox.occurred_at is 'time of the service clock in the transaction';

-- Exactly one row: where the feed ends. The relay locks it, so positions are given one batch at a time, after commit.
create table feed_head (
    one_row boolean not null default true,
    epoch uuid not null,
    pos bigint not null,
    first_pos bigint not null,
    constraint feed_head_pkey primary key (one_row),
    constraint feed_head_one_row check (one_row),
    constraint feed_head_pos_not_negative check (pos >= 0),
    constraint feed_head_first_pos_range check (first_pos between 1 and pos + 1)
) with (fillfactor = 10);
comment on column feed_head.epoch is 'changes when the database is restored, so that consumers resync instead of skipping';
comment on column feed_head.pos is 'highest position given; 0 when the feed is empty';
comment on column feed_head.first_pos is 'lowest position that retention still keeps';
insert into feed_head (epoch, pos, first_pos) values (gen_random_uuid(), 0, 1);

-- The event feed: append-only, dense positions from 1, partitioned by ranges of positions so that retention drops
-- whole partitions. There is no default partition; the relay creates the next one ahead of need.
create table feed (
    pos bigint not null,
    event_id uuid not null,
    aggregate_type text not null,
    aggregate_id text not null,
    aggregate_version bigint not null,
    event_type text not null,
    payload bytea not null,
    actor text not null,
    traceparent text not null,
    channel_id text,
    location_id text,
    partner_id text,
    occurred_at timestamptz not null,
    relayed_at timestamptz not null default now(),
    constraint feed_pkey primary key (pos)
) partition by range (pos);
comment on table feed is 'committed events in dense order; columns as in outbox';
comment on column feed.pos is 'position: 1, 2, 3 without a gap';
comment on column feed.relayed_at is 'database time when the position was given; retention goes by it';
create table feed_1 partition of feed for values from (1) to (1000001);

-- How far this service has read other services' feeds.
create table feed_cursors (
    consumer text not null,
    source text not null,
    epoch uuid not null,
    pos bigint not null,
    updated_at timestamptz not null default now(),
    constraint feed_cursors_pkey primary key (consumer, source),
    constraint feed_cursors_pos_not_negative check (pos >= 0)
) with (fillfactor = 10);
comment on column feed_cursors.consumer is 'name of the consumer inside this service';
comment on column feed_cursors.source is 'service whose feed is read: order, inventory, ..';
comment on column feed_cursors.epoch is 'epoch of that feed';
comment on column feed_cursors.pos is 'last position whose effect is committed here';

-- Events that could not be applied, and the later ones of the same aggregate, which wait behind them.
create table parked_events (
    consumer text not null,
    source text not null,
    epoch uuid not null,
    pos bigint not null,
    event_id uuid not null,
    event_type text not null,
    aggregate_type text not null,
    aggregate_id text not null,
    event bytea not null,
    error text not null,
    attempts integer not null default 1,
    parked_at timestamptz not null default now(),
    constraint parked_events_pkey primary key (consumer, source, epoch, pos),
    constraint parked_events_attempts_positive check (attempts > 0)
);
comment on column parked_events.event is 'protobuf bytes of oms.events.v1.Event';
comment on column parked_events.error is 'why it could not be applied; for an event that only waits behind another, that';
-- Asked for every event: is something of its aggregate parked? Also finds the oldest one of an aggregate.
create index parked_events_aggregate_idx on parked_events (consumer, source, aggregate_type, aggregate_id, pos);

-- Request ids of successful mutating calls, kept for seven days. A call inserts its row first, so that a concurrent
-- repeat waits for its end instead of racing it, and fills in the resource when it has succeeded.
create table idempotency (
    principal text not null,
    method text not null,
    request_id uuid not null,
    request_hash bytea not null,
    resource_id text,
    created_at timestamptz not null default now(),
    constraint idempotency_pkey primary key (principal, method, request_id),
    constraint idempotency_request_hash_length check (octet_length(request_hash) = 32)
) with (fillfactor = 90);
comment on column idempotency.request_hash is 'SHA-256 of the request without request_id and wait_for';
comment on column idempotency.resource_id is 'what a replay reads again to answer; null is only seen inside of the call itself';
-- Retention deletes the oldest first.
create index idempotency_created_at_idx on idempotency (created_at);

-- Durable follow-up work. A claim moves run_at to the end of the lease, so a worker that dies gives the task back by itself.
create table tasks (
    id uuid not null,
    kind text not null,
    key text not null,
    payload bytea not null,
    state text not null default 'READY',
    run_at timestamptz not null,
    attempt integer not null default 0,
    failures integer not null default 0,
    lease_holder uuid,
    last_error text,
    actor text not null,
    traceparent text not null,
    created_at timestamptz not null default now(),
    ended_at timestamptz,
    constraint tasks_pkey primary key (id),
    constraint tasks_state_known check (state in ('READY', 'DONE', 'STUCK')),
    constraint tasks_attempt_not_negative check (attempt >= 0),
    constraint tasks_failures_not_negative check (failures >= 0),
    constraint tasks_lease_only_when_ready check (lease_holder is null or state = 'READY'),
    constraint tasks_ended_at_with_state check ((ended_at is null) = (state = 'READY'))
) with (
    fillfactor = 80,
    autovacuum_vacuum_scale_factor = 0.02,
    autovacuum_vacuum_cost_delay = 0
);
comment on table tasks is 'follow-up work; DONE rows stay for a day so that a repeat of the same id is a no-op';
comment on column tasks.id is 'derived from the cause, so that the same cause inserts one task';
comment on column tasks.kind is 'which handler runs it';
comment on column tasks.key is 'id of the aggregate it is about';
comment on column tasks.run_at is 'when it may be claimed: its time, the end of a backoff or the end of a lease';
comment on column tasks.attempt is 'counts claims and never falls: a result commits only with the attempt it was claimed with';
comment on column tasks.failures is 'claims in a row without success; at the maximum the task becomes STUCK';
comment on column tasks.lease_holder is 'runner that has claimed it; null when nobody works on it';
comment on column tasks.created_at is 'database time of the insertion';
comment on column tasks.ended_at is 'database time when it became DONE or STUCK';
-- Claims: due work first. Holds open tasks only, so it does not grow with history.
create index tasks_ready_idx on tasks (run_at) where state = 'READY';
-- Lists stuck tasks for operators.
create index tasks_stuck_idx on tasks (id) where state = 'STUCK';
-- Retention deletes the oldest done tasks first.
create index tasks_done_idx on tasks (ended_at) where state = 'DONE';
