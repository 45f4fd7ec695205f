//! Accepts connections, bounds their number and age, and lets them finish at shutdown.

use std::convert::Infallible;
use std::net::{IpAddr, SocketAddr};
use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use http::{Request, Response};
use hyper::body::Incoming;
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use hyper_util::server::conn::auto::Builder;
use hyper_util::service::TowerToHyperService;
use metrics::{counter, gauge};
use rustls::ServerConfig as TlsServerConfig;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::task::JoinSet;
use tokio_rustls::TlsAcceptor;
use tokio_rustls::server::TlsStream;
use tokio_util::sync::CancellationToken;
use tonic::body::Body;
use tonic::transport::server::TcpConnectInfo;
use tower::{Service, ServiceExt};

use crate::auth::failures::network;
use crate::auth::watched::Watched;
use crate::auth::{InWork, Place};
use crate::config::ServerConfig;
use crate::names;
use crate::server::greeting::{Counted, Greeting};
use crate::tls::UriNames;

/// Largest header block of a request.
const HEADER_BYTES_MAX: u32 = 16 * 1_024;

/// Streams that a client may reset before the server had time to look at them; above, the connection
/// is closed (HTTP/2 rapid reset).
const PENDING_RESETS_MAX: usize = 20;

/// Streams that the server may reset because of a client's errors; above, the connection is closed.
const LOCAL_RESETS_MAX: usize = 256;

const KEEPALIVE_INTERVAL: Duration = Duration::from_secs(30);
const KEEPALIVE_TIMEOUT: Duration = Duration::from_secs(20);
const HTTP1_HEADER_TIMEOUT: Duration = Duration::from_secs(10);
/// Pause after a failed accept, which is mostly a lack of file descriptors.
const ACCEPT_PAUSE: Duration = Duration::from_millis(50);

/// How connections are made and how long they may take for what.
#[derive(Clone)]
pub(crate) struct Acceptor {
    pub(crate) service_name: &'static str,
    /// The TLS of the listener; without it the listener is plain.
    pub(crate) tls: Option<Arc<Watched<TlsServerConfig>>>,
    pub(crate) limits: ServerConfig,
    /// Most connections of one address; 0 is no limit.
    pub(crate) per_address_max: usize,
}

/// Serves until `stop`, then asks every connection to end and waits for calls in work, at most as long
/// as the limits say; what is left is cut off.
pub(crate) async fn serve<S>(
    acceptor: Acceptor,
    listener: TcpListener,
    service: S,
    stop: CancellationToken,
) where
    S: Service<Request<Body>, Response = Response<Body>, Error = Infallible>
        + Clone
        + Send
        + 'static,
    S::Future: Send,
{
    let (service_name, limits) = (acceptor.service_name, acceptor.limits.clone());
    let slots = Slots::new(limits.connections_max, acceptor.per_address_max);
    let open = gauge!(names::SERVER_CONNECTIONS, "service" => service_name);
    let mut connections = JoinSet::new();
    loop {
        let accepted = tokio::select! {
            () = stop.cancelled() => break,
            accepted = listener.accept() => accepted,
            Some(_) = connections.join_next() => continue,
        };
        let (stream, peer) = match accepted {
            Ok(accepted) => accepted,
            Err(error) => {
                tracing::warn!(%error, "connection could not be accepted");
                tokio::time::sleep(ACCEPT_PAUSE).await;
                continue;
            }
        };
        let Some(slot) = slots.take(peer.ip()) else {
            counter!(names::SERVER_CONNECTIONS_REFUSED, "service" => service_name).increment(1);
            continue;
        };
        let (service, acceptor, stop) = (service.clone(), acceptor.clone(), stop.clone());
        let open = open.clone();
        connections.spawn(async move {
            open.increment(1.0);
            let shaken = tokio::select! {
                () = stop.cancelled() => None,
                shaken = acceptor.shake_hands(stream, peer) => shaken,
            };
            match shaken {
                Some(Connection::Plain(io, info)) => {
                    serve_connection(io, info, service, &acceptor.limits, stop).await;
                }
                Some(Connection::Tls(io, info)) => {
                    serve_connection(*io, info, service, &acceptor.limits, stop).await;
                }
                None => {}
            }
            open.decrement(1.0);
            drop(slot);
        });
    }
    // From here on the port is closed: new callers go elsewhere at once.
    drop(listener);
    let all = async { while connections.join_next().await.is_some() {} };
    if tokio::time::timeout(limits.drain_timeout(), all)
        .await
        .is_err()
    {
        tracing::warn!("calls did not end in time, their connections are cut off");
    }
}

/// Room for connections: so many of all, and of one address.
struct Slots {
    all: Arc<Semaphore>,
    /// 0 is no limit.
    per_address_max: usize,
    addresses: InWork<IpAddr>,
}

/// Taken by one connection, until it is dropped.
type Slot = (OwnedSemaphorePermit, Option<Place<IpAddr>>);

impl Slots {
    fn new(all: usize, per_address_max: usize) -> Self {
        Self {
            all: Arc::new(Semaphore::new(all)),
            per_address_max,
            addresses: InWork::default(),
        }
    }

    /// `None` when there is none left, or this address has as many as it may.
    fn take(&self, addr: IpAddr) -> Option<Slot> {
        let of_address = match self.per_address_max {
            0 => None,
            most => Some(self.addresses.enter(most, &network(addr))?),
        };
        let slot = Arc::clone(&self.all).try_acquire_owned().ok()?;
        Some((slot, of_address))
    }
}

/// A connection, with what is known of the client.
enum Connection {
    Plain(TcpStream, ClientInfo),
    Tls(Box<TlsStream<TcpStream>>, ClientInfo),
}

struct ClientInfo {
    addr: SocketAddr,
    tcp: TcpConnectInfo,
    /// Of its certificate, if it has shown one.
    names: Option<UriNames>,
}

impl Acceptor {
    /// Makes the connection ready for HTTP; `None` when the client does not get there in time.
    async fn shake_hands(&self, stream: TcpStream, addr: SocketAddr) -> Option<Connection> {
        // Answers are small, and callers wait for them.
        let _ = stream.set_nodelay(true);
        let tcp = TcpConnectInfo {
            local_addr: stream.local_addr().ok(),
            remote_addr: Some(addr),
        };
        let mut info = ClientInfo {
            addr,
            tcp,
            names: None,
        };
        let Some(tls) = &self.tls else {
            return Some(Connection::Plain(stream, info));
        };
        let shaking = TlsAcceptor::from(tls.get()).accept(stream);
        let outcome = match tokio::time::timeout(self.limits.handshake_timeout(), shaking).await {
            Ok(Ok(stream)) => {
                let shown = stream
                    .get_ref()
                    .1
                    .peer_certificates()
                    .and_then(<[_]>::first);
                info.names = shown.and_then(UriNames::of);
                return Some(Connection::Tls(Box::new(stream), info));
            }
            Ok(Err(error)) => {
                tracing::debug!(peer = %addr, %error, "no TLS with this client");
                "failed"
            }
            Err(_) => "late",
        };
        counter!(names::SERVER_HANDSHAKES_FAILED, "service" => self.service_name, "outcome" => outcome)
            .increment(1);
        None
    }
}

async fn serve_connection<I, S>(
    io: I,
    client: ClientInfo,
    service: S,
    limits: &ServerConfig,
    stop: CancellationToken,
) where
    I: AsyncRead + AsyncWrite + Send + Unpin + 'static,
    S: Service<Request<Body>, Response = Response<Body>, Error = Infallible>
        + Clone
        + Send
        + 'static,
    S::Future: Send,
{
    let (peer, info, names) = (client.addr, client.tcp, client.names);
    let service = service.map_request(move |mut request: Request<Incoming>| {
        request.extensions_mut().insert(info.clone());
        if let Some(names) = &names {
            request.extensions_mut().insert(names.clone());
        }
        request.map(Body::new)
    });
    let greeting = Greeting::default();
    let io = Counted {
        inner: io,
        greeting: greeting.clone(),
    };
    let builder = builder(limits);
    let connection = builder.serve_connection(TokioIo::new(io), TowerToHyperService::new(service));
    let mut connection = pin!(connection);
    let (mut is_closing, mut is_greeted) = (false, false);
    let mut patience = pin!(tokio::time::sleep(limits.handshake_timeout()));
    let mut age = pin!(tokio::time::sleep(age_max(limits, peer)));
    loop {
        tokio::select! {
            ended = connection.as_mut() => {
                if let Err(error) = ended {
                    tracing::debug!(%peer, error, "connection ended");
                }
                return;
            }
            () = patience.as_mut(), if !is_greeted => {
                if !greeting.is_complete() {
                    tracing::debug!(%peer, "the client says nothing");
                    return;
                }
                is_greeted = true;
                continue;
            }
            () = stop.cancelled(), if !is_closing => {}
            () = age.as_mut(), if !is_closing => {}
        }
        is_closing = true;
        connection.as_mut().graceful_shutdown();
    }
}

fn builder(limits: &ServerConfig) -> Builder<TokioExecutor> {
    let mut builder = Builder::new(TokioExecutor::new());
    builder
        .http2()
        .timer(TokioTimer::new())
        .max_concurrent_streams(limits.streams_per_connection_max)
        .max_header_list_size(HEADER_BYTES_MAX)
        .max_pending_accept_reset_streams(PENDING_RESETS_MAX)
        .max_local_error_reset_streams(LOCAL_RESETS_MAX)
        .keep_alive_interval(KEEPALIVE_INTERVAL)
        .keep_alive_timeout(KEEPALIVE_TIMEOUT);
    // Only grpc-web and webhooks come over HTTP/1.
    builder
        .http1()
        .timer(TokioTimer::new())
        .header_read_timeout(HTTP1_HEADER_TIMEOUT);
    builder
}

/// Spread by the peer's port, so that the connections of one moment do not all end at another.
fn age_max(limits: &ServerConfig, peer: SocketAddr) -> Duration {
    let age = limits.connection_age();
    age + age * u32::from(peer.port() % 64) / 640
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_has_its_share_and_leaves_the_rest_to_others() {
        let slots = Slots::new(3, 2);
        let take = |addr: &str| slots.take(addr.parse().unwrap());
        // A network of IPv6 is one address.
        let [one, same] = ["2001:db8::1", "2001:db8::9:9:9:9"];
        let held = [take(one), take(same)];
        assert!(held.iter().all(Option::is_some));
        assert!(take(one).is_none());
        let other = take("2001:db8:0:1::1");
        assert!(other.is_some());
        // All are taken.
        assert!(take("192.0.2.1").is_none());
        drop(held);
        assert!(take("192.0.2.1").is_some() && take(one).is_some());

        let unshared = Slots::new(3, 0);
        let take = || unshared.take([192, 0, 2, 1].into());
        let held = [take(), take(), take()];
        assert!(held.iter().all(Option::is_some));
        assert!(take().is_none());
    }
}
