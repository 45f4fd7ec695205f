//! Parts of a batch, each in one transaction: the cursor and the effect of every event.

use std::collections::HashSet;
use std::time::Duration;

use metrics::counter;
use oms_postgres::parked::{self, ParkedEvent, ParkedRow};
use oms_postgres::{cursor, cursor::Moved};
use oms_proto::events::v1::{Event, SubscribeResponse};
use oms_telemetry::{TraceContext, continue_or_link, mark_failed};
use prost::Message;
use sqlx::PgConnection;
use tracing::{Instrument, Span, field};
use uuid::Uuid;

use super::{ApplyError, Batch, Consumer, Failures, ParkedAfter};
use crate::names;
use crate::server::method::snake_case;

/// Tries of an event before it is parked.
const TRIES: u32 = 3;

/// Events that one transaction applies: what they lock is locked until its end.
pub(super) const PART_MAX: usize = 64;

/// Pause between two tries.
const TRY_WAIT: Duration = Duration::from_millis(200);

/// Aggregates whose parked events are tried again at one time; the others have their turn later.
const PARKED_HEADS_MAX: usize = 100;

/// Whether a batch was applied.
pub(super) enum Applied {
    Yes,
    /// The cursor is not where the batch begins.
    CursorElsewhere,
}

/// A batch could not be applied.
#[derive(Debug)]
pub(super) enum BatchError {
    /// The database, whatever the event.
    Database(oms_postgres::Error),
    /// This event.
    Event { pos: i64, error: ApplyError },
    /// One of the events, it is not known which: they are read and written together.
    OneOfThem(ApplyError),
}

impl From<oms_postgres::Error> for BatchError {
    fn from(error: oms_postgres::Error) -> Self {
        Self::Database(error)
    }
}

/// A batch as parts that follow each other. The last one moves the cursor over what was passed over at the end, too.
fn parts(batch: SubscribeResponse, most: usize) -> Vec<SubscribeResponse> {
    let (mut from_pos, end) = (batch.from_pos, batch.through_pos);
    if from_pos == end {
        return Vec::new();
    }
    let mut events = batch.events.into_iter().peekable();
    let mut parts = Vec::new();
    loop {
        let part: Vec<Event> = events.by_ref().take(most).collect();
        let last = part.last().map_or(end, |event| event.pos);
        let through_pos = if events.peek().is_some() { last } else { end };
        parts.push(SubscribeResponse {
            from_pos,
            through_pos,
            events: part,
            ..SubscribeResponse::default()
        });
        from_pos = through_pos;
        if events.peek().is_none() {
            return parts;
        }
    }
}

impl Consumer {
    /// Applies a batch; parks the events that fail too often.
    pub(super) async fn apply_batch(
        &self,
        epoch: Uuid,
        batch: SubscribeResponse,
        failures: &mut Failures,
    ) -> Result<Applied, BatchError> {
        for part in parts(batch, PART_MAX) {
            let applied = match self.apply_part(epoch, &part, failures).await {
                Err(BatchError::OneOfThem(error)) => {
                    let (service, source) = (self.service, self.source);
                    tracing::warn!(service, source, %error, "events are applied one by one to find the one at fault");
                    self.apply_singly(epoch, part, failures).await
                }
                applied => applied,
            };
            if matches!(applied?, Applied::CursorElsewhere) {
                return Ok(Applied::CursorElsewhere);
            }
        }
        Ok(Applied::Yes)
    }

    async fn apply_singly(
        &self,
        epoch: Uuid,
        part: SubscribeResponse,
        failures: &mut Failures,
    ) -> Result<Applied, BatchError> {
        for single in parts(part, 1) {
            if matches!(
                self.apply_part(epoch, &single, failures).await?,
                Applied::CursorElsewhere
            ) {
                return Ok(Applied::CursorElsewhere);
            }
        }
        Ok(Applied::Yes)
    }

    async fn apply_part(
        &self,
        epoch: Uuid,
        batch: &SubscribeResponse,
        failures: &mut Failures,
    ) -> Result<Applied, BatchError> {
        // Why the only event is parked.
        let mut poison: Option<String> = None;
        loop {
            let (pos, error) = match self.try_part(epoch, batch, poison.as_deref()).await {
                Err(BatchError::Event { pos, error }) if error.is_poison() => (pos, error),
                Err(BatchError::OneOfThem(error)) if error.is_poison() => match &*batch.events {
                    [event] => (event.pos, error),
                    _ => return Err(BatchError::OneOfThem(error)),
                },
                Err(
                    BatchError::OneOfThem(ApplyError::Database(error))
                    | BatchError::Event {
                        error: ApplyError::Database(error),
                        ..
                    },
                ) => return Err(BatchError::Database(error)),
                ended => {
                    if ended.is_ok() {
                        failures.retain(|pos, _| *pos > batch.through_pos);
                    }
                    return ended;
                }
            };
            let tries = failures.entry(pos).or_default();
            *tries += 1;
            let (service, source) = (self.service, self.source);
            tracing::warn!(service, source, pos, tries, %error, "event could not be applied");
            if *tries < TRIES {
                tokio::time::sleep(TRY_WAIT).await;
            } else if batch.events.len() > 1 {
                return Err(BatchError::OneOfThem(error));
            } else {
                poison = Some(error.to_string());
            }
        }
    }

    async fn try_part(
        &self,
        epoch: Uuid,
        batch: &SubscribeResponse,
        poison: Option<&str>,
    ) -> Result<Applied, BatchError> {
        let applied = self
            .db
            .run_tx_quiet("apply_events", |tx| {
                Box::pin(self.apply_events(tx.conn(), epoch, batch, poison))
            })
            .await;
        if matches!(applied, Ok(Applied::Yes)) {
            let (service, source) = (self.service, self.source);
            let parked = u64::from(poison.is_some());
            let applied = (batch.events.len() as u64).saturating_sub(parked);
            counter!(names::FEED_EVENTS, "service" => service, "source" => source)
                .increment(applied);
            counter!(names::FEED_PARKED, "service" => service, "source" => source)
                .increment(parked);
        }
        applied
    }

    async fn apply_events(
        &self,
        conn: &mut PgConnection,
        epoch: Uuid,
        batch: &SubscribeResponse,
        poison: Option<&str>,
    ) -> Result<Applied, BatchError> {
        let (service, source) = (self.service, self.source);
        let (from, through) = (batch.from_pos, batch.through_pos);
        let moved = cursor::advance(conn, service, source, epoch, from, through).await?;
        let Some(Moved { has_parked }) = moved else {
            return Ok(Applied::CursorElsewhere);
        };
        if batch.events.is_empty() {
            return Ok(Applied::Yes);
        }
        let mut work = (self.begin)(conn, &batch.events).await?;
        for event in &batch.events {
            let (kind, id) = (&event.aggregate_type, &event.aggregate_id);
            let reason = match poison {
                Some(reason) => reason,
                None if has_parked && parked::blocks(conn, service, source, kind, id).await? => {
                    "waits behind an earlier event of its aggregate"
                }
                None => {
                    self.apply_event(conn, &mut *work, event).await?;
                    continue;
                }
            };
            parked::park(conn, &self.parked(epoch, event, reason)).await?;
        }
        work.finish(conn).await.map_err(BatchError::OneOfThem)?;
        Ok(Applied::Yes)
    }

    async fn apply_event(
        &self,
        conn: &mut PgConnection,
        work: &mut dyn Batch,
        event: &Event,
    ) -> Result<(), BatchError> {
        let span = self.span(event);
        let applied = work.apply(conn, event).instrument(span.clone()).await;
        applied.map_err(|error| {
            mark_failed(&span, &error);
            let pos = event.pos;
            BatchError::Event { pos, error }
        })
    }

    /// Goes on with the trace of what happened at the peer.
    fn span(&self, event: &Event) -> Span {
        let span = tracing::info_span!(
            "consume",
            otel.name = format_args!("{}.on_{}", self.service, snake_case(&event.r#type)),
            otel.kind = "consumer",
            oms.event.id = event.id,
            oms.event.source = self.source,
            oms.event.pos = event.pos,
            oms.order.id = field::Empty,
        );
        if event.aggregate_type == "order" {
            oms_telemetry::record_order_id(&span, &event.aggregate_id);
        }
        let occurred = event
            .occurred_at
            .and_then(|at| oms_proto::time_from_proto(at).ok());
        let now = self.db.clock().now();
        let age = occurred.map_or(time::Duration::ZERO, |occurred| now - occurred);
        continue_or_link(&span, &TraceContext::parse(&event.traceparent), age);
        span
    }

    fn parked(&self, epoch: Uuid, event: &Event, error: &str) -> ParkedEvent {
        ParkedEvent {
            consumer: self.service.to_owned(),
            source: self.source.to_owned(),
            epoch,
            pos: event.pos,
            // Every event of the feed has a UUID; a broken one is parked like any other.
            event_id: Uuid::try_parse(&event.id).unwrap_or_default(),
            event_type: event.r#type.clone(),
            aggregate_type: event.aggregate_type.clone(),
            aggregate_id: event.aggregate_id.clone(),
            event: event.encode_to_vec(),
            error: error.to_owned(),
        }
    }

    /// Tries the oldest parked event of some aggregates again, and with each that goes through, the next one of its
    /// aggregate. Begins behind the aggregate that was looked at last, so that those that stay keep nobody from a turn.
    pub(super) async fn retry_parked(&self, after: &mut ParkedAfter) -> Result<(), BatchError> {
        let begin = after.clone();
        let mut stays = HashSet::new();
        loop {
            let heads = self.parked_heads(&begin).await?;
            // Behind the last one the next look begins anew.
            let is_full = heads.len() == PARKED_HEADS_MAX;
            let last = heads.last().filter(|_| is_full);
            *after = last.map_or_else(ParkedAfter::default, |last| {
                (last.aggregate_type.clone(), last.aggregate_id.clone())
            });
            let mut has_progress = false;
            for head in heads {
                let Ok(event) = Event::decode(&*head.event) else {
                    continue;
                };
                let pos = event.pos;
                if stays.contains(&(head.epoch, pos)) {
                    continue;
                }
                match self.apply_parked(head.epoch, &event).await {
                    Ok(()) => has_progress = true,
                    Err(BatchError::Event { error, .. }) if error.is_poison() => {
                        tracing::warn!(pos, %error, "event stays parked");
                        stays.insert((head.epoch, pos));
                    }
                    Err(error) => return Err(error),
                }
            }
            if !has_progress {
                return Ok(());
            }
        }
    }

    async fn parked_heads(&self, (kind, id): &ParkedAfter) -> Result<Vec<ParkedRow>, BatchError> {
        let mut conn = self.db.read().await?;
        let (service, source) = (self.service, self.source);
        let most = i64::try_from(PARKED_HEADS_MAX).unwrap_or(i64::MAX);
        let after = (kind.as_str(), id.as_str());
        Ok(parked::heads(&mut conn, service, source, after, most).await?)
    }

    async fn apply_parked(&self, epoch: Uuid, event: &Event) -> Result<(), BatchError> {
        let (service, source) = (self.service, self.source);
        self.db
            .run_tx("apply_parked_event", |tx| {
                Box::pin(async move {
                    // Removed first: that locks it against another replica doing the same.
                    if !parked::remove(tx.conn(), service, source, epoch, event.pos).await? {
                        return Ok(());
                    }
                    let mut work = (self.begin)(tx.conn(), std::slice::from_ref(event)).await?;
                    self.apply_event(tx.conn(), &mut *work, event).await?;
                    let pos = event.pos;
                    let finished = work.finish(tx.conn()).await;
                    finished.map_err(|error| BatchError::Event { pos, error })
                })
            })
            .await
    }
}
