//! What policies keep back, from whom, and when they let go.

use oms_proto::common::v1::FillPolicy;
use oms_proto::inventory::v1 as pb;
use oms_service::PeerError;
use oms_testkit::wait_for;
use tonic::Code;

use crate::rig::{EAST, Rig, WEST, allocate, answered, hold, id, refusal, rows};

/// A policy that keeps so much back over all locations, at EAST, and from the channel `web`.
pub(crate) fn policy(sku: &str, safety_stock: i64, at_east: i64, buffer: i64) -> pb::StockPolicy {
    let east = pb::LocationStockPolicy {
        location_id: EAST.to_owned(),
        safety_stock: at_east,
        low_stock_threshold: 0,
    };
    let web = pb::ChannelStockPolicy {
        channel_id: "web".to_owned(),
        buffer,
        share_percent: 0,
    };
    pb::StockPolicy {
        sku: sku.to_owned(),
        safety_stock,
        locations: vec![east],
        channels: vec![web],
        ..Default::default()
    }
}

fn of_web(request: pb::ReserveRequest) -> pb::ReserveRequest {
    pb::ReserveRequest {
        channel_id: "web".to_owned(),
        ..request
    }
}

impl Rig {
    pub(crate) async fn keep(&self, policy: pb::StockPolicy) -> Result<pb::StockPolicy, PeerError> {
        let request = pb::UpsertStockPolicyRequest {
            request_id: id(),
            policy: Some(policy),
        };
        let answer = self.api.policies.clone().upsert_stock_policy(request).await;
        answered(answer).map(|answer| answer.policy.unwrap())
    }

    /// The SKU over these locations, or all, for the channel.
    pub(crate) async fn total(
        &self,
        sku: &str,
        locations: &[&str],
        channel_id: &str,
    ) -> pb::SkuAvailability {
        let request = pb::BatchGetAvailabilityRequest {
            skus: vec![sku.to_owned()],
            location_ids: locations.iter().map(|id| (*id).to_owned()).collect(),
            channel_id: channel_id.to_owned(),
        };
        let answer = self.api.stock.clone().batch_get_availability(request).await;
        answered(answer).unwrap().totals.remove(0)
    }
}

/// Units that a refused order could have had.
fn available(refused: Result<pb::Reservation, PeerError>) -> Vec<i64> {
    let error = refused.unwrap_err();
    let short = error.shortages().iter();
    short.map(|shortage| shortage.available).collect()
}

#[tokio::test]
async fn an_order_is_offered_what_no_policy_keeps_back() {
    let rig = Rig::start().await;
    rig.stock(&[("A", EAST, 10), ("A", WEST, 10)]).await;
    rig.keep(policy("A", 2, 5, 3)).await.unwrap();
    // Twenty, of which five stay at EAST and two anywhere.
    assert_eq!(available(rig.reserve(hold(&[("A", 14)])).await), [13]);
    assert_eq!(
        available(rig.reserve(of_web(hold(&[("A", 11)]))).await),
        [10]
    );
    // Two lines share what there is.
    let two = of_web(hold(&[("A", 6), ("A", 6)]));
    assert_eq!(available(rig.reserve(two).await), [4]);
    let held = rig.reserve(of_web(hold(&[("A", 10)]))).await.unwrap();
    assert_eq!(rows(&held), [("HELD", WEST, 10)]);
    // Other channels have no rule.
    let mut other = hold(&[("A", 4)]);
    other.channel_id = "store".to_owned();
    assert_eq!(available(rig.reserve(other).await), [3]);
    // What was promised is not touched by a policy that comes later.
    rig.keep(policy("A", 100, 100, 0)).await.unwrap();
    let confirmed = rig.confirm(&held.reservation_id).await.unwrap();
    assert_eq!(rows(&confirmed), [("ALLOCATED", WEST, 10)]);
    assert_eq!(available(rig.reserve(hold(&[("A", 1)])).await), [0]);
    rig.audit().await;
}

#[tokio::test]
async fn safety_stock_of_a_location_is_kept_of_its_last_lots() {
    let rig = Rig::start().await;
    rig.items(&["A"]).await;
    let mut receipt = crate::rig::receipt(EAST, &[("A", 3), ("A", 3)]);
    receipt.lines[0].lot = "L1".to_owned();
    receipt.lines[1].lot = "L2".to_owned();
    rig.api.stock.clone().receive_stock(receipt).await.unwrap();
    rig.keep(policy("A", 0, 2, 0)).await.unwrap();
    let held = rig.reserve(hold(&[("A", 4)])).await.unwrap();
    let lots: Vec<_> = held
        .lines
        .iter()
        .map(|line| (&*line.lot, line.quantity))
        .collect();
    assert_eq!(lots, [("L1", 3), ("L2", 1)]);
    rig.audit().await;
}

#[tokio::test]
async fn what_fits_partly_is_taken_up_to_the_policy() {
    let rig = Rig::start().await;
    rig.stock(&[("A", EAST, 8)]).await;
    rig.keep(policy("A", 0, 3, 1)).await.unwrap();
    let request = pb::ReserveRequest {
        fill_policy: FillPolicy::FillAllAvailable.into(),
        ..of_web(allocate(&[("A", 7)]))
    };
    let answer = answered(rig.api.reservations.clone().reserve(request).await).unwrap();
    assert_eq!(rows(&answer.reservation.unwrap()), [("ALLOCATED", EAST, 4)]);
    let short: Vec<_> = answer
        .shortages
        .iter()
        .map(|one| (one.requested, one.available))
        .collect();
    assert_eq!(short, [(7, 4)]);
    rig.audit().await;
}

#[tokio::test]
async fn buyers_at_once_leave_what_is_kept_back() {
    let rig = Rig::start_with(2, &oms_testkit::redis_url().await).await;
    rig.stock(&[("A", EAST, 20), ("A", WEST, 10)]).await;
    rig.keep(policy("A", 2, 5, 3)).await.unwrap();
    let buyers = (0..40).map(|n| {
        let request = of_web(hold(&[("A", 1)]));
        let mut client = rig.replicas[n % 2].reservations.clone();
        async move { answered(client.reserve(request).await).is_ok() }
    });
    let bought = futures::future::join_all(buyers).await;
    assert_eq!(bought.into_iter().filter(|bought| *bought).count(), 20);
    let others = (0..10).map(|_| rig.reserve(hold(&[("A", 1)])));
    let bought = futures::future::join_all(others).await;
    assert_eq!(bought.into_iter().flatten().count(), 3);
    assert_eq!(rig.total("A", &[], "").await.available_to_promise, 0);
    rig.audit().await;
}

#[tokio::test]
async fn demand_that_waits_gets_no_safety_stock_until_a_policy_lets_go() {
    let rig = Rig::start().await;
    rig.stock(&[("A", EAST, 5), ("A", WEST, 1)]).await;
    rig.keep(policy("A", 1, 5, 9)).await.unwrap();
    let request = pb::ReserveRequest {
        fill_policy: FillPolicy::FillAll.into(),
        ..allocate(&[("A", 4)])
    };
    let waits = rig.reserve(request).await.unwrap();
    assert_eq!(rows(&waits), [("BACKORDERED", "", 4)]);
    // Of two that come one is left over, once the location and the SKU have theirs.
    rig.receive("A", EAST, 1).await;
    let waits = rig.get(&waits.reservation_id).await;
    assert_eq!(
        rows(&waits),
        [("ALLOCATED", EAST, 1), ("BACKORDERED", "", 3)]
    );
    rig.keep(policy("A", 0, 3, 9)).await.unwrap();
    wait_for("the units that were set free", || async {
        let now = rig.get(&waits.reservation_id).await;
        if rows(&now) == [("ALLOCATED", EAST, 3), ("ALLOCATED", WEST, 1)] {
            Ok(())
        } else {
            Err(format!("{now:?}"))
        }
    })
    .await;
    assert_eq!(rig.units("A", EAST).await, (3, 0, 3));
    rig.audit().await;
}

#[tokio::test]
async fn demand_that_waits_is_offered_what_its_channel_is() {
    let rig = Rig::start().await;
    rig.items(&["A"]).await;
    rig.keep(policy("A", 0, 0, 2)).await.unwrap();
    let waiting = pb::ReserveRequest {
        fill_policy: FillPolicy::FillAll.into(),
        ..allocate(&[("A", 3)])
    };
    let web = rig.reserve(of_web(waiting.clone())).await.unwrap();
    rig.clock.advance(std::time::Duration::from_secs(1));
    let store = pb::ReserveRequest {
        request_id: id(),
        reservation_id: id(),
        ..waiting
    };
    let store = rig.reserve(store).await.unwrap();
    let allocated = async |reservation: &pb::Reservation| {
        let now = rig.get(&reservation.reservation_id).await;
        let lines = now
            .lines
            .iter()
            .filter(|line| line.state() == pb::ReservationState::Allocated);
        lines.map(|line| line.quantity).sum::<i64>()
    };
    rig.receive("A", EAST, 4).await;
    assert_eq!((allocated(&web).await, allocated(&store).await), (2, 2));
    rig.receive("A", EAST, 1).await;
    assert_eq!((allocated(&web).await, allocated(&store).await), (2, 3));
    rig.receive("A", EAST, 2).await;
    assert_eq!(
        (allocated(&web).await, rig.units("A", EAST).await.0),
        (2, 2)
    );
    rig.keep(policy("A", 0, 0, 1)).await.unwrap();
    wait_for("what the channel is offered now", || async {
        match allocated(&web).await {
            3 => Ok(()),
            units => Err(format!("{units} allocated")),
        }
    })
    .await;
    rig.audit().await;
}

#[tokio::test]
async fn demand_behind_safety_stock_makes_no_work() {
    let rig = Rig::start().await;
    rig.stock(&[("A", EAST, 5)]).await;
    rig.keep(policy("A", 0, 5, 0)).await.unwrap();
    for _ in 0..3 {
        let lines: Vec<(&str, i64)> = vec![("A", 1); 90];
        let request = pb::ReserveRequest {
            fill_policy: FillPolicy::FillAll.into(),
            ..allocate(&lines)
        };
        rig.reserve(request).await.unwrap();
    }
    rig.receive("A", EAST, 1).await;
    assert_eq!(rig.units("A", EAST).await, (5, 0, 1));
    let mut conn = rig.db.connect().await;
    let tasks: i64 = sqlx::query_scalar("SELECT count(*) FROM tasks")
        .fetch_one(&mut conn)
        .await
        .unwrap();
    assert_eq!(tasks, 0, "what is kept back is for nobody");
    rig.audit().await;
}

#[tokio::test]
async fn totals_tell_what_may_be_promised() {
    let rig = Rig::start().await;
    rig.stock(&[("A", EAST, 10), ("A", WEST, 4), ("B", EAST, 1)])
        .await;
    rig.reserve(hold(&[("A", 2)])).await.unwrap();
    let mut kept = policy("A", 1, 3, 2);
    kept.channels.push(pb::ChannelStockPolicy {
        channel_id: "store".to_owned(),
        buffer: 0,
        share_percent: 50,
    });
    rig.keep(kept).await.unwrap();
    let short = |total: pb::SkuAvailability| {
        (
            total.on_hand,
            total.available,
            total.safety_stock,
            total.buffer,
            total.available_to_promise,
        )
    };
    assert_eq!(short(rig.total("A", &[], "").await), (14, 12, 4, 0, 8));
    assert_eq!(short(rig.total("A", &[], "web").await), (14, 12, 4, 2, 6));
    assert_eq!(short(rig.total("A", &[], "store").await), (14, 12, 4, 0, 4));
    assert_eq!(short(rig.total("A", &[WEST], "").await), (4, 4, 1, 0, 4));
    // A total is what an order could take.
    assert_eq!(available(rig.reserve(hold(&[("A", 9)])).await), [8]);
    let request = pb::GetAvailabilityRequest {
        sku: "A".to_owned(),
        channel_id: "web".to_owned(),
    };
    let answer = rig.api.stock.clone().get_availability(request).await;
    let answer = answered(answer).unwrap();
    assert_eq!(short(answer.total.unwrap()), (14, 12, 4, 2, 6));
    let places: Vec<_> = answer
        .levels
        .iter()
        .map(|level| &*level.location_id)
        .collect();
    assert_eq!(places, [EAST, WEST]);
    let unknown = pb::GetAvailabilityRequest {
        sku: "UNKNOWN".to_owned(),
        ..Default::default()
    };
    let answer = rig.api.stock.clone().get_availability(unknown).await;
    assert_eq!(refusal(answered(answer)), "NotFound NOT_FOUND");
    rig.audit().await;
}

#[tokio::test]
async fn a_policy_has_an_etag_and_is_read_as_it_was_written() {
    let rig = Rig::start().await;
    rig.items(&["A", "B"]).await;
    let mut written = rig.keep(policy("A", 1, 2, 3)).await.unwrap();
    assert_eq!(written.etag, "1");
    let request = pb::GetStockPolicyRequest {
        sku: "A".to_owned(),
    };
    let read = rig
        .api
        .policies
        .clone()
        .get_stock_policy(request.clone())
        .await;
    assert_eq!(answered(read).unwrap().policy, Some(written.clone()));
    written.safety_stock = 7;
    written.locations.clear();
    let again = rig.keep(written.clone()).await.unwrap();
    assert_eq!(
        (&*again.etag, again.safety_stock, again.locations.len()),
        ("2", 7, 0)
    );
    let stale = rig.keep(written).await.unwrap_err();
    assert_eq!(
        (stale.code(), stale.metadata("etag")),
        (Code::Aborted, Some("2"))
    );
    let read = rig.api.policies.clone().get_stock_policy(request).await;
    assert_eq!(answered(read).unwrap().policy, Some(again));
    // A policy that must not be there yet.
    let first = pb::StockPolicy {
        etag: "0".to_owned(),
        ..policy("B", 0, 0, 0)
    };
    assert_eq!(rig.keep(first.clone()).await.unwrap().etag, "1");
    assert_eq!(refusal(rig.keep(first).await), "Aborted ETAG_MISMATCH");
    let request = pb::GetStockPolicyRequest {
        sku: "C".to_owned(),
    };
    let missing = rig.api.policies.clone().get_stock_policy(request).await;
    assert_eq!(refusal(answered(missing)), "NotFound NOT_FOUND");
    rig.audit().await;
}

#[tokio::test]
async fn many_policies_are_written_or_none() {
    let rig = Rig::start().await;
    rig.stock(&[("A", EAST, 5), ("B", EAST, 5), ("C", EAST, 5)])
        .await;
    let batch = |policies: Vec<pb::StockPolicy>| {
        let mut client = rig.api.policies.clone();
        let request = pb::BatchUpsertStockPoliciesRequest {
            request_id: id(),
            policies,
        };
        async move { answered(client.batch_upsert_stock_policies(request).await) }
    };
    let stale = pb::StockPolicy {
        etag: "9".to_owned(),
        ..policy("B", 1, 0, 0)
    };
    let refused = batch(vec![policy("A", 5, 0, 0), stale]).await.unwrap_err();
    assert_eq!(refused.metadata("sku"), Some("B"));
    assert_eq!(rig.total("A", &[], "").await.available_to_promise, 5);
    let skus = ["C", "A", "B"].map(|sku| policy(sku, 2, 1, 0));
    let written = batch(skus.to_vec()).await.unwrap().policies;
    let skus: Vec<_> = written.iter().map(|one| &*one.sku).collect();
    assert_eq!(skus, ["A", "B", "C"]);
    assert_eq!(rig.total("A", &[], "").await.available_to_promise, 2);
    // Page by page.
    let mut request = pb::ListStockPoliciesRequest {
        page_size: 2,
        page_token: String::new(),
    };
    let mut client = rig.api.policies.clone();
    let first = client
        .list_stock_policies(request.clone())
        .await
        .unwrap()
        .into_inner();
    request.page_token.clone_from(&first.next_page_token);
    let last = client
        .list_stock_policies(request)
        .await
        .unwrap()
        .into_inner();
    assert_eq!(last.next_page_token, "");
    let listed: Vec<_> = first.policies.into_iter().chain(last.policies).collect();
    assert_eq!(listed, written);
    rig.audit().await;
}

#[tokio::test]
async fn a_thousand_skus_are_read_with_one_statement_by_index() {
    let rig = Rig::start().await;
    rig.items(&["A"]).await;
    let mut conn = rig.db.connect().await;
    let fill = "
        SET session_replication_role = replica;
        INSERT INTO sku_lane (sku) SELECT 'S-' || n FROM generate_series(1, 3000) n;
        INSERT INTO stock_level (sku, location_id, available)
        SELECT 'S-' || n, l, 5 FROM generate_series(1, 3000) n, unnest(ARRAY['us-east', 'us-west', 'us-mid']) l;
        INSERT INTO stock_policy (sku, safety_stock, low_stock_threshold, version, updated_at)
        SELECT 'S-' || n, 1, 0, 1, now() FROM generate_series(1, 3000) n;
        INSERT INTO stock_policy_location (sku, location_id, safety_stock, low_stock_threshold)
        SELECT 'S-' || n, 'us-mid', 1, 0 FROM generate_series(1, 3000) n;
        INSERT INTO stock_policy_channel (sku, channel_id, buffer, share_percent)
        SELECT 'S-' || n, 'web', 1, 100 FROM generate_series(1, 3000) n;
        INSERT INTO expected_receipt (reference, sku, location_id, quantity, expected_at, canceled, version, updated_at)
        SELECT 'PO', 'S-' || n, 'us-east', 5, now(), false, 1, now() FROM generate_series(1, 3000) n;
        ANALYZE;";
    sqlx::raw_sql(fill).execute(&mut conn).await.unwrap();
    let skus: Vec<String> = (1..=1_000).map(|n| format!("S-{}", n * 3)).collect();
    let request = pb::BatchGetAvailabilityRequest {
        skus: skus.clone(),
        location_ids: vec![EAST.to_owned(), WEST.to_owned()],
        channel_id: "web".to_owned(),
    };
    let answer = rig.api.stock.clone().batch_get_availability(request).await;
    let answer = answered(answer).unwrap();
    assert_eq!((answer.levels.len(), answer.totals.len()), (2_000, 1_000));
    assert_eq!(answer.totals[0].incoming, 5);
    // Every part of it can go by index, however few SKUs this database has.
    sqlx::raw_sql("SET enable_seqscan = off")
        .execute(&mut conn)
        .await
        .unwrap();
    let statement = include_str!("../../src/store/sql/availability.sql");
    let plan: Vec<String> = sqlx::query_scalar(sqlx::AssertSqlSafe(format!("EXPLAIN {statement}")))
        .bind(skus)
        .bind(vec![EAST, WEST])
        .bind(true)
        .fetch_all(&mut conn)
        .await
        .unwrap();
    let scans: Vec<&String> = plan
        .iter()
        .filter(|line| line.contains("Seq Scan"))
        .collect();
    assert!(scans.is_empty(), "{scans:?}");
}
