//! Every action in every state: the table of the README, or a refusal that says what is possible.

use oms_proto::common::v1::ErrorReason;
use oms_proto::returns::v1 as pb;
use oms_proto::returns::v1::{Disposition, RefundTiming, ReturnCondition, ReturnState};
use oms_proto::shipping::v1::TrackingStatus;
use tonic::Code;

use crate::rig::{Answer, Rig, call, id};

const ACTIONS: [&str; 7] = [
    "authorize",
    "decline",
    "issue_label",
    "receive",
    "inspect",
    "dispose",
    "cancel",
];

const LEGAL: [(ReturnState, &[&str]); 9] = [
    (ReturnState::Requested, &["authorize", "decline", "cancel"]),
    (
        ReturnState::Authorized,
        &["issue_label", "receive", "cancel"],
    ),
    (ReturnState::Declined, &[]),
    (ReturnState::InTransit, &["receive", "cancel"]),
    (
        ReturnState::PartiallyReceived,
        &["receive", "inspect", "dispose"],
    ),
    (ReturnState::Received, &["inspect", "dispose"]),
    (ReturnState::Inspected, &["dispose"]),
    (ReturnState::Closed, &[]),
    (ReturnState::Canceled, &[]),
];

async fn act(rig: &Rig, ret: &pb::Return, action: &str) -> Answer {
    match action {
        "authorize" => rig.authorize(ret).await,
        "decline" => rig.decline(ret).await,
        "issue_label" => rig.label(ret).await,
        "receive" => rig.receive(ret, &[1]).await,
        "inspect" => {
            rig.inspect(ret, &[1], ReturnCondition::Sellable, false)
                .await
        }
        "dispose" => rig.dispose(ret, &[1], Disposition::Restock).await,
        "cancel" => rig.cancel(ret).await,
        other => panic!("no action {other}"),
    }
}

/// A return of three units in a state.
async fn in_state(rig: &Rig, state: ReturnState) -> pb::Return {
    let order = rig.shipped(&[3]);
    let ret = rig
        .request(&order, &[3], RefundTiming::OnInspection)
        .await
        .unwrap();
    match state {
        ReturnState::Requested => return ret,
        ReturnState::Declined => return rig.decline(&ret).await.unwrap(),
        ReturnState::Canceled => return rig.cancel(&ret).await.unwrap(),
        _ => {}
    }
    let ret = rig.authorize(&ret).await.unwrap();
    match state {
        ReturnState::Authorized => return ret,
        ReturnState::InTransit => {
            rig.scan(&ret, TrackingStatus::InTransit);
            return rig.wait(&ret, state).await;
        }
        ReturnState::PartiallyReceived => return rig.receive(&ret, &[1]).await.unwrap(),
        _ => {}
    }
    let received = rig.receive(&ret, &[3]).await.unwrap();
    let denied = state == ReturnState::Closed;
    if state == ReturnState::Received {
        return received;
    }
    let inspected = rig
        .inspect(&ret, &[3], ReturnCondition::Defective, denied)
        .await
        .unwrap();
    if state == ReturnState::Inspected {
        return inspected;
    }
    rig.dispose(&ret, &[3], Disposition::Scrap).await.unwrap()
}

#[tokio::test]
async fn every_action_in_every_state() {
    let rig = Rig::start().await;
    for (state, legal) in LEGAL {
        let ret = in_state(&rig, state).await;
        assert_eq!(ret.state(), state);
        let told: Vec<(&str, bool)> = ret
            .supported_actions
            .iter()
            .map(|one| (one.action.as_str(), one.allowed))
            .collect();
        assert_eq!(
            told,
            ACTIONS.map(|one| (one, legal.contains(&one))),
            "{state:?}"
        );
        for action in ACTIONS.into_iter().filter(|one| !legal.contains(one)) {
            let error = act(&rig, &ret, action).await.unwrap_err();
            assert_eq!(
                error.code(),
                Code::FailedPrecondition,
                "{action} of {state:?}"
            );
            assert_eq!(error.reason(), Some(ErrorReason::IllegalTransition));
            let detail = error.illegal_transition().expect("says why");
            let name = state.as_str_name().trim_start_matches("RETURN_STATE_");
            assert_eq!(
                (
                    detail.aggregate.as_str(),
                    detail.state.as_str(),
                    detail.action.as_str()
                ),
                ("return", name, action)
            );
            assert_eq!(detail.supported_actions, legal, "{state:?}");
        }
        assert_eq!(
            rig.get(&ret.return_id).await,
            ret,
            "what is refused changes nothing"
        );
    }
}

#[tokio::test]
async fn every_legal_action_is_done() {
    let rig = Rig::start().await;
    for (state, legal) in LEGAL {
        for action in legal {
            let ret = in_state(&rig, state).await;
            // What needs inspected goods gets some.
            if *action == "dispose" && state != ReturnState::Inspected {
                act(&rig, &ret, "inspect").await.unwrap();
            }
            let done = act(&rig, &ret, action).await;
            assert!(done.is_ok(), "{action} of {state:?}: {done:?}");
        }
    }
}

#[tokio::test]
async fn whoever_read_an_older_version_is_told_so() {
    let rig = Rig::start().await;
    let ret = in_state(&rig, ReturnState::Received).await;
    let answers = decisions(&rig, &ret, "1").await;
    let answers = answers.into_iter().chain(goods(&rig, &ret, "1").await);
    for answer in answers {
        let error = answer.unwrap_err();
        assert_eq!(error.code(), Code::Aborted);
        assert_eq!(error.reason(), Some(ErrorReason::EtagMismatch));
        assert_eq!(error.metadata("etag"), Some(ret.etag.as_str()));
    }
    assert_eq!(rig.get(&ret.return_id).await, ret);
}

/// What people decide about a return, on the version that they read.
async fn decisions(rig: &Rig, ret: &pb::Return, etag: &str) -> [Answer; 4] {
    let (return_id, etag) = (|| ret.return_id.clone(), etag.to_owned());
    [
        call!(
            rig,
            authorize_return,
            pb::AuthorizeReturnRequest {
                request_id: id(),
                return_id: return_id(),
                etag: etag.clone(),
            }
        ),
        call!(
            rig,
            decline_return,
            pb::DeclineReturnRequest {
                request_id: id(),
                return_id: return_id(),
                etag: etag.clone(),
                reason: "why".to_owned(),
            }
        ),
        call!(
            rig,
            issue_return_label,
            pb::IssueReturnLabelRequest {
                request_id: id(),
                return_id: return_id(),
                etag: etag.clone(),
            }
        ),
        call!(
            rig,
            cancel_return,
            pb::CancelReturnRequest {
                request_id: id(),
                return_id: return_id(),
                etag: etag.clone(),
                reason: String::new(),
            }
        ),
    ]
}

/// What is done with the goods of a return, on the version that was read.
async fn goods(rig: &Rig, ret: &pb::Return, etag: &str) -> [Answer; 3] {
    let (return_id, etag) = (|| ret.return_id.clone(), etag.to_owned());
    let line = || ret.lines[0].return_line_id.clone();
    [
        call!(
            rig,
            receive_return,
            pb::ReceiveReturnRequest {
                request_id: id(),
                return_id: return_id(),
                etag: etag.clone(),
                lines: vec![pb::ReturnQuantity {
                    return_line_id: line(),
                    quantity: 1,
                }],
            }
        ),
        call!(
            rig,
            inspect_return,
            pb::InspectReturnRequest {
                request_id: id(),
                return_id: return_id(),
                etag: etag.clone(),
                lines: vec![pb::InspectReturnLine {
                    return_line_id: line(),
                    quantity: 1,
                    condition: ReturnCondition::Sellable.into(),
                    refund_denied: false,
                }],
            }
        ),
        call!(
            rig,
            dispose_return,
            pb::DisposeReturnRequest {
                request_id: id(),
                return_id: return_id(),
                etag: etag.clone(),
                lines: vec![pb::DisposeReturnLine {
                    return_line_id: line(),
                    quantity: 1,
                    disposition: Disposition::Restock.into(),
                }],
            }
        ),
    ]
}
