//! A client that follows the documented rules: one request id per call, the same call again at another replica when no
//! answer came, and not before the server said so.

use std::future::Future;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use oms_core::Principal;
use oms_proto::common::v1::ErrorReason;
use oms_proto::inventory::v1::ReservationState as State;
use oms_proto::inventory::v1::reservation_service_client::ReservationServiceClient;
use oms_service::{PeerChannel, PeerConfig, PeerError, client};
use oms_tests::replicas::Replicas;
use tokio::time::Instant;
use tonic::{Request, Response, Status};

use crate::plan::{Intent, Order, Twin};
use oms_tests::dice::Dice;

type Client = ReservationServiceClient<PeerChannel>;

/// A call that was not answered after this is made again at another replica; each time it is given twice as long, so
/// that callers who are too many do not keep each other from being answered at all.
const CALL_TIMEOUT_FIRST: Duration = Duration::from_secs(2);
const CALL_TIMEOUT_MOST: Duration = Duration::from_secs(16);
/// Whoever has no answer by then has none.
const PATIENCE: Duration = Duration::from_secs(60);
/// First and longest pause before a call is made again.
const PAUSE_FIRST_MS: u64 = 10;
const PAUSE_MOST_MS: u64 = 400;
/// Connections to each replica: one carries 256 calls at the same time.
const CONNECTIONS: usize = 4;

/// What a buyer was told in the end.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Answer {
    /// The reservation is there, in this state.
    Acknowledged(State),
    /// There is not enough.
    Refused,
    /// Something that must not happen.
    Wrong(String),
}

/// A buyer's story.
#[derive(Debug, Clone)]
pub(crate) struct Record {
    pub(crate) order: Order,
    pub(crate) answer: Answer,
    /// What the second of two equal calls was told.
    pub(crate) twin: Option<Answer>,
}

/// What all buyers share.
#[derive(Debug)]
pub(crate) struct Buyers {
    /// By replica, then by connection.
    clients: Vec<Vec<Client>>,
    retries: AtomicUsize,
}

impl Buyers {
    pub(crate) fn of(replicas: &Replicas) -> anyhow::Result<Self> {
        let shopper: Principal = "user:shopper".parse()?;
        let connect = |url: String| -> anyhow::Result<Client> {
            let channel = client::connect("inventory", &PeerConfig::new(url), "oms")?;
            Ok(Client::new(channel.on_behalf_of(&shopper)))
        };
        let clients = (0..replicas.count()).map(|number| {
            let url = replicas.get(number)?.url();
            (0..CONNECTIONS).map(|_| connect(url.clone())).collect()
        });
        Ok(Self {
            clients: clients.collect::<anyhow::Result<_>>()?,
            retries: AtomicUsize::new(0),
        })
    }

    /// Calls that were made again because no answer came.
    pub(crate) fn retries(&self) -> usize {
        self.retries.load(Ordering::Relaxed)
    }

    /// Reserves, twice at the same time where the plan says so.
    pub(crate) async fn reserve(&self, order: Order) -> Record {
        let Some(twin) = order.twin else {
            let answer = self.reserve_as(&order, "reserve", order.replica).await;
            return Record {
                order,
                answer,
                twin: None,
            };
        };
        let call = match twin {
            Twin::SameCall => "reserve",
            Twin::OtherCall => "reserve again",
        };
        let (answer, twin) = futures::join!(
            self.reserve_as(&order, "reserve", order.replica),
            self.reserve_as(&order, call, order.replica + 1),
        );
        Record {
            order,
            answer,
            twin: Some(twin),
        }
    }

    /// Does with a reservation what the buyer wants to do with it.
    pub(crate) async fn decide(&self, mut record: Record) -> Record {
        if record.answer != Answer::Acknowledged(State::Held) {
            return record;
        }
        let (order, from) = (&record.order, record.order.replica + 2);
        record.answer = match order.intent {
            Intent::Keep => return record,
            Intent::Confirm => {
                let answer = self.until_answered(order, from, |mut client, patience| async move {
                    let request = within(patience, order.confirm());
                    client.confirm_reservation(request).await
                });
                told(answer.await.map(|answer| answer.reservation))
            }
            Intent::Abandon => {
                let answer = self.until_answered(order, from, |mut client, patience| async move {
                    let request = within(patience, order.release());
                    client.release_reservation(request).await
                });
                told(answer.await.map(|answer| answer.reservation))
            }
        };
        record
    }

    async fn reserve_as(&self, order: &Order, call: &str, from: usize) -> Answer {
        let answer = self.until_answered(order, from, |mut client, patience| async move {
            let request = within(patience, order.reserve(call));
            client.reserve(request).await
        });
        told(answer.await.map(|answer| answer.reservation))
    }

    /// Makes a call until it is answered, replica after replica.
    async fn until_answered<A, F>(
        &self,
        order: &Order,
        from: usize,
        call: impl Fn(Client, Duration) -> F,
    ) -> Result<A, PeerError>
    where
        F: Future<Output = Result<Response<A>, Status>>,
    {
        let give_up = Instant::now() + PATIENCE;
        // Not the plan's dice: how often calls are made again is no matter of the seed.
        let mut dice = Dice::new(order.replica as u64);
        let mut pause = PAUSE_FIRST_MS;
        let mut patience = CALL_TIMEOUT_FIRST;
        for turn in from.. {
            let error = match call(self.client(turn), patience).await {
                Ok(answer) => return Ok(answer.into_inner()),
                Err(status) => PeerError::from(status),
            };
            // A defect of the server is not an answer that was lost.
            let is_defect = error.reason() == Some(ErrorReason::Internal);
            if is_defect || !error.retryable() || Instant::now() > give_up {
                return Err(error);
            }
            self.retries.fetch_add(1, Ordering::Relaxed);
            let spread = u64::try_from(dice.below(100)).unwrap_or_default();
            let wait = Duration::from_millis(pause + pause * spread / 100);
            tokio::time::sleep(error.retry_after().unwrap_or_default().max(wait)).await;
            pause = (pause * 2).min(PAUSE_MOST_MS);
            patience = (patience * 2).min(CALL_TIMEOUT_MOST);
        }
        unreachable!("turns do not end")
    }

    fn client(&self, turn: usize) -> Client {
        let connections = &self.clients[turn % self.clients.len()];
        connections[turn / self.clients.len() % connections.len()].clone()
    }
}

/// A request with a deadline.
fn within<T>(patience: Duration, message: T) -> Request<T> {
    let mut request = Request::new(message);
    request.set_timeout(patience);
    request
}

fn told(answer: Result<Option<oms_proto::inventory::v1::Reservation>, PeerError>) -> Answer {
    match answer {
        Ok(Some(reservation)) => Answer::Acknowledged(reservation.state()),
        Ok(None) => Answer::Wrong("no reservation was answered".to_owned()),
        Err(error) if error.reason() == Some(ErrorReason::OutOfStock) => Answer::Refused,
        Err(error) => Answer::Wrong(error.to_string()),
    }
}
