//! The task that renews an authorization before it ends; every authorization with an end has one.

use oms_core::{PaymentId, derive};
use oms_postgres::{NewTask, tasks};
use sqlx::PgConnection;
use time::{Duration, OffsetDateTime};

use crate::ctx::{Ctx, SERVICE_ACTOR};
use crate::domain::payment::Payment;
use crate::domain::renewal::due_at;
use crate::error::Error;

/// Task that renews an authorization; the key is the order's id, the payload the payment's.
pub(crate) const RENEW_AUTHORIZATION_TASK: &str = "renew_authorization";

/// Inserts the task for an authorization that ends then.
pub(super) async fn schedule(
    conn: &mut PgConnection,
    ctx: &Ctx,
    authorization: &Payment,
    end: OffsetDateTime,
) -> Result<(), Error> {
    let lead = i64::try_from(ctx.config.payments.renew_before_ms).unwrap_or(i64::MAX);
    let task = NewTask {
        id: derive(authorization.payment_id.uuid(), RENEW_AUTHORIZATION_TASK),
        kind: RENEW_AUTHORIZATION_TASK,
        key: authorization.order_id.to_string(),
        payload: authorization.payment_id.to_string().into_bytes(),
        run_at: due_at(authorization.created_at, end, Duration::milliseconds(lead)),
        actor: SERVICE_ACTOR.to_owned(),
    };
    tasks::insert(conn, &task).await?;
    Ok(())
}

/// The authorization that a task is about.
pub(crate) fn payment_id_of(payload: &[u8]) -> Option<PaymentId> {
    std::str::from_utf8(payload).ok()?.parse().ok()
}
