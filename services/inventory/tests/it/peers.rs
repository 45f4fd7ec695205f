//! Feeds of shipping and returns, which tests write.

use std::net::SocketAddr;

use oms_proto::events::v1::event_feed_service_server::EventFeedServiceServer;
use oms_testkit::Feed;
use tokio::net::TcpListener;
use tokio_stream::wrappers::TcpListenerStream;
use tonic::transport::Server;

/// Serves an empty feed.
pub(crate) async fn feed() -> (Feed, SocketAddr) {
    let feed = Feed::default();
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let addr = listener.local_addr().unwrap();
    let server = Server::builder()
        .add_service(EventFeedServiceServer::new(feed.clone()))
        .serve_with_incoming(TcpListenerStream::new(listener));
    tokio::spawn(server);
    (feed, addr)
}
