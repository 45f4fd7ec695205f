//! Callers that reserve one unit after the other through gRPC, each waiting for its answer.

use std::time::{Duration, Instant};

use anyhow::Context;
use oms_proto::inventory::v1::reservation_service_client::ReservationServiceClient;
use oms_proto::inventory::v1::{ReserveLine, ReserveRequest};
use oms_service::PeerError;
use tokio::task::JoinSet;
use tonic::service::interceptor::InterceptedService;
use tonic::transport::{Channel, Endpoint};
use tonic::{Code, Request, Status};

use super::catalogue::{LOCATION, SPREAD_PREFIX};
use super::ids::{Dice, Ids};
use crate::bench::figures::{Figures, Latencies};

/// Who calls.
pub(super) const ACTOR: &str = "user:bench";
/// Most connections to one replica; callers share them as the calls of one program do.
const CONNECTIONS: usize = 8;
/// A call without an answer after this has failed.
const DEADLINE: Duration = Duration::from_secs(30);
/// Times a call is repeated when the service is too busy for it.
const REPEATS: u32 = 100;

type Client = ReservationServiceClient<
    InterceptedService<Channel, fn(Request<()>) -> Result<Request<()>, Status>>,
>;

/// What callers want.
#[derive(Debug, Clone)]
pub(super) enum Pick {
    /// All of them this SKU.
    One(String),
    /// Any of so many SKUs.
    Spread(u32),
}

impl Pick {
    fn sku(&self, dice: &mut Dice) -> String {
        match self {
            Self::One(sku) => sku.clone(),
            Self::Spread(skus) => format!("{SPREAD_PREFIX}{}", dice.throw(*skus)),
        }
    }
}

/// When callers go home.
#[derive(Debug, Clone, Copy)]
pub(super) enum Until {
    /// After so long; what is under way then is finished.
    Time(Duration),
    /// After so many calls each.
    Calls(u32),
    /// When they are told that nothing is left.
    SoldOut,
}

/// What callers were told.
#[derive(Debug)]
pub(super) struct Tally {
    /// Calls that got their unit.
    pub(super) sold: u64,
    /// Calls that were refused because nothing was left.
    pub(super) refused: u64,
    /// Calls that were made again, because the service was too busy.
    pub(super) repeated: u64,
    /// Latencies of all answers.
    pub(super) latencies: Latencies,
    /// From the first call to the last answer.
    pub(super) elapsed: Duration,
}

impl Tally {
    fn new() -> anyhow::Result<Self> {
        Ok(Self {
            sold: 0,
            refused: 0,
            repeated: 0,
            latencies: Latencies::new()?,
            elapsed: Duration::ZERO,
        })
    }

    /// Speed and latency.
    pub(super) fn figures(&self) -> Figures {
        Figures::of(&self.latencies, self.elapsed)
    }

    fn add(&mut self, other: &Self) -> anyhow::Result<()> {
        self.sold += other.sold;
        self.refused += other.refused;
        self.repeated += other.repeated;
        self.latencies.add(&other.latencies)
    }
}

/// See the module.
pub(super) struct Callers(Vec<Caller>);

impl Callers {
    /// Callers with open connections, spread evenly over the services at these addresses.
    pub(super) async fn connect(urls: &[String], count: u32) -> anyhow::Result<Self> {
        let count = usize::try_from(count)?;
        let mut clients = Vec::new();
        // One connection to each replica, then the next to each, so that the first callers meet all of them.
        let each = count.div_ceil(urls.len().max(1)).min(CONNECTIONS);
        for url in std::iter::repeat_n(urls, each).flatten() {
            clients.push(client(url).await?);
        }
        let callers = (0..count)
            .zip(clients.iter().cycle())
            .map(|(number, client)| Caller::new(number, client));
        Ok(Self(callers.collect()))
    }

    /// All begin at the same moment and buy until they go home.
    pub(super) async fn buy(&mut self, pick: &Pick, until: Until) -> anyhow::Result<Tally> {
        let started = Instant::now();
        let mut work = JoinSet::new();
        for mut caller in self.0.drain(..) {
            let pick = pick.clone();
            work.spawn(async move {
                let tally = caller.buy(&pick, until, started).await?;
                anyhow::Ok((caller, tally))
            });
        }
        let mut all = Tally::new()?;
        while let Some(ended) = work.join_next().await {
            let (caller, tally) = ended??;
            all.add(&tally)?;
            self.0.push(caller);
        }
        all.elapsed = started.elapsed();
        Ok(all)
    }
}

async fn client(url: &str) -> anyhow::Result<Client> {
    let endpoint = Endpoint::from_shared(url.to_owned())?.tcp_nodelay(true);
    let channel = endpoint.connect().await.context("cannot reach inventory")?;
    Ok(ReservationServiceClient::with_interceptor(channel, sign))
}

#[expect(clippy::unnecessary_wraps, reason = "what an interceptor is")]
fn sign(mut request: Request<()>) -> Result<Request<()>, Status> {
    let name = tonic::metadata::MetadataValue::from_static(ACTOR);
    request.metadata_mut().insert("oms-principal", name);
    request.set_timeout(DEADLINE);
    Ok(request)
}

/// One of them.
struct Caller {
    client: Client,
    ids: Ids,
    dice: Dice,
}

/// How a call was answered.
enum Answer {
    Sold,
    NothingLeft,
}

impl Caller {
    fn new(number: usize, client: &Client) -> Self {
        Self {
            client: client.clone(),
            ids: Ids::new(),
            dice: Dice::new(u64::try_from(number).unwrap_or_default()),
        }
    }

    async fn buy(&mut self, pick: &Pick, until: Until, started: Instant) -> anyhow::Result<Tally> {
        let mut tally = Tally::new()?;
        let mut calls = 0;
        loop {
            let is_over = match until {
                Until::Time(time) => started.elapsed() >= time,
                Until::Calls(most) => calls >= most,
                Until::SoldOut => tally.refused > 0,
            };
            if is_over {
                return Ok(tally);
            }
            let request = self.request(pick);
            let asked = Instant::now();
            let answer = self.reserve(request, &mut tally.repeated).await?;
            tally.latencies.record(asked.elapsed());
            match answer {
                Answer::Sold => tally.sold += 1,
                Answer::NothingLeft => tally.refused += 1,
            }
            calls += 1;
        }
    }

    /// One unit, held for fifteen minutes.
    fn request(&mut self, pick: &Pick) -> ReserveRequest {
        ReserveRequest {
            request_id: self.ids.fresh(),
            reservation_id: self.ids.fresh(),
            order_id: self.ids.fresh(),
            lines: vec![ReserveLine {
                order_line_id: self.ids.fresh(),
                sku: pick.sku(&mut self.dice),
                quantity: 1,
                eligible_location_ids: Vec::new(),
            }],
            ranked_location_ids: vec![LOCATION.to_owned()],
            ..Default::default()
        }
    }

    /// A busy service is asked again with the same ids, as every caller should; anything but an answer is an error.
    async fn reserve(
        &mut self,
        request: ReserveRequest,
        repeated: &mut u64,
    ) -> anyhow::Result<Answer> {
        let mut repeats = 0;
        loop {
            let error = match self.client.reserve(request.clone()).await {
                Ok(_) => return Ok(Answer::Sold),
                Err(status) => PeerError::from(status),
            };
            if error.code() == Code::FailedPrecondition && !error.shortages().is_empty() {
                return Ok(Answer::NothingLeft);
            }
            anyhow::ensure!(
                error.retryable() && repeats < REPEATS,
                "Reserve was answered {error}"
            );
            repeats += 1;
            *repeated += 1;
            tokio::time::sleep(error.retry_after().unwrap_or(Duration::from_millis(5))).await;
        }
    }
}
