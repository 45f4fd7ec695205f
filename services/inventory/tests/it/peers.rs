//! Feeds of shipping and returns, which tests write.

use std::net::SocketAddr;
use std::pin::Pin;
use std::sync::Arc;

use oms_proto::events::v1::event_feed_service_server::{EventFeedService, EventFeedServiceServer};
use oms_proto::events::v1::{
    Event, GetHeadRequest, GetHeadResponse, SubscribeRequest, SubscribeResponse,
};
use tokio::net::TcpListener;
use tokio::sync::watch;
use tokio_stream::wrappers::{TcpListenerStream, WatchStream};
use tokio_stream::{Stream, StreamExt};
use tonic::transport::Server;
use tonic::{Request, Response, Status};

const EPOCH: &str = "5b1f2a52-58b5-4a3e-9d1c-0a3c1b7c1a10";

/// One feed.
#[derive(Clone)]
pub(crate) struct Feed {
    events: Arc<watch::Sender<Vec<Event>>>,
}

impl Feed {
    /// Serves an empty feed.
    pub(crate) async fn start() -> (Self, SocketAddr) {
        let feed = Self {
            events: Arc::new(watch::Sender::new(Vec::new())),
        };
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let addr = listener.local_addr().unwrap();
        let server = Server::builder()
            .add_service(EventFeedServiceServer::new(feed.clone()))
            .serve_with_incoming(TcpListenerStream::new(listener));
        tokio::spawn(server);
        (feed, addr)
    }

    /// Appends an event.
    pub(crate) fn publish(&self, mut event: Event) {
        self.events.send_modify(|events| {
            event.pos = i64::try_from(events.len()).unwrap() + 1;
            events.push(event);
        });
    }
}

#[tonic::async_trait]
impl EventFeedService for Feed {
    type SubscribeStream = Pin<Box<dyn Stream<Item = Result<SubscribeResponse, Status>> + Send>>;

    async fn subscribe(
        &self,
        request: Request<SubscribeRequest>,
    ) -> Result<Response<Self::SubscribeStream>, Status> {
        let mut after = request.into_inner().after_pos;
        let batches = WatchStream::new(self.events.subscribe()).map(move |events| {
            let head_pos = i64::try_from(events.len()).unwrap();
            let from_pos = std::mem::replace(&mut after, head_pos);
            let events = events
                .into_iter()
                .filter(|event| event.pos > from_pos)
                .collect();
            let epoch = EPOCH.to_owned();
            Ok(SubscribeResponse {
                epoch,
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
        let pos = i64::try_from(self.events.borrow().len()).unwrap();
        Ok(Response::new(GetHeadResponse {
            epoch: EPOCH.to_owned(),
            pos,
            first_pos: 1,
        }))
    }
}
