//! The event feed of a peer that a test plays.

use std::pin::Pin;
use std::sync::Arc;

use oms_proto::events::v1::event_feed_service_server::EventFeedService;
use oms_proto::events::v1::{
    Event, GetHeadRequest, GetHeadResponse, SubscribeRequest, SubscribeResponse,
};
use tokio::sync::watch;
use tokio_stream::wrappers::WatchStream;
use tokio_stream::{Stream, StreamExt};
use tonic::{Request, Response, Status};

const EPOCH: &str = "5b1f2a52-58b5-4a3e-9d1c-0a3c1b7c1a10";

/// A feed that tests write, of one epoch. Clones share their events. Serve it by
/// `EventFeedServiceServer::new(feed.clone())`.
#[derive(Debug, Clone)]
pub struct Feed {
    events: Arc<watch::Sender<Vec<Event>>>,
}

impl Default for Feed {
    fn default() -> Self {
        Self {
            events: Arc::new(watch::Sender::new(Vec::new())),
        }
    }
}

impl Feed {
    /// Appends an event, which gets the next position; the same event again, if it is told twice.
    pub fn publish(&self, mut event: Event) {
        self.events.send_modify(|events| {
            event.pos = pos(events) + 1;
            events.push(event);
        });
    }

    /// Position of the last event; 0 before the first.
    pub fn head(&self) -> i64 {
        pos(&self.events.borrow())
    }
}

fn pos(events: &[Event]) -> i64 {
    i64::try_from(events.len()).expect("no test has so many events")
}

#[tonic::async_trait]
impl EventFeedService for Feed {
    type SubscribeStream = Pin<Box<dyn Stream<Item = Result<SubscribeResponse, Status>> + Send>>;

    async fn subscribe(
        &self,
        request: Request<SubscribeRequest>,
    ) -> Result<Response<Self::SubscribeStream>, Status> {
        let request = request.into_inner();
        let types = request.filter.unwrap_or_default().types;
        let mut after = request.after_pos;
        let batches = WatchStream::new(self.events.subscribe()).map(move |events| {
            let head_pos = pos(&events);
            let from_pos = std::mem::replace(&mut after, head_pos);
            let events = events
                .into_iter()
                .filter(|event| event.pos > from_pos)
                .filter(|event| types.is_empty() || types.contains(&event.r#type))
                .collect();
            Ok(SubscribeResponse {
                epoch: EPOCH.to_owned(),
                from_pos,
                through_pos: head_pos,
                head_pos,
                events,
            })
        });
        Ok(Response::new(Box::pin(batches)))
    }

    async fn get_head(
        &self,
        _: Request<GetHeadRequest>,
    ) -> Result<Response<GetHeadResponse>, Status> {
        Ok(Response::new(GetHeadResponse {
            epoch: EPOCH.to_owned(),
            pos: self.head(),
            first_pos: 1,
        }))
    }
}
