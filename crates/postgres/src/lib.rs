//! Postgres done one way: named transactions, migrations, idempotency, outbox, feed, cursors, durable tasks.
