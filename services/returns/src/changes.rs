//! Facts about returns on their way out.

use oms_core::Principal;
use oms_postgres::outbox::{self, Attributes, NewEvent};
use oms_proto::returns::v1 as proto;
use prost::Message;
use sqlx::PgConnection;
use time::OffsetDateTime;
use uuid::Uuid;

use crate::domain::event::Fact;
use crate::domain::returns::Return;
use crate::messages;
use crate::store::StoreError;

/// Counts the return's version up and appends one fact to the outbox. The caller holds the lock of the return.
pub(crate) async fn append(
    conn: &mut PgConnection,
    ret: &mut Return,
    fact: &Fact,
    event_id: Uuid,
    actor: &Principal,
    now: OffsetDateTime,
) -> Result<(), StoreError> {
    ret.version += 1;
    ret.updated_at = now;
    let event = proto::ReturnsEvent {
        event: Some(messages::event(ret, fact)),
    };
    outbox::append(
        conn,
        &NewEvent {
            event_id,
            aggregate_type: "return",
            aggregate_id: ret.return_id.to_string(),
            aggregate_version: ret.version,
            event_type: event.event_type(),
            payload: event.encode_to_vec(),
            actor: actor.to_string(),
            occurred_at: now,
            attributes: Attributes {
                channel_id: Some(ret.channel_id.clone()),
                location_id: Some(ret.location_id.to_string()),
                ..Attributes::default()
            },
        },
    )
    .await?;
    Ok(())
}
