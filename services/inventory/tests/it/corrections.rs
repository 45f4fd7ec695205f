//! Decisions about corrections: what they do to the books, and who may take them.

use futures::future::join_all;
use oms_proto::common::v1::FillPolicy;
use oms_proto::inventory::v1 as pb;
use oms_proto::inventory::v1::{
    CorrectionResolution as Resolution, CorrectionState as State, LedgerEntryType as Type,
    StockAccount as Account,
};
use oms_service::PeerError;
use oms_testkit::redis_url;

use crate::ledger::{by, counts, drifts, request};
use crate::rig::{EAST, Rig, WEST, allocate, answered, hold, id, part, refusal, rows};

const STALE: &str = "FailedPrecondition CORRECTION_STALE";
const ILLEGAL: &str = "FailedPrecondition ILLEGAL_TRANSITION";

pub(crate) fn approval(correction: &pb::Correction) -> pb::ApproveCorrectionRequest {
    pb::ApproveCorrectionRequest {
        request_id: id(),
        correction_id: correction.correction_id.clone(),
        etag: correction.etag.clone(),
        resolution: Resolution::Unspecified.into(),
        note: String::new(),
    }
}

pub(crate) fn rejection(correction: &pb::Correction) -> pb::RejectCorrectionRequest {
    pb::RejectCorrectionRequest {
        request_id: id(),
        correction_id: correction.correction_id.clone(),
        etag: correction.etag.clone(),
        note: "recount first".to_owned(),
    }
}

impl Rig {
    /// The one correction that a verification by `user:auditor` has seen.
    pub(crate) async fn found(&self, full: bool) -> pb::Correction {
        let mut found = self.verify(full).await.corrections;
        assert_eq!(found.len(), 1, "{found:?}");
        found.remove(0)
    }

    async fn approve_by(
        &self,
        who: &str,
        request: pb::ApproveCorrectionRequest,
    ) -> Result<pb::Correction, PeerError> {
        let mut corrections = self.api.corrections.clone();
        let answer = answered(corrections.approve_correction(by(who, request)).await);
        answer.map(|answer| answer.correction.unwrap())
    }

    async fn approve(
        &self,
        request: pb::ApproveCorrectionRequest,
    ) -> Result<pb::Correction, PeerError> {
        self.approve_by("user:boss", request).await
    }

    async fn reject(
        &self,
        request: pb::RejectCorrectionRequest,
    ) -> Result<pb::Correction, PeerError> {
        let mut corrections = self.api.corrections.clone();
        let answer = answered(
            corrections
                .reject_correction(by("user:boss", request))
                .await,
        );
        answer.map(|answer| answer.correction.unwrap())
    }

    async fn corrections(&self, state: State) -> Vec<pb::Correction> {
        let request = pb::ListCorrectionsRequest {
            state: state.into(),
            ..Default::default()
        };
        let answer = self.api.corrections.clone().list_corrections(request).await;
        answer.unwrap().into_inner().corrections
    }

    /// Type, accounts and units of the entries that a correction has written.
    async fn entries_of(&self, correction: &pb::Correction) -> Vec<(Account, Account, i64)> {
        let request = pb::ListLedgerRequest {
            sku: correction.sku.clone(),
            ..Default::default()
        };
        let answer = self.api.stock.clone().list_ledger(request).await.unwrap();
        let cause = format!("correction/{}", correction.correction_id);
        let mut entries: Vec<_> = answer
            .into_inner()
            .entries
            .iter()
            .filter(|entry| entry.cause == cause)
            .map(|entry| {
                assert_eq!(
                    (entry.r#type(), &*entry.actor),
                    (Type::Correct, "user:boss")
                );
                (entry.from_account(), entry.to_account(), entry.quantity)
            })
            .collect();
        entries.sort();
        entries
    }

    /// Everything is in order, also in the eyes of a full verification.
    async fn is_in_order(&self) {
        self.audit().await;
        assert_eq!(counts(&self.verify(true).await).2, 0);
    }
}

#[tokio::test]
async fn a_level_follows_the_ledger() {
    let rig = Rig::start().await;
    rig.stock(&[("A", EAST, 5)]).await;
    rig.sql("UPDATE stock_level SET available = 8, damaged = 1")
        .await;
    let found = rig.found(false).await;
    let names: Vec<_> = found
        .supported_actions
        .iter()
        .map(|one| (&*one.action, one.allowed))
        .collect();
    assert_eq!(names, [("approve", true), ("reject", true)]);
    let approved = rig.approve(approval(&found)).await.unwrap();
    assert_eq!(
        (approved.state(), &*approved.decided_by, &*approved.etag),
        (State::Approved, "user:boss", "2")
    );
    assert!(approved.supported_actions.iter().all(|one| !one.allowed));
    let level = rig.level("A", EAST).await;
    assert_eq!((level.available, level.damaged), (5, 0));
    assert_eq!(rig.entries_of(&approved).await, []);
    rig.is_in_order().await;
}

#[tokio::test]
async fn a_counted_level_is_kept_when_somebody_says_why() {
    let rig = Rig::start().await;
    rig.stock(&[("A", EAST, 5)]).await;
    rig.sql("UPDATE stock_level SET available = 8, qc = 1")
        .await;
    let found = rig.found(false).await;
    let mut keep = approval(&found);
    keep.resolution = Resolution::KeepLevel.into();
    let refused = rig.approve(keep.clone()).await.unwrap_err();
    assert_eq!(refused.violations()[0].field, "note");
    assert_eq!(
        refusal::<()>(Err(refused)),
        "InvalidArgument FIELD_REQUIRED"
    );
    keep.note = "counted twice".to_owned();
    let kept = rig.approve(keep).await.unwrap();
    assert_eq!(kept.resolution(), Resolution::KeepLevel);
    assert_eq!(kept.note, "counted twice");
    let level = rig.level("A", EAST).await;
    assert_eq!((level.available, level.qc), (8, 1));
    let expected = [
        (Account::Variance, Account::Available, 3),
        (Account::Variance, Account::Qc, 1),
    ];
    assert_eq!(rig.entries_of(&kept).await, expected);
    rig.is_in_order().await;
}

#[tokio::test]
async fn units_held_for_nobody_go_to_who_waits() {
    let rig = Rig::start().await;
    rig.stock(&[("A", EAST, 5)]).await;
    rig.reserve(allocate(&[("A", 5)])).await.unwrap();
    rig.sql("DELETE FROM reservation_line").await;
    let mut waiting = allocate(&[("A", 2)]);
    waiting.fill_policy = FillPolicy::FillAll.into();
    let waiting = rig.reserve(waiting).await.unwrap();
    assert_eq!(rows(&waiting), [("BACKORDERED", "", 2)]);
    let found = rig.found(false).await;
    let approved = rig.approve(approval(&found)).await.unwrap();
    let expected = [(Account::Allocated, Account::Available, 5)];
    assert_eq!(rig.entries_of(&approved).await, expected);
    let served = rig.get(&waiting.reservation_id).await;
    assert_eq!(rows(&served), [("ALLOCATED", EAST, 2)]);
    assert_eq!(rig.units("A", EAST).await, (3, 0, 2));
    rig.is_in_order().await;
}

#[tokio::test]
async fn entries_that_were_removed_are_made_up_for() {
    let rig = Rig::start().await;
    rig.stock(&[("A", EAST, 5), ("B", EAST, 7), ("B", EAST, 2)])
        .await;
    rig.reserve(hold(&[("A", 2)])).await.unwrap();
    rig.verify(false).await;
    // A hold, and a receipt from before the checkpoint.
    rig.sql("DELETE FROM stock_ledger WHERE entry_type = 'HOLD' OR quantity = 7")
        .await;
    let found = rig.verify(true).await.corrections;
    assert_eq!(found.len(), 2);
    for correction in &found {
        let mut approval = approval(correction);
        if correction.sku == "A" {
            // What the ledger lacks it gets, whichever book is followed.
            approval.resolution = Resolution::FollowLedger.into();
            approval.note = "a hold is missing".to_owned();
        }
        let approved = rig.approve(approval).await.unwrap();
        let expected = match &*correction.sku {
            "A" => (Account::Available, Account::Held, 2),
            _ => (Account::Variance, Account::Available, 7),
        };
        assert_eq!(rig.entries_of(&approved).await, [expected]);
    }
    assert_eq!(rig.units("A", EAST).await, (3, 2, 0));
    assert_eq!(rig.units("B", EAST).await, (9, 0, 0));
    rig.is_in_order().await;
}

#[tokio::test]
async fn stock_may_move_between_proposal_and_approval() {
    let rig = Rig::start_with(2, &redis_url().await).await;
    rig.stock(&[("A", EAST, 60), ("A", WEST, 5)]).await;
    rig.sql("UPDATE stock_level SET available = available + 7 WHERE location_id = 'us-east'")
        .await;
    let found = rig.found(false).await;
    let buyers = (0..30_usize).map(|buyer| {
        let mut client = rig.replicas[buyer % 2].reservations.clone();
        async move { client.reserve(hold(&[("A", 1)])).await.unwrap() }
    });
    // At both replicas, while stock is sold: one of them applies it.
    let approvals = (0..2_usize).map(|replica| {
        let mut corrections = rig.replicas[replica].corrections.clone();
        let request = by("user:boss", approval(&found));
        async move { refusal(answered(corrections.approve_correction(request).await)) }
    });
    let (_, mut approvals) = futures::join!(join_all(buyers), join_all(approvals));
    approvals.sort();
    // Who comes second has read the version before.
    assert_eq!(approvals, ["Aborted ETAG_MISMATCH", "OK"]);
    assert_eq!(rig.units("A", EAST).await, (30, 30, 0));
    rig.is_in_order().await;
}

#[tokio::test]
async fn four_eyes_see_more_than_two() {
    let rig = Rig::start().await;
    rig.stock(&[("A", EAST, 5)]).await;
    rig.sql("UPDATE stock_level SET available = 8").await;
    let found = rig.found(false).await;
    let refused = rig.approve_by("user:auditor", approval(&found)).await;
    let refused = refused.unwrap_err();
    assert_eq!(refused.metadata("proposed_by"), Some("user:auditor"));
    assert_eq!(refusal::<()>(Err(refused)), "PermissionDenied FOUR_EYES");
    assert_eq!(rig.level("A", EAST).await.available, 8);
    // Somebody else sees the same.
    rig.verify_by("user:second", request(false)).await.unwrap();
    let confirmed = rig.corrections(State::Proposed).await.remove(0);
    assert_eq!(
        (&*confirmed.proposed_by, &*confirmed.confirmed_by),
        ("user:auditor", "user:second")
    );
    rig.approve_by("user:auditor", approval(&confirmed))
        .await
        .unwrap();
    rig.is_in_order().await;
}

#[tokio::test]
async fn what_was_decided_stays_decided() {
    let rig = Rig::start().await;
    rig.stock(&[("A", EAST, 5)]).await;
    rig.sql("UPDATE stock_level SET available = 8").await;
    let found = rig.found(false).await;
    let mut old = approval(&found);
    old.etag = "7".to_owned();
    let refused = rig.approve(old).await.unwrap_err();
    assert_eq!(refused.metadata("etag"), Some("1"));
    assert_eq!(refusal::<()>(Err(refused)), "Aborted ETAG_MISMATCH");
    let mut old = rejection(&found);
    old.etag = "7".to_owned();
    assert_eq!(refusal(rig.reject(old).await), "Aborted ETAG_MISMATCH");

    rig.approve(approval(&found)).await.unwrap();
    let mut again = approval(&found);
    again.etag.clear();
    let refused = rig.approve(again).await.unwrap_err();
    let illegal = refused.illegal_transition().unwrap();
    assert_eq!(
        (&*illegal.aggregate, &*illegal.state, &*illegal.action),
        ("correction", "APPROVED", "approve")
    );
    assert!(illegal.supported_actions.is_empty());
    assert_eq!(refusal::<()>(Err(refused)), ILLEGAL);
    let mut late = rejection(&found);
    late.etag.clear();
    assert_eq!(refusal(rig.reject(late).await), ILLEGAL);
    rig.is_in_order().await;
}

#[tokio::test]
async fn what_was_rejected_is_proposed_again_by_a_full_verification_only() {
    let rig = Rig::start().await;
    rig.stock(&[("A", EAST, 5)]).await;
    rig.sql("UPDATE stock_level SET available = 8").await;
    let found = rig.found(false).await;
    let rejected = rig.reject(rejection(&found)).await.unwrap();
    assert_eq!(
        (rejected.state(), &*rejected.note, &*rejected.decided_by),
        (State::Rejected, "recount first", "user:boss")
    );
    assert_eq!(rig.level("A", EAST).await.available, 8);
    // The drift still counts.
    let again = rig.verify(false).await;
    assert_eq!(counts(&again).2, 1);
    assert_eq!(again.corrections[0].state(), State::Rejected);
    assert!(rig.corrections(State::Proposed).await.is_empty());
    let anew = rig.found(true).await;
    assert_eq!(anew.state(), State::Proposed);
    assert_ne!(anew.correction_id, found.correction_id);
    rig.reject(rejection(&anew)).await.unwrap();
    // Another drift is another matter.
    rig.sql("UPDATE stock_level SET available = 9").await;
    assert_eq!(rig.found(false).await.state(), State::Proposed);
}

#[tokio::test]
async fn what_has_changed_since_is_not_applied() {
    let rig = Rig::start().await;
    rig.stock(&[("A", EAST, 5), ("B", EAST, 5)]).await;
    rig.sql("UPDATE stock_level SET available = 8 WHERE sku = 'A'")
        .await;
    let found = rig.found(false).await;
    rig.sql("UPDATE stock_level SET available = 6 WHERE sku = 'A'")
        .await;
    let refused = rig.approve(approval(&found)).await.unwrap_err();
    let id = refused.metadata("correction_id").map(str::to_owned);
    assert_eq!(id.as_deref(), Some(&*found.correction_id));
    assert_eq!(refusal::<()>(Err(refused)), STALE);
    assert_eq!(rig.level("A", EAST).await.available, 6);
    let stale = rig.corrections(State::Stale).await.remove(0);
    assert_eq!(
        (&*stale.decided_by, &*stale.note),
        ("service:inventory", "the books have changed since")
    );
    let mut late = approval(&stale);
    late.etag.clear();
    assert_eq!(refusal(rig.approve(late).await), ILLEGAL);
    // What is true now is proposed.
    let anew = rig.found(false).await;
    assert_eq!(drifts(&anew), [(Account::Available, 5, 6, None)]);
    // A verification makes stale what is true no more.
    rig.sql("UPDATE stock_level SET available = 7 WHERE sku = 'A'")
        .await;
    let third = rig.found(false).await;
    assert_ne!(third.correction_id, anew.correction_id);
    rig.sql("UPDATE stock_level SET available = 5 WHERE sku = 'A'")
        .await;
    assert!(rig.verify(false).await.corrections.is_empty());
    assert_eq!(rig.corrections(State::Stale).await.len(), 3);
    assert!(rig.corrections(State::Proposed).await.is_empty());
    rig.is_in_order().await;
}

#[tokio::test]
async fn no_bucket_is_corrected_below_zero() {
    let rig = Rig::start().await;
    rig.stock(&[("A", EAST, 5)]).await;
    let held = rig.reserve(allocate(&[("A", 4)])).await.unwrap();
    // Nothing was ever received, says the ledger; and one unit more is promised than there is.
    rig.sql(
        "DELETE FROM stock_ledger WHERE entry_type = 'RECEIVE';
         UPDATE reservation_line SET quantity = 6",
    )
    .await;
    let found = rig.found(false).await;
    for resolution in [Resolution::FollowLedger, Resolution::KeepLevel] {
        let mut approval = approval(&found);
        approval.resolution = resolution.into();
        approval.note = "try".to_owned();
        let refused = rig.approve(approval).await.unwrap_err();
        let units = match resolution {
            Resolution::KeepLevel => "-1",
            _ => "-6",
        };
        assert_eq!(refused.metadata("account"), Some("AVAILABLE"));
        assert_eq!(refused.metadata("units"), Some(units));
        assert_eq!(
            refusal::<()>(Err(refused)),
            "FailedPrecondition STOCK_NEGATIVE"
        );
    }
    assert_eq!(rig.corrections(State::Proposed).await.len(), 1);
    // Goods come in: now it fits.
    rig.receive("A", EAST, 1).await;
    let mut keep = approval(&found);
    keep.resolution = Resolution::KeepLevel.into();
    keep.note = "received without an entry".to_owned();
    rig.approve(keep).await.unwrap();
    assert_eq!(rig.units("A", EAST).await, (0, 0, 6));
    let all = vec![part(&held.lines[0], 6)];
    rig.release(&held.reservation_id, all).await.unwrap();
    rig.is_in_order().await;
}

#[tokio::test]
async fn lists_go_by_state_and_sku_newest_first() {
    let rig = Rig::start().await;
    let skus = ["A", "B", "C"];
    for sku in skus {
        rig.stock(&[(sku, EAST, 5), (sku, WEST, 5)]).await;
    }
    rig.sql("UPDATE stock_level SET available = 6").await;
    rig.verify(false).await;
    let mut request = pb::ListCorrectionsRequest {
        state: State::Proposed.into(),
        page_size: 4,
        ..Default::default()
    };
    let list = |request: pb::ListCorrectionsRequest| {
        let mut client = rig.api.corrections.clone();
        async move { answered(client.list_corrections(request).await) }
    };
    let first = list(request.clone()).await.unwrap();
    request.page_token.clone_from(&first.next_page_token);
    let last = list(request.clone()).await.unwrap();
    assert_eq!(last.next_page_token, "");
    let ids: Vec<_> = first
        .corrections
        .iter()
        .chain(&last.corrections)
        .map(|one| one.correction_id.clone())
        .collect();
    assert_eq!((ids.len(), first.corrections.len()), (6, 4));
    assert!(ids.is_sorted_by(|newer, older| newer > older), "{ids:?}");
    // A token belongs to its list.
    request.sku = "B".to_owned();
    let other = list(request.clone()).await;
    assert_eq!(refusal(other), "InvalidArgument PAGE_TOKEN_INVALID");
    request.page_token.clear();
    let of_b = list(request).await.unwrap().corrections;
    assert_eq!(of_b.len(), 2);
    assert!(of_b.iter().all(|one| one.sku == "B"));
    rig.reject(rejection(&of_b[0])).await.unwrap();
    assert_eq!(rig.corrections(State::Unspecified).await.len(), 6);
    assert_eq!(rig.corrections(State::Rejected).await.len(), 1);
}
