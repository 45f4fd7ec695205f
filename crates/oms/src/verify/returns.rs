//! Returns: where the goods are and where the money is.

use super::invariant::{Database, Invariant, always};

const RETURNS: &[Database] = &[Database::Returns];

pub(super) const ALL: &[Invariant] = &[
    always(
        "returns.goods_counters_nest",
        "advised >= received >= inspected >= restocked + quarantined + scrapped",
        RETURNS,
        "return_lines",
        "SELECT 'return line ' || return_line_id FROM return_lines
         WHERE received > advised OR inspected > received OR restocked + quarantined + scrapped > inspected
             OR least(received, inspected, restocked, quarantined, scrapped) < 0",
    ),
    always(
        "returns.refunds_within_triggered",
        "no more units are refunded than was asked of the order service, and no more are refunded and denied than \
         come back",
        RETURNS,
        "return_lines",
        "SELECT 'return line ' || return_line_id || ': ' || refund_triggered || ' triggered, ' || refund_paid || ' paid, '
             || refund_denied || ' denied of ' || advised
         FROM return_lines
         WHERE refund_paid > refund_triggered OR refund_triggered + refund_denied > advised
             OR least(refund_triggered, refund_paid, refund_denied) < 0",
    ),
    always(
        "returns.state_fits_goods",
        "nothing has arrived of a return that was declined, canceled or is still on its way; everything of one that \
         is received or inspected",
        RETURNS,
        "returns",
        "SELECT 'return ' || return_id || ' is ' || state
         FROM (SELECT return_id, r.state, sum(received) AS received, sum(inspected) AS inspected, sum(advised) AS advised
             FROM returns r JOIN return_lines USING (return_id) GROUP BY return_id) AS sums
         WHERE (state IN ('REQUESTED', 'AUTHORIZED', 'DECLINED', 'CANCELED', 'IN_TRANSIT') AND received > 0)
             OR (state IN ('RECEIVED', 'INSPECTED', 'CLOSED') AND received < advised)
             OR (state IN ('INSPECTED', 'CLOSED') AND inspected < advised)
             OR (state = 'PARTIALLY_RECEIVED' AND received IN (0, advised))",
    ),
    always(
        "returns.closed_returns_are_settled",
        "of a closed return every unit is disposed of, and refunded or denied",
        RETURNS,
        "returns",
        "SELECT 'return ' || return_id || ' line ' || line_number
         FROM returns r JOIN return_lines USING (return_id)
         WHERE r.state = 'CLOSED' AND (restocked + quarantined + scrapped < advised
             OR refund_paid < refund_triggered OR refund_triggered + refund_denied < advised)",
    ),
    always(
        "returns.money_needs_units",
        "a return has paid back money only for units whose refund is paid",
        RETURNS,
        "returns",
        "SELECT 'return ' || return_id || ' has refunded ' || r.refunded
         FROM returns r JOIN return_lines USING (return_id)
         GROUP BY return_id HAVING r.refunded > 0 AND sum(refund_paid) = 0",
    ),
];
