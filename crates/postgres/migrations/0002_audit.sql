-- Who did what: a log that only grows, in which every row holds the hash of the one before. Rows are chained after
-- their transactions committed, by one process at a time, since chaining inside of them would let only one commit at a time.

-- Calls of committed transactions that wait to be chained. Small: the auditor moves rows to audit_log within seconds.
-- What was done by events needs no row here: the feed holds it already, committed and in order.
create table audit_pending (
    seq bigint generated always as identity,
    principal text not null,
    method text not null,
    object_id text not null,
    content_hash bytea not null,
    reason text not null,
    request_id uuid not null,
    traceparent text not null,
    at timestamptz not null default now(),
    constraint audit_pending_pkey primary key (seq)
) with (
    autovacuum_vacuum_scale_factor = 0,
    autovacuum_vacuum_threshold = 2000,
    autovacuum_vacuum_cost_delay = 0
);
comment on table audit_pending is 'successful calls, written by their own transactions, until they are chained in audit_log';
comment on column audit_pending.content_hash is 'SHA-256 of the request without request_id and wait_for';
comment on column audit_pending.at is 'database time when the transaction began';

-- Exactly one row: where the chain ends, and where what is kept of it begins.
create table audit_head (
    one_row boolean not null default true,
    seq bigint not null,
    hash bytea not null,
    feed_pos bigint not null,
    first_seq bigint not null,
    first_prev_hash bytea not null,
    constraint audit_head_pkey primary key (one_row),
    constraint audit_head_one_row check (one_row),
    constraint audit_head_seq_not_negative check (seq >= 0),
    constraint audit_head_feed_pos_not_negative check (feed_pos >= 0),
    constraint audit_head_first_seq_range check (first_seq between 1 and seq + 1),
    constraint audit_head_hash_length check (octet_length(hash) = 32 and octet_length(first_prev_hash) = 32)
) with (fillfactor = 10);
comment on column audit_head.seq is 'number of the last row; 0 when there is none';
comment on column audit_head.hash is 'hash of the last row; 32 zero bytes when there is none';
comment on column audit_head.feed_pos is 'last position of the feed whose event is in the log';
comment on column audit_head.first_seq is 'lowest number that retention still keeps';
comment on column audit_head.first_prev_hash is 'hash of the row before it: the anchor of what is kept';
insert into audit_head (seq, hash, feed_pos, first_seq, first_prev_hash)
select 0, decode(repeat('00', 32), 'hex'), first_pos - 1, 1, decode(repeat('00', 32), 'hex') from feed_head;

-- The log. Partitioned by ranges of numbers, so that retention drops whole old parts and never touches a row.
create table audit_log (
    seq bigint not null,
    epoch uuid not null,
    kind text not null,
    at timestamptz not null,
    principal text not null,
    method text not null,
    object_type text not null,
    object_id text not null,
    object_version bigint not null,
    content_hash bytea not null,
    reason text not null,
    entry_id uuid not null,
    traceparent text not null,
    hash bytea not null,
    recorded_at timestamptz not null,
    constraint audit_log_pkey primary key (seq),
    constraint audit_log_seq_positive check (seq > 0),
    constraint audit_log_kind_known check (kind in ('CALL', 'CHANGE')),
    constraint audit_log_version_of_changes check ((object_version > 0) = (kind = 'CHANGE')),
    constraint audit_log_hash_length check (octet_length(hash) = 32 and octet_length(content_hash) = 32)
) partition by range (seq);
comment on table audit_log is 'who did what: one row per successful mutating call and per change of an aggregate';
comment on column audit_log.seq is 'place in the chain: 1, 2, 3 without a gap';
comment on column audit_log.epoch is 'epoch of the feed when the row was chained; another one after a restore';
comment on column audit_log.kind is 'CALL: a mutating RPC that succeeded; CHANGE: an aggregate that changed, by a call or by background work';
comment on column audit_log.at is 'when: of a call the database time, of a change the time of the service clock';
comment on column audit_log.principal is 'who, such as user:alice or service:order';
comment on column audit_log.method is 'name of the RPC, or of the event';
comment on column audit_log.object_type is 'kind of aggregate; empty for a call, whose method says it';
comment on column audit_log.object_id is 'id of the aggregate, or of what the call made or changed; empty when a call is about many';
comment on column audit_log.object_version is 'version that the change made; 0 for a call';
comment on column audit_log.content_hash is 'SHA-256 of the request without request_id and wait_for, or of the payload of the event';
comment on column audit_log.entry_id is 'request id of the call, or id of the event';
comment on column audit_log.hash is 'SHA-256 of the hash before and of every other column; docs/audit.md has the form';
comment on column audit_log.recorded_at is 'database time when the row was chained; retention goes by it';

-- Not even by accident: a row that stands here stays as it is. No rule of the business is in it.
create function audit_log_refuse() returns trigger language plpgsql as $$
begin
    raise exception 'audit_log is append-only' using errcode = 'check_violation', constraint = 'audit_log_append_only';
end
$$;
create trigger audit_log_append_only before update or delete on audit_log
    for each row execute function audit_log_refuse();
create trigger audit_log_no_truncate before truncate on audit_log
    for each statement execute function audit_log_refuse();

-- What one object went through, and what one principal did; newest first.
create index audit_log_object_idx on audit_log (object_id, seq);
create index audit_log_principal_idx on audit_log (principal, seq);
-- Ranges of time: rows come in the order of time but for seconds.
create index audit_log_at_idx on audit_log using brin (at);

create table audit_log_1 partition of audit_log for values from (1) to (1000001);
create trigger audit_log_no_truncate before truncate on audit_log_1
    for each statement execute function audit_log_refuse();
