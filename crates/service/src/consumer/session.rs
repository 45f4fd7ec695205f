//! One subscription, from connecting to its end.

use std::time::Duration;

use futures::FutureExt;
use oms_postgres::cursor::{self, Cursor};
use oms_proto::common::v1::ErrorReason;
use oms_proto::events::v1::event_feed_service_client::EventFeedServiceClient;
use oms_proto::events::v1::{EventFilter, GetHeadRequest, SubscribeRequest, SubscribeResponse};
use tokio::time::Instant;
use tonic::Streaming;
use uuid::Uuid;

use super::apply::{Applied, BatchError, PART_MAX};
use super::{Consumer, Failures, ParkedAfter};
use crate::error::{ApiError, Chain};
use crate::peer_error::PeerError;

/// The peer speaks every 5 seconds; three silent ones mean that the connection is dead.
const SILENCE_MAX: Duration = Duration::from_secs(15);

/// How often parked events are tried again.
const PARKED_INTERVAL: Duration = Duration::from_secs(30);

/// A batch of the feed may hold one event that is as large as the largest message.
const BATCH_BYTES_MAX: usize = 16 * 1_024 * 1_024;

/// Why a subscription ended.
pub(super) enum Ended {
    ByPeer,
    Failed {
        reason: String,
        /// Whether a batch was applied before.
        has_worked: bool,
    },
    /// `epoch` is the feed's present one, when the peer said it.
    EpochChanged {
        epoch: Option<Uuid>,
    },
}

/// What the peer sends. What came while a transaction ran is applied together by the next one: the longer
/// transactions take, the more events each of them has.
struct Batches {
    stream: Streaming<SubscribeResponse>,
    /// What came after the batch that was answered last, and cannot be joined to it.
    held: Option<Result<Option<SubscribeResponse>, tonic::Status>>,
}

impl Batches {
    /// The next batch, with those that are here already and follow it; `None` when the peer has ended the stream.
    async fn next(&mut self) -> Result<Option<SubscribeResponse>, tonic::Status> {
        let first = match self.held.take() {
            Some(held) => held,
            None => self.stream.message().await,
        };
        let Some(mut batch) = first? else {
            return Ok(None);
        };
        while batch.events.len() < PART_MAX {
            match self.stream.message().now_or_never() {
                Some(Ok(Some(next))) if follows(&batch, &next) => join(&mut batch, next),
                None => break,
                other => {
                    self.held = other;
                    break;
                }
            }
        }
        Ok(Some(batch))
    }
}

fn follows(batch: &SubscribeResponse, next: &SubscribeResponse) -> bool {
    next.epoch == batch.epoch && next.from_pos == batch.through_pos
}

fn join(batch: &mut SubscribeResponse, next: SubscribeResponse) {
    batch.through_pos = next.through_pos;
    batch.head_pos = next.head_pos;
    batch.events.extend(next.events);
}

impl Consumer {
    /// Subscribes where the cursor stands and applies until something ends it.
    pub(super) async fn session(
        &self,
        failures: &mut Failures,
        parked_after: &mut ParkedAfter,
    ) -> Ended {
        let mut has_worked = false;
        let consumed = self.consume(failures, parked_after, &mut has_worked);
        match consumed.await {
            Ok(()) | Err(SessionError::Ended) => Ended::ByPeer,
            Err(SessionError::EpochChanged(epoch)) => Ended::EpochChanged { epoch },
            Err(SessionError::Other(reason)) => Ended::Failed { reason, has_worked },
        }
    }

    async fn consume(
        &self,
        failures: &mut Failures,
        parked_after: &mut ParkedAfter,
        has_worked: &mut bool,
    ) -> Result<(), SessionError> {
        let cursor = self.start().await?;
        let mut batches = self.subscribe(cursor).await?;
        let mut retry_parked_at = Instant::now();
        loop {
            if retry_parked_at <= Instant::now() {
                self.retry_parked(parked_after).await?;
                retry_parked_at = Instant::now() + PARKED_INTERVAL;
            }
            let message = tokio::time::timeout(SILENCE_MAX, batches.next()).await;
            let message = message.map_err(|_| SessionError::other("the peer fell silent"))?;
            let Some(batch) = message.map_err(SessionError::of_peer)? else {
                return Ok(());
            };
            let epoch = Uuid::try_parse(&batch.epoch)
                .map_err(|_| SessionError::other("the peer's epoch is malformed"))?;
            if cursor.is_some_and(|cursor| cursor.epoch != epoch) {
                return Err(SessionError::EpochChanged(Some(epoch)));
            }
            let lag = batch.head_pos - batch.through_pos;
            match self.apply_batch(epoch, batch, failures).await? {
                Applied::Yes => *has_worked = true,
                Applied::CursorElsewhere => {
                    return Err(SessionError::other("another replica consumes the feed"));
                }
            }
            self.say_lag(lag);
        }
    }

    /// Where to go on. Who begins anew begins with the oldest event that the feed keeps: what it has dropped, nobody has.
    async fn start(&self) -> Result<Option<Cursor>, SessionError> {
        let cursor = self.cursor().await?;
        if cursor.is_some_and(|cursor| cursor.pos > 0) {
            return Ok(cursor);
        }
        let mut client = EventFeedServiceClient::new(self.channel.clone());
        let head = client.get_head(GetHeadRequest {}).await;
        let head = head.map_err(SessionError::of_peer)?.into_inner();
        let epoch = Uuid::try_parse(&head.epoch)
            .map_err(|_| SessionError::other("the peer's epoch is malformed"))?;
        // Another epoch is told by the subscription.
        if head.first_pos <= 1 || cursor.is_some_and(|cursor| cursor.epoch != epoch) {
            return Ok(cursor);
        }
        let (service, source) = (self.service, self.source);
        tracing::warn!(
            service,
            source,
            first_pos = head.first_pos,
            "the beginning of the feed is gone"
        );
        let oldest = Cursor {
            epoch,
            pos: head.first_pos - 1,
        };
        let moved = self
            .db
            .run_tx("begin_feed", |tx| {
                Box::pin(async move {
                    cursor::advance(tx.conn(), service, source, epoch, 0, oldest.pos).await
                })
            })
            .await?;
        match moved {
            Some(_) => Ok(Some(oldest)),
            // Another replica was faster, and may be further.
            None => self.cursor().await,
        }
    }

    async fn cursor(&self) -> Result<Option<Cursor>, SessionError> {
        let mut conn = self.db.read().await?;
        Ok(cursor::get(&mut conn, self.service, self.source).await?)
    }

    async fn subscribe(&self, cursor: Option<Cursor>) -> Result<Batches, SessionError> {
        let request = SubscribeRequest {
            consumer: self.service.to_owned(),
            epoch: cursor.map_or_else(String::new, |cursor| cursor.epoch.to_string()),
            after_pos: cursor.map_or(0, |cursor| cursor.pos),
            filter: Some(EventFilter {
                types: self.types.clone(),
                ..EventFilter::default()
            }),
            batch_size_max: 0,
        };
        let mut client = EventFeedServiceClient::new(self.channel.clone())
            .max_decoding_message_size(BATCH_BYTES_MAX);
        let answer = client.subscribe(request).await;
        Ok(Batches {
            stream: answer.map_err(SessionError::of_peer)?.into_inner(),
            held: None,
        })
    }

    /// Puts the cursor to the beginning of the feed's present epoch.
    pub(super) async fn resync(&self, epoch: Option<Uuid>) -> Result<(), ApiError> {
        let Some(epoch) = epoch else {
            return Err(ApiError::internal("the peer did not say its epoch"));
        };
        let (service, source) = (self.service, self.source);
        self.db
            .run_tx("resync_feed", |tx| {
                let cursor = Cursor { epoch, pos: 0 };
                Box::pin(
                    async move { Ok(cursor::reset(tx.conn(), service, source, cursor).await?) },
                )
            })
            .await
    }
}

/// Why a session cannot go on.
pub(super) enum SessionError {
    /// The peer has ended the stream in its course: it drains, or the stream has reached its age.
    Ended,
    EpochChanged(Option<Uuid>),
    Other(String),
}

impl SessionError {
    fn other(reason: impl Into<String>) -> Self {
        Self::Other(reason.into())
    }

    fn of_peer(status: tonic::Status) -> Self {
        let error = PeerError::from(status);
        if error.is_stream_end() {
            return Self::Ended;
        }
        if error.reason() != Some(ErrorReason::FeedEpochChanged) {
            return Self::other(error.to_string());
        }
        let epoch = error
            .metadata("epoch")
            .and_then(|epoch| Uuid::try_parse(epoch).ok());
        Self::EpochChanged(epoch)
    }
}

impl From<oms_postgres::Error> for SessionError {
    fn from(error: oms_postgres::Error) -> Self {
        Self::other(Chain(&error).to_string())
    }
}

impl From<BatchError> for SessionError {
    fn from(error: BatchError) -> Self {
        match error {
            BatchError::Database(error) => error.into(),
            BatchError::Event { error, .. } | BatchError::OneOfThem(error) => {
                Self::other(error.to_string())
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_stream_that_the_peer_ends_in_its_course_is_no_failure() {
        for error in [ApiError::stream_aged(), ApiError::stream_drained()] {
            assert!(matches!(
                SessionError::of_peer(error.into()),
                SessionError::Ended
            ));
        }
        let gone = SessionError::of_peer(ApiError::unavailable("database").into());
        assert!(matches!(gone, SessionError::Other(_)));
    }
}
