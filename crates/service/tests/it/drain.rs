//! How a program ends.

use oms_service::StartError;
use oms_testkit::wait_for;
use tokio::net::TcpStream;
use tonic_health::ServingStatus;
use tonic_health::pb::HealthCheckRequest;
use tonic_health::pb::health_client::HealthClient;

use crate::feed::subscribe_after;
use crate::probe::gate;
use crate::support::{Fixture, call, start};

#[tokio::test]
async fn calls_in_work_finish_while_new_ones_go_elsewhere() {
    let mut fixture = Fixture::new().await;
    let mut health = HealthClient::new(fixture.channel());
    let watched = HealthCheckRequest {
        service: "oms.order.v1.HoldService".to_owned(),
    };
    let mut statuses = health.watch(watched).await.unwrap().into_inner();
    let mut next = async || {
        statuses
            .message()
            .await
            .unwrap()
            .map(|answer| answer.status)
    };
    assert_eq!(next().await, Some(ServingStatus::Serving as i32));
    let mut batches = subscribe_after(&fixture, 0).await.unwrap();
    let waiting = tokio::spawn(call(fixture.channel(), "wait:drain"));
    gate("drain/entered").acquire().await.unwrap().forget();

    fixture.handle.stop();
    assert_eq!(next().await, Some(ServingStatus::NotServing as i32));
    let addr = fixture.handle.addr;
    wait_for("the port to close", || async {
        match TcpStream::connect(addr).await {
            Err(_) => Ok(()),
            Ok(_) => Err("open".to_owned()),
        }
    })
    .await;
    // A stream without an end is ended, so that it does not keep the server.
    let ended = batches.message().await.unwrap_err();
    assert_eq!(ended.code(), tonic::Code::Unavailable);

    gate("drain").add_permits(1);
    assert_eq!(waiting.await.unwrap().unwrap(), "waited");
    fixture.handle.join().await.unwrap();
}

#[tokio::test]
async fn what_does_not_finish_in_time_is_cut_off() {
    let fixture = Fixture::with("[server]\ndrain_timeout_ms = 50").await;
    let waiting = tokio::spawn(call(fixture.channel(), "wait:cut"));
    gate("cut/entered").acquire().await.unwrap().forget();
    fixture.handle.shutdown().await.unwrap();
    waiting.await.unwrap().unwrap_err();
}

#[tokio::test]
async fn background_work_that_panics_ends_the_program() {
    let mut fixture = Fixture::with("background_fails = true").await;
    let error = fixture.handle.join().await.unwrap_err();
    assert!(
        matches!(error, StartError::Background { name: "doomed", .. }),
        "{error}"
    );
}

#[tokio::test]
async fn a_killed_program_is_gone_and_another_takes_over() {
    let Fixture { database, handle } = Fixture::new().await;
    let addr = handle.addr;
    handle.kill().await;
    TcpStream::connect(addr).await.unwrap_err();
    start(&database, &format!("listen = \"{addr}\""))
        .await
        .unwrap();
}

#[tokio::test]
async fn a_port_that_is_taken_is_named() {
    let fixture = Fixture::new().await;
    let addr = fixture.handle.addr;
    let error = start(&fixture.database, &format!("listen = \"{addr}\""))
        .await
        .unwrap_err();
    assert!(error.to_string().contains(&addr.to_string()), "{error}");
}
