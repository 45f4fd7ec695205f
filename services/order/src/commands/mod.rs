//! One file per command. A command opens one named transaction: request id, lock, rules, rows, event.

pub(crate) mod cancel_order;
pub(crate) mod erase_customer;
pub(crate) mod issue_store_credit;
pub(crate) mod override_exception;
pub(crate) mod place_hold;
pub(crate) mod place_order;
pub(crate) mod record_account_payment;
pub(crate) mod record_collection;
pub(crate) mod record_progress;
pub(crate) mod record_reservation;
pub(crate) mod record_shipment;
pub(crate) mod record_short;
pub(crate) mod refund_payment;
pub(crate) mod release_hold;
pub(crate) mod retry_exception;
pub(crate) mod rule_exception;
pub(crate) mod settle_order;
pub(crate) mod skip_exception;
pub(crate) mod task_payload;
pub(crate) mod trigger_refund;
pub(crate) mod update_order;
pub(crate) mod upsert_channel;
pub(crate) mod upsert_credit_account;
pub(crate) mod validate_order;
