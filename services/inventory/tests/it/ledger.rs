//! Verification of the ledger: what it finds, what it reads, and that it is in nobody's way.

use std::time::Duration;

use futures::future::{join, join_all};
use oms_proto::inventory::v1 as pb;
use oms_proto::inventory::v1::StockAccount as Account;
use oms_service::PeerError;
use oms_testkit::{redis_url, wait_for};
use sqlx::AssertSqlSafe;
use tonic::Request;

use crate::rig::{EAST, Rig, WEST, allocate, answered, hold, id, refusal};

/// A request of somebody.
pub(crate) fn by<T>(who: &str, message: T) -> Request<T> {
    let mut request = Request::new(message);
    request
        .metadata_mut()
        .insert("oms-principal", who.parse().unwrap());
    request
}

pub(crate) fn request(full: bool) -> pb::VerifyLedgerRequest {
    pb::VerifyLedgerRequest {
        request_id: id(),
        full,
        skus: Vec::new(),
    }
}

/// What a verification counted: SKUs, entries, levels that drift.
pub(crate) fn counts(verified: &pb::VerifyLedgerResponse) -> (i64, i64, i64) {
    let run = verified.verification.as_ref().unwrap();
    assert!(run.finish_time.is_some());
    (run.skus_checked, run.entries_read, run.levels_drifted)
}

/// Account, ledger, level and reservations of every drift.
pub(crate) fn drifts(correction: &pb::Correction) -> Vec<(Account, i64, i64, Option<i64>)> {
    let of = |one: &pb::StockDrift| {
        let account = one.account();
        (
            account,
            one.ledger_units,
            one.level_units,
            one.reserved_units,
        )
    };
    correction.drifts.iter().map(of).collect()
}

impl Rig {
    /// Verifies as `user:auditor`.
    pub(crate) async fn verify(&self, full: bool) -> pb::VerifyLedgerResponse {
        self.verify_by("user:auditor", request(full)).await.unwrap()
    }

    pub(crate) async fn verify_by(
        &self,
        who: &str,
        request: pb::VerifyLedgerRequest,
    ) -> Result<pb::VerifyLedgerResponse, PeerError> {
        let mut stock = self.api.stock.clone();
        answered(stock.verify_ledger(by(who, request)).await)
    }

    /// A hand in the database.
    pub(crate) async fn sql(&self, statement: &str) {
        let mut conn = self.db.connect().await;
        let statement = sqlx::raw_sql(AssertSqlSafe(statement.to_owned()));
        statement.execute(&mut conn).await.unwrap();
    }

    /// A number from the database.
    pub(crate) async fn number(&self, query: &str) -> i64 {
        let mut conn = self.db.connect().await;
        let query = sqlx::query_scalar(AssertSqlSafe(query.to_owned()));
        query.fetch_one(&mut conn).await.unwrap()
    }
}

#[tokio::test]
async fn only_what_is_new_is_read() {
    let rig = Rig::start().await;
    rig.stock(&[
        ("A", EAST, 5),
        ("A", WEST, 2),
        ("B", EAST, 7),
        ("C", EAST, 0),
    ])
    .await;
    let held = rig.reserve(hold(&[("A", 6), ("B", 1)])).await.unwrap();
    rig.confirm(&held.reservation_id).await.unwrap();
    let all = rig.number("SELECT count(*) FROM stock_ledger").await;
    let first = rig.verify(false).await;
    assert_eq!(counts(&first), (3, all, 0));
    assert_eq!(first.corrections, []);
    let last = rig.number("SELECT max(entry_id) FROM stock_ledger").await;
    let run = first.verification.unwrap();
    assert_eq!((run.checkpoint_entry_id, run.full), (last, false));

    assert_eq!(counts(&rig.verify(false).await), (3, 0, 0));
    rig.release(&held.reservation_id, Vec::new()).await.unwrap();
    let new = rig.number("SELECT count(*) FROM stock_ledger").await - all;
    assert_eq!(counts(&rig.verify(false).await), (3, new, 0));
    assert_eq!(counts(&rig.verify(true).await), (3, all + new, 0));
    // The full one has left the same checkpoints.
    assert_eq!(counts(&rig.verify(false).await), (3, 0, 0));
    rig.audit().await;
}

#[tokio::test]
async fn page_by_page_or_some_skus_only() {
    let rig = Rig::start_configured(1, "", "ledger.page_skus = 2").await;
    let skus = ["A", "B", "C", "D"];
    for sku in skus {
        rig.stock(&[(sku, EAST, 3)]).await;
    }
    let some = pb::VerifyLedgerRequest {
        skus: ["D", "A", "B"].map(str::to_owned).to_vec(),
        ..request(false)
    };
    let verified = rig.verify_by("user:auditor", some.clone()).await.unwrap();
    assert_eq!(counts(&verified), (3, 3, 0));
    assert_eq!(counts(&rig.verify(false).await), (4, 1, 0));
    // A repeat is the same run.
    let again = rig.verify_by("user:auditor", some).await.unwrap();
    assert_eq!(again, verified);
}

#[tokio::test]
async fn a_level_that_was_changed_by_hand_is_found() {
    let rig = Rig::start().await;
    rig.stock(&[("A", EAST, 5), ("B", EAST, 7)]).await;
    rig.verify(false).await;
    rig.sql("UPDATE stock_level SET available = 8, damaged = 1 WHERE sku = 'A'")
        .await;
    // Without a new entry.
    let found = rig.verify(false).await;
    assert_eq!(counts(&found).2, 1);
    let [correction] = &found.corrections[..] else {
        panic!("{found:?}")
    };
    let place = (&*correction.sku, &*correction.location_id, &*correction.lot);
    assert_eq!(place, ("A", EAST, ""));
    assert_eq!(
        drifts(correction),
        [
            (Account::Available, 5, 8, None),
            (Account::Damaged, 0, 1, None)
        ]
    );
    assert_eq!(correction.state(), pb::CorrectionState::Proposed);
    let proposed = pb::CorrectionResolution::FollowLedger;
    assert_eq!(correction.resolution(), proposed);
    assert_eq!(correction.proposed_by, "user:auditor");
    // It stays the one proposal, and its SKU stays where it agreed last.
    let again = rig.verify(false).await;
    assert_eq!(again.corrections, found.corrections);
    rig.receive("A", EAST, 1).await;
    rig.receive("B", EAST, 1).await;
    // A drift that is known does not make it read more than what is new.
    assert_eq!(counts(&rig.verify(false).await), (2, 2, 1));
    let behind = "SELECT count(*) FROM stock_ledger l WHERE sku = '?'
                  AND entry_id > (SELECT agreed_entry_id FROM ledger_checkpoint c WHERE c.sku = l.sku)";
    assert_eq!(rig.number(&behind.replace('?', "A")).await, 1);
    assert_eq!(rig.number(&behind.replace('?', "B")).await, 0);
}

#[tokio::test]
async fn a_level_that_is_gone_and_one_from_nowhere_are_found() {
    let rig = Rig::start().await;
    rig.stock(&[("A", EAST, 5), ("B", EAST, 7)]).await;
    rig.sql(
        "DELETE FROM stock_level WHERE sku = 'A';
         INSERT INTO stock_level (sku, location_id, lot, qc) VALUES ('B', 'us-west', 'L1', 2)",
    )
    .await;
    let found = rig.verify(false).await;
    let mut seen: Vec<_> = found
        .corrections
        .iter()
        .map(|one| (&*one.sku, &*one.lot, drifts(one)))
        .collect();
    seen.sort();
    let expected = [
        ("A", "", vec![(Account::Available, 5, 0, None)]),
        ("B", "L1", vec![(Account::Qc, 0, 2, None)]),
    ];
    assert_eq!(seen, expected);
}

#[tokio::test]
async fn units_held_for_nobody_are_found() {
    let rig = Rig::start().await;
    rig.stock(&[("A", EAST, 5), ("B", EAST, 5)]).await;
    rig.reserve(hold(&[("A", 2)])).await.unwrap();
    rig.reserve(allocate(&[("B", 3)])).await.unwrap();
    assert_eq!(counts(&rig.verify(false).await).2, 0);
    rig.sql(
        "DELETE FROM reservation_line WHERE sku = 'A';
         UPDATE reservation_line SET quantity = 4 WHERE sku = 'B'",
    )
    .await;
    let found = rig.verify(false).await;
    let mut seen: Vec<_> = found
        .corrections
        .iter()
        .map(|one| (&*one.sku, drifts(one)))
        .collect();
    seen.sort();
    let expected = [
        ("A", vec![(Account::Held, 2, 2, Some(0))]),
        ("B", vec![(Account::Allocated, 3, 3, Some(4))]),
    ];
    assert_eq!(seen, expected);
}

#[tokio::test]
async fn an_entry_that_was_removed_behind_the_checkpoint_is_found_by_a_full_verification() {
    let rig = Rig::start().await;
    rig.stock(&[("A", EAST, 5), ("A", EAST, 4)]).await;
    rig.verify(false).await;
    rig.sql("DELETE FROM stock_ledger WHERE quantity = 4").await;
    assert_eq!(counts(&rig.verify(false).await), (1, 0, 0));
    let found = rig.verify(true).await;
    assert_eq!(counts(&found).2, 1);
    let correction = &found.corrections[0];
    assert_eq!(drifts(correction), [(Account::Available, 5, 9, None)]);
    // The books agreed before, so it is the ledger that was changed.
    assert_eq!(correction.resolution(), pb::CorrectionResolution::KeepLevel);
    // From now on every verification knows.
    let again = rig.verify(false).await;
    assert_eq!(again.corrections, found.corrections);
}

#[tokio::test]
async fn a_wrong_checkpoint_is_no_drift() {
    let rig = Rig::start().await;
    rig.stock(&[("A", EAST, 5)]).await;
    rig.verify(false).await;
    rig.sql("UPDATE ledger_checkpoint_level SET available = 4")
        .await;
    let verified = rig.verify(false).await;
    assert_eq!((counts(&verified).2, verified.corrections.len()), (0, 0));
    // It was put right on the way.
    let remembered = rig.number("SELECT available FROM ledger_checkpoint_level");
    assert_eq!(remembered.await, 5);
    assert_eq!(counts(&rig.verify(false).await), (1, 0, 0));
}

#[tokio::test]
async fn a_long_ledger_is_summed_up_on_the_way() {
    let rig = Rig::start().await;
    rig.stock(&[("A", EAST, 0)]).await;
    rig.sql(
        "INSERT INTO stock_ledger (entry_type, sku, location_id, lot, from_account, to_account, quantity, cause, line,
                                   reason, reference, actor, created_at)
         SELECT 'RECEIVE', 'A', CASE WHEN n < 230000 THEN 'us-east' ELSE 'No Where' END, '', 'SUPPLIER', 'AVAILABLE', 1,
                'receipt/' || n, '', '', '', 'user:test', now()
         FROM generate_series(1, 230000) AS n;
         INSERT INTO stock_level (sku, location_id, lot, available) VALUES ('A', 'us-east', '', 230000)",
    )
    .await;
    let stopped = rig.verify_by("user:auditor", request(false)).await;
    assert_eq!(refusal(stopped), "Internal INTERNAL");
    rig.sql("UPDATE stock_ledger SET location_id = 'us-east' WHERE location_id <> 'us-east'")
        .await;
    // What had been read is not read again.
    assert_eq!(counts(&rig.verify(false).await), (1, 30_000, 0));
    assert_eq!(counts(&rig.verify(true).await), (1, 230_000, 0));
}

#[tokio::test]
async fn a_sku_that_sells_all_the_time_never_seems_to_drift() {
    let rig = Rig::start_with(2, &redis_url().await).await;
    rig.stock(&[("HOT", EAST, 40), ("HOT", WEST, 40), ("COLD", EAST, 9)])
        .await;
    let buyers = (0..16_usize).map(|buyer| {
        let mut client = rig.replicas[buyer % 2].reservations.clone();
        let rig = &rig;
        async move {
            for round in 0..12 {
                let held = client.reserve(hold(&[("HOT", 1), ("COLD", 1)])).await;
                let Ok(held) = held else { continue };
                let reservation_id = held.into_inner().reservation.unwrap().reservation_id;
                if round % 3 == 0 {
                    rig.confirm(&reservation_id).await.unwrap();
                }
                rig.release(&reservation_id, Vec::new()).await.unwrap();
            }
        }
    });
    let verifications = async {
        let mut found = Vec::new();
        for round in 0..40 {
            let verified = rig.verify(round % 4 == 0).await;
            found.push((counts(&verified).2, verified.corrections.len()));
        }
        found
    };
    let (_, found) = join(join_all(buyers), verifications).await;
    assert!(found.iter().all(|found| *found == (0, 0)), "{found:?}");
    assert_eq!(counts(&rig.verify(false).await).2, 0);
    // Read to the end, and each entry once.
    assert_eq!(counts(&rig.verify(false).await).1, 0);
    rig.audit().await;
}

#[tokio::test]
async fn a_lane_at_work_keeps_nobody_waiting() {
    let rig = Rig::start().await;
    rig.stock(&[("A", EAST, 5)]).await;
    let mut other = rig.db.connect().await;
    let lock = "BEGIN; SELECT FROM sku_lane WHERE sku = 'A' FOR UPDATE";
    sqlx::raw_sql(lock).execute(&mut other).await.unwrap();
    // With the lane locked by another; the checkpoint is written, too.
    assert_eq!(counts(&rig.verify(false).await), (1, 1, 0));
    sqlx::raw_sql("COMMIT").execute(&mut other).await.unwrap();
    // That entries of a SKU are numbered in the order of their commits rests on this.
    let cache =
        "SELECT cache_size FROM pg_sequences WHERE sequencename = 'stock_ledger_entry_id_seq'";
    assert_eq!(rig.number(cache).await, 1);
}

#[tokio::test]
async fn a_verification_goes_on_where_it_stopped() {
    let rig = Rig::start_configured(1, "", "ledger.page_skus = 1").await;
    rig.stock(&[("A", EAST, 5), ("B", EAST, 7), ("C", EAST, 1)])
        .await;
    // A row that cannot be read stops it half way.
    rig.sql("UPDATE stock_ledger SET location_id = 'No Where' WHERE sku = 'B'")
        .await;
    let request = request(false);
    let stopped = rig.verify_by("user:auditor", request.clone()).await;
    assert_eq!(refusal(stopped), "Internal INTERNAL");
    let unfinished =
        "SELECT count(*) FROM ledger_run WHERE finished_at IS NULL AND skus_checked = 1";
    assert_eq!(rig.number(unfinished).await, 1);
    rig.sql("UPDATE stock_ledger SET location_id = 'us-east' WHERE sku = 'B'")
        .await;
    let verified = rig.verify_by("user:auditor", request).await.unwrap();
    assert_eq!(counts(&verified), (3, 3, 0));
    assert_eq!(rig.number("SELECT count(*) FROM ledger_run").await, 1);
}

#[tokio::test]
async fn two_who_work_at_one_verification_count_everything_once() {
    let rig = Rig::start_configured(2, "", "ledger.page_skus = 1").await;
    let skus: Vec<String> = (0..12).map(|number| format!("S{number}")).collect();
    for sku in &skus {
        rig.stock(&[(sku, EAST, 2)]).await;
    }
    let request = request(true);
    let calls = (0..6_usize).map(|number| {
        let mut stock = rig.replicas[number % 2].stock.clone();
        let request = request.clone();
        async move { stock.verify_ledger(request).await.unwrap().into_inner() }
    });
    for verified in join_all(calls).await {
        assert_eq!(counts(&verified), (12, 12, 0));
    }
}

#[tokio::test]
async fn one_replica_verifies_from_time_to_time() {
    let every = "ledger.verify_interval_ms = 20";
    let rig = Rig::start_configured(2, "", every).await;
    let runs = || rig.number("SELECT count(*) FROM ledger_run WHERE finished_at IS NOT NULL");
    let until = |expected: i64| async move {
        wait_for("the runs", || async move {
            let seen = runs().await;
            if seen >= expected {
                Ok(())
            } else {
                Err(format!("{seen} runs"))
            }
        })
        .await;
    };
    until(1).await;
    rig.stock(&[("A", EAST, 5)]).await;
    rig.sql("UPDATE stock_level SET available = 6").await;
    // Time stands still: this is the second interval, for both replicas.
    rig.clock.advance(Duration::from_secs(1));
    until(2).await;
    wait_for("the metric", || async {
        let metrics = oms_telemetry::metrics().render();
        if metrics.contains("oms_inventory_stock_drift 1") {
            Ok(())
        } else {
            Err(metrics)
        }
    })
    .await;
    assert_eq!(runs().await, 2);
    let by_service =
        "SELECT count(*) FROM stock_correction WHERE proposed_by = 'service:inventory'";
    assert_eq!(rig.number(by_service).await, 1);
}
