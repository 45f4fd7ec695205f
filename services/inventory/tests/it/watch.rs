//! Following SKUs.

use oms_core::Clock;
use oms_proto::inventory::v1 as pb;
use oms_proto::time_to_proto;
use oms_testkit::redis_url;
use tonic::{Code, Streaming};

use crate::policies::policy;
use crate::rig::{Clients, EAST, Rig, WEST, answered, hold, id, refusal};

type Answers = Streaming<pb::WatchAvailabilityResponse>;

fn of(skus: &[&str]) -> pb::WatchAvailabilityRequest {
    pb::WatchAvailabilityRequest {
        skus: skus.iter().map(|sku| (*sku).to_owned()).collect(),
        ..Default::default()
    }
}

async fn watch(clients: &Clients, request: pb::WatchAvailabilityRequest) -> Answers {
    let answer = clients.stock.clone().watch_availability(request).await;
    answer.unwrap().into_inner()
}

/// SKUs with what may be promised of them, as they are told at first.
async fn first(answers: &mut Answers) -> Vec<(String, i64)> {
    let mut skus = Vec::new();
    loop {
        let answer = answers.message().await.unwrap().unwrap();
        let told = answer.totals.iter();
        skus.extend(told.map(|total| (total.sku.clone(), total.available_to_promise)));
        if answer.is_complete {
            return skus;
        }
    }
}

/// Reads until the SKU is told of like this; answers how often it was told of.
async fn until(
    answers: &mut Answers,
    sku: &str,
    is_there: impl Fn(&pb::SkuAvailability) -> bool,
) -> usize {
    let mut version = -1;
    let mut told = 0;
    loop {
        let answer = answers.message().await.unwrap().unwrap();
        for total in answer.totals.iter().filter(|total| total.sku == sku) {
            assert!(
                total.version > version,
                "told twice, or backwards: {total:?}"
            );
            version = total.version;
            told += 1;
            if is_there(total) {
                return told;
            }
        }
    }
}

#[tokio::test]
async fn first_comes_what_is_there_then_what_changes() {
    let rig = Rig::start().await;
    rig.stock(&[("A", EAST, 5), ("B", EAST, 1), ("C", EAST, 9)])
        .await;
    let mut answers = watch(&rig.api, of(&["B", "A", "UNKNOWN"])).await;
    let expected = [("A".to_owned(), 5), ("B".to_owned(), 1)];
    assert_eq!(first(&mut answers).await, expected);
    rig.reserve(hold(&[("A", 2), ("C", 1)])).await.unwrap();
    loop {
        let answer = answers.message().await.unwrap().unwrap();
        assert!(answer.is_complete);
        if answer.totals.is_empty() {
            continue;
        }
        let skus: Vec<_> = answer.totals.iter().map(|total| &*total.sku).collect();
        assert_eq!(skus, ["A"], "nobody asked for C");
        let levels: Vec<_> = answer
            .levels
            .iter()
            .map(|level| (level.available, level.held))
            .collect();
        assert_eq!(
            (levels, answer.totals[0].available_to_promise),
            (vec![(3, 2)], 3)
        );
        break;
    }
    // A SKU that comes to be is told of as soon as there is something to tell.
    rig.stock(&[("UNKNOWN", EAST, 7)]).await;
    until(&mut answers, "UNKNOWN", |total| total.available == 7).await;
}

#[tokio::test]
async fn policies_and_supply_are_told_of_too() {
    let rig = Rig::start().await;
    rig.stock(&[("A", EAST, 9), ("A", WEST, 4)]).await;
    let mut request = of(&["A"]);
    request.channel_id = "web".to_owned();
    request.location_ids = vec![EAST.to_owned()];
    let mut answers = watch(&rig.api, request).await;
    assert_eq!(first(&mut answers).await, [("A".to_owned(), 9)]);
    rig.keep(policy("A", 1, 2, 3)).await.unwrap();
    // Seven at EAST, seven over all for the channel.
    until(&mut answers, "A", |total| {
        total.available_to_promise == 7 && total.buffer == 3
    })
    .await;
    let request = pb::UpsertExpectedReceiptRequest {
        request_id: id(),
        receipt: Some(pb::ExpectedReceipt {
            reference: "PO-1".to_owned(),
            sku: "A".to_owned(),
            location_id: EAST.to_owned(),
            quantity: 6,
            expect_time: Some(time_to_proto(rig.clock.now() + time::Duration::DAY)),
            ..Default::default()
        }),
    };
    rig.api
        .supply
        .clone()
        .upsert_expected_receipt(request)
        .await
        .unwrap();
    until(&mut answers, "A", |total| total.incoming == 6).await;
    rig.audit().await;
}

#[tokio::test]
async fn changes_of_another_replica_are_told_and_nothing_is_lost() {
    let rig = Rig::start_with(2, &redis_url().await).await;
    rig.stock(&[("A", EAST, 0), ("B", EAST, 0)]).await;
    // Watches begin while stock comes in: whoever begins when, all end at the same.
    let mut watching = Vec::new();
    for n in 0..30 {
        if n % 3 == 0 {
            watching.push(watch(&rig.replicas[n % 2], of(&["A", "B"])).await);
        }
        let mut client = rig.replicas[(n + 1) % 2].stock.clone();
        let request = crate::rig::receipt(EAST, &[("A", 1), ("B", 2)]);
        client.receive_stock(request).await.unwrap();
    }
    for answers in &mut watching {
        let mut seen = (0, 0);
        while seen != (30, 60) {
            for total in answers.message().await.unwrap().unwrap().totals {
                match &*total.sku {
                    "A" => seen.0 = total.available,
                    _ => seen.1 = total.available,
                }
            }
        }
    }
    rig.audit().await;
}

#[tokio::test]
async fn a_reader_that_is_slow_hears_less_and_harms_nobody() {
    let rig = Rig::start().await;
    rig.stock(&[("A", EAST, 0)]).await;
    let mut slow = watch(&rig.api, of(&["A"])).await;
    let mut quick = watch(&rig.api, of(&["A"])).await;
    first(&mut quick).await;
    for _ in 0..200 {
        rig.receive("A", EAST, 1).await;
    }
    until(&mut quick, "A", |total| total.available == 200).await;
    let told = until(&mut slow, "A", |total| total.available == 200).await;
    assert!(told < 200, "{told} answers about 200 changes");
    // One that went away is nobody's burden.
    drop(slow);
    rig.receive("A", EAST, 1).await;
    until(&mut quick, "A", |total| total.available == 201).await;
    rig.audit().await;
}

#[tokio::test]
async fn a_thousand_skus_come_in_parts() {
    let rig = Rig::start().await;
    let skus: Vec<String> = (0..1_000).map(|n| format!("S-{n:04}")).collect();
    let skus: Vec<&str> = skus.iter().map(String::as_str).collect();
    rig.items(&skus).await;
    let mut answers = watch(&rig.api, of(&skus)).await;
    let told = first(&mut answers).await;
    let told: Vec<&str> = told.iter().map(|(sku, _)| &**sku).collect();
    assert_eq!(told, skus);
    let too_many = of(&vec!["A"; 1_001]);
    let refused = rig.api.stock.clone().watch_availability(too_many).await;
    assert_eq!(
        refusal(answered(refused)),
        "InvalidArgument FIELD_OUT_OF_RANGE"
    );
}

#[tokio::test]
async fn a_replica_that_drains_ends_the_call() {
    let rig = Rig::start_with(2, &redis_url().await).await;
    rig.stock(&[("A", EAST, 1)]).await;
    let mut answers = watch(&rig.api, of(&["A"])).await;
    first(&mut answers).await;
    rig.drain_first();
    let ended = loop {
        match answers.message().await {
            Ok(Some(_)) => {}
            ended => break ended,
        }
    };
    assert_eq!(ended.unwrap_err().code(), Code::Unavailable);
    // Called again, another replica goes on.
    let mut answers = watch(&rig.replicas[1], of(&["A"])).await;
    assert_eq!(first(&mut answers).await, [("A".to_owned(), 1)]);
}
