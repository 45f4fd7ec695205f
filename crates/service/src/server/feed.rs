//! `oms.events.v1.EventFeedService`: this service's feed for others.

use std::time::Duration;

use futures::stream::{self, BoxStream};
use oms_core::{Access, Reach, Violations};
use oms_postgres::feed::{self, Batch, FeedEvent, Filter, Head};
use oms_postgres::{Db, Error};
use oms_proto::common::v1::ErrorReason;
use oms_proto::events::v1::event_feed_service_server::EventFeedService;
use oms_proto::events::v1::{
    Event, EventFilter, GetHeadRequest, GetHeadResponse, SubscribeRequest, SubscribeResponse,
};
use tokio::sync::watch;
use tokio::time::Instant;
use tonic::{Request, Response, Status};
use uuid::Uuid;

use crate::error::{ApiError, reason_name};

/// A subscriber hears something at least this often.
const HEARTBEAT: Duration = Duration::from_secs(5);

/// A batch without a matching event is held back for so long, because applying it costs the
/// subscriber a transaction and brings nothing but the cursor.
const EMPTY_WAIT: Duration = Duration::from_secs(1);

/// A name that no location and no channel can have.
const NOBODYS: &str = " ";

const CONSUMER_LEN_MAX: usize = 64;

/// Serves the feed of one database.
pub(crate) struct Feed {
    db: Db,
    source: &'static str,
}

impl Feed {
    /// The feed of the service `source`.
    pub(crate) fn new(db: Db, source: &'static str) -> Self {
        Self { db, source }
    }
}

#[tonic::async_trait]
impl EventFeedService for Feed {
    type SubscribeStream = BoxStream<'static, Result<SubscribeResponse, Status>>;

    async fn subscribe(
        &self,
        request: Request<SubscribeRequest>,
    ) -> Result<Response<Self::SubscribeStream>, Status> {
        let access = crate::request::access(&request);
        let request = request.into_inner();
        check(&request).into_result().map_err(ApiError::from)?;
        let mut heads = self.db.feed_head();
        heads.mark_unchanged();
        let head = read_head(&self.db).await?;
        if !request.epoch.is_empty() && request.epoch != head.epoch.to_string() {
            return Err(gone(head.epoch).into());
        }
        tracing::info!(
            consumer = request.consumer,
            after_pos = request.after_pos,
            "subscribed"
        );
        let subscription = Subscription {
            db: self.db.clone(),
            source: self.source,
            filter: filter(request.filter.unwrap_or_default(), &access),
            limit: i64::from(request.batch_size_max),
            epoch: head.epoch,
            heads,
            sent_pos: request.after_pos,
            read_pos: request.after_pos,
            sent_at: None,
        };
        let batches = stream::try_unfold(subscription, |mut subscription| async move {
            let batch = subscription.next().await?;
            Ok(Some((batch, subscription)))
        });
        Ok(Response::new(Box::pin(batches)))
    }

    async fn get_head(
        &self,
        _: Request<GetHeadRequest>,
    ) -> Result<Response<GetHeadResponse>, Status> {
        let head = read_head(&self.db).await?;
        Ok(Response::new(GetHeadResponse {
            epoch: head.epoch.to_string(),
            pos: head.pos,
            first_pos: head.first_pos,
        }))
    }
}

fn check(request: &SubscribeRequest) -> Violations {
    let mut violations = Violations::default();
    let out_of_range = reason_name(ErrorReason::FieldOutOfRange);
    let length = request.consumer.chars().count();
    let is_fit = (1..=CONSUMER_LEN_MAX).contains(&length);
    violations.check(
        is_fit,
        "consumer",
        out_of_range,
        "must have 1 to 64 characters",
    );
    let is_fit = request.after_pos >= 0;
    violations.check(is_fit, "after_pos", out_of_range, "must not be negative");
    let is_fit = request.batch_size_max >= 0;
    violations.check(
        is_fit,
        "batch_size_max",
        out_of_range,
        "must not be negative",
    );
    violations
}

/// What is asked for, within the caller's reach: events of no location are nothing to one who is bound to some.
fn filter(filter: EventFilter, access: &Access) -> Filter {
    Filter {
        types: filter.types,
        aggregate_ids: filter.aggregate_ids,
        channel_ids: within(filter.channel_ids, &access.channels),
        location_ids: within(filter.location_ids, &access.locations),
        partner_ids: Vec::new(),
    }
}

/// The names that may be seen. Nothing asked for means all of them, and an empty filter lets everything
/// through, so that where nothing is left stands a name that nothing has.
fn within(asked: Vec<String>, reach: &Reach) -> Vec<String> {
    let Some(seen) = reach.names() else {
        return asked;
    };
    let mut left = if asked.is_empty() { seen } else { asked };
    left.retain(|name| reach.permits(name));
    if left.is_empty() {
        left.push(NOBODYS.to_owned());
    }
    left
}

async fn read_head(db: &Db) -> Result<Head, ApiError> {
    let mut conn = db.read().await?;
    Ok(feed::head(&mut conn).await?)
}

fn gone(epoch: Uuid) -> ApiError {
    let message = "the position is not kept in this feed; resync";
    ApiError::failed_precondition(ErrorReason::FeedEpochChanged, message).with("epoch", epoch)
}

/// One subscriber.
struct Subscription {
    db: Db,
    source: &'static str,
    filter: Filter,
    limit: i64,
    epoch: Uuid,
    heads: watch::Receiver<Head>,
    /// Last position that the subscriber has heard of.
    sent_pos: i64,
    /// Last position that was looked at; what lies between matched nothing.
    read_pos: i64,
    sent_at: Option<Instant>,
}

impl Subscription {
    /// The next batch: as soon as there is a matching event, else when it is time to say that there
    /// is none. The first comes at once, so that the subscriber knows the head.
    async fn next(&mut self) -> Result<SubscribeResponse, ApiError> {
        loop {
            // Before the read, so that what is committed meanwhile wakes the wait below.
            let told = *self.heads.borrow_and_update();
            if self.has_read(told) && !self.is_due() {
                self.wait().await;
                continue;
            }
            let batch = self.read().await?;
            self.read_pos = batch.through_pos;
            if !batch.events.is_empty() || self.is_due() {
                return Ok(self.send(batch));
            }
            if batch.through_pos == batch.head_pos {
                self.wait().await;
            }
        }
    }

    async fn read(&self) -> Result<Batch, ApiError> {
        let told = *self.heads.borrow();
        let mut conn = self.db.read().await?;
        // What the relay of this process told saves a look; it is old when another process moved the events.
        let head = if told.epoch == self.epoch && told.pos > self.read_pos {
            told
        } else {
            feed::head(&mut conn).await?
        };
        let read = feed::read_below(&mut conn, head, self.read_pos, self.limit, &self.filter);
        let batch = match read.await {
            Ok(batch) => batch,
            Err(Error::FeedPositionGone {
                first_pos,
                head_pos,
            }) => {
                let error = gone(self.epoch).with("first_pos", first_pos);
                return Err(error.with("head_pos", head_pos));
            }
            Err(error) => return Err(error.into()),
        };
        // The database was restored under us: positions mean something else now.
        if batch.epoch != self.epoch {
            return Err(gone(batch.epoch));
        }
        Ok(batch)
    }

    /// Whether there is nothing to read below the head that the relay of this process told last. It looks at the database
    /// itself several times a second, so what other processes move is told, too.
    fn has_read(&self, told: Head) -> bool {
        told.epoch == self.epoch && told.pos <= self.read_pos
    }

    fn is_due(&self) -> bool {
        self.due_at().is_none_or(|due| due <= Instant::now())
    }

    /// When something must be sent, match or not; `None` for now.
    fn due_at(&self) -> Option<Instant> {
        let wait = if self.read_pos > self.sent_pos {
            EMPTY_WAIT
        } else {
            HEARTBEAT
        };
        self.sent_at.map(|sent| sent + wait)
    }

    /// Until there is something to read or to say.
    async fn wait(&mut self) {
        let due = self.due_at().unwrap_or_else(Instant::now);
        let changed = tokio::time::timeout_at(due, self.heads.changed()).await;
        if matches!(changed, Ok(Err(_))) {
            // Nobody publishes heads any more, so only time is left to wait for.
            tokio::time::sleep_until(due).await;
        }
    }

    fn send(&mut self, batch: Batch) -> SubscribeResponse {
        let from_pos = std::mem::replace(&mut self.sent_pos, batch.through_pos);
        self.sent_at = Some(Instant::now());
        SubscribeResponse {
            epoch: batch.epoch.to_string(),
            from_pos,
            through_pos: batch.through_pos,
            head_pos: batch.head_pos,
            events: batch
                .events
                .into_iter()
                .map(|event| proto_event(self.source, event))
                .collect(),
        }
    }
}

fn proto_event(source: &str, event: FeedEvent) -> Event {
    Event {
        pos: event.pos,
        id: event.event_id.to_string(),
        source: source.to_owned(),
        r#type: event.event_type,
        aggregate_type: event.aggregate_type,
        aggregate_id: event.aggregate_id,
        aggregate_version: event.aggregate_version,
        occurred_at: Some(oms_proto::time_to_proto(event.occurred_at)),
        actor: event.actor,
        traceparent: event.traceparent,
        channel_id: event.channel_id.unwrap_or_default(),
        location_id: event.location_id.unwrap_or_default(),
        payload: event.payload,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn subscribers_get_what_they_ask_for_within_their_reach() {
        let here = Reach::only(["W-1", "W-2"]);
        let asked = |names: &[&str]| names.iter().map(|name| (*name).to_owned()).collect();
        assert_eq!(within(asked(&[]), &here), ["W-1", "W-2"]);
        assert_eq!(within(asked(&["W-3", "W-2"]), &here), ["W-2"]);
        assert_eq!(within(asked(&["W-3"]), &here), [NOBODYS]);
        assert_eq!(within(asked(&[]), &Reach::only::<&str>([])), [NOBODYS]);
        assert_eq!(within(asked(&["W-3"]), &Reach::All), ["W-3"]);
        assert!(within(asked(&[]), &Reach::All).is_empty());
    }
}
