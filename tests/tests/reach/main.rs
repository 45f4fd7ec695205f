//! Partners see their locations and channels, and nothing else: not by id, not in lists, sums and feeds, and not in the
//! text of errors. Walks every method of the contract, so that a new one cannot be forgotten.

mod request;
mod world;

use anyhow::{Context, ensure};
use oms::suite::SERVICES;
use oms_proto::common::v1::ErrorReason;
use oms_proto::inventory::v1::{GetAvailabilityRequest, GetAvailabilityResponse};
use oms_proto::order::v1 as o;
use oms_proto::{BOUND_BY_CHANNEL, BOUND_BY_LOCATION, METHODS};
use oms_service::PeerError;
use oms_tests::shop::new_order;
use oms_tests::wire::{Wire, frame};
use prost::Message;
use tonic::{Code, Status};

use request::Requests;
use world::{CHANNEL, HERE, Values, World};

/// Fields that narrow a list down; and the one without which a request is wrong.
const FILTERS: [&[&str]; 4] = [
    &[],
    &["request_id"],
    &["location_id", "location_ids", "channel_id", "channel_ids"],
    &[
        "location_id",
        "location_ids",
        "channel_id",
        "channel_ids",
        "order_id",
        "order_ids",
    ],
];

/// Whom a caller says that it is.
#[derive(Clone, Copy)]
struct Caller {
    /// The header that bounds it.
    header: &'static str,
    /// What it is bound to.
    to: &'static str,
}

struct Walk {
    world: World,
    wires: Vec<(&'static str, Wire)>,
    requests: Requests,
}

impl Walk {
    async fn begin() -> anyhow::Result<Self> {
        let world = Box::pin(World::make()).await?;
        let mut wires = Vec::new();
        for (service, _) in SERVICES {
            wires.push((
                service,
                Wire::connect(world.suite.suite.url(service)?).await?,
            ));
        }
        let requests = Requests::new()?;
        Ok(Self {
            world,
            wires,
            requests,
        })
    }

    /// Those who serve a method: one, and all for the feed.
    fn servers(&self, path: &str) -> impl Iterator<Item = &(&'static str, Wire)> {
        let package = path
            .trim_start_matches("/oms.")
            .split('.')
            .next()
            .unwrap_or_default()
            .to_owned();
        self.wires
            .iter()
            .filter(move |(service, _)| package == "events" || package == *service)
    }

    async fn ask(
        &self,
        wire: &Wire,
        path: &str,
        caller: Caller,
        values: &Values,
        without: &[&str],
    ) -> anyhow::Result<Result<Vec<u8>, Status>> {
        let body = frame(&self.requests.make(path, values, without)?);
        let headers = [
            ("oms-principal", "partner:acme"),
            (caller.header, caller.to),
        ];
        wire.send(path, body, &headers)
            .await
            .context(path.to_owned())
    }

    /// To a stranger, what is here is as if it did not exist.
    async fn keeps_from(&self, path: &str, stranger: Caller) -> anyhow::Result<()> {
        let nobodys = self.world.nobodys();
        for (service, wire) in self.servers(path) {
            for (n, without) in FILTERS.iter().enumerate() {
                let found = self
                    .ask(wire, path, stranger, &self.world.values, without)
                    .await?;
                let nothing = self.ask(wire, path, stranger, &nobodys, without).await?;
                self.tells_nothing(&found)
                    .with_context(|| format!("{service} {path} {n}"))?;
                ensure!(
                    outcome(&found, &self.world.values) == outcome(&nothing, &nobodys),
                    "{service} {path} {n}: {found:?} but {nothing:?} for what does not exist"
                );
                let code = found.err().map_or(Code::Ok, |status| status.code());
                let expected = matches!(code, Code::Ok | Code::NotFound | Code::PermissionDenied);
                ensure!(
                    expected || n > 0,
                    "{service} {path}: {code:?} is about something else"
                );
            }
        }
        Ok(())
    }

    fn tells_nothing(&self, answer: &Result<Vec<u8>, Status>) -> anyhow::Result<()> {
        let Ok(bytes) = answer else { return Ok(()) };
        for secret in self.world.secrets() {
            let is_there = bytes
                .windows(secret.len())
                .any(|part| part == secret.as_bytes());
            ensure!(!is_there, "{secret} is in the answer");
        }
        Ok(())
    }

    /// The owner of what is here is answered, be it with a refusal of another kind: the requests above are no nonsense.
    async fn serves(&self, path: &str, owner: Caller, stranger: Caller) -> anyhow::Result<()> {
        let values = &self.world.values;
        for (service, wire) in self.servers(path) {
            let strangers = self.ask(wire, path, stranger, values, &[]).await?;
            let answer = self.ask(wire, path, owner, values, &[]).await?;
            let code = answer.as_ref().err().map_or(Code::Ok, Status::code);
            let is_broken = matches!(
                code,
                Code::PermissionDenied | Code::Internal | Code::Unimplemented
            );
            let is_refused =
                answer.is_err() && outcome(&answer, values) == outcome(&strangers, values);
            ensure!(!is_broken && !is_refused, "{service} {path}: {answer:?}");
        }
        Ok(())
    }

    /// A method that does not keep to such bounds is closed.
    async fn is_closed(&self, path: &str, caller: Caller) -> anyhow::Result<()> {
        for (service, wire) in self.servers(path) {
            let refused = self
                .ask(wire, path, caller, &self.world.values, &[])
                .await?;
            let reason = refused
                .as_ref()
                .err()
                .map(|status| PeerError::from(status.clone()).reason());
            let closed = reason == Some(Some(ErrorReason::OutOfReach));
            ensure!(closed, "{service} {path}: {refused:?}");
        }
        Ok(())
    }

    async fn walk(
        &self,
        keeping: &[&str],
        header: &'static str,
        here: &'static str,
    ) -> anyhow::Result<()> {
        let stranger = Caller {
            header,
            to: "elsewhere",
        };
        let owner = Caller { header, to: here };
        let nobody = Caller { header, to: "" };
        let mut found = Vec::new();
        for (path, _) in METHODS {
            if keeping.contains(path) {
                found.extend(self.keeps_from(path, stranger).await.err());
                found.extend(self.keeps_from(path, nobody).await.err());
            } else {
                found.extend(self.is_closed(path, owner).await.err());
            }
        }
        for path in keeping {
            found.extend(self.serves(path, owner, stranger).await.err());
        }
        let found: Vec<String> = found.iter().map(|error| format!("{error:#}")).collect();
        ensure!(found.is_empty(), "{}", found.join("\n"));
        Ok(())
    }
}

/// What a caller sees of an answer, with names in place of the values that it sent itself.
fn outcome(answer: &Result<Vec<u8>, Status>, values: &Values) -> Option<(Code, String)> {
    let status = answer.as_ref().err()?;
    let mut text = status.message().to_owned();
    for (name, value) in values {
        text = text.replace(value, name);
    }
    Some((status.code(), text))
}

#[tokio::test(flavor = "multi_thread")]
async fn who_is_bound_to_a_location_sees_nothing_of_another() -> anyhow::Result<()> {
    let walk = Walk::begin().await?;
    walk.walk(BOUND_BY_LOCATION, "oms-locations", HERE).await?;
    walk.world.suite.finish().await
}

#[tokio::test(flavor = "multi_thread")]
async fn who_is_bound_to_a_channel_sees_nothing_of_another() -> anyhow::Result<()> {
    let walk = Walk::begin().await?;
    walk.walk(BOUND_BY_CHANNEL, "oms-channels", CHANNEL).await?;
    walk.world.suite.finish().await
}

/// Whether there is such a channel, what its currency is, and what it asks of an order.
#[tokio::test(flavor = "multi_thread")]
async fn an_order_that_is_wrong_tells_nothing_of_a_channel_of_others() -> anyhow::Result<()> {
    let walk = Walk::begin().await?;
    let headers = [
        ("oms-principal", "partner:acme"),
        ("oms-channels", "elsewhere"),
    ];
    for method in ["PlaceOrder", "ValidateOrder"] {
        let path = format!("/oms.order.v1.OrderService/{method}");
        let (_, wire) = walk.servers(&path).next().context("nobody serves it")?;
        let mut told = Vec::new();
        for channel in [CHANNEL, "nobodys"] {
            let mut order = new_order(&[("nothing", 0)]);
            order.channel_id = channel.to_owned();
            order.currency_code = "EUR".to_owned();
            order.fill_policy = 99;
            let order = Some(order);
            let message = match method {
                "PlaceOrder" => o::PlaceOrderRequest {
                    order,
                    ..o::PlaceOrderRequest::default()
                }
                .encode_to_vec(),
                _ => o::ValidateOrderRequest { order }.encode_to_vec(),
            };
            let refused = wire.send(&path, frame(&message), &headers).await?;
            let refused = PeerError::from(refused.err().context("it was taken")?);
            ensure!(
                refused.reason() == Some(ErrorReason::OutOfReach),
                "{refused:?}"
            );
            told.push((refused.message().to_owned(), refused.violations().len()));
        }
        ensure!(told[0] == told[1], "{method}: {told:?}");
    }
    walk.world.suite.finish().await
}

#[tokio::test(flavor = "multi_thread")]
async fn sums_count_what_the_caller_sees() -> anyhow::Result<()> {
    let walk = Walk::begin().await?;
    let path = "/oms.inventory.v1.StockService/GetAvailability";
    let (_, wire) = walk.servers(path).next().context("nobody serves it")?;
    let request = GetAvailabilityRequest {
        sku: "a".to_owned(),
        ..Default::default()
    };
    for (locations, available) in [("west", 47), ("east", 0), ("east,west", 47)] {
        let headers = [
            ("oms-principal", "partner:acme"),
            ("oms-locations", locations),
        ];
        let answer = wire
            .send(path, frame(&request.encode_to_vec()), &headers)
            .await??;
        let message = answer.get(5..).context("no message")?;
        let total = GetAvailabilityResponse::decode(message)?
            .total
            .context("no total")?;
        ensure!(total.available == available, "{locations}: {total:?}");
    }
    walk.world.suite.finish().await
}
