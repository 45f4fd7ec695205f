//! Who calls: so many callers that each wait for their answer, or calls that are made at a rate, whoever answers.
//!
//! Callers have a thread of their own, as if they were on another machine: the scheduler of the services has nothing to do
//! with them, and they take a core at most.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::{Duration, Instant};

use anyhow::Context;
use oms_core::{IdSource, SystemIds};
use oms_proto::inventory::v1::reservation_service_client::ReservationServiceClient;
use oms_proto::inventory::v1::{ReserveLine, ReserveRequest};
use oms_proto::order::v1::WaitFor;
use oms_proto::order::v1::order_service_client::OrderServiceClient;
use oms_service::PeerError;
use tokio::task::JoinSet;
use tokio::time::MissedTickBehavior;
use tonic::transport::{Channel, Endpoint};
use tonic::{Code, Request, Status};

use crate::bench::figures::{Figures, Latencies};
use crate::demo::small::Shopper;

/// A shopper's patience: who has no answer by then has gone.
const DEADLINE: Duration = Duration::from_secs(2);
/// Connections. More calls may be in work on them than any server takes.
const CONNECTIONS: u32 = 16;
/// Pause between two looks for calls that are due.
const TICK: Duration = Duration::from_millis(2);

/// What is called.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Method {
    /// PlaceOrder of one line, answered when the order is PENDING.
    Place,
    /// Reserve of one unit.
    Reserve,
}

impl Method {
    /// Of the measure.
    pub(super) fn name(self) -> &'static str {
        match self {
            Self::Place => "place",
            Self::Reserve => "reserve",
        }
    }

    /// The service that serves it.
    pub(super) fn service(self) -> &'static str {
        match self {
            Self::Place => "order",
            Self::Reserve => "inventory",
        }
    }
}

/// What callers were told.
#[derive(Debug)]
pub(super) struct Tally {
    /// Calls that got what they wanted, those after the end too.
    pub(super) served: u64,
    /// Calls that were refused with RESOURCE_EXHAUSTED and a time to come back.
    pub(super) refused: u64,
    /// Calls that had no answer in time: whether they were done is not known.
    pub(super) late: u64,
    /// All other answers.
    pub(super) other: BTreeMap<String, u64>,
    /// Speed and latency of what was served before the end.
    pub(super) figures: Figures,
    latencies: Latencies,
}

impl Tally {
    fn new() -> anyhow::Result<Self> {
        Ok(Self {
            served: 0,
            refused: 0,
            late: 0,
            other: BTreeMap::new(),
            figures: Figures::default(),
            latencies: Latencies::new()?,
        })
    }

    /// Calls that were made.
    pub(super) fn offered(&self) -> u64 {
        self.served + self.refused + self.late + self.other.values().sum::<u64>()
    }

    /// What is served after the end is no part of the speed.
    fn record(&mut self, answer: Answer, is_before_end: bool) {
        match answer {
            Answer::Served(latency) => {
                self.served += 1;
                if is_before_end {
                    self.latencies.record(latency);
                }
            }
            Answer::Refused(_) => self.refused += 1,
            Answer::Late => self.late += 1,
            Answer::Other(what) => *self.other.entry(what).or_default() += 1,
        }
    }

    fn over(mut self, time: Duration) -> Self {
        self.figures = Figures::of(&self.latencies, time);
        self
    }
}

/// How a call ended.
enum Answer {
    Served(Duration),
    /// With the time after which it is worth to come back.
    Refused(Duration),
    Late,
    Other(String),
}

impl Answer {
    fn of(result: Result<(), Status>, latency: Duration) -> Self {
        let error = match result {
            Ok(()) => return Self::Served(latency),
            Err(status) => PeerError::from(status),
        };
        match (error.code(), error.retry_after()) {
            (Code::ResourceExhausted, Some(after)) => Self::Refused(after),
            // The client's clock and the server's run out at the same time.
            (Code::DeadlineExceeded | Code::Cancelled, _) => Self::Late,
            _ => Self::Other(error.to_string()),
        }
    }
}

/// See the module.
#[derive(Clone)]
pub(super) struct Callers {
    method: Method,
    url: String,
    shopper: Shopper,
    /// Number of the next call; orders with the same number would be the same order.
    next: Arc<AtomicU32>,
    channels: Vec<Channel>,
}

impl Callers {
    /// Callers of the service at this address, without connections.
    pub(super) fn new(
        method: Method,
        url: String,
        shopper: Shopper,
        next: &Arc<AtomicU32>,
    ) -> Self {
        Self {
            method,
            url,
            shopper,
            next: Arc::clone(next),
            channels: Vec::new(),
        }
    }

    /// So many callers make one call after the other, for so long. Who is refused comes back when it was told to.
    pub(super) async fn closed(&self, callers: u32, time: Duration) -> anyhow::Result<Tally> {
        self.elsewhere(move |own| async move {
            let end = Instant::now() + time;
            let mut work = JoinSet::new();
            for _ in 0..callers {
                let own = own.clone();
                work.spawn(async move {
                    let mut told = Vec::new();
                    while Instant::now() < end {
                        let answer = own.ask().await;
                        let pause = match &answer {
                            Answer::Refused(after) => *after,
                            _ => Duration::ZERO,
                        };
                        told.push((answer, Instant::now()));
                        tokio::time::sleep(pause).await;
                    }
                    told
                });
            }
            let mut tally = Tally::new()?;
            while let Some(told) = work.join_next().await {
                for (answer, at) in told? {
                    tally.record(answer, at <= end);
                }
            }
            Ok(tally.over(time))
        })
        .await
    }

    /// Calls are made at this rate for so long. Nobody waits for anybody's answer, and who is refused goes away.
    pub(super) async fn open(&self, per_second: f64, time: Duration) -> anyhow::Result<Tally> {
        self.elsewhere(move |own| async move {
            let began = Instant::now();
            let end = began + time;
            let mut tick = tokio::time::interval(TICK);
            tick.set_missed_tick_behavior(MissedTickBehavior::Delay);
            let mut calls = JoinSet::new();
            let mut tally = Tally::new()?;
            let mut made = 0.0;
            while Instant::now() < end {
                tick.tick().await;
                while made < began.elapsed().as_secs_f64() * per_second {
                    let own = own.clone();
                    calls.spawn(async move { own.ask().await });
                    made += 1.0;
                }
                while let Some(answer) = calls.try_join_next() {
                    tally.record(answer?, Instant::now() <= end);
                }
            }
            while let Some(answer) = calls.join_next().await {
                tally.record(answer?, false);
            }
            Ok(tally.over(time))
        })
        .await
    }

    /// Milliseconds that each of so many calls takes, one after the other; a call that is not served takes for ever.
    pub(super) async fn alone(&self, calls: usize) -> anyhow::Result<Vec<f64>> {
        self.elsewhere(move |own| async move {
            let mut times = Vec::new();
            for _ in 0..calls {
                times.push(match own.ask().await {
                    Answer::Served(latency) => latency.as_secs_f64() * 1_000.0,
                    _ => f64::INFINITY,
                });
            }
            Ok(times)
        })
        .await
    }

    async fn ask(&self) -> Answer {
        let number = self.next.fetch_add(1, Ordering::Relaxed);
        let count = self.channels.len().max(1);
        let turn = usize::try_from(number).unwrap_or_default() % count;
        let Some(channel) = self.channels.get(turn).cloned() else {
            return Answer::Other("no connection".to_owned());
        };
        let began = Instant::now();
        let result = match self.method {
            Method::Place => self.place(channel, number).await,
            Method::Reserve => self.reserve(channel, number).await,
        };
        Answer::of(result, began.elapsed())
    }

    async fn place(&self, channel: Channel, number: u32) -> Result<(), Status> {
        let order = self.shopper.order(number, WaitFor::Pending);
        let request = order.map_err(|error| Status::internal(error.to_string()))?;
        OrderServiceClient::new(channel)
            .place_order(signed(request))
            .await?;
        Ok(())
    }

    async fn reserve(&self, channel: Channel, number: u32) -> Result<(), Status> {
        let fresh = || SystemIds.next().to_string();
        let request = ReserveRequest {
            request_id: fresh(),
            reservation_id: fresh(),
            order_id: fresh(),
            lines: vec![ReserveLine {
                order_line_id: fresh(),
                sku: Shopper::sku(number),
                quantity: 1,
                ..ReserveLine::default()
            }],
            ranked_location_ids: Shopper::locations(),
            ..ReserveRequest::default()
        };
        ReservationServiceClient::new(channel)
            .reserve(signed(request))
            .await?;
        Ok(())
    }

    /// Runs callers with open connections on a thread of their own.
    async fn elsewhere<T, F>(
        &self,
        run: impl FnOnce(Self) -> F + Send + 'static,
    ) -> anyhow::Result<T>
    where
        T: Send + 'static,
        F: Future<Output = anyhow::Result<T>>,
    {
        let mut own = self.clone();
        let thread = tokio::task::spawn_blocking(move || {
            let runtime = tokio::runtime::Builder::new_current_thread()
                .enable_all()
                .build()?;
            runtime.block_on(async {
                let endpoint = Endpoint::from_shared(own.url.clone())?.tcp_nodelay(true);
                for _ in 0..CONNECTIONS {
                    own.channels
                        .push(endpoint.connect().await.context("cannot connect")?);
                }
                run(own).await
            })
        });
        thread.await?
    }
}

fn signed<T>(message: T) -> Request<T> {
    let mut request = Request::new(message);
    let name = tonic::metadata::MetadataValue::from_static("user:bench");
    request.metadata_mut().insert("oms-principal", name);
    request.set_timeout(DEADLINE);
    request
}
