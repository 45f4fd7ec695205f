//! A real Prometheus scrapes the five services: what they tell is in the registry, what ordinary days bring is told,
//! every expression of dashboards and rules can be evaluated, and an exemplar leads to an order and back.

use std::collections::BTreeSet;
use std::fmt::Write as _;
use std::fs;
use std::io::{self, Read as _};
use std::net::{TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

use anyhow::{Context, ensure};
use oms::suite::SERVICES;
use oms_proto::order::v1 as o;
use oms_testkit::Collector;
use oms_tests::crash::say;
use oms_tests::nodes::Nodes;
use oms_tests::shop::new_order;
use oms_tests::suite::{Actor, wait_for};
use serde_json::Value;

/// Told only when something goes wrong, by what nobody uses here (tokens, certificates, webhooks), or by a program that
/// does not run here.
const NOT_EVERY_DAY: [&str; 31] = [
    "oms_auth_failures",
    "oms_shipping_carrier_webhooks",
    "oms_auth_files_reloaded",
    "oms_auth_jwks_fetches",
    "oms_rpc_client_failovers",
    "oms_rpc_server_handshakes_failed",
    "oms_webhook_attempts",
    "oms_webhook_endpoints_disabled",
    "oms_webhook_request_duration_seconds",
    "oms_rpc_server_errors",
    "oms_rpc_server_shed",
    "oms_rpc_server_connections_refused",
    "oms_rpc_client_refused",
    "oms_rpc_client_tripped",
    "oms_tx_retries",
    "oms_task_stuck",
    "oms_feed_events_parked",
    "oms_feed_reconnects",
    "oms_order_sagas_stuck",
    "oms_order_saga_leases_lost",
    "oms_inventory_lease_bypass_total",
    "oms_inventory_lease_yields_total",
    "oms_inventory_lease_fenced_total",
    "oms_inventory_stock_drift",
    "oms_lock_generations_total",
    "oms_lock_waited_for_total",
    "oms_lock_failing",
    "oms_invariant_violations",
    "oms_invariant_checked",
    "oms_verify_failed_rounds",
    "oms_verify_last_round_timestamp",
];

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("..")
}

/// The names of the registry.
fn registry() -> anyhow::Result<BTreeSet<String>> {
    let text = fs::read_to_string(root().join("docs/telemetry.md"))?;
    let (_, metrics) = text.split_once("\n## Metrics\n").context("no metrics")?;
    let (metrics, _) = metrics.split_once("\n## ").context("no end")?;
    let rows = metrics.lines().filter_map(|line| line.strip_prefix("| `"));
    Ok(rows
        .filter_map(|row| Some(row.split_once('`')?.0.to_owned()))
        .collect())
}

/// The expressions of rules and dashboards, with what Grafana puts in for its variables.
fn expressions() -> anyhow::Result<BTreeSet<String>> {
    let mut found = BTreeSet::new();
    for entry in fs::read_dir(root().join("charts/oms/dashboards"))? {
        let text = fs::read_to_string(entry?.path())?;
        collect(&serde_json::from_str(&text)?, &mut found);
    }
    let filled = found.iter().map(|expression| {
        let expression = expression.replace("$namespace", ".*");
        expression.replace("$__rate_interval", "1m")
    });
    Ok(filled.collect())
}

fn collect(node: &Value, into: &mut BTreeSet<String>) {
    match node {
        Value::Object(fields) => {
            into.extend(
                fields
                    .get("expr")
                    .and_then(Value::as_str)
                    .map(str::to_owned),
            );
            fields.values().for_each(|field| collect(field, into));
        }
        Value::Array(items) => items.iter().for_each(|item| collect(item, into)),
        _ => {}
    }
}

/// Prometheus, of the system or unpacked by `scripts/tools.sh`; `None` where it cannot be had.
fn program() -> Option<PathBuf> {
    let found = Command::new(root().join("scripts/tools.sh"))
        .arg("prometheus")
        .output()
        .ok()?;
    let path = String::from_utf8(found.stdout).ok()?;
    found.status.success().then(|| path.trim().into())
}

struct Prometheus {
    process: Child,
    port: u16,
}

impl Prometheus {
    fn start(nodes: &Nodes) -> anyhow::Result<Option<Self>> {
        let Some(program) = program() else {
            return Ok(None);
        };
        let dir = nodes.engines.dir().join("prometheus");
        fs::create_dir_all(&dir)?;
        let mut config = format!(
            "global: {{ scrape_interval: 1s, evaluation_interval: 1s }}\nrule_files: [{}]\nscrape_configs:\n\
             - job_name: oms\n  honor_labels: true\n  static_configs:\n",
            root()
                .canonicalize()?
                .join("charts/oms/rules/oms.yaml")
                .display(),
        );
        for (service, _) in SERVICES {
            let target = format!("127.0.0.1:{}", nodes.admin_port(service)?);
            let labels = format!("{{ service: {service}, namespace: test }}");
            writeln!(config, "  - {{ targets: ['{target}'], labels: {labels} }}")?;
        }
        let file = dir.join("prometheus.yml");
        fs::write(&file, config)?;
        // Free a moment ago; Prometheus cannot say which port it took.
        let port = TcpListener::bind("127.0.0.1:0")?.local_addr()?.port();
        let process = Command::new(program)
            .arg(format!("--config.file={}", file.display()))
            .arg(format!(
                "--storage.tsdb.path={}",
                dir.join("data").display()
            ))
            .arg(format!("--web.listen-address=127.0.0.1:{port}"))
            .arg("--enable-feature=exemplar-storage")
            .stdout(Stdio::null())
            .stderr(fs::File::create(dir.join("log"))?)
            .spawn()?;
        Ok(Some(Self { process, port }))
    }

    /// What it answers to an expression.
    fn ask(&self, path: &str, expression: &str) -> anyhow::Result<Vec<Value>> {
        let mut encoded = String::new();
        for byte in expression.bytes() {
            write!(encoded, "%{byte:02x}")?;
        }
        let mut stream = TcpStream::connect(("127.0.0.1", self.port))?;
        // Version 1.0: one answer, in one piece, and then the end.
        io::Write::write_all(
            &mut stream,
            format!("GET /api/v1/{path}query={encoded} HTTP/1.0\r\n\r\n").as_bytes(),
        )?;
        let mut answer = String::new();
        stream.read_to_string(&mut answer)?;
        let (_, body) = answer.split_once("\r\n\r\n").context("no answer")?;
        let answer: Value =
            serde_json::from_str(body).with_context(|| format!("{expression}: {body}"))?;
        ensure!(answer["status"] == "success", "{expression}: {answer}");
        let data = &answer["data"];
        let list = data["result"].as_array().or(data.as_array());
        list.cloned().context("no list")
    }

    /// The labels of what it answers to an expression.
    fn query(&self, expression: &str) -> anyhow::Result<Vec<Value>> {
        let result = self.ask("query?", expression)?;
        Ok(result.iter().map(|one| one["metric"].clone()).collect())
    }

    /// The traces that it keeps as exemplars of a histogram's buckets.
    fn exemplars(&self, buckets: &str) -> anyhow::Result<BTreeSet<String>> {
        let series = self.ask("query_exemplars?start=0&end=4000000000&", buckets)?;
        let exemplars = series
            .iter()
            .filter_map(|one| one["exemplars"].as_array())
            .flatten();
        let traces = exemplars.filter_map(|one| one["labels"]["trace_id"].as_str());
        Ok(traces.map(str::to_owned).collect())
    }

    /// The names of all metrics, histograms by their own.
    fn names(&self) -> anyhow::Result<BTreeSet<String>> {
        let answer = self.query("count by (__name__) ({job=\"oms\",__name__=~\"oms_.*\"})")?;
        let names = answer
            .iter()
            .filter_map(|metric| metric["__name__"].as_str());
        let of_histogram = |name: &str| {
            let suffixes = ["_bucket", "_count", "_sum"];
            let base = suffixes.iter().find_map(|suffix| name.strip_suffix(suffix));
            base.unwrap_or(name).to_owned()
        };
        Ok(names.map(of_histogram).collect())
    }
}

impl Drop for Prometheus {
    fn drop(&mut self) {
        // It may have ended by itself.
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

/// Takes an order to cash; answers its id.
async fn order_to_cash(actor: &Actor) -> anyhow::Result<String> {
    actor.set_up(&["a"]).await?;
    actor.receive("west", "a", 5).await?;
    let order = actor.place(new_order(&[("a", 2)])).await?;
    let [fo] = actor
        .released(&order.order_id, 1)
        .await?
        .try_into()
        .ok()
        .context("one")?;
    actor.fulfill(&fo).await?;
    actor
        .order_in(&order.order_id, o::OrderState::Completed)
        .await?;
    Ok(order.order_id)
}

/// A trace that is an exemplar of a histogram's buckets.
async fn exemplar(prometheus: &Prometheus, buckets: &str) -> anyhow::Result<String> {
    wait_for(&format!("an exemplar of {buckets}"), || async {
        let found = prometheus.exemplars(buckets)?;
        Ok(found.into_iter().next().ok_or("none".to_owned()))
    })
    .await
}

/// The trace beside how long PlaceOrder took is one of the order, and the order names it.
async fn exemplar_to_order_and_back(
    prometheus: &Prometheus,
    collector: &Collector,
    actor: &Actor,
    order_id: &str,
) -> anyhow::Result<()> {
    let placing = "oms_rpc_server_duration_seconds_bucket{service=\"order\",method=\"OrderService/PlaceOrder\"}";
    let trace_id = exemplar(prometheus, placing).await?;
    collector
        .wait_for("the exemplar's trace with its order", |spans| {
            spans.iter().any(|span| {
                let about = span.attributes.get("oms.order.id");
                span.trace_id == trace_id && about.is_some_and(|about| about == order_id)
            })
        })
        .await;
    let request = o::GetOrderTraceRequest {
        order_id: order_id.to_owned(),
        ..o::GetOrderTraceRequest::default()
    };
    let answer = actor.clients.orders().get_order_trace(request).await?;
    let traces = answer.into_inner().traces;
    let named = traces.iter().find(|trace| trace.trace_id == trace_id);
    let named = named.with_context(|| format!("{trace_id} is not among {traces:?}"))?;
    ensure!(named.started_by == "place_order", "{named:?}");
    exemplar(
        prometheus,
        "oms_tx_duration_seconds_bucket{name=\"place_order\"}",
    )
    .await?;
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn prometheus_understands_what_services_tell() -> anyhow::Result<()> {
    let collector = Collector::start();
    let nodes = Nodes::start(env!("CARGO_BIN_EXE_oms-node"), Some(collector.endpoint())).await?;
    let Some(prometheus) = Prometheus::start(&nodes)? else {
        say("no Prometheus for this machine: skipped");
        return Ok(());
    };
    let actor = nodes.actor()?;
    let order_id = order_to_cash(&actor).await?;

    let known = registry()?;
    // Gauges of rows come a quarter of a minute after the start.
    let expected: BTreeSet<String> = known
        .iter()
        .filter(|name| !NOT_EVERY_DAY.contains(&name.as_str()))
        .cloned()
        .collect();
    let told = wait_for("every metric of an ordinary day", || async {
        // It may still be starting.
        let told = prometheus.names().unwrap_or_default();
        let missing: Vec<_> = expected.difference(&told).collect();
        let missing = format!("not told: {missing:?}");
        Ok(expected.is_subset(&told).then_some(told).ok_or(missing))
    })
    .await?;
    let unknown: Vec<_> = told.difference(&known).collect();
    ensure!(unknown.is_empty(), "not in the registry: {unknown:?}");

    exemplar_to_order_and_back(&prometheus, &collector, &actor, &order_id).await?;
    for expression in expressions()? {
        prometheus.query(&expression)?;
    }
    wait_for("the rules to be evaluated", || async {
        let rules = prometheus.query("oms:slo_errors:ratio_rate5m{slo=\"place_order\"}")?;
        Ok((rules.len() == 1).then_some(()).ok_or(format!("{rules:?}")))
    })
    .await?;
    let alerts = prometheus.query("ALERTS{alertstate=\"firing\"}")?;
    ensure!(
        alerts.is_empty(),
        "a quiet day wakes somebody up: {alerts:?}"
    );
    Ok(())
}
