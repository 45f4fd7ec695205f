//! A defect for every invariant. Where the database itself would refuse it, its constraint goes first.

use oms::verify::Database::{self, Fulfillment, Inventory, Order, Returns, Shipping};

use crate::provider_defects;

/// Something wrong with one database.
pub(crate) struct Defect {
    /// Invariant that must find it.
    pub(crate) invariant: &'static str,
    pub(crate) database: Database,
    /// Makes it. `{names}` stand for ids, the same as in the seed.
    pub(crate) sql: &'static str,
    /// Others that cannot but find it too.
    pub(crate) also: &'static [&'static str],
}

pub(crate) const fn only(invariant: &'static str, database: Database, sql: &'static str) -> Defect {
    and(invariant, database, sql, &[])
}

pub(crate) const fn and(
    invariant: &'static str,
    database: Database,
    sql: &'static str,
    also: &'static [&'static str],
) -> Defect {
    Defect {
        invariant,
        database,
        sql,
        also,
    }
}

/// Every defect.
pub(crate) fn all() -> impl Iterator<Item = &'static Defect> {
    DEFECTS.iter().chain(provider_defects::DEFECTS)
}

const DEFECTS: &[Defect] = &[
    // --- stock
    and(
        "stock.bucket_equals_ledger",
        Inventory,
        "UPDATE stock_level SET available = available - 1, quarantine = 1 WHERE sku = 'chair'",
        &["stock.lanes_know_free_units"],
    ),
    and(
        "stock.held_equals_reservations",
        Inventory,
        "UPDATE stock_level SET available = available - 1, held = held + 1 WHERE sku = 'lamp';
         INSERT INTO stock_ledger (entry_type, sku, location_id, lot, from_account, to_account, quantity, cause, line, reason,
             reference, actor, created_at)
         VALUES ('HOLD', 'lamp', 'west', '', 'AVAILABLE', 'HELD', 1, 'reservation/none/1', '', '', '', '', now())",
        &["stock.lanes_know_free_units"],
    ),
    and(
        "stock.allocated_equals_reservations",
        Inventory,
        "UPDATE stock_level SET available = available - 1, allocated = allocated + 1 WHERE sku = 'lamp';
         INSERT INTO stock_ledger (entry_type, sku, location_id, lot, from_account, to_account, quantity, cause, line, reason,
             reference, actor, created_at)
         VALUES ('ALLOCATE', 'lamp', 'west', '', 'AVAILABLE', 'ALLOCATED', 1, 'reservation/none/1', '', '', '', '', now())",
        &["stock.lanes_know_free_units"],
    ),
    and(
        "stock.no_bucket_below_zero",
        Inventory,
        "ALTER TABLE stock_level DROP CONSTRAINT stock_level_available_not_negative;
         UPDATE stock_level SET available = available - 9 WHERE sku = 'chair';
         INSERT INTO stock_ledger (entry_type, sku, location_id, lot, from_account, to_account, quantity, cause, line, reason,
             reference, actor, created_at)
         VALUES ('ADJUST', 'chair', 'west', '', 'AVAILABLE', 'VARIANCE', 9, 'adjustment/2', '', '', '', '', now())",
        &["stock.lanes_know_free_units"],
    ),
    and(
        "stock.cause_booked_once",
        Inventory,
        "ALTER TABLE stock_ledger DROP CONSTRAINT stock_ledger_cause_key;
         UPDATE stock_level SET available = available - 1 WHERE sku = 'lamp';
         INSERT INTO stock_ledger (entry_type, sku, location_id, lot, from_account, to_account, quantity, cause, line, reason,
             reference, actor, created_at)
         VALUES ('ADJUST', 'lamp', 'west', '', 'AVAILABLE', 'VARIANCE', 1, 'adjustment/1', '', '', '', '', now())",
        &["stock.lanes_know_free_units"],
    ),
    and(
        "stock.entries_follow_routes",
        Inventory,
        "UPDATE stock_level SET available = available - 1, damaged = 1 WHERE sku = 'chair';
         INSERT INTO stock_ledger (entry_type, sku, location_id, lot, from_account, to_account, quantity, cause, line, reason,
             reference, actor, created_at)
         VALUES ('QUARANTINE_IN', 'chair', 'west', '', 'AVAILABLE', 'DAMAGED', 1, 'x', '', '', '', '', now())",
        &["stock.lanes_know_free_units"],
    ),
    and(
        "stock.conserved",
        Inventory,
        "UPDATE stock_level SET available = available + 1 WHERE sku = 'chair';
         INSERT INTO stock_ledger (entry_type, sku, location_id, lot, from_account, to_account, quantity, cause, line, reason,
             reference, actor, created_at)
         VALUES ('RESTOCK', 'chair', 'west', '', 'SUPPLIER', 'AVAILABLE', 1, 'x', '', '', '', '', now())",
        &["stock.lanes_know_free_units", "stock.entries_follow_routes"],
    ),
    only(
        "stock.consumed_equals_issued",
        Inventory,
        "UPDATE stock_ledger SET line = '{res_b}/{line_a}' WHERE entry_type = 'ISSUE'",
    ),
    and(
        "stock.ended_reservations_hold_nothing",
        Inventory,
        "UPDATE reservation SET state = 'RELEASED', expires_at = NULL WHERE reservation_id = '{res_d}'",
        &["between.reservations_equal_copies"],
    ),
    and(
        "stock.reservation_state_follows_lines",
        Inventory,
        "UPDATE reservation SET state = 'CONSUMED' WHERE reservation_id = '{res_c}'",
        &["between.reservations_equal_copies"],
    ),
    only(
        "stock.holds_expire",
        Inventory,
        "UPDATE reservation SET expires_at = now() - interval '2 minutes' WHERE reservation_id = '{res_d}'",
    ),
    and(
        "stock.backorders_have_no_place",
        Inventory,
        "ALTER TABLE reservation_line DROP CONSTRAINT reservation_line_backorder_has_no_place;
         UPDATE reservation_line SET location_id = 'west' WHERE state = 'BACKORDERED'",
        &["between.reservations_equal_copies"],
    ),
    only(
        "stock.lanes_count_backorders",
        Inventory,
        "UPDATE sku_lane SET backordered = 0 WHERE sku = 'lamp'",
    ),
    only(
        "stock.backorders_within_cap",
        Inventory,
        "ALTER TABLE sku_lane DROP CONSTRAINT sku_lane_backordered_within_max;
         UPDATE sku_lane SET backorder_max = 0 WHERE sku = 'lamp'",
    ),
    only(
        "stock.kits_are_made_of_items",
        Inventory,
        "INSERT INTO item_components (kit_sku, component_sku, quantity) VALUES ('chair', 'lamp', 1)",
    ),
    only(
        "stock.every_stocked_sku_has_a_lane",
        Inventory,
        "ALTER TABLE stock_level DROP CONSTRAINT stock_level_sku_fkey; DELETE FROM sku_lane WHERE sku = 'chair'",
    ),
    only(
        "stock.lanes_know_free_units",
        Inventory,
        "UPDATE sku_lane SET available = available + 1 WHERE sku = 'chair'",
    ),
    only(
        "stock.lanes_know_policies",
        Inventory,
        "INSERT INTO stock_policy (sku, safety_stock, low_stock_threshold, version, updated_at) VALUES ('chair', 1, 0, 1, now())",
    ),
    // --- money
    and(
        "money.authorized_covers_captured",
        Order,
        "UPDATE payments SET amount = 2980 WHERE payment_id = '{auth_a}';
         AT PROVIDER: UPDATE charges SET amount = 2980 WHERE idempotency_key = '{auth_a}'",
        &["money.payments_have_parents"],
    ),
    and(
        "money.captured_covers_refunded",
        Order,
        "UPDATE payments SET amount = 2982 WHERE payment_id = '{refund_a}';
         AT PROVIDER: UPDATE charges SET amount = 2982 WHERE idempotency_key = '{refund_a}'",
        &["money.payments_have_parents", "between.refunded_money_equals_returns"],
    ),
    only(
        "money.payments_have_parents",
        Order,
        "UPDATE payments SET parent_payment_id = NULL WHERE payment_id = '{refund_a}'",
    ),
    only(
        "money.captured_in_time",
        Order,
        "UPDATE payments SET expires_at = created_at WHERE payment_id = '{auth_a}'",
    ),
    only(
        "money.uncaptured_is_authorized",
        Order,
        "UPDATE payments SET expires_at = now() - interval '1 minute' WHERE payment_id = '{auth_b}'",
    ),
    only(
        "money.tenders_within_their_amount",
        Order,
        "UPDATE orders SET tenders = jsonb_build_array(
             jsonb_build_object('provider', 'sandbox', 'token', 'a', 'amount', 2980),
             jsonb_build_object('provider', 'sandbox', 'token', 'b', 'amount', NULL)) WHERE order_id = '{order_a}'",
    ),
    only(
        "money.credits_equal_entries",
        Order,
        "INSERT INTO credits (book, reference, currency, ceiling, authorized, used, net_days, version, created_at, updated_at)
         VALUES ('terms', 'ACME', 'USD', 100, 1, 0, 30, 1, now(), now())",
    ),
    only(
        "money.credits_equal_payments",
        Order,
        "INSERT INTO credits (book, reference, currency, ceiling, authorized, used, net_days, version, created_at, updated_at)
         VALUES ('terms', 'ACME', 'USD', 100, 5, 0, 30, 1, now(), now());
         INSERT INTO credit_entries (entry_key, book, reference, kind, amount, actor, created_at)
         VALUES ('{x}', 'terms', 'ACME', 'AUTHORIZATION', 5, '', now())",
    ),
    only(
        "money.collected_is_captured",
        Order,
        "UPDATE collections SET cause = 'shipment/{x}'",
    ),
    only(
        "money.one_payment_per_cause",
        Order,
        "INSERT INTO payments (payment_id, order_id, kind, state, amount, currency, provider, provider_reference,
             parent_payment_id, cause, actor, created_at, updated_at)
         SELECT id::uuid, '{order_b}', 'CAPTURE', 'SUCCEEDED', 1, 'USD', 'sandbox', id, '{auth_b}', cause, '', now(), now()
         FROM (VALUES ('{x}', 'manual/1'), ('{y}', 'manual/1#2')) AS p (id, cause);
         INSERT INTO effects (effect_id, kind, idempotency_key, request_hash, state, provider, payment_id, created_at, updated_at)
         SELECT payment_id, kind, provider_reference, '', 'CONFIRMED', provider, payment_id, now(), now()
         FROM payments WHERE payment_id IN ('{x}', '{y}');
         AT PROVIDER: INSERT INTO charges (idempotency_key, kind, reference, amount, currency, approved, created_at)
         VALUES ('{x}', 'CAPTURE', '{x}', 1, 'USD', true, now()), ('{y}', 'CAPTURE', '{y}', 1, 'USD', true, now())",
    ),
    only(
        "money.one_currency_per_order",
        Order,
        "UPDATE invoices SET currency = 'EUR' WHERE invoice_id = '{memo_a}'",
    ),
    only(
        "money.totals_are_their_parts",
        Order,
        "ALTER TABLE orders DROP CONSTRAINT orders_total_adds_up;
         ALTER TABLE order_lines DROP CONSTRAINT order_lines_total_adds_up;
         UPDATE orders SET total = total + 1 WHERE order_id = '{order_c}';
         UPDATE order_lines SET total = total + 1 WHERE order_id = '{order_c}'",
    ),
    only(
        "money.order_is_its_lines",
        Order,
        "UPDATE orders SET subtotal = subtotal + 1, total = total + 1 WHERE order_id = '{order_c}'",
    ),
    only(
        "money.invoice_is_its_lines",
        Order,
        "UPDATE invoices SET total = total - 1 WHERE invoice_id = '{memo_a}'",
    ),
    only(
        "money.invoices_tile_their_line",
        Order,
        "UPDATE invoice_lines SET from_unit = 1 WHERE invoice_id = '{invoice_a}'",
    ),
    only(
        "money.credit_memos_tile_their_line",
        Order,
        "UPDATE invoice_lines SET from_unit = 3 WHERE invoice_id = '{memo_a}'",
    ),
    and(
        "money.credited_equals_refunded",
        Order,
        "UPDATE order_lines SET refunded = 0 WHERE order_line_id = '{line_a}'",
        &["between.order_returns_equal_returns"],
    ),
    only(
        "money.invoice_lines_cost_their_units",
        Order,
        "UPDATE invoice_lines SET net = net + 1, tax = tax - 1 WHERE invoice_id = '{memo_a}'",
    ),
    only(
        "money.invoice_numbers_have_no_gap",
        Order,
        "UPDATE invoice_counter SET last_number = 2 WHERE kind = 'INVOICE'",
    ),
    only(
        "money.lost_orders_owe_nothing",
        Order,
        "INSERT INTO payments (payment_id, order_id, kind, state, amount, currency, provider, provider_reference,
             parent_payment_id, cause, actor, created_at, updated_at)
         SELECT id::uuid, '{order_c}', kind, 'SUCCEEDED', 500, 'USD', 'sandbox', id, parent::uuid, 'manual/1', '', now(), now()
         FROM (VALUES ('{x}', 'AUTHORIZATION', NULL), ('{y}', 'CAPTURE', '{x}')) AS p (id, kind, parent);
         INSERT INTO effects (effect_id, kind, idempotency_key, request_hash, state, provider, payment_id, created_at, updated_at)
         SELECT payment_id, kind, provider_reference, '', 'CONFIRMED', provider, payment_id, now(), now()
         FROM payments WHERE payment_id IN ('{x}', '{y}');
         AT PROVIDER: INSERT INTO charges (idempotency_key, kind, reference, amount, currency, approved, created_at)
         VALUES ('{x}', 'AUTHORIZATION', '{x}', 500, 'USD', true, now()), ('{y}', 'CAPTURE', '{y}', 500, 'USD', true, now())",
    ),
    only(
        "money.final_orders_authorize_nothing",
        Order,
        "UPDATE payments SET state = 'SUCCEEDED', provider_reference = 'sbx_{auth_c}' WHERE payment_id = '{auth_c}';
         UPDATE effects SET state = 'CONFIRMED' WHERE payment_id = '{auth_c}';
         AT PROVIDER: UPDATE charges SET approved = true, decline_code = '' WHERE idempotency_key = '{auth_c}'",
    ),
    and(
        "money.completed_orders_captured_their_invoices",
        Order,
        "INSERT INTO payments (payment_id, order_id, kind, state, amount, currency, provider, provider_reference,
             parent_payment_id, cause, actor, created_at, updated_at)
         SELECT id::uuid, '{order_a}', kind, 'SUCCEEDED', 10, 'USD', 'sandbox', id, parent::uuid, 'manual/1', '', now(), now()
         FROM (VALUES ('{x}', 'AUTHORIZATION', NULL), ('{y}', 'CAPTURE', '{x}')) AS p (id, kind, parent);
         INSERT INTO effects (effect_id, kind, idempotency_key, request_hash, state, provider, payment_id, created_at, updated_at)
         SELECT payment_id, kind, provider_reference, '', 'CONFIRMED', provider, payment_id, now(), now()
         FROM payments WHERE payment_id IN ('{x}', '{y}');
         AT PROVIDER: INSERT INTO charges (idempotency_key, kind, reference, amount, currency, approved, created_at)
         VALUES ('{x}', 'AUTHORIZATION', '{x}', 10, 'USD', true, now()), ('{y}', 'CAPTURE', '{y}', 10, 'USD', true, now())",
        &["money.returned_is_paid_back"],
    ),
    and(
        "money.returned_is_paid_back",
        Order,
        "UPDATE payments SET amount = 900 WHERE payment_id = '{refund_a}';
         AT PROVIDER: UPDATE charges SET amount = 900 WHERE idempotency_key = '{refund_a}'",
        &["between.refunded_money_equals_returns"],
    ),
    only(
        "money.capture_equals_invoice",
        Order,
        "UPDATE payments SET cause = 'shipment/{x}' WHERE payment_id = '{capture_a}';
         UPDATE collections SET cause = 'shipment/{x}'",
    ),
    and(
        "money.one_intent_per_payment",
        Order,
        "INSERT INTO effects (effect_id, kind, idempotency_key, request_hash, state, provider, payment_id, created_at, updated_at)
         VALUES ('{x}', 'AUTHORIZATION', '{x}', '', 'CONFIRMED', 'sandbox', '{auth_b}', now(), now())",
        &["provider.settled_payments_have_their_charge"],
    ),
    only(
        "money.effects_equal_payments",
        Order,
        "UPDATE effects SET state = 'FAILED' WHERE payment_id = '{auth_b}'",
    ),
    only(
        "money.nothing_stays_in_doubt",
        Order,
        "UPDATE effects SET state = 'SENT' WHERE payment_id = '{auth_c}';
         UPDATE payments SET state = 'PENDING' WHERE payment_id = '{auth_c}'",
    ),
    // --- flow
    only(
        "flow.counters_equal_reservations",
        Order,
        "UPDATE order_lines SET backordered = 2, canceled = 0 WHERE order_line_id = '{line_b}'",
    ),
    only(
        "flow.canceled_and_shipped_within_ordered",
        Order,
        "ALTER TABLE order_lines DROP CONSTRAINT order_lines_canceled_shipped_within_ordered;
         UPDATE order_lines SET canceled = 2 WHERE order_line_id = '{line_c}'",
    ),
    and(
        "flow.picked_within_ordered",
        Order,
        "UPDATE order_lines SET picked = 6 WHERE order_line_id = '{line_b}'",
        &["between.order_picked_equals_fulfillment"],
    ),
    and(
        "flow.packed_within_picked",
        Order,
        "UPDATE order_lines SET packed = 2 WHERE order_line_id = '{line_b}'",
        &["between.order_packed_equals_fulfillment"],
    ),
    and(
        "flow.shipped_within_packed",
        Order,
        "UPDATE order_lines SET packed = 2 WHERE order_line_id = '{line_a}'",
        &["between.order_packed_equals_fulfillment"],
    ),
    and(
        "flow.delivered_within_shipped",
        Order,
        "UPDATE order_lines SET delivered = 4 WHERE order_line_id = '{line_a}'",
        &["between.order_delivered_equals_shipping"],
    ),
    only(
        "flow.returned_within_shipped",
        Order,
        "UPDATE order_lines SET return_requested = 4 WHERE order_line_id = '{line_a}'",
    ),
    only(
        "flow.ended_orders_are_done",
        Order,
        "UPDATE orders SET state = 'CANCELED' WHERE order_id = '{order_c}'",
    ),
    and(
        "flow.fulfillment_counters_nest",
        Fulfillment,
        "ALTER TABLE fulfillment_order_lines DROP CONSTRAINT fulfillment_order_lines_within_total;
         UPDATE fulfillment_order_lines SET total = 2 WHERE fulfillment_order_line_id = '{work_line_a}'",
        &["flow.fulfillment_state_fits_counters", "flow.pick_lines_equal_fulfillment"],
    ),
    only(
        "flow.fulfillment_state_fits_counters",
        Fulfillment,
        "UPDATE fulfillment_orders SET state = 'CLOSED' WHERE fulfillment_order_id = '{work_b}'",
    ),
    only(
        "flow.pick_lines_equal_fulfillment",
        Fulfillment,
        "ALTER TABLE pick_lines DROP CONSTRAINT pick_lines_pending_has_open_units;
         UPDATE pick_lines SET picked = 2 WHERE fulfillment_order_line_id = '{work_line_a}'",
    ),
    only("flow.shorts_equal_fulfillment", Fulfillment, "UPDATE shorts SET quantity = 2"),
    only(
        "flow.packages_equal_packed",
        Fulfillment,
        "INSERT INTO pack_sessions (pack_session_id, fulfillment_order_id, state, packed_by, version, created_at, updated_at)
         VALUES ('{x}', '{work_b}', 'OPEN', '', 1, now(), now());
         INSERT INTO packages (package_id, pack_session_id, package_number) VALUES ('{y}', '{x}', 1);
         INSERT INTO package_lines (package_id, fulfillment_order_line_id, quantity, packed_by)
         VALUES ('{y}', '{work_line_b}', 1, '')",
    ),
    only("flow.shipped_equals_counted", Fulfillment, "DELETE FROM counted_shipments"),
    // --- shipping
    only(
        "shipping.one_live_label_per_shipped_package",
        Shipping,
        "DROP INDEX labels_live_key; UPDATE labels SET state = 'REQUESTED' WHERE label_id = '{label_old}'",
    ),
    only(
        "shipping.tracking_numbers_are_unique",
        Shipping,
        "ALTER TABLE label_packages DROP CONSTRAINT label_packages_tracking_number_key;
         UPDATE label_packages SET tracking_number = 'T3' WHERE label_id = '{label_old}'",
    ),
    and(
        "shipping.no_shipment_without_packing",
        Shipping,
        "INSERT INTO shipments (shipment_id, order_id, order_number, direction, fulfillment_order_id, pack_session_id, state,
             location_id, country_code, postal_code, service_level, version, created_by, created_at, updated_at)
         VALUES ('{x}', '{order_a}', 'S1', 'OUTBOUND', '{work_a}', '{y}', 'DRAFT', 'west', 'US', '1', 'GROUND', 1, '', now(), now())",
        &["events.shipments_are_told_in_full"],
    ),
    and(
        "shipping.shipment_equals_pack_session",
        Shipping,
        "UPDATE pack_session_lines SET quantity = 2",
        &["between.pack_sessions_become_shipments"],
    ),
    only(
        "shipping.delivered_with_every_package",
        Shipping,
        "UPDATE packages SET tracking_status = 'IN_TRANSIT' WHERE package_id = '{package_back}'",
    ),
    only(
        "shipping.carrier_books_equal_labels",
        Shipping,
        "UPDATE table_rate_bookings SET void_key = 'x', voided_at = now() WHERE reference = 'B3'",
    ),
    only(
        "shipping.one_booking_per_intent",
        Shipping,
        "INSERT INTO table_rate_bookings (idempotency_key, reference, service, package_ids, tracking_numbers, price_cents,
             created_at, void_key, voided_at)
         VALUES ('stray', 'B9', 'ground', ARRAY['{package_a}']::uuid[], ARRAY['T9'], 1, now(), 'x', now())",
    ),
    only(
        "shipping.nothing_stays_in_doubt",
        Shipping,
        "UPDATE effects SET state = 'SENT' WHERE idempotency_key = 'buy3'",
    ),
    // --- returns
    only(
        "returns.goods_counters_nest",
        Returns,
        "ALTER TABLE return_lines DROP CONSTRAINT return_lines_inspected_within; UPDATE return_lines SET inspected = 2",
    ),
    only(
        "returns.refunds_within_triggered",
        Returns,
        "ALTER TABLE return_lines DROP CONSTRAINT return_lines_refund_within; UPDATE return_lines SET refund_denied = 1",
    ),
    only("returns.state_fits_goods", Returns, "UPDATE returns SET state = 'IN_TRANSIT'"),
    and(
        "returns.closed_returns_are_settled",
        Returns,
        "UPDATE return_lines SET restocked = 0",
        &["between.returned_stock_equals_returns"],
    ),
    and(
        "returns.money_needs_units",
        Returns,
        "UPDATE returns SET state = 'INSPECTED'; UPDATE return_lines SET refund_paid = 0",
        &["between.order_returns_equal_returns"],
    ),
    // --- between services
    only(
        "between.units_are_accounted_for",
        Order,
        "UPDATE order_lines SET canceled = 0 WHERE order_line_id = '{line_b}'",
    ),
    only(
        "between.reservations_equal_copies",
        Order,
        "UPDATE reservations SET version = 2 WHERE reservation_id = '{res_b}'",
    ),
    only(
        "between.ended_orders_reserve_nothing",
        Order,
        "UPDATE orders SET state = 'EXPIRED' WHERE order_id = '{order_d}';
         UPDATE sagas SET state = 'DONE' WHERE order_id = '{order_d}'",
    ),
    only(
        "between.issued_equals_shipped",
        Inventory,
        "UPDATE stock_ledger SET cause = 'shipment/{shipment_back}' WHERE entry_type = 'ISSUE'",
    ),
    and(
        "between.consumed_equals_shipped",
        Inventory,
        "UPDATE reservation_line SET quantity = 4 WHERE state = 'CONSUMED'",
        &["stock.consumed_equals_issued", "between.reservations_equal_copies"],
    ),
    and(
        "between.order_shipped_equals_shipping",
        Order,
        "UPDATE order_lines SET shipped = 2, delivered = 2, canceled = 1 WHERE order_line_id = '{line_a}'",
        &[
            "money.invoices_tile_their_line",
            "between.order_delivered_equals_shipping",
            "between.no_unit_in_two_fulfillment_orders",
        ],
    ),
    only(
        "between.order_delivered_equals_shipping",
        Order,
        "UPDATE order_lines SET delivered = 2 WHERE order_line_id = '{line_a}'",
    ),
    only(
        "between.order_picked_equals_fulfillment",
        Order,
        "UPDATE order_lines SET picked = 2 WHERE order_line_id = '{line_b}'",
    ),
    only(
        "between.order_packed_equals_fulfillment",
        Order,
        "UPDATE order_lines SET packed = 1 WHERE order_line_id = '{line_b}'",
    ),
    and(
        "between.fulfillment_shipped_equals_shipping",
        Fulfillment,
        "UPDATE fulfillment_order_lines SET shipped = 2 WHERE fulfillment_order_line_id = '{work_line_a}'",
        &["flow.fulfillment_state_fits_counters", "flow.shipped_equals_counted"],
    ),
    only(
        "between.no_unit_in_two_fulfillment_orders",
        Fulfillment,
        "INSERT INTO fulfillment_order_lines (fulfillment_order_line_id, fulfillment_order_id, line_number, order_line_id, sku,
             lot, reservation_id, name, barcodes, mass_grams, length_mm, width_mm, height_mm, item_version, total)
         VALUES ('{x}', '{work_b}', 2, '{line_b}', 'lamp', '', '{res_b}', 'Lamp', ARRAY['x'], 1, 1, 1, 1, 1, 1)",
    ),
    and(
        "between.ended_orders_have_no_open_work",
        Fulfillment,
        "UPDATE fulfillment_orders SET state = 'IN_PROGRESS' WHERE fulfillment_order_id = '{work_a}'",
        &["flow.fulfillment_state_fits_counters"],
    ),
    only(
        "between.pack_sessions_become_shipments",
        Fulfillment,
        "INSERT INTO pack_sessions (pack_session_id, fulfillment_order_id, state, packed_by, version, created_at, updated_at)
         VALUES ('{x}', '{work_b}', 'CLOSED', '', 1, now(), now())",
    ),
    only(
        "between.order_returns_equal_returns",
        Order,
        "UPDATE order_lines SET returned = 0 WHERE order_line_id = '{line_a}'",
    ),
    only(
        "between.refunded_money_equals_returns",
        Returns,
        "UPDATE returns SET refunded = 900",
    ),
    only(
        "between.returned_stock_equals_returns",
        Returns,
        "UPDATE return_lines SET restocked = 0, scrapped = 1",
    ),
    and(
        "between.returned_within_shipped",
        Returns,
        "UPDATE return_lines SET advised = 4, received = 4, inspected = 4, restocked = 4, refund_triggered = 4, refund_paid = 4",
        &["between.order_returns_equal_returns", "between.returned_stock_equals_returns"],
    ),
    only(
        "between.children_have_parents",
        Returns,
        "UPDATE returns SET shipment_id = '{x}'",
    ),
    // --- events
    only(
        "events.positions_are_dense",
        Returns,
        "UPDATE feed SET pos = 4 WHERE pos = 3",
    ),
    only(
        "events.versions_are_contiguous",
        Inventory,
        "UPDATE feed SET aggregate_id = 'ghost'
         WHERE aggregate_type = 'stock' AND aggregate_id = 'chair' AND aggregate_version = 1",
    ),
    only(
        "events.order_follows_versions",
        Shipping,
        "UPDATE feed SET aggregate_version = 3 - aggregate_version
         WHERE aggregate_id = '{shipment_a}' AND aggregate_version IN (1, 2)",
    ),
    only(
        "events.order_is_told_in_full",
        Order,
        "UPDATE orders SET version = 4 WHERE order_id = '{order_b}'",
    ),
    only(
        "events.stock_is_told_in_full",
        Inventory,
        "UPDATE items SET version = 2 WHERE sku = 'chair'",
    ),
    only(
        "events.fulfillment_is_told_in_full",
        Fulfillment,
        "UPDATE fulfillment_orders SET event_sequence = 3 WHERE fulfillment_order_id = '{work_b}'",
    ),
    only(
        "events.shipments_are_told_in_full",
        Shipping,
        "UPDATE shipments SET version = 5 WHERE shipment_id = '{shipment_back}'",
    ),
    only("events.returns_are_told_in_full", Returns, "UPDATE returns SET version = 4"),
    only(
        "events.timeline_is_contiguous",
        Order,
        "DELETE FROM timeline WHERE order_id = '{order_b}' AND sequence = 2",
    ),
    only(
        "events.requests_have_results",
        Returns,
        "INSERT INTO idempotency (principal, method, request_id, request_hash) VALUES ('user:x', 'M', '{x}', sha256(''))",
    ),
    only(
        "events.outbox_drains",
        Returns,
        "UPDATE returns SET version = 4;
         INSERT INTO outbox (event_id, aggregate_type, aggregate_id, aggregate_version, event_type, payload, actor, traceparent,
             occurred_at)
         VALUES ('{x}', 'return', '{return_a}', 4, 'ReturnStateChanged', '', '', '', now() - interval '2 minutes')",
    ),
    only(
        "events.none_are_parked",
        Returns,
        "INSERT INTO parked_events (consumer, source, epoch, pos, event_id, event_type, aggregate_type, aggregate_id, event, error)
         VALUES ('returns', 'order', '{epoch_order}', 1, '{x}', 'OrderPlaced', 'order', '{order_a}', '', 'makes no sense')",
    ),
    only(
        "events.cursors_are_within_feeds",
        Returns,
        "UPDATE feed_cursors SET pos = 99 WHERE source = 'order'",
    ),
    only(
        "events.cursors_keep_up",
        Returns,
        "UPDATE feed_cursors SET pos = 12 WHERE source = 'order'",
    ),
    // --- audit
    only(
        "audit.chain_holds",
        Order,
        "SET session_replication_role = replica;
         UPDATE audit_log SET principal = 'user:tesu' WHERE seq = 2",
    ),
    only(
        "audit.chain_holds",
        Inventory,
        "UPDATE audit_head SET hash = sha256('')",
    ),
    only(
        "audit.nothing_is_left_out",
        Order,
        "INSERT INTO idempotency (principal, method, request_id, request_hash, resource_id, created_at)
         VALUES ('user:x', 'M', '{x}', sha256(''), '', now() + interval '1 second')",
    ),
    only(
        "audit.nothing_is_left_out",
        Shipping,
        "UPDATE feed SET payload = 'x' WHERE pos = 1",
    ),
    only(
        "audit.keeps_up",
        Fulfillment,
        "INSERT INTO audit_pending (principal, method, object_id, content_hash, reason, request_id, traceparent, at)
         VALUES ('user:x', 'M', '', sha256(''), '', '{x}', '', now() - interval '2 minutes')",
    ),
    // --- privacy
    only(
        "privacy.sealed_by_its_owner",
        Order,
        "INSERT INTO data_keys (key_id, order_id, master_key_id, wrapped, created_at) VALUES ('{x}', '{order_a}', 'k', '', now());
         INSERT INTO addresses (address_id, order_id, key_id, sealed) VALUES (gen_random_uuid(), '{order_c}', '{x}', '')",
    ),
    only(
        "privacy.erased_is_gone",
        Order,
        "INSERT INTO data_keys (key_id, order_id, created_at, erased_at) VALUES ('{x}', '{order_b}', now(), now());
         INSERT INTO addresses (address_id, order_id, key_id, sealed) VALUES (gen_random_uuid(), '{order_b}', '{x}', '')",
    ),
    // --- webhooks
    only(
        "webhooks.follow_the_feed",
        Order,
        "UPDATE feed_cursors SET pos = 1 WHERE consumer = 'webhooks'",
    ),
    only(
        "webhooks.deliveries_have_their_event",
        Order,
        "UPDATE webhook_deliveries SET event_id = '{x}'",
    ),
    only(
        "webhooks.delivered_means_accepted",
        Order,
        "UPDATE webhook_attempts SET status_code = 500",
    ),
    only(
        "webhooks.deliveries_go_out",
        Order,
        "UPDATE webhook_deliveries SET state = 'PENDING', ended_at = NULL, next_attempt_at = now() - interval '11 minutes'",
    ),
    // --- liveness
    only(
        "liveness.tasks_run_on_time",
        Returns,
        "INSERT INTO tasks (id, kind, key, payload, run_at, actor, traceparent)
         VALUES ('{x}', 'issue_return_label', '{return_a}', '', now() - interval '2 minutes', '', '')",
    ),
    only(
        "liveness.no_task_is_stuck",
        Returns,
        "INSERT INTO tasks (id, kind, key, payload, state, run_at, ended_at, actor, traceparent)
         VALUES ('{x}', 'issue_return_label', '{return_a}', '', 'STUCK', now(), now(), '', '')",
    ),
    only(
        "liveness.declined_captures_hold_their_order",
        Order,
        "INSERT INTO tasks (id, kind, key, payload, state, run_at, ended_at, actor, traceparent)
         VALUES ('{x}', 'capture_payment', '{order_b}', '', 'STUCK', now(), now(), '', '')",
    ),
    only(
        "liveness.declined_renewals_hold_their_order",
        Order,
        "INSERT INTO tasks (id, kind, key, payload, state, run_at, ended_at, actor, traceparent)
         VALUES ('{x}', 'renew_authorization', '{order_b}', '', 'STUCK', now(), now(), '', '')",
    ),
    only(
        "liveness.sagas_run_on_time",
        Order,
        "UPDATE sagas SET next_run_at = now() - interval '2 minutes' WHERE order_id = '{order_d}'",
    ),
    only(
        "liveness.no_saga_is_stuck",
        Order,
        "UPDATE sagas SET state = 'STUCK', stuck_since = now() WHERE order_id = '{order_d}'",
    ),
    only(
        "liveness.every_order_has_a_saga",
        Order,
        "DELETE FROM sagas WHERE order_id = '{order_c}'",
    ),
    only(
        "liveness.sagas_end",
        Order,
        "UPDATE sagas SET state = 'WAITING' WHERE order_id = '{order_b}'",
    ),
    only(
        "liveness.pending_orders_wait_for_something",
        Order,
        "UPDATE sagas SET state = 'DONE' WHERE order_id = '{order_d}'",
    ),
];
