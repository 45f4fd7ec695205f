//! Calls spread over the replicas behind a peer's name, one after the other.
//!
//! A call that no replica has begun is made at another one; a call whose replica went away in the middle is made once more at
//! another one, under a budget: every method reads, or knows a repeat by its `request_id`.

use std::collections::HashSet;
use std::net::SocketAddr;
use std::sync::atomic::{AtomicI64, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use h2::Reason;
use http::{HeaderValue, Request, Response, Uri};
use http_body_util::{BodyExt, Full, Limited};
use hyper_util::rt::TokioIo;
use metrics::{counter, gauge};
use rustls::ClientConfig;
use tokio::net::TcpStream;
use tokio::time::{timeout, timeout_at};
use tonic::body::Body;
use tonic::transport::{Channel, Endpoint};
use tonic::{ConnectError, Status, TimeoutExpired};
use tower::{ServiceExt, service_fn};

use super::resolve::Resolve;
use super::{BoxError, CONNECT_TIMEOUT, GRPC_TIMEOUT, grpc_timeout, late};
use crate::auth::watched::Watched;
use crate::names::{CLIENT_FAILOVERS, CLIENT_REPLICAS};
use crate::server::{deadline, method};
use crate::tls;

/// How often a request is handed to a connection before the caller hears that none took it.
const SENDS_MAX: u32 = 8;
/// Time for which a replica that takes no connection is passed over.
const REST: Duration = Duration::from_secs(1);
/// Largest answer of a peer: some times the largest message.
const ANSWER_BYTES_MAX: usize = 32 * 1024 * 1024;
/// Longer than any deadline.
const ENDLESS: Duration = Duration::from_hours(24 * 365);
/// Calls that pay for one that is made once more at another replica ..
const CALLS_PER_FAILOVER: i64 = 10;
/// .. and how many of those may be saved up: one replica may die with so many calls in work.
const FAILOVERS_SAVED: i64 = 100;

/// How a peer is reached, whichever of its replicas it is.
#[derive(Debug)]
pub(super) struct Connector {
    /// Its address, `https://` or not.
    pub(super) uri: Uri,
    pub(super) endpoint: Endpoint,
    /// The service's own certificate and whom it trusts, for `https://`.
    pub(super) tls: Option<Arc<Watched<ClientConfig>>>,
}

/// The replicas of a peer. Shared by all channels to it that were made from one.
#[derive(Debug)]
pub(super) struct Replicas {
    peer: Arc<str>,
    connector: Connector,
    host: String,
    port: u16,
    resolver: Arc<dyn Resolve>,
    every: Duration,
    known: Mutex<Known>,
    /// One look at a time.
    looking: tokio::sync::Mutex<()>,
    turn: AtomicUsize,
    budget: AtomicI64,
}

#[derive(Debug, Default)]
struct Known {
    replicas: Vec<Arc<Replica>>,
    /// When somebody looked last, whatever came of it.
    looked_at: Option<Instant>,
}

#[derive(Debug)]
struct Replica {
    addr: SocketAddr,
    channel: Channel,
    /// Set when no connection was taken, until a call is answered again.
    rests_until: Mutex<Option<Instant>>,
}

/// What a failed send says.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Failure {
    /// No connection: nothing was sent.
    NotConnected,
    /// The replica has certainly not begun.
    NotBegun,
    /// The connection broke: the replica may have begun, or be done.
    Broken,
    /// Another replica would not do better.
    Final,
}

impl Replicas {
    /// The replicas behind this endpoint's name; looked for at the first call, and then no more often than `every`, as long
    /// as calls are made.
    pub(super) fn new(
        peer: Arc<str>,
        connector: Connector,
        resolver: Arc<dyn Resolve>,
        every: Duration,
    ) -> Self {
        let uri = &connector.uri;
        let default_port = if uri.scheme_str() == Some("https") {
            443
        } else {
            80
        };
        Self {
            peer,
            host: uri.host().unwrap_or_default().to_owned(),
            port: uri.port_u16().unwrap_or(default_port),
            connector,
            resolver,
            every,
            known: Mutex::default(),
            looking: tokio::sync::Mutex::default(),
            turn: AtomicUsize::new(0),
            budget: AtomicI64::new(FAILOVERS_SAVED * CALLS_PER_FAILOVER),
        }
    }

    /// Makes a call at one of them.
    ///
    /// # Errors
    /// The last failure, when nobody answered.
    pub(super) async fn send(
        self: &Arc<Self>,
        request: Request<Body>,
    ) -> Result<Response<Body>, BoxError> {
        let (mut parts, body) = request.into_parts();
        let method = method::of_path(parts.uri.path());
        let is_endless = method.is_some_and(|method| method.is_endless);
        let body = body.collect().await?.to_bytes();
        let ends = parts
            .headers
            .contains_key(GRPC_TIMEOUT)
            .then(|| deadline::of_headers(&parts.headers, ENDLESS));
        self.earn();
        let mut tried = Vec::new();
        let mut is_failed_over = false;
        for sends in 1.. {
            let Some(replica) = self.pick(&tried).await? else {
                break;
            };
            let request = Request::from_parts(parts.clone(), Body::new(Full::new(body.clone())));
            let (failure, error) = match replica.channel.clone().oneshot(request).await {
                Ok(answer) => {
                    replica.is_back();
                    let Some(ends) = ends.filter(|_| !is_endless) else {
                        return Ok(answer);
                    };
                    match self.whole(answer, ends).await {
                        Ok(answer) => return Ok(answer),
                        Err(failed) => failed,
                    }
                }
                Err(error) => (Failure::of(&error), error.into()),
            };
            if failure == Failure::NotConnected {
                replica.rest();
            }
            let others = self.others(&tried, replica.addr);
            let goes_on = match failure {
                Failure::NotBegun => true,
                Failure::NotConnected => others,
                Failure::Broken => others && !is_failed_over && self.spend(),
                Failure::Final => false,
            };
            if !goes_on || sends == SENDS_MAX {
                return Err(error);
            }
            if failure != Failure::NotBegun {
                tried.push(replica.addr);
            }
            is_failed_over |= failure == Failure::Broken;
            if let Some(ends) = ends {
                let left = ends.saturating_duration_since(tokio::time::Instant::now());
                parts.headers.insert(GRPC_TIMEOUT, timeout_value(left));
            }
        }
        Err(Status::unavailable(format!("{} has no replica that answers", self.peer)).into())
    }

    /// An answer with its whole body: one that breaks off in the middle is none.
    async fn whole(
        &self,
        answer: Response<Body>,
        ends: tokio::time::Instant,
    ) -> Result<Response<Body>, (Failure, BoxError)> {
        let (parts, body) = answer.into_parts();
        let body = Limited::new(body, ANSWER_BYTES_MAX).collect();
        let (failure, status) = match timeout_at(ends, body).await {
            Ok(Ok(body)) => return Ok(Response::from_parts(parts, Body::new(body))),
            Ok(Err(error)) => {
                let message = format!("{}: the answer broke off: {error}", self.peer);
                (Failure::Broken, Status::unavailable(message))
            }
            Err(_) => (Failure::Final, late(&self.peer)),
        };
        Err((failure, status.into()))
    }

    /// The replica whose turn it is, of those that were not tried. `None` when all were.
    async fn pick(self: &Arc<Self>, tried: &[SocketAddr]) -> Result<Option<Arc<Replica>>, Status> {
        let (is_empty, is_due) = {
            let known = self.known();
            let looked = known.looked_at;
            (
                known.replicas.is_empty(),
                looked.is_none_or(|at| at.elapsed() >= self.every),
            )
        };
        if is_empty {
            self.look().await?;
        } else if is_due {
            // Nobody waits for it, and who finds it under way goes on.
            self.known().looked_at = Some(Instant::now());
            let replicas = Arc::clone(self);
            tokio::spawn(async move { replicas.look().await });
        }
        let known = self.known();
        let now = Instant::now();
        let untried = || {
            known
                .replicas
                .iter()
                .filter(|one| !tried.contains(&one.addr))
        };
        let mut candidates: Vec<&Arc<Replica>> =
            untried().filter(|one| !one.is_resting(now)).collect();
        if candidates.is_empty() {
            candidates = untried().collect();
        }
        let turn = self.turn.fetch_add(1, Ordering::Relaxed);
        let index = turn.checked_rem(candidates.len());
        let picked = index.and_then(|index| candidates.get(index));
        Ok(picked.map(|one| {
            one.is_asked(now);
            Arc::clone(one)
        }))
    }

    /// Looks who is there. Whoever cannot be found any more is kept until somebody else is found.
    async fn look(&self) -> Result<(), Status> {
        let before = self.known().looked_at;
        let _one_at_a_time = self.looking.lock().await;
        {
            let known = self.known();
            if known.looked_at != before {
                // Somebody else has just looked.
                let is_empty = known.replicas.is_empty();
                return if is_empty {
                    Err(self.not_found("it has no address"))
                } else {
                    Ok(())
                };
            }
        }
        let found = self.resolver.resolve(&self.host, self.port).await;
        let mut known = self.known();
        known.looked_at = Some(Instant::now());
        let addrs: HashSet<SocketAddr> = match found {
            Ok(addrs) if !addrs.is_empty() => addrs.into_iter().collect(),
            _ if !known.replicas.is_empty() => return Ok(()),
            Ok(_) => return Err(self.not_found("it has no address")),
            Err(error) => return Err(self.not_found(&error.to_string())),
        };
        known.replicas.retain(|one| addrs.contains(&one.addr));
        for addr in addrs {
            if known.replicas.iter().all(|one| one.addr != addr) {
                let replica = self.connector.replica(addr);
                known.replicas.push(Arc::new(replica));
            }
        }
        known.replicas.sort_by_key(|one| one.addr);
        gauge!(CLIENT_REPLICAS, "peer" => self.peer.to_string())
            .set(u32::try_from(known.replicas.len()).unwrap_or(u32::MAX));
        Ok(())
    }

    fn not_found(&self, why: &str) -> Status {
        Status::unavailable(format!(
            "{}: {} cannot be found: {why}",
            self.peer, self.host
        ))
    }

    fn others(&self, tried: &[SocketAddr], this: SocketAddr) -> bool {
        let known = self.known();
        let mut untried = known
            .replicas
            .iter()
            .filter(|one| one.addr != this && !tried.contains(&one.addr));
        untried.next().is_some()
    }

    fn earn(&self) {
        let most = FAILOVERS_SAVED * CALLS_PER_FAILOVER;
        let earned = |saved: i64| (saved < most).then_some(saved + 1);
        let _ = self
            .budget
            .fetch_update(Ordering::Relaxed, Ordering::Relaxed, earned);
    }

    fn spend(&self) -> bool {
        let paid = |saved: i64| (saved >= CALLS_PER_FAILOVER).then_some(saved - CALLS_PER_FAILOVER);
        let is_paid = self
            .budget
            .fetch_update(Ordering::Relaxed, Ordering::Relaxed, paid)
            .is_ok();
        if is_paid {
            counter!(CLIENT_FAILOVERS, "peer" => self.peer.to_string()).increment(1);
        }
        is_paid
    }

    fn known(&self) -> MutexGuard<'_, Known> {
        self.known.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Connector {
    /// The endpoint keeps its name, which stands in the requests and on certificates; only the way leads elsewhere.
    fn replica(&self, addr: SocketAddr) -> Replica {
        let uri = &self.uri;
        let channel = match &self.tls {
            Some(tls) if uri.scheme_str() == Some("https") => {
                let (tls, host) = (Arc::clone(tls), uri.host().unwrap_or_default().to_owned());
                self.endpoint
                    .connect_with_connector_lazy(service_fn(move |_: Uri| {
                        // The certificate that is in force at that moment.
                        let (config, host) = (tls.get(), host.clone());
                        async move {
                            let stream = tcp(addr).await?;
                            std::io::Result::Ok(TokioIo::new(
                                tls::secure(config, &host, stream).await?,
                            ))
                        }
                    }))
            }
            _ => self
                .endpoint
                .connect_with_connector_lazy(service_fn(move |_: Uri| async move {
                    std::io::Result::Ok(TokioIo::new(tcp(addr).await?))
                })),
        };
        Replica {
            addr,
            channel,
            rests_until: Mutex::default(),
        }
    }
}

async fn tcp(addr: SocketAddr) -> std::io::Result<TcpStream> {
    let stream = timeout(CONNECT_TIMEOUT, TcpStream::connect(addr)).await??;
    stream.set_nodelay(true)?;
    Ok(stream)
}

impl Replica {
    fn rest(&self) {
        *self.rests_until() = Some(Instant::now() + REST);
    }

    fn is_resting(&self, now: Instant) -> bool {
        self.rests_until().is_some_and(|until| until > now)
    }

    /// One call at a time looks whether it is back: it may wait for a connection in vain.
    fn is_asked(&self, now: Instant) {
        let mut rests_until = self.rests_until();
        if rests_until.is_some() {
            *rests_until = Some(now + REST);
        }
    }

    fn is_back(&self) {
        *self.rests_until() = None;
    }

    fn rests_until(&self) -> MutexGuard<'_, Option<Instant>> {
        self.rests_until
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
    }
}

impl Failure {
    /// hyper calls "canceled" what waited for a connection that closed before it was written to it. A peer that says goodbye
    /// names the last request that it takes, and refuses what comes later (RFC 9113, sections 6.8 and 8.7).
    fn of(error: &tonic::transport::Error) -> Self {
        let mut cause: Option<&(dyn std::error::Error + 'static)> = Some(error);
        while let Some(source) = cause {
            if source.is::<TimeoutExpired>() {
                return Self::Final;
            }
            if source.is::<ConnectError>() {
                return Self::NotConnected;
            }
            if let Some(stream) = source.downcast_ref::<h2::Error>() {
                let is_goodbye = stream.is_go_away() && stream.reason() == Some(Reason::NO_ERROR);
                let is_refused = stream.reason() == Some(Reason::REFUSED_STREAM);
                let is_not_begun = stream.is_remote() && (is_goodbye || is_refused);
                return if is_not_begun {
                    Self::NotBegun
                } else {
                    Self::Broken
                };
            }
            let transport = source.downcast_ref::<hyper::Error>();
            if transport.is_some_and(hyper::Error::is_canceled) {
                return Self::NotBegun;
            }
            cause = source.source();
        }
        Self::Broken
    }
}

fn timeout_value(left: Duration) -> HeaderValue {
    grpc_timeout(left).unwrap_or_else(|| HeaderValue::from_static("0m"))
}
