//! What people are told when leases fail: once when it begins, once when it ends.

use std::io::{self, Write};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use metrics_exporter_prometheus::{PrometheusBuilder, PrometheusHandle};
use oms_lock::{Leases, describe_metrics};
use oms_testkit::{private_redis, wait_for};
use tracing_subscriber::fmt::MakeWriter;
use uuid::Uuid;

use crate::holders::{Holders, acquired, bounded, eventually_acquired, released, unavailable};

#[derive(Clone, Default)]
struct Log(Arc<Mutex<Vec<u8>>>);

impl Log {
    /// Lines of this level that came from the leases.
    fn lines(&self, level: &str) -> Vec<String> {
        let bytes = self.0.lock().unwrap();
        let text = String::from_utf8_lossy(&bytes);
        let ours = |line: &&str| line.contains(level) && line.contains("oms_lock");
        text.lines().filter(ours).map(str::to_owned).collect()
    }
}

impl Write for Log {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.lock().unwrap().write(bytes)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl<'a> MakeWriter<'a> for Log {
    type Writer = Self;

    fn make_writer(&'a self) -> Self {
        self.clone()
    }
}

fn failing(metrics: &PrometheusHandle, part: &str) -> String {
    let line = format!("oms_lock_failing{{part=\"{part}\"}} ");
    let page = metrics.render();
    let value = page.lines().find_map(|one| one.strip_prefix(&line));
    value.unwrap_or("none").to_owned()
}

// One thread, on which the log and the metrics of this test are collected.
#[tokio::test]
async fn a_failure_and_its_end_are_told_once_each() {
    let log = Log::default();
    let subscriber = tracing_subscriber::fmt()
        .with_ansi(false)
        .with_writer(log.clone())
        .finish();
    let _log = tracing::subscriber::set_default(subscriber);
    let recorder = PrometheusBuilder::new().build_recorder();
    let page = recorder.handle();
    let _metrics = metrics::set_default_local_recorder(&recorder);
    describe_metrics();

    let redis = private_redis().await;
    let mut holders = Holders::on(redis.url());
    holders.config.command_timeout = Duration::from_millis(500);
    holders.config.retry_after = Duration::from_millis(1);
    let leases = holders.holder();
    for _ in 0..2 {
        let lease = acquired(&leases, &["sku"]).await;
        assert_eq!(released(&leases, lease).await, 1);
    }
    assert_eq!(log.lines("WARN").len(), 0);

    redis.kill();
    for _ in 0..5 {
        bounded(unavailable(&leases, &["sku"])).await;
    }
    assert_eq!(failing(&page, "redis"), "1");
    let told = log.lines("WARN");
    assert!(
        matches!(&told[..], [once] if once.contains("127.0.0.1")),
        "{told:?}"
    );

    redis.restart().unwrap();
    wait_for("Redis to have worked for a while", || async {
        let lease = eventually_acquired(&leases, &["sku"]).await;
        assert_eq!(released(&leases, lease).await, 1);
        match failing(&page, "redis") {
            failing if failing == "0" => Ok(()),
            failing => Err(failing),
        }
    })
    .await;
    assert_eq!(log.lines("WARN").len(), 1);
    assert_eq!(log.lines("leases again").len(), 1);
}

#[tokio::test]
async fn a_database_that_gives_no_generation_is_told_once() {
    let recorder = PrometheusBuilder::new().build_recorder();
    let page = recorder.handle();
    let _metrics = metrics::set_default_local_recorder(&recorder);
    let holders = Holders::new().await;
    let broken = Leases::new(holders.config.clone(), Uuid::from_u128(9), || async {
        Err("the database is down".into())
    });
    let broken = broken.unwrap();
    for _ in 0..2 {
        unavailable(&broken, &["sku"]).await;
    }
    assert_eq!(failing(&page, "generation"), "1");
    drop(broken);
    assert_eq!(failing(&page, "generation"), "0");
}
