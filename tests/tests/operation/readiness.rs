//! Ready is who can answer calls: Postgres is needed for that, Redis is not.

use std::time::Duration;

use anyhow::ensure;
use oms_engines::Postgres;
use oms_proto::inventory::v1::ListItemsRequest;
use oms_tests::crash::durable;
use oms_tests::process::Process;
use oms_tests::replicas::Replicas;
use oms_tests::suite::{engines, wait_for};
use tonic::transport::Endpoint;
use tonic_health::ServingStatus;
use tonic_health::pb::HealthCheckRequest;
use tonic_health::pb::health_client::HealthClient;

use crate::NODE;

/// What both probes say: of HTTP, and of gRPC for the server as a whole.
async fn probes(process: &Process) -> anyhow::Result<(bool, bool)> {
    let http = process.admin("/readyz").await?;
    let channel = Endpoint::from_shared(process.url())?
        .timeout(Duration::from_secs(10))
        .connect()
        .await?;
    let asked = HealthCheckRequest::default();
    let grpc = HealthClient::new(channel).check(asked).await?.into_inner();
    Ok((
        http.starts_with("HTTP/1.1 200"),
        grpc.status() == ServingStatus::Serving.into(),
    ))
}

async fn until_ready_is(expected: bool, process: &Process) -> anyhow::Result<()> {
    wait_for(&format!("readiness to be {expected}"), || async {
        let said = probes(process).await?;
        let live = process.admin("/livez").await?;
        ensure!(live.starts_with("HTTP/1.1 200"), "not live: {live}");
        let metrics = process.admin("/metrics").await?;
        let gauge = format!("oms_ready{{service=\"inventory\"}} {}", u8::from(expected));
        Ok(
            if said == (expected, expected) && metrics.contains(&gauge) {
                Ok(())
            } else {
                Err(format!("{said:?}"))
            },
        )
    })
    .await
}

#[tokio::test(flavor = "multi_thread")]
async fn a_service_is_ready_while_its_database_answers_whatever_redis_does() -> anyhow::Result<()> {
    let replicas = Replicas::start(NODE, 1, durable(engines()?)).await?;
    let process = replicas.get(0)?;
    until_ready_is(true, process).await?;

    replicas
        .with_postgres(|postgres| {
            postgres.stop_immediately();
            Ok(())
        })
        .await?;
    until_ready_is(false, process).await?;
    replicas.with_postgres(Postgres::restart).await?;
    until_ready_is(true, process).await?;
    // Frozen is as good as gone.
    replicas.with_postgres(Postgres::pause).await?;
    until_ready_is(false, process).await?;
    replicas.with_postgres(Postgres::resume).await?;
    until_ready_is(true, process).await?;

    replicas
        .with_redis(|redis| {
            redis.kill();
            Ok(())
        })
        .await?;
    let actor = replicas.actor()?;
    actor.set_up_stock(&["a"]).await?;
    actor.receive("west", "a", 1).await?;
    actor
        .clients
        .items()
        .list_items(ListItemsRequest::default())
        .await?;
    ensure!(
        probes(process).await? == (true, true),
        "Redis is gone, and it is not ready"
    );
    Ok(())
}
