//! Many at once: exactly what is there is sold, with Redis and without, by one replica or two.

use std::collections::BTreeMap;
use std::time::Duration;

use futures::future::join_all;
use oms_proto::inventory::v1 as pb;
use oms_proto::inventory::v1::ReservationState as State;
use oms_testkit::{private_redis, redis_url};

use crate::rig::{EAST, Rig, WEST, hold, id, refusal};

/// Outcomes of many calls, counted.
fn tally<T>(answers: Vec<Result<T, oms_service::PeerError>>) -> BTreeMap<String, usize> {
    let mut tally = BTreeMap::new();
    for answer in answers {
        *tally.entry(refusal(answer)).or_default() += 1;
    }
    tally
}

/// 200 buyers, spread over the replicas, for 50 units.
async fn sell_fifty(rig: &Rig) {
    rig.stock(&[("HOT", EAST, 20), ("HOT", WEST, 30)]).await;
    let buyers = (0..200).map(|buyer| {
        let mut client = rig.replicas[buyer % rig.replicas.len()]
            .reservations
            .clone();
        async move { crate::rig::answered(client.reserve(hold(&[("HOT", 1)])).await) }
    });
    let sold = tally(join_all(buyers).await);
    let expected = [
        ("OK".to_owned(), 50),
        ("FailedPrecondition OUT_OF_STOCK".to_owned(), 150),
    ];
    assert_eq!(sold, expected.into());
    assert_eq!(rig.units("HOT", EAST).await, (0, 20, 0));
    assert_eq!(rig.units("HOT", WEST).await, (0, 30, 0));
    rig.audit().await;
}

#[tokio::test]
async fn two_hundred_buyers_for_fifty_units() {
    sell_fifty(&Rig::start().await).await;
}

#[tokio::test]
async fn two_hundred_buyers_at_two_replicas() {
    sell_fifty(&Rig::start_with(2, &redis_url().await).await).await;
}

#[tokio::test]
async fn two_hundred_buyers_while_redis_is_stopped() {
    let redis = private_redis().await;
    let rig = Rig::start_with(2, &redis.url()).await;
    rig.stock(&[("WARM", EAST, 1)]).await;
    rig.reserve(hold(&[("WARM", 1)])).await.unwrap();
    redis.kill();
    sell_fifty(&rig).await;
    let metrics = oms_telemetry::metrics().render();
    assert!(
        metrics.contains("oms_inventory_lease_bypass_total{reason="),
        "{metrics}"
    );
}

#[tokio::test]
async fn two_hundred_buyers_while_redis_hangs() {
    let redis = private_redis().await;
    let rig = Rig::start_with(2, &redis.url()).await;
    rig.stock(&[("WARM", EAST, 1)]).await;
    rig.reserve(hold(&[("WARM", 1)])).await.unwrap();
    redis.pause().unwrap();
    sell_fifty(&rig).await;
    redis.resume().unwrap();
}

#[tokio::test]
async fn redis_that_lost_its_counters_gets_a_new_generation() {
    let redis = private_redis().await;
    let rig = Rig::start_with(1, &redis.url()).await;
    rig.stock(&[("A", EAST, 9)]).await;
    rig.reserve(hold(&[("A", 1)])).await.unwrap();
    let before = rig.fence("A").await;
    assert!(before > 0, "the lane was written under a lease");
    // Restarts empty.
    redis.restart().unwrap();
    oms_testkit::wait_for("a lease after the restart", || async {
        rig.reserve(hold(&[("A", 1)]))
            .await
            .map_err(|error| error.to_string())?;
        let now = rig.fence("A").await;
        if now > before {
            Ok(())
        } else {
            Err(format!("{now} after {before}"))
        }
    })
    .await;
    rig.audit().await;
}

#[tokio::test]
async fn a_lane_that_saw_a_later_lease_is_still_written() {
    let rig = Rig::start().await;
    rig.stock(&[("A", EAST, 9)]).await;
    let ahead = 7_i64 << 32;
    let mut conn = rig.db.connect().await;
    sqlx::query("UPDATE sku_lane SET fence = $1, holder = $2 WHERE sku = 'A'")
        .bind(ahead)
        .bind(uuid::Uuid::nil())
        .execute(&mut conn)
        .await
        .unwrap();
    sqlx::query("SELECT setval('lock_generation', 7)")
        .execute(&mut conn)
        .await
        .unwrap();
    rig.reserve(hold(&[("A", 1)])).await.unwrap();
    let fence = rig.fence("A").await;
    assert!(
        fence > ahead,
        "the counters of Redis began above the fence: {fence}"
    );
    rig.audit().await;
}

#[tokio::test]
async fn orders_of_many_skus_do_not_starve_each_other() {
    let rig = Rig::start_with(2, &redis_url().await).await;
    let skus = ["A", "B", "C", "D", "E"];
    for sku in skus {
        rig.stock(&[(sku, EAST, 100)]).await;
    }
    let orders = (0..60_usize).map(|number| {
        let mut client = rig.replicas[number % 2].reservations.clone();
        // Overlapping, in every order.
        let lines: Vec<(&str, i64)> = (0..3)
            .map(|line| (skus[(number * (line + 1) + line) % 5], 1))
            .collect();
        async move { crate::rig::answered(client.reserve(hold(&lines)).await) }
    });
    assert_eq!(
        tally(join_all(orders).await),
        [("OK".to_owned(), 60)].into()
    );
    rig.audit().await;
}

#[tokio::test]
async fn confirm_and_expiry_race_and_one_wins() {
    let rig = Rig::start_with(2, &redis_url().await).await;
    rig.stock(&[("A", EAST, 40)]).await;
    let mut held = Vec::new();
    for _ in 0..40 {
        held.push(rig.reserve(hold(&[("A", 1)])).await.unwrap().reservation_id);
    }
    rig.clock.advance(Duration::from_mins(16));
    let confirmed = join_all(held.iter().map(|id| rig.confirm(id))).await;
    let mut allocated = 0;
    for (id, confirmed) in held.iter().zip(confirmed) {
        let state = match confirmed {
            Ok(_) => State::Allocated,
            Err(error) => {
                assert_eq!(
                    refusal::<()>(Err(error)),
                    "FailedPrecondition RESERVATION_EXPIRED"
                );
                State::Expired
            }
        };
        let now = rig.get(id).await;
        assert_eq!(now.state(), state);
        allocated += i64::from(state == State::Allocated);
    }
    assert_eq!(rig.units("A", EAST).await, (40 - allocated, 0, allocated));
    rig.audit().await;
}

#[tokio::test]
async fn the_same_call_at_the_same_time_is_one_call() {
    let rig = Rig::start_with(2, &redis_url().await).await;
    rig.stock(&[("A", EAST, 50)]).await;
    let request = hold(&[("A", 3)]);
    let calls = (0..20).map(|number| {
        let mut client = rig.replicas[number % 2].reservations.clone();
        let mut request = request.clone();
        if number >= 10 {
            // Another call about the same reservation.
            request.request_id = id();
        }
        async move {
            client
                .reserve(request)
                .await
                .unwrap()
                .into_inner()
                .reservation
                .unwrap()
        }
    });
    let answers = join_all(calls).await;
    assert!(
        answers.iter().all(|answer| *answer == answers[0]),
        "{answers:?}"
    );
    assert_eq!(rig.units("A", EAST).await, (47, 3, 0));
    rig.audit().await;
}

#[tokio::test]
async fn release_and_reserve_of_one_id_leave_all_or_nothing() {
    let rig = Rig::start_with(2, &redis_url().await).await;
    rig.stock(&[("A", EAST, 50)]).await;
    let races = (0..20).map(|_| async {
        let request = hold(&[("A", 1)]);
        let reservation_id = request.reservation_id.clone();
        let release = pb::ReleaseReservationRequest {
            request_id: id(),
            reservation_id: reservation_id.clone(),
            ..Default::default()
        };
        let (mut one, mut other) = (
            rig.replicas[0].reservations.clone(),
            rig.replicas[1].reservations.clone(),
        );
        let (reserved, released) =
            futures::join!(one.reserve(request), other.release_reservation(release));
        reserved.unwrap();
        assert_eq!(
            released.unwrap().into_inner().reservation.unwrap().state(),
            State::Released
        );
        assert_eq!(rig.get(&reservation_id).await.state(), State::Released);
    });
    join_all(races).await;
    assert_eq!(rig.units("A", EAST).await, (50, 0, 0));
    rig.audit().await;
}

#[tokio::test]
async fn what_the_database_refuses_fails_alone() {
    let rig = Rig::start().await;
    rig.stock(&[("GOOD", EAST, 100), ("BAD", EAST, 100)]).await;
    let mut conn = rig.db.connect().await;
    sqlx::raw_sql(
        "CREATE FUNCTION poison() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN RAISE ''no''; END';
         CREATE TRIGGER poison BEFORE INSERT ON stock_ledger FOR EACH ROW
         WHEN (NEW.sku = 'BAD' AND NEW.quantity = 7) EXECUTE FUNCTION poison();",
    )
    .execute(&mut conn)
    .await
    .unwrap();
    let orders = (0..40_usize).map(|number| {
        let mut client = rig.api.reservations.clone();
        let bad = if number % 10 == 3 { 7 } else { 1 };
        async move {
            crate::rig::answered(client.reserve(hold(&[("GOOD", 1), ("BAD", bad)])).await)
        }
    });
    let sold = tally(join_all(orders).await);
    assert_eq!(
        sold,
        [("OK".to_owned(), 36), ("Internal INTERNAL".to_owned(), 4)].into()
    );
    assert_eq!(rig.units("GOOD", EAST).await, (64, 36, 0));
    rig.audit().await;
}

impl Rig {
    async fn fence(&self, sku: &str) -> i64 {
        let mut conn = self.db.connect().await;
        let fence = sqlx::query_scalar("SELECT fence FROM sku_lane WHERE sku = $1").bind(sku);
        fence.fetch_one(&mut conn).await.unwrap()
    }
}
