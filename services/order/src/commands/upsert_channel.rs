//! Creates or replaces a channel.

use oms_core::Violations;
use oms_postgres::idempotency;
use oms_postgres::outbox::{self, Attributes, NewEvent};
use sqlx::PgConnection;

use crate::ctx::{Caller, Ctx};
use crate::domain::new_order::Channel;
use crate::error::{Error, check_etag};
use crate::messages;
use crate::store::{StoreError, channels};

const METHOD: &str = "UpsertChannel";

/// Creates or replaces a channel; its currency stays. `etag` is the version that the caller read.
pub(crate) async fn upsert_channel(
    ctx: &Ctx,
    caller: &Caller,
    channel: &Channel,
    etag: Option<i64>,
) -> Result<Channel, Error> {
    ctx.db
        .run_tx("upsert_channel", |tx| {
            Box::pin(async move { upsert(ctx, tx.conn(), caller, channel, etag).await })
        })
        .await
}

async fn upsert(
    ctx: &Ctx,
    conn: &mut PgConnection,
    caller: &Caller,
    given: &Channel,
    etag: Option<i64>,
) -> Result<Channel, Error> {
    let key = caller.key(METHOD);
    if idempotency::check(conn, &key).await?.is_some() {
        let found = channels::load(conn, &given.channel_id).await?;
        return found.ok_or_else(|| {
            StoreError::inconsistent("idempotency", "resource_id", &given.channel_id).into()
        });
    }
    let mut channel = Channel {
        version: 1,
        ..given.clone()
    };
    // No row to lock and somebody else inserting at the same time: then there is a row to lock.
    let mut existing = channels::lock(conn, &given.channel_id).await?;
    if existing.is_none() && !channels::insert(conn, &channel).await? {
        existing = channels::lock(conn, &given.channel_id).await?;
    }
    match &existing {
        Some(existing) => {
            check_etag(etag, existing.version)?;
            check_currency(given, existing)?;
            channel.version = existing.version + 1;
            channels::update(conn, &channel).await?;
        }
        None => check_etag(etag, 0)?,
    }
    idempotency::record(conn, &key, &channel.channel_id).await?;
    outbox::append(conn, &event(ctx, caller, &channel)).await?;
    Ok(channel)
}

fn check_currency(given: &Channel, existing: &Channel) -> Result<(), Error> {
    let mut violations = Violations::default();
    violations.check(
        given.currency == existing.currency,
        "channel.currency_code",
        "CURRENCY_MIXED",
        format!("the channel's currency is {} and stays", existing.currency),
    );
    Ok(violations.into_result()?)
}

fn event(ctx: &Ctx, caller: &Caller, channel: &Channel) -> NewEvent {
    let (event_type, payload) = messages::channel_event(channel);
    NewEvent {
        event_id: ctx.id(),
        aggregate_type: "channel",
        aggregate_id: channel.channel_id.clone(),
        aggregate_version: channel.version,
        event_type,
        payload,
        actor: caller.actor(),
        occurred_at: ctx.now(),
        attributes: Attributes {
            channel_id: Some(channel.channel_id.clone()),
            ..Attributes::default()
        },
    }
}
