//! Personal data: whose key seals it, and what an erasure left.

use super::invariant::{Database, Invariant, always};

const ORDER: &[Database] = &[Database::Order];

pub(super) const ALL: &[Invariant] = &[
    always(
        "privacy.sealed_by_its_owner",
        "a sealed address is under a key of its order's customer, or of the order where it names none",
        ORDER,
        "addresses",
        "SELECT 'address ' || a.address_id || ' of order ' || o.order_id || ' is under the key of '
             || coalesce(nullif(k.customer_id, ''), k.order_id::text, 'nobody')
         FROM addresses a JOIN orders o ON o.order_id = a.order_id LEFT JOIN data_keys k ON k.key_id = a.key_id
         WHERE a.sealed IS NOT NULL
             AND (k.key_id IS NULL OR k.customer_id <> o.customer_id OR k.order_id <> o.order_id)",
    ),
    always(
        "privacy.erased_is_gone",
        "orders whose customer was erased are ended and have no free texts",
        ORDER,
        "data_keys",
        "SELECT DISTINCT 'order ' || o.order_id || ' is ' || o.state || ', but its key ' || k.key_id || ' is erased'
             || CASE WHEN o.state IN ('PENDING', 'CONFIRMED') THEN '' ELSE ' and texts are left' END
         FROM data_keys k JOIN addresses a ON a.key_id = k.key_id JOIN orders o ON o.order_id = a.order_id
         WHERE k.erased_at IS NOT NULL
             AND (o.state IN ('PENDING', 'CONFIRMED') OR o.instructions <> '' OR o.custom_fields <> '{}'
                 OR EXISTS (SELECT FROM order_lines l WHERE l.order_id = o.order_id
                     AND (l.gift_message <> '' OR l.custom_fields <> '{}')))",
    ),
];
