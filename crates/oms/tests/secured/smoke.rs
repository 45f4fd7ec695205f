//! `oms smoke` against a secured suite: what passes, what fails and how it is told, and that nothing is left behind.

use oms::clients::Clients;
use oms::suite::SERVICES;
use oms_proto::inventory::v1::BatchGetAvailabilityRequest;
use oms_proto::order::v1::{ListOrdersRequest, OrderState};
use oms_service::{Credentials, PeerConfig, Secret};
use serde_json::Value;

use crate::world::{Said, World};

/// Steps of a run that passes, after `prepare`.
const STEPS: [&str; 12] = [
    "stock",
    "place",
    "confirm",
    "reserve",
    "authorize",
    "release",
    "rates",
    "returns",
    "cancel",
    "recall",
    "give back",
    "void",
];

async fn smoke(world: &World, token: &str, arguments: &[&str]) -> Said {
    let file = world.file(token);
    smoke_as(world, &["--token-file", &file], arguments).await
}

async fn smoke_as(world: &World, identity: &[&str], arguments: &[&str]) -> Said {
    let mut all = vec!["smoke".to_owned(), "--ca".to_owned(), world.file("ca.crt")];
    for (service, _) in SERVICES {
        all.extend([format!("--{service}"), world.url(service)]);
    }
    let given = identity
        .iter()
        .chain(arguments)
        .map(|one| (*one).to_owned());
    all.extend(given);
    let all: Vec<&str> = all.iter().map(String::as_str).collect();
    world.run(&all, &[]).await
}

fn json(said: &Said) -> Value {
    serde_json::from_str(&said.out).unwrap_or_else(|error| panic!("{error}: {said:?}"))
}

/// Names of the steps, and what is told of the last.
fn steps(report: &Value) -> (Vec<&str>, &Value) {
    let steps = report["steps"].as_array().unwrap();
    let names = steps.iter().map(|step| step["name"].as_str().unwrap());
    (names.collect(), &steps.last().unwrap()["failure"])
}

fn clients(world: &World) -> Clients {
    let tls = Credentials::default().with_tls(Some(world.file("ca.crt").into()), None);
    let secret = Secret::File(world.file("operator.token").into());
    let credentials = tls.unwrap().with_secret(secret).unwrap();
    let peer = |service: &str| Ok(PeerConfig::new(world.url(service)));
    Clients::connect_as(&credentials, peer, "user:operator").unwrap()
}

/// Orders that are not over, and units of the smoke test's item that are free and that there are.
async fn left_behind(world: &World) -> (usize, i64, i64) {
    let clients = clients(world);
    let open = ListOrdersRequest {
        states: vec![OrderState::Pending.into(), OrderState::Confirmed.into()],
        ..ListOrdersRequest::default()
    };
    let open = clients.orders().list_orders(open).await.unwrap();
    let units = BatchGetAvailabilityRequest {
        skus: vec!["smoke".to_owned()],
        ..BatchGetAvailabilityRequest::default()
    };
    let units = clients.stock().batch_get_availability(units).await.unwrap();
    let levels = units.into_inner().levels;
    let free = levels.iter().map(|level| level.available).sum();
    let all = levels.iter().map(|level| level.on_hand).sum();
    (open.into_inner().orders.len(), free, all)
}

async fn passes(world: &World) {
    let missing = smoke(world, "smoke.token", &["--json"]).await;
    let report = json(&missing);
    let (names, failure) = steps(&report);
    assert_eq!((missing.code, names), (Some(2), vec!["stock"]));
    assert!(
        failure["message"].as_str().unwrap().contains("--prepare"),
        "{failure}"
    );

    let prepared = smoke(world, "smoke.token", &["--prepare", "--json"]).await;
    assert_eq!(prepared.code, Some(0), "{prepared:?}");
    let report = json(&prepared);
    let (names, failure) = steps(&report);
    assert_eq!(
        (names[0], &names[1..], failure),
        ("prepare", &STEPS[..], &Value::Null)
    );
    assert_eq!(report["left_open"], Value::Null);
    assert!(
        report["order_number"]
            .as_str()
            .unwrap()
            .starts_with("SMOKE-")
    );

    // Again, on what is there, and for people; then by certificate instead of a token.
    let again = smoke(world, "smoke.token", &[]).await;
    assert_eq!(again.code, Some(0), "{again:?}");
    assert!(again.out.contains("passed: order SMOKE-"), "{again:?}");
    let (cert, key) = (world.file("test.crt"), world.file("test.key"));
    let identity = ["--cert", &cert, "--key", &key];
    let by_certificate = smoke_as(world, &identity, &["--prepare", "--json"]).await;
    assert_eq!(by_certificate.code, Some(0), "{by_certificate:?}");
    let prepared = &json(&by_certificate)["steps"][0]["seen"];
    assert_eq!(prepared, "everything was there");
    assert_eq!(left_behind(world).await, (0, 1, 1));
}

async fn fails(world: &World) {
    for (token, arguments, step, code, reason) in [
        (
            "reader.token",
            &[][..],
            "place",
            "PermissionDenied",
            "SCOPE_MISSING",
        ),
        (
            "smoke.token",
            &["--channel", "nowhere"],
            "place",
            "InvalidArgument",
            "CHANNEL_UNKNOWN",
        ),
        (
            "smoke.token",
            &["--payment-token", "tok_decline"],
            "confirm",
            "",
            "PAYMENT_DECLINED",
        ),
    ] {
        let said = smoke(world, token, &[&["--json"], arguments].concat()).await;
        assert_eq!(said.code, Some(2), "{said:?}");
        let report = json(&said);
        let (names, failure) = steps(&report);
        let told = [&failure["code"], &failure["reason"]].map(|one| one.as_str().unwrap_or(""));
        assert_eq!(
            (*names.last().unwrap(), told),
            (step, [code, reason]),
            "{said:?}"
        );
        assert_eq!(report["left_open"], Value::Null, "{said:?}");
    }
    assert_eq!(left_behind(world).await, (0, 1, 1));
}

#[tokio::test(flavor = "multi_thread")]
async fn an_order_goes_through_a_secured_suite_and_back() {
    let mut world = World::start().await;
    passes(&world).await;
    fails(&world).await;

    // A service that is down is named, and the order is closed all the same.
    let returns = world.suite.services.pop().unwrap();
    assert_eq!(returns.name, "returns");
    returns.shutdown().await.unwrap();
    let gone = smoke(&world, "smoke.token", &["--timeout", "3"]).await;
    assert_eq!(gone.code, Some(2), "{gone:?}");
    let says = "failed at returns (returns); order SMOKE-";
    assert!(gone.out.contains(says), "{gone:?}");
    assert!(gone.out.contains("FAILED Unavailable"), "{gone:?}");
    assert_eq!(left_behind(&world).await, (0, 1, 1));
    world.suite.stop().await.unwrap();
}
