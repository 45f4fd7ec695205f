//! Defects between our payments and the payment provider's ledger.

use oms::verify::Database::Order;

use crate::defects::{Defect, and, only};

const CHARGE: &str = "provider.settled_payments_have_their_charge";
const PAYMENT: &str = "provider.charges_have_their_payment";

pub(crate) const DEFECTS: &[Defect] = &[
    // Another amount, kind or currency than was asked for.
    and(
        CHARGE,
        Order,
        "AT PROVIDER: UPDATE charges SET amount = amount + 1 WHERE idempotency_key = '{auth_b}'",
        &[PAYMENT],
    ),
    and(
        CHARGE,
        Order,
        "AT PROVIDER: UPDATE charges SET kind = 'VOID' WHERE idempotency_key = '{refund_a}'",
        &[PAYMENT],
    ),
    and(
        PAYMENT,
        Order,
        "AT PROVIDER: UPDATE charges SET currency = 'EUR' WHERE idempotency_key = '{capture_a}'",
        &[CHARGE],
    ),
    // Another outcome, in both directions, and another reason.
    only(
        CHARGE,
        Order,
        "AT PROVIDER: UPDATE charges SET approved = false, decline_code = 'card_declined' WHERE idempotency_key = '{auth_b}'",
    ),
    only(
        CHARGE,
        Order,
        "AT PROVIDER: UPDATE charges SET approved = true, decline_code = '' WHERE idempotency_key = '{auth_c}'",
    ),
    only(
        CHARGE,
        Order,
        "AT PROVIDER: UPDATE charges SET decline_code = 'insufficient_funds' WHERE idempotency_key = '{auth_c}'",
    ),
    only(
        CHARGE,
        Order,
        "AT PROVIDER: UPDATE charges SET reference = 'sbx_other' WHERE idempotency_key = '{auth_b}'",
    ),
    // A capture that the provider does not know.
    only(
        CHARGE,
        Order,
        "AT PROVIDER: DELETE FROM charges WHERE idempotency_key = '{capture_a}'",
    ),
    // Given up as never arrived, though it did.
    only(
        CHARGE,
        Order,
        "UPDATE payments SET failure_code = 'never_arrived' WHERE payment_id = '{auth_c}'",
    ),
    // The same intent charged a second time, under another key.
    only(
        PAYMENT,
        Order,
        "AT PROVIDER: INSERT INTO charges (idempotency_key, kind, reference, parent_reference, amount, currency, approved, created_at)
         SELECT '{x}', kind, 'sbx_{x}', parent_reference, amount, currency, true, now() FROM charges
         WHERE idempotency_key = '{capture_a}'",
    ),
];
