//! Liveness: what was begun goes on, and what cannot go on is not forgotten.

use super::invariant::{Database, Invariant, always, settled};

const ORDER: &[Database] = &[Database::Order];

pub(super) const ALL: &[Invariant] = &[
    always(
        "liveness.tasks_run_on_time",
        "no task is a minute past its time; at rest none is due or being worked on",
        &Database::ALL,
        "tasks",
        "SELECT kind || ' ' || key || ' is due since ' || run_at || coalesce(': ' || last_error, '') FROM tasks
         WHERE state = 'READY' AND (run_at < now() - interval '60 seconds'
             OR ($1 AND (run_at <= now() OR lease_holder IS NOT NULL)))",
    ),
    always(
        "liveness.no_task_is_stuck",
        "no task has given up, but for captures and renewals of authorizations that were declined",
        &Database::ALL,
        "tasks",
        "SELECT kind || ' ' || key || coalesce(': ' || last_error, '') FROM tasks
         WHERE state = 'STUCK' AND kind NOT IN ('capture_payment', 'renew_authorization')",
    ),
    always(
        "liveness.declined_captures_hold_their_order",
        "a capture that gave up waits for a person on purpose: its order carries the hold CAPTURE_FAILED; counts how \
         many wait",
        ORDER,
        "(SELECT FROM tasks WHERE state = 'STUCK' AND kind = 'capture_payment') AS waiting",
        "SELECT kind || ' ' || key || coalesce(': ' || last_error, '') FROM tasks
         WHERE state = 'STUCK' AND kind = 'capture_payment' AND NOT EXISTS (SELECT FROM holds
             WHERE holds.order_id::text = tasks.key AND holds.state = 'ACTIVE' AND holds.reason = 'CAPTURE_FAILED')",
    ),
    always(
        "liveness.declined_renewals_hold_their_order",
        "a renewal of an authorization that gave up waits for a person on purpose: its order carries the hold \
         AWAITING_PAYMENT, or has ended; counts how many wait",
        ORDER,
        "(SELECT FROM tasks WHERE state = 'STUCK' AND kind = 'renew_authorization') AS waiting",
        "SELECT kind || ' ' || key || coalesce(': ' || last_error, '') FROM tasks
         WHERE state = 'STUCK' AND kind = 'renew_authorization' AND NOT EXISTS (SELECT FROM holds
                 WHERE holds.order_id::text = tasks.key AND holds.state = 'ACTIVE' AND holds.reason = 'AWAITING_PAYMENT')
             AND EXISTS (SELECT FROM orders WHERE orders.order_id::text = tasks.key AND state IN ('PENDING', 'CONFIRMED'))",
    ),
    always(
        "liveness.sagas_run_on_time",
        "no saga is a minute past its time; at rest none is due",
        ORDER,
        "sagas",
        "SELECT 'order ' || order_id || ' at ' || step || ' is due since ' || next_run_at FROM sagas
         WHERE state IN ('RUNNING', 'WAITING', 'UNDOING')
             AND next_run_at < now() - CASE WHEN $1 THEN interval '0' ELSE interval '60 seconds' END",
    ),
    always(
        "liveness.no_saga_is_stuck",
        "no saga has given up; one that has waits for a person",
        ORDER,
        "sagas",
        "SELECT 'order ' || order_id || ' at ' || step || ': ' || last_error FROM sagas WHERE state = 'STUCK'",
    ),
    always(
        "liveness.every_order_has_a_saga",
        "every order has the saga that takes it from placed to released",
        ORDER,
        "orders",
        "SELECT 'order ' || order_id FROM orders WHERE NOT EXISTS (SELECT FROM sagas WHERE sagas.order_id = orders.order_id)",
    ),
    settled(
        "liveness.sagas_end",
        "the saga of an order is done once the order is confirmed, unless a hold or missing units of an order that \
         ships complete keep its release back; and once the order has ended",
        ORDER,
        "sagas",
        "SELECT 'order ' || order_id || ' is ' || o.state || ', its saga ' || s.state || ' at ' || s.step, order_id
         FROM sagas s JOIN orders o USING (order_id)
         WHERE s.state NOT IN ('DONE', 'STUCK') AND o.state <> 'PENDING' AND NOT (
             o.state = 'CONFIRMED' AND s.state = 'WAITING' AND s.step = 'release' AND (
                 EXISTS (SELECT FROM holds h WHERE h.order_id = o.order_id AND h.state = 'ACTIVE'
                     AND 'RELEASE_TO_NODE' = ANY (h.blocks))
                 OR (o.ship_complete AND EXISTS (SELECT FROM order_lines l
                     WHERE l.order_id = o.order_id AND l.backordered > 0))))",
    ),
    settled(
        "liveness.pending_orders_wait_for_something",
        "an order stays pending only while its saga runs, waits or is stuck",
        ORDER,
        "sagas",
        "SELECT 'order ' || order_id || ' is PENDING, its saga is DONE', order_id
         FROM sagas s JOIN orders o USING (order_id) WHERE s.state = 'DONE' AND o.state = 'PENDING'",
    ),
];
