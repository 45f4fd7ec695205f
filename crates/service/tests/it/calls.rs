//! What callers see of the stack.

use oms_proto::common::v1::ErrorReason;
use oms_proto::order::v1::ListHoldsRequest;
use oms_proto::order::v1::hold_service_client::HoldServiceClient;
use oms_service::PeerError;
use tonic::{Code, Request};

use crate::probe::gate;
use crate::support::{Fixture, PLACE_HOLD, call, frame, tell};

#[tokio::test]
async fn a_principal_is_named_by_header_and_checked() {
    let fixture = Fixture::new().await;
    assert_eq!(fixture.call("echo").await.unwrap(), "user:dev");
    let mut client = HoldServiceClient::new(fixture.channel());
    let mut named = Request::new(tell("echo"));
    named
        .metadata_mut()
        .insert("oms-principal", "partner:acme".parse().unwrap());
    let answer = client.place_hold(named).await.unwrap().into_inner();
    assert_eq!(answer.hold.unwrap().note, "partner:acme");
    let mut wrong = Request::new(tell("echo"));
    wrong
        .metadata_mut()
        .insert("oms-principal", "root".parse().unwrap());
    let error = PeerError::from(client.place_hold(wrong).await.unwrap_err());
    assert_eq!(error.code(), Code::Unauthenticated);
    assert_eq!(error.reason(), Some(ErrorReason::Unauthenticated));
}

#[tokio::test]
async fn without_insecure_dev_nobody_is_let_in_but_health_answers() {
    let fixture = Fixture::with("insecure_dev = false").await;
    let error = fixture.call("echo").await.unwrap_err();
    assert_eq!(error.code(), Code::Unauthenticated);
    let mut health = tonic_health::pb::health_client::HealthClient::new(fixture.channel());
    let request = tonic_health::pb::HealthCheckRequest {
        service: "oms.order.v1.HoldService".to_owned(),
    };
    let status = health.check(request).await.unwrap().into_inner().status;
    assert_eq!(status, tonic_health::ServingStatus::Serving as i32);
}

#[tokio::test]
async fn a_call_is_counted_then_authenticated_then_read() {
    let strict = Fixture::with("insecure_dev = false").await;
    // Who is not known does not learn which methods there are, nor how messages are read.
    for path in [PLACE_HOLD, "/oms.order.v1.HoldService/Nothing"] {
        let error = strict.raw_error(path, frame(&[0xff])).await;
        assert_eq!(error.code(), Code::Unauthenticated, "{path}");
    }
    let metrics = strict.metrics().await;
    assert!(metrics.contains("code=\"UNAUTHENTICATED\""), "{metrics}");
}

#[tokio::test]
async fn errors_of_handlers_arrive_with_their_details() {
    let fixture = Fixture::new().await;
    let error = fixture.call("shortage").await.unwrap_err();
    assert_eq!(error.code(), Code::FailedPrecondition);
    assert_eq!(error.reason(), Some(ErrorReason::OutOfStock));
    assert_eq!(error.shortages()[0].requested, 3);
    let error = fixture.call("violations").await.unwrap_err();
    assert_eq!(error.code(), Code::InvalidArgument);
    assert_eq!(error.violations().len(), 2);
    let error = fixture.call("nothing").await.unwrap_err();
    assert_eq!(error.code(), Code::NotFound);
    assert_eq!(error.metadata("resource"), Some("order"));
}

#[tokio::test]
async fn defects_are_internal_and_tell_nothing() {
    let fixture = Fixture::new().await;
    for defect in ["secret", "panic"] {
        let error = fixture.call(defect).await.unwrap_err();
        assert_eq!(error.code(), Code::Internal, "{defect}");
        assert_eq!(error.reason(), Some(ErrorReason::Internal), "{defect}");
        assert_eq!(error.message(), "internal error", "{defect}");
    }
    assert_eq!(fixture.call("echo").await.unwrap(), "user:dev");
}

#[tokio::test]
async fn above_its_limit_the_server_refuses_at_once() {
    let fixture = Fixture::with("[server]\ncalls_max = 1").await;
    let waiting = tokio::spawn(call(fixture.channel(), "wait:limit"));
    gate("limit/entered").acquire().await.unwrap().forget();
    let error = fixture.call("echo").await.unwrap_err();
    assert_eq!(error.code(), Code::ResourceExhausted);
    assert_eq!(error.reason(), Some(ErrorReason::Overloaded));
    assert!(error.retry_after().is_some() && error.retryable());
    gate("limit").add_permits(1);
    assert_eq!(waiting.await.unwrap().unwrap(), "waited");
    assert_eq!(fixture.call("echo").await.unwrap(), "user:dev");
}

#[tokio::test]
async fn page_tokens_are_good_for_their_list_only() {
    let fixture = Fixture::new().await;
    let mut client = HoldServiceClient::new(fixture.channel());
    let first = ListHoldsRequest {
        page_size: 10,
        ..ListHoldsRequest::default()
    };
    let token = client
        .list_holds(first.clone())
        .await
        .unwrap()
        .into_inner()
        .next_page_token;
    let next = ListHoldsRequest {
        page_token: token.clone(),
        page_size: 20,
        ..first.clone()
    };
    client.list_holds(next.clone()).await.unwrap();
    let tampered = ListHoldsRequest {
        page_token: token.replacen(
            &token[..1],
            if token.starts_with('A') { "B" } else { "A" },
            1,
        ),
        ..next.clone()
    };
    let other = ListHoldsRequest {
        active_only: true,
        ..next
    };
    for wrong in [tampered, other] {
        let error = PeerError::from(client.list_holds(wrong).await.unwrap_err());
        assert_eq!(error.code(), Code::InvalidArgument);
        assert_eq!(error.reason(), Some(ErrorReason::PageTokenInvalid));
        assert_eq!(error.violations()[0].field, "page_token");
    }
}

#[tokio::test]
async fn the_request_id_of_the_caller_comes_back() {
    let fixture = Fixture::new().await;
    let mut client = HoldServiceClient::new(fixture.channel());
    let mut request = Request::new(tell("echo"));
    request
        .metadata_mut()
        .insert("x-request-id", "shop-17".parse().unwrap());
    let answer = client.place_hold(request).await.unwrap();
    assert_eq!(answer.metadata().get("x-request-id").unwrap(), "shop-17");
    let status = client.place_hold(tell("nothing")).await.unwrap_err();
    assert!(status.metadata().contains_key("x-request-id"));
}

#[tokio::test]
async fn reflection_tells_of_what_is_served_here() {
    use tonic_reflection::pb::v1::server_reflection_client::ServerReflectionClient;
    use tonic_reflection::pb::v1::server_reflection_request::MessageRequest;
    use tonic_reflection::pb::v1::server_reflection_response::MessageResponse;

    let fixture = Fixture::new().await;
    let request = tonic_reflection::pb::v1::ServerReflectionRequest {
        host: String::new(),
        message_request: Some(MessageRequest::ListServices(String::new())),
    };
    let requests = futures::stream::iter([request]);
    let mut client = ServerReflectionClient::new(fixture.channel());
    let mut answers = client
        .server_reflection_info(requests)
        .await
        .unwrap()
        .into_inner();
    let answer = answers
        .message()
        .await
        .unwrap()
        .unwrap()
        .message_response
        .unwrap();
    let MessageResponse::ListServicesResponse(list) = answer else {
        panic!("a list was asked for, and {answer:?} came");
    };
    let names: Vec<_> = list.service.iter().map(|service| &*service.name).collect();
    assert!(names.contains(&"oms.order.v1.HoldService"), "{names:?}");
    assert!(
        names.contains(&"oms.events.v1.EventFeedService"),
        "{names:?}"
    );
    assert!(!names.contains(&"oms.shipping.v1.RateService"), "{names:?}");
}
