//! A suite whose order service has as many events as a test wants, and `oms feed tail` beside it.

use std::path::PathBuf;
use std::process::{Output, Stdio};

use oms::clients::Clients;
use oms::suite::{Suite, SuiteConfig};
use oms_engines::EnginesConfig;
use oms_proto::common::v1::FillPolicy;
use oms_proto::order::v1::{Channel, PaymentPolicy, RoundingMode, UpsertChannelRequest};
use oms_service::{AnyProgram, Layers, Runtime};
use sqlx::{AssertSqlSafe, Connection, PgConnection};
use tokio::io::{AsyncBufReadExt, BufReader, Lines};
use tokio::process::{Child, ChildStdout, Command};
use tokio::sync::watch;

pub(crate) struct World {
    pub(crate) suite: Suite,
    clients: Clients,
}

impl World {
    pub(crate) async fn start() -> Self {
        let cache = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../../.oms/engines");
        let engines = EnginesConfig::throwaway(oms_engines::scratch::create().unwrap(), cache);
        let suite = Suite::start(SuiteConfig::new(engines)).await.unwrap();
        let clients = Clients::of_suite(&suite, "user:alice").unwrap();
        Self { suite, clients }
    }

    /// Makes a channel, which is one event.
    pub(crate) async fn event(&self, channel_id: &str) {
        let channel = Channel {
            channel_id: channel_id.to_owned(),
            name: format!("Shop {channel_id}"),
            currency_code: "USD".to_owned(),
            number_prefix: format!("{}-", channel_id.to_uppercase()),
            payment_policy: PaymentPolicy::AuthThenCaptureOnShip.into(),
            tax_rounding: RoundingMode::HalfUp.into(),
            default_fill_policy: FillPolicy::FillOrKill.into(),
            ..Channel::default()
        };
        let request = UpsertChannelRequest {
            request_id: oms_core::IdSource::next(&oms_core::SystemIds).to_string(),
            channel: Some(channel),
        };
        let mut client = self.clients.channels();
        client.upsert_channel(request).await.unwrap();
    }

    /// Makes channels, and waits until the feed has them all.
    pub(crate) async fn events(&self, channel_ids: &[&str]) {
        for id in channel_ids {
            self.event(id).await;
        }
        oms_testkit::wait_for("the outbox to be empty", || async {
            let mut conn = self.database().await;
            let waiting: i64 = sqlx::query_scalar("select count(*) from outbox")
                .fetch_one(&mut conn)
                .await
                .unwrap();
            if waiting == 0 {
                Ok(())
            } else {
                Err(format!("{waiting} events"))
            }
        })
        .await;
    }

    /// Stops the order service and starts it again at its port. `meanwhile` is done while nobody answers there.
    pub(crate) async fn restart(&mut self, meanwhile: impl AsyncFnOnce()) {
        let order = self.suite.services.remove(0);
        assert_eq!(order.name, "order");
        let mut text = format!(
            "insecure_dev = true\nlisten = \"{}\"\nadmin_listen = \"{}\"\n[database]\nurl = {:?}\n",
            order.addr,
            order.admin_addr,
            self.suite.engines.database_url("oms_order")
        );
        for peer in &self.suite.services {
            text += &format!("[peers.{}]\nurl = {:?}\n", peer.name, peer.url());
        }
        order.shutdown().await.unwrap();
        meanwhile().await;
        let layers = Layers::of_text(text);
        let order = oms_order::Order.start(&layers, Runtime::default()).await;
        self.suite.services.insert(0, order.unwrap());
    }

    async fn database(&self) -> PgConnection {
        let url = self.suite.engines.database_url("oms_order");
        PgConnection::connect(&url).await.unwrap()
    }

    /// Does something to the database of the order service.
    pub(crate) async fn execute(&self, sql: &str) {
        let mut conn = self.database().await;
        sqlx::raw_sql(AssertSqlSafe(sql.to_owned()))
            .execute(&mut conn)
            .await
            .unwrap();
    }

    /// `oms feed tail` on the order service.
    pub(crate) fn tail(&self, arguments: &[&str]) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_oms"));
        command
            .args(["feed", "tail", "order", "--address"])
            .arg(self.suite.url("order").unwrap())
            .args(arguments)
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .kill_on_drop(true);
        command
    }

    /// What it said until it ended by itself.
    pub(crate) async fn tailed(&self, arguments: &[&str]) -> Said {
        Said::of(&self.tail(arguments).output().await.unwrap())
    }
}

/// What a command said.
pub(crate) struct Said {
    pub(crate) code: Option<i32>,
    pub(crate) out: Vec<String>,
    pub(crate) err: String,
}

impl Said {
    pub(crate) fn of(output: &Output) -> Self {
        let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
        Self {
            code: output.status.code(),
            out: text(&output.stdout).lines().map(str::to_owned).collect(),
            err: text(&output.stderr),
        }
    }

    /// The lines as JSON, of a command that ended well.
    pub(crate) fn json(&self) -> Vec<serde_json::Value> {
        assert_eq!(self.code, Some(0), "{}", self.err);
        let read = |line: &String| serde_json::from_str(line).unwrap();
        self.out.iter().map(read).collect()
    }
}

/// A command that goes on, its lines, and what it says beside them.
pub(crate) struct Running {
    child: Child,
    lines: Lines<BufReader<ChildStdout>>,
    said: watch::Receiver<String>,
}

impl Running {
    /// Starts it, and waits until it has said where it begins.
    pub(crate) async fn start(mut command: Command) -> Self {
        let mut child = command.spawn().unwrap();
        let lines = BufReader::new(child.stdout.take().unwrap()).lines();
        let mut errors = BufReader::new(child.stderr.take().unwrap()).lines();
        let (sender, mut said) = watch::channel(String::new());
        tokio::spawn(async move {
            while let Ok(Some(line)) = errors.next_line().await {
                sender.send_modify(|said| *said += &format!("{line}\n"));
            }
        });
        said.wait_for(|said| said.starts_with("after position"))
            .await
            .unwrap();
        Self { child, lines, said }
    }

    /// The next line of standard output.
    pub(crate) async fn line(&mut self) -> String {
        self.lines.next_line().await.unwrap().expect("it goes on")
    }

    /// Waits until it has said this to standard error.
    pub(crate) async fn says(&mut self, what: &str) {
        let heard = self.said.wait_for(|said| said.contains(what)).await;
        heard.expect("it goes on");
    }

    /// What it has said to standard error.
    fn said(&self) -> String {
        self.said.borrow().clone()
    }

    /// Waits until it ends by itself; answers its exit code and what it said to standard error.
    pub(crate) async fn ended(mut self) -> (Option<i32>, String) {
        let status = self.child.wait().await.unwrap();
        // Until nobody writes any more.
        while self.said.changed().await.is_ok() {}
        (status.code(), self.said())
    }
}
