//! Where orders may be fulfilled from.

use std::time::Duration;

use oms_proto::common::v1::ErrorReason;
use oms_proto::fulfillment::v1 as pb;
use oms_service::PeerError;

use crate::rig::{EAST, MID, Rig, WEST, allocated, by, destination, id, ok};

fn request(postal_code: &str) -> pb::ProposeSourcingRequest {
    pb::ProposeSourcingRequest {
        request_id: id(),
        order_id: id(),
        destination: Some(destination(postal_code)),
        lines: vec![pb::SourcingLine {
            order_line_id: id(),
            sku: "A".to_owned(),
            quantity: 2,
        }],
        preferences: None,
        excluded_location_ids: Vec::new(),
    }
}

async fn propose(
    rig: &Rig,
    request: pb::ProposeSourcingRequest,
) -> Result<pb::SourcingProposal, PeerError> {
    let answer = rig
        .sourcing
        .clone()
        .propose_sourcing(by("service:order", request))
        .await;
    Ok(ok(answer)?.proposal.unwrap())
}

fn ranking(proposal: &pb::SourcingProposal) -> Vec<&str> {
    proposal
        .nodes
        .iter()
        .map(|node| node.location_id.as_str())
        .collect()
}

#[tokio::test]
async fn the_nearest_location_comes_first_and_the_decision_is_kept() {
    let rig = Rig::start().await;
    let proposal = propose(&rig, request("89101")).await.unwrap();
    assert_eq!(ranking(&proposal), [WEST, MID, EAST]);
    let first = &proposal.nodes[0];
    assert_eq!((first.rank, first.location_version), (1, 3));
    assert!((500..650).contains(&first.distance_km), "{first:?}");
    assert_eq!(
        (proposal.splits_max, proposal.single_node_within_rank),
        (3, 4)
    );
    assert_eq!(proposal.rule, "proximity");

    let explain = |proposal_id: String| {
        let mut client = rig.sourcing.clone();
        async move {
            client
                .explain_decision(pb::ExplainDecisionRequest { proposal_id })
                .await
        }
    };
    let explained = ok(explain(proposal.proposal_id.clone()).await)
        .unwrap()
        .proposal
        .unwrap();
    assert_eq!(explained, proposal);
    let unknown = ok(explain(id()).await).unwrap_err();
    assert_eq!(unknown.reason(), Some(ErrorReason::NotFound));

    let east = propose(&rig, request("10001")).await.unwrap();
    assert_eq!(ranking(&east), [EAST, MID, WEST]);
}

#[tokio::test]
async fn what_came_of_a_proposal_is_appended() {
    let rig = Rig::start().await;
    let proposal = propose(&rig, request("89101")).await.unwrap();
    let mut create = allocated(&[("A", WEST, 2), ("B", MID, 1)]);
    create.order_id.clone_from(&proposal.order_id);
    create.proposal_id.clone_from(&proposal.proposal_id);
    let lines = create.lines.clone();
    rig.create(create).await.unwrap();
    let request = pb::ExplainDecisionRequest {
        proposal_id: proposal.proposal_id,
    };
    let explained = rig
        .sourcing
        .clone()
        .explain_decision(request)
        .await
        .unwrap()
        .into_inner();
    let outcomes = explained.proposal.unwrap().outcomes;
    let mut got: Vec<_> = outcomes
        .into_iter()
        .map(|one| (one.location_id, one.order_line_id, one.quantity))
        .collect();
    got.sort();
    let mut expected: Vec<_> = lines
        .into_iter()
        .map(|line| (line.location_id, line.order_line_id, line.quantity))
        .collect();
    expected.sort();
    assert_eq!(got, expected);
}

#[tokio::test]
async fn a_proposal_of_another_order_is_no_reference() {
    let rig = Rig::start().await;
    let proposal = propose(&rig, request("89101")).await.unwrap();
    let mut create = allocated(&[("A", WEST, 2)]);
    create.proposal_id = proposal.proposal_id;
    let error = rig.create(create).await.unwrap_err();
    assert_eq!(error.reason(), Some(ErrorReason::ReferenceUnknown));
    assert_eq!(error.violations()[0].field, "proposal_id");
}

#[tokio::test]
async fn inactive_and_excluded_locations_are_left_out() {
    let rig = Rig::start().await;
    rig.peers.world.lock().unwrap().locations[0].active = false;
    let mut excluding = request("89101");
    excluding.excluded_location_ids = vec![WEST.to_owned()];
    let proposal = propose(&rig, excluding).await.unwrap();
    assert_eq!(ranking(&proposal), [EAST]);
    // Locations are remembered for two seconds, not longer.
    rig.peers.world.lock().unwrap().locations[0].active = true;
    assert_eq!(
        ranking(&propose(&rig, request("89101")).await.unwrap()),
        [WEST, EAST]
    );
    rig.clock.advance(Duration::from_secs(3));
    assert_eq!(
        ranking(&propose(&rig, request("89101")).await.unwrap()),
        [WEST, MID, EAST]
    );
}

#[tokio::test]
async fn the_order_may_ask_for_fewer_splits() {
    let rig = Rig::start().await;
    for (wish, splits_max) in [(-1, 3), (0, 0), (2, 2), (99, 15)] {
        let mut wishing = request("89101");
        wishing.preferences = Some(pb::SourcingPreferences {
            splits_max: wish,
            ..Default::default()
        });
        assert_eq!(
            propose(&rig, wishing).await.unwrap().splits_max,
            splits_max,
            "{wish}"
        );
    }
}

#[tokio::test]
async fn everything_wrong_is_told_at_once() {
    let rig = Rig::start().await;
    let bad = pb::ProposeSourcingRequest {
        request_id: "x".to_owned(),
        order_id: String::new(),
        destination: Some(oms_proto::common::v1::Destination {
            address_id: id(),
            country_code: "XX".to_owned(),
            postal_code: String::new(),
        }),
        lines: vec![pb::SourcingLine {
            order_line_id: id(),
            sku: "A B".to_owned(),
            quantity: 0,
        }],
        preferences: Some(pb::SourcingPreferences {
            fill_policy: 77,
            ..Default::default()
        }),
        excluded_location_ids: vec!["Not A Slug".to_owned()],
    };
    let error = propose(&rig, bad).await.unwrap_err();
    assert_eq!(error.code(), tonic::Code::InvalidArgument);
    let told: Vec<(&str, &str)> = error
        .violations()
        .iter()
        .map(|one| (one.field.as_str(), one.reason.as_str()))
        .collect();
    assert_eq!(
        told,
        [
            ("request_id", "FIELD_MALFORMED"),
            ("order_id", "FIELD_REQUIRED"),
            ("destination.country_code", "COUNTRY_UNKNOWN"),
            ("lines[0].sku", "FIELD_MALFORMED"),
            ("lines[0].quantity", "QUANTITY_INVALID"),
            ("preferences.fill_policy", "FIELD_MALFORMED"),
            ("excluded_location_ids[0]", "FIELD_MALFORMED"),
        ]
    );
}
